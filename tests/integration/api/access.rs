//! Keys, scopes, tenants, and the outer form of every answer.

use std::time::Duration;

use axum::body::Body;
use desist::http::api::Limits;
use desist::store::KeyScope;
use http::{Method, Request};
use serde_json::json;

use super::node::{Node, from_peer};

#[tokio::test]
async fn no_key_a_wrong_key_and_a_small_key() {
    // G-010
    let node = Node::start().await;
    let ask = |key: Option<String>| {
        let mut request = Request::builder().uri("/v1/suppressions");
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        node.send(request.body(Body::empty()).unwrap())
    };
    let none = ask(None).await;
    assert_eq!(
        (none.status, none.problem().as_str()),
        (401, "unauthorized")
    );
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"desist\"");
    let mut wrong_secret = node.admin.clone();
    wrong_secret.pop();
    wrong_secret.push(if node.admin.ends_with('a') { 'b' } else { 'a' });
    for wrong in [
        "Basic YTpi".to_owned(),
        "Bearer".to_owned(),
        format!("Bearer {wrong_secret}"),
    ] {
        let refused = ask(Some(wrong)).await;
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
    let unknown = ask(Some(format!("Bearer desist_aaaaaaaa_{}", "a".repeat(32)))).await;
    assert!(unknown.header("www-authenticate").contains("invalid_token"));
    let small = node.key(Some(1), &[KeyScope::Check]).await;
    let refused = ask(Some(format!("Bearer {small}"))).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (403, "insufficient-scope")
    );
    assert_eq!(refused.json()["scope"], "read");
    assert!(
        refused
            .header("www-authenticate")
            .contains("scope=\"read\"")
    );
    let reader = node.key(Some(1), &[KeyScope::Read]).await;
    assert_eq!(ask(Some(format!("bearer {reader}"))).await.status, 200);
}

#[tokio::test]
async fn a_key_of_a_tenant_is_for_that_tenant() {
    let node = Node::start().await;
    let item = json!({"suppressions": [{"address": "ann@example.com"}]});
    assert_eq!(node.post("/v1/suppressions", &item).await.status, 200);
    let ask = |key: String, tenant: &'static str| {
        let request = Request::builder()
            .uri("/v1/suppressions/ann@example.com")
            .header("authorization", format!("Bearer {key}"))
            .header("desist-tenant", tenant);
        node.send(request.body(Body::empty()).unwrap())
    };
    let own = node.key(Some(2), &[KeyScope::Read]).await;
    let other = ask(own.clone(), "other").await;
    assert_eq!(
        (other.status, &other.json()["suppressed"]),
        (200, &json!(null))
    );
    assert_eq!(
        ask(own.clone(), "default").await.problem(),
        "foreign-tenant"
    );
    assert_eq!(ask(own, "*").await.problem(), "foreign-tenant");
    assert_eq!(
        ask(node.admin.clone(), "default").await.json()["suppressed"]["scope"],
        "all"
    );
    assert_eq!(
        ask(node.admin.clone(), "nobody").await.problem(),
        "unknown-tenant"
    );
    let tenants = node.get("/v1/tenants").await.json();
    assert_eq!(tenants["items"][1]["name"], "other");
    let first = node.get("/v1/tenants?limit=1").await.json();
    assert_eq!(
        (first["items"].as_array().unwrap().len(), &first["next"]),
        (1, &json!("1"))
    );
    let beyond = node.get("/v1/tenants?after=16777216").await;
    assert_eq!(beyond.problem(), "invalid-request");
}

// A list of the members' values, in their order, is not what the document says.
#[tokio::test]
async fn a_body_is_an_object() {
    let node = Node::start().await;
    for (path, body) in [
        ("/v1/check", json!([null, ["alice@example.net"]])),
        ("/v1/tokens", json!([1, [{"address": "alice@example.net"}]])),
    ] {
        assert_eq!(
            node.post(path, &body).await.problem(),
            "invalid-json",
            "{path}"
        );
    }
}

#[tokio::test]
async fn keys_are_made_listed_and_deleted() {
    let node = Node::start().await;
    let call = json!({"name": "campaigns", "scopes": ["check", "check"]});
    let made = node.post("/v1/keys", &call).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let (key, prefix) = (
        made["key"].as_str().unwrap(),
        made["stored"]["prefix"].as_str().unwrap(),
    );
    assert!(key.starts_with(&format!("desist_{prefix}_")));
    assert_eq!(made["stored"]["scopes"], json!(["check"]));
    let list = node.get("/v1/keys").await;
    assert!(
        String::from_utf8(list.bytes.clone())
            .unwrap()
            .contains(prefix)
    );
    assert!(
        !String::from_utf8(list.bytes).unwrap().contains(key),
        "the secret is told once"
    );
    let path = format!("/v1/keys/{prefix}");
    let delete = || {
        node.send(
            node.request(Method::DELETE, &path)
                .body(Body::empty())
                .unwrap(),
        )
    };
    assert_eq!(delete().await.status, 204);
    assert_eq!(delete().await.problem(), "not-found");
    // A tenant's administrator makes no key of the installation.
    let own = node.key(Some(2), &[KeyScope::Admin]).await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/keys")
        .header("authorization", format!("Bearer {own}"))
        .header("content-type", "application/json");
    let call = json!({"name": "x", "scopes": ["admin"], "installation": true});
    let refused = node
        .send(request.body(Body::from(call.to_string())).unwrap())
        .await;
    assert_eq!(refused.problem(), "foreign-tenant");
}

#[tokio::test]
async fn methods_types_sizes_and_accept_are_refused_as_problems() {
    // G-001, G-011
    let limits = Limits {
        body: 1000,
        ..Limits::default()
    };
    let node = Node::with_limits(&limits).await;
    let put = node
        .send(
            node.request(Method::PUT, "/v1/check")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!((put.status, put.header("allow")), (405, "POST"));
    assert_eq!(put.problem(), "method-not-allowed");
    assert_eq!(node.get("/v1/nothing").await.problem(), "not-found");
    let post = |media: &'static str, length: usize| {
        let request = node
            .request(Method::POST, "/v1/check")
            .header("content-type", media);
        node.send(request.body(Body::from(vec![b' '; length])).unwrap())
    };
    assert_eq!(
        post("text/csv", 5).await.problem(),
        "unsupported-media-type"
    );
    assert_eq!(post("application/json", 1001).await.problem(), "too-large");
    assert_eq!(
        post("application/json", 1000).await.problem(),
        "invalid-json"
    );
    let html = node
        .request(Method::GET, "/v1/held")
        .header("accept", "text/html");
    let html = node.send(html.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (html.status, html.problem().as_str()),
        (406, "not-acceptable")
    );
    let head = node
        .send(
            node.request(Method::HEAD, "/v1/held")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-type"), "application/json");
    assert_eq!(
        node.get("/v1/held?limit=0").await.problem(),
        "invalid-request"
    );
    assert_eq!(
        node.get("/v1/held?nonsense=1").await.problem(),
        "invalid-request"
    );
    assert_eq!(
        node.get("/v1/held").await.header("cache-control"),
        "no-store"
    );
}

#[tokio::test]
async fn too_many_large_bodies_at_a_time_are_refused() {
    let limits = Limits {
        body: 10_000,
        bodies: 4096,
        ..Limits::default()
    };
    let node = Node::with_limits(&limits).await;
    let request = node
        .request(Method::POST, "/v1/check")
        .header("content-type", "application/json");
    let refused = node
        .send(request.body(Body::from(vec![b' '; 5000])).unwrap())
        .await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "overloaded")
    );
    assert_eq!(refused.header("retry-after"), "1");
    // What was taken has come back.
    let small = node.post("/v1/check", &json!({"addresses": []})).await;
    assert_eq!(small.status, 200);
}

/// A body that sends some bytes, tells so, and never ends.
struct Stalled {
    bytes: usize,
    sent: Option<tokio::sync::oneshot::Sender<()>>,
}

impl hyper::body::Body for Stalled {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        if self.bytes == 0 {
            if let Some(sent) = self.sent.take() {
                sent.send(()).unwrap();
            }
            return std::task::Poll::Pending;
        }
        let some = self.bytes.min(16 * 1024);
        self.bytes -= some;
        let data = vec![b' '; some].into();
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(data))))
    }
}

#[tokio::test]
async fn large_bodies_hold_what_they_sent_and_never_keep_small_ones_out() {
    const BODY: usize = 1 << 20;
    let limits = Limits {
        body: BODY,
        bodies: 4 * BODY,
        ..Limits::default()
    };
    let node = Node::with_limits(&limits).await;
    let stalled = async |bytes: usize| {
        let (sent, arrived) = tokio::sync::oneshot::channel();
        let sent = Some(sent);
        let request = node
            .request(Method::POST, "/v1/check")
            .header("content-type", "application/json")
            .header("content-length", BODY)
            .body(Body::new(Stalled { bytes, sent }))
            .unwrap();
        let mut reading = Box::pin(tower::ServiceExt::oneshot(node.router(), request));
        let whole = tokio::select! {
            _refused = &mut reading => false,
            arrived = arrived => arrived.is_ok(),
        };
        whole.then_some(reading)
    };
    let check = async |length: usize| {
        let mut text = json!({"addresses": ["a@example.com"]}).to_string();
        text.push_str(&" ".repeat(length.saturating_sub(text.len())));
        let request = node
            .request(Method::POST, "/v1/check")
            .header("content-type", "application/json");
        node.send(request.body(Body::from(text)).unwrap())
            .await
            .status
    };
    let mut readings = Vec::new();
    // What is announced takes nothing from others.
    for _ in 0..20 {
        readings.push(stalled(1).await.unwrap());
    }
    assert_eq!((check(10).await, check(BODY).await), (200, 200));
    // What is sent does; a single check gets through all the same.
    while let Some(reading) = stalled(BODY - 1).await {
        readings.push(reading);
    }
    assert!(readings.len() > 20);
    assert_eq!((check(10).await, check(64 * 1024).await), (200, 200));
    assert_eq!(check(BODY).await, 503);
    drop(readings);
    assert_eq!(check(BODY).await, 200);
}

#[tokio::test]
async fn unknown_members_are_refused_with_their_place() {
    // G-012
    let node = Node::start().await;
    let refused = node.post("/v1/check", &json!({"adresses": []})).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (400, "invalid-json")
    );
    let body = refused.json();
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("unknown field `adresses`"),
        "{body}"
    );
    assert_eq!((&body["line"], &body["column"]), (&json!(1), &json!(11)));
    let by_filter = json!({"items": [], "note": "x", "provider": "example.com"});
    let refused = node.post("/v1/suppressions/lift", &by_filter).await;
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("unknown field `provider`")
    );
}

#[tokio::test]
async fn health_needs_no_key_and_metrics_only_none_on_loopback() {
    let node = Node::start().await;
    for path in ["/livez", "/readyz/doors", "/readyz/check"] {
        let plain = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = node.send(plain).await;
        assert_eq!(
            answer.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&answer.bytes)
        );
    }
    for path in ["/metrics", "/docs", "/openapi.json"] {
        for (peer, status) in [
            ("127.0.0.1:9", 200),
            ("[::ffff:127.0.0.1]:9", 200),
            ("192.0.2.1:9", 401),
        ] {
            let answer = node
                .send(from_peer(Request::builder().uri(path), peer))
                .await;
            assert_eq!(answer.status, status, "{path} from {peer}");
        }
        let unknown = Request::builder().uri(path).body(Body::empty()).unwrap();
        assert_eq!(node.send(unknown).await.status, 401, "{path}");
        assert_eq!(node.get(path).await.status, 200, "{path} with a key");
    }
    let docs = String::from_utf8(node.get("/docs").await.bytes).unwrap();
    assert!(docs.contains("POST /v1/check") && docs.contains("id=\"problem-unknown-stream\""));
    assert!(!docs.contains("<script"));
    let problem = node.get("/problems/unknown-stream").await;
    assert_eq!(
        (problem.status, problem.header("location")),
        (303, "/docs#problem-unknown-stream")
    );
    node.post("/v1/check", &json!({"addresses": []})).await;
    let metrics = String::from_utf8(node.get("/metrics").await.bytes).unwrap();
    assert!(
        metrics.contains("route=\"/v1/check\",status=\"200\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("route=\"/docs\",status=\"401\"}"),
        "{metrics}"
    );
}

#[tokio::test]
async fn an_index_that_is_too_old_is_not_ready() {
    // G-031
    let node = Node::start().await;
    node.app.clock.advance(Duration::from_mins(2));
    let plain = |path| node.send(Request::builder().uri(path).body(Body::empty()).unwrap());
    let check = plain("/readyz/check").await;
    assert_eq!((check.status, check.problem().as_str()), (503, "not-ready"));
    assert_eq!(plain("/readyz/doors").await.status, 200);
    node.app.journal.close().await;
    let doors = plain("/readyz/doors").await;
    assert_eq!((doors.status, doors.problem().as_str()), (503, "not-ready"));
    assert_eq!(plain("/livez").await.status, 200);
}

#[tokio::test]
async fn a_list_is_no_object_at_any_depth() {
    // G-001
    let node = Node::start().await;
    for (path, body) in [
        ("/v1/check", json!([null, ["a@example.com"]])),
        (
            "/v1/events",
            json!({"events": [["delivered", "a@example.com"]]}),
        ),
        (
            "/v1/tokens",
            json!({"recipients": [["a@example.com", null]]}),
        ),
        (
            "/v1/suppressions",
            json!({"suppressions": [["a@example.com", "all", "manual", "x"]]}),
        ),
        (
            "/v1/suppressions/lift",
            json!({"items": [[null, null, null, null]], "note": "x"}),
        ),
        (
            "/v1/suppressions/lift",
            json!({"filter": ["manual", "all"], "note": "x"}),
        ),
    ] {
        let answer = node.post(path, &body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "invalid-json"),
            "{path} {body}"
        );
    }
}
