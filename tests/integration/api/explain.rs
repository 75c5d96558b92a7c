//! `GET /v1/explain`: its languages, its problems, and who may ask.

use axum::body::Body;
use desist::store::KeyScope;
use http::{Method, Request};
use serde_json::{Value, json};

use super::node::{Answer, Node};

const FULL: &str = "/v1/explain?text=452%204.2.2%20Mailbox%20full";

async fn accepting(node: &Node, path: &str, languages: &str) -> Answer {
    let request = node
        .request(Method::GET, path)
        .header("accept-language", languages);
    node.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_answer_is_explained_in_the_language_that_is_asked_for() {
    let node = Node::start().await;
    let english = node.get(FULL).await;
    assert_eq!(english.status, 200);
    let english = english.json();
    for (member, value) in [
        ("text", json!("452 4.2.2 Mailbox full")),
        ("status", json!("4.2.2")),
        ("status_meaning", json!("Mailbox full")),
        ("smtp_code", json!(452)),
        ("class", json!("mailbox-full")),
        ("severity", json!("soft")),
        ("permanent", json!(false)),
        ("answer", json!("refusal")),
        ("effect", json!("count-soft")),
        ("who", json!("recipient")),
        ("provider", Value::Null),
        ("help", Value::Null),
    ] {
        assert_eq!(english[member], value, "{member}");
    }
    let mapped = &english["mapped"];
    assert_eq!(
        *mapped,
        json!({"sendgrid": "Mailbox Unavailable", "sisimai": "mailboxfull",
            "kumomta": "QuotaIssues", "powermta": "quota-issues"})
    );
    let japanese = node.get(&format!("{FULL}&lang=ja")).await.json();
    for member in [
        "meaning",
        "follows",
        "next",
        "status_meaning",
        "smtp_meaning",
    ] {
        let told = japanese[member].as_str().unwrap();
        assert!(!told.is_ascii(), "{member}: {told}");
        assert!(english[member].as_str().unwrap().is_ascii());
    }
    for member in [
        "answer",
        "class",
        "effect",
        "severity",
        "permanent",
        "rule",
        "who",
        "mapped",
    ] {
        assert_eq!(japanese[member], english[member], "{member}");
    }
    for (languages, expected) in [
        ("ja-JP,ja;q=0.9,en;q=0.8", &japanese),
        ("en-GB,ja;q=0.1", &english),
        ("fr, tlh", &english),
    ] {
        let told = accepting(&node, FULL, languages).await.json();
        assert_eq!(told["next"], expected["next"], "{languages}");
    }
    // What the address asks for counts before what the browser would like.
    let told = accepting(&node, &format!("{FULL}&lang=en"), "ja").await;
    assert_eq!(told.json()["next"], english["next"]);
}

#[tokio::test]
async fn codes_alone_long_and_odd_texts_are_explained() {
    let node = Node::start().await;
    for (text, class) in [
        ("552", "message-too-big"),
        ("5.7.26", "authentication"),
        ("User%20unknown", "bad-mailbox"),
        ("", "undetermined"),
        ("%E5%AE%9B%E5%85%88%00%0d%0a", "undetermined"),
        ("550%205.1.1%20%ff", "bad-mailbox"),
    ] {
        let told = node.get(&format!("/v1/explain?text={text}")).await;
        assert_eq!(
            (told.status, &told.json()["class"]),
            (200, &json!(class)),
            "{text}"
        );
    }
    let long = "x".repeat(60_000);
    let told = node
        .get(&format!("/v1/explain?text=550%205.1.1%20{long}"))
        .await;
    assert_eq!(told.status, 200);
    assert!(told.bytes.len() < 20_000, "{}", told.bytes.len());
}

// G-010
#[tokio::test]
async fn what_is_no_question_and_who_may_not_ask_is_refused() {
    let node = Node::start().await;
    for path in [
        "/v1/explain",
        "/v1/explain?lang=en",
        "/v1/explain?text=550&lang=de",
        "/v1/explain?text=550&language=en",
        "/v1/explain?text=550&text=551",
    ] {
        let refused = node.get(path).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "invalid-request"),
            "{path}"
        );
    }
    let posted = node.post(FULL, &json!({})).await;
    assert_eq!(
        (posted.status, posted.problem().as_str()),
        (405, "method-not-allowed")
    );
    let none = Request::builder().uri(FULL).body(Body::empty()).unwrap();
    let none = node.send(none).await;
    assert_eq!(
        (none.status, none.problem().as_str()),
        (401, "unauthorized")
    );
    for (scope, status) in [
        (KeyScope::Check, 403),
        (KeyScope::Write, 403),
        (KeyScope::Read, 200),
        (KeyScope::Admin, 200),
    ] {
        let key = node.key(Some(2), &[scope]).await;
        let asked = Request::builder()
            .uri(FULL)
            .header("authorization", format!("Bearer {key}"));
        let answer = node.send(asked.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{scope:?}");
        if status == 403 {
            assert_eq!(answer.problem(), "insufficient-scope");
            assert_eq!(answer.json()["scope"], "read");
        }
    }
}
