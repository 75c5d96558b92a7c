//! What is behind the doors: store, pipeline, follower, API.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::{ADMIN_KEY_FILE, Announcer, Listening, ServeError, announce, doors};
use crate::app::api_keys::{ApiKeys, MakeError};
use crate::app::follower::{Follower, Following, follow};
use crate::app::ingest::Ingest;
use crate::app::reception::Reception;
use crate::app::retention::Retention;
use crate::app::{App, Settings};
use crate::config::{self, Config};
use crate::http::api;
use crate::http::api::waiting::{self, Waiting};
use crate::http::connection::Routes;
use crate::index::Index;
use crate::journal::Journal;
use crate::judge::Policy;
use crate::judge::history::BouncePolicy;
use crate::lookup_server;
use crate::mail_server;
use crate::metrics::Metrics;
use crate::model::clock::{Clock, Timestamp};
use crate::model::directory::Directory;
use crate::model::secret::Secret;
use crate::net::handshakes::Handshakes;
use crate::net::stop::Stop;
use crate::net::tls::Tls;
use crate::report::mime;
use crate::store::{Store, StoreError};
use crate::traces::Traces;

/// What everything behind the doors is made of.
#[derive(Debug, Clone)]
pub(super) struct Interior {
    pub(super) config: Arc<Config>,
    pub(super) journal: Journal,
    pub(super) index: Arc<Index>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) traces: Traces,
}

/// What the doors can begin with.
pub(super) struct Opened {
    /// The store, unless it is away and the journal's mirror serves.
    pub(super) store: Option<Store>,
    /// Keys and mailboxes.
    pub(super) directory: Directory,
}

/// What the running interior is given.
pub(super) struct Running {
    pub(super) store: Option<Store>,
    pub(super) reception: Reception,
    pub(super) listening: Listening,
    pub(super) api: doors::ApiDoor,
    pub(super) app: Arc<OnceLock<App>>,
    pub(super) ready: watch::Sender<bool>,
    pub(super) announcer: Announcer,
    /// The stop of the doors, whose tasks run on the API's threads.
    pub(super) of_the_api: Stop,
    pub(super) behind: Stop,
}

/// The file in the data folder that names the store's epoch as this node last saw it.
pub(crate) const EPOCH_FILE: &str = "store-epoch";
/// The file in the data folder that holds the index as it was.
pub(crate) const IMAGE_FILE: &str = "index.image";
/// How long to wait before the next attempt to reach a store that is away.
const RETRY: Duration = Duration::from_secs(2);

impl Interior {
    /// Keys and mailboxes from the store; while it is away from the journal's mirror; if there is
    /// none either, waits for the store: without keys no door can tell right from wrong.
    pub(super) async fn open(&self) -> Result<Opened, ServeError> {
        loop {
            match self.open_by_store().await {
                Ok(opened) => return Ok(opened),
                Err(ServeError::Store(StoreError::Unavailable(why))) => {
                    tracing::warn!(why, "the store is away");
                    if let Some(opened) = self.mirrored().await? {
                        return Ok(opened);
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn open_by_store(&self) -> Result<Opened, ServeError> {
        let store = self.open_store().await?;
        let directory = store.directory().await?;
        self.journal.save_directory(&directory).await?;
        Ok(Opened {
            store: Some(store),
            directory,
        })
    }

    async fn mirrored(&self) -> Result<Option<Opened>, ServeError> {
        let Some(directory) = self.journal.directory().await? else {
            tracing::warn!("there is no mirror of the keys yet: the doors stay closed");
            return Ok(None);
        };
        tracing::warn!("the doors open by the mirror of the keys");
        Ok(Some(Opened {
            store: None,
            directory,
        }))
    }

    /// Connects, and brings the config's tenants, streams, mailboxes and the admin key into it.
    async fn open_store(&self) -> Result<Store, ServeError> {
        let mut root = [0; 32];
        getrandom::fill(&mut root).map_err(ServeError::Randomness)?;
        let now = self.clock.now();
        let store = Store::open(&self.config.store_config(), Secret::new(root), now).await?;
        let store = store.with_bounce_policy(bounce_policy(&self.config.policy));
        self.tenants(&store, now).await?;
        for mailbox in self.config.mailboxes() {
            store.put_mailbox(&mailbox, now).await?;
        }
        self.admin_key(&store).await?;
        self.same_store(&store).await?;
        Ok(store)
    }

    /// What the config names is created or updated. Where it names no tenant, the one of a first
    /// start gets its stream, and what became of them since then stays.
    async fn tenants(&self, store: &Store, now: Timestamp) -> Result<(), ServeError> {
        if self.config.names_tenants() {
            for tenant in self.config.tenants() {
                store.put_tenant(&tenant, now).await?;
            }
        } else if !store.directory().await?.streams.is_empty() {
            return Ok(());
        }
        for stream in self.config.streams() {
            store.put_stream(&stream, now).await?;
        }
        Ok(())
    }

    /// A store of another epoch (after a failover, or another database) may lack what was shipped
    /// last: what the journal still keeps is offered again. Receipts that are there do nothing.
    async fn same_store(&self, store: &Store) -> Result<(), ServeError> {
        let path = self.config.data_file(EPOCH_FILE);
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        if known.trim() == store.epoch() {
            return Ok(());
        }
        if !known.trim().is_empty() {
            let count = self.journal.offer_again().await?;
            tracing::warn!(
                count,
                "the store is of another epoch: offering receipts again"
            );
        }
        let failed = |source| ServeError::File {
            what: "write",
            path: path.clone(),
            source,
        };
        announce::replace_file(&path, store.epoch(), 0o600).map_err(failed)
    }

    /// The first start writes an installation-wide admin key for the command line; later starts
    /// see to it that the store knows it.
    async fn admin_key(&self, store: &Store) -> Result<(), ServeError> {
        let path = self.config.data_file(ADMIN_KEY_FILE);
        let failed = |what, source| ServeError::File {
            what,
            path: path.clone(),
            source,
        };
        let keys = ApiKeys::new(store.clone(), self.clock.clone());
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                if !keys.adopt_admin(text.trim()).await? {
                    let why = "it holds no API key; remove it to get a new one";
                    return Err(failed("use", std::io::Error::other(why)));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = keys.make_admin().await.map_err(|error| match error {
                    MakeError::Random(error) => ServeError::Randomness(error),
                    MakeError::Store(error) => ServeError::Store(error),
                })?;
                announce::replace_file(&path, &made.text, 0o600)
                    .map_err(|source| failed("write", source))?;
            }
            Err(source) => return Err(failed("read", source)),
        }
        Ok(())
    }

    pub(super) fn mail_context(
        &self,
        reception: &Reception,
        tls: Tls,
        handshakes: Handshakes,
        stop: &Stop,
    ) -> mail_server::Context {
        mail_server::Context::new(mail_server::Parts {
            settings: Arc::new(self.config.smtp_settings()),
            reception: reception.clone(),
            tls,
            handshakes,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
            stop: stop.clone(),
        })
    }

    /// Runs until `behind` stops. If the store is away it is waited for; the doors are open, and
    /// the API tells how the node is.
    pub(super) async fn run(self, running: Running) {
        let routes = Routes::from(waiting::router(Waiting {
            journal: self.journal.clone(),
            metrics: self.metrics.clone(),
        }));
        let asked = lookup_server::Context {
            app: Arc::clone(&running.app),
            metrics: self.metrics.clone(),
            idle: self.config.lookup.idle,
            stop: running.of_the_api.clone(),
        };
        doors::open_api(running.api, routes.clone(), &asked, &running.of_the_api);
        let stopping = running.behind.soft().clone();
        let store = match running.store {
            Some(store) => Some(store),
            None => stopping.run_until_cancelled(self.wait_for_store()).await,
        };
        let Some(store) = store else { return };
        let follower = self.work(&store, &running.reception, &running.behind);
        let app = App {
            store,
            journal: self.journal.clone(),
            index: Arc::clone(&self.index),
            follower: follower.clone(),
            reception: running.reception,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
            settings: Arc::new(settings(&self.config, &running.listening)),
        };
        // Set once, here.
        drop(running.app.set(app.clone()));
        if stopping
            .run_until_cancelled(follower.loaded())
            .await
            .is_none()
        {
            return;
        }
        let limits = api::Limits {
            body: self.config.limits.api_body.as_usize(),
            bodies: self.config.limits.api_memory.as_usize(),
            spools: api::SpoolPlace {
                folder: self.config.data_dir.clone(),
                floor: self.config.journal.disk_floor.bytes(),
            },
            ..api::Limits::default()
        };
        let stop = running.of_the_api.soft().clone();
        let per_second = self.config.limits.api_requests_per_second.limit();
        let keys = ApiKeys::limited(app.store.clone(), app.clock.clone(), per_second);
        let confirming = stop
            .clone()
            .run_until_cancelled_owned(keys.clone().keep_confirmed());
        running.of_the_api.spawn(async move {
            confirming.await;
        });
        routes.replace(api::answering(keys, app, &limits, stop));
        running.announcer.api(&running.listening);
        running.ready.send_replace(true);
    }

    /// Follower, pipeline and retention.
    fn work(&self, store: &Store, reception: &Reception, behind: &Stop) -> Follower {
        let stop = || behind.soft().clone();
        let following = Following {
            store: store.clone(),
            journal: self.journal.clone(),
            index: Arc::clone(&self.index),
            image: Some(self.config.data_file(IMAGE_FILE)),
            reception: reception.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        let (follower, follow) = follow(following, stop());
        behind.spawn(follow);
        let ingest = Ingest {
            journal: self.journal.clone(),
            store: store.clone(),
            reception: reception.clone(),
            follower: follower.clone(),
            policy: Arc::new(policy(&self.config)),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
        };
        behind.spawn(ingest.run(stop()));
        let retention = Retention {
            store: store.clone(),
            clock: self.clock.clone(),
            raw: self.config.store.keep_raw,
            feed: self.config.store.keep_feed,
        };
        behind.spawn(retention.run(stop()));
        follower
    }

    async fn wait_for_store(&self) -> Store {
        loop {
            match self.open_store().await {
                Ok(store) => return store,
                Err(error) => tracing::error!(%error, "the store cannot be used yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

pub(super) fn policy(config: &Config) -> Policy {
    Policy {
        raise_other_complaints: config.policy.raise_other_complaints,
        reading: mime::Limits {
            depth: config.limits.mime_depth,
            parts: config.limits.mime_parts,
        },
        bounce_rules: config.bounce_rules(),
    }
}

const fn bounce_policy(policy: &config::Policy) -> BouncePolicy {
    BouncePolicy {
        soft_failures: policy.soft_failures,
        soft_spread: policy.soft_spread,
        full_failures: policy.full_failures,
        full_within: policy.full_within,
        soft_memory: policy.soft_memory,
        brake_bounces: policy.brake_bounces,
        brake_factor: policy.brake_factor,
        brake_history: policy.brake_history,
        signal_bounces: policy.signal_bounces,
    }
}

fn settings(config: &Config, listening: &Listening) -> Settings {
    let public = listening.public.first().copied();
    Settings {
        public_url: config.public_url(public.unwrap_or(([127, 0, 0, 1], 443).into())),
        domains: config.domains(),
        addresses: config.store.addresses,
        max_staleness: config.api.max_staleness,
        declared: config
            .mailboxes()
            .into_iter()
            .map(|mailbox| mailbox.address)
            .collect(),
        policy: policy(config),
    }
}
