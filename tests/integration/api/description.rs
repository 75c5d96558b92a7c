//! The OpenAPI document: complete, and a change of it is seen.

use std::path::Path;

use axum::body::Body;
use http::Method;
use serde_json::Value;

use super::node::Node;

fn document() -> Value {
    serde_json::to_value(desist::http::api::document()).unwrap()
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((format!("{method} {path}"), operation.clone()));
        }
    }
    found
}

#[test]
fn the_snapshot_is_current() {
    // G-030: any change of the API shows up as a difference of this file. It is written anew with
    // DESIST_UPDATE_FIXTURES=1.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/api/openapi.json");
    let now = desist::http::api::document().to_pretty_json().unwrap() + "\n";
    if option_env_set("DESIST_UPDATE_FIXTURES") {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let differ = kept
        .lines()
        .zip(now.lines())
        .position(|(kept, now)| kept != now);
    assert!(
        kept == now,
        "line {differ:?} differs: run once with DESIST_UPDATE_FIXTURES=1 and look at the diff"
    );
}

#[expect(clippy::disallowed_methods, reason = "tests have no config")]
fn option_env_set(name: &str) -> bool {
    std::env::var(name).is_ok()
}

#[test]
fn every_call_has_a_summary_an_example_and_a_problem() {
    // G-001, G-030
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = std::collections::HashSet::new();
    for (name, operation) in operations(&document) {
        assert!(
            names.insert(operation["operationId"].to_string()),
            "{name}: id taken"
        );
        assert!(operation["summary"].is_string(), "{name}: no summary");
        assert!(
            operation["security"].is_array(),
            "{name}: nothing said about keys"
        );
        let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
        assert!(problem["schema"].is_object(), "{name}: no problem");
        if let Some(body) = operation.get("requestBody") {
            assert!(
                !body["content"]["application/json"]["example"].is_null(),
                "{name}: request"
            );
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (media, content) in response["content"].as_object().into_iter().flatten() {
                if media != "application/problem+json" {
                    assert!(
                        !content["example"].is_null(),
                        "{name}: no example of {status} {media}"
                    );
                }
            }
        }
    }
}

// G-030: what the document says of a body is true: one that is required is missed, one that is not
// may be left out.
#[tokio::test]
async fn a_body_is_required_where_the_document_says_so() {
    let node = Node::start().await;
    let mut seen = [0, 0];
    for (name, operation) in operations(&document()) {
        let Some(body) = operation.get("requestBody") else {
            continue;
        };
        let (method, path) = name.split_once(' ').unwrap();
        let mut path = path.to_owned();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let example = match &parameter["example"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let place = format!("{{{}}}", parameter["name"].as_str().unwrap());
            path = path.replace(&place, &example);
        }
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let request = node.request(method, &path).body(Body::empty()).unwrap();
        let answer = node.send(request).await;
        let required = body["required"] == true;
        let missed = answer.status >= 400
            && ["invalid-json", "unsupported-media-type"].contains(&answer.problem().as_str());
        assert_eq!(missed, required, "{name}: {}", answer.status);
        seen[usize::from(required)] += 1;
    }
    assert!(seen[0] >= 2 && seen[1] >= 10, "{seen:?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn the_calls_of_the_contract_exist() {
    let names: Vec<String> = operations(&document())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for wanted in [
        "post /v1/check",
        "get /v1/suppressions",
        "post /v1/suppressions",
        "get /v1/suppressions/{address}",
        "post /v1/suppressions/lift",
        "get /v1/changes",
        "get /v1/events",
        "get /v1/receipts",
        "get /v1/receipts/{id}",
        "get /v1/receipts/{id}/raw",
        "get /v1/held",
        "post /v1/held/{id}/approve",
        "post /v1/held/{id}/dismiss",
        "get /v1/explain",
        "post /v1/held/approve",
        "post /v1/held/dismiss",
        "get /v1/alarms",
        "get /v1/stats",
        "post /v1/replay",
        "post /v1/events",
        "post /v1/tokens",
        "post /v1/tokens/inspect",
        "get /v1/tenants",
        "post /v1/tenants",
        "get /v1/mailboxes",
        "post /v1/mailboxes",
        "delete /v1/mailboxes/{address}",
        "get /v1/signing-keys",
        "post /v1/signing-keys",
        "post /v1/signing-keys/export",
        "post /v1/signing-keys/{serial}",
        "get /v1/streams",
        "post /v1/streams",
        "get /v1/keys",
        "post /v1/keys",
        "delete /v1/keys/{prefix}",
        "get /openapi.json",
        "get /docs",
        "get /livez",
        "get /readyz/doors",
        "get /readyz/check",
        "get /metrics",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted} is missing"
        );
    }
}
