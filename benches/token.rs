//! What minting, verifying and refusing a token costs. `cargo bench --bench token`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a measurement: it prints, and may stop at any surprise"
)]

#[path = "measure/timing.rs"]
mod timing;

use desist::model::address::Address;
use desist::model::directory::{Directory, KeyState, SigningKey};
use desist::model::secret::Secret;
use desist::model::tenant::{Tenant, TenantId};
use desist::token::keyring::{Keyring, Mint};
use desist::token::wire::Use;

use self::timing::measure;

/// So many tenants with one key each, and one that has had sixteen.
fn keyring(tenants: u32) -> Keyring {
    let ids = || (1..=tenants).filter_map(TenantId::new);
    let key = |tenant, serial| SigningKey {
        tenant,
        serial,
        state: KeyState::Active,
        generation: 1,
    };
    Keyring::new(&Directory {
        root: Secret::new([7; 32]),
        tenants: ids()
            .map(|id| Tenant {
                id,
                name: format!("tenant-{id}"),
                domain: None,
                title: None,
            })
            .collect(),
        streams: Vec::new(),
        signing_keys: ids().map(|id| key(id, 1)).collect(),
        mailboxes: Vec::new().into(),
        domains: desist::model::directory::Domains::default(),
        seq: 0,
    })
}

fn main() {
    for tenants in [1, 10_000] {
        println!("tenants: {tenants}");
        let keyring = keyring(tenants);
        let address = Address::parse("first.last@mail.example.com").unwrap();
        let what = |reference| Mint {
            tenant: TenantId::new(1).unwrap(),
            stream: 3,
            address: &address,
            reference,
            purpose: Use::Feedback,
        };
        let token = keyring.mint(&what(b"")).unwrap().text;
        let long = keyring.mint(&what(&[7; 16])).unwrap().text;
        // In the MAC.
        let mut wrong = token.clone();
        let other = if token.get(40..41) == Some("a") {
            "b"
        } else {
            "a"
        };
        wrong.replace_range(40..41, other);
        measure("mint", 0, || keyring.mint(&what(b"")).unwrap());
        measure("verify", token.len(), || keyring.verify(&token).unwrap());
        measure("verify, longest reference", long.len(), || {
            keyring.verify(&long).unwrap()
        });
        measure("verify, wrong", wrong.len(), || {
            keyring.verify(&wrong).unwrap_err()
        });
        let keys = keyring.address_keys(TenantId::new(1).unwrap());
        measure("recipient key of an address", 0, || {
            keys.recipient_keys(&address).next()
        });
        measure("canonical address", 0, || {
            Address::parse("First.Last@Mail.Example.com").unwrap()
        });
    }
}
