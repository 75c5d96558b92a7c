//! The image of the index: a start with it knows what a start without it knows, whatever happened
//! to the file or to the store.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::harness::{Engine, Place, Running};

/// Addresses of these tests: more are never suppressed.
const ADDRESSES: u32 = 60;

fn address(number: u32) -> String {
    format!("user{number}@example.com")
}

/// A server whose suppressions are known.
struct World {
    standing: BTreeSet<u32>,
    running: Running,
}

impl World {
    fn begin(engine: Engine) -> Option<Self> {
        let (standing, running) = (BTreeSet::new(), Place::new(engine)?.start());
        Some(Self { standing, running })
    }

    fn suppress(&mut self, numbers: std::ops::Range<u32>) {
        let items: Vec<_> = numbers
            .clone()
            .map(|number| {
                json!({"address": address(number), "scope": "marketing", "reason": "manual",
                    "note": "a test"})
            })
            .collect();
        let (status, _) = self
            .running
            .post("/v1/suppressions", &json!({"suppressions": items}));
        assert_eq!(status, 200);
        self.standing.extend(numbers);
    }

    fn lift(&mut self, numbers: std::ops::Range<u32>) {
        let items: Vec<_> = numbers
            .clone()
            .map(|number| json!({"address": address(number)}))
            .collect();
        let lift = json!({"items": items, "note": "a test"});
        let (status, _) = self.running.post("/v1/suppressions/lift", &lift);
        assert_eq!(status, 200);
        self.standing.retain(|number| !numbers.contains(number));
    }

    /// Ends it orderly.
    fn stop(self) -> Stopped {
        self.assert_true();
        self.running.terminate();
        let (status, place) = self.running.ended();
        assert!(status.success(), "{status}");
        let standing = self.standing;
        Stopped { standing, place }
    }

    fn kill(self) -> Stopped {
        let (standing, place) = (self.standing, self.running.kill());
        Stopped { standing, place }
    }

    /// The index answers what the store holds, and both what was done.
    fn assert_true(&self) {
        let all: Vec<_> = (0..ADDRESSES).map(address).collect();
        let (status, answer) = self.running.post("/v1/check", &json!({"addresses": all}));
        assert_eq!(status, 200);
        let addresses = |items: &Value| -> BTreeSet<String> {
            let items = items.as_array().unwrap().iter();
            items
                .map(|item| item["address"].as_str().unwrap().to_owned())
                .collect()
        };
        let checked = addresses(&answer["suppressed"]);
        let (_, listed) = self.running.get("/v1/suppressions?limit=1000");
        let stored = addresses(&listed["items"]);
        let wanted: BTreeSet<_> = self.standing.iter().copied().map(address).collect();
        assert_eq!(stored, wanted, "the store");
        assert_eq!(checked, wanted, "the index");
    }
}

/// What a server has left.
struct Stopped {
    standing: BTreeSet<u32>,
    place: Place,
}

/// How a start has filled the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Image,
    Scan,
}

impl Stopped {
    /// Starts a server here; it must have filled its index in that way, and answer the truth.
    fn start(self, wanted: Filled) -> World {
        let said = |log: &str, text: &str| log.matches(text).count();
        let log = self.place.folder.path().join("log");
        let before = said(
            &fs::read_to_string(log).unwrap(),
            "index loaded from its image",
        );
        let running = self.place.start();
        let after = said(&running.log(), "index loaded from its image");
        let filled = if after > before {
            Filled::Image
        } else {
            Filled::Scan
        };
        assert_eq!(filled, wanted, "{}", running.log());
        let standing = self.standing;
        let world = World { standing, running };
        world.assert_true();
        world
    }

    fn image(&self) -> PathBuf {
        self.place.data_dir().join("index.image")
    }

    fn store(&self) -> PathBuf {
        self.place.data_dir().join("desist.db")
    }

    /// Runs a statement on the store's file.
    fn run(&self, sql: &'static str) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let url = format!("sqlite:{}", self.store().display());
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }
}

fn a_start_after_a_stop(engine: Engine) {
    let Some(mut world) = World::begin(engine) else {
        return;
    };
    world.suppress(0..40);
    world.lift(5..10);
    let mut world = world.stop().start(Filled::Image);
    world.suppress(5..7);
    world.lift(30..40);
    // Killed: the image is that of the stop before.
    let mut world = world.kill().start(Filled::Image);
    world.lift(0..3);
    drop(world.stop().start(Filled::Image));
}

#[test]
fn a_start_after_a_stop_knows_the_same_sqlite() {
    a_start_after_a_stop(Engine::Sqlite);
}

#[test]
fn a_start_after_a_stop_knows_the_same_postgres() {
    a_start_after_a_stop(Engine::Postgres);
}

#[test]
fn an_older_image_is_brought_up_to_the_feed() {
    let mut world = World::begin(Engine::Sqlite).unwrap();
    world.suppress(0..20);
    let stopped = world.stop();
    let old = fs::read(stopped.image()).unwrap();
    let mut world = stopped.start(Filled::Image);
    world.lift(0..10);
    world.suppress(5..8);
    world.suppress(30..50);
    world.lift(40..45);
    let stopped = world.stop();
    assert_ne!(fs::read(stopped.image()).unwrap(), old);
    fs::write(stopped.image(), &old).unwrap();
    let stopped = stopped.start(Filled::Image).stop();
    // A feed that begins behind it cannot bring it up.
    fs::write(stopped.image(), &old).unwrap();
    stopped.run("delete from changes; update feed set trimmed = seq;");
    drop(stopped.start(Filled::Scan));
}

#[test]
fn a_damaged_image_is_replaced() {
    let mut world = World::begin(Engine::Sqlite).unwrap();
    world.suppress(0..20);
    let mut stopped = world.stop();
    let whole = fs::read(stopped.image()).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (case, bytes) in [
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("a byte among the entries", flipped(whole.len() / 2)),
        ("the checksum", flipped(whole.len() - 1)),
        ("a newer format", flipped(11)),
    ] {
        println!("{case}");
        fs::write(stopped.image(), bytes).unwrap();
        let world = stopped.start(Filled::Scan);
        stopped = world.stop().start(Filled::Image).stop();
    }
    // Killed between writing and renaming.
    fs::write(stopped.image().with_extension("new"), &whole[..100]).unwrap();
    let mut world = stopped.start(Filled::Image);
    world.suppress(20..25);
    let stopped = world.stop();
    assert!(!stopped.image().with_extension("new").exists());
    drop(stopped.start(Filled::Image));
}

#[test]
fn the_image_of_another_store_is_not_used() {
    let mut world = World::begin(Engine::Sqlite).unwrap();
    world.suppress(0..20);
    let mut stopped = world.stop();
    for suffix in ["", "-wal", "-shm"] {
        let file = stopped.place.data_dir().join(format!("desist.db{suffix}"));
        drop(fs::remove_file(file));
    }
    stopped.standing.clear();
    let mut world = stopped.start(Filled::Scan);
    world.suppress(10..15);
    drop(world.stop().start(Filled::Image));
}

#[test]
fn the_image_of_another_past_of_the_store_is_not_used() {
    let mut world = World::begin(Engine::Sqlite).unwrap();
    world.suppress(0..20);
    let stopped = world.stop();
    let (backup, standing) = (fs::read(stopped.store()).unwrap(), stopped.standing.clone());
    let mut world = stopped.start(Filled::Image);
    world.suppress(20..30);
    let mut stopped = world.stop();
    let newer = fs::read(stopped.image()).unwrap();

    // An older copy of the store in its place: the image is beyond its feed.
    fs::write(stopped.store(), backup).unwrap();
    stopped.standing = standing;
    let mut world = stopped.start(Filled::Scan);
    // Its feed grows beyond the image's place, with other changes.
    world.suppress(40..55);
    let stopped = world.stop();
    fs::write(stopped.image(), newer).unwrap();
    drop(stopped.start(Filled::Scan));
}

// Most senders have a feed like that: few changes, older than what is kept.
#[test]
fn a_feed_that_keeps_nothing_any_more_still_fills_the_index() {
    for (sql, wanted) in [
        // All that the image has seen is forgotten, and nothing else.
        (
            "delete from changes; update feed set trimmed = seq",
            Filled::Image,
        ),
        // Places were taken by events since; the last change forgotten is among the last places.
        (
            "delete from changes; update feed set trimmed = seq + 5000, seq = seq + 10000",
            Filled::Scan,
        ),
    ] {
        let mut world = World::begin(Engine::Sqlite).unwrap();
        world.suppress(0..20);
        let stopped = world.stop();
        stopped.run(sql);
        let stopped = stopped.start(wanted).stop();
        fs::remove_file(stopped.image()).unwrap();
        let mut world = stopped.start(Filled::Scan);
        world.suppress(20..30);
        drop(world.stop().start(Filled::Image));
    }
}
