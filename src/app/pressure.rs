//! Back-pressure: when the pipeline falls behind, the doors slow down, long before memory or disk
//! fills, and one-click last.
//!
//! A door that has committed an item answers it a little later, by the tenth part of what the
//! pipeline is behind: peers with a few sessions then send about as much as can be worked off, and
//! nobody is refused. While the store is away the doors do not wait for it: that is what the
//! journal is for, and its disk floor ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::receipt::Door;

/// What doors and pipeline know of each other. Cheap to clone; clones are one.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The store could not be reached the last time.
    away: AtomicBool,
    /// The pipeline has recorded something.
    relieved: Notify,
}

/// How far the pipeline may be behind before the SMTP door waits for it: a burst may be over by then.
const SMTP: Duration = Duration::from_secs(2);
/// And the other doors, whose peers may not come back.
const OTHERS: Duration = Duration::from_secs(10);
/// The part of the delay that a door waits, and the most.
const PART: u32 = 10;
const MOST: Duration = Duration::from_secs(1);

impl Pressure {
    /// The pipeline has recorded a batch.
    pub fn recorded(&self) {
        self.0.away.store(false, Ordering::Relaxed);
        self.0.relieved.notify_waiters();
    }

    /// The store is away: nobody is to wait for it.
    pub fn store_away(&self) {
        self.0.away.store(true, Ordering::Relaxed);
        self.0.relieved.notify_waiters();
    }

    /// Waits a little if the pipeline is far behind what this door may wait for.
    pub async fn yield_to_pipeline(&self, journal: &Journal, door: Door, metrics: &Metrics) {
        let Some(wait) = self.wait(journal, door) else {
            return;
        };
        metrics.slowed_down(door);
        let relief = async {
            loop {
                let relieved = self.0.relieved.notified();
                if self.wait(journal, door).is_none() {
                    return;
                }
                relieved.await;
            }
        };
        // Having waited long enough is as good.
        drop(timeout(wait, relief).await);
    }

    fn wait(&self, journal: &Journal, door: Door) -> Option<Duration> {
        if self.0.away.load(Ordering::Relaxed) {
            return None;
        }
        wait(journal.behind(), door)
    }
}

/// How long a door waits when the pipeline is so far behind.
fn wait(behind: Duration, door: Door) -> Option<Duration> {
    let limit = match door {
        Door::Smtp => SMTP,
        Door::OneClick | Door::TlsReport | Door::Api => OTHERS,
    };
    (behind > limit).then(|| (behind / PART).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_what_is_behind() {
        let millis = Duration::from_millis;
        for (behind, smtp, click) in [
            (0, None, None),
            (2_000, None, None),
            (2_500, Some(250), None),
            (9_000, Some(900), None),
            (10_000, Some(1_000), None),
            (10_001, Some(1_000), Some(1_000)),
            (3_600_000, Some(1_000), Some(1_000)),
        ] {
            let behind = millis(behind);
            assert_eq!(wait(behind, Door::Smtp), smtp.map(millis), "{behind:?}");
            assert_eq!(
                wait(behind, Door::OneClick),
                click.map(millis),
                "{behind:?}"
            );
        }
    }
}
