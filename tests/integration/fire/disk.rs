//! Full disks, on real ones: doors refuse or go on, and once there is room again everything that
//! was acknowledged has its effect, without a restart.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::killed::random;
use super::ledger::judge;
use super::load::Load;
use super::rounds;
use crate::harness::{Engine, Place, Running};

/// The journal goes on to the last byte.
const SETTINGS: &str = "[journal]\ndisk_floor = \"4KiB\"\n";

/// The disks that become full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Journal,
    Store,
    Both,
}

/// A place whose journal and store have a small disk each, which only the server sees and which end
/// with it; `None` where mounting is not permitted.
fn on_small_disks(place: Place) -> Option<Place> {
    let (data, store) = (place.data_dir(), place.folder.path().join("store"));
    let mounts: Vec<String> = [&data, &store]
        .map(|at| {
            std::fs::create_dir(at).unwrap();
            format!(
                "mount -t tmpfs -o size=96M,mode=700 tmpfs '{}'",
                at.display()
            )
        })
        .into();
    let mount = format!("{} && exec \"$@\"", mounts.join(" && "));
    let small_disks = ["unshare", "--mount", "sh", "-c", &mount, "small-disks"];
    let tried = Command::new("unshare")
        .args(&small_disks[1..])
        .arg("true")
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: mounting is not permitted here");
        return None;
    }
    let url = format!("sqlite:{}", store.join("desist.db").display());
    Some(place.stored_at(&url).config(SETTINGS).under(&small_disks))
}

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

fn fill_and_make_room(running: &Running, load: &Load, full: Full) {
    let folder = running.place().folder.path();
    let ballast = ["data", "store"].map(|disk| running.seen(&folder.join(disk)).join("ballast"));
    let ballast = match full {
        Full::Journal => &ballast[..1],
        Full::Store => &ballast[1..],
        Full::Both => &ballast[..],
    };
    load.goes_on("before", 20 + random(50));
    let before = load.progress();
    for file in ballast {
        fill(file);
    }
    load.wait(&format!("{full:?} full"), |now| {
        let checked = now.checks > before.checks + 20;
        let doors = if full == Full::Store {
            now.doors > before.doors + 100
        } else {
            now.refused > before.refused + 10
        };
        let writes = full != Full::Journal || now.writes > before.writes + 5;
        checked && doors && writes
    });
    for file in ballast {
        std::fs::remove_file(file).unwrap();
    }
    let during = load.progress();
    load.wait("room again", |now| {
        now.doors > during.doors + 50 && now.writes > during.writes + 5
    });
}

#[test]
fn a_083_once_there_is_room_again_everything_arrives() {
    let fresh = Place::new(Engine::Sqlite).unwrap();
    let Some(place) = on_small_disks(fresh) else {
        return;
    };
    let running = place.start();
    let load = Load::start(&running);
    for _ in 0..rounds() {
        for full in [Full::Journal, Full::Store, Full::Both] {
            fill_and_make_room(&running, &load, full);
        }
    }
    let known = load.end(&running);
    assert_eq!(known.progress.unchecked, 0, "every check was answered");
    for refusal in &known.progress.refusals {
        assert!(
            refusal.starts_with("452 4.3.1") || refusal.starts_with("503"),
            "{refusal}"
        );
    }
    let log = running.log();
    assert!(!log.contains("transaction depth"), "{log}");
    judge(&running, &known);
}
