//! What an address of a long check costs: canonical form, recipient key, and all of it through the
//! API's own router, from the request's body to the answer's.
//! `cargo bench --bench address [-- ENTRIES [CALLS]]`
//!
//! Times are the processor's, so that neighbours on the machine change them little.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a measurement: it prints, spawns, and may stop at any surprise"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use desist::app::api_keys::{ApiKeys, NewKey};
use desist::app::follower::{Following, follow};
use desist::app::reception::{Parts, Reception};
use desist::app::{App, Settings};
use desist::http::api::{Limits, router};
use desist::index::Index;
use desist::journal::{Journal, JournalConfig};
use desist::metrics::Metrics;
use desist::model::address::Address;
use desist::model::clock::{Clock, Timestamp};
use desist::model::recipient::RecipientKey;
use desist::model::secret::Secret;
use desist::model::suppression::{Reason, Scope, SuppressionKey};
use desist::model::tenant::TenantId;
use desist::smtp::recipients::Served;
use desist::store::{Addresses, KeyScope, Store, StoreConfig};
use desist::token::keyring::{AddressKeys, Keyring};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Addresses of one call.
const ADDRESSES: u64 = 10_000;
/// One address of so many is suppressed.
const HIT: u64 = 100;
/// Addresses of the pure measurements.
const PURE: u64 = 1_000_000;

fn address(number: u64) -> String {
    let domain = ["example.com", "mail.example.org", "provider.example"];
    let domain = domain.get(usize::try_from(number % 3).unwrap()).unwrap();
    format!("First.Last{number}@{domain}")
}

/// Seconds that all threads of this process have been on a processor.
fn seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let tasks = tasks.map(|task| task.unwrap().path().join("schedstat"));
    let text = tasks.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let nanos = text.map(|text| text.split(' ').next().unwrap().parse().unwrap_or(0.0));
    nanos.sum::<f64>() / 1e9
}

fn show(what: &str, began: f64, count: u64) {
    let nanos = (seconds() - began) * 1e9 / count as f64;
    println!("{what:<32} {nanos:>8.0} ns");
}

fn pure(keys: &AddressKeys) {
    let texts: Vec<String> = (0..PURE).map(address).collect();
    let began = seconds();
    for text in &texts {
        black_box(Address::parse(text).unwrap());
    }
    show("canonical address", began, PURE);
    let addresses: Vec<Address> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let began = seconds();
    for address in &addresses {
        black_box(keys.recipient_keys(address).next());
    }
    show("recipient key", began, PURE);
}

fn enter(index: &Index, keys: &AddressKeys, entries: u64) {
    for number in 0..entries {
        // Those behind the first are only to be there.
        let recipient = if number < ADDRESSES {
            let address = Address::parse(&address(number * HIT)).unwrap();
            keys.recipient_keys(&address).next().unwrap()
        } else {
            let mut bytes = [0; 10];
            getrandom::fill(&mut bytes).unwrap();
            RecipientKey::from_bytes(bytes)
        };
        let key = SuppressionKey {
            tenant: TenantId::DEFAULT,
            recipient,
            scope: Scope::Marketing,
            reason: Reason::Complaint,
        };
        index.insert(key, Timestamp::from_seconds(1_795_000_000));
    }
}

async fn node(folder: &std::path::Path) -> (App, Router, String) {
    let clock = Clock::system();
    let config = StoreConfig {
        url: format!("sqlite:{}", folder.join("store.db").display()),
        addresses: Addresses::Keep,
        seal_key: None,
    };
    let fresh = Secret::new([7; 32]);
    let store = Store::open(&config, fresh, clock.now()).await.unwrap();
    let journal = folder.join("journal.db");
    let journal = Journal::open(&journal, JournalConfig::default(), clock.clone());
    let journal = journal.await.unwrap();
    let (metrics, index) = (Metrics::default(), Arc::new(Index::default()));
    let directory = store.directory().await.unwrap();
    let reception = Reception::new(Parts {
        journal: journal.clone(),
        index: Arc::clone(&index),
        clock: clock.clone(),
        metrics: metrics.clone(),
        served: Served {
            domains: vec!["fb.example.com".to_owned()],
            keyring: Keyring::new(&directory),
            directory: Arc::new(directory),
            current: true,
        },
        token_receipts_per_hour: 0,
        policy: desist::judge::Policy::default(),
    });
    let following = Following {
        store: store.clone(),
        journal: journal.clone(),
        index: Arc::clone(&index),
        image: None,
        reception: reception.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let stop = CancellationToken::new();
    let (follower, task) = follow(following, stop.clone());
    tokio::spawn(task);
    follower.loaded().await;
    let app = App {
        store: store.clone(),
        journal,
        index,
        follower,
        reception,
        clock: clock.clone(),
        metrics,
        traces: desist::traces::Traces::default(),
        settings: Arc::new(Settings {
            declared: std::collections::BTreeSet::new(),
            policy: desist::judge::Policy::default(),
            public_url: "https://u.example.com".to_owned(),
            domains: vec!["fb.example.com".to_owned()],
            addresses: Addresses::Keep,
            max_staleness: Duration::from_mins(1),
        }),
    };
    let new = NewKey {
        tenant: None,
        name: "bench".to_owned(),
        scopes: vec![KeyScope::Check],
    };
    let key = ApiKeys::new(store, clock).make(new).await.unwrap().text;
    let router = router(app.clone(), &Limits::default(), stop);
    (app, router, key)
}

/// One call: how many addresses are suppressed.
async fn call(router: &Router, key: &str, body: String) -> usize {
    let request = http::Request::post("/v1/check")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .body(Body::from(body))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    answer
        .windows(7)
        .filter(|bytes| bytes == b"\"scope\"")
        .count()
}

fn body(first: u64) -> String {
    let mut body = "{\"addresses\":[".to_owned();
    for number in first..first + ADDRESSES {
        let comma = if number == first { "" } else { "," };
        write!(body, "{comma}\"{}\"", address(number)).unwrap();
    }
    body.push_str("]}");
    body
}

fn main() {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse().ok());
    let entries: u64 = numbers.next().unwrap_or(1_000_000);
    let calls: u64 = numbers.next().unwrap_or(50);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (app, router, key) = node(folder.path()).await;
        let keys = app.reception.keyring().address_keys(TenantId::DEFAULT);
        pure(&keys);
        enter(&app.index, &keys, entries);
        println!("{:<32} {:>8}", "entries of the index", app.index.len());
        let bodies: Vec<String> = (0..calls)
            .map(|call| body(call % HIT * ADDRESSES))
            .collect();
        let (began, mut found) = (seconds(), 0);
        for body in bodies {
            found += call(&router, &key, body).await;
        }
        show("an address of a check of 10,000", began, calls * ADDRESSES);
        let hits = found as f64 * 100.0 / (calls * ADDRESSES) as f64;
        println!("{:<32} {hits:>7.2} %", "of them suppressed");
    });
}
