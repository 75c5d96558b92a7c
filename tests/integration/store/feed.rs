//! The feed: one counter, cursors, forgetting.

use std::time::Duration;

use desist::model::event::EventKind;
use desist::model::suppression::SuppressionKey;
use desist::model::tenant::{Tenant, TenantId};
use desist::store::{EventFilter, NewSuppression, StoreError};

use super::world::{NOW, TENANT, World, manual};

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
