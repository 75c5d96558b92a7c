//! Layer 3: what desist does, without protocol types.

pub mod api_keys;
pub mod check;
pub mod erase;
pub mod fed;
pub mod follower;
pub mod held;
pub mod ingest;
pub mod mailboxes;
pub mod pressure;
pub mod receipts;
pub mod reception;
pub mod replay;
pub mod retention;
pub mod signing_keys;
pub mod streams;
pub mod suppressions;
pub mod tenants;
pub mod tokens;

use std::sync::Arc;

use crate::app::follower::Follower;
use crate::app::reception::Reception;
use crate::index::Index;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::clock::Clock;
use crate::store::Store;
use crate::traces::Traces;

/// Everything that the API needs, made once by `serve`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The store.
    pub store: Store,
    /// This node's journal.
    pub journal: Journal,
    /// This node's index.
    pub index: Arc<Index>,
    /// How far the index has followed the feed.
    pub follower: Follower,
    /// What the doors accept by: keys, domains, mailboxes.
    pub reception: Reception,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Each call is a span.
    pub traces: Traces,
    /// What operators have set.
    pub settings: Arc<Settings>,
}

impl App {
    /// Whether the index has reached the feed's head within `max_staleness`, by this node's own
    /// clock: the store's may be another one.
    pub fn is_fresh(&self) -> bool {
        let reached = self.follower.position().reached;
        self.clock.tick().since(reached) <= self.settings.max_staleness
    }
}

/// Settings of the application layer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The public HTTPS door's base, without trailing slash, for instance `https://u.example.com`.
    pub public_url: String,
    /// Served domains; the first is the one that tokens are minted on.
    pub domains: Vec<String>,
    /// Whether addresses are kept.
    pub addresses: crate::store::Addresses,
    /// How old the index may be before `check` is not ready.
    pub max_staleness: std::time::Duration,
    /// Addresses of the mailboxes that the config declares: they are there again after a start.
    pub declared: std::collections::BTreeSet<String>,
    /// How mail is read and judged, for reading it again.
    pub policy: crate::judge::Policy,
}
