//! Forgets what has been kept long enough: raw bytes and old places of the feed.
//!
//! Suppressions, their history and their evidence stay, and so do receipts and events.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::model::clock::{Clock, Timestamp};
use crate::store::{Store, StoreError};

/// What is forgotten, and when.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Where from.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// How long raw bytes are kept (90 days).
    pub raw: Duration,
    /// How long the feed is kept (30 days); a reader that is further behind begins anew.
    pub feed: Duration,
}

/// How often it is looked at.
const LOOK: Duration = Duration::from_hours(1);

impl Retention {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            // Both end the wait for the same reason: it is time to look.
            drop(timeout(LOOK, stop.cancelled()).await);
            if stop.is_cancelled() {
                return;
            }
            match self.forget(self.clock.now(), &stop).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "forgot what was kept long enough"),
                Err(error) => tracing::warn!(%error, "cannot forget now"),
            }
        }
    }

    /// Forgets in small steps, so that nobody waits for it; how much it was.
    pub async fn forget(
        &self,
        now: Timestamp,
        stop: &CancellationToken,
    ) -> Result<u64, StoreError> {
        let mut total = 0;
        while !stop.is_cancelled() {
            let raw = self.store.forget_raw_before(now.before(self.raw)).await?;
            let feed = self.store.forget_feed_before(now.before(self.feed)).await?;
            if raw + feed == 0 {
                break;
            }
            total += raw + feed;
        }
        Ok(total)
    }
}
