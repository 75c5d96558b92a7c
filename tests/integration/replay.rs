//! Kept receipts read again, on both engines: with rules that were wrong when they came.

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running};

/// A rule that calls dead whoever is only closed, and one that counts what is no fault of anybody.
const WRONG: &str = r#"version = 1

[[rule]]
id = "closed"
class = "bad-mailbox"
severity = "hard"
text = ["closed today"]
why = "wrong: they open again tomorrow"
example = { text = "550 5.7.1 closed today" }

[[rule]]
id = "tired"
class = "mailbox-full"
severity = "soft"
text = ["tired of mail"]
why = "wrong: this is about the sender"
example = { text = "550 5.7.1 tired of mail" }
"#;

/// Starts with the wrong rules.
fn started(engine: Engine) -> Option<Running> {
    let place = Place::new(engine)?;
    let rules = place.folder.path().join("bounces.toml");
    std::fs::write(&rules, WRONG).unwrap();
    let setting = format!("\n[policy]\nbounce_rules_file = '{}'\n", rules.display());
    Some(place.config(&setting).start())
}

/// Goes on with rules that say nothing.
fn corrected(running: Running) -> Running {
    let place = running.kill();
    std::fs::write(place.folder.path().join("bounces.toml"), "version = 1\n").unwrap();
    place.start()
}

fn bounce(address: &str, text: &str) -> Value {
    json!({"kind": "bounce", "address": address, "diagnostic": text})
}

fn tell(running: &Running, events: &[Value]) {
    let (status, answer) = running.post("/v1/events", &json!({"events": events}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["indexed"], true);
}

fn replay(running: &Running, arguments: &[&str]) -> String {
    let output = running.place().desist(&[&["replay"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn standing(running: &Running, addresses: &[String]) -> usize {
    let (status, answer) = running.post("/v1/check", &json!({"addresses": addresses}));
    assert_eq!(status, 200, "{answer}");
    answer["suppressed"].as_array().unwrap().len()
}

// D-076
fn several_pages_are_mended_and_the_command_says_how(engine: Engine) {
    let Some(running) = started(engine) else {
        return;
    };
    // Below what the brake looks at: each at a domain of its own.
    let addresses: Vec<String> = (0..450).map(|n| format!("a@d{n}.example")).collect();
    let wrong: Vec<Value> = addresses
        .iter()
        .map(|address| bounce(address, "550 5.7.1 closed today"))
        .collect();
    tell(&running, &wrong);
    tell(
        &running,
        &[bounce("gone@right.example", "550 5.1.1 no such user")],
    );
    assert_eq!(standing(&running, &addresses), 450);

    let running = corrected(running);
    let (status, first) = running.post("/v1/replay", &json!({"dry_run": true}));
    assert_eq!(
        (status, &first["read"]),
        (200, &json!(200)),
        "a page: {first}"
    );
    assert!(first["next"].is_string(), "{first}");
    let difference = "BEFORE       TODAY        EVENTS\n\
                      bounce-hard  bounce-ours  450\n\
                      451 receipts read, 0 without raw bytes, 450 say something else today: \
                      450 suppressions would not have been made, 0 new ones\n";
    assert_eq!(replay(&running, &["--dry-run"]), difference);
    assert_eq!(
        standing(&running, &addresses),
        450,
        "nothing has changed yet"
    );
    let done = replay(&running, &[]);
    assert_eq!(done, format!("{difference}450 lifted, 0 begun\n"));
    assert_eq!(standing(&running, &addresses), 0);
    assert!(running.check("gone@right.example", None).is_some());
    let (_, shown) = running.get("/v1/suppressions/a@d7.example");
    let note = shown["items"][0]["lifted"]["note"].as_str().unwrap();
    assert!(note.starts_with("replay"), "{note}");
    let again: Value = serde_json::from_str(&replay(&running, &["--json"])).unwrap();
    assert_eq!(
        (&again["read"], &again["changed"]),
        (&json!(451), &json!(0)),
        "{again}"
    );
}

// D-074, D-076
fn failures_that_were_counted_wrongly_count_no_more(engine: Engine) {
    let Some(running) = started(engine) else {
        return;
    };
    let now = desist::model::clock::Clock::system().now();
    let ago = |days: u64| now.before(std::time::Duration::from_hours(days * 24));
    let on = |address: &str, days: u64, text: &str| {
        let mut told = bounce(address, text);
        told["at"] = json!(ago(days));
        told
    };
    let delivered = json!({"kind": "delivered", "address": "else@example.net"});
    tell(&running, &[delivered]);
    let (wronged, full) = ("wronged@example.net", "full@example.net");
    for days in [22, 17, 12, 7] {
        tell(
            &running,
            &[
                on(wronged, days, "550 5.7.1 tired of mail"),
                on(full, days, "552 5.2.2 mailbox full"),
            ],
        );
    }
    let running = corrected(running);
    let out = replay(&running, &[]);
    assert!(out.contains("4 say something else today"), "{out}");
    // The fifth day is the last that is needed, where the four before still count.
    for address in [wronged, full] {
        tell(&running, &[on(address, 1, "552 5.2.2 mailbox full")]);
    }
    assert_eq!(running.check(wronged, None), None);
    assert_eq!(running.check(full, None).unwrap()["reason"], "bounce");
}

crate::on_both_engines! {
    several_pages_are_mended_and_the_command_says_how,
    failures_that_were_counted_wrongly_count_no_more,
}
