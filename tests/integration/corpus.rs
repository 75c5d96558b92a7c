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
pub(crate) fn folder() -> Option<PathBuf> {
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

/// The class in the coarser words of the collection.
fn class(class: &Value) -> &'static str {
    match class.as_str().unwrap_or_default() {
        "bad-mailbox" | "moved" => "invalid-recipient",
        "bad-domain" | "null-mx" => "invalid-domain",
        "inactive" => "mailbox-disabled",
        "mailbox-full" => "mailbox-full",
        "message-too-big" => "too-big",
        "rate-limited" => "rate",
        "network" | "expired" => "network",
        "system" => "system",
        "undetermined" => "other",
        _ => "policy",
    }
}

/// Right ones of all, by what was asked.
#[derive(Default)]
struct Marks(BTreeMap<&'static str, (usize, usize)>);

impl Marks {
    fn count(&mut self, name: &'static str, right: bool) {
        let (good, all) = self.0.entry(name).or_default();
        *good += usize::from(right);
        *all += 1;
    }

    /// Whether at least `wanted` of a thousand are right.
    fn reaches(&self, name: &str, wanted: usize) -> bool {
        self.0
            .get(name)
            .is_some_and(|(good, all)| good * 1_000 >= all * wanted)
    }
}

/// Whether `list` has the value, without case.
fn lists(list: &Value, value: &Value) -> bool {
    let value = value.as_str().map(str::to_lowercase);
    let mut known = list.as_array().into_iter().flatten();
    value.is_some() && known.any(|one| one.as_str().map(str::to_lowercase) == value)
}

/// Counts what one bounce of the collection was read as; gives how many recipients are too many.
fn score(expected: &Value, reading: &Reading, marks: &mut Marks) -> usize {
    let is = lists(&expected["kind_ok"], &kind(reading).into());
    marks.count("kind", is);
    let told = serde_json::to_value(summary::of(reading)).unwrap();
    let mut left: Vec<&Value> = if is {
        told["recipients"].as_array().unwrap().iter().collect()
    } else {
        Vec::new()
    };
    for wanted in expected["expect"].as_array().unwrap() {
        if wanted["recipient"].is_null() {
            continue;
        }
        let found = left
            .iter()
            .position(|one| lists(&wanted["recipient_ok"], &one["address"]));
        marks.count("recipients", found.is_some());
        let Some(one) = found.map(|at| left.remove(at)) else {
            continue;
        };
        if wanted["status_src"] == "field" {
            marks.count("status", lists(&wanted["status_ok"], &one["status"]));
        }
        if wanted["action_src"] == "field" {
            marks.count("action", one["action"] == wanted["action"]);
        }
        let level = wanted["reason_level"].as_str().unwrap_or_default();
        if ["asserted", "consensus"].contains(&level)
            && !wanted["class"].is_null()
            && wanted["class"] != "other"
        {
            marks.count(
                "class",
                lists(&wanted["class_ok"], &class(&one["class"]).into()),
            );
        }
        if !wanted["permanent"].is_null() && !one["permanent"].is_null() {
            marks.count("permanent", one["permanent"] == wanted["permanent"]);
        }
    }
    left.len()
}

// Only what several readers agree on counts; copies of one mail count once.
#[test]
fn real_bounces_reach_their_marks() {
    let Some(folder) = folder() else {
        println!("not measured: DESIST_CORPUS names no folder");
        return;
    };
    let truth = fs::read_to_string(folder.join("truth.jsonl")).unwrap();
    let (mut marks, mut extra, mut alarms) = (Marks::default(), 0, Vec::new());
    for entry in truth.lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        if entry["container"] != "mail"
            || entry["source"] == "sisimai-newline"
            || entry.get("dup_of").is_some_and(|of| !of.is_null())
        {
            continue;
        }
        let file = entry["file"].as_str().unwrap();
        let reading = read(&fs::read(folder.join("mails").join(file)).unwrap());
        match entry["kind"].as_str().unwrap() {
            "bounce" => extra += score(&entry, &reading, &mut marks),
            "not-feedback" | "auto-reply" => {
                let is = kind(&reading);
                if is == "bounce" && !lists(&entry["kind_ok"], &is.into()) {
                    alarms.push(file.to_owned());
                }
            }
            _ => {}
        }
    }
    for (name, (good, all)) in &marks.0 {
        println!("{good:5} of {all:<5} {name}");
    }
    println!("{extra:5} recipients too many");
    assert_eq!(alarms, Vec::<String>::new());
    assert!(extra <= 2);
    for (name, wanted) in [
        ("kind", 995),
        ("recipients", 985),
        ("status", 990),
        ("action", 990),
        ("class", 930),
        ("permanent", 970),
    ] {
        assert!(marks.reaches(name, wanted), "{name}");
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
