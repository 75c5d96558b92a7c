//! A small check goes past the router. What it answers is what the router would: each call is asked
//! with the length of its body, and in chunks, which only the router takes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Running};

/// An answer without what differs from call to call.
#[derive(Debug, PartialEq)]
struct Answer {
    status: String,
    fields: BTreeMap<String, String>,
    body: Value,
}

/// Names of fields, and members, whose values are of one call.
const OWN: [&str; 4] = [
    "date",
    "x-request-id",
    "content-length",
    "transfer-encoding",
];
const OWN_MEMBERS: [&str; 2] = ["as_of", "request"];

fn ask(running: &Running, head: &str, length: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(running.api).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "POST /v1/check HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{head}{length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (status, fields) = head.split_once("\r\n").unwrap();
    let fields = fields.lines().map(|line| line.split_once(": ").unwrap());
    let fields: BTreeMap<String, String> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    assert_ne!(fields["x-request-id"], "", "{head}");
    let mut body: Value = serde_json::from_str(body).unwrap();
    for member in OWN_MEMBERS {
        body.as_object_mut().unwrap().remove(member);
    }
    Answer {
        status: status.to_owned(),
        fields: fields
            .into_iter()
            .filter(|(name, _)| !OWN.contains(&name.as_str()))
            .collect(),
        body,
    }
}

/// The same call both ways.
fn both(running: &Running, head: &str, body: &str) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let quick = ask(running, head, &length, body);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let routed = ask(running, head, "Transfer-Encoding: chunked", &chunks);
    assert_eq!(quick, routed, "{head} {body}");
    quick
}

const JSON: &str = "Content-Type: application/json\r\n";

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n{JSON}")
}

// Also that a few addresses, which are looked up one by one, are answered like many.
#[test]
fn what_it_answers_is_what_the_router_would() {
    let running = Running::sqlite();
    let names: Vec<String> = (0..40).map(|n| format!("ann{n}@example.com")).collect();
    let stopped: Vec<Value> = names
        .iter()
        .step_by(3)
        .map(|address| json!({"address": address, "scope": "marketing", "reason": "manual"}))
        .collect();
    let (status, told) = running.post("/v1/suppressions", &json!({"suppressions": stopped}));
    assert_eq!(status, 200, "{told}");
    let admin = bearer(&running.key);
    for count in [0, 1, 2, 15, 16, 17, 40] {
        let addresses = &names[..count];
        for body in [
            json!({"addresses": addresses}),
            json!({"addresses": addresses, "stream": 1}),
        ] {
            let answer = both(&running, &admin, &body.to_string());
            assert_eq!(answer.status, "HTTP/1.1 200 OK");
            assert_eq!(answer.fields["cache-control"], "no-store");
            let suppressed = answer.body["suppressed"].as_array().unwrap();
            let found: Vec<u64> = suppressed
                .iter()
                .map(|item| item["index"].as_u64().unwrap())
                .collect();
            let expected: Vec<u64> = (0..).step_by(3).take(count.div_ceil(3)).collect();
            assert_eq!((found, &answer.body["checked"]), (expected, &json!(count)));
        }
    }
    let mixed = json!({"addresses": ["ann0@example.com", "nobody", "ANN3@Example.COM", ""]});
    let answer = both(&running, &admin, &mixed.to_string());
    assert_eq!(answer.body["suppressed"].as_array().unwrap().len(), 2);
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn what_it_refuses_is_what_the_router_would() {
    let running = Running::sqlite();
    let key = |scopes: Value| {
        let call = json!({"name": "test", "scopes": scopes});
        let (status, made) = running.post("/v1/keys", &call);
        assert_eq!(status, 201, "{made}");
        bearer(made["key"].as_str().unwrap())
    };
    let (status, told) = running.post("/v1/tenants", &json!({"name": "other"}));
    assert_eq!(status, 201, "{told}");
    let good = r#"{"addresses":["ann@example.com"]}"#;
    let admin = bearer(&running.key);
    let own = key(json!(["check"]));
    for (head, body, expected) in [
        (admin.clone(), good, None),
        (own.clone(), good, None),
        (format!("{own}Desist-Tenant: default\r\n"), good, None),
        (
            format!("{own}Desist-Tenant: other\r\n"),
            good,
            Some("foreign-tenant"),
        ),
        (
            format!("{own}Desist-Tenant: *\r\n"),
            good,
            Some("foreign-tenant"),
        ),
        (format!("{admin}Desist-Tenant: other\r\n"), good, None),
        (
            format!("{admin}Desist-Tenant: nobody\r\n"),
            good,
            Some("unknown-tenant"),
        ),
        (
            format!("{admin}Desist-Tenant: *\r\n"),
            good,
            Some("invalid-request"),
        ),
        (key(json!(["read"])), good, Some("insufficient-scope")),
        (bearer("desist_aaaaaaaa_aaaa"), good, Some("unauthorized")),
        (JSON.to_owned(), good, Some("unauthorized")),
        (
            admin.replace("application/json", "application/xml"),
            good,
            Some("unsupported-media-type"),
        ),
        (
            admin.replace("application/json", "Application/JSON; charset=utf-8"),
            good,
            None,
        ),
        (
            format!("{admin}Accept: text/html\r\n"),
            good,
            Some("not-acceptable"),
        ),
        (format!("{admin}Accept: application/*\r\n"), good, None),
        (admin.clone(), "[]", Some("invalid-json")),
        (admin.clone(), "{\"addresses\":[1]}", Some("invalid-json")),
        (
            admin.clone(),
            "{\"addresses\":[],\"strem\":1}",
            Some("invalid-json"),
        ),
        (
            admin.clone(),
            "{\"addresses\":[],\"stream\":77}",
            Some("unknown-stream"),
        ),
        (admin, "", Some("invalid-json")),
    ] {
        // The first use of a key is the router's: it asks the store.
        both(&running, &head, body);
        let answer = both(&running, &head, body);
        let code = answer.body.get("code").and_then(Value::as_str);
        assert_eq!(code, expected, "{head} {body}");
    }
}
