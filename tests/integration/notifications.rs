//! Every fixture of `fixtures/bounce` becomes what is written beside it, and the traps by name.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use desist::judge::summary::{self, Recipient};
use desist::model::bounce::Severity;
use desist::report::{What, read};
use serde_json::Value;

struct Fixture {
    name: String,
    raw: Vec<u8>,
    expected: Value,
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bounce");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let expected = fs::read(path.with_extension("expect.json")).unwrap();
            found.push(Fixture {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                raw: fs::read(&path).unwrap(),
                expected: serde_json::from_slice(&expected).unwrap(),
            });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

// Each fixture names its requirements in `why`. Every one is read with each kind of line end.
#[test]
fn every_bounce_becomes_what_is_expected() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        for (ends, with) in [("LF", &b"\n"[..]), ("CRLF", b"\r\n"), ("CR", b"\r")] {
            let raw = with_line_ends(&fixture.raw, with);
            let differences = differences(&raw, &fixture.expected);
            if !differences.is_empty() {
                let list = differences.join("\n    ");
                failures.push(format!("{} with {ends}:\n    {list}", fixture.name));
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
    let piece = |byte: &u8| {
        if *byte == b'\n' {
            end.to_vec()
        } else {
            vec![*byte]
        }
    };
    raw.iter().flat_map(piece).collect()
}

/// Where the reading differs from what is expected, one line each.
fn differences(raw: &[u8], expected: &Value) -> Vec<String> {
    let reading = read(raw);
    let is = serde_json::to_value(summary::of(&reading)).unwrap();
    let wanted = expected["kind"].as_str().unwrap();
    let What::Delivery(delivery) = &reading.what else {
        let none = wanted == "none";
        let kind = &is["kind"];
        return if none {
            vec![]
        } else {
            vec![format!("is {kind}, not {wanted}")]
        };
    };
    let mut found = Vec::new();
    let mut compare = |name: &str, is: &Value, wanted: &Value| {
        if is != wanted && !wanted.is_null() {
            found.push(format!("{name} is {is}, not {wanted}"));
        }
    };
    compare("kind", &is["kind"], &expected["kind"]);
    compare(
        "format",
        &delivery.format.clone().into(),
        &expected["format"],
    );
    compare("original", &is["original"], &expected["original"]);
    let told = is["recipients"].as_array().unwrap();
    let wanted = expected["recipients"].as_array().unwrap();
    compare(
        "the number of recipients",
        &told.len().into(),
        &wanted.len().into(),
    );
    for (index, (is, wanted)) in told.iter().zip(wanted).enumerate() {
        for (key, value) in wanted.as_object().unwrap() {
            if is[key] != *value {
                let (address, rule, is) = (&is["address"], &is["rule"], &is[key]);
                found.push(format!(
                    "{index} {address} (by {rule}): {key} is {is}, not {value}"
                ));
            }
        }
    }
    found
}

/// What a fixture's only recipient becomes.
fn only(name: &str) -> Recipient {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/bounce/{name}.eml"));
    let mut told = summary::of(&read(&fs::read(path).unwrap())).recipients;
    assert_eq!(told.len(), 1, "{name}");
    told.remove(0)
}

fn severities<const N: usize>(names: [&str; N]) -> [Severity; N] {
    names.map(|name| only(name).severity.unwrap())
}

// D-050
#[test]
fn au_names_the_address_only_if_nobody_is_there() {
    assert_eq!(
        severities(["kddi-unknown", "kddi-filter"]),
        [Severity::Hard, Severity::Soft]
    );
}

// D-051
#[test]
fn docomos_step_tells_a_dead_address_from_a_filter() {
    let names = [
        "docomo-rcpt",
        "docomo-data",
        "docomo-data-in-text",
        "docomo-5.1.1",
        "docomo-5.2.0",
    ];
    let (hard, soft) = (Severity::Hard, Severity::Soft);
    assert_eq!(severities(names), [hard, soft, soft, hard, soft]);
}

// D-052
#[test]
fn a_carriers_limits_are_no_fault_of_the_address() {
    for name in ["docomo-too-much", "docomo-recipients"] {
        assert_ne!(only(name).severity.unwrap(), Severity::Hard, "{name}");
    }
}

// D-053
#[test]
fn exchange_says_the_same_in_every_language() {
    let english = only("exchange-en");
    for name in ["exchange-ja", "exchange-de", "exchange-zh"] {
        assert_eq!(only(name), english, "{name}");
    }
}

// D-060
#[test]
fn details_beyond_two_digits_are_codes() {
    assert_eq!(
        only("code-5.7.1-spamhaus").severity.unwrap(),
        Severity::None
    );
    let mail = |status: &str| {
        format!(
            "From: MAILER-DAEMON@b.example\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; b.example\n\nFinal-Recipient: rfc822; a@b.example\nAction: failed\nStatus: {status}\n"
        )
    };
    for (given, read_as) in [("5.7.606", "5.7.606"), ("5.7.1000", "5.0.0")] {
        let What::Delivery(delivery) = read(mail(given).as_bytes()).what else {
            panic!("no bounce");
        };
        assert_eq!(delivery.outcomes[0].status.as_deref(), Some(read_as));
    }
}

// D-061: ten thousand refusals for our own bad name suppress nobody.
#[test]
fn our_own_bad_name_never_counts_against_an_address() {
    for name in [
        "code-5.7.1-spamhaus",
        "code-5.7.1-reputation",
        "code-5.7.1-quota",
        "code-5.7.1-dmarc",
    ] {
        assert_eq!(only(name).severity.unwrap(), Severity::None, "{name}");
    }
}

// D-063
#[test]
fn blocked_within_a_bad_mailbox_code_is_our_problem() {
    assert_eq!(only("code-5.1.1-blocked").severity.unwrap(), Severity::None);
    // A word within the address is none of the answer.
    assert_eq!(
        only("code-5.1.1-user-of-spam-host").severity.unwrap(),
        Severity::Hard
    );
}

// D-064
#[test]
fn the_step_decides_where_no_code_does() {
    let names = [
        "stage-mail",
        "stage-rcpt",
        "stage-end",
        "stage-data-unknown",
        "stage-mail-unknown",
    ];
    let (hard, none) = (Severity::Hard, Severity::None);
    assert_eq!(severities(names), [none, hard, none, hard, none]);
}

// D-010
#[test]
fn given_up_after_temporary_answers_is_soft() {
    assert_eq!(
        severities(["dsn-failed-4.4.7", "dsn-failed-4.1.1"]),
        [Severity::Soft; 2]
    );
}

// D-017
#[test]
fn the_codes_of_a_returned_bounce_are_not_its_own() {
    let told = only("dsn-of-a-dsn");
    assert_eq!(told.address.as_deref(), Some("outer@b.example"));
    assert_eq!(told.severity, Some(Severity::Soft));
}

// D-019
#[test]
fn charsets_change_nothing() {
    let one = only("kddi-iso-2022-jp");
    for name in ["kddi-shift_jis", "kddi-euc-jp"] {
        assert_eq!(only(name), one, "{name}");
    }
}
