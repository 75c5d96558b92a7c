//! `GET /v1/stats`: sums by what is asked for, as JSON and CSV.

use std::time::Duration;

use axum::body::Body;
use desist::model::tenant::TenantId;
use http::{Method, Request};
use serde_json::{Value, json};

use super::evidence::held_complaint;
use super::node::{Answer, Node};

/// A bounce that the own system tells of, some hours ago.
fn bounce(node: &Node, (address, status): (&str, &str), hours: u64) -> Value {
    let at = node.app.clock.now().before(Duration::from_hours(hours));
    json!({"kind": "bounce", "address": address, "status": status, "at": at})
}

async fn filled() -> Node {
    let node = Node::start().await;
    // Noon, so that an hour ago is today.
    let day = 86_400_000;
    let now = node.app.clock.now().as_millis();
    let noon = u64::try_from(day - now.rem_euclid(day) + day / 2).unwrap();
    node.app.clock.advance(Duration::from_millis(noon));
    let delivered: Vec<Value> = (0..400)
        .map(|n| json!({"kind": "delivered", "address": format!("u{n}@one.example")}))
        .chain(
            (0..100).map(|n| json!({"kind": "delivered", "address": format!("u{n}@two.example")})),
        )
        .collect();
    let mut events = delivered;
    events.extend([
        bounce(&node, ("a@one.example", "5.1.1"), 1),
        bounce(&node, ("b@one.example", "5.1.1"), 1),
        bounce(&node, ("c@two.example", "5.2.2"), 1),
        bounce(&node, ("d@two.example", "5.7.1"), 24),
    ]);
    let told = node.post("/v1/events", &json!({"events": events})).await;
    assert_eq!(told.status, 200);
    held_complaint(&node, 1, Some(TenantId::DEFAULT)).await;
    held_complaint(&node, 2, None).await;
    node
}

fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_total_counts_what_came_in() {
    let node = filled().await;
    let [total] = items(&node.get("/v1/stats?by=total").await)
        .try_into()
        .unwrap();
    for (name, number) in [
        ("events", json!(505)),
        ("delivered", json!(500)),
        ("bounces", json!(4)),
        ("complaints", json!(1)),
        ("unmatched_complaints", json!(1)),
        ("unmatched", json!(1)),
        ("held", json!(1)),
        ("unsubscribes", json!(0)),
        ("complaint_rate", json!(0.002)),
        (
            "bounces_by_class",
            json!({"bad-mailbox": 2, "mailbox-full": 1, "reputation": 1}),
        ),
    ] {
        assert_eq!(total[name], number, "{name}");
    }
    let classes = total["bounces_by_class"].as_object().unwrap();
    assert_eq!(
        (&classes["bad-mailbox"], &classes["mailbox-full"]),
        (&json!(2), &json!(1))
    );
    let all = classes.values().map(|n| n.as_u64().unwrap());
    assert_eq!(all.sum::<u64>(), 4);
    for dimension in ["time", "tenant", "stream", "provider", "reporter"] {
        assert!(total.get(dimension).is_none(), "{dimension}");
    }
}

#[tokio::test]
async fn sums_are_told_apart_by_what_is_asked_for() {
    let node = filled().await;
    let days = items(&node.get("/v1/stats").await);
    let bounces: Vec<&Value> = days.iter().map(|day| &day["bounces"]).collect();
    assert_eq!(bounces, [1, 3], "yesterday and today");
    let today = node.app.clock.now().to_string();
    let today = today.split('T').next().unwrap();
    assert_eq!(days[1]["time"], format!("{today}T00:00:00Z"));
    let hours = items(
        &node
            .get("/v1/stats?per=hour&since=2000-01-01T00:00:00Z")
            .await,
    );
    let bounces: Vec<&Value> = hours.iter().map(|hour| &hour["bounces"]).collect();
    assert_eq!(bounces, [1, 3, 0]);
    let providers = items(&node.get("/v1/stats?by=provider").await);
    let named: Vec<(&Value, &Value, &Value)> = providers
        .iter()
        .map(|item| (&item["provider"], &item["delivered"], &item["bounces"]))
        .collect();
    let (nobody, one, two) = (json!(""), json!("one.example"), json!("two.example"));
    let n = |n: u64| json!(n);
    assert_eq!(
        named,
        [
            (&nobody, &n(0), &n(0)),
            (&one, &n(400), &n(2)),
            (&two, &n(100), &n(2))
        ]
    );
    let [only] = items(&node.get("/v1/stats?by=total&provider=TWO.example").await)
        .try_into()
        .unwrap();
    assert_eq!((&only["delivered"], &only["bounces"]), (&n(100), &n(2)));
    let everybody = node.get_for("*", "/v1/stats?by=tenant").await;
    let tenants: Vec<(Value, Value)> = items(&everybody)
        .iter()
        .map(|item| (item["tenant"].clone(), item["complaints"].clone()))
        .collect();
    assert_eq!(tenants, [(n(0), n(1)), (n(1), n(1))]);
}

#[tokio::test]
async fn pages_reach_all_sums_once() {
    let node = filled().await;
    let by = "/v1/stats?by=time,provider,stream,reporter";
    let all = items(&node.get(by).await);
    assert_eq!(all.len(), 4);
    let mut paged = Vec::new();
    let mut after = String::new();
    for _ in 0..all.len() {
        let page = node.get(&format!("{by}&limit=1{after}")).await;
        paged.extend(items(&page));
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(paged, all);
}

// RFC 4180 §2
#[tokio::test]
async fn the_same_sums_come_as_csv() {
    let node = filled().await;
    let asked = node.get("/v1/stats?by=provider&format=csv").await;
    let accepted = node
        .request(Method::GET, "/v1/stats?by=provider")
        .header("accept", "text/csv, application/json;q=0");
    let accepted = node.send(accepted.body(Body::empty()).unwrap()).await;
    assert_eq!(asked.bytes, accepted.bytes);
    assert!(asked.header("content-type").starts_with("text/csv"));
    let text = String::from_utf8(asked.bytes).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert!(
        lines[0].starts_with("provider,complaints,unmatched_complaints,complaint_rate,unsubscribes,bounces,delivered,"),
        "{text}"
    );
    assert!(lines[1].starts_with(",1,1,,0,0,0,"), "{text}");
    assert!(lines[2].starts_with("one.example,0,0,0,0,2,400,"), "{text}");
    let cells = |line: &str| line.split(',').count();
    assert!(lines.iter().all(|line| cells(line) == cells(lines[0])));
    let class = lines[0]
        .split(',')
        .position(|name| name == "bounces_bad-mailbox");
    assert_eq!(lines[2].split(',').nth(class.unwrap()), Some("2"));
}

#[tokio::test]
async fn what_cannot_be_summed_is_refused() {
    let node = Node::start().await;
    for path in [
        "/v1/stats?by=weather",
        "/v1/stats?by=",
        "/v1/stats?by=total,time",
        "/v1/stats?per=week",
        "/v1/stats?since=yesterday",
        "/v1/stats?format=xml",
        "/v1/stats?stream=65536",
        "/v1/stats?limit=0",
        "/v1/stats?format=csv&limit=7",
        "/v1/stats?tenant=1",
    ] {
        let refused = node.get(path).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "invalid-request"),
            "{path}"
        );
    }
    let foreign = node.get("/v1/stats?after=nonsense").await;
    assert_eq!(
        (foreign.status, foreign.problem().as_str()),
        (422, "unprocessable")
    );
    let html = node
        .request(Method::GET, "/v1/stats")
        .header("accept", "text/html");
    let html = node.send(html.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (html.status, html.problem().as_str()),
        (406, "not-acceptable")
    );
    let none = Request::builder()
        .uri("/v1/stats")
        .body(Body::empty())
        .unwrap();
    assert_eq!(node.send(none).await.problem(), "unauthorized");
    assert_eq!(
        items(&node.get("/v1/stats?by=total").await),
        Vec::<Value>::new()
    );
}
