//! Suppressions: adding, lifting, listing.

use std::time::Duration;

use desist::model::event::{Effect, Proof};
use desist::model::recipient::RecipientKey;
use desist::model::suppression::{ChangeOp, Reason, Scope, SuppressionKey};
use desist::model::tenant::{Tenant, TenantId};
use desist::store::{Lift, NewSuppression, Paging, StoreError, StoredSuppression};

use super::world::{
    NOW, TENANT, World, all_changes, key, manual, recipient_key, scanned, standing,
};

fn lift(recipient: u64, scope: Option<Scope>, reason: Option<Reason>) -> Lift {
    Lift {
        recipients: vec![recipient_key(recipient)],
        scope,
        reason,
    }
}

pub(super) async fn adding_twice_changes_once(world: &World) {
    let store = world.open().await;
    let (new, seq) = store
        .suppress(&[manual(1), manual(2), manual(1)], NOW)
        .await
        .unwrap();
    assert_eq!(new, [true, true, false]);
    assert_eq!(seq, Some(3));
    let (new, seq) = store.suppress(&[manual(2), manual(3)], NOW).await.unwrap();
    assert_eq!((new, seq), (vec![false, true], Some(4)));
    let (new, seq) = store.suppress(&[manual(1)], NOW).await.unwrap();
    assert_eq!((new, seq), (vec![false], None));
    let changes = all_changes(&store).await;
    assert_eq!(
        changes.iter().map(|change| change.seq).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    assert_eq!(store.head().await.unwrap().seq, 4);
    let stored = store
        .suppressions_of(TENANT, &[recipient_key(1)])
        .await
        .unwrap();
    assert_eq!(stored[0].note.as_deref(), Some("asked by phone"));
    assert_eq!((stored[0].since, stored[0].event), (NOW, None));

    let mut wrong = manual(4);
    wrong.key.scope = Scope::Stream(0);
    assert!(matches!(
        store.suppress(&[wrong], NOW).await,
        Err(StoreError::Refused(_))
    ));
}

// Order: a lift ends what stands when it commits; an event committed later suppresses anew.
pub(super) async fn lift_ends_what_stands_and_a_later_event_suppresses_anew(world: &World) {
    let store = world.open().await;
    let before = world.complaint(1);
    store
        .record(std::slice::from_ref(&before), NOW)
        .await
        .unwrap();
    let later = NOW.after(Duration::from_mins(1));
    let (ended, seq) = store
        .lift(TENANT, &[lift(1, None, None)], "asked to come back", later)
        .await
        .unwrap();
    let complaint = key(1, Scope::Marketing, Reason::Complaint);
    assert_eq!(ended, [vec![complaint]]);
    assert_eq!(seq, Some(store.head().await.unwrap().seq));
    assert_eq!(standing(&store).await, []);

    let again = world.complaint(1);
    let latest = later.after(Duration::from_mins(1));
    store
        .record(std::slice::from_ref(&again), latest)
        .await
        .unwrap();
    let stored = store
        .suppressions_of(TENANT, &[recipient_key(1)])
        .await
        .unwrap();
    assert_eq!(stored.len(), 2);
    assert_eq!(
        (stored[0].event, &stored[0].lifted),
        (Some(again.events[0].id), &None)
    );
    assert_eq!(stored[0].since, latest);
    assert_eq!(stored[1].event, Some(before.events[0].id));
    assert_eq!(
        stored[1].lifted,
        Some((later, "asked to come back".to_owned()))
    );
    assert_eq!(stored[1].since, NOW);
    let ops: Vec<_> = all_changes(&store)
        .await
        .iter()
        .map(|change| change.op)
        .collect();
    assert_eq!(
        ops,
        [ChangeOp::Suppress, ChangeOp::Lift, ChangeOp::Suppress]
    );
}

pub(super) async fn a_replayed_receipt_does_not_undo_a_lift(world: &World) {
    let store = world.open().await;
    let verdict = world.complaint(1);
    store
        .record(std::slice::from_ref(&verdict), NOW)
        .await
        .unwrap();
    store
        .lift(TENANT, &[lift(1, None, None)], "mistake", NOW)
        .await
        .unwrap();
    assert_eq!(store.record(&[verdict], NOW).await.unwrap().new, []);
    assert_eq!(standing(&store).await, []);
}

pub(super) async fn a_lift_ends_only_what_it_names(world: &World) {
    let store = world.open().await;
    let other_tenant = Tenant {
        id: TenantId::new(2).unwrap(),
        name: "b".into(),
        domain: None,
        title: None,
    };
    store.put_tenant(&other_tenant, NOW).await.unwrap();
    let mut all = Vec::new();
    for recipient in [1, 2] {
        for scope in [Scope::All, Scope::Marketing, Scope::Stream(3)] {
            for reason in [Reason::Complaint, Reason::Bounce] {
                all.push(key(recipient, scope, reason));
            }
        }
    }
    all.push(SuppressionKey {
        tenant: other_tenant.id,
        ..all[0]
    });
    let new: Vec<NewSuppression> = all
        .iter()
        .map(|key| NewSuppression {
            key: *key,
            ..manual(0)
        })
        .collect();
    store.suppress(&new, NOW).await.unwrap();

    // Two items of one recipient, one that names nothing, one that comes too late.
    let items = [
        lift(1, Some(Scope::Stream(3)), Some(Reason::Bounce)),
        lift(1, Some(Scope::Marketing), None),
        lift(9, None, None),
        lift(1, Some(Scope::Marketing), None),
    ];
    let (ended, _) = store.lift(TENANT, &items, "note", NOW).await.unwrap();
    assert_eq!(ended[0], [key(1, Scope::Stream(3), Reason::Bounce)]);
    assert_eq!(ended[1].len(), 2);
    assert_eq!((ended[2].len(), ended[3].len()), (0, 0));
    assert_eq!(standing(&store).await.len(), 10);

    let both = Lift {
        recipients: vec![recipient_key(1), recipient_key(2)],
        scope: None,
        reason: Some(Reason::Complaint),
    };
    let (ended, seq) = store.lift(TENANT, &[both], "note", NOW).await.unwrap();
    assert_eq!(ended[0].len(), 5);
    assert_eq!(seq, Some(store.head().await.unwrap().seq));
    assert!(standing(&store).await.contains(all.last().unwrap()));
    let (ended, seq) = store
        .lift(TENANT, &[lift(9, None, None)], "note", NOW)
        .await
        .unwrap();
    assert_eq!((ended, seq), (vec![vec![]], None));
    assert_eq!(store.lift(TENANT, &[], "note", NOW).await.unwrap().1, None);
}

pub(super) async fn a_nul_in_a_note_is_replaced(world: &World) {
    let store = world.open().await;
    let mut new = manual(1);
    "by\0phone".clone_into(&mut new.note);
    new.address = Some("a\0b@example.com".to_owned());
    let recipient = new.key.recipient;
    store.suppress(&[new], NOW).await.unwrap();
    let lift = Lift {
        recipients: vec![recipient],
        scope: None,
        reason: None,
    };
    store
        .lift(TENANT, &[lift], "asked\0again", NOW)
        .await
        .unwrap();
    let stored = store.suppressions_of(TENANT, &[recipient]).await.unwrap();
    assert_eq!(stored[0].note.as_deref(), Some("by\u{fffd}phone"));
    let lifted = stored[0].lifted.as_ref().map(|(_, note)| note.as_str());
    assert_eq!(lifted, Some("asked\u{fffd}again"));
}

pub(super) async fn a_lift_needs_a_note(world: &World) {
    let store = world.open().await;
    store.suppress(&[manual(1)], NOW).await.unwrap();
    let error = store
        .lift(TENANT, &[lift(1, None, None)], " \n", NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert_eq!(standing(&store).await.len(), 1);
}

pub(super) async fn evidence_stays(world: &World) {
    let store = world.open().await;
    let verdict = world.complaint(1);
    let later = NOW.after(Duration::from_secs(5));
    store
        .record(std::slice::from_ref(&verdict), later)
        .await
        .unwrap();
    let evidence = |stored: &StoredSuppression| {
        assert_eq!(
            stored.evidence,
            serde_json::json!({
                "at": NOW, "door": "smtp", "kind": "complaint", "reporter": "fbl.example.net",
                "authentication": "not-asked", "proof": Proof::Token, "rule": "complaint-token",
                "found_in": "envelope", "sha256": verdict.receipt.digest.to_string(),
            })
        );
    };
    evidence(
        &store
            .suppressions_of(TENANT, &[recipient_key(1)])
            .await
            .unwrap()[0],
    );
    store
        .lift(TENANT, &[lift(1, None, None)], "note", later)
        .await
        .unwrap();
    evidence(
        &store
            .suppressions_of(TENANT, &[recipient_key(1)])
            .await
            .unwrap()[0],
    );
}

pub(super) async fn addresses_fill_in(world: &World) {
    let store = world.open().await;
    store
        .record(&[world.complaint(1), world.complaint(2)], NOW)
        .await
        .unwrap();
    let address = async |recipient| {
        let mut stored = store
            .suppressions_of(TENANT, &[recipient_key(recipient)])
            .await
            .unwrap();
        stored.remove(0).address
    };
    assert_eq!(address(1).await, None);
    // By a later event that changes nothing else.
    let mut later = world.complaint(1);
    later.events[0].address = Some("one@example.com".to_owned());
    store.record(&[later], NOW).await.unwrap();
    assert_eq!(address(1).await.as_deref(), Some("one@example.com"));
    // By minting; what is known stays.
    let known: Vec<_> = (0..600)
        .map(|number| (recipient_key(number), format!("{number}@example.com")))
        .collect();
    store.fill_addresses(TENANT, &known).await.unwrap();
    assert_eq!(address(1).await.as_deref(), Some("one@example.com"));
    assert_eq!(address(2).await.as_deref(), Some("2@example.com"));
    assert_eq!(all_changes(&store).await.len(), 2);
}

pub(super) async fn listings_page_through_all(world: &World) {
    let store = world.open().await;
    let mut expected = Vec::new();
    for number in 0..30 {
        for effect in [
            Effect::Suppress {
                scope: Scope::All,
                reason: Reason::Bounce,
            },
            Effect::Suppress {
                scope: Scope::Stream(3),
                reason: Reason::Unsubscribe,
            },
        ] {
            let Effect::Suppress { scope, reason } = effect else {
                continue;
            };
            expected.push(key(number, scope, reason));
            store
                .record(&[world.verdict(number, &[effect])], NOW)
                .await
                .unwrap();
        }
    }
    let list = async |scope, reason| {
        let mut found = Vec::new();
        let mut paging = Paging {
            after: None,
            limit: 7,
        };
        loop {
            let page = store
                .suppressions(TENANT, scope, reason, &paging)
                .await
                .unwrap();
            found.extend(page.items.into_iter().map(|stored| stored.key));
            match page.next {
                Some(next) => paging.after = Some(next),
                None => return found,
            }
        }
    };
    let mut found = list(None, None).await;
    assert_eq!(found, standing(&store).await);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let bounces = list(Some(Scope::All), Some(Reason::Bounce)).await;
    assert_eq!(bounces.len(), 30);
    assert!(bounces.iter().all(|key| key.scope == Scope::All));
    assert_eq!(list(Some(Scope::Stream(3)), None).await.len(), 30);
    assert_eq!(list(None, Some(Reason::Manual)).await, []);
    let paging = Paging {
        after: Some("AAAA".to_owned()),
        limit: 7,
    };
    let error = store
        .suppressions(TENANT, None, None, &paging)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
}

pub(super) async fn scan_gives_what_stands_of_all_tenants(world: &World) {
    let store = world.open().await;
    let mut expected = Vec::new();
    for number in 1..=3 {
        let tenant = TenantId::new(number).unwrap();
        store
            .put_tenant(
                &Tenant {
                    id: tenant,
                    name: format!("t{number}"),
                    domain: None,
                    title: None,
                },
                NOW,
            )
            .await
            .unwrap();
        for byte in [0, 1, b',', b'"', b'\'', b'\\', 0x80, 0xff] {
            for scope in [Scope::All, Scope::Marketing, Scope::Stream(7)] {
                let key = SuppressionKey {
                    tenant,
                    // Bytes that would end, quote or split a text.
                    recipient: RecipientKey::from_bytes([byte; 10]),
                    ..key(0, scope, Reason::Manual)
                };
                expected.push(key);
            }
        }
    }
    let new: Vec<NewSuppression> = expected
        .iter()
        .map(|key| NewSuppression {
            key: *key,
            ..manual(0)
        })
        .collect();
    store.suppress(&new, NOW).await.unwrap();
    expected.sort();
    let found = scanned(&store).await;
    assert!(found.keys().eq(&expected));
    assert!(found.values().all(|since| *since == NOW));
}

/// Rows of an SQLite file lie far apart where very many have ended.
pub(super) async fn scan_finds_rows_that_lie_far_apart(world: &World) {
    let store = world.open().await;
    let new: Vec<_> = (0..60).map(manual).collect();
    store.suppress(&new, NOW).await.unwrap();
    if world.url().starts_with("sqlite") {
        let sql = "update suppressions set rowid = rowid * 1000000 returning rowid";
        assert_eq!(world.number(sql).await, 1_000_000);
    }
    let mut expected: Vec<_> = new.iter().map(|new| new.key).collect();
    expected.sort();
    assert_eq!(standing(&store).await, expected);
}
