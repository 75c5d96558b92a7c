//! The page's undo: it ends what its own visit has begun, once and for good, and nothing else.

use serde_json::{Value, json};

use super::{events_of, fields, path_for, press, show, titled};
use crate::harness::{Engine, Place, Running, complaint};

fn on_both(test: impl Fn(&Running)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        if let Some(place) = Place::new(engine) {
            test(&titled(place));
        }
    }
}

/// Opts out and waits until it stands; the page that was answered.
fn opted_out(running: &Running, path: &str, address: &str) -> String {
    let (_, question) = show(running, path);
    let (status, done) = press(running, path, &fields(&question));
    assert_eq!(status, 200);
    running.drained();
    assert!(running.check(address, Some(1)).is_some());
    done
}

// C-047
#[test]
fn what_a_visit_has_done_is_undone_by_it_and_can_be_done_anew() {
    on_both(|running| {
        let address = "undo@example.net";
        let path = path_for(running, 1, address);
        let done = opted_out(running, &path, address);
        let undo = fields(&done);
        assert!(
            undo.starts_with("undo=") && !undo.contains("One-Click"),
            "{undo}"
        );
        let (status, undone) = press(running, &path, &undo);
        assert_eq!(status, 200);
        assert!(
            undone.contains("<h1>Undone</h1>") && !undone.contains("<form"),
            "{undone}"
        );
        running.drained();
        assert!(running.check(address, Some(1)).is_none(), "it is lifted");
        // Pressed again, also by mail programs that repeat: nothing more happens.
        assert_eq!(press(running, &path, &undo).0, 200);
        running.drained();
        let ops: Vec<Value> = running
            .changes()
            .iter()
            .map(|it| it["op"].clone())
            .collect();
        assert_eq!(ops, [json!("suppress"), json!("lift")]);
        // A new opt-out stands, and the old nonce does not touch it.
        let (status, _) = running.curl(&path, &["--data", "List-Unsubscribe=One-Click"]);
        assert_eq!(status, 200);
        running.drained();
        assert_eq!(press(running, &path, &undo).0, 200);
        running.drained();
        assert!(
            running.check(address, Some(1)).is_some(),
            "another visit's stands"
        );
        let events = events_of(running, 5, "undo");
        assert_eq!(events.len(), 3);
        assert_eq!(
            events[0]["effects"],
            json!([{"effect": "undo"}]),
            "{}",
            events[0]
        );
        let (status, history) = running.get(&format!("/v1/suppressions/{address}"));
        assert_eq!(status, 200);
        let note = "taken back on the page where it was begun";
        assert!(history.to_string().contains(note), "{history}");
    });
}

#[test]
fn no_other_suppression_is_touched() {
    on_both(|running| {
        // An opt-out that stood before this visit, by a mail program.
        let address = "before@example.net";
        let path = path_for(running, 1, address);
        assert_eq!(
            running
                .curl(&path, &["--data", "List-Unsubscribe=One-Click"])
                .0,
            200
        );
        running.drained();
        let done = opted_out(running, &path, address);
        assert_eq!(press(running, &path, &fields(&done)).0, 200);
        running.drained();
        assert!(running.check(address, Some(1)).is_some(), "it stood before");
        // A complaint and an operator's entry beside the opt-out of the visit.
        let address = "both@example.net";
        let path = path_for(running, 1, address);
        let done = opted_out(running, &path, address);
        let item =
            json!({"address": address, "scope": "stream:1", "reason": "manual", "note": "x"});
        running.post("/v1/suppressions", &json!({"suppressions": [item]}));
        let token = path.strip_prefix("/u/").unwrap();
        running.deliver("fbl@example.org", "fbl@fb.example.com", &complaint(token));
        running.drained();
        assert_eq!(press(running, &path, &fields(&done)).0, 200);
        running.drained();
        let (_, one) = running.get(&format!("/v1/suppressions/{address}"));
        let items = one["items"].as_array().unwrap();
        let standing = items.iter().filter(|it| it["lifted"] == json!(null));
        let reasons: Vec<&str> = standing.map(|it| it["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons.len(), 2, "{one}");
        assert!(!reasons.contains(&"unsubscribe"), "{one}");
    });
}

// C-047
#[test]
fn an_opt_out_since_the_press_stands_and_the_page_says_so() {
    on_both(|running| {
        let address = "since@example.net";
        let path = path_for(running, 1, address);
        let done = opted_out(running, &path, address);
        let (status, _) = running.curl(&path, &["--data", "List-Unsubscribe=One-Click"]);
        assert_eq!(status, 200);
        running.drained();
        let (status, undone) = press(running, &path, &fields(&done));
        assert_eq!(status, 200);
        running.drained();
        assert!(running.check(address, Some(1)).is_some(), "nobody undid it");
        let said =
            "If you have also unsubscribed at another time or in another way, that remains so.";
        assert!(undone.contains(said), "{undone}");
    });
}

#[test]
fn pressed_twice_is_one_visit() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let address = "twice@example.net";
    let path = path_for(&running, 1, address);
    let (_, question) = show(&running, &path);
    let (_, first) = press(&running, &path, &fields(&question));
    let (_, second) = press(&running, &path, &fields(&question));
    running.drained();
    assert_eq!(running.changes().len(), 1);
    assert_ne!(first, "");
    assert_eq!(press(&running, &path, &fields(&second)).0, 200);
    running.drained();
    assert!(
        running.check(address, Some(1)).is_none(),
        "the second answer undoes the first press"
    );
}

#[test]
fn everything_at_once_is_settled_in_the_order_in_which_it_came() {
    // The store is away, and all of it is recorded together afterwards.
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(place) = Place::new(engine) else {
            continue;
        };
        let running = titled(place);
        let (there, back) = ("there@example.net", "back@example.net");
        for (address, again) in [(there, true), (back, false)] {
            let path = path_for(&running, 1, address);
            let (_, question) = show(&running, &path);
            let (_, done) = press(&running, &path, &fields(&question));
            assert_eq!(press(&running, &path, &fields(&done)).0, 200);
            if again {
                assert_eq!(press(&running, &path, &fields(&question)).0, 200);
            }
        }
        running.drained();
        assert!(
            running.check(there, Some(1)).is_some(),
            "unsubscribed again"
        );
        assert!(running.check(back, Some(1)).is_none(), "taken back");
    }
}

// Beyond its token's share a press is kept without its visit, and later ones not at all: an undo
// would say that it is done and do nothing. So none is offered, in any language.
#[test]
fn b_035_a_press_that_cannot_be_taken_back_offers_no_undo() {
    let limit = "\n[limits]\ntoken_receipts_per_hour = 2\n";
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(place) = Place::new(engine) else {
            continue;
        };
        let running = place.config(super::TITLED).config(limit).start();
        let address = "flooded@example.net";
        let path = path_for(&running, 1, address);
        let offers = |done: &str| done.contains("name=\"undo\"");
        let (first, second) = (
            opted_out(&running, &path, address),
            opted_out(&running, &path, address),
        );
        assert!(offers(&first) && offers(&second), "within its share");
        let before = events_of(&running, 2, "unsubscribe").len();
        // The third is kept without its visit, the others are not kept.
        for language in ["en", "ja", "de"] {
            let (_, question) = show(&running, &path);
            let accept = format!("Accept-Language: {language}");
            let body = fields(&question);
            assert!(body.contains("visit="), "{body}");
            let html = ["--header", "Accept: text/html", "--header", &accept];
            let (status, done) = running.curl(&path, &[&html[..], &["--data", &body]].concat());
            assert_eq!(status, 200);
            assert!(
                done.contains(&format!("<html lang=\"{language}\">")),
                "{done}"
            );
            assert!(!done.contains("<form"), "{done}");
            running.drained();
        }
        assert_eq!(events_of(&running, 3, "unsubscribe").len(), before + 1);
        // It stands, whatever is taken back of those that came before.
        for done in [&first, &second] {
            assert_eq!(press(&running, &path, &fields(done)).0, 200);
        }
        running.drained();
        assert!(running.check(address, Some(1)).is_some());
        // Another token has its own share, and its undo.
        let other = path_for(&running, 1, "calm@example.net");
        assert!(offers(&opted_out(&running, &other, "calm@example.net")));
    }
}

#[test]
fn only_the_page_s_own_nonce_undoes_and_nothing_else_is_an_opt_out() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let address = "nonce@example.net";
    let path = path_for(&running, 1, address);
    let done = opted_out(&running, &path, address);
    let undo = fields(&done);
    let other = path_for(&running, 1, "other@example.net");
    let last = undo.len() - 1;
    let flipped = {
        let mut text = undo.clone();
        let new = crate::harness::other_than(undo.as_bytes()[last]);
        text.replace_range(last.., if new == "a" { "0" } else { "1" });
        if text == undo {
            undo.replace("undo=", "undo=0")
        } else {
            text
        }
    };
    for (path, body) in [
        (&other, undo.as_str()),
        (&path, flipped.as_str()),
        (&path, "undo="),
        (&path, "undo=%00"),
        (&path, undo.get(..last).unwrap()),
    ] {
        let (status, page) = press(&running, path, body);
        assert_eq!(status, 410, "{body}");
        assert!(page.contains("This can no longer be undone"), "{page}");
    }
    // Never by GET.
    let query = format!("{path}?{undo}");
    assert_eq!(show(&running, &query).0, 200);
    running.drained();
    assert!(running.check(address, Some(1)).is_some());
    assert!(running.check("other@example.net", Some(1)).is_none());
    assert_eq!(running.changes().len(), 1);
}

/// An undo ends a transaction: it is committed, and counted, though what comes behind it in the same
/// batch fails.
#[test]
fn what_is_stored_before_its_batch_fails_is_counted_once() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = titled(place);
    let tokens = running.mint(
        1,
        &["undo@example.net", "bad@example.net", "good@example.net"],
    );
    let path = format!("/u/{}", tokens[0].0);
    let database = running.place().database.as_ref().unwrap();
    database.run("alter table events add constraint no check (detail not like '%poison%')");
    // All wait in the journal and come together.
    database.shut();
    let (_, question) = show(&running, &path);
    let (status, done) = press(&running, &path, &fields(&question));
    assert_eq!(status, 200, "{done}");
    assert_eq!(press(&running, &path, &fields(&done)).0, 200);
    for (token, program) in [(&tokens[1].0, "poison/1.0"), (&tokens[2].0, "JMRP/1.0")] {
        let mail = complaint(token).replace("JMRP/1.0", program);
        let reply = running.deliver("", "fbl@fb.example.com", &mail);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    database.open();
    running.events(4);
    running.drained();
    let (_, metrics) = running.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    for line in [
        "desist_events_total{kind=\"unsubscribe\",proof=\"token\"} 1",
        "desist_events_total{kind=\"undo\",proof=\"token\"} 1",
        "desist_events_total{kind=\"complaint\",proof=\"token\"} 1",
        "desist_events_total{kind=\"unrecognised\",proof=\"none\"} 1",
        "desist_suppressions_total{reason=\"unsubscribe\"} 1",
        "desist_suppressions_total{reason=\"complaint\"} 1",
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line}: {metrics}"
        );
    }
}
