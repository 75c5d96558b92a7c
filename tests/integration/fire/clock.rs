//! The machine's clock is set back and forth while the server runs; its monotonic clock goes on.

use std::path::Path;
use std::process::Command;

use super::ledger::{Act, Item, everything, judge};
use super::load::Load;
use super::rounds;
use crate::harness::{Engine, Place};

/// Steps from the true time: hours, days and years.
const STEPS: [&str; 8] = ["+3h", "-5h", "+2d", "-40d", "+14y", "-50y", "+61m", "+0"];

/// Receipts of one token in an hour.
const AN_HOUR: usize = 2;

/// Sets the server's clock. In one step, so that it is never read half written.
fn set(file: &Path, to: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, to).unwrap();
    std::fs::rename(next, file).unwrap();
}

/// The library that shows a program another time.
fn library() -> String {
    let asked = Command::new("faketime")
        .args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    let asked = asked.expect("faketime is installed (scripts/test installs it)");
    String::from_utf8(asked.stdout).unwrap().trim().to_owned()
}

fn the_clock_is_stepped(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let file = place.folder.path().join("clock");
    set(&file, "+0");
    let (library, at) = (library(), file.display());
    let limit = format!("[limits]\ntoken_receipts_per_hour = {AN_HOUR}\n");
    let place = place.config(&limit).under(&[
        "env",
        &format!("LD_PRELOAD={library}"),
        &format!("FAKETIME_TIMESTAMP_FILE={at}"),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME_DONT_RESET=1",
    ]);
    let running = place.start();
    let load = Load::start(&running);
    let again = running.mint(1, &["again@example.net"])[0].0.clone();
    let again = Item::new(0, "again@example.net".to_owned(), again);
    for step in std::iter::repeat_n(STEPS, rounds()).flatten() {
        load.goes_on("before", 20);
        let before = load.progress().as_of;
        set(&file, step);
        // The head of the feed is reached again and again, whatever the time is.
        let mut now = load.wait(step, |now| now.as_of != before);
        if engine == Engine::Sqlite && step == "+14y" {
            now = load.wait(step, |now| now.as_of.as_str() > "2040");
        }
        load.goes_on(step, 20);
        load.wait(step, |later| later.as_of != now.as_of);
        for _ in 0..3 * AN_HOUR {
            load.doubtful(Act::Click, &again);
            let (status, _) = running.curl(&format!("/u/{}", again.token), &["--data", "x"]);
            assert_eq!(status, 200, "{step}");
        }
    }
    let known = load.end(&running);
    assert_eq!(known.progress.unchecked, 0, "every check was answered");
    assert!(
        known.progress.refusals.is_empty(),
        "{:?}",
        known.progress.refusals
    );
    judge(&running, &known);
    let events = everything(&running, "/v1/events");
    // Every step begins another hour, one may end while the token is clicked, and until the first
    // of them is in the index all are kept.
    let clicks = { &events }
        .iter()
        .filter(|event| event["recipient"] == again.recipient.as_str());
    let (clicks, steps) = (clicks.count(), STEPS.len() * rounds());
    assert!(
        (1..=AN_HOUR * (steps + 4)).contains(&clicks),
        "{clicks} clicks kept"
    );
    // Young mail is there whatever it was dated.
    for event in &events {
        let id = event["receipt"].as_str().unwrap();
        let (status, _) = running.get(&format!("/v1/receipts/{id}/raw"));
        assert_eq!(status, 200, "{event}");
    }
}

#[test]
fn the_clock_is_stepped_sqlite() {
    the_clock_is_stepped(Engine::Sqlite);
}

#[test]
fn the_clock_is_stepped_postgres() {
    the_clock_is_stepped(Engine::Postgres);
}
