//! Holds and what operators decide about them.

use std::time::Duration;

use desist::model::event::Proof;
use desist::model::receipt::ReceiptState;
use desist::model::suppression::{Reason, Scope};
use desist::store::{Decision, NewSuppression, Paging, Store};

use super::world::{HOLD, NOW, SUPPRESS, TENANT, World, event, key, recipient_key, standing};

fn approval(recipient: u64) -> NewSuppression {
    NewSuppression {
        key: key(recipient, Scope::Stream(3), Reason::Unsubscribe),
        address: None,
        note: "looks real".to_owned(),
    }
}

async fn state(store: &Store, id: desist::model::receipt::ReceiptId) -> ReceiptState {
    store.receipt(id).await.unwrap().unwrap().0.state
}

pub(super) async fn approving_suppresses_with_proof_operator(world: &World) {
    let store = world.open().await;
    let mut verdict = world.verdict(1, &[HOLD]);
    verdict.events[0].proof = Proof::None;
    store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap();
    assert_eq!(standing(&store).await, []);
    let id = verdict.events[0].id;
    let hold = store.hold(id).await.unwrap().unwrap();
    assert_eq!(
        (hold.event.event, hold.decided),
        (verdict.events[0].clone(), None)
    );

    let later = NOW.after(Duration::from_mins(1));
    let decided = store
        .decide(id, Decision::Approved, Some(approval(1)), later)
        .await
        .unwrap();
    assert_eq!(decided, Some(Some(store.head().await.unwrap().seq)));
    let stored = store
        .suppressions_of(TENANT, &[recipient_key(1)])
        .await
        .unwrap();
    assert_eq!(stored[0].key, approval(1).key);
    assert_eq!((stored[0].event, stored[0].since), (Some(id), later));
    assert_eq!(stored[0].note.as_deref(), Some("looks real"));
    assert_eq!(stored[0].evidence["proof"], "operator");
    assert_eq!(
        stored[0].evidence["sha256"],
        verdict.receipt.digest.to_string()
    );
    assert_eq!(
        store
            .held(None, None, &Paging::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    let hold = store.hold(id).await.unwrap().unwrap();
    assert_eq!(hold.decided, Some((Decision::Approved, later)));
    assert_eq!(state(&store, id.receipt).await, ReceiptState::Done);
}

pub(super) async fn a_hold_is_decided_once(world: &World) {
    let store = world.open().await;
    let batch = [world.verdict(1, &[HOLD]), world.verdict(1, &[HOLD])];
    store.record(&batch, NOW).await.unwrap();
    let [first, second] = [batch[0].events[0].id, batch[1].events[0].id];
    let approve = async |id| {
        let new = Some(approval(1));
        store
            .decide(id, Decision::Approved, new, NOW)
            .await
            .unwrap()
    };
    assert!(matches!(approve(first).await, Some(Some(_))));
    assert_eq!(approve(first).await, None);
    let mut unknown = first;
    unknown.index = 7;
    assert_eq!(approve(unknown).await, None);
    assert!(store.hold(unknown).await.unwrap().is_none());
    // Approving what stands already changes nothing.
    assert_eq!(approve(second).await, Some(None));
}

pub(super) async fn dismissing_changes_nothing(world: &World) {
    let store = world.open().await;
    let verdict = world.verdict(1, &[HOLD]);
    store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap();
    let id = verdict.events[0].id;
    let decided = store
        .decide(id, Decision::Dismissed, Some(approval(1)), NOW)
        .await
        .unwrap();
    assert_eq!(decided, Some(None));
    assert_eq!(standing(&store).await, []);
    assert_eq!(state(&store, id.receipt).await, ReceiptState::Done);
    let again = store
        .decide(id, Decision::Approved, Some(approval(1)), NOW)
        .await
        .unwrap();
    assert_eq!(again, None);
}

pub(super) async fn a_receipt_is_done_with_its_last_hold(world: &World) {
    let store = world.open().await;
    let mut verdict = world.verdict(1, &[HOLD]);
    verdict
        .events
        .push(event(verdict.receipt.id, 1, 2, &[HOLD]));
    verdict
        .events
        .push(event(verdict.receipt.id, 2, 3, &[SUPPRESS]));
    store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap();
    assert_eq!(standing(&store).await.len(), 1);
    let [first, second] = [verdict.events[0].id, verdict.events[1].id];
    assert!(store.hold(verdict.events[2].id).await.unwrap().is_none());
    store
        .decide(second, Decision::Dismissed, None, NOW)
        .await
        .unwrap();
    assert_eq!(state(&store, first.receipt).await, ReceiptState::Held);
    store
        .decide(first, Decision::Approved, Some(approval(1)), NOW)
        .await
        .unwrap();
    assert_eq!(state(&store, first.receipt).await, ReceiptState::Done);
}

pub(super) async fn holds_page_oldest_first(world: &World) {
    let store = world.open().await;
    let batch: Vec<_> = (0..11)
        .map(|number| world.verdict(number, &[HOLD]))
        .collect();
    store.record(&batch, NOW).await.unwrap();
    let mut no_tenant = world.verdict(11, &[HOLD]);
    no_tenant.events[0].tenant = None;
    store
        .record(std::slice::from_ref(&no_tenant), NOW)
        .await
        .unwrap();
    let mut expected: Vec<_> = batch.iter().map(|verdict| verdict.events[0].id).collect();
    for (tenant, more) in [(Some(TENANT), None), (None, Some(no_tenant.events[0].id))] {
        expected.extend(more);
        let mut found = Vec::new();
        let mut paging = Paging {
            after: None,
            limit: 4,
        };
        loop {
            let page = store.held(tenant, None, &paging).await.unwrap();
            found.extend(page.items.into_iter().map(|hold| hold.event.event.id));
            let Some(next) = page.next else { break };
            paging.after = Some(next);
        }
        assert_eq!(found, expected);
    }
    let paging = Paging {
        after: Some("x".to_owned()),
        limit: 4,
    };
    assert!(store.held(None, None, &paging).await.is_err());
}
