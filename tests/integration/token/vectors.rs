//! The published known answers.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use desist::model::address::Address;
use desist::model::directory::KeyState;
use desist::token::finder::find_any;
use desist::token::keyring::{Keyring, Mint, MintingKeys};
use desist::token::wire::{Fields, Use};

use super::{address, directory, secret, sender, tenant};

#[derive(serde::Deserialize)]
pub(super) struct Vectors {
    tenants: Vec<u32>,
    address_key: String,
    signing_keys: BTreeMap<u32, String>,
    pub(super) valid: Vec<Valid>,
    invalid: Vec<Invalid>,
    pub(super) not_addresses: Vec<String>,
    derived: Derived,
}

#[derive(Clone, serde::Deserialize)]
pub(super) struct Valid {
    pub(super) name: String,
    pub(super) key: u32,
    pub(super) tenant: u32,
    pub(super) address: String,
    canonical: String,
    recipient: String,
    pub(super) stream: u16,
    #[serde(rename = "ref")]
    pub(super) reference: String,
    pub(super) token: String,
    pub(super) bounce_token: String,
    characters: usize,
}

#[derive(serde::Deserialize)]
struct Invalid {
    name: String,
    token: String,
    why: String,
}

#[derive(serde::Deserialize)]
struct Derived {
    root: String,
    keys: BTreeMap<String, String>,
}

impl Vectors {
    pub(super) fn read() -> Self {
        serde_json::from_str(include_str!("../../../fixtures/token/vectors.json")).unwrap()
    }

    pub(super) fn keys(&self, tenant_number: u32, serial: u32) -> MintingKeys {
        MintingKeys {
            tenant: tenant(tenant_number),
            serial,
            signing: secret(&self.signing_keys[&serial]),
            generation: 1,
            address: secret(&self.address_key),
        }
    }

    /// Every tenant with every key.
    fn keyring(&self) -> Keyring {
        Keyring::with_keys(self.tenants.iter().flat_map(|tenant| {
            self.signing_keys
                .keys()
                .map(|serial| (KeyState::Active, self.keys(*tenant, *serial)))
        }))
    }
}

#[test]
fn every_valid_vector_is_minted_and_verified() {
    // H-003, H-004, H-006, C-035
    let vectors = Vectors::read();
    let keyring = vectors.keyring();
    assert!(vectors.valid.len() >= 19);
    for case in &vectors.valid {
        let name = &case.name;
        let to = Address::parse(&case.address).expect(name);
        assert_eq!(to.as_str(), case.canonical, "{name}");
        let keys = keyring.recipient_keys(tenant(case.tenant), &to);
        assert_eq!(keys.first().unwrap().to_string(), case.recipient, "{name}");
        let reference = HEXLOWER.decode(case.reference.as_bytes()).unwrap();
        let minting = sender(vectors.keys(case.tenant, case.key));
        for (purpose, wanted) in [
            (Use::Feedback, &case.token),
            (Use::Bounce, &case.bounce_token),
        ] {
            let what = Mint {
                tenant: tenant(case.tenant),
                stream: case.stream,
                address: &to,
                reference: &reference,
                purpose,
            };
            let minted = minting.mint(&what).unwrap();
            assert_eq!(&minted.text, wanted, "{name}");
            assert_eq!(minted.text.len(), case.characters, "{name}");
            assert_eq!(keyring.verify(wanted).as_ref(), Ok(&minted), "{name}");
            assert_eq!(
                keyring.verify(&wanted.to_uppercase()).as_ref(),
                Ok(&minted),
                "{name}"
            );
            assert_eq!(
                Fields::read_unverified(wanted).as_ref(),
                Ok(&minted.fields),
                "{name}"
            );
            assert_eq!(
                find_any(&keyring, wanted.as_bytes()).as_ref(),
                Ok(&minted),
                "{name}"
            );
        }
    }
}

#[test]
fn every_invalid_vector_is_refused_for_its_reason() {
    let vectors = Vectors::read();
    let keyring = vectors.keyring();
    assert!(vectors.invalid.len() >= 10);
    for case in &vectors.invalid {
        let why = keyring.verify(&case.token).unwrap_err().to_string();
        assert_eq!(why, case.why, "{}", case.name);
    }
}

#[test]
fn every_text_that_is_no_address_is_refused() {
    let vectors = Vectors::read();
    assert!(vectors.not_addresses.len() >= 8);
    for text in &vectors.not_addresses {
        assert!(Address::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn keys_are_derived_as_published() {
    let vectors = Vectors::read();
    let mut seen = 0;
    for (info, wanted) in &vectors.derived.keys {
        let words: Vec<&str> = info.split('/').collect();
        let [_, _, kind, owner, number] = words[..] else {
            unreachable!("{info}")
        };
        let (owner, number) = (owner.parse().unwrap(), number.parse().unwrap());
        let serial = if kind == "signing" { number } else { 1 };
        let mut directory = directory(&[owner], &[(serial, KeyState::Active)]);
        directory.root = secret(&vectors.derived.root);
        let keys = Keyring::new(&directory).export(tenant(owner)).unwrap();
        let key = if kind == "signing" {
            keys.signing
        } else {
            keys.address
        };
        assert_eq!(&HEXLOWER.encode(key.expose()), wanted, "{info}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn what_is_exported_mints_what_the_installation_verifies() {
    let installation = super::keyring();
    let exported = installation.export(tenant(1)).unwrap();
    let token = super::mint(&sender(exported), "alice@example.com", b"x", Use::Bounce);
    assert_eq!(installation.verify(&token.text).as_ref(), Ok(&token));
    let keys = installation.recipient_keys(tenant(1), &address("alice@example.com"));
    assert_eq!(keys, [token.fields.recipient]);
}
