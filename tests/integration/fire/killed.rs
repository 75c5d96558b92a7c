//! Killed with `-9` at random points.

use desist::model::clock::{Clock, Tick};

use super::ledger::judge;
use super::load::Load;
use super::told;
use crate::harness::{Engine, Place};

/// How long rounds go on if their number is not said.
const ROUNDS_TIME: Tick = Tick::from_millis(6_000);

/// A number below `bound`.
pub(super) fn random(bound: usize) -> usize {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    usize::try_from(u32::from_le_bytes(bytes)).unwrap() % bound
}

/// One node on SQLite, two on PostgreSQL: either of them dies.
fn everything_acknowledged_survives(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let rounds: Option<usize> = told("DESIST_KILL_ROUNDS")
        .map(|rounds| rounds.parse().expect("DESIST_KILL_ROUNDS is a number"));
    let clock = Clock::system();
    let other = place
        .database
        .as_ref()
        .map(|database| Place::at(database.url()));
    let mut nodes = vec![place.start()];
    nodes.extend(other.map(Place::start));
    let load = Load::on_nodes(&nodes.iter().collect::<Vec<_>>());
    let mut done = 0;
    while rounds.map_or(done < 2 || clock.tick() < ROUNDS_TIME, |rounds| {
        done < rounds
    }) {
        let enough = load.progress().doors + 20 + random(300);
        load.wait("the load", |now| now.doors >= enough);
        let which = random(nodes.len());
        let node = nodes.remove(which);
        nodes.insert(which, node.kill().start());
        load.aim(&nodes.iter().collect::<Vec<_>>());
        done += 1;
    }
    let refusals = load.progress().refusals;
    assert!(refusals.is_empty(), "refused under load: {refusals:?}");
    let known = load.end_on(&nodes.iter().collect::<Vec<_>>());
    println!("{engine:?}: killed {done} times");
    for node in &nodes {
        judge(node, &known);
    }
}

#[test]
fn a_080_killed_under_load_sqlite() {
    everything_acknowledged_survives(Engine::Sqlite);
}

#[test]
fn a_080_killed_under_load_postgres() {
    everything_acknowledged_survives(Engine::Postgres);
}
