//! A node without sockets: store, journal and both HTTP doors in a folder of its own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use desist::app::api_keys::ApiKeys;
use desist::app::follower::{Following, follow};
use desist::app::reception::{Parts, Reception};
use desist::app::{App, Settings};
use desist::config::Config;
use desist::http::{api, public};
use desist::index::Index;
use desist::journal::{Journal, JournalConfig};
use desist::metrics::Metrics;
use desist::model::address::Address;
use desist::model::clock::Clock;
use desist::model::secret::Secret;
use desist::model::tenant::TenantId;
use desist::smtp::recipients::Served;
use desist::store::{Addresses, Store, StoreConfig};
use desist::token::keyring::{Keyring, Mint};
use desist::token::wire::Use;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(super) struct Node {
    runtime: Runtime,
    api: Router,
    public: Router,
    pub(super) journal: Journal,
    pub(super) keyring: Keyring,
    /// Of an administrator.
    pub(super) key: String,
    /// Of alice@example.com, on stream 1.
    pub(super) token: String,
    _folder: tempfile::TempDir,
}

/// What a door said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Node {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (app, key) = runtime.block_on(open(folder.path()));
        // Whoever waits for something new is answered at once.
        let stop = CancellationToken::new();
        stop.cancel();
        let keyring = app.reception.keyring();
        let mint = Mint {
            tenant: TenantId::DEFAULT,
            stream: 1,
            address: &Address::parse("alice@example.com").unwrap(),
            reference: b"",
            purpose: Use::Feedback,
        };
        let token = keyring.mint(&mint).unwrap().text;
        let door = public::Public::new(
            app.reception.clone(),
            public::ClickLimits::default(),
            public::pages::Pages::load(None).unwrap(),
        );
        Self {
            journal: app.journal.clone(),
            api: api::router(app, &api::Limits::default(), stop),
            public: public::router(door),
            keyring,
            key,
            token,
            runtime,
            _folder: folder,
        }
    }

    pub(super) fn at_api(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(answer(&self.api, request))
    }

    pub(super) fn at_public(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(answer(&self.public, request))
    }

    /// How many receipts wait; afterwards none does.
    pub(super) fn shipped(&self) -> usize {
        if self.journal.status().unshipped == 0 {
            return 0;
        }
        self.runtime.block_on(async {
            let entries = self.journal.take(100, 1 << 20).await.unwrap();
            let ids: Vec<_> = entries.iter().map(|entry| entry.receipt.id).collect();
            self.journal.done(&ids).await.unwrap();
            ids.len()
        })
    }
}

async fn answer(door: &Router, request: Request<Body>) -> Answer {
    let (head, body) = door.clone().oneshot(request).await.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with its runtime")]
async fn open(folder: &std::path::Path) -> (App, String) {
    let clock = Clock::system();
    let metrics = Metrics::default();
    let store = store(folder, &clock).await;
    let journal = JournalConfig {
        disk_floor: 0,
        ..JournalConfig::default()
    };
    let journal = Journal::open(&folder.join("j.db"), journal, clock.clone())
        .await
        .unwrap();
    let directory = store.directory().await.unwrap();
    let index = Arc::new(Index::default());
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
        reception: reception.clone(),
        clock: clock.clone(),
        image: None,
        metrics: metrics.clone(),
    };
    let (follower, task) = follow(following, CancellationToken::new());
    tokio::spawn(task);
    follower.loaded().await;
    let key = ApiKeys::new(store.clone(), clock.clone())
        .make_admin()
        .await
        .unwrap()
        .text;
    let settings = Settings {
        public_url: "https://u.example.com".to_owned(),
        domains: vec!["fb.example.com".to_owned()],
        addresses: Addresses::Keep,
        max_staleness: std::time::Duration::from_secs(30),
        declared: std::collections::BTreeSet::new(),
        policy: desist::judge::Policy::default(),
    };
    let app = App {
        store,
        journal,
        index,
        follower,
        reception,
        clock,
        metrics,
        traces: desist::traces::Traces::default(),
        settings: Arc::new(settings),
    };
    (app, key)
}

/// As a first start makes it.
async fn store(folder: &std::path::Path, clock: &Clock) -> Store {
    let config = Config::load(None, std::iter::empty()).unwrap();
    let wanted = StoreConfig {
        url: format!("sqlite:{}", folder.join("s.db").display()),
        addresses: Addresses::Keep,
        seal_key: None,
    };
    let store = Store::open(&wanted, Secret::new([9; 32]), clock.now())
        .await
        .unwrap();
    for tenant in config.tenants() {
        store.put_tenant(&tenant, clock.now()).await.unwrap();
    }
    for stream in config.streams() {
        store.put_stream(&stream, clock.now()).await.unwrap();
    }
    store
}
