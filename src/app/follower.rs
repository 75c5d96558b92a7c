//! Follows the feed: fills the index at start and applies every change to it, in order. Only the
//! feed changes the index, also for this node's own writes.

mod image;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::image::Image;
use crate::app::reception::Reception;
use crate::index::{Filling, Index};
use crate::journal::{Journal, JournalError};
use crate::metrics::Metrics;
use crate::model::clock::{Clock, Tick, Timestamp};
use crate::store::{Store, StoreError};

/// How far the index is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Follower {
    position: watch::Receiver<Position>,
    wake: Arc<Notify>,
}

/// Where the index stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The place of the feed that is applied.
    pub seq: u64,
    /// The store's clock when this node last reached the feed's head; `None` before it has ever.
    pub as_of: Option<Timestamp>,
    /// When it last reached the feed's head, by this node's monotonic clock.
    pub reached: Tick,
}

impl Follower {
    /// Where the index stands now.
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Looks at the feed now rather than at the next poll.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Wakes the follower and waits until the index has applied `seq`; `false` when that takes
    /// longer than `within`.
    pub async fn reach(&self, seq: u64, within: Duration) -> bool {
        self.wake();
        let mut position = self.position.clone();
        let reached = position.wait_for(|at| at.as_of.is_some() && at.seq >= seq);
        matches!(timeout(within, reached).await, Ok(Ok(_)))
    }

    /// Waits until the feed has moved beyond `seq`, at most `within`.
    pub async fn beyond(&self, seq: u64, within: Duration) {
        let mut position = self.position.clone();
        // Time passing and the follower ending are both a reason to look at the feed now.
        drop(timeout(within, position.wait_for(|at| at.seq > seq)).await);
    }

    /// Waits until the index has been filled for the first time.
    pub async fn loaded(&self) {
        let mut position = self.position.clone();
        drop(position.wait_for(|at| at.as_of.is_some()).await);
    }
}

/// What following needs.
#[derive(Debug)]
pub struct Following {
    /// Where the feed is.
    pub store: Store,
    /// Where the directory is mirrored.
    pub journal: Journal,
    /// What is fed.
    pub index: Arc<Index>,
    /// Where the image of the index is kept; `None`: the store is read at every start.
    pub image: Option<PathBuf>,
    /// Who must know new keys and mailboxes.
    pub reception: Reception,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
}

/// How often the feed is looked at when nothing wakes the follower: other nodes write too.
const POLL: Duration = Duration::from_millis(250);
/// How long after the last look at the feed's head the key list still counts as current.
const KEYS_CURRENT: Duration = Duration::from_secs(10);
/// How often it is looked at whether the key list is still current.
const LOOK: Duration = Duration::from_secs(1);
/// Changes read at a time.
const CHUNK: u32 = 10_000;
/// Parts of a new index that are made at the same time.
const PARTS: usize = 2;

/// Prepares following: the handle, and the task that does it until `stop`.
pub fn follow(
    following: Following,
    stop: CancellationToken,
) -> (Follower, impl Future<Output = ()> + Send) {
    let (sender, position) = watch::channel(Position::default());
    let wake = Arc::new(Notify::new());
    let follower = Follower {
        position: position.clone(),
        wake: Arc::clone(&wake),
    };
    let task = async move {
        let watch = watch_keys(
            position.clone(),
            following.reception.clone(),
            following.clock.clone(),
        );
        let mut run = Run {
            image: Image::new(following.image.clone()),
            following,
            sender,
            directory: None,
            mirrored: false,
            filled: false,
        };
        let work = async {
            loop {
                run.step().await;
                // Waiting for either; which one it was does not matter.
                drop(timeout(POLL, wake.notified()).await);
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
            () = watch => {}
        }
        run.finish().await;
    };
    (follower, task)
}

/// Says when the key list stops being current, however long the store lets a call wait.
async fn watch_keys(position: watch::Receiver<Position>, reception: Reception, clock: Clock) {
    let started = clock.tick();
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let before = reception.served().current;
        let position = *position.borrow();
        reception.set_current(is_current(before, position, started, clock.tick()));
    }
}

/// Whether the key list counts as current at `now`. Before the feed's head was ever reached it is
/// what the doors began with, fresh from the store or a mirror of unknown age, and that for no
/// longer than after the last look at the head.
fn is_current(before: bool, position: Position, started: Tick, now: Tick) -> bool {
    if position.as_of.is_some() {
        now.since(position.reached) <= KEYS_CURRENT
    } else {
        before && now.since(started) <= KEYS_CURRENT
    }
}

struct Run {
    following: Following,
    sender: watch::Sender<Position>,
    /// The place of the feed that the directory in use is true for.
    directory: Option<u64>,
    /// Whether the journal's mirror is that directory: then what has changed is all it needs.
    mirrored: bool,
    /// Whether the index holds what the store held at the position.
    filled: bool,
    image: Image,
}

impl Run {
    async fn step(&mut self) {
        match self.catch_up().await {
            Ok(()) => {
                let now = self.following.clock.tick();
                let position = *self.sender.borrow();
                let epoch = self.following.store.epoch();
                let index = &self.following.index;
                self.image.look(index, epoch, position, now).await;
            }
            Err(error) => self.explain(&error).await,
        }
        let age = self
            .following
            .clock
            .tick()
            .since(self.sender.borrow().reached);
        let metrics = &self.following.metrics;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        metrics.set_index(
            count(self.following.index.len()),
            count(self.following.index.bytes()),
        );
        metrics.set_index_staleness(age);
    }

    /// At a stop: the next start finds the index as it is.
    async fn finish(&mut self) {
        let position = *self.sender.borrow();
        if self.filled {
            let epoch = self.following.store.epoch();
            let index = &self.following.index;
            self.image.finish(index, epoch, position).await;
        }
    }

    async fn explain(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Gone(_)) {
            // The feed no longer reaches back to where this node was: begin anew.
            tracing::warn!("the feed has moved on without this node; filling the index anew");
            self.sender.send_replace(Position::default());
            self.filled = false;
            self.directory = None;
            self.image.discard().await;
        } else {
            tracing::warn!(%error, "cannot follow the feed now");
        }
    }

    fn moved(&self, seq: u64) {
        self.sender.send_modify(|position| position.seq = seq);
    }

    fn at_head(&self, seq: u64, now: Timestamp) {
        let reached = self.following.clock.tick();
        self.sender.send_replace(Position {
            seq,
            as_of: Some(now),
            reached,
        });
        self.following.metrics.set_feed_position(seq);
    }

    async fn catch_up(&mut self) -> Result<(), StoreError> {
        if !self.filled {
            self.reload_directory().await?;
            self.fill().await?;
            self.filled = true;
        }
        loop {
            let head = self.following.store.head().await?;
            let mut at = self.sender.borrow().seq;
            if self.directory.is_none_or(|known| known < head.directory) {
                self.reload_directory().await?;
            }
            while at < head.seq {
                let (changes, upto) = self.following.store.changes(None, at, CHUNK).await?;
                for change in &changes {
                    self.following.index.apply(change);
                }
                self.image.changed(&changes);
                // Not beyond the head: what the directory changed behind it is not loaded yet.
                at = upto.clamp(at, head.seq);
                self.moved(at);
                if changes.is_empty() {
                    break;
                }
            }
            if at > head.seq {
                // The store is an older one than this node has seen, for instance a backup.
                return Err(StoreError::Gone(head.seq));
            }
            if at == head.seq {
                self.at_head(at, head.now);
                return Ok(());
            }
        }
    }

    /// Fills the index from its image or from the store. What changes while the store is read is in
    /// the feed behind the head that was noted first, and applying a change twice is the same as
    /// once.
    async fn fill(&mut self) -> Result<(), StoreError> {
        let Following {
            store,
            index,
            clock,
            ..
        } = &self.following;
        if let Some(seq) = self.image.restore(store, index, clock.tick()).await? {
            self.moved(seq);
            return Ok(());
        }
        let head = store.head().await?;
        // Look-ups go on in the old one until the new one is complete.
        let fresh = Arc::new(Filling::default());
        let filling = Arc::clone(&fresh);
        let taker = move |entries: Vec<_>| filling.insert(entries);
        store.scan(Arc::new(taker)).await?;
        let mut parts = JoinSet::new();
        for part in 0..PARTS {
            let filling = Arc::clone(&fresh);
            parts.spawn_blocking(move || filling.enter(part, PARTS));
        }
        while let Some(entered) = parts.join_next().await {
            entered.map_err(|error| {
                StoreError::Unavailable(format!("the index cannot be filled: {error}"))
            })?;
        }
        // Everybody who wrote to it has ended.
        let Some(fresh) = Arc::into_inner(fresh) else {
            let text = "the index is still being filled".to_owned();
            return Err(StoreError::Unavailable(text));
        };
        index.replace(fresh.finish());
        self.image.scanned(store, index, head.seq).await?;
        self.at_head(head.seq, head.now);
        tracing::info!(suppressions = self.following.index.len(), "index filled");
        Ok(())
    }

    /// Reads what has changed in the directory, or all of it where that is not known. What many
    /// calls have changed meanwhile is read at once.
    async fn reload_directory(&mut self) -> Result<(), StoreError> {
        let Following {
            store,
            journal,
            reception,
            ..
        } = &self.following;
        let Some(known) = self.directory else {
            let directory = store.directory().await?;
            self.mirrored = is_saved(&journal.save_directory(&directory).await);
            self.directory = Some(directory.seq);
            reception.replace_directory(directory);
            return Ok(());
        };
        let change = store.directory_behind(known).await?;
        if self.mirrored {
            self.mirrored = is_saved(&journal.save_directory_change(&change).await);
            reception.change_directory(&change);
        } else {
            reception.change_directory(&change);
            let directory = reception.directory();
            self.mirrored = is_saved(&journal.save_directory(&directory).await);
        }
        self.directory = Some(change.seq);
        Ok(())
    }
}

/// The doors work on from memory; only a restart without database would miss it.
fn is_saved(saved: &Result<(), JournalError>) -> bool {
    if let Err(error) = saved {
        tracing::error!(%error, "cannot mirror keys and mailboxes in the journal");
    }
    saved.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_current_by_the_last_look_at_the_head() {
        let tick = |seconds: u64| Tick::from_millis(seconds * 1000);
        let unreached = Position::default();
        let reached = Position {
            seq: 1,
            as_of: Some(Timestamp::from_seconds(1)),
            reached: tick(100),
        };
        for (case, before, position, now, current) in [
            ("fresh from the store", true, unreached, 55, true),
            ("a mirror of unknown age", false, unreached, 51, false),
            ("no head for too long", true, unreached, 61, false),
            ("the head was reached", false, reached, 110, true),
            ("but not again since", true, reached, 111, false),
        ] {
            let answer = is_current(before, position, tick(50), tick(now));
            assert_eq!(answer, current, "{case}");
        }
    }
}
