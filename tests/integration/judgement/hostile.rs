//! Hostile mails: made to cost much, read in no time.

use std::time::Duration;

use desist::model::event::Effect;
use desist::model::mailbox::Role;
use desist::report;

use crate::world::{At, World};

const MIXED: &str = "Content-Type: multipart/mixed; boundary";
const REPORT: &str = "Content-Type: multipart/report; report-type=feedback-report; boundary=q\n\n";
const PART: &str = "\n--q\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n";
const ENCODED: &str = "Content-Transfer-Encoding";

/// Named mails of about `size` octets.
fn hostile(size: usize) -> Vec<(&'static str, String)> {
    let repeat = |unit: &str| unit.repeat(size / unit.len());
    let level = |n: usize| format!("{MIXED}={n}\n\n--{n}\n");
    let nested: Vec<_> = (0..size / 56).map(level).collect();
    let parameters: Vec<_> = (0..3_000).map(|n| format!(";a{n}=b")).collect();
    let typed = format!("--q\n{MIXED}=z{}\n\n", parameters.concat());
    let asserting = "Original-Rcpt-To: a@b.example\n".repeat(900);
    vec![
        (
            "parts with many parameters",
            format!("{MIXED}=q\n\n{}", repeat(&typed)),
        ),
        (
            "reports with many recipients",
            format!("{REPORT}{}", repeat(&(PART.to_owned() + &asserting))),
        ),
        (
            "dashes in nested multiparts",
            format!(
                "{}{}",
                format!("{MIXED}=-\n\n---\n").repeat(20),
                repeat("-")
            ),
        ),
        ("blank lines", repeat("\n")),
        ("nested multiparts", nested.concat()),
        (
            "nested multiparts of one boundary",
            repeat(&format!("{MIXED}=a\n\n--a\n")),
        ),
        (
            "nested messages",
            repeat("Content-Type: message/rfc822\n\n"),
        ),
        ("parts", format!("{MIXED}=q\n\n{}", repeat("--q\n\n"))),
        ("almost delimiters", format!("{MIXED}=-\n\n{}", repeat("-"))),
        ("header fields", repeat("A: b\n")),
        ("folding", format!("Subject: {}", repeat("\n ="))),
        (
            "encoded words",
            format!("Subject: {}\n\nx", repeat("=?UTF-8?Q?=?")),
        ),
        ("addresses", format!("From: {}\n\nx", repeat("<a@b>,("))),
        (
            "look-alike tokens",
            format!("Subject: x\n\n{}", repeat("ceaaaaiaag")),
        ),
        (
            "look-alike tokens in a report",
            format!("{REPORT}{PART}Original-Mail-From: {}", repeat("ceaaaaiaag")),
        ),
        ("reports", format!("{REPORT}{}", repeat(PART))),
        (
            "base64",
            format!("{ENCODED}: base64\n\n{}", repeat("aaaa\n")),
        ),
        (
            "quoted-printable",
            format!("{ENCODED}: quoted-printable\n\n{}", repeat("=\n")),
        ),
        (
            "parameters",
            format!("Content-Type: a/b{}\n\n", repeat(";a=b")),
        ),
        ("comments", format!("Content-Type: a/b{}\n\n", repeat("("))),
    ]
}

/// Time that this thread has had a processor: what else runs on the machine does not count.
pub(super) fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split(' ').next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

/// The largest mail that comes in; a debug build reads a thirty-second of it in the same time.
pub(super) const SIZE: usize = 25 * 1024 * 1024 / if cfg!(debug_assertions) { 32 } else { 1 };

/// What one may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

// what costs a reader most takes time linear in its length.
#[test]
fn hostile_mails_are_read_in_no_time() {
    let world = World::new(&[1]);
    for (name, raw) in hostile(SIZE) {
        for role in [Role::Complaint, Role::Unsubscribe] {
            let start = on_processor();
            let judged = world.judge(&At::mailbox(role), raw.as_bytes());
            let took = on_processor().saturating_sub(start);
            let effects = judged.events.iter().flat_map(|event| &event.effects);
            let suppresses = |effect: &&Effect| matches!(effect, Effect::Suppress { .. });
            assert_eq!(effects.filter(suppresses).count(), 0, "{name}");
            assert!(took < PATIENCE, "{name} at {role} took {took:?}");
        }
    }
}

// the tree is made and freed on a small stack too.
#[test]
fn deep_mails_need_no_deep_stack() {
    let raw = "Content-Type: message/rfc822\n\n".repeat(200_000);
    let read = move || report::read(raw.as_bytes()).notes.len();
    let thread = std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(read)
        .unwrap();
    assert!(thread.join().is_ok());
}
