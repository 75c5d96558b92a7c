//! What clients were promised, and the judgement at the end: every acknowledged item has its
//! effect exactly once, nothing unacknowledged has doubled, the index equals the store, and no
//! reader of a feed has missed or repeated anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::load::{Known, Reading};
use crate::harness::Running;

/// One recipient that something is sent for.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Its place in its client's work.
    pub(super) number: usize,
    pub(super) address: String,
    pub(super) token: String,
    /// The recipient key in hexadecimal.
    pub(super) recipient: String,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    Complaint,
    Click,
    Manual,
    Lift,
}

/// How often something was acknowledged, and how often it was sent and not answered.
#[derive(Debug, Clone, Copy, Default)]
struct Promise {
    certain: usize,
    doubtful: usize,
}

/// Everything that was promised.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    promises: BTreeMap<(Act, String), Promise>,
    addresses: BTreeMap<String, String>,
}

impl Item {
    /// From the answer of `POST /v1/tokens`.
    pub(super) fn minted(answer: &Value) -> VecDeque<Self> {
        let items = answer["items"].as_array().unwrap().iter().enumerate();
        items
            .map(|(number, item)| {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                Self::new(number, text("address"), text("token"))
            })
            .collect()
    }

    pub(super) fn new(number: usize, address: String, token: String) -> Self {
        // The body of a token: header 1, tenant 3, stream 2, recipient 10 bytes.
        let upper = token.to_ascii_uppercase();
        let bytes = data_encoding::BASE32_NOPAD
            .decode(upper.as_bytes())
            .unwrap();
        let recipient = data_encoding::HEXLOWER.encode(&bytes[6..16]);
        Self {
            number,
            address,
            token,
            recipient,
        }
    }
}

impl Ledger {
    /// It was acknowledged.
    pub(super) fn certain(&mut self, act: Act, item: &Item) {
        self.promise(act, item).certain += 1;
    }

    /// It was sent whole, and no answer came.
    pub(super) fn doubtful(&mut self, act: Act, item: &Item) {
        self.promise(act, item).doubtful += 1;
    }

    fn promise(&mut self, act: Act, item: &Item) -> &mut Promise {
        let key = item.recipient.clone();
        self.addresses.insert(key.clone(), item.address.clone());
        self.promises.entry((act, key)).or_default()
    }

    /// Some of the addresses.
    pub(super) fn addresses(&self, count: usize) -> Vec<String> {
        self.addresses.values().take(count).cloned().collect()
    }

    fn of(&self, act: Act, recipient: &str) -> Promise {
        let key = (act, recipient.to_owned());
        self.promises.get(&key).copied().unwrap_or_default()
    }

    fn certain_in_all(&self, act: Act) -> usize {
        let those = self.promises.iter().filter(|((of, _), _)| *of == act);
        those.map(|(_, promise)| promise.certain).sum()
    }
}

/// What is stored in the end: both feeds from their beginnings, and what stands.
struct Found {
    changes: Vec<Value>,
    events: Vec<Value>,
    standing: Vec<Value>,
}

/// The judgement at a server at which everything has arrived.
pub(super) fn judge(running: &Running, known: &Known) {
    let found = Found {
        changes: everything(running, "/v1/changes"),
        events: everything(running, "/v1/events"),
        standing: everything(running, "/v1/suppressions"),
    };
    let acts = [Act::Complaint, Act::Click, Act::Manual, Act::Lift];
    let counts = acts.map(|act| known.ledger.certain_in_all(act));
    println!(
        "acknowledged {acts:?}: {counts:?}; {} events, {} changes, {} checks, the slowest {:?}",
        found.events.len(),
        found.changes.len(),
        known.progress.checks,
        known.progress.slowest_check,
    );
    let events = events_are_as_promised(&known.ledger, &found.events);
    receipts_are_those_of_the_events(running, &found.events);
    changes_are_as_promised(&known.ledger, &events, &found.changes);
    the_index_equals_the_store(running, &known.ledger, &found);
    for reading in &known.readings {
        nothing_missed_or_repeated(reading, &found);
    }
}

/// All items of a listing or feed.
pub(super) fn everything(running: &Running, path: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = running.get(&format!("{path}?limit=1000{after}"));
        assert_eq!(status, 200, "{page}");
        let found = page["items"].as_array().unwrap();
        items.extend(found.iter().cloned());
        match page["next"].as_str() {
            Some(next) if !found.is_empty() => after = format!("&after={next}"),
            _ => return items,
        }
    }
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

/// One event an acknowledgement, at most one more for each that was in doubt; how many each
/// recipient has.
fn events_are_as_promised(ledger: &Ledger, events: &[Value]) -> BTreeMap<(Act, String), usize> {
    let mut times: BTreeMap<(Act, String), usize> = BTreeMap::new();
    for event in events {
        let act = match text(event, "kind") {
            "complaint" => Act::Complaint,
            "unsubscribe" => Act::Click,
            other => panic!("nobody has sent a {other}: {event}"),
        };
        let key = (act, text(event, "recipient").to_owned());
        assert!(
            ledger.promises.contains_key(&key),
            "nobody has sent {event}"
        );
        *times.entry(key).or_default() += 1;
    }
    for (key, promise) in &ledger.promises {
        if matches!(key.0, Act::Complaint | Act::Click) {
            let times = times.get(key).copied().unwrap_or_default();
            let expected = promise.certain..=promise.certain + promise.doubtful;
            assert!(
                expected.contains(&times),
                "{key:?}: {times} events, not {expected:?}"
            );
        }
    }
    times
}

fn receipts_are_those_of_the_events(running: &Running, events: &[Value]) {
    let receipts = everything(running, "/v1/receipts");
    let ids: BTreeSet<&str> = receipts.iter().map(|item| text(item, "id")).collect();
    assert_eq!(ids.len(), receipts.len(), "no receipt twice");
    let named: BTreeSet<&str> = events.iter().map(|item| text(item, "receipt")).collect();
    assert_eq!(ids, named, "every receipt has its event");
}

/// Every act changes what stands once, whoever has repeated it.
fn changes_are_as_promised(
    ledger: &Ledger,
    events: &BTreeMap<(Act, String), usize>,
    changes: &[Value],
) {
    let mut times: BTreeMap<(Act, String), usize> = BTreeMap::new();
    let mut last = 0;
    for change in changes {
        let seq = change["seq"].as_u64().unwrap();
        assert!(seq > last, "the feed is in order: {change}");
        last = seq;
        if is_barrier(change) {
            continue;
        }
        let act = match (
            text(change, "op"),
            text(change, "scope"),
            text(change, "reason"),
        ) {
            ("suppress", "marketing", "complaint") => Act::Complaint,
            ("suppress", "stream:1", "unsubscribe") => Act::Click,
            ("suppress", "all", "manual") => Act::Manual,
            ("lift", "all", "manual") => Act::Lift,
            other => panic!("nobody has asked for {other:?}: {change}"),
        };
        let key = (act, text(change, "recipient").to_owned());
        if act == Act::Lift {
            let suppressed = (Act::Manual, key.1.clone());
            assert!(times.contains_key(&suppressed), "lifted before: {change}");
        }
        *times.entry(key).or_default() += 1;
    }
    for (key, times) in &times {
        let promise = ledger.of(key.0, &key.1);
        assert!(
            promise.certain + promise.doubtful > 0,
            "nobody has asked for {key:?}"
        );
        assert_eq!(*times, 1, "{key:?} has its effect once");
    }
    for (key, promise) in &ledger.promises {
        let must = promise.certain > 0 || events.contains_key(key);
        assert!(!must || times.contains_key(key), "{key:?} has its effect");
    }
}

/// What the harness adds to see that everything before it has arrived.
fn is_barrier(item: &Value) -> bool {
    text(item, "address").starts_with("barrier")
}

/// The feed makes what stands, and check says it.
fn the_index_equals_the_store(running: &Running, ledger: &Ledger, found: &Found) {
    let mut standing: BTreeSet<[&str; 3]> = BTreeSet::new();
    for change in &found.changes {
        let key = ["recipient", "scope", "reason"].map(|name| text(change, name));
        if text(change, "op") == "suppress" {
            assert!(standing.insert(key), "began while it stood: {change}");
        } else {
            assert!(
                standing.remove(&key),
                "ended while it did not stand: {change}"
            );
        }
    }
    let listed = found
        .standing
        .iter()
        .filter(|item| item["lifted"].is_null());
    let listed: BTreeSet<[&str; 3]> = listed
        .map(|item| ["recipient", "scope", "reason"].map(|name| text(item, name)))
        .collect();
    assert_eq!(standing, listed, "the feed makes what stands");
    let (status, ready) = running.get("/readyz/check");
    assert_eq!(
        (status, &ready["suppressions"]),
        (200, &json!(listed.len())),
        "{ready}"
    );

    let by_recipient: BTreeMap<&str, [&str; 2]> = listed
        .iter()
        .map(|[recipient, scope, reason]| (*recipient, [*scope, *reason]))
        .collect();
    let recipients: Vec<(&String, &String)> = ledger.addresses.iter().collect();
    for some in recipients.chunks(10_000) {
        let addresses: Vec<&String> = some.iter().map(|(_, address)| *address).collect();
        let (status, answer) = running.post("/v1/check", &json!({"addresses": addresses}));
        assert_eq!(status, 200, "{answer}");
        let said = answer["suppressed"].as_array().unwrap().iter();
        let mut said: BTreeMap<&str, [&str; 2]> = said
            .map(|item| {
                (
                    text(item, "address"),
                    ["scope", "reason"].map(|name| text(item, name)),
                )
            })
            .collect();
        for (recipient, address) in some {
            let expected = by_recipient.get(recipient.as_str()).copied();
            assert_eq!(
                said.remove(address.as_str()),
                expected,
                "check of {address}"
            );
        }
        assert!(said.is_empty(), "{said:?}");
    }
}

/// A reader from the beginning has read what is there, in that order (G-005).
pub(super) fn equal_feeds(reader: &str, read: &[Value], whole: &[Value]) {
    let place = |item: &Value| item["seq"].as_u64().unwrap();
    let (read_places, places): (Vec<u64>, Vec<u64>) = (
        read.iter().map(place).collect(),
        whole.iter().map(place).collect(),
    );
    if let Some(at) =
        (0..places.len().max(read_places.len())).find(|at| read_places.get(*at) != places.get(*at))
    {
        panic!(
            "{reader}: at {at} of {} it read {:?}, the feed has {:?}",
            places.len(),
            read_places.get(at),
            places.get(at)
        );
    }
    for (read, whole) in read.iter().zip(whole) {
        for name in ["id", "op", "recipient", "scope", "reason", "kind"] {
            assert_eq!(read[name], whole[name], "{reader}");
        }
    }
}

fn nothing_missed_or_repeated(reading: &Reading, found: &Found) {
    let whole = match reading.feed {
        "changes" => &found.changes,
        _ => &found.events,
    };
    equal_feeds(&reading.reader, &reading.items, whole);
}
