//! The feed: one counter, cursors, forgetting.

use std::time::Duration;

use desist::model::event::{EventKind, Proof};
use desist::model::reporter::meant;
use desist::model::suppression::SuppressionKey;
use desist::model::tenant::{Tenant, TenantId};
use desist::store::{EventFilter, NewSuppression, Store, StoreError};

use super::world::{NOW, TENANT, World, manual, recipient_key};

pub(super) async fn changes_and_events_share_one_counter(world: &World) {
    let store = world.open().await;
    // 1 is the first directory. Two events, of which one suppresses: 2, 3 and 4.
    let recorded = store
        .record(&[world.complaint(1), world.verdict(2, &[])], NOW)
        .await
        .unwrap();
    assert_eq!(recorded.seq, Some(4));
    store.suppress(&[manual(3)], NOW).await.unwrap();
    let (changes, place) = store.changes(None, 0, 100).await.unwrap();
    assert_eq!(
        changes.iter().map(|change| change.seq).collect::<Vec<_>>(),
        [4, 5]
    );
    assert_eq!(place, 5);
    let (events, place) = store
        .events(None, &EventFilter::default(), 0, 100)
        .await
        .unwrap();
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [2, 3]
    );
    // A reader of events goes on behind the head, not behind the last event.
    assert_eq!(place, 5);
    // A full answer goes on behind its last item.
    let (changes, place) = store.changes(None, 0, 1).await.unwrap();
    assert_eq!((changes.len(), place), (1, 4));
    let (changes, place) = store.changes(None, place, 1).await.unwrap();
    assert_eq!((changes.len(), place), (1, 5));
    let (changes, place) = store.changes(None, place, 1).await.unwrap();
    assert_eq!((changes.len(), place), (0, 5));
}

pub(super) async fn a_tenant_sees_its_own(world: &World) {
    let store = world.open().await;
    let other = TenantId::new(2).unwrap();
    let tenant = Tenant {
        id: other,
        name: "b".to_owned(),
        domain: None,
        title: None,
    };
    let seq = store.put_tenant(&tenant, NOW).await.unwrap();
    assert_eq!(seq, Some(2));
    let key = SuppressionKey {
        tenant: other,
        ..manual(1).key
    };
    store
        .suppress(&[NewSuppression { key, ..manual(1) }, manual(1)], NOW)
        .await
        .unwrap();
    let mut verdict = world.verdict(1, &[]);
    verdict.events[0].tenant = Some(other);
    store.record(&[verdict], NOW).await.unwrap();

    let (changes, place) = store.changes(Some(other), 0, 100).await.unwrap();
    assert_eq!((changes.len(), changes[0].key.tenant, place), (1, other, 5));
    assert_eq!(
        store.changes(Some(TENANT), 0, 100).await.unwrap().0.len(),
        1
    );
    assert_eq!(store.changes(None, 0, 100).await.unwrap().0.len(), 2);
    assert_eq!(
        store
            .events(Some(TENANT), &EventFilter::default(), 0, 100)
            .await
            .unwrap()
            .0
            .len(),
        0
    );
    assert_eq!(
        store
            .events(Some(other), &EventFilter::default(), 0, 100)
            .await
            .unwrap()
            .0
            .len(),
        1
    );
}

pub(super) async fn events_are_filtered_by_kind(world: &World) {
    let store = world.open().await;
    let mut bounce = world.complaint(1);
    bounce.events[0].kind = EventKind::Bounce;
    store
        .record(&[bounce, world.complaint(2)], NOW)
        .await
        .unwrap();
    for tenant in [None, Some(TENANT)] {
        let events = store
            .events(tenant, &EventKind::Bounce.into(), 0, 9)
            .await
            .unwrap()
            .0;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event.kind, EventKind::Bounce);
        let (none, place) = store
            .events(tenant, &EventKind::Delay.into(), 0, 9)
            .await
            .unwrap();
        assert_eq!((none.len(), place), (0, 5));
    }
}

/// Events of two tenants and of none, with several proofs, from several reporters; each of another
/// recipient: 0, 1 and so on.
async fn events_of_many_kinds(world: &World, store: &Store) {
    let mut batch = Vec::new();
    for (number, told) in (0..).zip([
        "1 complaint token mx1.Example.org -",
        "1 complaint none mx2.example.org. Loop/2",
        "1 bounce none [192.0.2.1] -",
        "1 unsubscribe none - Loop/1.0",
        "2 complaint none example.org -",
        "- complaint none example.org -",
        "1 delivered operator - -",
    ]) {
        let mut words = told
            .split(' ')
            .map(|word| Some(word).filter(|word| *word != "-"));
        let mut verdict = world.verdict(number, &[]);
        let event = &mut verdict.events[0];
        let tenant = words.next().unwrap();
        event.tenant = tenant.map(|number| TenantId::new(number.parse().unwrap()).unwrap());
        event.kind = words.next().unwrap().unwrap().parse().unwrap();
        event.proof = words.next().unwrap().unwrap().parse().unwrap();
        event.detail.reporter = words.next().unwrap().map(str::to_owned);
        event.detail.user_agent = words.next().unwrap().map(str::to_owned);
        batch.push(verdict);
    }
    store.record(&batch, NOW).await.unwrap();
}

/// Tenant, kind, proof and reporter that are asked for, and the recipients of what is found.
type Asked = (
    Option<u32>,
    &'static str,
    &'static str,
    &'static str,
    &'static [u64],
);

#[rustfmt::skip]
const FILTERS: [Asked; 17] = [
    (Some(1), "", "none", "", &[1, 2, 3]),
    (Some(1), "", "operator", "", &[6]),
    (Some(1), "", "authenticated", "", &[]),
    (Some(1), "complaint", "none", "", &[1]),
    (Some(1), "delivered", "none", "", &[]),
    (Some(1), "", "", "example.org", &[0, 1]),
    (Some(1), "", "", "MX9.example.org", &[0, 1]),
    (Some(1), "", "", "loop", &[1, 3]),
    (Some(1), "", "", "LOOP/7", &[1, 3]),
    (Some(1), "", "", "192.0.2.1", &[]),
    (Some(1), "", "none", "example.org", &[1]),
    (Some(1), "bounce", "none", "example.org", &[]),
    (Some(2), "", "none", "example.org", &[4]),
    (Some(3), "", "", "example.org", &[]),
    (None, "", "", "example.org", &[0, 1, 4, 5]),
    (None, "", "none", "", &[1, 2, 3, 4, 5]),
    (None, "complaint", "none", "example.org", &[1, 4, 5]),
];

fn filter(kind: &str, proof: &str, reporter: &str) -> EventFilter {
    EventFilter {
        kind: kind.parse().ok(),
        proof: proof.parse().ok(),
        reporter: meant(reporter),
        recipients: Vec::new(),
    }
}

/// All that a filter finds, in pages of one.
async fn found(store: &Store, tenant: Option<u32>, filter: &EventFilter) -> Vec<u64> {
    let tenant = tenant.map(|number| TenantId::new(number).unwrap());
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let (page, place) = store.events(tenant, filter, after, 1).await.unwrap();
        let Some(one) = page.first() else {
            assert_eq!(place, store.head().await.unwrap().seq);
            return found;
        };
        let recipient = one.event.recipient;
        found.push(
            (0..7)
                .find(|number| Some(recipient_key(*number)) == recipient)
                .unwrap(),
        );
        after = place;
    }
}

pub(super) async fn events_are_filtered_by_proof_and_reporter(world: &World) {
    let store = world.open().await;
    events_of_many_kinds(world, &store).await;
    for (tenant, kind, proof, reporter, wanted) in FILTERS {
        let filter = filter(kind, proof, reporter);
        assert_eq!(found(&store, tenant, &filter).await, wanted, "{filter:?}");
    }
    // Of one recipient likewise.
    for (proof, reporter, wanted) in [
        ("none", "", 1),
        ("token", "", 0),
        ("none", "mx.example.org", 1),
    ] {
        let filter = EventFilter {
            recipients: vec![recipient_key(1)],
            ..filter("", proof, reporter)
        };
        assert_eq!(
            found(&store, Some(1), &filter).await.len(),
            wanted,
            "{filter:?}"
        );
    }
}

pub(super) async fn events_of_an_earlier_version_are_found_once_they_are_marked(world: &World) {
    let store = world.open().await;
    events_of_many_kinds(world, &store).await;
    // As an update leaves them.
    world.number("delete from event_marks").await;
    world
        .number("update feed set marked = 0, unmarked = seq")
        .await;
    let last = store.head().await.unwrap().seq;
    store.record(&[world.complaint(5)], NOW).await.unwrap();
    let by = filter("", "", "example.org");
    let not_yet = store.events(Some(TENANT), &by, last - 1, 9).await;
    assert!(
        matches!(not_yet, Err(StoreError::NotYet { .. })),
        "{not_yet:?}"
    );
    let proven = store
        .events(Some(TENANT), &filter("", "none", ""), 0, 9)
        .await;
    assert!(
        matches!(proven, Err(StoreError::NotYet { .. })),
        "{proven:?}"
    );
    // What needs no marks is found, and so is what has come since.
    assert_eq!(
        found(&store, None, &filter("", "none", "")).await,
        [1, 2, 3, 4, 5]
    );
    let since = filter("", "", "fbl.example.net");
    let (since, _) = store.events(Some(TENANT), &since, last, 9).await.unwrap();
    assert_eq!(since.len(), 1);

    assert_eq!(store.mark_events().await.unwrap(), 7);
    assert_eq!(store.mark_events().await.unwrap(), 0);
    for (tenant, kind, proof, reporter, wanted) in FILTERS {
        let filter = filter(kind, proof, reporter);
        assert_eq!(found(&store, tenant, &filter).await, wanted, "{filter:?}");
    }
}

pub(super) async fn many_events_are_marked_step_by_step(world: &World) {
    let store = world.open().await;
    let batch: Vec<_> = (0..2_500)
        .map(|number| world.verdict(number, &[]))
        .collect();
    for part in batch.chunks(1_000) {
        store.record(part, NOW).await.unwrap();
    }
    world.number("delete from event_marks").await;
    world
        .number("update feed set marked = 0, unmarked = seq")
        .await;
    // Two nodes at once do no harm.
    let other = world.open().await;
    let marked = async |store: &Store| {
        while store.mark_events().await.unwrap() > 0 {}
    };
    let more = async {
        for number in 2_500..2_520 {
            let verdict = world.verdict(number, &[]);
            store.record(&[verdict], NOW).await.unwrap();
        }
    };
    tokio::join!(marked(&store), marked(&other), more);
    // One for their kind and proof and one for their reporter, of each 128 places.
    assert_eq!(world.number("select count(*) from event_marks").await, 40);
    let by = filter("complaint", "token", "fbl.example.net");
    let (events, _) = store.events(Some(TENANT), &by, 0, 10_000).await.unwrap();
    assert_eq!(events.len(), 2_520);
}

pub(super) async fn few_among_many_events_are_found(world: &World) {
    let store = world.open().await;
    let mut rare = Vec::new();
    let mut batch = Vec::new();
    for number in 0..6_000 {
        let mut verdict = world.verdict(number, &[]);
        let event = &mut verdict.events[0];
        // In more parts of the feed than one statement reads, some beside each other, some not.
        if number < 3_000 && number % 100 == 7 || number % 1_000 == 8 {
            event.proof = Proof::None;
            event.detail.reporter = Some("rare.example.org".to_owned());
            rare.push(event.recipient.unwrap());
        }
        batch.push(verdict);
    }
    for part in batch.chunks(1_000) {
        store.record(part, NOW).await.unwrap();
    }
    let head = store.head().await.unwrap().seq;
    for filter in [
        filter("", "none", ""),
        filter("", "", "example.org"),
        filter("complaint", "none", "example.org"),
    ] {
        for tenant in [Some(TENANT), None] {
            for limit in [1, 5, 36, 10_000] {
                let mut found = Vec::new();
                let mut after = 0;
                while after < head {
                    let (page, place) = store.events(tenant, &filter, after, limit).await.unwrap();
                    let read = u32::try_from(page.len()).unwrap();
                    assert!(read <= limit && place > after);
                    assert!(read == limit || place == head);
                    found.extend(page.iter().map(|one| one.event.recipient.unwrap()));
                    after = place;
                }
                assert_eq!(found, rare, "{limit} of {filter:?}");
            }
        }
    }
}

pub(super) async fn forgetting_makes_old_cursors_gone(world: &World) {
    let store = world.open().await;
    let day = Duration::from_hours(24);
    store.suppress(&[manual(1), manual(2)], NOW).await.unwrap();
    store.suppress(&[manual(3)], NOW.after(day)).await.unwrap();
    // Changes 2, 3 and 4.
    assert_eq!(store.forget_feed_before(NOW).await.unwrap(), 0);
    assert_eq!(store.changes(None, 0, 9).await.unwrap().0.len(), 3);
    assert_eq!(store.forget_feed_before(NOW.after(day)).await.unwrap(), 2);
    assert_eq!(store.forget_feed_before(NOW.after(day)).await.unwrap(), 0);
    let gone = |result| matches!(result, Err(StoreError::Gone(3)));
    assert!(gone(store.changes(None, 1, 9).await));
    assert!(gone(store.changes(None, 2, 9).await));
    // Whoever has read up to 3 misses nothing; nor does who begins.
    assert_eq!(store.changes(None, 3, 9).await.unwrap().0.len(), 1);
    assert_eq!(store.changes(None, 0, 9).await.unwrap().0.len(), 1);
    assert_eq!(
        store.forget_feed_before(NOW.after(day * 2)).await.unwrap(),
        1
    );
    assert!(matches!(
        store.changes(None, 3, 9).await,
        Err(StoreError::Gone(4))
    ));
    assert_eq!(store.changes(None, 4, 9).await.unwrap(), (vec![], 4));
    // What stands is not forgotten.
    assert_eq!(super::world::standing(&store).await.len(), 3);
}

pub(super) async fn a_cursor_of_the_future_is_gone(world: &World) {
    let store = world.open().await;
    let gone = store.changes(None, 2, 9).await.unwrap_err();
    assert!(matches!(gone, StoreError::Gone(_)));
    assert!(gone.to_string().contains("never reached"), "{gone}");
    assert!(matches!(
        store.events(None, &EventFilter::default(), 2, 9).await,
        Err(StoreError::Gone(_))
    ));
    assert_eq!(store.changes(None, 1, 9).await.unwrap(), (vec![], 1));
    assert!(store.changes(None, u64::MAX, u32::MAX).await.is_err());
    assert_eq!(store.changes(None, 0, 0).await.unwrap(), (vec![], 1));
}

pub(super) async fn the_head_has_the_time(world: &World) {
    let store = world.open().await;
    let head = store.head().await.unwrap();
    let again = store.head().await.unwrap();
    // The engine's clock, within an hour of this machine's.
    let now = desist::model::clock::Clock::system().now();
    assert!(head.now > now.before(Duration::from_hours(1)));
    assert!(head.now < now.after(Duration::from_hours(1)));
    assert!(head.now <= again.now);
}
