//! Many writers at once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use desist::model::suppression::{ChangeOp, SuppressionKey};
use desist::store::{Correction, Decision, EventFilter, Lift, Store, StoreError};
use tokio::task::JoinSet;

use super::world::{
    HOLD, NOW, SUPPRESS, TENANT, World, all_changes, event, manual, recipient_key, standing,
};

/// The future as a task of its own; tests track tasks by joining them all.
#[expect(clippy::disallowed_methods, reason = "joined by the test")]
fn start<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}

pub(super) async fn a_reader_of_the_feed_misses_and_repeats_nothing(world: &World) {
    const WRITERS: u64 = 8;
    const BATCHES: u64 = 30;
    const BATCH: u64 = 5;
    const ALL: u64 = WRITERS * BATCHES * BATCH;
    let stores = [world.open().await, world.open().await];
    let reader = start(follow(world.open().await, usize::try_from(ALL).unwrap()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[usize::try_from(writer % 2).unwrap()].clone();
        let batches: Vec<Vec<_>> = (0..BATCHES)
            .map(|batch| {
                let first = (writer * BATCHES + batch) * BATCH;
                (first..first + BATCH)
                    .map(|recipient| world.complaint(recipient))
                    .collect()
            })
            .collect();
        writers.spawn(async move {
            for batch in batches {
                store.record(&batch, NOW).await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let (changes, events) = reader.await.unwrap();
    let distinct: HashSet<u64> = changes.iter().chain(&events).copied().collect();
    assert_eq!(
        distinct.len(),
        changes.len() + events.len(),
        "nothing is read twice"
    );
    // Changes and events take every place but the first, without a gap.
    let places: BTreeSet<u64> = distinct.into_iter().collect();
    let head = stores[0].head().await.unwrap().seq;
    assert_eq!(places, (2..=head).collect());
    assert_eq!(head, 1 + 2 * ALL);
    assert_eq!(standing(&stores[0]).await.len(), changes.len());
}

/// Reads both feeds while they are written, until each has so many.
async fn follow(store: Store, count: usize) -> (Vec<u64>, Vec<u64>) {
    let (mut changes, mut events) = (Vec::new(), Vec::new());
    let (mut after_change, mut after_event) = (0, 0);
    while changes.len() < count || events.len() < count {
        let (found, place) = store.changes(None, after_change, 37).await.unwrap();
        assert!(found.is_sorted_by(|a, b| a.seq < b.seq));
        changes.extend(found.iter().map(|change| change.seq));
        after_change = place;
        let (found, place) = store
            .events(None, &EventFilter::default(), after_event, 37)
            .await
            .unwrap();
        events.extend(found.iter().map(|event| event.seq));
        after_event = place;
    }
    (changes, events)
}

pub(super) async fn the_same_batch_from_many_nodes_acts_once(world: &World) {
    let batch: Arc<[_]> = (0..100).map(|number| world.complaint(number / 2)).collect();
    let mut nodes = JoinSet::new();
    for _ in 0..6 {
        let (store, batch) = (world.open().await, Arc::clone(&batch));
        nodes.spawn(async move { store.record(&batch, NOW).await.unwrap().new.len() });
    }
    let mut new = 0;
    while let Some(done) = nodes.join_next().await {
        new += done.unwrap();
    }
    assert_eq!(new, 100);
    let store = world.open().await;
    assert_eq!(standing(&store).await.len(), 50);
    assert_eq!(all_changes(&store).await.len(), 50);
    assert_eq!(
        store
            .events(None, &EventFilter::default(), 0, 1000)
            .await
            .unwrap()
            .0
            .len(),
        100
    );
}

pub(super) async fn suppress_and_lift_of_the_same_end_alike_in_feed_and_table(world: &World) {
    let store = world.open().await;
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let store = store.clone();
        let batches: Vec<Vec<_>> = (0..25)
            .map(|round| {
                (0..6)
                    .map(|n| world.complaint((task + round + n) % 10))
                    .collect()
            })
            .collect();
        tasks.spawn(async move {
            for (round, batch) in (0_u64..).zip(batches) {
                if (task + round) % 2 == 0 {
                    let items: Vec<Lift> = (0..10)
                        .rev()
                        .map(|number| Lift {
                            recipients: vec![recipient_key(number)],
                            scope: None,
                            reason: None,
                        })
                        .collect();
                    let lifted = store.lift(TENANT, &items, "note", NOW).await;
                    assert!(lifted.is_ok(), "{lifted:?}");
                } else {
                    store.record(&batch, NOW).await.unwrap();
                    store.suppress(&[manual(round % 10)], NOW).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut replayed: BTreeSet<SuppressionKey> = BTreeSet::new();
    for change in all_changes(&store).await {
        match change.op {
            ChangeOp::Suppress => assert!(replayed.insert(change.key), "began twice"),
            ChangeOp::Lift => assert!(replayed.remove(&change.key), "ended before it began"),
        }
    }
    assert_eq!(replayed, standing(&store).await.into_iter().collect());
}

pub(super) async fn the_last_two_holds_decided_at_once_finish_the_receipt(world: &World) {
    let store = world.open().await;
    for _ in 0..10 {
        let mut verdict = world.verdict(1, &[HOLD]);
        verdict
            .events
            .push(event(verdict.receipt.id, 1, 2, &[HOLD]));
        let ids = [verdict.events[0].id, verdict.events[1].id];
        store.record(&[verdict], NOW).await.unwrap();
        let decide = |id| store.decide(id, Decision::Dismissed, None, NOW);
        let (a, b, c) = tokio::join!(decide(ids[0]), decide(ids[1]), decide(ids[0]));
        let results: [Result<_, StoreError>; 3] = [a, b, c];
        assert_eq!(
            results
                .iter()
                .filter(|result| matches!(result, Ok(Some(_))))
                .count(),
            2
        );
        let (receipt, _) = store.receipt(ids[0].receipt).await.unwrap().unwrap();
        assert_eq!(receipt.state, desist::model::receipt::ReceiptState::Done);
    }
}

// The receipts of a page are corrected by whoever comes first; the other finds nothing to do, and does
// not fail.
pub(super) async fn two_replays_at_once_correct_a_receipt_once(world: &World) {
    let store = world.open().await;
    let read: Vec<_> = (0..50).map(|number| world.verdict(number, &[])).collect();
    store.record(&read, NOW).await.unwrap();
    let corrections: Arc<[Correction]> = (0_u64..)
        .zip(&read)
        .map(|(number, verdict)| Correction {
            receipt: verdict.receipt.clone(),
            tenant: verdict.tenant,
            withdrawn: Vec::new(),
            new: vec![event(verdict.receipt.id, 7, number, &[SUPPRESS])],
        })
        .collect();
    let mut replays = JoinSet::new();
    for _ in 0..4 {
        let (store, corrections) = (world.open().await, Arc::clone(&corrections));
        replays.spawn(async move { store.correct(&corrections, "replay", NOW).await });
    }
    let mut corrected = 0;
    while let Some(done) = replays.join_next().await {
        corrected += done.unwrap().unwrap().recorded.new.len();
    }
    assert_eq!(corrected, 50);
    assert_eq!(standing(&store).await.len(), 50);
    assert_eq!(all_changes(&store).await.len(), 50);
}
