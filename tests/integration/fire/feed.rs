//! The feed under eight writers: readers by cursor, waiting ones, a late one and one that goes from
//! node to node miss nothing and read nothing twice (G-005).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::full;
use super::killed::random;
use super::ledger::{equal_feeds, everything};
use crate::harness::{Engine, Place, Running, public_agent};

const WRITERS: usize = 8;

/// Changes that each writer makes.
fn changes_each() -> usize {
    if full() { 10_000 } else { 1_000 }
}

/// Makes one writer's changes, in transactions of 1 to 200; every seventh address is lifted again,
/// which is a change as well.
fn write(node: &Running, writer: usize) {
    let agent = public_agent();
    let post = |path: &str, body: &Value| {
        let call = agent.post(node.url(path));
        let call = call.header("Authorization", format!("Bearer {}", node.key));
        let mut answer = call.send_json(body).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{text}");
    };
    let (mut made, mut number) = (0, 0);
    while made < changes_each() {
        let count = (1 + random(200)).min(changes_each() - made);
        let addresses: Vec<String> = (number..number + count)
            .map(|number| format!("w{writer}n{number}@example.net"))
            .collect();
        number += count;
        made += count;
        let items: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"address": address}))
            .collect();
        post("/v1/suppressions", &json!({"suppressions": items}));
        let lifted: Vec<Value> = items
            .iter()
            .step_by(7)
            .take(changes_each() - made)
            .cloned()
            .collect();
        if !lifted.is_empty() {
            made += lifted.len();
            post(
                "/v1/suppressions/lift",
                &json!({"items": lifted, "note": "feed"}),
            );
        }
    }
}

/// Reads until nothing more can come; each page at the next of the nodes.
fn read(nodes: &[&Running], query: &str, writing: &AtomicUsize) -> Vec<Value> {
    let agent = public_agent();
    let (mut items, mut after) = (Vec::new(), String::new());
    for node in nodes.iter().cycle() {
        let complete = writing.load(Ordering::SeqCst) == 0;
        let call = agent.get(node.url(&format!("/v1/changes?{query}{after}")));
        let mut page = call
            .header("Authorization", format!("Bearer {}", node.key))
            .call()
            .unwrap();
        let text = page.body_mut().read_to_string().unwrap();
        assert_eq!(page.status().as_u16(), 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let found = page["items"].as_array().unwrap();
        if complete && found.is_empty() {
            break;
        }
        items.extend(found.iter().cloned());
        after = format!("&after={}", page["next"].as_str().unwrap());
    }
    items
}

/// The same check on every node.
fn indexed(node: &Running) -> Value {
    let (status, ready) = node.get("/readyz/check");
    assert_eq!(status, 200, "{ready}");
    ready["suppressions"].clone()
}

fn nobody_misses_or_repeats_a_change(nodes: &[&Running]) {
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    let writing = AtomicUsize::new(WRITERS);
    let (half, late) = mpsc::channel();
    let readings: Vec<(&str, Vec<Value>)> = std::thread::scope(|scope| {
        let writing = &writing;
        let plans = [
            ("polling", vec![first], "limit=1000"),
            ("waiting", vec![last], "limit=100&wait=1"),
            ("from node to node", nodes.to_vec(), "limit=77&wait=1"),
            ("from node to node at once", nodes.to_vec(), "limit=333"),
        ];
        let readers = plans
            .into_iter()
            .map(|(name, nodes, query)| (name, scope.spawn(move || read(&nodes, query, writing))));
        let mut readers: Vec<_> = readers.collect();
        for writer in 0..WRITERS {
            let (node, half) = (nodes[writer % nodes.len()], half.clone());
            scope.spawn(move || {
                write(node, writer);
                writing.fetch_sub(1, Ordering::SeqCst);
                half.send(()).unwrap();
            });
        }
        late.recv().unwrap();
        let nodes = [last];
        readers.push((
            "late",
            scope.spawn(move || read(&nodes, "limit=1000", writing)),
        ));
        let read = readers.into_iter();
        read.map(|(name, reader)| (name, reader.join().unwrap()))
            .collect()
    });
    for node in nodes {
        node.drained();
    }
    let whole = everything(first, "/v1/changes");
    let barrier = |item: &Value| item["address"].as_str().unwrap().starts_with("barrier");
    let whole: Vec<Value> = whole.into_iter().filter(|item| !barrier(item)).collect();
    assert_eq!(
        whole.len(),
        WRITERS * changes_each(),
        "every change is in the feed"
    );
    for (name, read) in &readings {
        equal_feeds(name, read, &whole);
    }
    let standing = everything(first, "/v1/suppressions");
    let standing = standing
        .iter()
        .filter(|item| item["lifted"].is_null())
        .count();
    for node in nodes {
        assert_eq!(indexed(node), json!(standing), "the index equals the store");
    }
}

#[test]
fn g_005_the_feed_under_writers_sqlite() {
    nobody_misses_or_repeats_a_change(&[&Running::sqlite()]);
}

#[test]
fn g_005_the_feed_under_writers_postgres() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let url = place.database.as_ref().unwrap().url().to_owned();
    let (one, other) = (place.start(), Place::at(&url).start());
    nobody_misses_or_repeats_a_change(&[&one, &other]);
}
