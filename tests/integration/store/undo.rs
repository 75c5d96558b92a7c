//! What a visit of the page has begun is ended by its undo, in whatever order the two are stored.

use desist::metrics::Metrics;
use desist::model::event::{Effect, EventKind};
use desist::model::receipt::Door;
use desist::model::suppression::{ChangeOp, Reason, Scope, SuppressionKey};
use desist::store::{Recorded, StoreError, Verdict};

use super::world::{NOW, SUPPRESS, World, all_changes, key, standing};

const VISIT: &str = "000102030405060708090a0b0c0d0e0f";
const OTHER: &str = "ffffffffffffffffffffffffffffffff";

const OPT_OUT: Effect = Effect::Suppress {
    scope: Scope::Stream(3),
    reason: Reason::Unsubscribe,
};

fn opted_out(recipient: u64) -> SuppressionKey {
    key(recipient, Scope::Stream(3), Reason::Unsubscribe)
}

/// A press of the page's button.
fn pressed(world: &World, recipient: u64, effect: Effect, body: &str) -> Verdict {
    let mut verdict = world.verdict(recipient, &[effect]);
    verdict.receipt.door = Door::OneClick;
    verdict.raw = body.as_bytes().into();
    verdict.receipt.digest = desist::model::digest::Digest::of(&verdict.raw);
    if effect == Effect::Undo {
        verdict.events[0].kind = EventKind::Undo;
    }
    verdict
}

fn unsubscribe(world: &World, recipient: u64, visit: &str) -> Verdict {
    let body = format!("List-Unsubscribe=One-Click&visit={visit}");
    pressed(world, recipient, OPT_OUT, &body)
}

fn undo(world: &World, recipient: u64, visit: &str) -> Verdict {
    pressed(world, recipient, Effect::Undo, &format!("undo={visit}0123"))
}

pub(super) async fn an_undo_that_is_stored_first_finds_its_opt_out(world: &World) {
    let store = world.open().await;
    let (mut first, second) = (unsubscribe(world, 1, VISIT), undo(world, 1, VISIT));
    // Another visit's opt-out by the same reader stands, whichever is stored when.
    let another = unsubscribe(world, 2, OTHER);
    let not_that = undo(world, 2, VISIT);
    store.record(&[second, not_that], NOW).await.unwrap();
    let recorded = store.record(&[first.clone(), another], NOW).await.unwrap();
    assert_eq!(recorded.new.len(), 2);
    assert_eq!(standing(&store).await, [opted_out(2)]);
    assert_eq!(recorded.seq, Some(store.head().await.unwrap().seq));
    // What was pressed behind the undo stands.
    first.receipt.at = NOW.after(std::time::Duration::from_secs(1));
    first.receipt.id = world.id();
    first.events[0].id.receipt = first.receipt.id;
    store.record(&[first], NOW).await.unwrap();
    let mut both = [opted_out(1), opted_out(2)];
    both.sort();
    assert_eq!(standing(&store).await, both);
}

pub(super) async fn an_undo_ends_only_what_its_visit_has_begun(world: &World) {
    let store = world.open().await;
    let unsubscribed = unsubscribe(world, 1, VISIT);
    store
        .record(&[unsubscribed.clone(), world.complaint(1)], NOW)
        .await
        .unwrap();
    store
        .suppress(&[super::world::manual(1)], NOW)
        .await
        .unwrap();
    store.record(&[undo(world, 1, OTHER)], NOW).await.unwrap();
    assert_eq!(standing(&store).await.len(), 3, "another visit's");
    store.record(&[undo(world, 2, VISIT)], NOW).await.unwrap();
    assert_eq!(standing(&store).await.len(), 3, "another recipient's");
    let taken_back = undo(world, 1, VISIT);
    store
        .record(std::slice::from_ref(&taken_back), NOW)
        .await
        .unwrap();
    let left = standing(&store).await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(!left.contains(&opted_out(1)));
    // Replayed, neither does anything.
    let before = all_changes(&store).await.len();
    store
        .record(&[unsubscribed, taken_back], NOW)
        .await
        .unwrap();
    assert_eq!(all_changes(&store).await.len(), before);
}

pub(super) async fn one_batch_is_settled_in_the_order_of_its_receipts(world: &World) {
    let store = world.open().await;
    let batch = [
        unsubscribe(world, 1, VISIT),
        unsubscribe(world, 2, VISIT),
        undo(world, 1, VISIT),
        undo(world, 2, VISIT),
        unsubscribe(world, 2, OTHER),
        world.complaint(3),
    ];
    let recorded = store.record(&batch, NOW).await.unwrap();
    assert_eq!(recorded.new.len(), batch.len());
    let complained = key(3, Scope::Marketing, Reason::Complaint);
    let mut expected = [opted_out(2), complained];
    expected.sort();
    assert_eq!(standing(&store).await, expected);
    let changes = all_changes(&store).await;
    assert_eq!(changes.len(), 6, "{changes:?}");
    assert_eq!(recorded.seq, Some(store.head().await.unwrap().seq));
}

pub(super) async fn an_opt_out_and_its_undo_at_once_leave_nothing(world: &World) {
    let (one, other) = (world.open().await, world.open().await);
    for recipient in 0..50 {
        let opt_out = [unsubscribe(world, recipient, VISIT)];
        let back = [undo(world, recipient, VISIT)];
        let (first, second) = tokio::join!(one.record(&opt_out, NOW), other.record(&back, NOW));
        assert_eq!(
            (first.unwrap().new.len(), second.unwrap().new.len()),
            (1, 1)
        );
    }
    assert_eq!(standing(&one).await, []);
}

// Whoever opts out in another way while a visit's opt-out stands is not asked again when that is taken
// back: it stands by theirs from then on, in every order, also through many visits.
pub(super) async fn an_opt_out_that_came_since_takes_the_place(world: &World) {
    let store = world.open().await;
    let plain = |recipient| pressed(world, recipient, OPT_OUT, "List-Unsubscribe=One-Click");
    // Later, in a batch of its own; in the same batch; before the undo that is stored first.
    store
        .record(&[unsubscribe(world, 1, VISIT)], NOW)
        .await
        .unwrap();
    store.record(&[plain(1)], NOW).await.unwrap();
    let seq = store
        .record(&[undo(world, 1, VISIT)], NOW)
        .await
        .unwrap()
        .seq;
    assert_eq!(seq, Some(store.head().await.unwrap().seq));
    let batch = [
        unsubscribe(world, 2, VISIT),
        plain(2),
        undo(world, 2, VISIT),
    ];
    store.record(&batch, NOW).await.unwrap();
    let (first, second) = (unsubscribe(world, 3, VISIT), plain(3));
    store.record(&[undo(world, 3, VISIT)], NOW).await.unwrap();
    store.record(&[first, second], NOW).await.unwrap();
    let all = [opted_out(1), opted_out(2), opted_out(3)];
    let mut expected = all.to_vec();
    expected.sort();
    assert_eq!(standing(&store).await, expected);
    // They stand by events that no undo takes back.
    for (recipient, visit) in [(1, VISIT), (2, VISIT), (3, VISIT), (1, OTHER)] {
        store
            .record(&[undo(world, recipient, visit)], NOW)
            .await
            .unwrap();
    }
    assert_eq!(standing(&store).await, expected);
    // The feed tells of it: whoever follows it has what stands.
    let mut followed = std::collections::BTreeSet::new();
    for change in all_changes(&store).await {
        match change.op {
            ChangeOp::Suppress => followed.insert(change.key),
            ChangeOp::Lift => followed.remove(&change.key),
        };
    }
    assert_eq!(followed.into_iter().collect::<Vec<_>>(), expected);
}

pub(super) async fn a_visit_that_is_taken_back_itself_is_no_heir(world: &World) {
    let store = world.open().await;
    // The second visit stands in for the first, until it is taken back as well.
    store
        .record(&[unsubscribe(world, 1, VISIT)], NOW)
        .await
        .unwrap();
    store
        .record(&[unsubscribe(world, 1, OTHER)], NOW)
        .await
        .unwrap();
    store.record(&[undo(world, 1, VISIT)], NOW).await.unwrap();
    assert_eq!(standing(&store).await, [opted_out(1)]);
    store.record(&[undo(world, 1, OTHER)], NOW).await.unwrap();
    assert_eq!(standing(&store).await, []);
    // Taken back in the other order nothing is left either.
    store
        .record(&[unsubscribe(world, 2, VISIT)], NOW)
        .await
        .unwrap();
    store
        .record(&[unsubscribe(world, 2, OTHER)], NOW)
        .await
        .unwrap();
    store.record(&[undo(world, 2, OTHER)], NOW).await.unwrap();
    assert_eq!(standing(&store).await, [opted_out(2)]);
    store.record(&[undo(world, 2, VISIT)], NOW).await.unwrap();
    assert_eq!(standing(&store).await, []);
    // Another scope, or another recipient, is nobody's heir.
    store
        .record(&[unsubscribe(world, 4, VISIT)], NOW)
        .await
        .unwrap();
    store
        .record(&[world.complaint(4), world.complaint(5)], NOW)
        .await
        .unwrap();
    store.record(&[undo(world, 4, VISIT)], NOW).await.unwrap();
    assert!(!standing(&store).await.contains(&opted_out(4)));
}

/// What was committed before a later transaction of its batch failed is told then, and only then:
/// tried again it is known, and nobody else would count it.
pub(super) async fn what_was_committed_before_a_failure_is_told_once(world: &World) {
    let store = world.open().await;
    world
        .number("create unique index one on events (stream) where stream = 9")
        .await;
    let mut batch = [
        world.complaint(1),
        unsubscribe(world, 2, VISIT),
        undo(world, 2, VISIT),
        world.complaint(3),
        world.complaint(4),
    ];
    for refused in [0, 4] {
        batch[refused].events[0].stream = 9;
    }
    let ids: Vec<_> = batch.iter().map(|verdict| verdict.receipt.id).collect();
    let metrics = Metrics::default();
    let begun = |reason: &str, count: u64| {
        let line = format!("desist_suppressions_total{{reason=\"{reason}\"}} {count}\n");
        let told = metrics.render();
        assert!(told.contains(&line), "{line}{told}");
    };

    let mut recorded = Recorded::default();
    let failed = store.record_into(&mut recorded, &batch, NOW).await;
    assert!(matches!(failed, Err(StoreError::Refused(_))), "{failed:?}");
    assert_eq!(recorded.new, ids[..3], "up to the undo");
    assert_eq!(recorded.effects, [SUPPRESS, OPT_OUT, Effect::Undo]);
    assert_eq!(recorded.seq, Some(store.head().await.unwrap().seq));
    recorded.tell(&metrics);
    begun("complaint", 1);
    begun("unsubscribe", 1);
    assert_eq!(standing(&store).await.len(), 1);

    // Again while it still fails: nothing is new, and nothing is counted twice.
    let mut recorded = Recorded::default();
    let failed = store.record_into(&mut recorded, &batch, NOW).await;
    assert!(matches!(failed, Err(StoreError::Refused(_))), "{failed:?}");
    assert!(recorded.new.is_empty() && recorded.effects.is_empty());
    recorded.tell(&metrics);
    begun("complaint", 1);

    world.number("drop index one").await;
    let mut recorded = Recorded::default();
    store.record_into(&mut recorded, &batch, NOW).await.unwrap();
    assert_eq!(recorded.new, ids[3..]);
    recorded.tell(&metrics);
    begun("complaint", 3);
    begun("unsubscribe", 1);
    assert_eq!(standing(&store).await.len(), 3);
}
