//! Tenants apart: every call of the document, tried by one tenant at what is another's.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use desist::store::KeyScope;
use http::{Method, Request};
use serde_json::{Value, json};

use super::evidence::held_complaint;
use super::node::{Answer, Node};

/// What stands in nothing that the other tenant sends, and so in no answer either.
const MARKS: [&str; 5] = [
    "leak-stream",
    "leak-key",
    "leak-note",
    "leak-diagnostic",
    "leak-mailbox",
];

/// A mailbox in a domain that the tenants share.
const MAILBOX: &str = "leak-mailbox@fb.example.com";

/// What the first tenant has.
struct Owned {
    receipt: String,
    held: String,
    key: String,
    batch: String,
    token: String,
    recipient: String,
}

async fn owned(node: &Node) -> Owned {
    let stream = json!({"number": 9, "name": "leak-stream", "class": "marketing"});
    node.post("/v1/streams", &stream).await;
    let key = json!({"name": "leak-key", "scopes": ["read"]});
    let key = node.post("/v1/keys", &key).await.json();
    let manual = json!({"suppressions": [{"address": "hidden@example.net", "note": "leak-note"}]});
    node.post("/v1/suppressions", &manual).await;
    let bounces: Vec<Value> = (0..250)
        .map(|n| {
            json!({"kind": "bounce", "address": format!("u{n}@one.example"), "status": "5.1.1",
                "diagnostic": "leak-diagnostic", "remote_mta": "mx.one.example"})
        })
        .collect();
    let told = node
        .post("/v1/events", &json!({"events": bounces}))
        .await
        .json();
    let alarms = node.get("/v1/alarms").await.json();
    let mailbox = json!({"address": MAILBOX, "role": "complaint"});
    assert_eq!(node.post("/v1/mailboxes", &mailbox).await.status, 201);
    // A serial that the other tenant does not have.
    for _ in 0..2 {
        assert_eq!(node.post("/v1/signing-keys", &json!({})).await.status, 201);
    }
    let minted = json!({"stream": 9, "recipients": [{"address": "hidden@example.net"}]});
    let minted = node.post("/v1/tokens", &minted).await.json();
    let complaint = held_complaint(node, 7, Some(desist::model::tenant::TenantId::DEFAULT)).await;
    let shown = node.get("/v1/suppressions/hidden@example.net").await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Owned {
        receipt: text(&told["items"][0]["receipt"]),
        held: format!("{complaint}.0"),
        key: text(&key["stored"]["prefix"]),
        batch: text(&alarms["items"][0]["detail"]["batch"]),
        token: text(&minted["items"][0]["token"]),
        recipient: text(&shown["recipient"]),
    }
}

/// All that the first tenant can see of its own.
async fn seen(node: &Node) -> BTreeMap<&'static str, Value> {
    let mut seen = BTreeMap::new();
    for path in [
        "/v1/alarms",
        "/v1/changes?limit=1000",
        "/v1/events?limit=1000",
        "/v1/held?limit=1000",
        "/v1/keys",
        "/v1/mailboxes",
        "/v1/tenants?name=default",
        "/v1/receipts?limit=1000",
        "/v1/signing-keys",
        "/v1/stats?by=time,stream,provider,reporter",
        "/v1/streams",
        "/v1/suppressions?limit=1000",
        "/v1/suppressions/hidden@example.net",
    ] {
        let mut answer = node.get(path).await.json();
        // The feed's head is the installation's.
        answer.as_object_mut().unwrap().remove("next");
        seen.insert(path, answer);
    }
    seen
}

/// A call at the first tenant's things: path, body, and the status and problem that it gets.
type Call = (String, Option<Value>, u16, &'static str);

/// Every call, by its name in the document.
#[expect(clippy::too_many_lines, reason = "a table")]
fn calls(owned: &Owned) -> BTreeMap<&'static str, Call> {
    let Owned {
        receipt,
        held,
        key,
        batch,
        token,
        recipient,
    } = owned;
    let get = |path: &str| (path.to_owned(), None, 200, "");
    let gone = |path: String| (path, None, 404, "not-found");
    let post = |path: &str, body: Value| (path.to_owned(), Some(body), 200, "");
    let missing = |path: String, body: Value| (path, Some(body), 404, "not-found");
    let hidden = json!("hidden@example.net");
    let note = json!({"note": "mine"});
    BTreeMap::from([
        ("get /v1/alarms", get("/v1/alarms")),
        ("get /v1/changes", get("/v1/changes")),
        ("get /v1/events", get("/v1/events")),
        ("get /v1/explain", get("/v1/explain?text=550")),
        ("get /v1/held", get(&format!("/v1/held?batch={batch}"))),
        ("get /v1/keys", get("/v1/keys")),
        ("get /v1/mailboxes", get("/v1/mailboxes")),
        ("get /v1/receipts", get("/v1/receipts")),
        (
            "get /v1/receipts/{id}",
            gone(format!("/v1/receipts/{receipt}")),
        ),
        (
            "get /v1/receipts/{id}/raw",
            gone(format!("/v1/receipts/{receipt}/raw")),
        ),
        ("get /v1/signing-keys", get("/v1/signing-keys")),
        (
            "get /v1/stats",
            get("/v1/stats?by=time,tenant,stream,provider,reporter"),
        ),
        ("get /v1/streams", get("/v1/streams")),
        ("get /v1/suppressions", get("/v1/suppressions")),
        (
            "get /v1/suppressions/{address}",
            get("/v1/suppressions/hidden@example.net"),
        ),
        ("get /v1/tenants", get("/v1/tenants")),
        (
            "post /v1/tenants",
            (
                "/v1/tenants".to_owned(),
                Some(json!({"name": "default", "title": "mine"})),
                403,
                "foreign-tenant",
            ),
        ),
        (
            "post /v1/mailboxes",
            (
                "/v1/mailboxes".to_owned(),
                Some(json!({"address": MAILBOX, "role": "human"})),
                422,
                "foreign-domain",
            ),
        ),
        (
            "delete /v1/mailboxes/{address}",
            gone(format!("/v1/mailboxes/{MAILBOX}")),
        ),
        (
            "post /v1/signing-keys",
            (
                "/v1/signing-keys".to_owned(),
                Some(json!({"revoke": [3]})),
                404,
                "not-found",
            ),
        ),
        (
            "post /v1/signing-keys/{serial}",
            missing("/v1/signing-keys/3".to_owned(), json!({"state": "revoked"})),
        ),
        (
            "post /v1/check",
            post(
                "/v1/check",
                json!({"addresses": [hidden, "u0@one.example"]}),
            ),
        ),
        (
            "post /v1/erase",
            post("/v1/erase", json!({"address": "hidden@example.net"})),
        ),
        (
            "post /v1/events",
            post(
                "/v1/events",
                json!({"events": [{"kind": "bounce", "token": token, "status": "5.1.1"}]}),
            ),
        ),
        (
            "post /v1/held/approve",
            missing(
                "/v1/held/approve".to_owned(),
                json!({"batch": batch, "note": "mine"}),
            ),
        ),
        (
            "post /v1/held/dismiss",
            post(
                "/v1/held/dismiss",
                json!({"filter": {"since": "2000-01-01T00:00:00Z"}, "note": "mine"}),
            ),
        ),
        (
            "post /v1/held/{id}/approve",
            missing(format!("/v1/held/{held}/approve"), note),
        ),
        (
            "post /v1/held/{id}/dismiss",
            missing(format!("/v1/held/{held}/dismiss"), json!({})),
        ),
        (
            "post /v1/keys",
            (
                "/v1/keys".to_owned(),
                Some(json!({"name": "x", "scopes": ["admin"], "installation": true})),
                403,
                "foreign-tenant",
            ),
        ),
        ("delete /v1/keys/{prefix}", gone(format!("/v1/keys/{key}"))),
        ("post /v1/replay", post("/v1/replay", json!({}))),
        (
            "post /v1/signing-keys/export",
            post("/v1/signing-keys/export", json!({"serial": 1})),
        ),
        (
            "post /v1/streams",
            (
                "/v1/streams".to_owned(),
                Some(json!({"number": 9, "name": "mine", "class": "marketing"})),
                201,
                "",
            ),
        ),
        (
            "post /v1/suppressions",
            post(
                "/v1/suppressions",
                json!({"suppressions": [{"address": hidden}]}),
            ),
        ),
        (
            "post /v1/suppressions/lift",
            post(
                "/v1/suppressions/lift",
                json!({"items": [{"address": hidden}, {"recipient": recipient}], "note": "mine"}),
            ),
        ),
        (
            "post /v1/tokens",
            post(
                "/v1/tokens",
                json!({"stream": 9, "recipients": [{"address": hidden}]}),
            ),
        ),
        (
            "post /v1/tokens/inspect",
            post("/v1/tokens/inspect", json!({"token": token})),
        ),
        ("get /docs", get("/docs")),
        ("get /livez", get("/livez")),
        ("get /metrics", get("/metrics")),
        ("get /openapi.json", get("/openapi.json")),
        ("get /readyz/check", get("/readyz/check")),
        ("get /readyz/doors", get("/readyz/doors")),
    ])
}

/// What the answers say that are not simply empty or refused.
fn expected(name: &str, answer: &Value) {
    match name {
        "post /v1/check" => assert_eq!(answer["suppressed"], json!([])),
        "post /v1/events" => {
            assert_eq!(answer["items"][0]["error"], "the token is another tenant's");
        }
        "post /v1/replay" => assert_eq!(answer["read"], 0),
        "post /v1/tokens/inspect" => {
            assert_eq!(
                (&answer["valid"], &answer["error"]),
                (&json!(false), &json!("foreign"))
            );
        }
        "get /v1/suppressions/{address}" => assert_eq!(answer["suppressed"], Value::Null),
        "get /v1/tenants" => {
            assert_eq!(answer["items"].as_array().unwrap().len(), 1);
            assert_eq!(answer["items"][0]["name"], "other");
        }
        // The address may be suppressed for its own mail by now; the recipient key is the other's.
        "post /v1/suppressions/lift" => assert_eq!(answer["items"][1]["lifted"], json!([])),
        "get /v1/signing-keys" => {
            for key in answer["items"].as_array().unwrap() {
                assert!(key.get("tenant").is_none_or(|tenant| tenant == 2), "{key}");
            }
        }
        // Lists are empty.
        name if name.starts_with("get /v1/") && !answer["items"].is_null() => {
            let own = ["get /v1/keys", "get /v1/streams"];
            assert!(
                own.contains(&name) || answer["items"] == json!([]),
                "{name}: {answer}"
            );
        }
        _ => {}
    }
}

async fn call(
    node: &Node,
    (key, tenant): (&str, Option<&str>),
    name: &str,
    (path, body, ..): &Call,
) -> Answer {
    let method: Method = name
        .split(' ')
        .next()
        .unwrap()
        .to_uppercase()
        .parse()
        .unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"));
    if let Some(tenant) = tenant {
        request = request.header("desist-tenant", tenant);
    }
    let body = match body {
        Some(json) => {
            request = request.header("content-type", "application/json");
            Body::from(json.to_string())
        }
        None => Body::empty(),
    };
    node.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn no_call_reaches_what_is_another_tenants() {
    let node = Node::start().await;
    let owned = owned(&node).await;
    let before = seen(&node).await;
    let other = node.key(Some(2), &[KeyScope::Admin]).await;
    let calls = calls(&owned);

    let document = serde_json::to_value(desist::http::api::document()).unwrap();
    let mut documented = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            documented.insert(format!("{method} {path}"), operation.clone());
        }
    }
    let named: BTreeSet<&str> = documented.keys().map(String::as_str).collect();
    let tried: BTreeSet<&str> = calls.keys().copied().collect();
    assert_eq!(
        named, tried,
        "each call of the document is tried here, and no other"
    );

    // What only looks: before the other tenant has made anything of its own.
    let changes = |name: &&str| !name.starts_with("get ");
    let (writing, reading): (Vec<&str>, Vec<&str>) = tried.iter().copied().partition(changes);
    for name in reading.into_iter().chain(writing) {
        let asked = &calls[name];
        let answer = call(&node, (&other, None), name, asked).await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert_eq!(answer.status, asked.2, "{name}: {text}");
        if asked.3.is_empty() {
            if let Ok(json) = serde_json::from_slice(&answer.bytes) {
                expected(name, &json);
            }
        } else {
            assert_eq!(answer.problem(), asked.3, "{name}");
        }
        let own = [owned.recipient.as_str(), owned.token.as_str()];
        for mark in MARKS.iter().chain(&own) {
            let echoed = asked
                .1
                .as_ref()
                .is_some_and(|body| body.to_string().contains(mark));
            assert!(echoed || !text.contains(mark), "{name} shows {mark}");
        }
        // Nor does it help to ask in the other's name, or in everybody's.
        let open = documented[name]["security"].as_array().unwrap();
        let is_open = open.iter().any(|way| way.as_object().unwrap().is_empty());
        for tenant in ["default", "*"] {
            let answer = call(&node, (&other, Some(tenant)), name, asked).await;
            if name.contains("/v1/") {
                assert_eq!(
                    (answer.status, answer.problem().as_str()),
                    (403, "foreign-tenant"),
                    "{name}"
                );
            } else {
                assert!(is_open || [200, 403].contains(&answer.status), "{name}");
            }
        }
    }
    assert_eq!(
        seen(&node).await,
        before,
        "nothing of the first tenant has changed"
    );
}

#[tokio::test]
async fn no_filter_finds_events_of_another_tenant() {
    let node = Node::start().await;
    let owned = owned(&node).await;
    let other = node.key(Some(2), &[KeyScope::Read]).await;
    for filter in [
        "proof=none",
        "proof=operator&kind=bounce",
        "reporter=leak-loop",
        "recipient=u0@one.example",
        &format!("recipient={}", owned.recipient),
    ] {
        let asked = (format!("/v1/events?{filter}"), None, 200, "");
        let answer = call(&node, (&other, None), "get /v1/events", &asked).await;
        assert_eq!(
            (answer.status, &answer.json()["items"]),
            (200, &json!([])),
            "{filter}"
        );
    }
    let own = node.get("/v1/events?reporter=leak-loop").await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
}
