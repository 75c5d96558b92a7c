//! Defects that were seen in other systems, each as a case that this one must get right. The
//! numbers are those of one list; cases that are about reading are fixtures in `fixtures/report`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running, Smtp, complaint, dotted};

const STREAMS: &str = "\n[[tenant]]\nname = \"default\"\nnumber = 1\n\
    [[tenant.stream]]\nnumber = 1\nname = \"newsletter\"\nclass = \"marketing\"\n\
    [[tenant.stream]]\nnumber = 3\nname = \"offers\"\nclass = \"marketing\"\n";

fn with(lines: &str) -> Running {
    Place::new(Engine::Sqlite).unwrap().config(lines).start()
}

fn receipts(running: &Running) -> Vec<Value> {
    let (status, page) = running.get("/v1/receipts?limit=1000");
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

// A full queue made the report disappear; here its sender is told to try again.
#[test]
fn peers_19_a_full_queue_refuses_for_now_and_deletes_nothing() {
    let running = with("\n[journal]\nqueue = 1\n");
    let addresses: Vec<String> = (0..8).map(|i| format!("queue{i}@example.net")).collect();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let tokens = running.mint(1, &names);
    let mut sessions: Vec<Smtp> = tokens.iter().map(|_| running.smtp()).collect();
    for session in &mut sessions {
        session.ask("MAIL FROM:<>");
        session.ask("RCPT TO:<fbl@fb.example.com>");
        assert!(session.ask("DATA").starts_with("354"));
    }
    // A disk that takes three seconds for a commit: what comes meanwhile finds the queue full.
    let mut slow = slow_disk(&running, Duration::from_secs(3));
    for (session, (token, _)) in sessions.iter_mut().zip(&tokens) {
        session.send(dotted(&complaint(token)).as_bytes());
    }
    let replies: Vec<String> = sessions.iter_mut().map(Smtp::reply).collect();
    slow.kill().unwrap();
    slow.wait().unwrap();
    let accepted = |reply: &String| reply.starts_with("250 2.0.0");
    assert!(
        replies
            .iter()
            .all(|reply| accepted(reply) || reply.starts_with("452 4.3.1")),
        "{replies:#?}"
    );
    let kept = replies.iter().filter(|reply| accepted(reply)).count();
    assert!((1..8).contains(&kept), "{replies:#?}");
    running.events(kept);
    running.drained();
    for (name, reply) in names.iter().zip(&replies) {
        assert_eq!(
            running.check(name, Some(1)).is_some(),
            accepted(reply),
            "{name}"
        );
    }
    // The sender that was refused comes again, in the same session.
    for ((session, (token, _)), reply) in sessions.iter_mut().zip(&tokens).zip(&replies) {
        if !accepted(reply) {
            let reply = session.deliver("", &["fbl@fb.example.com"], &complaint(token));
            assert!(accepted(&reply), "{reply}");
        }
    }
    running.events(8);
    running.drained();
    assert_eq!(running.changes().len(), 8);
}

/// Makes every commit of the journal take that long, until the tracer is killed.
fn slow_disk(running: &Running, by: Duration) -> Child {
    let inject = format!("inject=fdatasync,fsync:delay_enter={}", by.as_micros());
    let mut tracer = Command::new("strace")
        .args(["-f", "-p", &running.pid().to_string(), "-P"])
        .arg(running.place().data_dir().join("journal.sqlite-wal"))
        .args([
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            &inject,
            "-o",
            "/dev/null",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace is installed (scripts/test installs it)");
    // strace says "attached" when the process runs under it, thread by thread.
    let mut said = BufReader::new(tracer.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");
    tracer
}

// Bodies and agents are no proof: the token is.
#[test]
fn peers_20_21_22_a_click_acts_whatever_its_body_type_and_agent() {
    let running = Running::sqlite();
    let ways: &[&[&str]] = &[
        // 20
        &["--request", "POST"],
        &["--data", "", "--header", "Content-Type:"],
        // 21
        &["--data", "List-Unsubscribe=One-Click"],
        &[
            "--data",
            "{\"unsubscribe\": tr",
            "--header",
            "Content-Type: application/json",
        ],
        // 22
        &[
            "--data",
            "x",
            "--user-agent",
            "Mozilla/5.0 (compatible; Googlebot/2.1)",
        ],
        &["--data", "x", "--user-agent", "python-requests/2.32"],
        &["--data", "x", "--user-agent", ""],
    ];
    let addresses: Vec<String> = (0..ways.len())
        .map(|i| format!("way{i}@example.net"))
        .collect();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for (arguments, (token, _)) in ways.iter().zip(running.mint(1, &names)) {
        let (status, body) = running.curl(&format!("/u/{token}"), arguments);
        assert_eq!(status, 200, "{arguments:?}: {body}");
    }
    running.events(ways.len());
    running.drained();
    for address in names {
        assert!(running.check(address, Some(1)).is_some(), "{address}");
    }
}

// A scanner follows every link.
#[test]
fn peers_23_gets_do_nothing_however_many() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["scanned@example.net"])[0].0;
    let agent = crate::harness::public_agent();
    for query in ["", "?confirm=1", "?List-Unsubscribe=One-Click"] {
        let url = format!("https://{}/u/{token}{query}", running.public);
        for _ in 0..50 {
            let status = agent.get(&url).call().unwrap().status().as_u16();
            assert_eq!(status, 200, "{query}");
        }
    }
    running.drained();
    assert!(receipts(&running).is_empty());
    assert!(running.check("scanned@example.net", None).is_none());
}

// A token was an encoded address, or its code was cut short or compared byte by byte.
#[test]
fn peers_24_no_letter_of_a_token_may_differ() {
    let running = Running::sqlite();
    let token = running.mint(1, &["keyed@example.net"])[0].0.clone();
    let mut session = running.smtp();
    assert!(session.ask("MAIL FROM:<>").starts_with("250"));
    for at in 0..token.len() {
        let mut wrong = token.clone();
        let other = crate::harness::other_than(token.as_bytes()[at]);
        wrong.replace_range(at..=at, other);
        let reply = session.ask(&format!("RCPT TO:<u-{wrong}@fb.example.com>"));
        assert!(reply.starts_with("550 5.1.1"), "{at}: {reply}");
        // The limit of errors ends a session.
        if at % 10 == 9 {
            session = running.smtp();
            session.ask("MAIL FROM:<>");
        }
    }
    let reply = session.ask(&format!("RCPT TO:<u-{token}@fb.example.com>"));
    assert!(reply.starts_with("250"), "{reply}");
}

// A lookup failed, and the mail went out.
#[test]
fn peers_26_without_a_server_check_is_unknown_and_fails() {
    let running = Running::sqlite();
    let config = running.place().folder.path().join("desist.toml");
    let ask = || {
        Command::new(env!("CARGO_BIN_EXE_desist"))
            .arg("--config")
            .arg(&config)
            .args(["check", "asked@example.net", "--stream", "1"])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let there = ask();
    assert!(there.status.success());
    assert!(String::from_utf8_lossy(&there.stdout).contains("allowed"));
    // The folder stays, as after a crash: only nobody answers any more.
    let place = running.kill();
    let gone = ask();
    assert_eq!(gone.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&gone.stdout), "");
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(said.contains("no answer from http://127.0.0.1:"), "{said}");
    assert!(said.contains("unknown"), "{said}");
    drop(place);
}

// One system folded too much, another too little.
#[test]
fn peers_27_case_is_folded_and_nothing_else() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["First.Last+News@Example.NET"])[0].0;
    running.deliver("", "fbl@fb.example.com", &complaint(token));
    running.events(1);
    running.drained();
    for same in [
        "first.last+news@example.net",
        "FIRST.LAST+NEWS@EXAMPLE.NET",
        " First.Last+News@Example.NET. ",
        "\"First.Last+News\"@example.net",
    ] {
        assert!(running.check(same, Some(1)).is_some(), "{same}");
    }
    for other in [
        "first.last@example.net",
        "firstlast+news@example.net",
        "first.last+other@example.net",
        "first.last+news@mail.example.net",
    ] {
        assert!(running.check(other, None).is_none(), "{other}");
    }
}

// Deleting a group took its suppressions along. Here no stream can be deleted.
#[test]
fn peers_29_a_stream_stays_and_so_do_its_suppressions() {
    let running = with(STREAMS);
    let token = &running.mint(3, &["grouped@example.net"])[0].0;
    running.curl(&format!("/u/{token}"), &["--data", "x"]);
    running.events(1);
    running.drained();
    let status = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .delete(running.url("/v1/streams/3"))
        .header("Authorization", format!("Bearer {}", running.key))
        .call()
        .unwrap()
        .status()
        .as_u16();
    assert!(status == 404 || status == 405, "{status}");
    // Taken out of the config file, too.
    running.terminate();
    let (_, place) = running.ended();
    let without = Place::new(Engine::Sqlite).unwrap();
    std::fs::rename(place.data_dir(), without.data_dir()).unwrap();
    let running = without.start();
    let hit = running.check("grouped@example.net", Some(3)).unwrap();
    assert_eq!(hit["scope"], "stream:3");
}

// A report to the address of RFC 9477 without a valid signature of its sender acted.
#[test]
fn b_031_peers_added_5_a_report_to_cfbl_waits() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["cfbl@example.net"])[0].0;
    let reply = running.deliver("", "cfbl@fb.example.com", &complaint(token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.events(1);
    running.drained();
    assert!(running.check("cfbl@example.net", None).is_none());
    let (_, held) = running.get("/v1/held");
    assert_eq!(held["items"].as_array().unwrap().len(), 1, "{held}");
}

// A token in a return path that somebody's relay wrote in capitals or small letters.
#[test]
fn peers_added_8_the_return_path_in_any_case() {
    let running = Running::sqlite();
    let path = running.mint(1, &["case@example.net"])[0].1.clone();
    for path in [path.to_uppercase(), path.to_lowercase(), path] {
        let reply = running.deliver("", &path, "Subject: Undelivered Mail\n\nSorry.\n");
        assert!(reply.starts_with("250 2.0.0"), "{path}: {reply}");
    }
    let events = running.events(3);
    assert!(
        events.iter().all(|event| event["proof"] == "token"),
        "{events:#?}"
    );
}

// Tokens died after 7, 15 or 90 days, and with every change of key.
#[test]
fn h_007_c_016_peers_added_9_a_token_keeps_verifying() {
    let running = Running::sqlite();
    // Minted when the product was new: nothing in it says when, and no clock is asked.
    let token = running.mint(1, &["years@example.net"])[0].0.clone();
    running.terminate();
    let (_, place) = running.ended();
    let running = place.start();
    assert_eq!(running.mint(1, &["years@example.net"])[0].0, token);
    let (status, _) = running.curl(&format!("/u/{token}"), &["--data", "x"]);
    assert_eq!(status, 200);
    running.events(1);
    running.drained();
    assert!(running.check("years@example.net", Some(1)).is_some());
}

// The second recipient of a report was told 452.
#[test]
fn peers_added_16_one_report_to_several_of_our_mailboxes() {
    let running = Running::sqlite();
    let tokens = running.mint(1, &["several@example.net"]);
    let mut session = running.smtp();
    let own = format!("b-{}@fb.example.com", tokens[0].0);
    session.ask("MAIL FROM:<>");
    for to in [
        "fbl@fb.example.com",
        "cfbl@fb.example.com",
        own.as_str(),
        "abuse@fb.example.com",
    ] {
        let reply = session.ask(&format!("RCPT TO:<{to}>"));
        assert!(reply.starts_with("250 2.1.5"), "{to}: {reply}");
    }
    assert!(session.ask("DATA").starts_with("354"));
    session.send(dotted(&complaint(&tokens[0].0)).as_bytes());
    let reply = session.reply();
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.events(4);
    running.drained();
    assert_eq!(receipts(&running).len(), 4);
    assert!(running.check("several@example.net", Some(1)).is_some());
    assert_eq!(running.changes().len(), 1, "one suppression");
}

// The row went, a mirror of it stayed.
#[test]
fn peers_added_18_what_is_lifted_is_free_at_once() {
    let running = Running::sqlite();
    for round in 0..3 {
        let item = json!({"address": "lifted@example.net", "scope": "all", "reason": "manual"});
        running.post("/v1/suppressions", &json!({"suppressions": [item]}));
        assert!(
            running.check("lifted@example.net", None).is_some(),
            "{round}"
        );
        let lift = json!({"items": [{"address": "lifted@example.net"}], "note": "asked"});
        let (status, answer) = running.post("/v1/suppressions/lift", &lift);
        assert_eq!(
            (status, &answer["indexed"]),
            (200, &json!(true)),
            "{answer}"
        );
        assert!(
            running.check("lifted@example.net", None).is_none(),
            "{round}"
        );
    }
}

// A limit within a batch lost the rest of the batch.
#[test]
fn peers_added_21_pages_of_any_size_give_each_item_once() {
    let running = Running::sqlite();
    let mut wanted: Vec<String> = (0..53).map(|i| format!("page{i:02}@example.net")).collect();
    let items: Vec<Value> = wanted
        .iter()
        .map(|address| json!({"address": address, "scope": "all", "reason": "manual"}))
        .collect();
    let (status, answer) = running.post("/v1/suppressions", &json!({"suppressions": items}));
    assert_eq!(status, 200, "{answer}");
    wanted.sort();
    for limit in [1, 7, 52, 53, 54, 1000] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = running.get(&format!("/v1/suppressions?limit={limit}{after}"));
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit, "{limit}");
            found.extend(
                items
                    .iter()
                    .map(|item| item["address"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found, wanted, "{limit}");
    }
}

// The first reason stood for ever, however weak.
#[test]
fn peers_added_23_the_widest_and_strongest_is_shown() {
    let running = with(STREAMS);
    let token = running.mint(1, &["graver@example.net"])[0].0.clone();
    let shown = |stream| {
        let hit = running.check("graver@example.net", Some(stream))?;
        Some(format!("{} {}", hit["scope"], hit["reason"]).replace('"', ""))
    };
    running.curl(&format!("/u/{token}"), &["--data", "x"]);
    running.events(1);
    running.drained();
    assert_eq!(shown(1).as_deref(), Some("stream:1 unsubscribe"));
    assert_eq!(shown(3), None);
    running.deliver("", "fbl@fb.example.com", &complaint(&token));
    running.events(2);
    running.drained();
    assert_eq!(shown(1).as_deref(), Some("marketing complaint"));
    assert_eq!(shown(3).as_deref(), Some("marketing complaint"));
    let item = json!({"address": "graver@example.net", "scope": "all", "reason": "manual"});
    running.post("/v1/suppressions", &json!({"suppressions": [item]}));
    assert_eq!(shown(1).as_deref(), Some("all manual"));
}

// The contact was deleted, and the opt-out with it.
#[test]
fn peers_added_24_a_click_needs_no_record_of_the_recipient() {
    let running = with("\n[store]\naddresses = \"forget\"\n");
    let token = running.mint(1, &["deleted@example.net"])[0].0.clone();
    // Minting stored nothing.
    let (_, page) = running.get("/v1/suppressions?limit=10");
    assert_eq!(page["items"], json!([]));
    let (status, _) = running.curl(&format!("/u/{token}"), &["--data", "x"]);
    assert_eq!(status, 200);
    running.events(1);
    running.drained();
    assert!(running.check("deleted@example.net", Some(1)).is_some());
    let (_, page) = running.get("/v1/suppressions?limit=10");
    assert!(!page.to_string().contains("deleted@"), "{page}");
}

// What was not understood was acknowledged and gone.
#[test]
fn peers_added_28_an_unknown_report_is_kept() {
    let running = Running::sqlite();
    let report = complaint("nothing")
        .replace("feedback-report", "new-kind-of-report")
        .replace(
            "report-type=feedback-report",
            "report-type=new-kind-of-report",
        );
    let reply = running.deliver("", "fbl@fb.example.com", &report);
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let events = running.events(1);
    assert_eq!(events[0]["kind"], "unrecognised", "{events:#?}");
    let kept = receipts(&running);
    assert_eq!(kept[0]["state"], "unrecognised", "{kept:#?}");
    let id = kept[0]["id"].as_str().unwrap();
    let (status, raw) = running.get(&format!("/v1/receipts/{id}/raw"));
    assert_eq!(status, 200);
    let raw = raw.as_str().unwrap();
    assert!(raw.contains("new-kind-of-report"), "{raw}");
}
