//! Measures the reader over a folder of real mails, named by `DESIST_CORPUS`: `mails/` with the raw
//! bytes and `truth.jsonl` with what each one is.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use desist::judge::summary::{self, Kind};
use desist::report::{Reading, read};
use serde_json::Value;

/// No mail of the collection may take longer, in a debug build on a busy machine.
const SLOWEST: Duration = Duration::from_millis(250);

#[expect(
    clippy::disallowed_methods,
    reason = "only this measurement knows where mails lie"
)]
fn folder() -> Option<PathBuf> {
    std::env::var("DESIST_CORPUS").ok().map(PathBuf::from)
}

/// The kind in the words of the collection.
fn kind(reading: &Reading) -> &'static str {
    match summary::of(reading).kind {
        Kind::Complaint | Kind::NotSpam => "complaint",
        Kind::Unsubscribe => "unsubscribe",
        Kind::Bounce | Kind::Delay | Kind::Delivered => "bounce",
        Kind::AutoReply | Kind::Challenge => "auto-reply",
        Kind::DmarcAggregate | Kind::DmarcFailure => "dmarc",
        Kind::TlsReport => "tlsrpt",
        Kind::ReadReceipt | Kind::NotFeedback | Kind::Unreadable => "not-feedback",
    }
}

#[test]
fn real_mails_are_what_they_are() {
    let Some(folder) = folder() else {
        println!("not measured: DESIST_CORPUS names no folder");
        return;
    };
    let truth = fs::read_to_string(folder.join("truth.jsonl")).unwrap();
    let mut figures: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in truth.lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        if entry["container"] != "mail" {
            continue;
        }
        let file = entry["file"].as_str().unwrap();
        let raw = fs::read(folder.join("mails").join(file)).unwrap();
        #[expect(clippy::disallowed_methods, reason = "this test measures")]
        let start = Instant::now();
        let reading = read(&raw);
        let took = start.elapsed();
        let (is, expected) = (kind(&reading), entry["kind"].as_str().unwrap());
        *figures.entry((expected.to_owned(), is)).or_default() += 1;
        if took > SLOWEST {
            wrong.push(format!("{file} took {took:?}"));
        }
        if is_false_alarm(is, expected) || is_missed(&raw, is, expected) {
            wrong.push(format!("{file} is {expected}, read as {is}"));
        }
    }
    for ((expected, is), count) in figures {
        println!("{count:5}  {expected} read as {is}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What must never be: a mail that acts although it is none of the kind.
fn is_false_alarm(is: &str, expected: &str) -> bool {
    matches!(is, "complaint" | "unsubscribe") && is != expected
}

/// What this reader promises: every report in the standard form (RFC 5965).
fn is_missed(raw: &[u8], is: &str, expected: &str) -> bool {
    let standard = raw
        .windows("message/feedback-report".len())
        .any(|bytes| bytes.eq_ignore_ascii_case(b"message/feedback-report"));
    standard && matches!(expected, "complaint" | "dmarc") && is != expected
}
