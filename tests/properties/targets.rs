//! The properties: what holds for any bytes whatever. The tests try them on damaged fixtures, the
//! fuzzing (`fuzz/`) on whatever reaches new code.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a property fails by panicking"
)]

#[path = "addresses.rs"]
mod addresses;
#[path = "dialogue.rs"]
mod dialogue;
#[path = "doors.rs"]
mod doors;
#[path = "journal_file.rs"]
mod journal_file;
#[path = "mails.rs"]
mod mails;
#[path = "node.rs"]
mod node;
#[path = "notifications.rs"]
mod notifications;
#[path = "runner.rs"]
mod runner;
#[path = "settings.rs"]
mod settings;
#[path = "tokens.rs"]
mod tokens;
#[path = "world.rs"]
#[expect(dead_code, reason = "another binary of tests uses the rest")]
mod world;

/// What is tried.
#[derive(Debug)]
pub(crate) struct Target {
    /// How it is called, here and in `fuzz/`.
    pub(crate) name: &'static str,
    /// Panics where the property does not hold.
    pub(crate) check: fn(&[u8]),
    /// What to begin with: whole and good input.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: [Target; 13] = [
    target("address", addresses::check, addresses::seeds),
    target("api", doors::api, doors::api_seeds),
    target("arf", mails::complaint, mails::complaint_seeds),
    target("bounce", mails::bounce, mails::bounce_seeds),
    target("command", dialogue::command, dialogue::command_seeds),
    target("config", settings::check, settings::seeds),
    target("data", dialogue::data, dialogue::data_seeds),
    target("finder", tokens::check, tokens::seeds),
    target("journal", journal_file::check, journal_file::seeds),
    target("notification", notifications::check, notifications::seeds),
    target("one-click", doors::one_click, doors::one_click_seeds),
    target("session", dialogue::session, dialogue::session_seeds),
    target("unsubscribe", mails::unsubscribe, mails::unsubscribe_seeds),
];

const fn target(name: &'static str, check: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, check, seeds }
}

/// The target of that name.
pub(crate) fn named(name: &str) -> &'static Target {
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target of that name")
}

/// A file of the project.
fn file(path: &str) -> Vec<u8> {
    std::fs::read(world::root().join(path)).unwrap()
}
