//! A full disk, on a real one: what was acknowledged has its effect once there is room again.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running};

const SETTINGS: &str = "[journal]\ndisk_floor = \"4KiB\"\n\
    [[tenant]]\nname = \"default\"\nnumber = 1\n\
    [[tenant.stream]]\nnumber = 1\nname = \"newsletter\"\nclass = \"marketing\"\n";

/// Takes all the room that is left.
fn fill(file: &Path) {
    let mut ballast = std::fs::File::create(file).unwrap();
    for size in [1 << 20, 4096] {
        while ballast
            .write(&vec![1; size])
            .is_ok_and(|written| written > 0)
        {}
    }
}

fn suppress(running: &Running, round: usize) -> (u16, Value) {
    let note = "n".repeat(2000);
    let items: Vec<Value> = (0..500)
        .map(|number| {
            let address = format!("by-hand-{round}-{number}@example.org");
            json!({"address": address, "scope": "all", "reason": "manual", "note": note})
        })
        .collect();
    running.post("/v1/suppressions", &json!({ "suppressions": items }))
}

#[test]
fn once_there_is_room_again_the_store_is_written_without_a_restart() {
    let place = Place::new(Engine::Sqlite).unwrap().config(SETTINGS);
    let data = place.data_dir();
    std::fs::create_dir(&data).unwrap();
    // A mount that only the server sees and that ends with it.
    let mount = format!(
        "mount -t tmpfs -o size=48M,mode=700 tmpfs '{}' && exec \"$@\"",
        data.display()
    );
    let small_disk = ["unshare", "--mount", "sh", "-c", &mount, "small-disk"];
    let tried = Command::new("unshare")
        .args(&small_disk[1..])
        .arg("true")
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: mounting is not permitted here");
        return;
    }
    let running = place.under(&small_disk).start();
    let people: Vec<String> = (0..60)
        .map(|number| format!("full-{number}@example.com"))
        .collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let tokens = running.mint(1, &names);
    let ballast = running.seen(&data).join("ballast");
    let small = ballast.with_extension("small");
    std::fs::write(&small, vec![1; 6 << 20]).unwrap();
    fill(&ballast);
    let refused = (0..60)
        .map(|round| suppress(&running, round).0)
        .find(|status| *status != 200);
    assert_eq!(refused, Some(503), "{}", running.log());
    // Room for some messages, and not for what becomes of them.
    std::fs::remove_file(small).unwrap();
    let padding = format!("{}\n", "x".repeat(70)).repeat(8000);
    let mut acknowledged = Vec::new();
    for (person, (token, _)) in names.iter().zip(&tokens) {
        let to = format!("u-{token}@fb.example.com");
        let message = format!("From: {person}\nSubject: unsubscribe\n\n{padding}");
        let reply = running.deliver(person, &to, &message);
        if !reply.starts_with("250") {
            assert!(reply.starts_with("452"), "{reply}");
            break;
        }
        acknowledged.push(*person);
    }
    let (some, all) = (acknowledged.len(), names.len());
    assert!((1..all).contains(&some), "{some} of {all} acknowledged");

    std::fs::remove_file(ballast).unwrap();
    running.drained();
    for person in acknowledged {
        assert!(running.check(person, Some(1)).is_some(), "{person}");
    }
    assert_eq!(suppress(&running, 100).0, 200);
    let log = running.log();
    assert!(!log.contains("transaction depth"), "{log}");
}
