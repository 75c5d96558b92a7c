//! Fixtures of `fixtures/report`: one message a file, what it must become beside it. A new case is
//! a new pair of files.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use desist::judge::{Context, Judged, Policy, judge};
use desist::model::address::Address;
use desist::model::authentication::Authentication;
use desist::model::clock::Timestamp;
use desist::model::digest::Digest;
use desist::model::directory::{Directory, KeyState};
use desist::model::event::{Effect, Event, FoundIn};
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
        };
        let stream = |number, class, unsubscribe| Stream {
            tenant: TenantId::DEFAULT,
            number,
            name: format!("stream-{number}"),
            class,
            unsubscribe,
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
                mailboxes: Vec::new(),
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/report");
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

// Each fixture names its requirements. Every one is read with each kind of line end (peers: CRLF
// against LF).
#[test]
fn every_fixture_becomes_what_is_expected() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        for (ends, with) in [("LF", &b"\n"[..]), ("CRLF", b"\r\n"), ("CR", b"\r")] {
            let raw = with_line_ends(&fixture.raw, with);
            if let Err(difference) = check(&fixture, &raw) {
                failures.push(format!("{} with {ends}: {difference}", fixture.name));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{}\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn with_line_ends(raw: &[u8], end: &[u8]) -> Vec<u8> {
    raw.iter()
        .flat_map(|byte| {
            if *byte == b'\n' {
                end
            } else {
                std::slice::from_ref(byte)
            }
        })
        .copied()
        .collect()
}

fn check(fixture: &Fixture, raw: &[u8]) -> Result<(), String> {
    let world = World::new(&fixture.tenants);
    let judged = world.judge(&fixture.at, raw);
    let expected = fixture.expected["events"].as_array().unwrap();
    if judged.state.as_str() != fixture.expected["state"] {
        return Err(format!("is {} {:?}", judged.state, judged.events));
    }
    if judged.events.len() != expected.len() {
        return Err(format!(
            "{} events {:?}",
            judged.events.len(),
            judged.events
        ));
    }
    for (index, (event, expected)) in judged.events.iter().zip(expected).enumerate() {
        assert_eq!(usize::from(event.id.index), index);
        let told = told(event, &world);
        for (key, value) in expected.as_object().unwrap() {
            if told.get(key.as_str()).unwrap_or(&Value::Null) != value {
                return Err(format!(
                    "event {index}: {key} is {:?}, not {value}",
                    told.get(key.as_str())
                ));
            }
        }
    }
    Ok(())
}

/// An event in the words of the expectations. A recipient is told by the address that has its key.
fn told(event: &Event, world: &World) -> BTreeMap<&'static str, Value> {
    let effects: Vec<Value> = event
        .effects
        .iter()
        .map(|effect| tell_effect(*effect).into())
        .collect();
    let detail = &event.detail;
    let reference = data_encoding::HEXLOWER.encode(&event.reference);
    BTreeMap::from([
        ("kind", event.kind.as_str().into()),
        ("proof", event.proof.as_str().into()),
        ("tenant", event.tenant.map(TenantId::get).into()),
        ("recipient", tell_recipient(event, world).into()),
        ("address", event.address.clone().into()),
        ("stream", event.stream.into()),
        ("reference", reference.into()),
        ("found_in", event.found_in.map(FoundIn::as_str).into()),
        ("effects", effects.into()),
        ("rule", detail.rule.clone().into()),
        ("feedback_type", detail.feedback_type.clone().into()),
        ("user_agent", detail.user_agent.clone().into()),
        ("reporter", detail.reporter.clone().into()),
        (
            "original_message_id",
            detail.original_message_id.clone().into(),
        ),
        (
            "source_ip",
            detail.source_ip.map(|ip| ip.to_string()).into(),
        ),
        ("source_port", detail.source_port.into()),
        ("incidents", detail.incidents.into()),
        ("notes", detail.notes.clone().into()),
    ])
}

pub(crate) fn tell_effect(effect: Effect) -> String {
    match effect {
        Effect::Suppress { scope, reason } => format!("suppress {scope} {reason}"),
        Effect::Hold {
            scope,
            reason,
            because,
        } => format!("hold {scope} {reason} {because}"),
        Effect::Signal => "signal".to_owned(),
    }
}

fn tell_recipient(event: &Event, world: &World) -> Option<String> {
    let (key, tenant) = (event.recipient?, event.tenant?);
    let names = ["alice", "bob", "carol", "dave", "erin", "frank", "olga"];
    let known = names.map(|name| format!("{name}@example.com")).into_iter();
    let numbered =
        (0..7).flat_map(|i| ["com", "org", "net"].map(move |top| format!("user{i}@example.{top}")));
    let has_key = |address: &String| {
        let address = Address::parse(address).unwrap();
        world
            .keyring
            .recipient_keys(tenant, &address)
            .contains(&key)
    };
    Some(
        known
            .chain(numbered)
            .find(has_key)
            .unwrap_or_else(|| key.to_string()),
    )
}
