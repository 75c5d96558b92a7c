//! A sender that mints by itself: the exported keys, the published example, a real server.

use std::process::Command;

use serde_json::json;

use crate::harness::{Running, complaint};

#[test]
fn the_example_mints_with_exported_keys_what_the_server_believes() {
    let running = Running::sqlite();
    let (status, keys) = running.post("/v1/signing-keys/export", &json!({}));
    assert_eq!(status, 200, "{keys}");
    let text = |name: &str| match &keys[name] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mint.py"))
        .args([text("signing_key"), text("serial"), text("address_key")])
        .args([
            "sender@example.net".to_owned(),
            text("tenant"),
            "1".to_owned(),
        ])
        .output()
        .expect("python3 is installed (scripts/test installs it)");
    let printed = String::from_utf8(output.stdout).unwrap();
    let token = running.mint(1, &["sender@example.net"])[0].0.clone();
    assert!(printed.contains(&token), "{printed}");
    running.deliver("", "fbl@fb.example.com", &complaint(&token));
    running.events(1);
    running.drained();
    assert!(running.check("sender@example.net", Some(1)).is_some());

    // Secrets are for `admin` alone.
    let (_, made) = running.post(
        "/v1/keys",
        &json!({"name": "mta", "scopes": ["write", "read"]}),
    );
    let key = made["key"]
        .as_str()
        .or_else(|| made["text"].as_str())
        .unwrap_or_default();
    assert!(!key.is_empty(), "{made}");
    let response = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .post(running.url("/v1/signing-keys/export"))
        .header("Authorization", format!("Bearer {key}"))
        .header("Content-Type", "application/json")
        .send("{}")
        .unwrap();
    assert_eq!(response.status().as_u16(), 403);
}
