//! The database server stops, dies and hangs: doors go on accepting, check answers from memory,
//! `as_of` stands still, and afterwards everything arrives (C-013).

use std::time::Duration;

use super::instance::{Instance, signal};
use super::killed::random;
use super::ledger::judge;
use super::load::Load;
use super::wire::Wire;
use super::{full, rounds};
use crate::harness::Place;

/// No check takes longer, whatever the database does; on a machine that builds and tests.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// One way for the database to be away.
struct Fault {
    name: &'static str,
    begin: fn(&Instance, &Wire),
    end: fn(&Instance, &Wire),
}

const FAULTS: [Fault; 5] = [
    Fault {
        name: "stopped",
        begin: |instance, _| instance.stop("fast"),
        end: |instance, _| instance.begin(),
    },
    Fault {
        name: "stopped at once",
        begin: |instance, _| instance.stop("immediate"),
        end: |instance, _| instance.begin(),
    },
    Fault {
        name: "killed",
        begin: |instance, _| signal("KILL", &instance.processes()),
        end: |instance, _| instance.begin(),
    },
    Fault {
        name: "frozen",
        begin: |instance, _| signal("STOP", &instance.processes()),
        end: |instance, _| signal("CONT", &instance.processes()),
    },
    Fault {
        name: "unreachable without a word",
        begin: |_, wire| wire.go_dead(),
        end: |_, wire| wire.come_back(),
    },
];

/// Doors and check go on; `as_of` does not.
fn goes_on_without(load: &Load, name: &str) -> String {
    load.goes_on(name, 20);
    let before = load.goes_on(name, 50);
    let after = load.goes_on(name, 50 + random(50));
    assert_eq!(before.as_of, after.as_of, "{name}: as_of stands still");
    after.as_of
}

fn moves_on(load: &Load, name: &str, from: &str) {
    load.wait(name, |now| now.as_of != from);
}

#[test]
fn c_013_a_database_that_stops_dies_or_hangs() {
    let Some(instance) = Instance::start() else {
        return;
    };
    let wire = Wire::to(instance.port());
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let running = Place::at(&url).start();
    let load = Load::start(&running);
    // The connections that hang are given up after half a minute only.
    let faults = if full() { &FAULTS[..] } else { &FAULTS[..4] };
    for fault in std::iter::repeat_n(faults, rounds()).flatten() {
        load.goes_on("before", 20 + random(50));
        (fault.begin)(&instance, &wire);
        let as_of = goes_on_without(&load, fault.name);
        (fault.end)(&instance, &wire);
        moves_on(&load, fault.name, &as_of);
    }
    for _ in 0..rounds() {
        load.goes_on("before", 20 + random(50));
        // PostgreSQL itself starts anew when one of its processes dies.
        let as_of = load.progress().as_of;
        let backends = instance.backends();
        signal("KILL", &[backends[random(backends.len())]]);
        load.goes_on("a backend killed", 50);
        moves_on(&load, "a backend killed", &as_of);
    }
    let known = load.end(&running);
    let progress = &known.progress;
    assert!(progress.refusals.is_empty(), "{:?}", progress.refusals);
    assert_eq!(progress.unchecked, 0, "every check was answered");
    assert!(
        progress.slowest_check < CHECK_WITHIN,
        "{:?}",
        progress.slowest_check
    );
    judge(&running, &known);
}
