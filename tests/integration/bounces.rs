//! Bounces through the real doors, on both engines: what stops mail, what counts, what does neither.

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running};

/// A notification about one address.
pub(crate) fn notification(address: &str, status: &str, text: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example.net\nTo: b@fb.example.com\nSubject: Undelivered mail\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\n\n\
         --b1\n\nIt could not be delivered.\n\
         --b1\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; mx.example.net\n\n\
         Final-Recipient: rfc822; {address}\nAction: failed\nStatus: {status}\n\
         Remote-MTA: dns; mx1.provider.example\nDiagnostic-Code: smtp; {text}\n\n--b1--\n"
    )
}

fn delivered(running: &Running, to: &str, message: &str) {
    let reply = running.deliver("", to, message);
    assert!(reply.starts_with("250"), "{to}: {reply}");
}

fn reason(running: &Running, address: &str) -> Option<Value> {
    running
        .check(address, None)
        .map(|hit| hit["reason"].clone())
}

// D-010, D-015, D-020, D-061
fn only_a_proven_dead_address_is_suppressed(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let names = ["dead", "alias", "blocked", "unread", "shared"];
    let names = names.map(|name| format!("{name}@example.net"));
    let tokens = running.mint(1, &names.each_ref().map(String::as_str));
    let path = |index: usize| tokens[index].1.clone();
    let gone = "550 5.1.1 no such user";
    delivered(&running, &path(0), &notification(&names[0], "5.1.1", gone));
    let behind = notification("other@example.org", "5.1.1", gone);
    delivered(&running, &path(1), &behind);
    let listed = "550 5.7.1 blocked, see the list of bad senders";
    delivered(
        &running,
        &path(2),
        &notification(&names[2], "5.7.1", listed),
    );
    delivered(&running, &path(3), "Subject: ?\n\nqwertz\n");
    // The feedback token of a mail is known to whoever got a copy; a forger knows none.
    let shared = format!("b-{}@fb.example.com", tokens[4].0);
    delivered(&running, &shared, &notification(&names[4], "5.1.1", gone));
    delivered(
        &running,
        "b@fb.example.com",
        &notification(&names[4], "5.1.1", gone),
    );
    let events = running.events(6);
    running.drained();
    assert_eq!(reason(&running, &names[0]), Some(json!("bounce")));
    for name in names
        .iter()
        .skip(1)
        .map(String::as_str)
        .chain(["other@example.org"])
    {
        assert_eq!(reason(&running, name), None, "{name}");
    }
    let rules: Vec<&Value> = events
        .iter()
        .map(|event| &event["detail"]["rule"])
        .collect();
    assert_eq!(
        rules,
        [
            "bounce-hard",
            "bounce-hard-elsewhere",
            "bounce-ours",
            "bounce-unread",
            "bounce-hard-unproven",
            "bounce-hard-unproven"
        ]
    );
    let detail = &events[0]["detail"];
    for (name, value) in [
        ("action", json!("failed")),
        ("status", json!("5.1.1")),
        ("smtp_code", json!(550)),
        ("class", json!("bad-mailbox")),
        ("severity", json!("hard")),
        ("diagnostic", json!(gone)),
        ("remote_mta", json!("mx1.provider.example")),
        ("provider", json!("provider.example")),
    ] {
        assert_eq!(detail[name], value, "{name}");
    }
    let (_, shown) = running.get("/v1/suppressions/dead@example.net");
    let evidence = &shown["items"][0]["evidence"];
    assert_eq!(evidence["class"], "bad-mailbox");
    assert_eq!(evidence["provider"], "provider.example");
}

// D-062
fn a_provider_that_calls_everybody_dead_is_braked(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.config("\n[policy]\nbrake_bounces = 10\n").start();
    let names: Vec<String> = (0..24).map(|n| format!("user{n}@example.net")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tokens = running.mint(1, &names);
    let gone = "550 5.1.1 no such user";
    for (name, (_, path)) in names.iter().zip(&tokens) {
        delivered(&running, path, &notification(name, "5.1.1", gone));
    }
    running.events(24);
    running.drained();
    let (_, alarms) = running.get("/v1/alarms");
    // The hour may have changed between: what came before is another hour's.
    let waiting = |batch: &str| {
        let (_, page) = running.get(&format!("/v1/held?limit=1000&batch={batch}"));
        page["items"].as_array().unwrap().len()
    };
    let alarms = alarms["items"].as_array().unwrap();
    assert!(!alarms.is_empty(), "{alarms:?}");
    let batch = alarms[0]["detail"]["batch"].as_str().unwrap();
    let held = waiting(batch);
    assert!(held > 10, "{held}");
    let standing = names.iter().filter(|name| reason(&running, name).is_some());
    assert_eq!(standing.count() + held, 24);
    let (status, dismissed) = running.post("/v1/held/dismiss", &json!({"batch": batch}));
    assert_eq!((status, &dismissed["decided"]), (200, &json!(held)));
    assert_eq!(waiting(batch), 0);
    assert_eq!(reason(&running, names[23]), None);
}

crate::on_both_engines! {
    only_a_proven_dead_address_is_suppressed,
    a_provider_that_calls_everybody_dead_is_braked,
}
