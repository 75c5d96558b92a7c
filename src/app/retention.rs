//! Forgets what has been kept long enough: raw bytes, old places of the feed, counted bounces; keeps
//! the store's log short; and marks events that an earlier version has stored.
//!
//! Suppressions, their history and their evidence stay, and so do receipts and events.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::model::clock::{Clock, Tick, Timestamp};
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
/// Between two steps of marking events, each of which others wait for.
const BREATH: Duration = Duration::from_millis(20);
/// When marking is tried again that has failed.
const AGAIN: Duration = Duration::from_mins(1);
/// How much further than the monotonic clock the wall clock may have gone to be believed at once.
const LEAP: Duration = Duration::from_hours(24);
/// How long it must stay there to be believed all the same.
const DOUBT: Duration = Duration::from_hours(24);

/// Whether the wall clock may be believed. One that leaps into the future, for instance by a wrong
/// time server, must not make everything old that is kept: what is forgotten does not come back.
#[derive(Debug)]
struct Belief {
    wall: Timestamp,
    tick: Tick,
    doubted: Option<Tick>,
}

impl Belief {
    const fn new(wall: Timestamp, tick: Tick) -> Self {
        Self {
            wall,
            tick,
            doubted: None,
        }
    }

    fn believes(&mut self, wall: Timestamp, tick: Tick) -> bool {
        let expected = self.wall.after(tick.since(self.tick));
        let since = *self.doubted.get_or_insert(tick);
        if wall > expected.after(LEAP) && tick.since(since) < DOUBT {
            return false;
        }
        *self = Self::new(wall, tick);
        true
    }
}

impl Retention {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(
            self.forget_by_the_hour(&stop),
            self.store.keep_log_short(&stop),
            self.mark_events(&stop)
        );
    }

    /// From the start on, so that they can soon be found; slowly, so that nobody waits for it.
    async fn mark_events(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.store.mark_events().await {
                Ok(0) => return,
                Ok(_) => BREATH,
                Err(error) => {
                    tracing::warn!(%error, "cannot mark events of an earlier version now");
                    AGAIN
                }
            };
            // Either is a reason to look.
            drop(timeout(pause, stop.cancelled()).await);
        }
    }

    async fn forget_by_the_hour(&self, stop: &CancellationToken) {
        let mut belief = Belief::new(self.clock.now(), self.clock.tick());
        while !stop.is_cancelled() {
            // Both end the wait for the same reason: it is time to look.
            drop(timeout(LOOK, stop.cancelled()).await);
            if stop.is_cancelled() {
                return;
            }
            self.look(&mut belief, stop).await;
        }
    }

    async fn look(&self, belief: &mut Belief, stop: &CancellationToken) {
        let now = self.clock.now();
        if !belief.believes(now, self.clock.tick()) {
            tracing::warn!(%now, "the clock has leapt ahead: nothing is forgotten for a day");
            return;
        }
        match self.forget(now, stop).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "forgot what was kept long enough"),
            Err(error) => tracing::warn!(%error, "cannot forget now"),
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
            let bounces = self.store.forget_bounces(now).await?;
            let counts = self.store.forget_counts(now).await?;
            let forgotten = raw + feed + bounces + counts;
            if forgotten == 0 {
                break;
            }
            total += forgotten;
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_ahead_is_believed_after_a_day() {
        let wall = |hours: u64| Timestamp::from_seconds(0).after(Duration::from_hours(hours));
        let tick = |hours: u64| Tick::default().after(Duration::from_hours(hours));
        let mut belief = Belief::new(wall(1_000), tick(0));
        for (case, at, monotonic, believed) in [
            ("an hour later", 1_001, 1, true),
            ("set by a day", 1_026, 2, true),
            ("leapt by years", 123_456, 3, false),
            ("still there", 123_457, 4, false),
            ("and back", 1_029, 5, true),
            ("leapt again", 123_456, 6, false),
            ("it stays there", 123_479, 29, false),
            ("for a day", 123_480, 30, true),
            ("and is what time is", 123_481, 31, true),
            ("set back by years", 1_000, 32, true),
            ("suspended: both have stood still", 1_001, 33, true),
        ] {
            let answer = belief.believes(wall(at), tick(monotonic));
            assert_eq!(answer, believed, "{case}");
        }
    }
}
