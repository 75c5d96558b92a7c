//! The properties, tried on damaged fixtures.
//!
//! `DESIST_PROPERTY_SECONDS` says how long each is tried (1), `DESIST_PROPERTY_SEED` with which
//! damages; a failure prints both of what it needs to come again: seed and input.
//! `DESIST_PROPERTY_CORPUS` names a folder that the undamaged input is written to, for `scripts/fuzz`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it tried"
)]

mod damage;
#[path = "targets.rs"]
mod targets;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use damage::{Random, damaged};
use targets::{TARGETS, Target, named};

thread_local! {
    /// Panics of this thread: one of its tasks may fail where nobody waits for it.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

#[expect(clippy::disallowed_methods, reason = "set by whoever runs the tests")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the time is what is given")]
fn hold(name: &str) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            usual(info);
        }));
    });
    let target = named(name);
    let seconds = variable("DESIST_PROPERTY_SECONDS").map_or(1, |text| text.parse().unwrap());
    let seed = variable("DESIST_PROPERTY_SEED").map_or_else(drawn, |text| text.parse().unwrap());
    let seeds = (target.seeds)();
    for seed in &seeds {
        try_one(target, seed, "undamaged");
    }
    let mut random = Random::new(seed);
    let (begin, mut count) = (Instant::now(), 0_u64);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let given = &seeds[random.below(seeds.len())];
        let other = &seeds[random.below(seeds.len())];
        let bytes = damaged(given, other, &mut random);
        try_one(
            target,
            &bytes,
            &format!("DESIST_PROPERTY_SEED={seed}, number {count}"),
        );
        count += 1;
    }
    println!("{name}: {count} damaged, of {} seeds", seeds.len());
}

fn drawn() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

fn try_one(target: &Target, bytes: &[u8], which: &str) {
    let before = PANICS.get();
    let held = catch_unwind(AssertUnwindSafe(|| (target.check)(bytes)));
    if held.is_err() || PANICS.get() != before {
        let file = tempfile::Builder::new()
            .prefix("property-")
            .tempfile()
            .unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (_, path) = file.keep().unwrap();
        panic!(
            "{} does not hold: {which}; the input is in {}",
            target.name,
            path.display()
        );
    }
}

macro_rules! properties {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                hold($name);
            }
        )*

        #[test]
        fn every_target_is_tried() {
            let tried = [$($name),*];
            assert_eq!(TARGETS.map(|target| target.name), tried);
        }
    };
}

properties! {
    address: "address",
    api: "api",
    arf: "arf",
    bounce: "bounce",
    command: "command",
    config: "config",
    data: "data",
    finder: "finder",
    journal: "journal",
    notification: "notification",
    one_click: "one-click",
    session: "session",
    unsubscribe: "unsubscribe",
}

#[test]
fn the_seeds_can_be_written() {
    let Some(folder) = variable("DESIST_PROPERTY_CORPUS") else {
        println!("not written: DESIST_PROPERTY_CORPUS names no folder");
        return;
    };
    for target in &TARGETS {
        let folder = std::path::Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
