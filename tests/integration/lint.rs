//! Every fixture of `fixtures/lint` is found to be what is written beside it, and `desist lint` as
//! people and scripts call it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use desist::lint::rules::{Code, Finding, Severity};
use desist::lint::{Asked, CarrierState, Lint, Own, Place, lint};
use desist::model::address::Address;
use desist::model::stream::Class;
use serde_json::{Value, json};

use crate::harness::{Place as Installation, Running};
use crate::world::{self, World};

fn folder() -> PathBuf {
    world::root().join("fixtures/lint")
}

/// Names, mails and what is expected of them, in the order of the names.
fn fixtures() -> Vec<(String, Vec<u8>, Value)> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".eml").map(str::to_owned)
        })
        .collect();
    names.sort();
    let read = |name: String| {
        let mail = fs::read(folder().join(format!("{name}.eml"))).unwrap();
        let expected = fs::read(folder().join(format!("{name}.expect.json"))).unwrap();
        (name, mail, serde_json::from_slice(&expected).unwrap())
    };
    names.into_iter().map(read).collect()
}

fn mail(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.eml"))).unwrap()
}

/// With the keys, streams and domains that the fixtures live in.
fn linted(mail: &[u8], domains: &[String], asked: Asked<'_>) -> Lint {
    let world = World::new(&[1]);
    let own = Own {
        keyring: &world.keyring,
        directory: &world.directory,
        domains,
        public_url: Some("https://u.example.com"),
    };
    let own = Some(own);
    lint(mail, &Asked { own, ..asked })
}

fn usual() -> Vec<String> {
    vec!["fb.example.com".to_owned()]
}

fn shown(finding: &Finding) -> String {
    let header = finding.header.unwrap_or("-");
    format!("{} {} {header}", finding.severity, finding.code)
}

// B-042, B-051, B-052, B-054, C-017 and what else the fixtures name.
#[test]
fn every_fixture_is_what_is_expected() {
    let (mut failures, mut codes) = (Vec::new(), BTreeSet::new());
    for (name, raw, expected) in fixtures() {
        let domains = match expected["served"].as_array() {
            None => usual(),
            Some(given) => given
                .iter()
                .map(|d| d.as_str().unwrap().to_owned())
                .collect(),
        };
        let crlf: Vec<u8> = String::from_utf8(raw.clone())
            .unwrap()
            .replace('\n', "\r\n")
            .into();
        for mail in [raw, crlf] {
            let lint = linted(&mail, &domains, Asked::default());
            codes.extend(lint.findings.iter().map(|finding| finding.code));
            let told = json!({
                "class": lint.class,
                "signers": lint.signers,
                "cfbl": lint.cfbl,
                "findings": lint.findings.iter().map(shown).collect::<Vec<_>>(),
            });
            for key in ["class", "signers", "cfbl", "findings"] {
                let wanted = &expected[key];
                let sorted = |value: &Value| {
                    let one = std::slice::from_ref(value);
                    let all = value.as_array().map_or(one, Vec::as_slice);
                    let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
                    all.sort();
                    all
                };
                if !wanted.is_null() && sorted(wanted) != sorted(&told[key]) {
                    failures.push(format!("{name}: {key} is {}, not {wanted}", told[key]));
                }
            }
            for (place, state) in expected["carriers"].as_object().into_iter().flatten() {
                let of = |one: &&desist::lint::Carrier| one.place.as_str() == place;
                let found = lint.carriers.iter().find(of).unwrap().state.as_str();
                if found != state {
                    failures.push(format!("{name}: {place} is {found}, not {state}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Too long for a file that people read.
    codes.insert(Code::LongHeader);
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| !codes.contains(code))
        .collect();
    assert!(missing.is_empty(), "no fixture shows {missing:?}");
}

// C-017: each of these four breaks one rule, and nothing else is said of it.
#[test]
fn four_ways_to_lose_one_click_are_four_errors() {
    let codes = ["missing-post", "two-https", "http-only", "not-in-h"].map(|name| {
        let lint = linted(&mail(name), &usual(), Asked::default());
        let errors: Vec<Code> = lint
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.code)
            .collect();
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        errors[0]
    });
    assert_eq!(
        codes,
        [
            Code::NoOneClick,
            Code::SeveralHttpsUris,
            Code::NoHttpsUri,
            Code::UnsubscribeNotSigned
        ]
    );
}

// B-051
#[test]
fn who_must_sign_depends_on_where_complaints_go() {
    let passes = [
        "cfbl-strict",
        "cfbl-relaxed",
        "cfbl-third-party",
        "cfbl-third-party-one-signature",
    ]
    .map(|name| lint(&mail(name), &Asked::default()).count(Severity::Error) == 0);
    assert_eq!(passes, [true, true, true, false]);
}

#[test]
fn findings_name_their_line_and_come_worst_first() {
    let lint = linted(&mail("two-list-unsubscribes"), &usual(), Asked::default());
    let several = &lint.findings[0];
    assert_eq!(several.code, Code::SeveralListUnsubscribe);
    let text = String::from_utf8(mail("two-list-unsubscribes")).unwrap();
    let line = text.lines().nth(several.line.unwrap() - 1).unwrap();
    assert!(line.starts_with("List-Unsubscribe: <https"), "{line}");
    assert!(lint.findings.is_sorted_by_key(|finding| finding.severity));
}

#[test]
fn without_keys_tokens_are_compared_and_not_verified() {
    let clean = lint(&mail("clean"), &Asked::default());
    assert_eq!(clean.findings, []);
    let states: BTreeSet<_> = clean.carriers.iter().map(|one| one.state).collect();
    let wanted = BTreeSet::from([CarrierState::Unverified, CarrierState::Absent]);
    assert_eq!(states, wanted);
    assert!(clean.unchecked.iter().any(|what| what.contains("keys")));
    let two = lint(&mail("tokens-of-two"), &Asked::default());
    assert_eq!(two.findings[0].code, Code::TokensDisagree);
    // What would verify here does not matter there.
    let wrong = lint(&mail("wrong-token"), &Asked::default());
    assert_eq!(wrong.findings, []);
    let none = lint(&mail("no-token"), &Asked::default());
    assert_eq!(shown(&none.findings[0]), "warning no-token -");
}

#[test]
fn what_the_mail_does_not_say_can_be_given() {
    let (raw, domains) = (mail("no-envelope"), usual());
    let bounce = "b-ceaaaaiaagsz7rly2tfun6vldxlasgwkbpzehttdiq7nerztd66a@fb.example.com";
    let with = |mail_from| Asked {
        mail_from: Some(mail_from),
        ..Asked::default()
    };
    let lint = linted(&raw, &domains, with(bounce));
    assert_eq!(lint.findings, []);
    assert_eq!(lint.carriers[0].place, Place::ReturnPath);
    assert_eq!(lint.carriers[0].state, CarrierState::Valid);
    assert!(!lint.unchecked.iter().any(|what| what.contains("envelope")));
    let lint = linted(&raw, &domains, with("bounces@fb.example.com"));
    assert_eq!(lint.findings[0].code, Code::FewCarriers);

    let another = Address::parse("carol@example.net").unwrap();
    let asked = Asked {
        recipient: Some(&another),
        ..Asked::default()
    };
    let lint = linted(&raw, &domains, asked);
    assert_eq!(lint.findings[0].code, Code::OtherRecipient);

    let asked = Asked {
        class: Some(Class::Transactional),
        ..Asked::default()
    };
    let lint = linted(&mail("missing-post"), &domains, asked);
    assert_eq!(lint.findings, [], "receipts need no one-click");
}

// bounded, and said so.
#[test]
fn a_header_without_end_is_read_up_to_its_limits() {
    let many = format!("From: a@example.com\n{}\n", "X: y\n".repeat(2_000));
    let lint = linted(many.as_bytes(), &usual(), Asked::default());
    assert!(lint.findings.iter().any(|one| one.code == Code::LongHeader));
    let signatures = format!(
        "From: a@example.com\n{}\nbody",
        "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=a; h=from; bh=x; b=y\n".repeat(900)
    );
    let lint = linted(signatures.as_bytes(), &usual(), Asked::default());
    let changed = |one: &&Finding| one.code == Code::BodyChanged;
    assert_eq!(lint.findings.iter().filter(changed).count(), 900);
}

fn desist(config: Option<&Installation>, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desist"));
    if let Some(place) = config {
        command.arg("--config").arg(place.config_file());
    }
    let mut child = command
        .arg("lint")
        .args(arguments)
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn the_command_says_by_its_code_whether_a_mail_may_go() {
    let code = |arguments: &[&str]| desist(None, arguments, b"").status.code();
    assert_eq!(code(&["clean.eml"]), Some(0));
    assert_eq!(code(&["no-cfbl.eml", "not-oversigned.eml"]), Some(0));
    assert_eq!(code(&["clean.eml", "missing-post.eml"]), Some(1));
    assert_eq!(code(&["missing-post.eml", "not-there.eml"]), Some(2));
    assert_eq!(code(&[]), Some(2));
    assert_eq!(desist(None, &["-"], &mail("clean")).status.code(), Some(0));

    let output = desist(None, &["missing-post.eml"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "missing-post.eml: marketing mail, 1 error, 0 warnings\n",
        "error  no-one-click  List-Unsubscribe-Post  there is no such field\n",
        "-> add `List-Unsubscribe-Post: List-Unsubscribe=One-Click` (RFC 8058 §3.1)\n",
        "complaints to: cfbl@fb.example.com\n",
        "signed by: example.com\n",
        "not checked: the signatures themselves",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }

    let output = desist(None, &["--json", "clean.eml", "http-only.eml"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["findings"], json!([]));
    assert_eq!(lines[0]["from"], "example.com");
    assert_eq!(
        (&lines[1]["file"], &lines[1]["errors"]),
        (&json!("http-only.eml"), &json!(1))
    );
    let finding = &lines[1]["findings"][0];
    assert_eq!(finding["code"], "no-https-uri");
    assert_eq!(finding["source"], "RFC 8058 §3.1");
    assert!(finding["line"].is_u64() && finding["advice"].is_string());
}

// Nothing that a mail holds steers the terminal.
#[test]
fn what_a_mail_says_is_shown_harmlessly() {
    let evil = "From: a@example.com\nList-Unsubscribe-Post: \u{1b}]0;x\u{7}\nTo: b@example.com\n\n";
    let output = desist(None, &["-"], evil.as_bytes());
    assert!(!output.stdout.contains(&0x1b) && !output.stdout.contains(&7));
}

/// A mail as a sender makes it from what is minted, with a placeholder for a signature.
pub(crate) fn made(running: &Running, address: &str, stream: u16) -> (String, String) {
    let call = json!({"stream": stream, "recipients": [{"address": address}]});
    let (status, answer) = running.post("/v1/tokens", &call);
    assert_eq!(status, 200, "{answer}");
    let item = &answer["items"][0];
    let mut mail = format!("From: news@fb.example.com\nTo: {address}\n");
    for (name, value) in item["headers"].as_object().unwrap() {
        mail += &[name, ": ", value.as_str().unwrap(), "\n"].concat();
    }
    mail.push_str(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=fb.example.com; s=a; \
         h=From:To:Message-ID:List-Unsubscribe:List-Unsubscribe-Post:CFBL-Address:CFBL-Feedback-ID\
         :List-Unsubscribe:List-Unsubscribe-Post:CFBL-Address:CFBL-Feedback-ID; \
         bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=eA==\n\n",
    );
    let return_path = item["return_path"].as_str().unwrap().to_owned();
    (mail, return_path)
}

// What is minted passes, with the keys of the store alone: while the server runs and when it does
// not; what another installation minted does not.
crate::on_both_engines! {
    the_keys_of_the_store_verify_what_was_minted,
}

fn the_keys_of_the_store_verify_what_was_minted(engine: crate::harness::Engine) {
    let Some(place) = Installation::new(engine) else {
        return;
    };
    let stream = "[[tenant]]\nname = \"default\"\nnumber = 1\n\
        [[tenant.stream]]\nnumber = 3\nname = \"newsletter\"\nclass = \"marketing\"\n";
    let running = place.config(stream).start();
    let (mail, return_path) = made(&running, "alice@example.net", 3);
    let arguments = ["--json", "--mail-from", return_path.as_str(), "-"];
    let told = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let output = desist(Some(running.place()), &arguments, mail.as_bytes());
    assert_eq!(told(&output)["findings"], json!([]), "{output:?}");
    let (_, place) = {
        running.terminate();
        running.ended()
    };
    let output = desist(Some(&place), &arguments, mail.as_bytes());
    let lint = told(&output);
    assert_eq!(lint["findings"], json!([]), "{output:?}");
    assert_eq!(lint["carriers"][0]["state"], "valid");
    assert_eq!(lint["carriers"][0]["token"]["use"], "bounce");
    assert_eq!(lint["carriers"][0]["token"]["stream"], 3);
    let to_another = mail.replace("To: alice@", "To: bob@");
    let output = desist(Some(&place), &arguments, to_another.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(told(&output)["findings"][0]["code"], "other-recipient");
    let output = desist(Some(&place), &["--json", "clean.eml"], b"");
    let codes: Vec<Value> = told(&output)["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].clone())
        .collect();
    assert!(codes.contains(&json!("wrong-token")), "{codes:?}");
}
