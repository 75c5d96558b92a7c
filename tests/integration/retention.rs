//! What is kept long enough is forgotten, and nothing else is; time is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use desist::app::retention::Retention;
use desist::model::authentication::Authentication;
use desist::model::clock::{Clock, Timestamp};
use desist::model::digest::Digest;
use desist::model::event::{Detail, Effect, Event, EventId, EventKind, Proof};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Door, Envelope, Receipt, ReceiptId, ReceiptState};
use desist::model::recipient::RecipientKey;
use desist::model::secret::Secret;
use desist::model::suppression::{Reason, Scope};
use desist::model::tenant::TenantId;
use desist::store::{Addresses, Store, StoreConfig, StoreError, Verdict};
use tokio_util::sync::CancellationToken;

/// 2026-11-21T12:00:00Z
const START: Timestamp = Timestamp::from_seconds(1_795_262_400);
const DAY: Duration = Duration::from_hours(24);

/// A complaint that came at that moment and suppresses its recipient.
fn complaint(number: u8, at: Timestamp) -> Verdict {
    let id = ReceiptId::from_parts(at, &[number; 10]);
    let raw: Arc<[u8]> = format!("Subject: {number}\r\n\r\n").into_bytes().into();
    Verdict {
        receipt: Receipt {
            id,
            at,
            door: Door::Smtp,
            envelope: Envelope {
                peer: None,
                hello: "mx.example.net".to_owned(),
                protocol: "ESMTPS".to_owned(),
                mail_from: Some(String::new()),
                recipient: "fbl@fb.example.com".to_owned(),
                mailbox: Mailbox {
                    address: "fbl@fb.example.com".to_owned(),
                    role: Role::Complaint,
                    tenant: None,
                    stream: None,
                },
                token: None,
                content_type: None,
            },
            digest: Digest::of(&raw),
        },
        tenant: Some(TenantId::DEFAULT),
        state: ReceiptState::Done,
        raw,
        events: vec![Event {
            id: EventId {
                receipt: id,
                index: 0,
            },
            tenant: Some(TenantId::DEFAULT),
            kind: EventKind::Complaint,
            proof: Proof::Token,
            authentication: Authentication::NotAsked,
            recipient: Some(recipient(number)),
            address: None,
            stream: 1,
            reference: Vec::new(),
            found_in: None,
            effects: vec![Effect::Suppress {
                scope: Scope::Marketing,
                reason: Reason::Complaint,
            }],
            detail: Detail::default(),
        }],
    }
}

fn recipient(number: u8) -> RecipientKey {
    RecipientKey::from_bytes([number; 10])
}

async fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        url: format!("sqlite:{}", folder.path().join("s.db").display()),
        addresses: Addresses::Keep,
        seal_key: None,
    };
    let store = Store::open(&config, Secret::new([1; 32]), START)
        .await
        .unwrap();
    (folder, store)
}

#[tokio::test]
async fn only_what_is_older_than_its_time_is_forgotten() {
    let (_folder, store) = open().await;
    let clock = Clock::manual(START);
    let retention = Retention {
        store: store.clone(),
        clock: clock.clone(),
        raw: DAY * 90,
        feed: DAY * 30,
    };
    let stop = CancellationToken::new();
    let forget = || retention.forget(clock.now(), &stop);

    let old = complaint(1, clock.now());
    store
        .record(std::slice::from_ref(&old), clock.now())
        .await
        .unwrap();
    clock.advance(DAY * 20);
    let young = complaint(2, clock.now());
    store
        .record(std::slice::from_ref(&young), clock.now())
        .await
        .unwrap();

    // The 30th day: the first one's hour of counts; else, to the millisecond, nothing is old enough.
    clock.advance(DAY * 10);
    assert_eq!(forget().await.unwrap(), 1);
    assert_eq!(forget().await.unwrap(), 0);
    // Beyond it: the first change, not the second, and no raw bytes.
    clock.advance(Duration::from_millis(1));
    assert_eq!(forget().await.unwrap(), 1);
    assert_eq!(forget().await.unwrap(), 0, "once");
    assert!(
        matches!(store.changes(None, 1, 10).await, Err(StoreError::Gone(_))),
        "a reader that has not read it is told so"
    );
    assert_eq!(store.changes(None, 0, 10).await.unwrap().0.len(), 1);
    assert!(store.raw(old.receipt.id).await.unwrap().is_some());

    // The 90th day: the raw bytes of the first, what is left of the feed and of the hours.
    clock.advance(DAY * 60);
    assert_eq!(forget().await.unwrap(), 3);
    assert!(store.raw(old.receipt.id).await.unwrap().is_none());
    assert!(store.raw(young.receipt.id).await.unwrap().is_some());

    // Ten years on: receipt, event, suppression and evidence of both stay.
    clock.advance(DAY * 3650);
    assert_eq!(forget().await.unwrap(), 3);
    for (number, verdict) in [(1, &old), (2, &young)] {
        let (receipt, events) = store.receipt(verdict.receipt.id).await.unwrap().unwrap();
        assert_eq!(receipt.receipt, verdict.receipt);
        assert_eq!(events.len(), 1);
        let found = store
            .suppressions_of(TenantId::DEFAULT, &[recipient(number)])
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "stands");
        assert_eq!(found[0].evidence["kind"], "complaint");
    }
}

#[tokio::test]
async fn a_stop_ends_the_forgetting() {
    let (_folder, store) = open().await;
    let old = complaint(1, START);
    store
        .record(std::slice::from_ref(&old), START)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let retention = Retention {
        store: store.clone(),
        clock: Clock::manual(START),
        raw: DAY,
        feed: DAY,
    };
    let forgotten = retention.forget(START.after(DAY * 2), &stop).await.unwrap();
    assert_eq!(forgotten, 0);
    assert!(store.raw(old.receipt.id).await.unwrap().is_some());
    // As a task it ends at once.
    retention.run(stop).await;
}

#[tokio::test]
async fn a_reader_that_missed_nothing_is_not_sent_back() {
    let (_folder, store) = open().await;
    let (old, young) = (complaint(1, START), complaint(2, START.after(DAY * 31)));
    store.record(&[old], START).await.unwrap();
    let (read, cursor) = store.changes(None, 0, 10).await.unwrap();
    assert_eq!(read.len(), 1);
    // It comes again after the next change, and after what it has read was forgotten.
    store.record(&[young], START.after(DAY * 31)).await.unwrap();
    let retention = Retention {
        store: store.clone(),
        clock: Clock::manual(START.after(DAY * 31)),
        raw: DAY * 90,
        feed: DAY * 30,
    };
    let stop = CancellationToken::new();
    let now = retention.clock.now();
    assert_eq!(retention.forget(now, &stop).await.unwrap(), 2);
    let (read, _) = store.changes(None, cursor, 10).await.unwrap();
    assert_eq!(read.len(), 1);
}
