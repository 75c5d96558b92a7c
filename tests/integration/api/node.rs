//! A whole node behind the API in one process: store, journal, index, follower, router.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use desist::app::api_keys::{ApiKeys, NewKey};
use desist::app::follower::{Following, follow};
use desist::app::reception::{Parts, Reception};
use desist::app::{App, Settings};
use desist::http::api::{Limits, router};
use desist::index::Index;
use desist::journal::{Journal, JournalConfig};
use desist::metrics::Metrics;
use desist::model::clock::Clock;
use desist::model::secret::Secret;
use desist::model::stream::{Class, Stream};
use desist::model::tenant::{Tenant, TenantId};
use desist::net::stop::Stop;
use desist::smtp::recipients::Served;
use desist::store::{Addresses, KeyScope, Store, StoreConfig};
use desist::token::keyring::Keyring;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

use crate::privacy::assert_reveals_nothing;

/// A running node. Its follower ends with it.
pub(super) struct Node {
    pub(super) app: App,
    pub(super) keys: ApiKeys,
    pub(super) admin: String,
    router: Router,
    pub(super) stop: Stop,
    _ending: DropGuard,
    folder: tempfile::TempDir,
}

/// One answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem, whose form is checked.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], self.status);
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert!(body["title"].is_string() && body["detail"].is_string());
        assert_eq!(body["request"], self.header("x-request-id"));
        let text = String::from_utf8_lossy(&self.bytes);
        assert_reveals_nothing("an error of the API", &text);
        code
    }
}

impl Node {
    pub(super) async fn start() -> Self {
        Self::with_limits(&Limits::default()).await
    }

    pub(super) async fn with_limits(limits: &Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // It stands still until a test moves it.
        let clock = Clock::manual(Clock::system().now());
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let config = StoreConfig {
            url,
            addresses: Addresses::Keep,
            seal_key: None,
        };
        let store = Store::open(&config, Secret::new([7; 32]), clock.now())
            .await
            .unwrap();
        let other = Tenant {
            id: TenantId::new(2).unwrap(),
            name: "other".to_owned(),
            domain: Some("fb.other.example".to_owned()),
            title: None,
        };
        store.put_tenant(&other, clock.now()).await.unwrap();
        for (number, name, class) in [
            (1, "newsletter", Class::Marketing),
            (2, "receipts", Class::Transactional),
        ] {
            let stream = Stream {
                tenant: TenantId::DEFAULT,
                number,
                name: name.to_owned(),
                class,
                unsubscribe: false,
                title: None,
            };
            store.put_stream(&stream, clock.now()).await.unwrap();
        }
        let journal = Journal::open(
            &folder.path().join("journal.db"),
            JournalConfig {
                disk_floor: 0,
                queue: 100,
                queue_bytes: 1 << 20,
                keep: Duration::ZERO,
            },
            clock.clone(),
        )
        .await
        .unwrap();
        let (app, stop) = join(store, journal, clock).await;
        let keys = ApiKeys::new(app.store.clone(), app.clock.clone());
        let admin = made(&keys, None, &[KeyScope::Admin]).await;
        let router = router(app.clone(), limits, stop.soft().clone());
        Self {
            app,
            keys,
            admin,
            router,
            _ending: stop.hard().clone().drop_guard(),
            stop,
            folder,
        }
    }

    /// The store's file.
    pub(super) fn store_file(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// The same node behind routes that end waiting at another stop.
    pub(super) fn stopped_by(&self, stop: CancellationToken) -> Router {
        router(self.app.clone(), &Limits::default(), stop)
    }

    /// The API's routes.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(super) async fn key(&self, tenant: Option<u32>, scopes: &[KeyScope]) -> String {
        made(
            &self.keys,
            tenant.map(|number| TenantId::new(number).unwrap()),
            scopes,
        )
        .await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
        }
    }

    /// A `GET` for this tenant, or for all (`*`).
    pub(super) async fn get_for(&self, tenant: &str, path: &str) -> Answer {
        let request = self
            .request(Method::GET, path)
            .header("desist-tenant", tenant);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A `POST` for this tenant, or for all (`*`).
    pub(super) async fn post_for(&self, tenant: &str, path: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("desist-tenant", tenant)
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap())
            .await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// A request with the admin key.
    pub(super) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let bearer = format!("Bearer {}", self.admin);
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", bearer)
    }
}

/// The same request as from this peer.
pub(super) fn from_peer(request: http::request::Builder, peer: &str) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    request
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap()
}

async fn made(keys: &ApiKeys, tenant: Option<TenantId>, scopes: &[KeyScope]) -> String {
    let new = NewKey {
        tenant,
        name: "test".to_owned(),
        scopes: scopes.to_vec(),
    };
    keys.make(new).await.unwrap().text
}

async fn join(store: Store, journal: Journal, clock: Clock) -> (App, Stop) {
    let metrics = Metrics::default();
    let index = Arc::new(Index::default());
    let directory = store.directory().await.unwrap();
    let domains = vec!["fb.example.com".to_owned()];
    let reception = Reception::new(Parts {
        journal: journal.clone(),
        index: Arc::clone(&index),
        clock: clock.clone(),
        metrics: metrics.clone(),
        served: Served {
            domains: domains.clone(),
            keyring: Keyring::new(&directory),
            directory: Arc::new(directory),
            current: true,
        },
        token_receipts_per_hour: 0,
        policy: desist::judge::Policy::default(),
    });
    let stop = Stop::new();
    let following = Following {
        store: store.clone(),
        journal: journal.clone(),
        index: Arc::clone(&index),
        image: None,
        reception: reception.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let (follower, task) = follow(following, stop.soft().clone());
    stop.spawn(task);
    follower.loaded().await;
    let settings = Settings {
        public_url: "https://u.example.com".to_owned(),
        domains,
        addresses: Addresses::Keep,
        max_staleness: Duration::from_mins(1),
        declared: std::collections::BTreeSet::new(),
        policy: desist::judge::Policy::default(),
    };
    let settings = Arc::new(settings);
    let app = App {
        store,
        journal,
        index,
        follower,
        reception,
        clock,
        metrics,
        traces: desist::traces::Traces::default(),
        settings,
    };
    (app, stop)
}
