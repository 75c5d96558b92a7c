//! SQLite's log is moved into the file by nobody who has a caller waiting, and stays short.

use std::sync::Arc;
use std::time::Duration;

use desist::model::digest::Digest;
use desist::store::Verdict;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use super::world::{NOW, World};

const MIB: u64 = 1 << 20;

fn large(world: &World, number: u64) -> Verdict {
    let mut verdict = world.complaint(number);
    let mut raw = vec![b'x'; 1 << 20];
    raw[..8].copy_from_slice(&number.to_be_bytes());
    verdict.receipt.digest = Digest::of(&raw);
    verdict.raw = Arc::from(raw);
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_moved_beside_the_writer_and_begins_anew() {
    let world = World::sqlite();
    let store = world.open().await;
    let path = world.url().replace("sqlite:", "");
    let size = |ending: &str| {
        let file = std::fs::metadata(format!("{path}{ending}"));
        file.map_or(0, |file| file.len())
    };
    let stop = CancellationToken::new();
    let (beside, end) = (store.clone(), stop.clone());
    let mut keeping = JoinSet::new();
    keeping.spawn(async move { beside.keep_log_short(&end).await });

    let mut number = 0;
    for round in 1..=3 {
        // 80 MiB, less than a commit would move by itself in all rounds together.
        for _ in 0..8 {
            let batch: Vec<Verdict> = (number..number + 10)
                .map(|number| large(&world, number))
                .collect();
            number += 10;
            store.record(&batch, NOW).await.unwrap();
        }
        let moved = async {
            let mut look = interval(Duration::from_millis(20));
            while size("") < round * 60 * MIB {
                look.tick().await;
            }
        };
        timeout(Duration::from_mins(1), moved)
            .await
            .expect("moved into the file");
    }
    assert!(size("-wal") < 200 * MIB, "{} bytes", size("-wal"));
    stop.cancel();
    keeping.join_all().await;
    store.close().await;
}
