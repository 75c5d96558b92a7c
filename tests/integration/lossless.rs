//! Nothing acknowledged is lost, nothing happens twice: the real process, watched from below while
//! it acknowledges.

use std::collections::BTreeMap;

use crate::harness::{Engine, Place, Running, complaint};

/// The calls in the order in which they returned; interrupted lines are put together.
fn calls(trace: &str) -> Vec<(String, String)> {
    let mut begun: BTreeMap<String, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let rest = rest.trim_start();
        let whole = if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(pid.to_owned(), first.trim_end().to_owned());
            // What is sent counts from its beginning, what is synced from its end.
            if !is_send(first) {
                continue;
            }
            first.to_owned()
        } else if let Some((_, tail)) = rest.split_once("resumed>") {
            let first = begun.remove(pid).unwrap_or_default();
            if is_send(&first) {
                continue;
            }
            format!("{first}{tail}")
        } else {
            rest.to_owned()
        };
        if let Some((name, arguments)) = whole.split_once('(') {
            calls.push((name.to_owned(), arguments.to_owned()));
        }
    }
    calls
}

fn is_send(call: &str) -> bool {
    ["sendto(", "write(", "writev(", "sendmsg("]
        .iter()
        .any(|name| call.starts_with(name))
}

/// A final answer to a message or a click, on a connection of one of the doors.
fn is_acknowledgement(call: &str, arguments: &str, doors: &[String; 2]) -> bool {
    let [smtp, public] = doors;
    is_send(&format!("{call}("))
        && (arguments.contains(smtp)
            && arguments.contains("\"250 2.0.0 ")
            && arguments.contains("-7")
            || arguments.contains(public) && arguments.contains("HTTP/1.1 200"))
}

#[test]
fn a_080_no_acknowledgement_before_its_data_is_synced() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let trace = place.folder.path().join("trace");
    let place = place.public_without_tls().under(&[
        "strace",
        "-f",
        "-yy",
        "-s",
        "64",
        "-e",
        "trace=fdatasync,fsync,pwrite64,sendto,write,writev,sendmsg",
        "-o",
        trace.to_str().unwrap(),
    ]);
    let running = place.start();
    let tokens = running.mint(1, &["a@example.net", "b@example.net", "c@example.net"]);
    let mut session = running.smtp();
    for (token, _) in &tokens {
        let reply = session.deliver("", &["fbl@fb.example.com"], &complaint(token));
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    }
    for (token, _) in &tokens {
        let url = format!("http://127.0.0.1:{}/u/{token}", running.public.port());
        let response = ureq::post(&url).send("List-Unsubscribe=One-Click").unwrap();
        assert_eq!(response.status().as_u16(), 200);
    }
    running.events(6);
    let doors = [running.smtp, running.public].map(|door| format!("TCP:[{door}->"));
    running.terminate();
    let (_, place) = running.ended();
    let trace = std::fs::read_to_string(place.folder.path().join("trace")).unwrap();

    let (mut written, mut synced, mut acknowledged) = (false, false, 0);
    for (call, arguments) in calls(&trace) {
        let journal = arguments.contains("journal.sqlite-wal>");
        match call.as_str() {
            "pwrite64" if journal => written = true,
            // Bookkeeping may be written behind it, which nobody is told of and nobody waits for.
            "fdatasync" | "fsync" if journal && arguments.contains("= 0") => synced |= written,
            _ if is_acknowledgement(&call, &arguments, &doors) => {
                assert!(
                    synced,
                    "acknowledged before the journal was synced: {arguments}"
                );
                acknowledged += 1;
                // The next one needs a sync of its own.
                (written, synced) = (false, false);
            }
            _ => {}
        }
    }
    assert_eq!(
        acknowledged, 6,
        "every acknowledgement was seen in the trace"
    );
}

#[test]
fn a_082_the_same_bytes_twice_are_one_suppression_and_two_receipts() {
    let running = Running::sqlite();
    let tokens = running.mint(1, &["twice@example.net"]);
    let message = complaint(&tokens[0].0);
    for _ in 0..2 {
        let reply = running.deliver("", "fbl@fb.example.com", &message);
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    }
    running.events(2);
    let (_, receipts) = running.get("/v1/receipts?limit=10");
    assert_eq!(receipts["items"].as_array().unwrap().len(), 2);
    assert_eq!(running.changes().len(), 1);
}

#[test]
fn what_a_store_of_another_epoch_has_lost_is_offered_again() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let tokens = running.mint(1, &["kept@example.net"]);
    let reply = running.deliver("", "fbl@fb.example.com", &complaint(&tokens[0].0));
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    running.events(1);
    running.drained();
    let place = running.kill();
    // A standby takes over that has not seen the last moments.
    let database = place.database.as_ref().unwrap();
    database.run(
        "delete from suppressions; delete from changes; delete from events; delete from receipts",
    );
    std::fs::write(place.data_dir().join("store-epoch"), "another").unwrap();
    let running = place.start();
    running.events(1);
    running.drained();
    assert!(running.check("kept@example.net", Some(1)).is_some());
    // The same epoch as last time: nothing is offered, nothing happens twice.
    let running = running.kill().start();
    running.drained();
    assert_eq!(running.changes().len(), 1);
    assert_eq!(running.log().matches("offering receipts again").count(), 1);
}
