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

/// Root secret, tenants, streams, key states, mailboxes and domains at one place of the feed. Kept in the
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
    /// Domains that are served for a tenant, beside those of the config.
    pub domains: Domains,
    /// The place of the feed that it is true for.
    pub seq: u64,
}

/// What has changed in a directory: these tenants, with all that is theirs as it is now.
#[derive(Debug, Clone)]
pub struct DirectoryChange {
    /// The changed tenants, by number.
    pub tenants: Vec<Tenant>,
    /// All streams of these tenants.
    pub streams: Vec<Stream>,
    /// All signing keys of these tenants.
    pub signing_keys: Vec<SigningKey>,
    /// All mailboxes of these tenants.
    pub mailboxes: Vec<Mailbox>,
    /// All domains of these tenants.
    pub domains: Vec<TenantDomain>,
    /// All mailboxes of no tenant, if any of them has changed.
    pub shared: Option<Vec<Mailbox>>,
    /// The place of the feed that it is true for.
    pub seq: u64,
}

/// A domain that is served for one tenant: what comes to its default mailboxes is this tenant's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TenantDomain {
    /// Its name, in lower-case A-labels.
    pub domain: String,
    /// Whose it is.
    pub tenant: TenantId,
}

/// Domains that are found by their name, asked for at every recipient, and by their tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domains {
    by_name: Vec<TenantDomain>,
    /// Their places there, by tenant and name.
    by_tenant: Vec<usize>,
}

impl From<Vec<TenantDomain>> for Domains {
    fn from(mut by_name: Vec<TenantDomain>) -> Self {
        by_name.sort();
        let mut by_tenant: Vec<(TenantId, usize)> = by_name
            .iter()
            .enumerate()
            .map(|(place, domain)| (domain.tenant, place))
            .collect();
        by_tenant.sort_unstable();
        Self {
            by_name,
            by_tenant: by_tenant.into_iter().map(|(_, place)| place).collect(),
        }
    }
}

impl Domains {
    /// Whose domain that is, written canonically.
    pub fn owner(&self, domain: &str) -> Option<TenantId> {
        let found = self
            .by_name
            .binary_search_by(|known| known.domain.as_str().cmp(domain));
        found
            .ok()
            .and_then(|at| self.by_name.get(at))
            .map(|known| known.tenant)
    }

    /// Those of a tenant, by name.
    pub fn of(&self, tenant: TenantId) -> impl Iterator<Item = &str> {
        let at = |place: &usize| self.by_name.get(*place);
        let first = self
            .by_tenant
            .partition_point(|place| at(place).is_some_and(|known| known.tenant < tenant));
        let behind = self.by_tenant.get(first..).unwrap_or_default().iter();
        behind
            .filter_map(|place| self.by_name.get(*place))
            .take_while(move |known| known.tenant == tenant)
            .map(|known| known.domain.as_str())
    }

    /// All of them, by name.
    pub fn as_slice(&self) -> &[TenantDomain] {
        &self.by_name
    }
}

/// Mailboxes that are found by their address: asked for at every recipient, of a million perhaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailboxes(Vec<Mailbox>);

impl From<Vec<Mailbox>> for Mailboxes {
    fn from(mut mailboxes: Vec<Mailbox>) -> Self {
        // No order of a database is relied on: it follows the language that it was set up for.
        mailboxes.sort_by(|one, other| one.address.cmp(&other.address));
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

    /// All streams of a tenant, by number.
    pub fn streams_of(&self, tenant: TenantId) -> &[Stream] {
        run_of(&self.streams, tenant, |stream| stream.tenant)
    }

    /// All signing keys of a tenant, by serial.
    pub fn signing_keys_of(&self, tenant: TenantId) -> &[SigningKey] {
        run_of(&self.signing_keys, tenant, |key| key.tenant)
    }

    /// The directory after a change. What has not changed is copied; nothing is read anew.
    #[must_use]
    pub fn after(&self, change: &DirectoryChange) -> Self {
        let stays = |id: TenantId| {
            let found = change.tenants.binary_search_by_key(&id, |tenant| tenant.id);
            found.is_err()
        };
        let mailboxes = self.mailboxes.0.iter();
        let mut mailboxes: Vec<Mailbox> = mailboxes
            .filter(|mailbox| mailbox.tenant.map_or(change.shared.is_none(), stays))
            .chain(&change.mailboxes)
            .cloned()
            .collect();
        mailboxes.extend(change.shared.iter().flatten().cloned());
        let domains = self.domains.by_name.iter();
        let domains: Vec<TenantDomain> = domains
            .filter(|domain| stays(domain.tenant))
            .chain(&change.domains)
            .cloned()
            .collect();
        let mut tenants = replaced(&self.tenants, &change.tenants, |tenant| stays(tenant.id));
        let mut streams = replaced(&self.streams, &change.streams, |one| stays(one.tenant));
        let keys = &self.signing_keys;
        let mut signing_keys = replaced(keys, &change.signing_keys, |key| stays(key.tenant));
        // Two runs in order each: sorting them is merging them.
        tenants.sort_by_key(|tenant| tenant.id);
        streams.sort_by_key(|stream| (stream.tenant, stream.number));
        signing_keys.sort_by_key(|key| (key.tenant, key.serial));
        Self {
            root: self.root.clone(),
            tenants,
            streams,
            signing_keys,
            mailboxes: mailboxes.into(),
            domains: domains.into(),
            seq: change.seq,
        }
    }
}

/// Those that stay, and the new ones behind them.
fn replaced<T: Clone>(before: &[T], new: &[T], stays: impl Fn(&T) -> bool) -> Vec<T> {
    let mut after = Vec::with_capacity(before.len().saturating_add(new.len()));
    after.extend(before.iter().filter(|one| stays(one)).cloned());
    after.extend(new.iter().cloned());
    after
}

/// What is one tenant's among what is in the order of tenants.
fn run_of<T>(all: &[T], tenant: TenantId, of: impl Fn(&T) -> TenantId) -> &[T] {
    let start = all.partition_point(|one| of(one) < tenant);
    let rest = all.get(start..).unwrap_or_default();
    rest.get(..rest.partition_point(|one| of(one) == tenant))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mailbox::Role;
    use crate::model::stream::Class;

    fn tenant(number: u32) -> TenantId {
        TenantId::new(number).unwrap()
    }

    fn named(number: u32, name: &str) -> Tenant {
        Tenant {
            id: tenant(number),
            name: name.to_owned(),
            domain: None,
            title: None,
        }
    }

    fn stream(of: u32, number: StreamNumber) -> Stream {
        Stream {
            tenant: tenant(of),
            number,
            name: format!("s{number}"),
            class: Class::Marketing,
            unsubscribe: false,
            title: None,
        }
    }

    fn key(of: u32, serial: u32) -> SigningKey {
        SigningKey {
            tenant: tenant(of),
            serial,
            state: KeyState::Active,
            generation: 1,
        }
    }

    fn mailbox(address: &str, of: Option<u32>) -> Mailbox {
        Mailbox {
            address: address.to_owned(),
            role: Role::Complaint,
            tenant: of.map(tenant),
            stream: None,
        }
    }

    fn domain(name: &str, of: u32) -> TenantDomain {
        TenantDomain {
            domain: name.to_owned(),
            tenant: tenant(of),
        }
    }

    fn before() -> Directory {
        Directory {
            root: Secret::new([1; 32]),
            tenants: vec![named(1, "a"), named(2, "b"), named(9, "i")],
            streams: vec![stream(1, 1), stream(2, 1), stream(2, 2), stream(9, 1)],
            signing_keys: vec![key(1, 1), key(2, 1), key(9, 1)],
            mailboxes: vec![
                mailbox("all@x", None),
                mailbox("b@x", Some(2)),
                mailbox("i@x", Some(9)),
            ]
            .into(),
            domains: vec![domain("b.example", 2), domain("i.example", 9)].into(),
            seq: 7,
        }
    }

    #[test]
    fn a_change_replaces_what_is_of_its_tenants_and_nothing_else() {
        let change = DirectoryChange {
            tenants: vec![named(2, "renamed"), named(5, "new")],
            streams: vec![stream(2, 2), stream(5, 3)],
            signing_keys: vec![key(2, 1), key(2, 2), key(5, 1)],
            mailboxes: vec![mailbox("a@x", Some(5))],
            domains: vec![domain("c.example", 2)],
            shared: None,
            seq: 8,
        };
        let after = before().after(&change);
        let numbers: Vec<u32> = after.tenants.iter().map(|one| one.id.get()).collect();
        assert_eq!(numbers, [1, 2, 5, 9]);
        assert_eq!(after.tenant(tenant(2)).unwrap().name, "renamed");
        assert_eq!(after.streams_of(tenant(2)), [stream(2, 2)]);
        assert_eq!(after.streams_of(tenant(5)), [stream(5, 3)]);
        assert_eq!(after.streams_of(tenant(9)), [stream(9, 1)]);
        assert_eq!(after.streams_of(tenant(7)), []);
        assert_eq!(after.signing_keys_of(tenant(2)), [key(2, 1), key(2, 2)]);
        let addresses: Vec<&str> = after
            .mailboxes
            .as_slice()
            .iter()
            .map(|mailbox| mailbox.address.as_str())
            .collect();
        assert_eq!(addresses, ["a@x", "all@x", "i@x"]);
        assert_eq!(after.domains.owner("b.example"), None);
        assert_eq!(after.domains.owner("c.example"), Some(tenant(2)));
        assert_eq!(after.domains.owner("i.example"), Some(tenant(9)));
        let of = |number| after.domains.of(tenant(number)).collect::<Vec<_>>();
        assert_eq!((of(2), of(9)), (vec!["c.example"], vec!["i.example"]));
        assert_eq!(after.seq, 8);
    }

    #[test]
    fn domains_are_found_by_their_tenant() {
        let domains: Domains = [
            ("z.example", 2),
            ("b.example", 9),
            ("m.example", 1),
            ("a.example", 2),
        ]
        .map(|(name, number)| domain(name, number))
        .to_vec()
        .into();
        let of = |number| domains.of(tenant(number)).collect::<Vec<_>>();
        assert_eq!(of(1), ["m.example"]);
        assert_eq!(of(2), ["a.example", "z.example"]);
        assert_eq!(of(9), ["b.example"]);
        for none in [3, 10] {
            assert!(of(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn mailboxes_of_nobody_are_replaced_all_at_once() {
        let change = DirectoryChange {
            tenants: Vec::new(),
            streams: Vec::new(),
            signing_keys: Vec::new(),
            mailboxes: Vec::new(),
            domains: Vec::new(),
            shared: Some(vec![mailbox("new@x", None)]),
            seq: 8,
        };
        let after = before().after(&change);
        assert!(after.mailboxes.get("all@x").is_none());
        assert!(after.mailboxes.get("new@x").is_some());
        assert!(after.mailboxes.get("b@x").is_some());
        assert_eq!(after.tenants, before().tenants);
    }
}
