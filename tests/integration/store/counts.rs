//! Counts: exact whoever writes, once for each receipt, and never more names than there is room for.

use std::time::Duration;

use desist::model::bounce::BounceClass;
use desist::model::clock::Timestamp;
use desist::model::event::{Effect, EventKind, Proof};
use desist::store::{Dimension, Paging, Span, Stats, StatsFilter, Store, Verdict};
use tokio::task::JoinSet;

use super::world::{HOLD, NOW, TENANT, World};

const DAY: Duration = Duration::from_hours(24);

fn filter(by: &[Dimension]) -> StatsFilter {
    StatsFilter {
        tenant: Some(TENANT),
        span: Span::Day,
        since: NOW.before(DAY * 2_000),
        until: NOW.after(DAY * 2_000),
        by: by.to_vec(),
        stream: None,
        provider: None,
        reporter: None,
    }
}

async fn sums(store: &Store, filter: &StatsFilter) -> Vec<Stats> {
    let paging = Paging {
        after: None,
        limit: 1_000,
    };
    store.stats(filter, &paging).await.unwrap().items
}

async fn total(store: &Store) -> Stats {
    let [total] = sums(store, &filter(&[])).await.try_into().unwrap();
    total
}

/// A receipt that says that somebody's server refused.
fn refused(world: &World, recipient: u64, provider: &str, proof: Proof) -> Verdict {
    let mut verdict = world.verdict(recipient, &[Effect::Signal]);
    let event = &mut verdict.events[0];
    event.kind = EventKind::Bounce;
    event.proof = proof;
    event.detail.reporter = None;
    event.detail.provider = Some(provider.to_owned());
    event.detail.class = Some(BounceClass::Reputation);
    verdict
}

/// The same at another time.
fn moved(world: &World, verdict: &mut Verdict, at: Timestamp) {
    verdict.receipt.id = world.id_at(at);
    for event in &mut verdict.events {
        event.id.receipt = verdict.receipt.id;
    }
}

pub(super) async fn a_receipt_counts_once_in_its_hour_and_its_day(world: &World) {
    let store = world.open().await;
    let mut batch: Vec<Verdict> = (0..3).map(|n| world.complaint(n)).collect();
    batch.push(world.verdict(4, &[HOLD]));
    batch[3].events[0].proof = Proof::None;
    moved(world, &mut batch[2], NOW.before(Duration::from_hours(1)));
    store.record(&batch, NOW).await.unwrap();
    store.record(&batch, NOW).await.unwrap();
    let by = [Dimension::Time, Dimension::Reporter];
    let days = sums(&store, &filter(&by)).await;
    let told: Vec<(String, &str, u64, u64, u64)> = days
        .iter()
        .map(|day| {
            (
                day.begins.unwrap().to_string(),
                day.reporter.as_deref().unwrap(),
                day.complaints,
                day.unmatched_complaints,
                day.held,
            )
        })
        .collect();
    let today = "2026-11-21T00:00:00Z".to_owned();
    assert_eq!(told, [(today, "example.net", 4, 1, 1)]);
    let hours = StatsFilter {
        span: Span::Hour,
        ..filter(&[Dimension::Time])
    };
    let hours: Vec<(String, u64)> = sums(&store, &hours)
        .await
        .iter()
        .map(|hour| (hour.begins.unwrap().to_string(), hour.complaints))
        .collect();
    let at = |hour: u8| format!("2026-11-21T{hour}:00:00Z");
    assert_eq!(hours, [(at(11), 1), (at(12), 3)]);
}

pub(super) async fn trials_are_not_counted(world: &World) {
    let store = world.open().await;
    let (real, mut trial) = (world.complaint(1), world.complaint(2));
    trial.events[0].detail.synthetic = true;
    trial.events[0].detail.reporter = Some("trial.example".to_owned());
    store.record(&[real, trial], NOW).await.unwrap();
    let by = sums(&store, &filter(&[Dimension::Reporter])).await;
    let reporters: Vec<_> = by.iter().map(|sum| sum.reporter.as_deref()).collect();
    assert_eq!((reporters, by[0].events), (vec![Some("example.net")], 1));
    let (events, _) = store
        .events(None, &EventKind::Complaint.into(), 0, 9)
        .await
        .unwrap();
    let synthetic: Vec<bool> = events.iter().map(|it| it.event.detail.synthetic).collect();
    assert_eq!(synthetic, [false, true]);
}

pub(super) async fn many_writers_lose_nothing(world: &World) {
    const WRITERS: u64 = 6;
    const BATCHES: u64 = 15;
    let stores = [world.open().await, world.open().await];
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[usize::try_from(writer % 2).unwrap()].clone();
        let batches: Vec<Vec<Verdict>> = (0..BATCHES)
            .map(|batch| {
                let provider = |n: u64| format!("mx.p{}.example", (writer + batch + n) % 7);
                (0..5)
                    .map(|n| refused(world, n, &provider(n), Proof::Token))
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
    let by = sums(&stores[0], &filter(&[Dimension::Provider])).await;
    assert_eq!(by.len(), 7);
    assert_eq!(by[0].provider.as_deref(), Some("p0.example"));
    let all: u64 = by.iter().map(|sum| sum.bounces).sum();
    assert_eq!(all, WRITERS * BATCHES * 5);
    let classes = total(&stores[0]).await.bounce_classes;
    assert_eq!(classes, [(BounceClass::Reputation, all)]);
}

// G-032
pub(super) async fn names_beyond_the_room_of_a_day_are_one(world: &World) {
    let store = world.open().await;
    let named = |kind: &str, n: u64| format!("{kind}{n}.example");
    // Unproven names take no room from proven ones.
    let batch: Vec<Verdict> = (0..200)
        .map(|n| refused(world, n, &named("forged", n), Proof::None))
        .chain((0..600).map(|n| refused(world, n, &named("real", n), Proof::Token)))
        .collect();
    for some in batch.chunks(90) {
        store.record(some, NOW).await.unwrap();
    }
    let by = sums(&store, &filter(&[Dimension::Provider])).await;
    let of = |start: &str| {
        let named = by
            .iter()
            .filter(|sum| sum.provider.as_deref().unwrap().starts_with(start));
        named.count()
    };
    assert_eq!((of("forged"), of("real"), by.len()), (50, 500, 551));
    let other = by
        .iter()
        .find(|sum| sum.provider.as_deref() == Some("other"));
    assert_eq!(other.unwrap().bounces, 250);
    assert_eq!(total(&store).await.bounces, 800);
    // Who had a name keeps it; the next day has room again.
    let mut late = refused(world, 1, "new.example", Proof::None);
    moved(world, &mut late, NOW.after(DAY));
    let known = refused(world, 1, "forged1.example", Proof::None);
    store.record(&[known, late], NOW).await.unwrap();
    for (name, bounces) in [("forged1.example", 2), ("new.example", 1)] {
        let one = StatsFilter {
            provider: Some(name.to_owned()),
            ..filter(&[])
        };
        assert_eq!(sums(&store, &one).await[0].bounces, bounces, "{name}");
    }
}

pub(super) async fn nodes_that_count_new_names_at_once_keep_to_the_room(world: &World) {
    let stores = [world.open().await, world.open().await];
    let mut writers = JoinSet::new();
    for writer in 0..4_u64 {
        let store = stores[usize::try_from(writer % 2).unwrap()].clone();
        let batches: Vec<Vec<Verdict>> = (0..5)
            .map(|batch| {
                let name = |n: u64| format!("n{writer}x{batch}x{n}.example");
                let each = (0..10).map(|n| refused(world, n, &name(n), Proof::None));
                each.collect()
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
    let by = sums(&stores[0], &filter(&[Dimension::Provider])).await;
    assert_eq!(by.len(), 51, "50 names and all others");
    assert_eq!(by.iter().map(|sum| sum.bounces).sum::<u64>(), 200);
}

pub(super) async fn old_counts_are_forgotten(world: &World) {
    let store = world.open().await;
    store
        .record(&[refused(world, 1, "a.example", Proof::Token)], NOW)
        .await
        .unwrap();
    let forget = async |days: u32, expected: u64| {
        let mut all = 0;
        loop {
            let some = store.forget_counts(NOW.after(DAY * days)).await.unwrap();
            if some == 0 {
                break;
            }
            all += some;
        }
        assert_eq!(all, expected, "after {days} days");
    };
    forget(14, 0).await;
    forget(15, 1).await;
    // The name and the lock of its budget.
    forget(94, 2).await;
    assert_eq!(total(&store).await.bounces, 1);
    forget(1_098, 0).await;
    forget(1_099, 1).await;
    assert!(sums(&store, &filter(&[])).await.is_empty());
}
