//! The directory: all that the doors must know to verify, as it stood at one place of the feed.

use super::mailbox::Mailbox;
use super::secret::Secret;
use super::stream::{Stream, StreamNumber};
use super::tenant::{Tenant, TenantId};
use super::words::words;

words! {
    /// What a signing key may do.
    pub enum KeyState as "key state" {
        /// Mints and verifies.
        Active = "active",
        /// Verifies for ever.
        Retired = "retired",
        /// Tokens are still answered with success, but prove nothing.
        Revoked = "revoked",
    }
}

/// One signing key of a tenant. The key itself is derived from the root secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SigningKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// Counts up from 1 and is never reused; its value modulo 16 is in the token.
    pub serial: u32,
    /// What it may do.
    pub state: KeyState,
    /// The generation of the address key that it mints with.
    pub generation: u32,
}

/// Root secret, tenants, streams, key states and mailboxes at one place of the feed. Kept in the
/// store, mirrored in the journal's file, so that the doors open while the database is away.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The installation's root secret.
    pub root: Secret<32>,
    /// All tenants, by number.
    pub tenants: Vec<Tenant>,
    /// All streams, by tenant and number.
    pub streams: Vec<Stream>,
    /// All signing keys, by tenant and serial.
    pub signing_keys: Vec<SigningKey>,
    /// Mailboxes beyond or instead of the defaults of each served domain.
    pub mailboxes: Mailboxes,
    /// The place of the feed that it is true for.
    pub seq: u64,
}

/// Mailboxes that are found by their address: asked for at every recipient, of a million perhaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Vec<Mailbox>")]
pub struct Mailboxes(Vec<Mailbox>);

impl From<Vec<Mailbox>> for Mailboxes {
    fn from(mut mailboxes: Vec<Mailbox>) -> Self {
        // No order of a database is relied on: it follows the language that it was set up for.
        mailboxes.sort_unstable_by(|one, other| one.address.cmp(&other.address));
        Self(mailboxes)
    }
}

impl Mailboxes {
    /// The mailbox of exactly that address.
    pub fn get(&self, address: &str) -> Option<&Mailbox> {
        let found = self
            .0
            .binary_search_by(|mailbox| mailbox.address.as_str().cmp(address));
        found.ok().and_then(|at| self.0.get(at))
    }

    /// All of them, by address.
    pub fn as_slice(&self) -> &[Mailbox] {
        &self.0
    }
}

impl Directory {
    /// The only tenant, if there is exactly one.
    pub fn only_tenant(&self) -> Option<TenantId> {
        match self.tenants.as_slice() {
            [tenant] => Some(tenant.id),
            _ => None,
        }
    }

    /// The tenant of that number.
    pub fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        let found = self.tenants.binary_search_by_key(&id, |tenant| tenant.id);
        found.ok().and_then(|at| self.tenants.get(at))
    }

    /// The stream of that number.
    pub fn stream(&self, tenant: TenantId, number: StreamNumber) -> Option<&Stream> {
        let key = (tenant, number);
        let found = self
            .streams
            .binary_search_by_key(&key, |stream| (stream.tenant, stream.number));
        found.ok().and_then(|at| self.streams.get(at))
    }
}
