//! Recording verdicts, and reading receipts back.

use std::sync::Arc;

use desist::model::digest::Digest;
use desist::model::event::{Detail, Effect, EventKind};
use desist::model::receipt::{Door, ReceiptState};
use desist::model::suppression::{ChangeOp, Reason, Scope};
use desist::store::{
    Addresses, EventFilter, Paging, ReceiptFilter, Store, StoreConfig, StoreError, StoredReceipt,
    Verdict,
};

use super::world::{
    HOLD, NOW, SUPPRESS, TENANT, World, all_changes, envelope, event, key, recipient_key, standing,
};

pub(super) async fn a_receipt_acts_once(world: &World) {
    let store = world.open().await;
    let batch = [world.complaint(1), world.complaint(2)];
    let first = store.record(&batch, NOW).await.unwrap();
    assert_eq!(first.new.len(), 2);
    let head = store.head().await.unwrap().seq;
    assert_eq!(first.seq, Some(head));

    // The same batch again, as after a crash between store and journal.
    let second = store.record(&batch, NOW).await.unwrap();
    assert_eq!((second.new.len(), second.seq), (0, None));
    // And one of it among new ones, twice.
    let third = world.complaint(3);
    let mixed = [batch[0].clone(), third.clone(), third.clone()];
    let recorded = store.record(&mixed, NOW).await.unwrap();
    assert_eq!(recorded.new, [third.receipt.id]);

    assert_eq!(standing(&store).await.len(), 3);
    assert_eq!(all_changes(&store).await.len(), 3);
    assert_eq!(
        store
            .events(None, &EventFilter::default(), 0, 100)
            .await
            .unwrap()
            .0
            .len(),
        3
    );
    assert_eq!(store.record(&[], NOW).await.unwrap().seq, None);
}

pub(super) async fn equal_bytes_are_kept_once(world: &World) {
    let store = world.open().await;
    let first = world.complaint(1);
    let mut second = world.complaint(1);
    second.raw = Arc::clone(&first.raw);
    second.receipt.digest = first.receipt.digest;
    let ids = [first.receipt.id, second.receipt.id];
    let mut third = second.clone();
    third.receipt.id = world.id();
    third.events[0].id.receipt = third.receipt.id;

    assert_eq!(
        store
            .record(&[first.clone(), second], NOW)
            .await
            .unwrap()
            .new,
        ids
    );
    assert_eq!(store.record(&[third], NOW).await.unwrap().new.len(), 1);
    assert_eq!(world.number("select count(*) from raw").await, 1);
    assert_eq!(world.number("select count(*) from receipts").await, 3);
    // One suppression, begun by the first event.
    let stored = store
        .suppressions_of(TENANT, &[recipient_key(1)])
        .await
        .unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].event, Some(first.events[0].id));
    assert_eq!(all_changes(&store).await.len(), 1);
    for id in ids {
        assert_eq!(store.raw(id).await.unwrap().unwrap(), *first.raw);
    }
}

pub(super) async fn what_is_stored_comes_back_as_it_was(world: &World) {
    let store = world.open().await;
    let mut verdict = world.verdict(1, &[SUPPRESS, HOLD, Effect::Signal]);
    verdict.receipt.door = Door::OneClick;
    verdict.receipt.at = NOW.after(std::time::Duration::from_millis(1234));
    verdict.receipt.envelope.token = Some("abc".to_owned());
    verdict.raw = vec![0, 255, 13, 10, 0].into();
    verdict.receipt.digest = Digest::of(&verdict.raw);
    let first = &mut verdict.events[0];
    first.reference = vec![0, 1, 255];
    first.address = Some("ü@example.com".to_owned());
    first.detail.notes = vec!["odd".to_owned()];
    let mut bare = event(verdict.receipt.id, 1, 1, &[]);
    (bare.recipient, bare.tenant, bare.found_in) = (None, None, None);
    bare.detail = Detail::default();
    bare.kind = EventKind::NotFeedback;
    verdict.events.push(bare);
    store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap();

    let (receipt, events) = store.receipt(verdict.receipt.id).await.unwrap().unwrap();
    assert_eq!(receipt.receipt, verdict.receipt);
    assert_eq!(receipt.state, ReceiptState::Held);
    assert_eq!((receipt.tenant, receipt.size), (Some(TENANT), 5));
    let found: Vec<_> = events.iter().map(|stored| stored.event.clone()).collect();
    assert_eq!(found, verdict.events);
    assert!(events.iter().all(|stored| stored.at == verdict.receipt.at));
    assert!(events[0].seq < events[1].seq);
    assert_eq!(
        store.raw(verdict.receipt.id).await.unwrap().unwrap(),
        *verdict.raw
    );
}

pub(super) async fn addresses_are_kept_or_forgotten(world: &World) {
    let config = StoreConfig {
        addresses: Addresses::Forget,
        ..world.config()
    };
    for (number, store, kept) in [
        (1, world.open_with(&config).await.unwrap(), false),
        (2, world.open().await, true),
    ] {
        let mut verdict = world.complaint(number);
        verdict.events[0].address = Some("kept@example.com".to_owned());
        store
            .record(std::slice::from_ref(&verdict), NOW)
            .await
            .unwrap();
        store
            .fill_addresses(TENANT, &[(recipient_key(number), "b@c".to_owned())])
            .await
            .unwrap();
        let address = kept.then(|| "kept@example.com".to_owned());
        let stored = store
            .suppressions_of(TENANT, &[recipient_key(number)])
            .await
            .unwrap();
        assert_eq!(stored[0].address, address);
        let (_, events) = store.receipt(verdict.receipt.id).await.unwrap().unwrap();
        assert_eq!(events[0].event.address, address);
        assert_eq!(all_changes(&store).await.last().unwrap().address, address);
    }
}

pub(super) async fn a_batch_is_stored_whole_or_not_at_all(world: &World) {
    let store = world.open().await;
    // A place of the feed that is taken already: the very last statements of the batch fail.
    world
        .number(
            "insert into changes (seq, at, op, tenant, recipient, scope, reason)
             select 3, 0, 'lift', 1, value, 'all', 'manual' from meta where name = 'store-id'
             returning seq",
        )
        .await;
    let verdict = world.complaint(1);
    let error = store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(store.receipt(verdict.receipt.id).await.unwrap().is_none());
    assert_eq!(standing(&store).await, []);
    assert_eq!(world.number("select count(*) from raw").await, 0);
    assert_eq!(world.number("select count(*) from events").await, 0);
    assert_eq!(store.head().await.unwrap().seq, 1);

    world.number("delete from changes returning seq").await;
    assert_eq!(store.record(&[verdict], NOW).await.unwrap().new.len(), 1);
}

pub(super) async fn a_refused_receipt_is_named_and_the_rest_can_be_stored(world: &World) {
    let store = world.open().await;
    let spoil: [fn(&mut Verdict); 6] = [
        |verdict| verdict.events[0].recipient = None,
        |verdict| verdict.events[0].tenant = None,
        |verdict| verdict.events[0].id.index = 1,
        |verdict| verdict.events[0].reference = vec![0; 17],
        |verdict| verdict.events[0].effects = vec![HOLD, HOLD],
        |verdict| {
            verdict.events[0].effects = vec![Effect::Suppress {
                scope: Scope::Stream(0),
                reason: Reason::Manual,
            }];
        },
    ];
    for spoil in spoil {
        let good = world.complaint(1);
        let mut bad = world.complaint(2);
        spoil(&mut bad);
        let error = store
            .record(&[good.clone(), bad.clone()], NOW)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
        assert!(
            error.to_string().contains(&bad.receipt.id.to_string()),
            "{error}"
        );
        assert!(store.receipt(good.receipt.id).await.unwrap().is_none());
        assert_eq!(store.record(&[good], NOW).await.unwrap().new.len(), 1);
    }
}

pub(super) async fn nul_and_odd_texts_never_fail_a_batch(world: &World) {
    let store = world.open().await;
    let odd = "a\0b\u{fffd}\u{202e}\u{10ffff}'\"\\;--\r\n";
    let mut verdict = world.complaint(1);
    verdict.receipt.envelope = envelope(odd);
    verdict.receipt.envelope.hello = odd.to_owned();
    verdict.receipt.envelope.mail_from = Some(odd.to_owned());
    verdict.raw = vec![0; 3].into();
    let event = &mut verdict.events[0];
    event.address = Some(odd.to_owned());
    event.detail.reporter = Some(odd.to_owned());
    event.detail.notes = vec![odd.to_owned()];
    store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap();

    let (receipt, events) = store.receipt(verdict.receipt.id).await.unwrap().unwrap();
    // Within JSON nothing is lost.
    assert_eq!(receipt.receipt, verdict.receipt);
    assert_eq!(events[0].event.detail, verdict.events[0].detail);
    let cleaned = odd.replace('\0', "\u{fffd}");
    assert_eq!(events[0].event.address.as_deref(), Some(cleaned.as_str()));
    let filter = ReceiptFilter {
        mailbox: Some(odd.to_owned()),
        state: None,
    };
    let page = store
        .receipts(None, &filter, &Paging::default())
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
}

pub(super) async fn large_values_are_stored(world: &World) {
    let store = world.open().await;
    let long = "x".repeat(100_000);
    let mut batch: Vec<Verdict> = (0..3).map(|number| world.complaint(number)).collect();
    for (verdict, byte) in batch.iter_mut().zip([b'a', b'b', b'c']) {
        verdict.raw = vec![byte; 5 * 1024 * 1024].into();
        verdict.receipt.digest = Digest::of(&verdict.raw);
        verdict.receipt.envelope = envelope(&format!("{long}@{long}"));
        verdict.events[0].address = Some(long.clone());
        verdict.events[0].detail.notes = vec![long.clone()];
    }
    store.record(&batch, NOW).await.unwrap();
    for verdict in &batch {
        assert!(store.raw(verdict.receipt.id).await.unwrap().unwrap() == *verdict.raw);
    }
}

pub(super) async fn a_batch_of_any_size_is_stored(world: &World) {
    let store = world.open().await;
    for size in [1, 2, 3, 255, 256, 257, 700] {
        let batch: Vec<Verdict> = (0..size)
            .map(|number| world.complaint(size * 1000 + number))
            .collect();
        let recorded = store.record(&batch, NOW).await.unwrap();
        assert_eq!(recorded.new.len(), batch.len());
    }
    assert_eq!(standing(&store).await.len(), 1474);
    let changes = all_changes(&store).await;
    assert_eq!(changes.len(), 1474);
    assert!(changes.iter().all(|change| change.op == ChangeOp::Suppress));
}

pub(super) async fn receipts_are_listed_newest_first(world: &World) {
    let store = world.open().await;
    let batch: Vec<Verdict> = (0..25).map(|number| world.complaint(number)).collect();
    store.record(&batch, NOW).await.unwrap();
    let mut expected: Vec<_> = batch.iter().map(|verdict| verdict.receipt.id).collect();
    expected.reverse();
    let found = list(&store, &ReceiptFilter::default(), 10).await;
    assert_eq!(ids(&found), expected);
    // 25 are also exactly five pages of five.
    assert_eq!(
        ids(&list(&store, &ReceiptFilter::default(), 5).await),
        expected
    );
    let paging = Paging {
        after: Some("nonsense".to_owned()),
        limit: 5,
    };
    let error = store
        .receipts(None, &ReceiptFilter::default(), &paging)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
}

pub(super) async fn receipts_are_filtered(world: &World) {
    let store = world.open().await;
    let done = world.complaint(1);
    let held = world.verdict(2, &[HOLD]);
    let mut other = world.complaint(3);
    other.receipt.envelope = envelope("fbl@fb.example.com");
    other.tenant = None;
    store
        .record(&[done.clone(), held.clone(), other.clone()], NOW)
        .await
        .unwrap();

    let by = |mailbox: Option<&str>, state| ReceiptFilter {
        mailbox: mailbox.map(str::to_owned),
        state,
    };
    let cases = [
        (by(Some("u"), None), vec![held.receipt.id, done.receipt.id]),
        (
            by(Some("u@fb.example.com"), None),
            vec![held.receipt.id, done.receipt.id],
        ),
        (by(Some("u@other.example.com"), None), vec![]),
        (by(Some("fbl"), None), vec![other.receipt.id]),
        (by(None, Some(ReceiptState::Held)), vec![held.receipt.id]),
        (
            by(None, Some(ReceiptState::Done)),
            vec![other.receipt.id, done.receipt.id],
        ),
        (
            by(Some("u"), Some(ReceiptState::Done)),
            vec![done.receipt.id],
        ),
        (by(None, Some(ReceiptState::Unrecognised)), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&list(&store, &filter, 1).await), expected, "{filter:?}");
    }
    let page = store
        .receipts(Some(TENANT), &ReceiptFilter::default(), &Paging::default())
        .await
        .unwrap();
    assert_eq!(ids(&page.items), [held.receipt.id, done.receipt.id]);
}

pub(super) async fn raw_bytes_are_forgotten_by_age(world: &World) {
    let store = world.open().await;
    let day = std::time::Duration::from_hours(24);
    let (old, again) = (world.complaint(1), world.complaint(2));
    store
        .record(&[old.clone(), again.clone()], NOW)
        .await
        .unwrap();
    // The same bytes came once more, later.
    let mut later = again.clone();
    later.receipt.id = world.id();
    later.events.clear();
    store.record(&[later], NOW.after(day * 2)).await.unwrap();
    assert_eq!(store.forget_raw_before(NOW).await.unwrap(), 0);
    assert_eq!(store.forget_raw_before(NOW.after(day)).await.unwrap(), 1);
    assert_eq!(store.forget_raw_before(NOW.after(day)).await.unwrap(), 0);
    assert_eq!(store.raw(old.receipt.id).await.unwrap(), None);
    assert!(store.receipt(old.receipt.id).await.unwrap().is_some());
    assert_eq!(
        store.raw(again.receipt.id).await.unwrap().unwrap(),
        *again.raw
    );
    assert_eq!(standing(&store).await.len(), 2);
}

pub(super) async fn an_unknown_receipt_is_none(world: &World) {
    let store = world.open().await;
    assert!(store.receipt(world.id()).await.unwrap().is_none());
    assert!(store.raw(world.id()).await.unwrap().is_none());
    let key = key(1, Scope::All, Reason::Manual);
    assert_eq!(
        store
            .suppressions_of(TENANT, &[key.recipient])
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.suppressions_of(TENANT, &[]).await.unwrap(), []);
}

async fn list(store: &Store, filter: &ReceiptFilter, limit: u32) -> Vec<StoredReceipt> {
    let mut found = Vec::new();
    let mut paging = Paging { after: None, limit };
    loop {
        let page = store.receipts(None, filter, &paging).await.unwrap();
        assert!(u32::try_from(page.items.len()).unwrap() <= limit);
        found.extend(page.items);
        match page.next {
            Some(next) => paging.after = Some(next),
            None => return found,
        }
    }
}

fn ids(receipts: &[StoredReceipt]) -> Vec<desist::model::receipt::ReceiptId> {
    receipts.iter().map(|stored| stored.receipt.id).collect()
}
