//! Every fixture of `fixtures/report` becomes what is written beside it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use desist::judge::summary;
use desist::model::address::Address;
use desist::model::bounce::{Action, BounceClass, Severity};
use desist::model::event::{Effect, Event, FoundIn};
use desist::model::tenant::TenantId;
use desist::report;
use serde_json::Value;

use crate::world::{Fixture, World, fixtures};

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
    told_by_classify(fixture, raw)?;
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

/// What `desist classify` says of the same mail, as far as the expectation names it.
fn told_by_classify(fixture: &Fixture, raw: &[u8]) -> Result<(), String> {
    let told = serde_json::to_value(summary::of(&report::read(raw))).map_err(|e| e.to_string())?;
    let expected = fixture.expected["classify"].as_object();
    for (member, value) in expected.into_iter().flatten() {
        if &told[member] != value {
            return Err(format!(
                "classify: {member} is {}, not {value}",
                told[member]
            ));
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
        ("action", detail.action.map(Action::as_str).into()),
        ("status", detail.status.clone().into()),
        ("smtp_code", detail.smtp_code.into()),
        ("class", detail.class.map(BounceClass::as_str).into()),
        ("severity", detail.severity.map(Severity::as_str).into()),
        ("permanent", detail.permanent.into()),
        ("diagnostic", detail.diagnostic.clone().into()),
        ("remote_mta", detail.remote_mta.clone().into()),
        ("provider", detail.provider.clone().into()),
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
        Effect::SuppressUnlessBraked { scope, reason } => {
            format!("suppress-unless-braked {scope} {reason}")
        }
        Effect::CountSoft(failure) => format!("count-soft {failure}"),
        Effect::ResetSoft => "reset-soft".to_owned(),
        Effect::Undo => "undo".to_owned(),
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
