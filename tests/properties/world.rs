//! The world that mails are judged in, and the fixtures of `fixtures/report`: one message a file,
//! what it must become beside it. A new case is a new pair of files.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use desist::judge::{Context, Judged, Policy, judge};
use desist::model::authentication::Authentication;
use desist::model::clock::Timestamp;
use desist::model::digest::Digest;
use desist::model::directory::{Directory, KeyState};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Door, Envelope, Receipt, ReceiptId};
use desist::model::secret::Secret;
use desist::model::stream::{Class, Stream};
use desist::model::tenant::{Tenant, TenantId};
use desist::token::keyring::{Keyring, MintingKeys};
use serde_json::Value;

/// The world that fixtures live in: the keys of the published vectors, and what they verify.
pub(crate) struct World {
    pub(crate) keyring: Keyring,
    pub(crate) directory: Directory,
    pub(crate) policy: Policy,
}

impl World {
    /// With these tenants known to the directory; the keys are known for all.
    pub(crate) fn new(tenants: &[u32]) -> Self {
        let tenant = |number: &u32| Tenant {
            id: TenantId::new(*number).unwrap(),
            name: format!("tenant-{number}"),
            domain: None,
            title: None,
        };
        let stream = |number, class, unsubscribe| Stream {
            tenant: TenantId::DEFAULT,
            number,
            name: format!("stream-{number}"),
            class,
            unsubscribe,
            title: None,
        };
        Self {
            keyring: keyring(),
            directory: Directory {
                root: Secret::new([0; 32]),
                tenants: tenants.iter().map(tenant).collect(),
                streams: vec![
                    stream(1, Class::Marketing, false),
                    stream(2, Class::Transactional, false),
                    stream(3, Class::Transactional, true),
                ],
                signing_keys: Vec::new(),
                mailboxes: Vec::new().into(),
                domains: desist::model::directory::Domains::default(),
                seq: 1,
            },
            policy: Policy::default(),
        }
    }

    pub(crate) fn judge(&self, at: &At, raw: &[u8]) -> Judged {
        let context = Context {
            keyring: &self.keyring,
            directory: &self.directory,
            policy: &self.policy,
        };
        judge(&at.receipt(raw), raw, at.authentication, &context)
    }
}

/// The three tenants of the vectors share their keys; the last one is revoked.
fn keyring() -> Keyring {
    let ascending = |from: u8| std::array::from_fn(|i| from + u8::try_from(i).unwrap());
    let keys = [
        (KeyState::Active, 1, ascending(32)),
        (KeyState::Retired, 2, ascending(64)),
        (KeyState::Revoked, 15, [0xff; 32]),
    ];
    Keyring::with_keys([1, 70_000, 16_777_215].into_iter().flat_map(|number| {
        keys.map(|(state, serial, signing)| {
            let keys = MintingKeys {
                tenant: TenantId::new(number).unwrap(),
                serial,
                signing: Secret::new(signing),
                generation: 1,
                address: Secret::new(ascending(0)),
            };
            (state, keys)
        })
    }))
}

/// Where and how something came in.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) role: Role,
    pub(crate) door: Door,
    pub(crate) token: Option<String>,
    pub(crate) mail_from: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) stream: Option<u16>,
    pub(crate) authentication: Authentication,
}

impl At {
    pub(crate) fn mailbox(role: Role) -> Self {
        Self {
            role,
            door: Door::Smtp,
            token: None,
            mail_from: String::new(),
            tenant: None,
            stream: None,
            authentication: Authentication::Failed,
        }
    }

    fn receipt(&self, raw: &[u8]) -> Receipt {
        let at = Timestamp::from_seconds(1_795_000_000);
        Receipt {
            id: ReceiptId::from_parts(at, &[7; 10]),
            at,
            door: self.door,
            envelope: Envelope {
                peer: None,
                hello: "mx.provider.example".to_owned(),
                protocol: "ESMTPS".to_owned(),
                mail_from: Some(self.mail_from.clone()),
                recipient: "x@fb.example.com".to_owned(),
                mailbox: Mailbox {
                    address: "x@fb.example.com".to_owned(),
                    role: self.role,
                    tenant: self.tenant,
                    stream: self.stream,
                },
                token: self.token.clone(),
                content_type: None,
            },
            digest: Digest::of(raw),
        }
    }
}

/// One pair of files.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) raw: Vec<u8>,
    pub(crate) expected: Value,
    pub(crate) at: At,
    pub(crate) tenants: Vec<u32>,
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    let folder = root().join("fixtures/report");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    let mails = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "eml"));
    let fixtures: Vec<_> = mails.map(|path| fixture(path)).collect();
    assert!(
        fixtures.len() * 2 == paths.len(),
        "a mail without expectation or the reverse"
    );
    fixtures
}

/// The project's folder: this file is built within its tests and within `fuzz/`.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fuzz = env!("CARGO_PKG_NAME") == "desist-fuzz";
    here.parent().filter(|_| fuzz).unwrap_or(here)
}

fn fixture(path: &Path) -> Fixture {
    let expected = fs::read(path.with_extension("expect.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let at = &expected["at"];
    let word = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let number = |value: &Value| value.as_u64().map(|n| u32::try_from(n).unwrap());
    let tenants = at["tenants"].as_array().map_or(vec![1], |list| {
        list.iter().map(|tenant| number(tenant).unwrap()).collect()
    });
    let at = At {
        role: word(&at["role"], "").parse().unwrap(),
        door: word(&at["door"], "smtp").parse().unwrap(),
        token: at["envelope"].as_str().map(str::to_owned),
        mail_from: word(&at["mail_from"], ""),
        tenant: number(&at["mailbox_tenant"]).and_then(TenantId::new),
        stream: number(&at["mailbox_stream"]).map(|n| u16::try_from(n).unwrap()),
        authentication: word(&expected["authentication"], "failed").parse().unwrap(),
    };
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    Fixture {
        name,
        raw: fs::read(path).unwrap(),
        expected,
        at,
        tenants,
    }
}
