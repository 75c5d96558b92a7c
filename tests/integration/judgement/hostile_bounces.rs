//! Bounces that are made to cost much: whatever of a bounce is read, is read in linear time.

use desist::judge::summary;
use desist::model::event::Effect;
use desist::model::mailbox::Role;
use desist::report;

use super::hostile::{PATIENCE, SIZE, on_processor};
use crate::world::{At, World};

const DAEMON: &str = "From: MAILER-DAEMON@mx.b.example\nTo: <x@fb.example.com>\n\
                      Subject: Undelivered Mail Returned to Sender\n";
const REPORT: &str =
    "Content-Type: multipart/report; report-type=delivery-status; boundary=q\n\n--q\n\nno\n";
const STATUS: &str =
    "--q\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; b.example\n\n";
const BLOCK: &str = "Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n\n";

/// Named bounces of about `size` octets.
fn hostile(size: usize) -> Vec<(&'static str, String)> {
    let repeat = |unit: &str| unit.repeat(size / unit.len());
    let status = |content: &str| format!("{DAEMON}{REPORT}{STATUS}{content}\n--q--\n");
    let text = |content: &str| format!("{DAEMON}\n{content}\n");
    let html = |content: &str| format!("{DAEMON}Content-Type: text/html\n\n{content}\n");
    let diagnosed =
        |content: &str| format!("{}Diagnostic-Code: smtp; {content}\n", BLOCK.trim_end());
    vec![
        ("blocks", status(&repeat(BLOCK))),
        (
            "status parts",
            format!("{DAEMON}{REPORT}{}", repeat(&(STATUS.to_owned() + BLOCK))),
        ),
        (
            "a long diagnostic",
            status(&diagnosed(&repeat("550 5.1.1 user unknown; "))),
        ),
        ("a folded diagnostic", status(&diagnosed(&repeat("x\n ")))),
        (
            "fields of one block",
            status(&(BLOCK.trim_end().to_owned() + "\n" + &repeat("X-A: b\n"))),
        ),
        (
            "recipients without end",
            status(&format!("Final-Recipient: rfc822; {}", repeat("<a@"))),
        ),
        (
            "lines that name recipients",
            text(&repeat("<a@b.example>: host mx said: 550 user unknown\n")),
        ),
        (
            "phrases on one line",
            text(&repeat("user unknown mailbox full ")),
        ),
        ("brackets", text(&repeat("<"))),
        ("at signs", text(&repeat("@"))),
        ("dots and digits", text(&repeat("5.1."))),
        ("colons", text(&repeat("550: "))),
        ("quoted lines", text(&repeat("> Subject: x\n"))),
        ("spaces", text(&repeat(" \t"))),
        ("tags", html(&repeat("<a"))),
        ("scripts", html(&repeat("<script>"))),
        ("entities", html(&repeat("&lt;a@b&gt;"))),
        (
            "bounces in bounces",
            repeat(&format!(
                "{DAEMON}{REPORT}--q\nContent-Type: message/rfc822\n\n"
            )),
        ),
        (
            "a returned header",
            format!(
                "{DAEMON}{REPORT}{STATUS}{BLOCK}--q\nContent-Type: message/rfc822\n\n{}",
                repeat("To: a@b.example\n")
            ),
        ),
        (
            "failed recipients",
            format!(
                "{}\nno\n",
                DAEMON.to_owned() + &repeat("X-Failed-Recipients: a@b.example\n")
            ),
        ),
        (
            "a JSON notice",
            text(&format!(
                "{{\"notificationType\":\"Bounce\",\"bounce\":{}",
                repeat("[{\"a\":")
            )),
        ),
    ]
}

// A-027, D-001
#[test]
fn hostile_bounces_are_read_in_no_time() {
    let world = World::new(&[1]);
    for (name, raw) in hostile(SIZE) {
        let start = on_processor();
        let judged = world.judge(&At::mailbox(Role::Bounce), raw.as_bytes());
        let summed = summary::of(&report::read(raw.as_bytes()));
        let took = on_processor().saturating_sub(start);
        let effects = judged.events.iter().flat_map(|event| &event.effects);
        let suppresses = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Suppress { .. } | Effect::SuppressUnlessBraked { .. }
            )
        };
        assert_eq!(effects.filter(suppresses).count(), 0, "{name}");
        assert!(summed.recipients.len() <= 1_000, "{name}");
        assert!(took < PATIENCE, "{name} took {took:?}");
    }
}
