//! Receipts, events and holds, as the pipeline stores them.

use std::net::IpAddr;
use std::sync::Arc;

use desist::model::authentication::Authentication;
use desist::model::digest::Digest;
use desist::model::event::{Detail, Effect, Event, EventId, EventKind, HoldReason, Proof};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Door, Envelope, Receipt, ReceiptId, ReceiptState};
use desist::model::suppression::{Reason, Scope};
use desist::model::tenant::TenantId;
use desist::store::{KeyScope, Verdict};
use serde_json::{Value, json};

use super::node::Node;

const RAW: &[u8] = b"Return-Path: <forged@example.net>\r\nSubject: report\r\n\r\n\xff\r\n";

/// Stores a complaint that waits for an operator; gives the receipt's id.
pub(super) async fn held_complaint(node: &Node, random: u8, tenant: Option<TenantId>) -> ReceiptId {
    let now = node.app.clock.now();
    let id = ReceiptId::from_parts(now, &[random; 10]);
    let receipt = Receipt {
        id,
        at: now,
        door: Door::Smtp,
        envelope: Envelope {
            peer: Some(IpAddr::from([192, 0, 2, 1])),
            hello: "mail.example.org".to_owned(),
            protocol: "ESMTPS".to_owned(),
            mail_from: Some("fbl@example.org".to_owned()),
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
        digest: Digest::of(RAW),
    };
    let event = Event {
        id: EventId {
            receipt: id,
            index: 0,
        },
        tenant,
        kind: EventKind::Complaint,
        proof: Proof::None,
        authentication: Authentication::Failed,
        recipient: None,
        address: None,
        stream: 0,
        reference: Vec::new(),
        found_in: None,
        effects: vec![Effect::Hold {
            scope: Scope::Marketing,
            reason: Reason::Complaint,
            because: HoldReason::Unproven,
        }],
        detail: Detail {
            user_agent: Some("Leak-Loop/1.0".to_owned()),
            ..Detail::default()
        },
    };
    let verdict = Verdict {
        receipt,
        tenant,
        state: ReceiptState::Held,
        raw: Arc::from(RAW),
        events: vec![event],
    };
    node.app.store.record(&[verdict], now).await.unwrap();
    id
}

#[tokio::test]
async fn a_receipt_is_shown_with_its_events_and_its_bytes() {
    //
    let node = Node::start().await;
    let id = held_complaint(&node, 1, Some(TenantId::DEFAULT)).await;
    let list = node.get("/v1/receipts?mailbox=fbl&state=held").await.json();
    assert_eq!(list["items"][0]["id"], id.to_string());
    assert_eq!(list["items"][0]["sha256"], Digest::of(RAW).to_string());
    assert_eq!(
        node.get("/v1/receipts?state=done").await.json()["items"],
        json!([])
    );
    let one = node.get(&format!("/v1/receipts/{id}")).await.json();
    assert_eq!(one["receipt"], list["items"][0]);
    assert_eq!(one["receipt"]["envelope"]["hello"], "mail.example.org");
    assert_eq!(one["events"][0]["kind"], "complaint");
    assert_eq!(one["events"][0]["effects"][0]["because"], "unproven");
    let events = node.get("/v1/events").await.json();
    assert_eq!(events["items"][0], one["events"][0]);

    let raw = node.get(&format!("/v1/receipts/{id}/raw")).await;
    assert_eq!(raw.bytes, RAW, "exactly as received");
    assert_eq!(raw.header("content-type"), "message/rfc822");
    assert_eq!(
        raw.header("content-disposition"),
        format!("attachment; filename=\"{id}.eml\"")
    );
    assert_eq!(raw.header("x-content-type-options"), "nosniff");
    let traced = node.get(&format!("/v1/receipts/{id}/raw?trace=true")).await;
    assert!(
        traced
            .bytes
            .starts_with(b"Return-Path: <fbl@example.org>\r\nReceived: from mail.")
    );
    assert!(traced.bytes.ends_with(b"Subject: report\r\n\r\n\xff\r\n"));
    assert!(!traced.bytes.windows(6).any(|bytes| bytes == b"forged"));
}

#[tokio::test]
async fn events_are_found_by_proof_and_reporter() {
    let node = Node::start().await;
    let id = held_complaint(&node, 1, Some(TenantId::DEFAULT)).await;
    let fed = json!({"events": [{"kind": "delivered", "address": "ann@example.com"}]});
    assert_eq!(node.post("/v1/events", &fed).await.status, 200);
    let found = async |query: &str| {
        let page = node.get(&format!("/v1/events?{query}")).await.json();
        assert!(page["next"].is_string(), "{page}");
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (query, kinds) in [
        ("", &["complaint", "delivered"][..]),
        ("proof=none", &["complaint"]),
        ("proof=operator", &["delivered"]),
        ("proof=operator&kind=complaint", &[]),
        ("proof=authenticated", &[]),
        ("reporter=leak-loop", &["complaint"]),
        (
            "reporter=Leak-Loop%2F2&proof=none&kind=complaint",
            &["complaint"],
        ),
        ("reporter=example.com", &[]),
        ("recipient=ann@example.com&proof=operator", &["delivered"]),
    ] {
        assert_eq!(found(query).await, kinds, "{query}");
    }
    // Page by page, and behind the last nothing.
    let first = node.get("/v1/events?proof=none&limit=1").await.json();
    assert_eq!(first["items"][0]["receipt"], id.to_string());
    let next = first["next"].as_str().unwrap();
    assert!(found(&format!("proof=none&after={next}")).await.is_empty());
    for wrong in [
        "proof=certain",
        "proof=",
        "reporter=",
        "reporter=ann%40example.com",
    ] {
        let answer = node.get(&format!("/v1/events?{wrong}")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "invalid-request"),
            "{wrong}"
        );
        assert!(
            !String::from_utf8_lossy(&answer.bytes).contains("ann@"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn an_operator_approves_with_an_address_or_dismisses() {
    let node = Node::start().await;
    let first = held_complaint(&node, 1, Some(TenantId::DEFAULT)).await;
    let second = held_complaint(&node, 2, Some(TenantId::DEFAULT)).await;
    let held = node.get("/v1/held").await.json();
    assert_eq!(held["items"].as_array().unwrap().len(), 2);
    assert_eq!(held["items"][0]["id"], format!("{first}.0"));
    let decide = async |id: ReceiptId, what: &str, body: Value| {
        node.post(&format!("/v1/held/{id}.0/{what}"), &body).await
    };
    let nobody = decide(first, "approve", json!({})).await;
    assert_eq!(
        (nobody.status, nobody.problem().as_str()),
        (422, "unprocessable")
    );
    let wrong = decide(first, "approve", json!({"address": "nobody"})).await;
    assert_eq!(wrong.problem(), "invalid-request");
    let approved = decide(first, "approve", json!({"address": "ann@example.com"})).await;
    assert_eq!(
        approved.status,
        200,
        "{}",
        String::from_utf8_lossy(&approved.bytes)
    );
    let approved = approved.json();
    assert_eq!(
        (&approved["decision"], &approved["indexed"]),
        (&json!("approved"), &json!(true))
    );
    assert_eq!(approved["suppression"]["scope"], "marketing");
    let check = json!({"stream": 1, "addresses": ["ann@example.com"]});
    assert_eq!(
        node.post("/v1/check", &check).await.json()["suppressed"][0]["reason"],
        "complaint"
    );
    let dismissed = decide(second, "dismiss", json!({})).await.json();
    assert_eq!(
        (&dismissed["decision"], &dismissed["suppression"]),
        (&json!("dismissed"), &json!(null))
    );
    for (id, what, was) in [
        (first, "dismiss", "approved"),
        (second, "approve", "dismissed"),
    ] {
        let again = decide(id, what, json!({})).await;
        assert_eq!(
            (again.status, again.problem().as_str()),
            (409, "already-decided")
        );
        assert_eq!(again.json()["decision"], was);
    }
    assert_eq!(node.get("/v1/held").await.json()["items"], json!([]));
}

#[tokio::test]
async fn holds_are_decided_together_by_a_filter() {
    let node = Node::start().await;
    let id = held_complaint(&node, 1, Some(TenantId::DEFAULT)).await;
    let of_other = held_complaint(&node, 2, TenantId::new(2)).await;
    let call = json!({"filter": {"kind": "complaint", "because": "unproven"}, "note": "theirs"});
    let with = |name: &str, value: Value| {
        let mut call = call.clone();
        call[name] = value;
        call
    };
    for (wrong, problem) in [
        (json!({}), "invalid-request"),
        (json!({"note": "x"}), "invalid-request"),
        (with("batch", json!("b")), "invalid-request"),
        (with("note", json!(" ")), "invalid-request"),
        (with("note", json!("x".repeat(2_001))), "invalid-request"),
        (with("filter", json!({})), "invalid-request"),
        (with("filter", json!({"kind": "x"})), "invalid-json"),
        (with("filter", json!({"because": "x"})), "invalid-json"),
        (with("filter", json!({"since": "x"})), "invalid-json"),
        (with("filter", json!({"who": "x"})), "invalid-json"),
        (with("after", json!("x")), "invalid-json"),
        (json!({"batch": "b", "dry_run": true}), "invalid-request"),
        (
            json!({"batch": "b", "after": format!("{id}.0")}),
            "invalid-request",
        ),
        (json!({"batch": "b"}), "not-found"),
    ] {
        for decision in ["approve", "dismiss"] {
            let answer = node.post(&format!("/v1/held/{decision}"), &wrong).await;
            assert_eq!(answer.problem(), problem, "{decision} {wrong}");
        }
    }
    let reader = node.key(None, &[KeyScope::Read]).await;
    let request = http::Request::builder()
        .method("POST")
        .uri("/v1/held/approve")
        .header("authorization", format!("Bearer {reader}"))
        .header("content-type", "application/json")
        .body(call.to_string().into());
    let answer = node.send(request.unwrap()).await;
    assert_eq!(answer.problem(), "insufficient-scope");

    let approved = node.post("/v1/held/approve", &call).await.json();
    assert_eq!(
        approved,
        json!({"batch": null, "decision": "approved", "decided": 0, "nameless": 1, "next": null,
            "indexed": true}),
        "it names nobody"
    );
    let dry = node
        .post("/v1/held/dismiss", &with("dry_run", json!(true)))
        .await;
    assert_eq!(dry.json()["decided"], 1);
    for decided in [1, 0] {
        let dismissed = node.post("/v1/held/dismiss", &call).await.json();
        assert_eq!(dismissed["decided"], decided);
    }
    let left = node.get_for("*", "/v1/held").await.json();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(left["items"][0]["id"], format!("{of_other}.0"));
}

#[tokio::test]
async fn what_belongs_to_no_tenant_is_seen_across_all() {
    let node = Node::start().await;
    let id = held_complaint(&node, 1, None).await;
    assert_eq!(node.get("/v1/held").await.json()["items"], json!([]));
    assert_eq!(
        node.get(&format!("/v1/receipts/{id}")).await.problem(),
        "not-found"
    );
    let across = async |path: &str| node.get_for("*", path).await;
    assert_eq!(
        across("/v1/held").await.json()["items"][0]["id"],
        format!("{id}.0")
    );
    assert_eq!(across(&format!("/v1/receipts/{id}")).await.status, 200);
    assert_eq!(across("/v1/changes").await.problem(), "invalid-request");
}

#[tokio::test]
async fn what_belongs_to_no_tenant_is_decided_with_a_key_of_the_installation() {
    let node = Node::start().await;
    let first = held_complaint(&node, 1, None).await;
    let second = held_complaint(&node, 2, None).await;
    let others = held_complaint(&node, 3, Some(TenantId::DEFAULT)).await;
    let approve = format!("/v1/held/{first}.0/approve");
    let dismiss = format!("/v1/held/{second}.0/dismiss");
    let whom = json!({"address": "ann@example.com"});

    // A tenant's key learns nothing of it.
    let own = node.key(Some(2), &[KeyScope::Write]).await;
    for path in [&approve, &dismiss] {
        let request = http::Request::post(path)
            .header("authorization", format!("Bearer {own}"))
            .body(axum::body::Body::empty())
            .unwrap();
        assert_eq!(node.send(request).await.problem(), "not-found", "{path}");
    }
    // Approved for all it would stop nobody's mail.
    let nobody = node.post_for("*", &approve, &whom).await;
    assert_eq!(
        (nobody.status, nobody.problem().as_str()),
        (422, "no-tenant")
    );
    let approved = node.post_for("other", &approve, &whom).await;
    assert_eq!(approved.status, 200);
    assert_eq!(approved.json()["decision"], "approved");
    let check = json!({"addresses": ["ann@example.com"]});
    let hits = async |tenant: &str| {
        let checked = node.post_for(tenant, "/v1/check", &check).await.json();
        checked["suppressed"].as_array().unwrap().len()
    };
    assert_eq!((hits("other").await, hits("default").await), (1, 0));
    let dismissed = node.post_for("*", &dismiss, &json!({})).await;
    assert_eq!(dismissed.status, 200);
    assert_eq!(dismissed.json()["indexed"], true);
    // What belongs to a tenant is still not another one's.
    let theirs = format!("/v1/held/{others}.0/dismiss");
    let refused = node.post_for("other", &theirs, &json!({})).await;
    assert_eq!(refused.problem(), "not-found");
    assert_eq!(
        node.post_for("*", &theirs, &json!({})).await.status,
        200,
        "across all tenants it can be dismissed"
    );
}

#[tokio::test]
async fn what_belongs_to_no_tenant_is_dismissed_by_naming_one() {
    let node = Node::start().await;
    let id = held_complaint(&node, 1, None).await;
    let path = format!("/v1/held/{id}.0/dismiss");
    assert_eq!(node.post(&path, &json!({})).await.status, 200);
    assert_eq!(
        node.get_for("*", "/v1/held").await.json()["items"],
        json!([])
    );
}
