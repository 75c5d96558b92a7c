//! Back-pressure: the mail door waits for a pipeline that is behind, the one-click door does not,
//! and nobody waits for a store that is away.

use desist::model::clock::{Clock, Tick};

use crate::harness::{Engine, Place, Running, complaint};

/// A sample of the metrics, 0 if there is none.
fn sample(running: &Running, name: &str) -> f64 {
    let (_, metrics) = running.get("/metrics");
    let metrics = metrics.as_str().unwrap().to_owned();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let clock = Clock::system();
    let patience = Tick::default().after(std::time::Duration::from_mins(1));
    while !reached() {
        assert!(clock.tick() < patience, "never: {what}");
        std::thread::yield_now();
    }
}

const SLOWED: &str = "desist_slowed_down_total{door=\"smtp\"}";

// A-080, C-013
#[test]
fn the_mail_door_waits_for_a_pipeline_that_is_behind() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let database = running.place().database.as_ref().unwrap();
    // Each transaction of the pipeline takes eight seconds, less than a statement may.
    database.run(
        "create function slow() returns trigger language plpgsql as
             'begin perform pg_sleep(8); return null; end';
         create trigger slow before insert on receipts for each statement execute function slow()",
    );
    let addresses = ["a@example.net", "b@example.net", "c@example.net"];
    let tokens = running.mint(1, &addresses);
    let fbl = "fbl@fb.example.com";
    let deliver = |token: &str| {
        let reply = running.deliver("", fbl, &complaint(token));
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    };
    deliver(&tokens[0].0);
    assert!(sample(&running, SLOWED) < 0.5, "nothing was behind");
    until("two seconds behind", || {
        sample(&running, "desist_oldest_unshipped_seconds") >= 2.1
    });
    deliver(&tokens[1].0);
    assert!(sample(&running, SLOWED) > 0.5, "it waited and was accepted");
    let (status, _) = running.curl(&format!("/u/{}", tokens[2].0), &["--data", "x"]);
    assert_eq!(status, 200);
    assert!(
        sample(&running, "desist_slowed_down_total{door=\"one-click\"}") < 0.5,
        "a click does not wait"
    );
    database.run("drop trigger slow on receipts");
    running.drained();
    for address in addresses {
        assert!(running.check(address, Some(1)).is_some(), "{address}");
    }
}

// C-013
#[test]
fn nobody_waits_for_a_store_that_is_away() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let tokens = running.mint(1, &["a@example.net", "b@example.net"]);
    let database = running.place().database.as_ref().unwrap();
    database.shut();
    running.deliver("", "fbl@fb.example.com", &complaint(&tokens[0].0));
    until("more than two seconds behind", || {
        sample(&running, "desist_oldest_unshipped_seconds") >= 2.1
    });
    running.deliver("", "fbl@fb.example.com", &complaint(&tokens[1].0));
    assert!(sample(&running, SLOWED) < 0.5);
    database.open();
    running.drained();
    assert!(running.check("b@example.net", Some(1)).is_some());
}
