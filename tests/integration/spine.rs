//! The main job, end to end through a real process, on both engines: what comes in at a door
//! changes what `check` says, if and only if it is proven.

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running, complaint};

const STREAMS: &str = "\n[[tenant]]\nname = \"default\"\nnumber = 1\n\
    [[tenant.stream]]\nnumber = 1\nname = \"newsletter\"\nclass = \"marketing\"\n\
    [[tenant.stream]]\nnumber = 2\nname = \"receipts\"\nclass = \"transactional\"\n\
    [[tenant.stream]]\nnumber = 3\nname = \"offers\"\nclass = \"marketing\"\n\
    [[tenant.stream]]\nnumber = 4\nname = \"notices\"\nclass = \"transactional\"\nunsubscribe = true\n";

fn started(engine: Engine) -> Option<Running> {
    Some(Place::new(engine)?.config(STREAMS).start())
}

/// Scope and reason that check names for this address on this stream.
fn verdict(running: &Running, address: &str, stream: u16) -> Option<(String, String)> {
    running.check(address, Some(stream)).map(|hit| {
        let text = |name: &str| hit[name].as_str().unwrap().to_owned();
        (text("scope"), text("reason"))
    })
}

fn said(scope: &str, reason: &str) -> (String, String) {
    (scope.to_owned(), reason.to_owned())
}

fn one_complaint_one_unsubscribe_one_click(engine: Engine) {
    let Some(running) = started(engine) else {
        return;
    };
    let names = [
        "complains@example.net",
        "writes@example.net",
        "clicks@example.net",
    ];
    let tokens = running.mint(1, &names);
    assert!(
        running
            .deliver("", "fbl@fb.example.com", &complaint(&tokens[0].0))
            .starts_with("250")
    );
    let to = format!("u-{}@fb.example.com", tokens[1].0);
    assert!(
        running
            .deliver("writes@example.net", &to, "Subject: unsubscribe\n\n")
            .starts_with("250")
    );
    let (status, _) = running.curl(
        &format!("/u/{}", tokens[2].0),
        &["--data", "List-Unsubscribe=One-Click"],
    );
    assert_eq!(status, 200);
    let events = running.events(3);
    running.drained();

    // Complaint: every marketing stream; the transactional one goes on (F-010).
    assert_eq!(
        verdict(&running, names[0], 1),
        Some(said("marketing", "complaint"))
    );
    assert_eq!(
        verdict(&running, names[0], 3),
        Some(said("marketing", "complaint"))
    );
    assert_eq!(verdict(&running, names[0], 2), None);
    // Opt-out: the stream of the token, and no other.
    for name in &names[1..] {
        assert_eq!(
            verdict(&running, name, 1),
            Some(said("stream:1", "unsubscribe"))
        );
        assert_eq!(verdict(&running, name, 3), None);
        assert_eq!(verdict(&running, name, 2), None);
    }
    let kinds: Vec<(&Value, &Value)> = events
        .iter()
        .map(|event| (&event["kind"], &event["proof"]))
        .collect();
    assert!(
        kinds.contains(&(&json!("complaint"), &json!("token"))),
        "{kinds:?}"
    );
    assert_eq!(running.changes().len(), 3);

    // The same after a restart: the index is filled from the store.
    running.terminate();
    let (status, place) = running.ended();
    assert_eq!(status.code(), Some(0));
    let running = place.start();
    assert_eq!(
        verdict(&running, names[0], 1),
        Some(said("marketing", "complaint"))
    );
    assert_eq!(
        verdict(&running, names[2], 1),
        Some(said("stream:1", "unsubscribe"))
    );
}

#[test]
fn one_complaint_one_unsubscribe_one_click_sqlite() {
    one_complaint_one_unsubscribe_one_click(Engine::Sqlite);
}

#[test]
fn one_complaint_one_unsubscribe_one_click_postgres() {
    one_complaint_one_unsubscribe_one_click(Engine::Postgres);
}

#[test]
fn the_scope_of_an_opt_out_follows_its_stream() {
    let running = started(Engine::Sqlite).unwrap();
    let click = |token: &str| {
        let (status, _) = running.curl(&format!("/u/{token}"), &["--data", "x"]);
        assert_eq!(status, 200);
    };
    let token = |stream, address| running.mint(stream, &[address])[0].0.clone();
    click(&token(2, "receipts@example.net"));
    click(&token(4, "notices@example.net"));
    running.events(2);
    running.drained();
    // Transactional without `unsubscribe = true`: marketing ends, receipts go on.
    assert_eq!(
        verdict(&running, "receipts@example.net", 1),
        Some(said("marketing", "unsubscribe"))
    );
    assert_eq!(verdict(&running, "receipts@example.net", 2), None);
    // Transactional with it: that stream ends.
    assert_eq!(
        verdict(&running, "notices@example.net", 4),
        Some(said("stream:4", "unsubscribe"))
    );
    assert_eq!(verdict(&running, "notices@example.net", 1), None);
}

fn held(running: &Running) -> Vec<Value> {
    let (status, page) = running.get("/v1/held");
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

/// A complaint that names its victim and proves nothing.
fn forged(victim: &str) -> String {
    complaint("nothing").replace(
        "Version: 1\n",
        &format!("Version: 1\nOriginal-Rcpt-To: {victim}\n"),
    )
}

fn what_is_not_proven_waits_for_an_operator(engine: Engine) {
    let Some(running) = started(engine) else {
        return;
    };
    for victim in ["first@example.net", "second@example.net"] {
        let reply = running.deliver("", "fbl@fb.example.com", &forged(victim));
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    let events = running.events(2);
    running.drained();
    assert!(
        events.iter().all(|event| event["proof"] == "none"),
        "{events:#?}"
    );
    assert!(running.check("first@example.net", None).is_none());
    let waiting = held(&running);
    assert_eq!(waiting.len(), 2, "{waiting:#?}");
    let id = |hold: &Value| hold["id"].as_str().unwrap().to_owned();
    let (status, answer) =
        running.post(&format!("/v1/held/{}/approve", id(&waiting[0])), &json!({}));
    assert_eq!(
        (status, &answer["indexed"]),
        (200, &json!(true)),
        "{answer}"
    );
    let (status, _) = running.post(&format!("/v1/held/{}/dismiss", id(&waiting[1])), &json!({}));
    assert_eq!(status, 200);
    assert_eq!(
        verdict(&running, "first@example.net", 1),
        Some(said("marketing", "complaint"))
    );
    assert!(running.check("second@example.net", None).is_none());
    assert!(held(&running).is_empty());
    // Decided once.
    let (status, _) = running.post(&format!("/v1/held/{}/approve", id(&waiting[1])), &json!({}));
    assert!(status == 404 || status == 409, "{status}");
}

#[test]
fn b_030_what_is_not_proven_waits_for_an_operator_sqlite() {
    what_is_not_proven_waits_for_an_operator(Engine::Sqlite);
}

#[test]
fn b_030_what_is_not_proven_waits_for_an_operator_postgres() {
    what_is_not_proven_waits_for_an_operator(Engine::Postgres);
}

#[test]
fn a_complaint_about_transactional_mail_also_waits() {
    let running = started(Engine::Sqlite).unwrap();
    let token = running.mint(2, &["buyer@example.net"])[0].0.clone();
    running.deliver("", "fbl@fb.example.com", &complaint(&token));
    running.events(1);
    running.drained();
    assert_eq!(
        verdict(&running, "buyer@example.net", 1),
        Some(said("marketing", "complaint"))
    );
    assert_eq!(verdict(&running, "buyer@example.net", 2), None);
    let waiting = held(&running);
    assert_eq!(waiting.len(), 1, "{waiting:#?}");
    let id = waiting[0]["id"].as_str().unwrap();
    running.post(&format!("/v1/held/{id}/approve"), &json!({}));
    assert_eq!(
        verdict(&running, "buyer@example.net", 2),
        Some(said("stream:2", "complaint"))
    );
}

// Peers added 18.
#[test]
fn a_lift_ends_what_stands_and_a_later_event_suppresses_anew() {
    let running = started(Engine::Sqlite).unwrap();
    let token = running.mint(1, &["back@example.net"])[0].0.clone();
    running.deliver("", "fbl@fb.example.com", &complaint(&token));
    running.events(1);
    running.drained();
    let items = json!({"items": [{"address": "Back@Example.NET"}], "note": "asked to come back"});
    let (status, answer) = running.post("/v1/suppressions/lift", &items);
    assert_eq!(
        (status, &answer["indexed"]),
        (200, &json!(true)),
        "{answer}"
    );
    assert!(running.check("back@example.net", None).is_none());
    running.deliver("", "fbl@fb.example.com", &complaint(&token));
    running.events(2);
    running.drained();
    assert!(running.check("back@example.net", None).is_some());
    let ops: Vec<Value> = running
        .changes()
        .iter()
        .map(|change| change["op"].clone())
        .collect();
    assert_eq!(ops, [json!("suppress"), json!("lift"), json!("suppress")]);
    // Its history is kept.
    let (status, one) = running.get("/v1/suppressions/back@example.net");
    assert_eq!(status, 200);
    assert!(one.to_string().contains("asked to come back"), "{one}");
}

#[test]
fn c_013_c_034_the_doors_answer_while_the_database_is_away() {
    let Some(running) = started(Engine::Postgres) else {
        return;
    };
    let tokens = running.mint(1, &["spooled@example.net", "mailed@example.net"]);
    let database = running.place().database.as_ref().unwrap();
    database.shut();
    let (status, _) = running.curl(&format!("/u/{}", tokens[0].0), &["--data", "x"]);
    assert_eq!(status, 200, "committed to the journal");
    let to = format!("u-{}@fb.example.com", tokens[1].0);
    // C-034: the token says who; From is only logged.
    let reply = running.deliver("other@example.net", &to, "Subject: unsubscribe\n\n");
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    assert!(
        running.check("spooled@example.net", Some(1)).is_none(),
        "check answers meanwhile"
    );
    database.open();
    running.events(2);
    running.drained();
    assert!(running.check("spooled@example.net", Some(1)).is_some());
    assert!(running.check("mailed@example.net", Some(1)).is_some());
    assert!(running.check("other@example.net", None).is_none());
}

#[test]
fn the_doors_open_by_the_mirror_when_the_database_is_away_at_start() {
    let Some(running) = started(Engine::Postgres) else {
        return;
    };
    let token = running.mint(1, &["early@example.net"])[0].0.clone();
    let place = running.kill();
    place.database.as_ref().unwrap().shut();
    let starting = place.start_doors();
    let (status, _) = starting.curl(&format!("/u/{token}"), &["--data", "x"]);
    assert_eq!(status, 200);
    starting.place().database.as_ref().unwrap().open();
    let running = starting.wait_for_api();
    running.events(1);
    running.drained();
    assert!(running.check("early@example.net", Some(1)).is_some());
}

#[test]
fn a_039_a_040_postmaster_and_abuse_are_kept_for_people() {
    let running = started(Engine::Sqlite).unwrap();
    let token = running.mint(1, &["untouched@example.net"])[0].0.clone();
    for to in [
        "Postmaster",
        "pOsTmAsTeR@fb.example.com",
        "ABUSE@fb.example.com",
    ] {
        let reply = running.deliver("", to, &complaint(&token));
        assert!(reply.starts_with("250 2.0.0"), "{to}: {reply}");
    }
    let events = running.events(3);
    running.drained();
    assert!(
        events.iter().all(|event| event["kind"] == "not-feedback"),
        "{events:#?}"
    );
    assert!(running.check("untouched@example.net", None).is_none());
}

// Peers 19.
#[test]
fn a_083_below_the_disk_floor_nothing_is_accepted() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place
        .config("\n[journal]\ndisk_floor = \"1000000 GiB\"\n")
        .start();
    let token = running.mint(1, &["full@example.net"])[0].0.clone();
    let reply = running.deliver("", "fbl@fb.example.com", &complaint(&token));
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    let (status, answer) = running.curl(&format!("/u/{token}"), &["--include", "--data", "x"]);
    assert_eq!(status, 503);
    assert!(answer.to_lowercase().contains("retry-after:"), "{answer}");
    let (status, _) = running.get("/readyz/doors");
    assert_eq!(status, 503);
    let (status, _) = running.get("/livez");
    assert_eq!(status, 200);
}

#[test]
fn c_038_one_mail_is_enough() {
    let running = started(Engine::Sqlite).unwrap();
    let token = running.mint(1, &["enough@example.net"])[0].0.clone();
    // Nothing in it but who it is to: no subject, no body, not even a sender.
    let reply = running.deliver("", &format!("u-{token}@fb.example.com"), "\n");
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.events(1);
    running.drained();
    assert_eq!(
        verdict(&running, "enough@example.net", 1),
        Some(said("stream:1", "unsubscribe"))
    );
    assert!(held(&running).is_empty());
}

#[test]
fn f_001_check_repeats_the_address_as_given_and_the_store_keeps_its_canonical_form() {
    let running = started(Engine::Sqlite).unwrap();
    let given = "User.Name@Example.COM";
    let item = json!({"address": given, "scope": "all", "reason": "manual"});
    let (status, answer) = running.post("/v1/suppressions", &json!({"suppressions": [item]}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(running.check(given, None).unwrap()["address"], given);
    let (_, page) = running.get("/v1/suppressions?limit=10");
    assert_eq!(page["items"][0]["address"], "user.name@example.com");
    let (status, one) = running.get(&format!("/v1/suppressions/{given}"));
    assert_eq!(status, 200);
    assert!(one.to_string().contains("user.name@example.com"), "{one}");
}

#[test]
fn f_007_dots_of_a_local_part_are_not_folded() {
    let running = started(Engine::Sqlite).unwrap();
    let token = running.mint(1, &["a.b@gmail.com"])[0].0.clone();
    running.deliver("", "fbl@fb.example.com", &complaint(&token));
    running.events(1);
    running.drained();
    assert!(running.check("a.b@gmail.com", Some(1)).is_some());
    for other in ["ab@gmail.com", "a.b@googlemail.com", "a.b+c@gmail.com"] {
        assert!(running.check(other, None).is_none(), "{other}");
    }
}

#[test]
fn f_008_an_address_literal_is_refused_and_single_labels_are_kept() {
    let running = started(Engine::Sqlite).unwrap();
    let addresses = ["u@[192.0.2.1]", "u@[IPv6:2001:db8::1]", "root@localhost"];
    let items: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"address": address, "scope": "all", "reason": "manual"}))
        .collect();
    let (status, answer) = running.post("/v1/suppressions", &json!({"suppressions": items}));
    assert_eq!(status, 200, "{answer}");
    let (status, checked) = running.post("/v1/check", &json!({"addresses": addresses}));
    assert_eq!(status, 200, "{checked}");
    for (index, error) in checked["errors"].as_array().unwrap().iter().enumerate() {
        assert_eq!(error["index"], index);
        assert_eq!(error["error"], "an address literal instead of a domain");
        assert!(
            answer.to_string().contains("an address literal instead"),
            "{answer}"
        );
    }
    assert_eq!(checked["errors"].as_array().unwrap().len(), 2, "{checked}");
    assert_eq!(
        checked["suppressed"][0]["address"], "root@localhost",
        "{checked}"
    );
}

fn receipts(running: &Running) -> usize {
    let (status, page) = running.get("/v1/receipts?limit=1000");
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().len()
}

/// A server where a token may bring two receipts an hour, and a token that brought them: its
/// stream is unsubscribed.
fn clicked_twice(address: &str) -> (Running, String) {
    let limit = "\n[limits]\ntoken_receipts_per_hour = 2\n";
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place.config(STREAMS).config(limit).start();
    let token = running.mint(1, &[address])[0].0.clone();
    for _ in 0..2 {
        let (status, _) = running.curl(&format!("/u/{token}"), &["--data", "x"]);
        assert_eq!(status, 200);
    }
    running.events(2);
    running.drained();
    assert_eq!(
        verdict(&running, address, 1),
        Some(said("stream:1", "unsubscribe"))
    );
    (running, token)
}

#[test]
fn b_035_beyond_its_limit_a_token_is_answered_alike_and_not_kept() {
    let (running, token) = clicked_twice("again@example.net");
    let answers: Vec<(u16, String)> = (0..3)
        .map(|_| running.curl(&format!("/u/{token}"), &["--data", "x"]))
        .collect();
    assert!(
        answers.iter().all(|(status, _)| *status == 200),
        "{answers:?}"
    );
    let to = format!("u-{token}@fb.example.com");
    let reply = running.deliver("", &to, "Subject: unsubscribe\n\n");
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.drained();
    assert_eq!(receipts(&running), 2);
    assert_eq!(running.changes().len(), 1, "one suppression");
    // Another token has a count of its own.
    let other = running.mint(1, &["other@example.net"])[0].0.clone();
    running.curl(&format!("/u/{other}"), &["--data", "x"]);
    running.events(3);
    assert_eq!(receipts(&running), 3);
}

// What a mail is decides, not the address that it came to: this one is no opt-out.
#[test]
fn b_035_a_complaint_at_the_address_of_opt_outs_is_kept_beyond_the_limit() {
    let (running, token) = clicked_twice("complains@example.net");
    let to = format!("u-{token}@fb.example.com");
    let unsubscribe = "Subject: unsubscribe\n\n";
    for _ in 0..3 {
        running.deliver("", &to, unsubscribe);
    }
    let reply = running.deliver("", &to, &complaint(&token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.drained();
    assert_eq!(receipts(&running), 3);
    assert_eq!(
        verdict(&running, "complains@example.net", 3),
        Some(said("marketing", "complaint"))
    );
}

// The flood is of visits of the page, whose undo takes each of them back: the opt-out of somebody who
// came by another way stands.
#[test]
fn b_035_an_opt_out_among_many_visits_outlives_their_undo() {
    let limit = "\n[limits]\ntoken_receipts_per_hour = 2\n";
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place.config(STREAMS).config(limit).start();
    let address = "reader@example.net";
    let token = running.mint(1, &[address])[0].0.clone();
    let path = format!("/u/{token}");
    let html = ["--header", "Accept: text/html", "--data"];
    let press = |body: &str| running.curl(&path, &[&html[..], &[body]].concat());
    let mut nonces = Vec::new();
    for visit in 1..=4 {
        let (status, page) = press(&format!("List-Unsubscribe=One-Click&visit={visit:032x}"));
        assert_eq!(status, 200, "{page}");
        running.drained();
        let nonce = page.split("name=\"undo\" value=\"").nth(1);
        nonces.extend(nonce.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert!(nonces.len() >= 2, "{nonces:?}");
    let (status, _) = running.curl(&path, &["--data", "List-Unsubscribe=One-Click"]);
    assert_eq!(status, 200);
    running.drained();
    for nonce in nonces {
        let (status, page) = press(&format!("undo={nonce}"));
        assert_eq!(status, 200, "{page}");
    }
    running.drained();
    assert_eq!(
        verdict(&running, address, 1),
        Some(said("stream:1", "unsubscribe"))
    );
}

#[test]
fn b_035_what_would_widen_the_suppression_is_kept_beyond_the_limit() {
    let (running, token) = clicked_twice("graver@example.net");
    // The token in the envelope: what it says is known before the mail is read.
    let to = format!("fbl-{token}@fb.example.com");
    let reply = running.deliver("", &to, &complaint(&token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.drained();
    assert_eq!(receipts(&running), 3);
    assert_eq!(
        verdict(&running, "graver@example.net", 3),
        Some(said("marketing", "complaint"))
    );
}
