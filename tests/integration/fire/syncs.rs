//! Syncs that fail, of the journal's file and of the store's.

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::killed::random;
use super::ledger::judge;
use super::load::Load;
use super::rounds;
use crate::harness::{Engine, Place, Running, complaint};

/// Lets syncs of some files fail for as long as this lives.
pub(crate) struct Failing(Child);

impl Failing {
    /// `when` as strace's `inject=…:when=` has it.
    pub(crate) fn begin(running: &Running, files: &[&Path], when: &str) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &running.pid().to_string()]);
        for file in files {
            command.arg("-P").arg(file);
        }
        let inject = format!("inject=fdatasync,fsync:error=EIO:when={when}");
        let mut tracer = command
            .args(["-e", "trace=fdatasync,fsync", "-e", &inject])
            .args(["-o", "/dev/null"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed (scripts/test installs it)");
        // strace says "attached" when the process runs under it.
        let mut said = std::io::BufReader::new(tracer.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // What it says later must not stop it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(tracer)
    }

    /// Syncs work again.
    pub(crate) fn end(mut self) {
        // It lets go of the process before it ends.
        super::instance::signal("INT", &[self.0.id()]);
        self.0.wait().unwrap();
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_047_a_failed_sync_is_never_acknowledged() {
    let mut running = Place::new(Engine::Sqlite).unwrap().start();
    let load = Load::start(&running);
    for _ in 0..rounds() {
        load.goes_on("before", 20 + random(50));
        let before = load.progress();
        let journal = running.place().data_dir().join("journal.sqlite-wal");
        let failing = Failing::begin(&running, &[&journal], &(1 + random(30)).to_string());
        // From then on it refuses until restart: what the kernel dropped cannot be known.
        load.wait("refuses", |now| {
            now.refused > before.refused + 10 && now.checks > before.checks + 10
        });
        failing.end();
        let (status, _) = running.get("/readyz/doors");
        assert_eq!(status, 503);
        let after = load.progress().doors;
        let token = running.mint(1, &["late@example.net"])[0].0.clone();
        let reply = running.deliver("", "fbl@fb.example.com", &complaint(&token));
        assert!(reply.starts_with("451 4.3.0 "), "{reply}");
        let (status, _) = running.curl(&format!("/u/{token}"), &["--data", "x"]);
        assert_eq!(status, 503);
        assert_eq!(load.progress().doors, after, "nothing more is acknowledged");
        running = running.kill().start();
        load.aim(&[&running]);
    }
    let known = load.end(&running);
    for refusal in &known.progress.refusals {
        assert!(
            refusal.starts_with("451 4.3.0 ") || refusal.starts_with("503"),
            "{refusal}"
        );
    }
    judge(&running, &known);
}

#[test]
fn a_failed_sync_of_the_store_is_made_good_without_a_restart() {
    let running = Place::new(Engine::Sqlite).unwrap().start();
    let load = Load::start(&running);
    for _ in 0..rounds() {
        load.goes_on("before", 20 + random(50));
        let store =
            ["desist.db", "desist.db-wal"].map(|name| running.place().data_dir().join(name));
        // Some, then all of them.
        for when in [
            format!("{}+{}", 1 + random(5), 2 + random(3)),
            "1+".to_owned(),
        ] {
            let failing = Failing::begin(&running, &[&store[0], &store[1]], &when);
            load.goes_on("the doors go on", 100);
            failing.end();
            let before = load.progress();
            load.wait("writes", |now| now.writes > before.writes + 5);
        }
    }
    let known = load.end(&running);
    assert!(
        known.progress.refusals.is_empty(),
        "{:?}",
        known.progress.refusals
    );
    assert!(
        running.log().contains("the store is away"),
        "syncs have failed"
    );
    judge(&running, &known);
}
