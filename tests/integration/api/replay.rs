//! Receipts that were judged by other rules are read again.

use std::sync::Arc;

use desist::model::address::Address;
use desist::model::authentication::Authentication;
use desist::model::digest::Digest;
use desist::model::event::{Detail, Effect, Event, EventId, EventKind, Proof};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Door, Envelope, Receipt, ReceiptId, ReceiptState};
use desist::model::suppression::{Reason, Scope};
use desist::model::tenant::TenantId;
use desist::store::Verdict;
use serde_json::{Value, json};

use super::node::Node;

/// Stores what was told of a bounce as other rules have judged it.
async fn judged_otherwise(
    node: &Node,
    address: &str,
    status: &str,
    (rule, effect): (&str, Effect),
) {
    let now = node.app.clock.now();
    let told = json!({"kind": "bounce", "address": address, "status": status,
        "diagnostic": format!("550 {status} refused"), "smtp_code": 550, "stage": "rcpt"});
    let raw: Arc<[u8]> = told.to_string().into_bytes().into();
    let digest = Digest::of(&raw);
    let mut random = [0; 10];
    random.copy_from_slice(&digest.as_bytes()[..10]);
    let id = ReceiptId::from_parts(now, &random);
    let tenant = TenantId::DEFAULT;
    let parsed = Address::parse(address).unwrap();
    let recipient = node.app.reception.keyring().recipient_keys(tenant, &parsed)[0];
    let verdict = Verdict {
        receipt: Receipt {
            id,
            at: now,
            door: Door::Api,
            envelope: Envelope {
                peer: None,
                hello: String::new(),
                protocol: "HTTPS".to_owned(),
                mail_from: None,
                recipient: String::new(),
                mailbox: Mailbox {
                    address: String::new(),
                    role: Role::Bounce,
                    tenant: Some(tenant),
                    stream: None,
                },
                token: None,
                content_type: None,
            },
            digest,
        },
        tenant: Some(tenant),
        state: ReceiptState::Done,
        raw,
        events: vec![Event {
            id: EventId {
                receipt: id,
                index: 0,
            },
            tenant: Some(tenant),
            kind: EventKind::Bounce,
            proof: Proof::Operator,
            authentication: Authentication::Failed,
            recipient: Some(recipient),
            address: Some(address.to_owned()),
            stream: 0,
            reference: Vec::new(),
            found_in: None,
            effects: vec![effect],
            detail: Detail {
                rule: Some(rule.to_owned()),
                ..Detail::default()
            },
        }],
    };
    node.app.store.record(&[verdict], now).await.unwrap();
}

async fn stands(node: &Node, address: &str) -> bool {
    let shown = node.get(&format!("/v1/suppressions/{address}")).await;
    shown.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|item| item["lifted"].is_null())
}

// D-076
#[tokio::test]
async fn better_rules_repair_the_past_and_keep_its_history() {
    let node = Node::start().await;
    let hard = Effect::SuppressUnlessBraked {
        scope: Scope::All,
        reason: Reason::Bounce,
    };
    judged_otherwise(&node, "blocked@example.net", "5.7.1", ("bounce-hard", hard)).await;
    judged_otherwise(
        &node,
        "dead@example.net",
        "5.1.1",
        ("bounce-ours", Effect::Signal),
    )
    .await;
    judged_otherwise(&node, "right@example.net", "5.1.1", ("bounce-hard", hard)).await;
    judged_otherwise(
        &node,
        "wanted@example.net",
        "5.1.1",
        ("bounce-ours", Effect::Signal),
    )
    .await;
    // An operator has decided about this one since.
    node.app.clock.advance(std::time::Duration::from_mins(1));
    let add = json!({"suppressions": [{"address": "wanted@example.net", "reason": "bounce"}]});
    node.post("/v1/suppressions", &add).await;
    let lift = json!({"items": [{"address": "wanted@example.net"}], "note": "it works"});
    node.post("/v1/suppressions/lift", &lift).await;

    let dry = node
        .post("/v1/replay", &json!({"dry_run": true}))
        .await
        .json();
    for (name, number) in [
        ("read", 4),
        ("changed", 3),
        ("unmade", 1),
        ("made", 2),
        ("lifted", 0),
    ] {
        assert_eq!(dry[name], number, "{name}: {dry}");
    }
    assert_eq!(dry["next"], Value::Null);
    assert!(
        stands(&node, "blocked@example.net").await,
        "nothing has changed yet"
    );

    let done = node.post("/v1/replay", &json!({})).await.json();
    assert_eq!(
        (&done["lifted"], &done["indexed"]),
        (&json!(1), &json!(true)),
        "{done}"
    );
    for (address, expected) in [
        ("blocked@example.net", false),
        ("dead@example.net", true),
        ("right@example.net", true),
        ("wanted@example.net", false),
    ] {
        assert_eq!(stands(&node, address).await, expected, "{address}");
    }
    let shown = node
        .get("/v1/suppressions/blocked@example.net")
        .await
        .json();
    let note = shown["items"][0]["lifted"]["note"].as_str().unwrap();
    assert!(note.starts_with("replay"), "{note}");
    // What was read again says the same from now on.
    let again = node.post("/v1/replay", &json!({})).await.json();
    assert_eq!(
        (&again["read"], &again["changed"]),
        (&json!(4), &json!(0)),
        "{again}"
    );
}
