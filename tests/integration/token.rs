//! Tokens: known answers, keys, finding, and the places of a mail that carry them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod carriers;
mod examples;
mod finder;
mod keyring;
mod vectors;

use data_encoding::HEXLOWER;
use desist::model::address::Address;
use desist::model::directory::{Directory, KeyState, SigningKey};
use desist::model::secret::Secret;
use desist::model::tenant::{Tenant, TenantId};
use desist::token::keyring::{Keyring, Mint, MintingKeys};
use desist::token::wire::{Token, Use};

fn tenant(number: u32) -> TenantId {
    TenantId::new(number).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn secret(hex: &str) -> Secret<32> {
    Secret::new(HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
}

/// A directory of tenants that have each of the keys, all of generation 1.
fn directory(tenants: &[u32], keys: &[(u32, KeyState)]) -> Directory {
    let of = |id: TenantId| {
        keys.iter().map(move |(serial, state)| SigningKey {
            tenant: id,
            serial: *serial,
            state: *state,
            generation: 1,
        })
    };
    let name = |id: TenantId| Tenant {
        id,
        name: format!("tenant-{id}"),
        domain: None,
        title: None,
    };
    Directory {
        root: Secret::new([7; 32]),
        tenants: tenants.iter().map(|number| name(tenant(*number))).collect(),
        streams: Vec::new(),
        signing_keys: tenants
            .iter()
            .flat_map(|number| of(tenant(*number)))
            .collect(),
        mailboxes: Vec::new().into(),
        domains: desist::model::directory::Domains::default(),
        seq: 0,
    }
}

/// Tenants 1 and 2 with one active key.
fn keyring() -> Keyring {
    Keyring::new(&directory(&[1, 2], &[(1, KeyState::Active)]))
}

/// A token of tenant 1, stream 3.
fn mint(keyring: &Keyring, to: &str, reference: &[u8], purpose: Use) -> Token {
    let address = &address(to);
    keyring
        .mint(&Mint {
            tenant: tenant(1),
            stream: 3,
            address,
            reference,
            purpose,
        })
        .unwrap()
}

/// A keyring of one tenant and one key, as a sender has it.
fn sender(given: MintingKeys) -> Keyring {
    Keyring::with_keys([(KeyState::Active, given)])
}
