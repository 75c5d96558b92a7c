//! The keys of all tenants, derived from one root secret.
//!
//! HKDF-SHA256 (RFC 5869) without salt; the info is `desist/1/signing/TENANT/SERIAL` or
//! `desist/1/address/TENANT/GENERATION` in ASCII, the length 32 bytes. Only the extracted secret is
//! kept: a key is expanded when it is used, so that a key costs 16 bytes. The address keys of a tenant
//! that is asked about are kept from then on: a check asks for them each time.
//!
//! Invariants: MACs are compared in one function, in constant time. Every signing key whose serial
//! has the token's number modulo 16 is tried, for both uses. No secret is ever printed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::wire::{self, Fields, Token, TokenError, Unverified, Use};
use crate::model::address::Address;
use crate::model::directory::{Directory, KeyState, SigningKey};
use crate::model::event::SYNTHETIC;
use crate::model::recipient::RecipientKey;
use crate::model::secret::Secret;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;

/// What can be minted and verified. Cheap to clone, shared by every door.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    /// Ascending.
    tenants: Box<[TenantId]>,
    /// Of each of these tenants, once somebody has asked for them.
    address_keys: Box<[OnceLock<AddressKeys>]>,
    /// Of these tenants alone, ascending by tenant and serial, each serial once.
    keys: Box<[SigningKey]>,
    material: Material,
}

/// Where key material comes from.
enum Material {
    /// Expanded from the secret that HKDF extracted from the root.
    Derived(Secret<32>),
    /// Given one by one, by tenant and serial or generation.
    Given {
        signing: BTreeMap<(TenantId, u32), Secret<32>>,
        address: BTreeMap<(TenantId, u32), Secret<32>>,
    },
}

/// What a token is to say.
#[derive(Debug, Clone, Copy)]
pub struct Mint<'a> {
    /// Who mints.
    pub tenant: TenantId,
    /// The stream; 0 for none.
    pub stream: StreamNumber,
    /// For whom the mail is.
    pub address: &'a Address,
    /// The sender's own reference, 0 to 16 bytes.
    pub reference: &'a [u8],
    /// Where it will stand.
    pub purpose: Use,
}

/// Why nothing was minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The tenant has no active signing key.
    #[error("tenant {0} has no active signing key")]
    NoActiveKey(TenantId),
    /// The reference is too long.
    #[error("a ref has at most 16 bytes, this one has {0}")]
    LongReference(usize),
}

/// What a sender needs to mint by itself.
#[derive(Debug, Clone)]
pub struct MintingKeys {
    /// Whose tokens they make.
    pub tenant: TenantId,
    /// The signing key's serial; modulo 16 it is in the token's first byte.
    pub serial: u32,
    /// Signs body and use.
    pub signing: Secret<32>,
    /// The generation of the address key.
    pub generation: u32,
    /// Makes recipient keys of canonical addresses.
    pub address: Secret<32>,
}

/// Why a decoded text did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The tenant or its key does not exist, or the text is none.
    Refused(TokenError),
    /// The MACs that may still be computed did not suffice.
    BudgetSpent,
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

impl Keyring {
    /// Derives from the directory. Costs next to nothing a tenant: keys are derived when they are
    /// used.
    pub fn new(directory: &Directory) -> Self {
        // HKDF-Extract; no salt means as many zero bytes as the hash is long (RFC 5869 §2.2).
        let extracted = hmac_sha256(&Secret::new([0; 32]), &[directory.root.expose()]);
        let tenants = directory.tenants.iter().map(|tenant| tenant.id).collect();
        let keys = directory.signing_keys.clone();
        Self::assemble(tenants, keys, Material::Derived(Secret::new(extracted)))
    }

    /// A keyring of given keys, for senders that mint with what they were given, and for known
    /// answers. Of keys with the same tenant and serial the last one counts.
    pub fn with_keys(keys: impl IntoIterator<Item = (KeyState, MintingKeys)>) -> Self {
        let (mut signing, mut address) = (BTreeMap::new(), BTreeMap::new());
        let mut states = BTreeMap::new();
        for (state, given) in keys {
            let MintingKeys {
                tenant,
                serial,
                generation,
                ..
            } = given;
            states.insert(
                (tenant, serial),
                SigningKey {
                    tenant,
                    serial,
                    state,
                    generation,
                },
            );
            signing.insert((tenant, serial), given.signing);
            address.insert((tenant, generation), given.address);
        }
        let tenants = states.keys().map(|(tenant, _)| *tenant).collect();
        Self::assemble(
            tenants,
            states.into_values().collect(),
            Material::Given { signing, address },
        )
    }

    fn assemble(mut tenants: Vec<TenantId>, mut keys: Vec<SigningKey>, material: Material) -> Self {
        tenants.sort_unstable();
        tenants.dedup();
        keys.retain(|key| tenants.binary_search(&key.tenant).is_ok());
        keys.sort_unstable();
        keys.dedup_by_key(|key| (key.tenant, key.serial));
        Self(Arc::new(Inner {
            address_keys: tenants.iter().map(|_| OnceLock::new()).collect(),
            tenants: tenants.into(),
            keys: keys.into(),
            material,
        }))
    }

    /// Mints with the active key of the highest serial.
    pub fn mint(&self, what: &Mint<'_>) -> Result<Token, MintError> {
        let length = what.reference.len();
        if length > wire::MAX_REFERENCE {
            return Err(MintError::LongReference(length));
        }
        let MintingKeys {
            serial,
            signing,
            address,
            ..
        } = self.export(what.tenant)?;
        let fields = Fields {
            tenant: what.tenant,
            key: key_number(serial),
            stream: what.stream,
            recipient: recipient_key(&address, what.address),
            reference: what.reference.to_vec(),
        };
        let body = fields.body();
        let mac = token_mac(&signing, &body, what.purpose);
        Ok(Token {
            text: wire::encode(body, mac),
            fields,
            purpose: what.purpose,
            revoked: false,
        })
    }

    /// Verifies a whole text, for either use.
    pub fn verify(&self, text: &str) -> Result<Token, TokenError> {
        let decoded = Unverified::decode(text.as_bytes())?;
        // A tenant has few keys of one number: this is bounded without a budget.
        let mut unlimited = usize::MAX;
        self.verify_within(&decoded, &mut unlimited)
            .map_err(|failure| match failure {
                Failure::Refused(error) => error,
                Failure::BudgetSpent => TokenError::BadMac,
            })
    }

    /// Verifies with at most `budget` MACs and takes from it what was computed.
    pub(super) fn verify_within(
        &self,
        decoded: &Unverified,
        budget: &mut usize,
    ) -> Result<Token, Failure> {
        let (tenant, number) = decoded.key()?;
        let mut known = false;
        for key in self.numbered(tenant, number) {
            let Some(signing) = self.0.signing_key(key) else {
                continue;
            };
            known = true;
            for purpose in [Use::Feedback, Use::Bounce] {
                *budget = budget.checked_sub(1).ok_or(Failure::BudgetSpent)?;
                let mac = token_mac(&signing, decoded.body(), purpose);
                if macs_equal(&mac, &decoded.mac()) {
                    return Ok(Token {
                        text: wire::encode(decoded.body().to_vec(), mac),
                        fields: decoded.fields()?,
                        purpose,
                        revoked: key.state == KeyState::Revoked,
                    });
                }
            }
        }
        Err(if known {
            TokenError::BadMac
        } else {
            TokenError::UnknownKey
        }
        .into())
    }

    /// The recipient's keys under every generation in use, the newest first. Empty for a tenant
    /// that does not exist.
    pub fn recipient_keys(&self, tenant: TenantId, address: &Address) -> Vec<RecipientKey> {
        self.address_keys(tenant).recipient_keys(address).collect()
    }

    /// A tenant's address keys of every generation in use. Derived when they are first asked for.
    pub fn address_keys(&self, tenant: TenantId) -> AddressKeys {
        let place = self.0.tenants.binary_search(&tenant).ok();
        let kept = place.and_then(|place| self.0.address_keys.get(place));
        kept.map_or_else(
            || AddressKeys::of(Vec::new()),
            |kept| {
                kept.get_or_init(|| self.derive_address_keys(tenant))
                    .clone()
            },
        )
    }

    fn derive_address_keys(&self, tenant: TenantId) -> AddressKeys {
        let generations = self.generations(tenant);
        let secrets = generations
            .iter()
            .filter_map(|number| self.0.address_key(tenant, *number));
        AddressKeys::of(secrets.map(|secret| keyed(&secret)).collect())
    }

    /// The generations that any of its keys names, the newest first. A tenant that has no key yet
    /// has the first one, so that it can suppress before it mints.
    fn generations(&self, tenant: TenantId) -> Vec<u32> {
        let mut all: Vec<u32> = self
            .0
            .keys_of(tenant)
            .iter()
            .map(|key| key.generation)
            .collect();
        if all.is_empty() && self.0.tenants.binary_search(&tenant).is_ok() {
            all.push(FIRST_GENERATION);
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.dedup();
        all
    }

    /// Whether the tenant exists and has any key of that number (serial modulo 16).
    pub fn knows(&self, tenant: TenantId, key: u8) -> bool {
        self.numbered(tenant, key).next().is_some()
    }

    /// What the tenant's senders need to mint: its active signing key of the highest serial, and
    /// the address key that goes with it. Secrets leave the installation with this.
    pub fn export(&self, tenant: TenantId) -> Result<MintingKeys, MintError> {
        let keys = self.0.keys_of(tenant).iter().rev();
        keys.filter(|key| key.state == KeyState::Active)
            .find_map(|key| {
                Some(MintingKeys {
                    tenant,
                    serial: key.serial,
                    signing: self.0.signing_key(key)?,
                    generation: key.generation,
                    address: self.0.address_key(tenant, key.generation)?,
                })
            })
            .ok_or(MintError::NoActiveKey(tenant))
    }

    /// Signs what takes an opt-out back. Only an installation can, which derives its keys.
    pub(super) fn undo_mac(&self, tenant: TenantId, parts: &[&[u8]]) -> Option<[u8; wire::MAC]> {
        match &self.0.material {
            Material::Derived(extracted) => {
                let key = expand(extracted, "undo", tenant, FIRST_GENERATION);
                Some(first_bytes(&hmac_sha256(&key, parts)))
            }
            Material::Given { .. } => None,
        }
    }

    /// The tenant's keys of one number modulo 16, the newest first.
    fn numbered(&self, tenant: TenantId, number: u8) -> impl Iterator<Item = &SigningKey> {
        let keys = self.0.keys_of(tenant).iter().rev();
        keys.filter(move |key| key_number(key.serial) == number)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("tenants", &self.0.tenants.len())
            .field("keys", &self.0.keys.len())
            .finish_non_exhaustive()
    }
}

/// One tenant's address keys, the newest generation first. Empty for a tenant that does not exist.
/// Cheap to clone.
#[derive(Clone)]
pub struct AddressKeys(Arc<Derived>);

struct Derived {
    keyed: Vec<Hmac<Sha256>>,
    /// The keys of [`SYNTHETIC`], which each event is compared with.
    synthetic: Vec<RecipientKey>,
}

impl AddressKeys {
    fn of(keyed: Vec<Hmac<Sha256>>) -> Self {
        let synthetic = Address::parse(SYNTHETIC).map_or_else(
            |_no_address| Vec::new(),
            |nobody| {
                keyed
                    .iter()
                    .map(|keyed| fingerprint(keyed.clone(), &nobody))
                    .collect()
            },
        );
        Self(Arc::new(Derived { keyed, synthetic }))
    }

    /// The recipient's key under each generation, the newest first.
    pub fn recipient_keys(&self, address: &Address) -> impl Iterator<Item = RecipientKey> {
        let keyed = self.0.keyed.iter();
        keyed.map(|keyed| fingerprint(keyed.clone(), address))
    }

    /// Whether it is a key of [`SYNTHETIC`], whom nobody but a trial of the doors is about.
    pub fn is_synthetic(&self, recipient: &RecipientKey) -> bool {
        self.0.synthetic.contains(recipient)
    }
}

impl fmt::Debug for AddressKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressKeys")
            .field("generations", &self.0.keyed.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Ascending by serial; found in O(log keys).
    fn keys_of(&self, tenant: TenantId) -> &[SigningKey] {
        let start = self.keys.partition_point(|key| key.tenant < tenant);
        let rest = self.keys.get(start..).unwrap_or_default();
        rest.get(..rest.partition_point(|key| key.tenant == tenant))
            .unwrap_or_default()
    }

    fn signing_key(&self, key: &SigningKey) -> Option<Secret<32>> {
        match &self.material {
            Material::Derived(extracted) => {
                Some(expand(extracted, "signing", key.tenant, key.serial))
            }
            Material::Given { signing, .. } => signing.get(&(key.tenant, key.serial)).cloned(),
        }
    }

    fn address_key(&self, tenant: TenantId, generation: u32) -> Option<Secret<32>> {
        match &self.material {
            Material::Derived(extracted) => Some(expand(extracted, "address", tenant, generation)),
            Material::Given { address, .. } => address.get(&(tenant, generation)).cloned(),
        }
    }
}

/// A serial as the token carries it.
fn key_number(serial: u32) -> u8 {
    let [.., low] = serial.to_be_bytes();
    low & 0x0f
}

/// HKDF-Expand for one block of output (RFC 5869 §2.3).
fn expand(extracted: &Secret<32>, kind: &str, tenant: TenantId, number: u32) -> Secret<32> {
    let info = format!("desist/1/{kind}/{tenant}/{number}");
    Secret::new(hmac_sha256(extracted, &[info.as_bytes(), &[1]]))
}

fn recipient_key(address_key: &Secret<32>, address: &Address) -> RecipientKey {
    fingerprint(keyed(address_key), address)
}

fn fingerprint(mut keyed: Hmac<Sha256>, address: &Address) -> RecipientKey {
    keyed.update(address.as_str().as_bytes());
    let full: [u8; 32] = keyed.finalize().into_bytes().into();
    RecipientKey::from_bytes(first_bytes(&full))
}

fn token_mac(signing: &Secret<32>, body: &[u8], purpose: Use) -> [u8; wire::MAC] {
    first_bytes(&hmac_sha256(signing, &[body, &[purpose.signed_byte()]]))
}

/// The one place where MACs are compared: takes the same time wherever they differ.
pub(super) fn macs_equal(computed: &[u8; wire::MAC], carried: &[u8; wire::MAC]) -> bool {
    computed.ct_eq(carried).into()
}

fn hmac_sha256(key: &Secret<32>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC pads a short key with zeros to the hash's block of 64 bytes (RFC 2104 §2); with the padding
/// done here there is no length that could be wrong.
fn keyed(key: &Secret<32>) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0_u8; 64]);
    for (to, from) in block.iter_mut().zip(key.expose()) {
        *to = *from;
    }
    Hmac::new((&*block).into())
}

/// A MAC truncated to its first bytes (RFC 2104 §5).
fn first_bytes<const N: usize>(full: &[u8; 32]) -> [u8; N] {
    const { assert!(N <= 32) };
    *full.first_chunk().unwrap_or(&[0; N])
}

/// The generation of a tenant's first address key.
const FIRST_GENERATION: u32 = 1;
