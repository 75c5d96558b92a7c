//! A person asks to be forgotten: the address and the mail go, what stands against it stays.

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running, complaint};
use crate::on_both_engines;

/// What must be found nowhere.
const NAME: &str = "bob.forgotten";

fn desist(running: &Running, arguments: &[&str]) -> String {
    let output = running.place().desist(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Everything that the API tells, as one text.
fn all_that_is_told(running: &Running) -> String {
    let lists = ["receipts", "events", "changes", "suppressions", "held"];
    let mut told = String::new();
    for list in lists {
        let (status, page) = running.get(&format!("/v1/{list}?limit=1000"));
        assert_eq!(status, 200, "{page}");
        told += &page.to_string();
    }
    let key = running.get("/v1/suppressions/Bob.Forgotten@example.net");
    told + &key.1.to_string()
}

fn bounce(token: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example.net\r\nTo: b-{token}@fb.example.com\r\n\
         Subject: failed\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\n\r\nno\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example.net\r\n\r\n\
         Final-Recipient: rfc822; bob.forgotten@example.net\r\nAction: failed\r\n\
         Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <bob.forgotten@example.net> unknown\r\n\
         --b--\r\n"
    )
}

/// Mail of every kind about one person and some about another; so many events.
fn fill(running: &Running) -> usize {
    let bob = "Bob.Forgotten@example.net";
    let tokens = running.mint(1, &[bob, "ann@example.net"]);
    let (token, return_path) = &tokens[0];
    let plain = |from: &str, to: &str| {
        format!("From: <{from}>\r\nTo: {to}\r\nSubject: unsubscribe\r\n\r\nI am {from}\r\n")
    };
    let to = format!("u-{token}@fb.example.com");
    running.deliver(bob, &to, &plain(bob, &to));
    running.deliver("fbl@example.org", "fbl@fb.example.com", &complaint(token));
    let bounced = return_path.strip_prefix("b-").unwrap();
    let bounced = bounced.split('@').next().unwrap();
    running.deliver("", return_path, &bounce(bounced));
    let people = "postmaster@fb.example.com";
    running.deliver("BOB.forgotten@EXAMPLE.net", people, &plain(bob, people));
    let other = complaint(&tokens[1].0);
    running.deliver("fbl@example.org", "fbl@fb.example.com", &other);
    let noted = json!({"suppressions": [{"address": bob, "reason": "manual",
        "note": "bob.forgotten@example.net rang up"}]});
    assert_eq!(running.post("/v1/suppressions", &noted).0, 200);
    running.events(5);
    running.drained();
    5
}

// F-033
fn what_stands_stays_and_who_it_was_is_forgotten(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    fill(&running);
    let before = all_that_is_told(&running);
    assert!(before.to_lowercase().contains(NAME));
    let shown = desist(&running, &["evidence", "bob.forgotten@example.net"]);
    for part in [
        "suppressed: all (bounce)",
        "rang up",
        "complaint",
        "unsubscribe",
        "bounce",
        "envelope",
        "mx.example.net",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let told = desist(&running, &["erase", "bob.forgotten@example.net"]);
    // The opt-out, the complaint, the bounce, and what was noted by hand.
    assert!(told.contains("erased from 4 suppressions"), "{told}");
    assert!(told.contains("4 receipts, 4 messages"), "{told}");

    let after = all_that_is_told(&running);
    assert!(!after.to_lowercase().contains(NAME), "{after}");
    assert!(after.contains("rang up"), "{after}");
    let hit = running.check("bob.forgotten@example.net", None).unwrap();
    assert_eq!(
        (&hit["scope"], &hit["reason"]),
        (&json!("all"), &json!("bounce"))
    );
    // Minting does not bring it back.
    running.mint(1, &["bob.forgotten@example.net"]);
    let (_, about) = running.get("/v1/suppressions/bob.forgotten@example.net");
    for item in about["items"].as_array().unwrap() {
        assert_eq!(item["address"], Value::Null);
        assert!(item["erased"].is_string(), "{item}");
    }
    // Lifted, it is still nobody's.
    let lift = json!({"items": [{"address": "bob.forgotten@example.net"}], "note": "asked"});
    assert_eq!(running.post("/v1/suppressions/lift", &lift).1["lifted"], 4);
    let (_, about) = running.get("/v1/suppressions/bob.forgotten@example.net");
    assert!(about["items"][0]["erased"].is_string(), "{about}");
    assert_eq!(about["suppressed"], Value::Null);
    // Mail of others is as it was.
    let ann = running.get("/v1/events?recipient=ann@example.net").1;
    let receipt = ann["items"][0]["receipt"].as_str().unwrap();
    assert_eq!(running.get(&format!("/v1/receipts/{receipt}/raw")).0, 200);
    // A second time there is nothing left.
    let (_, mut again) = running.post(
        "/v1/erase",
        &json!({"address": "Bob.Forgotten@example.net"}),
    );
    let until = again["journal_until"].take();
    assert_eq!(until.is_null(), engine == Engine::Sqlite, "{until}");
    assert_eq!(
        again,
        json!({"suppressions": 0, "changes": 0, "events": 0, "receipts": 0, "messages": 0,
            "unshipped": 0, "left": 0, "journal_until": null})
    );
    if engine == Engine::Sqlite {
        nothing_is_left_in_the_file(running);
    }
}

/// What is deleted lies about in a database's file until something is written over it.
fn nothing_is_left_in_the_file(running: Running) {
    running.terminate();
    let (status, place) = running.ended();
    assert!(status.success());
    let files = std::fs::read_dir(place.data_dir()).unwrap();
    let stores = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("desist.db")
    });
    let stores: Vec<_> = stores.collect();
    assert!(!stores.is_empty());
    for path in stores {
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        let found = bytes
            .windows(NAME.len())
            .any(|here| here == NAME.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

// F-033
fn what_was_accepted_just_before_is_found(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let mails = 40;
    let people = "postmaster@fb.example.com";
    let mut smtp = running.smtp();
    for number in 0..mails {
        let text = format!("From: <bob.forgotten@example.net>\r\nSubject: {number}\r\n\r\nI\r\n");
        let reply = smtp.deliver("bob.forgotten@example.net", &[people], &text);
        assert!(reply.starts_with("250"), "{reply}");
    }
    let (_, told) = running.post(
        "/v1/erase",
        &json!({"address": "bob.forgotten@example.net"}),
    );
    assert_eq!(
        (&told["messages"], &told["unshipped"]),
        (&json!(mails), &json!(0)),
        "{told}"
    );
    assert!(!all_that_is_told(&running).contains(NAME));
}

/// A store that takes no mail, but answers.
#[test]
fn what_is_not_stored_in_time_is_told() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let database = running.place().database.as_ref().unwrap();
    // As long as this name is taken no receipt can be counted, and none is stored.
    database.run("alter table counts rename to gone");
    let mail = "From: <bob.forgotten@example.net>\r\nSubject: hello\r\n\r\nI\r\n";
    running.deliver(
        "bob.forgotten@example.net",
        "postmaster@fb.example.com",
        mail,
    );
    let told = desist(&running, &["erase", "bob.forgotten@example.net"]);
    assert!(
        told.contains("0 messages\nnot looked at: 1 receipts"),
        "{told}"
    );
    database.run("alter table gone rename to counts");
    // Also when it has to wait for the next attempt.
    let told = desist(&running, &["erase", "bob.forgotten@example.net"]);
    assert!(told.contains("1 messages\nthe journal keeps"), "{told}");
}

on_both_engines!(
    what_stands_stays_and_who_it_was_is_forgotten,
    what_was_accepted_just_before_is_found
);
