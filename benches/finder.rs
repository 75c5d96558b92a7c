//! What it costs to find a token: in a path, in a report, and in what is made to look like many.
//! `cargo bench --bench finder`
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
use desist::model::event::FoundIn;
use desist::model::secret::Secret;
use desist::model::tenant::{Tenant, TenantId};
use desist::token::finder::{Finder, find_any};
use desist::token::keyring::{Keyring, Mint};
use desist::token::wire::Use;

use self::timing::measure;

fn keyring() -> Keyring {
    let tenant = TenantId::new(1).unwrap();
    Keyring::new(&Directory {
        root: Secret::new([7; 32]),
        tenants: vec![Tenant {
            id: tenant,
            name: "default".to_owned(),
            domain: None,
            title: None,
        }],
        streams: Vec::new(),
        signing_keys: vec![SigningKey {
            tenant,
            serial: 1,
            state: KeyState::Active,
            generation: 1,
        }],
        mailboxes: Vec::new().into(),
        domains: desist::model::directory::Domains::default(),
        seq: 0,
    })
}

fn main() {
    let keyring = keyring();
    let token = keyring
        .mint(&Mint {
            tenant: TenantId::new(1).unwrap(),
            stream: 1,
            address: &Address::parse("reader@example.com").unwrap(),
            reference: b"",
            purpose: Use::Feedback,
        })
        .unwrap()
        .text;
    let search = |name: &str, text: &[u8]| {
        measure(name, text.len(), || {
            let mut finder = Finder::new(&keyring);
            finder.search(FoundIn::ReturnedHeader, text);
            finder.finish()
        });
    };
    measure("in a path", token.len(), || {
        find_any(&keyring, token.as_bytes()).unwrap()
    });
    search(
        "in a header's value",
        format!("<{token}.1@shop.example>").as_bytes(),
    );
    let line = "We saw this on your list and thought of you: a line of a newsletter.\r\n";
    search(
        "in 64 KiB of text, at its end",
        format!("{}{token}", line.repeat(900)).as_bytes(),
    );
    search("1 MiB without white space", &vec![b'a'; 1 << 20]);
    // Begins like a token of a known key everywhere, and never is one.
    let head = token.get(..8).unwrap();
    search(
        "1 MiB of beginnings",
        head.repeat((1 << 20) / head.len()).as_bytes(),
    );
    let mut wrong = token.clone();
    wrong.replace_range(
        40..41,
        if token.get(40..41) == Some("a") {
            "b"
        } else {
            "a"
        },
    );
    search(
        "1 MiB of wrong tokens",
        wrong.repeat((1 << 20) / wrong.len()).as_bytes(),
    );
}
