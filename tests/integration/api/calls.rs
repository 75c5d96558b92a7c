//! The calls themselves: what they change and what they answer.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use axum::Router;
use desist::app::suppressions::whom;
use desist::model::suppression::{Reason, Scope, SuppressionKey};
use desist::model::tenant::TenantId;
use desist::store::NewSuppression;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::node::Node;

async fn suppress(node: &Node, items: Value) -> Value {
    let answer = node
        .post("/v1/suppressions", &json!({"suppressions": items}))
        .await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.bytes)
    );
    answer.json()
}

#[tokio::test]
async fn each_item_is_added_on_its_own() {
    let node = Node::start().await;
    let added = suppress(
        &node,
        json!([
            {"address": "all@example.com", "note": "asked"},
            {"address": "marketing@example.com", "scope": "marketing", "reason": "complaint"},
            {"address": "two@example.com", "scope": "stream:2", "reason": "unsubscribe"},
            {"address": "ALL@Example.COM "},
            {"address": "nobody"},
            {"address": "x@example.com", "scope": "stream:7"}
        ]),
    )
    .await;
    assert_eq!(added["indexed"], true);
    let results: Vec<&str> = added["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["result"].as_str().unwrap())
        .collect();
    assert_eq!(
        results,
        ["created", "created", "created", "existed", "error", "error"]
    );
}

#[tokio::test]
async fn a_check_names_who_must_not_be_mailed() {
    let node = Node::start().await;
    suppress(
        &node,
        json!([
            {"address": "all@example.com"},
            {"address": "marketing@example.com", "scope": "marketing", "reason": "complaint"},
            {"address": "two@example.com", "scope": "stream:2", "reason": "unsubscribe"}
        ]),
    )
    .await;
    let names = [
        "All@example.com",
        "marketing@example.com",
        "two@example.com",
        "free@example.com",
        "bad",
    ];
    let ask = async |stream: Value| {
        let mut call = json!({"addresses": names});
        if !stream.is_null() {
            call["stream"] = stream;
        }
        let answer = node.post("/v1/check", &call).await;
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        assert_eq!(answer["checked"], 5);
        assert_eq!(answer["errors"][0]["index"], 4);
        assert_eq!(answer["errors"][0]["address"], "bad");
        assert!(answer["as_of"].as_str().unwrap().ends_with('Z'));
        let hits = answer["suppressed"].as_array().unwrap().iter().map(|hit| {
            let since = hit["since"].as_str().unwrap();
            assert!(
                since.ends_with('Z') && !since.contains('.'),
                "whole seconds: {since}"
            );
            assert_eq!(
                hit["address"],
                names[usize::try_from(hit["index"].as_u64().unwrap()).unwrap()]
            );
            format!(
                "{} {}",
                hit["scope"].as_str().unwrap(),
                hit["reason"].as_str().unwrap()
            )
        });
        hits.collect::<Vec<String>>()
    };
    assert_eq!(
        ask(Value::Null).await,
        ["all manual", "marketing complaint", "stream:2 unsubscribe"]
    );
    assert_eq!(ask(json!(1)).await, ["all manual", "marketing complaint"]);
    assert_eq!(ask(json!(2)).await, ["all manual", "stream:2 unsubscribe"]);
    let unknown = node
        .post("/v1/check", &json!({"stream": 9, "addresses": []}))
        .await;
    assert_eq!(
        (unknown.status, unknown.problem().as_str()),
        (422, "unknown-stream")
    );
    assert_eq!(unknown.json()["stream"], 9);
}

#[tokio::test]
async fn a_check_takes_a_hundred_thousand_addresses_and_no_more() {
    let node = Node::start().await;
    suppress(&node, json!([{"address": "user99999@example.com"}])).await;
    let mut addresses: Vec<String> = (0..100_000)
        .map(|n| format!("user{n}@example.com"))
        .collect();
    let answer = node
        .post("/v1/check", &json!({"addresses": addresses}))
        .await
        .json();
    assert_eq!(answer["checked"], 100_000);
    assert_eq!(answer["suppressed"].as_array().unwrap().len(), 1);
    assert_eq!(answer["suppressed"][0]["index"], 99_999);
    addresses.push("one@more.example".to_owned());
    let refused = node
        .post("/v1/check", &json!({"addresses": addresses}))
        .await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (413, "too-many-items")
    );
    assert_eq!(refused.json()["limit"], 100_000);
}

#[tokio::test]
async fn checks_go_on_while_the_store_is_away() {
    let node = Node::start().await;
    suppress(&node, json!([{"address": "gone@example.com"}])).await;
    node.app.store.close().await;
    // Longer than a key is remembered without asking the store again.
    node.app.clock.advance(Duration::from_mins(10));
    let check = node
        .post("/v1/check", &json!({"addresses": ["gone@example.com"]}))
        .await;
    assert_eq!(
        check.status,
        200,
        "{}",
        String::from_utf8_lossy(&check.bytes)
    );
    assert_eq!(check.json()["suppressed"][0]["scope"], "all");
    let list = node.get("/v1/suppressions").await;
    assert_eq!(
        (list.status, list.problem().as_str()),
        (503, "store-unavailable")
    );
    assert_eq!(list.header("retry-after"), "5");
    let recipients = json!({"stream": 1, "recipients": [{"address": "gone@example.com"}]});
    assert_eq!(node.post("/v1/tokens", &recipients).await.status, 200);
}

#[tokio::test]
async fn a_suppression_has_a_history() {
    // F-032, F-034
    let node = Node::start().await;
    let added = suppress(
        &node,
        json!([{"address": "a+b/c@example.com", "note": "telephone"}]),
    )
    .await;
    let recipient = added["items"][0]["recipient"].as_str().unwrap().to_owned();
    let encoded = "/v1/suppressions/a%2Bb%2Fc%40example.com";
    let one = node.get(encoded).await.json();
    assert_eq!(one["recipient"], recipient);
    assert_eq!(one["suppressed"]["scope"], "all");
    assert_eq!(one["items"][0]["note"], "telephone");
    assert_eq!(one["items"][0]["address"], "a+b/c@example.com");
    assert_eq!(one["items"][0]["lifted"], Value::Null);
    assert_eq!(
        node.get(&format!("/v1/suppressions/{recipient}"))
            .await
            .json(),
        one
    );
    assert_eq!(
        node.get("/v1/suppressions/nobody").await.problem(),
        "invalid-request"
    );

    let call = json!({"items": [{"address": "a+b/c@example.com"}]});
    assert_eq!(
        node.post("/v1/suppressions/lift", &call).await.problem(),
        "invalid-json"
    );
    let call = json!({"items": [{"address": "a+b/c@example.com"}], "note": "  "});
    assert_eq!(
        node.post("/v1/suppressions/lift", &call).await.problem(),
        "invalid-request"
    );
    let call = json!({"note": "asked again", "items": [
        {"recipient": recipient, "scope": "marketing"},
        {"address": "a+b/c@example.com"},
        {"address": "x@example.com", "recipient": recipient},
        {}
    ]});
    let lifted = node.post("/v1/suppressions/lift", &call).await.json();
    assert_eq!(lifted["indexed"], true);
    assert_eq!(lifted["items"][0]["lifted"], json!([]));
    assert_eq!(
        lifted["items"][1]["lifted"],
        json!([{"scope": "all", "reason": "manual"}])
    );
    assert!(lifted["items"][2]["error"].is_string() && lifted["items"][3]["error"].is_string());
    let one = node.get(encoded).await.json();
    assert_eq!(one["suppressed"], Value::Null);
    assert_eq!(one["items"][0]["lifted"]["note"], "asked again");
}

#[tokio::test]
async fn a_list_has_pages_and_filters() {
    // G-005
    let node = Node::start().await;
    let items: Vec<Value> = (0..5)
        .map(|n| json!({"address": format!("user{n}@example.com"), "scope": "marketing"}))
        .collect();
    suppress(&node, json!(items)).await;
    suppress(
        &node,
        json!([{"address": "import@example.com", "reason": "import"}]),
    )
    .await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = node
            .get(&format!("/v1/suppressions?limit=2{after}"))
            .await
            .json();
        let found = page["items"].as_array().unwrap();
        assert!(found.len() <= 2);
        seen.extend(
            found
                .iter()
                .map(|item| item["address"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
    for (filter, count) in [
        ("scope=marketing", 5),
        ("scope=all", 1),
        ("reason=import", 1),
    ] {
        let page = node.get(&format!("/v1/suppressions?{filter}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{filter}");
        assert_eq!(page["next"], Value::Null);
    }
    assert_eq!(
        node.get("/v1/suppressions?scope=stream:0").await.problem(),
        "invalid-request"
    );
}

#[tokio::test]
async fn the_feed_of_changes_waits_and_knows_its_epoch() {
    let node = Node::start().await;
    let head = node.get("/v1/changes?after=head").await.json();
    assert_eq!(head["items"], json!([]));
    let cursor = head["next"].as_str().unwrap().to_owned();
    let path = format!("/v1/changes?after={cursor}&wait=60");
    // The reader waits until there is something to read, and not for its whole minute.
    let reader = tokio::time::timeout(Duration::from_secs(30), node.get(&path));
    let writer = suppress(&node, json!([{"address": "late@example.com"}]));
    let (read, _) = tokio::join!(reader, writer);
    let page = read.unwrap().json();
    let change = &page["items"][0];
    assert_eq!(
        (&change["op"], &change["scope"]),
        (&json!("suppress"), &json!("all"))
    );
    assert_eq!(change["address"], "late@example.com");
    assert_eq!(change["recipient"].as_str().unwrap().len(), 20);
    let next = page["next"].as_str().unwrap();
    assert_ne!(next, cursor);
    let after = node.get(&format!("/v1/changes?after={next}")).await.json();
    assert_eq!(
        (&after["items"], after["next"].as_str()),
        (&json!([]), Some(next))
    );
    let beginning = node.get("/v1/changes").await.json();
    assert_eq!(beginning["items"].as_array().unwrap().len(), 1);

    let seq = next.rsplit_once(':').unwrap().1;
    let other = node
        .get(&format!("/v1/changes?after=elsewhere:{seq}"))
        .await;
    assert_eq!(
        (other.status, other.problem().as_str()),
        (410, "cursor-expired")
    );
    let ahead = node.get(&format!("/v1/changes?after={next}000")).await;
    assert_eq!(ahead.problem(), "cursor-expired");
    assert_eq!(
        node.get("/v1/changes?after=17").await.problem(),
        "invalid-request"
    );
    assert_eq!(
        node.get("/v1/changes?wait=61").await.problem(),
        "invalid-request"
    );
    let events = node.get("/v1/events?kind=complaint").await.json();
    assert_eq!(events["items"], json!([]));
    assert!(events["next"].is_string(), "a feed always gives next");
    assert_eq!(
        node.get("/v1/events?kind=nonsense").await.problem(),
        "invalid-request"
    );
}

#[tokio::test]
async fn tokens_are_minted_with_their_headers() {
    // H-001
    let node = Node::start().await;
    let call = json!({"stream": 1, "recipients": [
        {"address": "Bob@Example.com", "ref": "00c0ffee"},
        {"address": "bob@example.com", "ref": "0011223344556677"},
        {"address": "nobody"},
        {"address": "bob@example.com", "ref": "xyz"}
    ]});
    let answer = node.post("/v1/tokens", &call).await.json();
    let item = &answer["items"][0];
    let token = item["token"].as_str().unwrap();
    assert!(item["return_path"].as_str().unwrap().starts_with("b-"));
    assert!(
        item["return_path"]
            .as_str()
            .unwrap()
            .ends_with("@fb.example.com")
    );
    let headers = &item["headers"];
    assert_eq!(
        headers["List-Unsubscribe"],
        format!(
            "<https://u.example.com/u/{token}>, \
             <mailto:u-{token}@fb.example.com?subject=unsubscribe>"
        )
    );
    assert_eq!(
        headers["List-Unsubscribe-Post"],
        "List-Unsubscribe=One-Click"
    );
    assert_eq!(headers["CFBL-Address"], "cfbl@fb.example.com; report=arf");
    assert_eq!(
        (&headers["CFBL-Feedback-ID"], &headers["X-Desist"]),
        (&json!(token), &json!(token))
    );
    assert!(
        headers["Message-ID"]
            .as_str()
            .unwrap()
            .starts_with(&format!("<{token}."))
    );
    for refused in 1..4 {
        assert!(
            answer["items"][refused]["error"].is_string(),
            "{}",
            answer["items"][refused]
        );
        assert_eq!(answer["items"][refused]["token"], Value::Null);
    }
}

#[tokio::test]
async fn a_bare_token_takes_a_ref_of_any_length() {
    let node = Node::start().await;
    let bare = json!({"stream": 1, "use": "bounce", "recipients": [
        {"address": "bob@example.com", "ref": "00112233445566778899aabbccddeeff"}]});
    let bare = node.post("/v1/tokens", &bare).await.json();
    assert_eq!(bare["items"][0]["token"].as_str().unwrap().len(), 77);
    assert_eq!(bare["items"][0]["headers"], Value::Null);
}

#[tokio::test]
async fn a_token_is_explained() {
    let node = Node::start().await;
    let call = json!({"stream": 1, "recipients": [
        {"address": "bob@example.com", "ref": "00c0ffee"}]});
    let minted = node.post("/v1/tokens", &call).await.json();
    let token = minted["items"][0]["token"].as_str().unwrap();
    let explain = async |token: &str, address: &str| {
        let call = json!({"token": token, "address": address});
        node.post("/v1/tokens/inspect", &call).await.json()
    };
    let said = explain(&token.to_uppercase(), "bob@example.com").await;
    assert_eq!(
        (&said["valid"], &said["address_matches"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(said["fields"]["use"], "feedback");
    assert_eq!(said["fields"]["stream_name"], "newsletter");
    assert_eq!(said["fields"]["ref"], "00c0ffee");
    assert_eq!(
        explain(token, "ann@example.com").await["address_matches"],
        false
    );
    let last = if token.ends_with('a') { "e" } else { "a" };
    let broken = token.chars().take(token.len() - 1);
    let broken = broken.chain(last.chars()).collect::<String>();
    assert_eq!(explain(&broken, "bob@example.com").await["valid"], false);
    let unknown = json!({"stream": 9, "recipients": []});
    assert_eq!(
        node.post("/v1/tokens", &unknown).await.problem(),
        "unknown-stream"
    );
}

#[tokio::test]
async fn minting_fills_in_the_address_of_a_standing_suppression() {
    let node = Node::start().await;
    let added = suppress(&node, json!([{"address": "kept@example.com"}])).await;
    let call = json!({"stream": 1, "recipients": [{"address": "kept@example.com"}]});
    assert_eq!(node.post("/v1/tokens", &call).await.status, 200);
    let recipient = added["items"][0]["recipient"].as_str().unwrap();
    let one = node
        .get(&format!("/v1/suppressions/{recipient}"))
        .await
        .json();
    assert_eq!(one["items"][0]["address"], "kept@example.com");
}

#[tokio::test]
async fn streams_are_created_updated_and_listed() {
    let node = Node::start().await;
    let call = json!({"number": 3, "name": "offers", "class": "marketing"});
    let made = node.post("/v1/streams", &call).await;
    assert_eq!((made.status, &made.json()["indexed"]), (201, &json!(true)));
    let check = node
        .post("/v1/check", &json!({"stream": 3, "addresses": []}))
        .await;
    assert_eq!(check.status, 200, "known as soon as it is indexed");
    let call = json!({"number": 3, "name": "deals", "class": "transactional", "unsubscribe": true,
        "title": "Offers & deals"});
    assert_eq!(node.post("/v1/streams", &call).await.status, 200);
    let list = node.get("/v1/streams").await.json();
    assert_eq!(list["items"][2], call);
    let taken = json!({"number": 4, "name": "deals", "class": "marketing"});
    let refused = node.post("/v1/streams", &taken).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (409, "name-taken")
    );
    for bad in [
        json!({"number": 0, "name": "x", "class": "marketing"}),
        json!({"number": 5, "name": "X y", "class": "marketing"}),
        json!({"number": 5, "name": "", "class": "marketing"}),
    ] {
        assert_eq!(
            node.post("/v1/streams", &bad).await.problem(),
            "invalid-request"
        );
    }
    let bad = json!({"number": 5, "name": "x", "class": "other"});
    assert_eq!(
        node.post("/v1/streams", &bad).await.problem(),
        "invalid-json"
    );
    // What is not given stays; what was never given is marketing.
    let call = json!({"number": 3, "name": "digest"});
    let kept = node.post("/v1/streams", &call).await.json();
    let stream = json!({"number": 3, "name": "digest", "class": "transactional",
        "unsubscribe": true, "title": "Offers & deals"});
    assert_eq!(
        (&kept["stream"], &kept["result"]),
        (&stream, &json!("updated"))
    );
    let call = json!({"number": 6, "name": "fresh"});
    let made = node.post("/v1/streams", &call).await.json();
    let stream = json!({"number": 6, "name": "fresh", "class": "marketing",
        "unsubscribe": false, "title": null});
    assert_eq!(
        (&made["stream"], &made["result"]),
        (&stream, &json!("created"))
    );
}

#[tokio::test]
async fn errors_speak_of_json_and_parameters() {
    let node = Node::start().await;
    let no_stream = "expected a stream number from 1 to 65535";
    let many = vec!["a@example.com"; 1001];
    let many: Vec<Value> = many.into_iter().map(|to| json!({"address": to})).collect();
    for (path, call, detail) in [
        (
            "/v1/tokens",
            json!({"stream": 1, "recipients": ["a@example.com"]}),
            "expected a recipient: {\"address\": …}",
        ),
        (
            "/v1/tokens",
            json!({"stream": "x", "recipients": []}),
            no_stream,
        ),
        (
            "/v1/tokens",
            json!({"stream": 70000, "recipients": []}),
            no_stream,
        ),
        (
            "/v1/check",
            json!({"stream": "x", "addresses": []}),
            no_stream,
        ),
        ("/v1/streams", json!({"number": -1, "name": "x"}), no_stream),
        (
            "/v1/suppressions",
            json!({"suppressions": ["a@example.com"]}),
            "expected a suppression: {\"address\": …}",
        ),
        (
            "/v1/tokens",
            json!({"stream": 1, "recipients": many}),
            "at most 1000 items, and 1001 came",
        ),
    ] {
        let told = node.post(path, &call).await.json();
        let told = told["detail"].as_str().unwrap();
        assert!(told.contains(detail), "{path} {detail}: {told}");
    }
    let told = node.get("/v1/suppressions?limt=5").await;
    assert_eq!(told.problem(), "invalid-request");
    assert_eq!(
        told.json()["detail"],
        "unknown parameter \"limt\"; known are after, limit, scope, reason"
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let node = Node::start().await;
    let id = "019aa5f2-7c00-7000-8000-000000000001";
    for path in [
        format!("/v1/receipts/{id}"),
        format!("/v1/receipts/{id}/raw"),
    ] {
        assert_eq!(node.get(&path).await.problem(), "not-found", "{path}");
    }
    assert_eq!(
        node.get("/v1/receipts/nonsense").await.problem(),
        "invalid-request"
    );
    let path = format!("/v1/held/{id}.0/dismiss");
    assert_eq!(node.post(&path, &json!({})).await.problem(), "not-found");
    let empty = node
        .send(
            node.request(Method::POST, &path)
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(empty.problem(), "not-found", "a body is not needed");
    assert_eq!(
        node.post(&path, &json!({"x": 1})).await.problem(),
        "invalid-json"
    );
}

/// What another node writes: it is in the store, and this node's follower was not woken.
async fn suppress_elsewhere(node: &Node, address: &str) {
    let whom = whom(&node.app, TenantId::DEFAULT, address).unwrap();
    let new = NewSuppression {
        key: SuppressionKey {
            tenant: TenantId::DEFAULT,
            recipient: whom.recipients[0],
            scope: Scope::All,
            reason: Reason::Manual,
        },
        address: None,
        note: String::new(),
    };
    let now = node.app.clock.now();
    node.app.store.suppress(&[new], now).await.unwrap();
}

#[tokio::test]
async fn what_existed_is_indexed_only_when_this_node_shows_it() {
    let node = Node::start().await;
    suppress_elsewhere(&node, "first@example.com").await;
    let added = suppress(&node, json!([{"address": "first@example.com"}])).await;
    assert_eq!(added["items"][0]["result"], "existed");
    assert_eq!(added["indexed"], true);
    let check = json!({"addresses": ["first@example.com"]});
    let checked = node.post("/v1/check", &check).await.json();
    assert_eq!(checked["suppressed"][0]["scope"], "all");

    assert!(node.stop.finish(Duration::from_secs(30)).await);
    suppress_elsewhere(&node, "second@example.com").await;
    let added = suppress(&node, json!([{"address": "second@example.com"}])).await;
    assert_eq!(added["items"][0]["result"], "existed");
    assert_eq!(added["indexed"], false, "nobody follows the feed");
    let nothing = suppress(&node, json!([{"address": "nobody"}])).await;
    assert_eq!(nothing["indexed"], true, "nothing was asked of the store");
}

#[tokio::test]
async fn tokens_do_not_wait_for_a_store_that_does_not_answer() {
    let node = Node::start().await;
    suppress_elsewhere(&node, "gone@example.com").await;
    let seq = node.app.store.head().await.unwrap().seq;
    assert!(node.app.follower.reach(seq, Duration::from_secs(30)).await);
    let call = json!({"stream": 1, "recipients": [{"address": "gone@example.com"}]});
    // The key of the call is known from here on.
    assert_eq!(
        node.post("/v1/tokens/inspect", &json!({"token": "x"}))
            .await
            .status,
        200
    );
    let mut other = SqliteConnectOptions::new()
        .filename(node.store_file())
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("begin immediate")
        .execute(&mut other)
        .await
        .unwrap();
    // Without its own limit the call waits for as long as the store does: 5 s and more.
    let minted = node.post("/v1/tokens", &call);
    let minted = tokio::time::timeout(Duration::from_secs(4), minted)
        .await
        .unwrap();
    assert_eq!(minted.status, 200);
    assert!(minted.json()["items"][0]["token"].is_string());
    other.close().await.unwrap();
    // With the store back the next mail fills the address in.
    assert_eq!(node.post("/v1/tokens", &call).await.status, 200);
    let one = node.get("/v1/suppressions/gone%40example.com").await.json();
    assert_eq!(one["items"][0]["address"], "gone@example.com");
}

/// How a reader of both feeds fares who is ready to wait for a minute.
async fn read_and_wait(node: &Node, router: Router) -> Vec<Value> {
    let mut answers = Vec::new();
    for feed in ["changes", "events"] {
        let path = format!("/v1/{feed}?after=head&wait=60");
        let request = node.request(Method::GET, &path).body(Body::empty());
        let response = router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await;
        answers.push(serde_json::from_slice(&bytes.unwrap()).unwrap());
    }
    answers
}

#[tokio::test]
async fn a_stop_ends_the_waiting_of_readers() {
    let node = Node::start().await;
    let stop = CancellationToken::new();
    let reading = read_and_wait(&node, node.stopped_by(stop.clone()));
    let stopping = async { stop.cancel() };
    let (read, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), reading),
        stopping
    );
    for page in read.unwrap() {
        assert_eq!(page["items"], json!([]));
        assert!(page["next"].is_string(), "the reader can go on from there");
    }
}

#[tokio::test]
async fn a_reader_does_not_spin_when_nobody_follows_the_feed() {
    let node = Node::start().await;
    assert!(node.stop.finish(Duration::from_secs(30)).await);
    let reading = read_and_wait(&node, node.stopped_by(CancellationToken::new()));
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    assert_eq!(read.unwrap()[0]["items"], json!([]));
}

#[tokio::test]
async fn peers_added_22_an_address_in_a_path_is_decoded_once() {
    let node = Node::start().await;
    let plain = "a%41@example.com";
    let added = suppress(&node, json!([{"address": plain}])).await;
    let recipient = &added["items"][0]["recipient"];
    let one = node
        .get("/v1/suppressions/a%2541%40example.com")
        .await
        .json();
    assert_eq!(&one["recipient"], recipient);
    assert_eq!(one["items"][0]["address"], plain);
    let other = node.get("/v1/suppressions/a%41%40example.com").await.json();
    assert_ne!(&other["recipient"], recipient, "that is aA@example.com");
    assert_eq!(other["items"], json!([]));
    // A body has no percent-encoding at all.
    for (address, lifted) in [("a%2541@example.com", 0), ("aA@example.com", 0), (plain, 1)] {
        let call = json!({"note": "asked again", "items": [{"address": address}]});
        let answer = node.post("/v1/suppressions/lift", &call).await.json();
        let found = answer["items"][0]["lifted"].as_array().unwrap();
        assert_eq!(found.len(), lifted, "{address}");
    }
}

#[tokio::test]
async fn a_token_that_does_not_verify_is_explained() {
    let node = Node::start().await;
    let minted = async |tenant: &str| {
        let call = json!({"recipients": [{"address": "ann@example.com"}], "use": "feedback"});
        let answer = node.post_for(tenant, "/v1/tokens", &call).await.json();
        answer["items"][0]["token"].as_str().unwrap().to_owned()
    };
    let own = minted("default").await;
    // Its second-last character is of the MAC alone.
    let mut changed: Vec<char> = own.chars().collect();
    let last_but_one = changed.len() - 2;
    changed[last_but_one] = match changed[last_but_one] {
        'a' => 'b',
        _ => 'a',
    };
    let changed: String = changed.into_iter().collect();
    for (token, word, text) in [
        ("nonsense".to_owned(), "malformed", "this is no token"),
        (changed, "bad-mac", "not made with this installation's keys"),
        (minted("other").await, "foreign", "for another tenant"),
    ] {
        let answer = node
            .post("/v1/tokens/inspect", &json!({"token": token}))
            .await;
        let answer = answer.json();
        assert_eq!(
            (&answer["valid"], &answer["error"]),
            (&json!(false), &json!(word))
        );
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{detail}");
        assert!(!detail.contains(&token), "a token is not repeated");
    }
}
