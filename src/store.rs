//! Layer 2: the store on SQLite or PostgreSQL: receipts, events, suppressions, the feed.
//!
//! One set of tables and one SQL text serve both engines; [`sql`] holds what they have in common,
//! [`pool`] what they do not. Every writing call is one transaction, and idempotent by
//! construction: receipts are inserted first, and only those that were not there have effects.
//! Within a transaction statements touch tables, and rows within a table, in one order, and the
//! counter of the [`feed`] last.
//!
//! All texts may hold what came by mail: U+0000, which PostgreSQL cannot keep, becomes U+FFFD.

mod alarms;
mod api_keys;
mod batch;
mod brake;
mod copy;
mod counts;
mod directory;
mod erase;
mod event_feed;
mod events;
mod failure;
mod feed;
mod first_start;
mod heirs;
mod held;
mod held_many;
mod lift;
mod lift_many;
mod log;
mod mailboxes;
mod marks;
mod migrate;
mod paging;
#[cfg(test)]
mod plans;
mod pool;
mod receipts;
mod record;
mod replay;
mod scan;
mod seal;
mod settle;
mod signing_keys;
mod soft;
mod sql;
mod standing;
mod stats;
mod streams;
mod suppressions;
mod tenants;
mod undo;

use std::sync::Arc;

pub use self::alarms::{Alarm, AlarmKind};
pub use self::api_keys::{ApiKey, KeyScope};
pub use self::batch::{BatchDecision, Together};
pub use self::copy::{copy_to, rename, store_id, time_of, unseals};
pub use self::counts::Span;
pub use self::directory::directory_of;
pub use self::erase::{Erased, Erasure};
pub use self::event_feed::EventFilter;
pub use self::events::StoredEvent;
pub use self::failure::StoreError;
pub use self::feed::Head;
pub use self::first_start::StoreConfig;
pub use self::held::{Decision, StoredHold};
pub use self::held_many::{HeldDecision, HeldFilter, HeldPage};
pub use self::lift::{Lift, NewSuppression};
pub use self::lift_many::{LiftFilter, LiftedMany};
pub use self::mailboxes::{MOST_MAILBOXES, MailboxRefusal};
pub use self::paging::{Page, Paging};
pub use self::pool::sqlite_path;
pub use self::receipts::{ReceiptFilter, StoredReceipt};
pub use self::record::{Recorded, Verdict};
pub use self::replay::{Corrected, Correction, KeptReceipt, REPLAY_NOTE, ReplayFilter};
pub use self::scan::Taker;
pub use self::signing_keys::{KeyRefusal, MOST_GENERATIONS, MOST_KEYS, NextKey};
pub use self::stats::{Dimension, Stats, StatsFilter};
pub use self::streams::{StreamChange, StreamNameTaken};
pub use self::suppressions::StoredSuppression;
pub use self::tenants::{Put, TenantChange, TenantRefusal};
use crate::judge::history::BouncePolicy;
use crate::model::secret::Secret;
use crate::model::words::words;

/// Milliseconds of an hour.
const HOUR: i64 = 3_600_000;
/// Milliseconds of a day.
const DAY: i64 = 24 * HOUR;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: pool::Pool,
    addresses: Addresses,
    epoch: Arc<str>,
    root: Secret<32>,
    bounces: BouncePolicy,
}

words! {
    /// Whether addresses are kept beside recipient keys.
    pub enum Addresses as "addresses" {
        /// An address that is minted here or asserted fills in an entry that has none.
        Keep = "keep",
        /// None is kept: neither of events nor of suppressions. Envelopes and raw bytes are
        /// evidence as it was received, and keep what stands in them.
        Forget = "forget",
    }
}

impl Addresses {
    /// What of an address is stored.
    fn kept(self, address: Option<&str>) -> Option<&str> {
        address.filter(|_| self == Self::Keep)
    }
}

impl Store {
    /// The same store, with what operators have set about bounces.
    #[must_use]
    pub fn with_bounce_policy(self, bounces: BouncePolicy) -> Self {
        Self { bounces, ..self }
    }

    /// A name for this store that no other has, and that changes with a failover. A node that has
    /// lived through a failover gets no connection until it is restarted.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Whether its engine works in this process, as SQLite's does.
    pub const fn is_in_process(&self) -> bool {
        self.pool.is_in_process()
    }

    /// Waits for running statements and closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
