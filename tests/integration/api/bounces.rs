//! What the sender's own systems tell, the brake's batches, alarms, and lifts by filter.

use std::time::Duration;

use desist::model::clock::Timestamp;
use http::{Method, Request};
use serde_json::{Value, json};

use super::node::Node;

const DAY: Duration = Duration::from_hours(24);

async fn tell(node: &Node, events: Value) -> Value {
    let answer = node.post("/v1/events", &json!({"events": events})).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let answer = answer.json();
    assert_eq!(answer["indexed"], true);
    answer["items"].clone()
}

async fn reason(node: &Node, address: &str) -> Value {
    let checked = node
        .post("/v1/check", &json!({"addresses": [address]}))
        .await;
    checked.json()["suppressed"][0]["reason"].clone()
}

fn bounce(address: &str, status: &str, remote: &str) -> Value {
    json!({"kind": "bounce", "address": address, "status": status, "stage": "rcpt",
        "diagnostic": format!("550 {status} refused"), "smtp_code": 550, "remote_mta": remote})
}

fn ago(node: &Node, days: u32) -> Timestamp {
    node.app.clock.now().before(DAY * days)
}

#[tokio::test]
async fn a_bounce_that_the_own_system_tells_is_judged_like_one_by_mail() {
    let node = Node::start().await;
    let minted = json!({"stream": 1, "recipients": [{"address": "tom@example.net"}]});
    let minted = node.post("/v1/tokens", &minted).await.json();
    let token = minted["items"][0]["token"].as_str().unwrap().to_owned();
    let items = tell(
        &node,
        json!([
            bounce("dead@example.net", "5.1.1", "mx1.example.net"),
            bounce("blocked@example.net", "5.7.1", "mx1.example.net"),
            bounce("full@example.net", "5.2.2", "mx1.example.net"),
            {"kind": "bounce", "token": token, "status": "5.1.1"},
            {"kind": "delivered", "address": "alive@example.net"},
        ]),
    )
    .await;
    for item in items.as_array().unwrap() {
        assert_eq!(item["result"], "recorded", "{item}");
    }
    for (address, expected) in [
        ("dead@example.net", json!("bounce")),
        ("tom@example.net", json!("bounce")),
        ("blocked@example.net", json!(null)),
        ("full@example.net", json!(null)),
        ("alive@example.net", json!(null)),
    ] {
        assert_eq!(reason(&node, address).await, expected, "{address}");
    }
    let events = node.get("/v1/events").await.json()["items"].clone();
    let of = |name: &str| -> &Value {
        let address = json!(format!("{name}@example.net"));
        let mut events = events.as_array().unwrap().iter();
        events.find(|event| event["address"] == address).unwrap()
    };
    let dead = of("dead");
    assert_eq!(dead["proof"], "operator");
    let effect = json!([{"effect": "suppress", "scope": "all", "reason": "bounce"}]);
    assert_eq!(dead["effects"], effect);
    assert_eq!(dead["detail"]["class"], "bad-mailbox");
    assert_eq!(dead["detail"]["provider"], "example.net");
    assert_eq!(of("blocked")["effects"], json!([{"effect": "signal"}]));
    let counted = json!([{"effect": "count-soft", "failure": "mailbox-full"}]);
    assert_eq!(of("full")["effects"], counted);
    assert_eq!(of("alive")["effects"], json!([{"effect": "reset-soft"}]));
    // What was told can be read again.
    let id = items[0]["receipt"].as_str().unwrap();
    let receipt = node.get(&format!("/v1/receipts/{id}")).await.json();
    assert_eq!(receipt["receipt"]["door"], "api");
    let raw = node.get(&format!("/v1/receipts/{id}/raw")).await;
    let told: Value = serde_json::from_slice(&raw.bytes).unwrap();
    assert_eq!(told["address"], "dead@example.net");
}

#[tokio::test]
async fn what_is_told_twice_counts_once_and_bad_items_are_named() {
    let node = Node::start().await;
    let at = ago(&node, 1);
    let one = json!({"kind": "bounce", "address": "a@example.net", "status": "5.1.1",
        "id": "mta/1", "at": at});
    let first = tell(&node, json!([one, one])).await;
    let results: Vec<&Value> = (0..2).map(|i| &first[i]["result"]).collect();
    assert_eq!(results, ["recorded", "existed"]);
    assert_eq!(tell(&node, json!([one])).await[0]["result"], "existed");
    // Lifted is lifted, however often it is told again.
    let lift = json!({"items": [{"address": "a@example.net"}], "note": "it works"});
    node.post("/v1/suppressions/lift", &lift).await;
    tell(&node, json!([one])).await;
    assert_eq!(reason(&node, "a@example.net").await, json!(null));
    let long = "x".repeat(2_001);
    for (item, why) in [
        (json!({"kind": "bounce"}), "either an address or a token"),
        (json!({"kind": "bounce", "address": "nobody"}), "no address"),
        (json!({"kind": "bounce", "token": "abc"}), "not valid"),
        (
            json!({"kind": "bounce", "address": "a@b.example", "id": "1"}),
            "needs `at`",
        ),
        (
            json!({"kind": "bounce", "address": "a@b.example", "at": ago(&node, 91)}),
            "90 days",
        ),
        (
            json!({"kind": "bounce", "address": "a@b.example", "smtp_code": 99}),
            "smtp_code",
        ),
        (
            json!({"kind": "bounce", "address": "a@b.example", "diagnostic": long}),
            "2000",
        ),
    ] {
        let items = tell(&node, json!([item, bounce("ok@example.net", "5.7.1", "")])).await;
        assert_eq!(items[0]["result"], "error", "{item}");
        let error = items[0]["error"].as_str().unwrap();
        assert!(error.contains(why), "{error}");
        assert_eq!(items[1]["result"], "recorded");
    }
    let many = vec![bounce("a@example.net", "5.7.1", ""); 10_001];
    let refused = node.post("/v1/events", &json!({"events": many})).await;
    assert_eq!(refused.problem(), "too-many-items");
    let unknown = node
        .post("/v1/events", &json!({"events": [{"kind": "sold"}]}))
        .await;
    assert_eq!(unknown.status, 400);
}

// D-074: failing days count by the time that they are told of.
#[tokio::test]
async fn soft_bounces_suppress_where_deliveries_are_told() {
    let node = Node::start().await;
    let soft = |address: &str| -> Value {
        [20, 16, 12, 8, 4]
            .map(|days| {
                json!({"kind": "bounce", "address": address, "status": "4.4.7",
                    "at": ago(&node, days)})
            })
            .as_slice()
            .into()
    };
    tell(&node, soft("first@example.net")).await;
    assert_eq!(reason(&node, "first@example.net").await, json!(null));
    let held = node.get("/v1/held").await.json();
    assert_eq!(
        held["items"][0]["event"]["effects"][1]["because"],
        "no-deliveries"
    );
    tell(
        &node,
        json!([{"kind": "delivered", "address": "other@example.net"}]),
    )
    .await;
    tell(&node, soft("second@example.net")).await;
    assert_eq!(reason(&node, "second@example.net").await, json!("bounce"));
    // In one call, in any order: mail has arrived between.
    let mut third = soft("third@example.net");
    let arrived = json!({"kind": "delivered", "address": "third@example.net",
        "at": ago(&node, 10)});
    third.as_array_mut().unwrap().push(arrived);
    tell(&node, third).await;
    assert_eq!(reason(&node, "third@example.net").await, json!(null));
}

// D-062
#[tokio::test]
async fn a_braked_batch_is_seen_told_and_decided_by_one_call() {
    let node = Node::start().await;
    let batch = |name: &str, provider: &str, count: u32| -> Value {
        (0..count)
            .map(|n| {
                bounce(
                    &format!("{name}{n}@{provider}"),
                    "5.1.1",
                    &format!("mx.{provider}"),
                )
            })
            .collect()
    };
    tell(&node, batch("u", "one.example", 150)).await;
    assert_eq!(reason(&node, "u0@one.example").await, json!("bounce"));
    tell(&node, batch("v", "one.example", 100)).await;
    for address in ["u0@one.example", "v99@one.example"] {
        assert_eq!(reason(&node, address).await, json!(null), "{address}");
    }
    let alarms = node.get("/v1/alarms").await.json();
    let [alarm] = alarms["items"].as_array().unwrap().as_slice() else {
        panic!("{alarms}")
    };
    assert_eq!(
        (&alarm["kind"], &alarm["detail"]["bounces"]),
        (&json!("brake"), &json!(250))
    );
    let name = alarm["detail"]["batch"].as_str().unwrap();
    let held = node
        .get(&format!("/v1/held?limit=1000&batch={name}"))
        .await
        .json();
    assert_eq!(held["items"].as_array().unwrap().len(), 250);
    assert_eq!(held["items"][0]["batch"], name);
    let other = node.get("/v1/held?batch=other").await.json();
    assert_eq!(other["items"], json!([]));
    let metrics = node.get("/metrics").await;
    let metrics = String::from_utf8(metrics.bytes).unwrap();
    assert!(
        metrics.contains("desist_alarms_total{alarm=\"brake\"} 1"),
        "{metrics}"
    );
    // Another tenant sees and decides none of it.
    let foreign = Request::builder()
        .method(Method::POST)
        .uri("/v1/held/approve")
        .header("authorization", format!("Bearer {}", node.admin))
        .header("desist-tenant", "other")
        .header("content-type", "application/json")
        .body(json!({"batch": name}).to_string().into());
    assert_eq!(node.send(foreign.unwrap()).await.problem(), "not-found");
    let call = json!({"batch": name, "note": "they have closed"});
    let approved = node.post("/v1/held/approve", &call).await.json();
    assert_eq!(approved["decided"], 250);
    assert_eq!(approved["indexed"], true);
    for address in ["u0@one.example", "v99@one.example"] {
        assert_eq!(reason(&node, address).await, json!("bounce"), "{address}");
    }
    assert_eq!(
        node.post("/v1/held/dismiss", &call).await.problem(),
        "not-found"
    );
    let shown = node.get("/v1/suppressions/u0@one.example").await.json();
    assert_eq!(shown["items"][0]["note"], "they have closed");
    assert_eq!(shown["items"][0]["evidence"]["proof"], "operator");
}

#[tokio::test]
async fn a_lift_by_filter_ends_what_it_finds_and_nothing_else() {
    let node = Node::start().await;
    let begun = node.app.clock.now();
    tell(
        &node,
        json!([
            bounce("a@one.example", "5.1.1", "mx.one.example"),
            bounce("b@one.example", "5.1.6", "mx.one.example"),
            bounce("c@two.example", "5.1.1", "mx.two.example"),
        ]),
    )
    .await;
    node.app.clock.advance(Duration::from_mins(10));
    let later = node.app.clock.now();
    tell(
        &node,
        json!([bounce("d@one.example", "5.1.1", "mx.one.example")]),
    )
    .await;
    let manual = json!({"suppressions": [{"address": "e@one.example"}]});
    node.post("/v1/suppressions", &manual).await;
    let lift = async |filter: Value| {
        let call = json!({"filter": filter, "note": "the provider was wrong"});
        let answer = node.post("/v1/suppressions/lift", &call).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["lifted"].clone()
    };
    for (filter, expected) in [
        (json!({"reason": "complaint"}), 0),
        (json!({"reason": "bounce", "provider": "three.example"}), 0),
        (json!({"reason": "bounce", "until": begun}), 0),
        (json!({"reason": "bounce", "scope": "marketing"}), 0),
        (
            json!({"reason": "bounce", "provider": "ONE.example", "class": "bad-mailbox",
                "since": begun, "until": later}),
            1,
        ),
        (json!({"reason": "bounce", "since": later}), 1),
        (json!({"reason": "bounce"}), 2),
    ] {
        assert_eq!(lift(filter.clone()).await, json!(expected), "{filter}");
    }
    assert_eq!(reason(&node, "e@one.example").await, json!("manual"));
    let shown = node.get("/v1/suppressions/a@one.example").await.json();
    assert_eq!(
        shown["items"][0]["lifted"]["note"],
        "the provider was wrong"
    );
    for wrong in [
        json!({"note": "why"}),
        json!({"filter": {"reason": "bounce"}, "items": [], "note": "why"}),
        json!({"filter": {"reason": "bounce"}, "note": " "}),
    ] {
        let refused = node.post("/v1/suppressions/lift", &wrong).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
}
