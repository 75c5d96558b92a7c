//! What is asked again and again: answers that a caller has already, calls that are too many,
//! answers that are not taken.

use axum::body::Body;
use desist::http::api::Limits;
use desist::store::KeyScope;
use http::{Method, Response};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::node::{Answer, Node};
use crate::harness::{Engine, Place};
use crate::privacy::assert_reveals_nothing;

const TAGGED: [&str; 5] = [
    "/openapi.json",
    "/v1/mailboxes",
    "/v1/tenants",
    "/v1/streams",
    "/v1/signing-keys",
];

/// Asks for what the caller has already.
async fn again(node: &Node, path: &str, had: &str) -> Answer {
    let request = node.request(Method::GET, path);
    let request = request.header("if-none-match", had);
    node.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let node = Node::start().await;
    for path in TAGGED {
        let first = node.get(path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.len() > 20 && tag.starts_with('"'), "{path}: {tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        let unchanged = again(&node, path, &tag).await;
        assert_eq!(
            (unchanged.status, unchanged.bytes.len()),
            (304, 0),
            "{path}"
        );
        assert_eq!(unchanged.header("etag"), tag);
        let other = again(&node, path, "\"other\"").await;
        assert_eq!((other.status, &other.bytes), (200, &first.bytes));
    }
    // What names people has no tag and is kept by nobody.
    let names = node.get("/v1/suppressions").await;
    assert_eq!(names.header("etag"), "");
    assert_eq!(names.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_tag_ends_with_a_change_and_is_for_one_tenant() {
    let node = Node::start().await;
    let tag = node.get("/v1/streams").await.header("etag").to_owned();
    let other = node.get_for("other", "/v1/streams").await;
    assert_ne!(
        other.header("etag"),
        tag,
        "another tenant has other streams"
    );
    let stream = json!({"number": 7, "name": "alerts"});
    assert_eq!(node.post("/v1/streams", &stream).await.status, 201);
    let changed = again(&node, "/v1/streams", &tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    // Without a key there is no telling whether something has changed.
    let request = http::Request::get("/v1/streams").header("if-none-match", "*");
    let nobody = node.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(nobody.problem(), "unauthorized");
}

#[tokio::test]
async fn every_answer_has_its_own_number() {
    let node = Node::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/livez", "/v1/streams", "/v1/streams", "/v1/nothing"] {
        let answer = node.get(path).await;
        let number = answer.header("x-request-id").to_owned();
        assert!(
            seen.insert(number.clone()) && !number.is_empty(),
            "{number}"
        );
        if answer.status >= 400 {
            assert_eq!(answer.json()["request"], number, "the problem has it too");
        }
    }
    // What a caller calls its request never gets into a log.
    let request = node.request(Method::GET, "/livez");
    let request = request.header("x-request-id", "reader@example.net");
    let answer = node.send(request.body(Body::empty()).unwrap()).await;
    assert_reveals_nothing("a header", answer.header("x-request-id"));
}

#[tokio::test]
async fn long_answers_that_nobody_takes_are_counted() {
    let limits = Limits {
        body: 1024 * 1024,
        bodies: 2 * 1024 * 1024,
        ..Limits::default()
    };
    let node = Node::with_limits(&limits).await;
    let items: Vec<Value> = (0..1000)
        .map(|number| json!({"address": format!("{:a>200}@example.net", number)}))
        .collect();
    let added = node
        .post("/v1/suppressions", &json!({"suppressions": items}))
        .await;
    assert_eq!(added.status, 200, "{:?}", added.json());
    let ask = async || -> Response<Body> {
        let request = node.request(Method::GET, "/v1/suppressions?limit=1000");
        let request = request.body(Body::empty()).unwrap();
        node.router().oneshot(request).await.unwrap()
    };
    let mut held = Vec::new();
    let refused = loop {
        let response = ask().await;
        if response.status() != 200 {
            break response;
        }
        held.push(response);
        assert!(held.len() < 20, "answers are not counted");
    };
    assert_eq!(refused.status(), 503);
    assert!(held.len() >= 2, "{}", held.len());
    // Small answers have their own part, and what has changed something is not refused after it.
    assert_eq!(node.get("/v1/streams").await.status, 200);
    let more: Vec<Value> = (0..1000)
        .map(|number| json!({"address": format!("{:b>30}@example.net", number)}))
        .collect();
    let more = json!({"suppressions": more});
    let written = node.post("/v1/suppressions", &more).await;
    assert!(written.bytes.len() > 64 * 1024, "{}", written.bytes.len());
    assert_eq!(written.status, 200);
    held.pop();
    assert_eq!(ask().await.status(), 200, "given back");
    let whole = node.get("/v1/suppressions?limit=1000").await;
    assert_eq!(whole.json()["items"].as_array().unwrap().len(), 1000);
    let length = whole.header("content-length").to_owned();
    assert_eq!(length, whole.bytes.len().to_string());
    let head = node.request(Method::HEAD, "/v1/suppressions?limit=1000");
    let head = node.send(head.body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-length"), length);
}

// G-005, section 9: a rate for each key.
#[test]
fn a_key_that_calls_too_often_is_told_when_to_come_back() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place
        .config("[limits]\napi_requests_per_second = 5\n")
        .start();
    let ask = |key: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent.get(running.url("/v1/streams"));
        let request = request.header("Authorization", format!("Bearer {key}"));
        let response = request.call().unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (wait, number) = (header("retry-after"), header("x-request-id"));
        (response.status().as_u16(), wait, number.unwrap())
    };
    let name = json!({"name": "another", "scopes": [KeyScope::Read.as_str()]});
    let (status, made) = running.post("/v1/keys", &name);
    assert_eq!(status, 201, "{made}");
    let mut allowed = 0;
    let (status, wait, number) = loop {
        let answer = ask(&running.key);
        if answer.0 != 200 {
            break answer;
        }
        allowed += 1;
        assert!(allowed < 1000, "calls are not limited");
    };
    assert!(allowed >= 5, "{allowed} of ten at once");
    assert_eq!((status, wait.as_deref()), (429, Some("1")));
    // Its answer and its line of the log have the same number.
    assert!(running.log().contains(&format!("request={number} ")));
    let (status, body) = running.get("/v1/streams");
    if status == 429 {
        assert_eq!(body["code"], "too-many-requests");
    }
    assert_eq!(
        ask(made["key"].as_str().unwrap()).0,
        200,
        "each has its own"
    );
    let agent: ureq::Agent = ureq::Agent::new_with_defaults();
    let mut response = agent.get(running.url("/metrics")).call().unwrap();
    let metrics = response.body_mut().read_to_string().unwrap();
    let counted = "route=\"/v1/streams\",status=\"429\"} ";
    assert!(metrics.contains(counted), "{metrics}");
}
