//! What logs, metrics and errors must not have: whole addresses, tokens and API keys (G-032, G-034,
//! The harness looks through all that its servers say while the other tests use them, so
//! every test is one of this.

#![expect(clippy::string_slice, reason = "a test fails by panicking")]

use crate::harness::{Running, complaint};

/// The beginning of every API key.
const KEY: &str = "desist_";

/// The shortest token: nobody writes so many letters of its alphabet in a row otherwise.
const TOKEN: usize = 52;

/// What in `text` is an address, a token or an API key, with what stands around it.
pub(crate) fn revealed(text: &str) -> Option<&str> {
    let around = |from: usize, to: usize| {
        let from = text.floor_char_boundary(from.saturating_sub(80));
        let to = text.ceil_char_boundary(to.saturating_add(80).min(text.len()));
        text.get(from..to)
    };
    let address = text.match_indices('@').find(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + 1..].chars().next();
        let is_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.\"".contains(c);
        before.is_some_and(is_local) && after.is_some_and(char::is_alphanumeric)
    });
    if let Some((at, _)) = address {
        return around(at, at + 1);
    }
    let in_token = |c: char| matches!(c, 'a'..='z' | 'A'..='Z' | '2'..='7');
    let mut from = 0;
    for run in text.split(|c: char| !in_token(c)) {
        if run.len() >= TOKEN {
            return around(from, from + run.len());
        }
        let separator = text[from + run.len()..].chars().next();
        from += run.len() + separator.map_or(0, char::len_utf8);
    }
    let key = text.match_indices(KEY).find(|(at, _)| {
        let rest = &text.as_bytes()[at + KEY.len()..];
        let is_part = |part: Option<&[u8]>| {
            part.is_some_and(|part| part.iter().all(u8::is_ascii_alphanumeric))
        };
        is_part(rest.get(..8)) && rest.get(8) == Some(&b'_') && is_part(rest.get(9..41))
    });
    key.and_then(|(at, _)| around(at, at + KEY.len()))
}

/// Fails if `text` reveals something.
pub(crate) fn assert_reveals_nothing(what: &str, text: &str) {
    if let Some(found) = revealed(text) {
        panic!("{what} must reveal no address, token or key:\n{found}");
    }
}

#[test]
fn what_must_not_be_said_is_found() {
    let token = "ab2".repeat(18);
    let key = format!("desist_abcdefg2_{}", "a2".repeat(16));
    for text in [
        "to reader@example.net.",
        "\"reader with space\"@example.net",
        "rüdiger@bücher.example",
        "<a@[192.0.2.1]> and b@c",
        &format!("token={token}"),
        &format!("U-{}@", token.to_uppercase()),
        &key,
    ] {
        assert!(revealed(text).is_some(), "{text}");
    }
    for text in [
        "",
        "listening on 127.0.0.1:25 @ 3 s",
        "2026-11-28T12:00:00Z INFO desist::serve: stopping",
        "digest 3cff1d62d2f1c1fa4d1f0a3a4f6f9e2a8f1c1fa4d1f0a3a4f6f9e2a8f1c1fa4d",
        "019aa5f2-7c00-7000-8000-000000000001",
        "desist_receipts_total{door=\"smtp\",role=\"complaint\"} 1",
    ] {
        assert_eq!(revealed(text), None, "{text}");
    }
}

// G-034: also what the usual tests do not do, at the most talkative level.
#[test]
fn g_034_what_is_refused_is_not_quoted() {
    let running = Running::sqlite();
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    let mut session = running.smtp();
    for command in [
        "EHLO private@example.net",
        "MAIL FROM:<private@example.net> BODY=private@example.net",
        "private@example.net",
        &format!("RCPT TO:<x{token}@fb.example.com>"),
    ] {
        session.ask(command);
    }
    for path in [
        "/v1/nothing/private@example.net".to_owned(),
        "/v1/suppressions/private%40".to_owned(),
        "/v1/suppressions/private@example.net?stream=private@example.net".to_owned(),
        "/v1/suppressions/private@example.net?private@example.net=1".to_owned(),
        "/v1/receipts/private@example.net".to_owned(),
        "/v1/receipts?mailbox=private@example.net&state=private@example.net".to_owned(),
        "/v1/events?after=private@example.net".to_owned(),
        "/v1/events?kind=private@example.net".to_owned(),
        format!("/v1/changes?after={token}"),
        format!("/v1/stats?by={token}"),
        format!("/u/{token}"),
        format!("/problems/{token}"),
    ] {
        running.get(&path);
    }
    let private = "private@example.net";
    for (path, body) in [
        ("/v1/check", serde_json::json!({"addresses": private})),
        ("/v1/check", serde_json::json!({private: 1})),
        (
            "/v1/check",
            serde_json::json!({"stream": token, "addresses": [private]}),
        ),
        (
            "/v1/suppressions",
            serde_json::json!({"suppressions": [{"address": private, "scope": private}]}),
        ),
        (
            "/v1/suppressions/lift",
            serde_json::json!({"items": [{"address": private, "reason": private}]}),
        ),
        (
            "/v1/tokens",
            serde_json::json!({"stream": 1, "recipients": [{"address": private, "ref": private}]}),
        ),
        (
            "/v1/events",
            serde_json::json!({"events": [{"kind": private, "token": token}]}),
        ),
        (
            "/v1/streams",
            serde_json::json!({"number": 9, "name": private}),
        ),
        (
            "/v1/keys",
            serde_json::json!({"name": private, "scopes": [private]}),
        ),
    ] {
        running.post(path, &body);
    }
    running.curl(&format!("/u/{token}x"), &["--data", private]);
    running.deliver(private, "fbl@fb.example.com", &complaint(&token));
    running.events(1);
}
