//! The HTTP doors: any request is answered as the contract says, and nothing acts by accident.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use desist::token::finder::find_any;
use http::{Method, Request, StatusCode};
use serde_json::Value;

use super::node::{Answer, Node};

thread_local! {
    static NODE: Node = Node::new();
}

/// The calls of the API that take a body, and some that take a path or a query.
const CALLS: [&str; 20] = [
    "POST /v1/check application/json\n{\"stream\":1,\"addresses\":[\"a@example.com\",\"\\u0041@b\"]}",
    "POST /v1/check?stream=1&return=suppressed text/plain\na@example.com\nb@example.com\n",
    "POST /v1/check application/x-ndjson\n\"a@example.com\"\n\"b\\u0040example.com\"\n",
    "POST /v1/suppressions application/json\n{\"suppressions\":[{\"address\":\"a@example.com\",\"scope\":\"stream:1\",\"reason\":\"manual\",\"note\":\"x\"}]}",
    "POST /v1/suppressions/lift application/json\n{\"items\":[{\"address\":\"a@example.com\",\"scope\":\"all\",\"reason\":\"manual\"},{\"recipient\":\"00112233445566778899\"}],\"note\":\"x\"}",
    "POST /v1/tokens application/json\n{\"stream\":1,\"recipients\":[{\"address\":\"a@example.com\",\"ref\":\"0011\"}],\"use\":\"bounce\"}",
    "POST /v1/tokens/inspect application/json\n{\"token\":\"ceaaaaiaagsz7rly2tfun6vldu6jpcdqjxrbd4hozrf4gdkx7dsa\",\"address\":\"a@example.com\"}",
    "POST /v1/held/01900000-0000-7000-8000-000000000000.0/approve application/json\n{}",
    "POST /v1/held/01900000-0000-7000-8000-000000000000.0/dismiss application/json\n{\"note\":\"x\"}",
    "POST /v1/keys application/json\n{\"name\":\"x\",\"scopes\":[\"check\",\"read\"],\"tenant\":\"default\"}",
    "POST /v1/streams application/json\n{\"number\":7,\"name\":\"seven\",\"class\":\"marketing\",\"unsubscribe\":true}",
    "POST /v1/signing-keys/export application/json\n{}",
    "DELETE /v1/keys/abcd -\n",
    "GET /v1/suppressions/a%40example.com?stream=1 -\n",
    "GET /v1/suppressions?after=x&limit=10&scope=all&reason=manual -\n",
    "GET /v1/changes?after=&limit=1&wait=1 -\n",
    "GET /v1/events?kind=complaint&limit=1000 -\n",
    "GET /v1/receipts?mailbox=u&state=done -\n",
    "GET /v1/receipts/01900000-0000-7000-8000-000000000000/raw -\n",
    "GET /problems/not-found -\n",
];

/// G-001, G-009: any request is answered, at worst with a problem that says what is wrong with it.
///
/// The input is a line `METHOD PATH TYPE` and the body.
pub(crate) fn api(input: &[u8]) {
    let (line, body) = first_line(input);
    let mut words = line.split(' ');
    let (method, path, kind) = (words.next(), words.next(), words.next());
    let (Some(Ok(method)), Some(path)) = (method.map(str::parse::<Method>), path) else {
        return;
    };
    NODE.with(|node| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", node.key));
        if let Some(kind) = kind.filter(|kind| *kind != "-") {
            request = request.header("content-type", kind);
        }
        if let Ok(request) = request.body(Body::from(body.to_vec())) {
            understood(&node.at_api(request), input);
        }
    });
}

fn understood(answer: &Answer, input: &[u8]) {
    let status = answer.status;
    let shown = input.escape_ascii();
    assert!(!status.is_server_error(), "{status} to {shown}");
    if status.is_client_error() {
        let kind = answer
            .headers
            .get("content-type")
            .map(|value| value.to_str().unwrap());
        assert_eq!(
            kind,
            Some("application/problem+json"),
            "{status} to {shown}"
        );
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["status"], status.as_u16(), "{shown}");
        assert!(
            problem["code"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        // However much was sent, little comes back.
        assert!(answer.body.len() < 8192, "{problem}");
    }
}

fn first_line(input: &[u8]) -> (String, &[u8]) {
    let end = input
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(input.len());
    let (line, body) = input.split_at(end);
    let line = String::from_utf8_lossy(line).into_owned();
    (line, body.get(1..).unwrap_or_default())
}

pub(crate) fn api_seeds() -> Vec<Vec<u8>> {
    CALLS.map(|call| call.as_bytes().to_vec()).to_vec()
}

/// Stands for the token that is good at the node, whose keys are its own.
const TOKEN: &str = "$TOKEN";

/// C-001, C-005, C-008: only a POST with a valid token in its path acts, exactly once.
///
/// The input is a line `METHOD PATH` and the body.
pub(crate) fn one_click(input: &[u8]) {
    let (line, body) = first_line(input);
    let Some((method, path)) = line.split_once(' ') else {
        return;
    };
    let Ok(method) = method.parse::<Method>() else {
        return;
    };
    NODE.with(|node| {
        let path = path.replace(TOKEN, &node.token);
        let post = method == Method::POST;
        let request = Request::builder()
            .method(method.clone())
            .uri(&path)
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4000))))
            .body(Body::from(body.to_vec()));
        let Ok(request) = request else { return };
        let asked = request.uri().path().to_owned();
        let answer = node.at_public(request);
        let valid = asked.starts_with("/u/") && find_any(&node.keyring, asked.as_bytes()).is_ok();
        let acts = usize::from(post && answer.status == StatusCode::OK);
        assert_eq!(node.shipped(), acts, "{method} {asked}");
        let known = [
            StatusCode::OK,
            StatusCode::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED,
        ];
        assert!(
            known.contains(&answer.status),
            "{} to {asked}",
            answer.status
        );
        assert!(valid || answer.status != StatusCode::OK, "{asked}");
        assert!(
            answer.headers.get("location").is_none() && answer.headers.get("set-cookie").is_none()
        );
        let asked = asked.to_ascii_lowercase();
        let said = String::from_utf8_lossy(&answer.body);
        assert!(!said.contains(&node.token) && (asked.len() < 20 || !said.contains(&asked)));
    });
}

pub(crate) fn one_click_seeds() -> Vec<Vec<u8>> {
    [
        "POST /u/$TOKEN\nList-Unsubscribe=One-Click",
        "GET /u/$TOKEN\n",
        "HEAD /u/$TOKEN/\n",
        "PUT /u/$TOKEN\n",
        "POST /u/u%2B$TOKEN%40fb.example.com?x=y\n",
        "POST /u/a%62$TOKEN//\n--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n",
        "POST /u/%$TOKEN\n",
        "POST /u/ceaaaaiaagsz7rly2tfun6vldu6jpcdqjxrbd4hozrf4gdkx7dsa\n",
        "POST /\n",
        "POST /u/\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
