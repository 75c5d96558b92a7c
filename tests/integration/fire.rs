//! Under fire: real processes under a mixed load of SMTP, HTTPS and the API, while everything
//! around them fails. Every fault has the same load (`load`) and the same judgement (`ledger`).
//!
//! The sizes are those that fit into every run of the tests; `DESIST_FIRE=full` runs the full ones,
//! `DESIST_KILL_ROUNDS` says how often the process is killed, and `DESIST_FIRE_ROUNDS` how often
//! each other fault comes.

mod clients;
mod clock;
mod cut;
mod database;
mod disk;
mod feed;
mod idle;
mod instance;
mod killed;
mod ledger;
mod load;
mod slow;
pub(crate) mod syncs;
mod wire;

/// A variable of the environment.
fn told(name: &str) -> Option<String> {
    let mut variables = std::env::vars();
    variables.find_map(|(is, value)| (is == name).then_some(value))
}

/// Whether to take the full sizes.
fn full() -> bool {
    told("DESIST_FIRE").is_some_and(|size| size == "full")
}

/// How often each fault comes.
fn rounds() -> usize {
    told("DESIST_FIRE_ROUNDS").map_or(1, |rounds| {
        rounds.parse().expect("DESIST_FIRE_ROUNDS is a number")
    })
}
