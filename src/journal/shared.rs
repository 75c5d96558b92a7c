//! What the callers' side and the committing task have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::file::Opened;
use super::queue::{Finished, Item, MEMORY_BYTES, Queue};
use super::{AppendError, Entry, JournalConfig, JournalStatus};
use crate::metrics::Metrics;
use crate::model::clock::Clock;
use crate::model::receipt::{Arrival, Door, ReceiptId};

/// State that every clone sees. The lock is held for moves in memory only, never across a wait.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: JournalConfig,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    /// Woken when something may be taken, and at the end.
    pub(super) ready: Notify,
    /// Woken when something has become shipped, or is known to be.
    pub(super) shipped: Notify,
    queue: Mutex<Queue>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicU64,
    commits: AtomicU64,
    /// Free bytes on the disk: what the last look has shown, less what was written since.
    free: AtomicU64,
    /// The disk is below its floor.
    below_floor: AtomicBool,
    /// The disk is below half of it.
    below_half: AtomicBool,
    /// A write found no room; tried again after the next look at the disk.
    full: AtomicBool,
    closing: AtomicBool,
    failed: OnceLock<Arc<str>>,
    read_error: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(
        config: JournalConfig,
        clock: Clock,
        metrics: Metrics,
        opened: &Opened,
    ) -> Self {
        metrics.set_journal_unshipped(opened.unshipped);
        Self {
            config,
            clock,
            metrics,
            ready: Notify::new(),
            shipped: Notify::new(),
            queue: Mutex::new(Queue::new(MEMORY_BYTES, opened.last_seq, opened.unshipped)),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            below_floor: AtomicBool::new(false),
            below_half: AtomicBool::new(false),
            full: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            failed: OnceLock::new(),
            read_error: Mutex::new(None),
        }
    }

    /// Moves in the queue are all or nothing, so what a panicking holder left is still true.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is accepted now from that door.
    pub(super) fn admits(&self, door: Door) -> Result<(), AppendError> {
        if let Some(why) = self.failed.get() {
            return Err(AppendError::Failed(Arc::clone(why)));
        }
        if self.is_closed() {
            return Err(self.closed());
        }
        // Mail comes again; a click may not, so the last half of the floor is for the other doors.
        let below = match door {
            Door::Smtp => &self.below_floor,
            Door::OneClick | Door::TlsReport | Door::Api => &self.below_half,
        };
        if below.load(Ordering::Relaxed) || self.full.load(Ordering::Relaxed) {
            return Err(AppendError::Full);
        }
        let bytes = self.waiting_bytes.load(Ordering::Relaxed);
        if self.waiting.load(Ordering::Relaxed) >= self.config.queue
            || bytes >= self.config.queue_bytes
        {
            return Err(AppendError::Overloaded);
        }
        Ok(())
    }

    /// Counts an arrival among those that wait, if the limits allow it.
    pub(super) fn admit(self: &Arc<Self>, arrival: &Arrival) -> Result<Permit, AppendError> {
        let door = arrival.receipts.first().map_or(Door::Smtp, |it| it.door);
        self.admits(door)?;
        let envelopes = arrival.receipts.len().saturating_mul(ENVELOPE_BYTES);
        let bytes = arrival.raw.len().saturating_add(envelopes);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let permit = Permit {
            shared: Arc::clone(self),
            bytes,
        };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let bytes_before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // One arrival is let in whatever its size: the doors limit that.
        let too_big = before > 0 && bytes_before.saturating_add(bytes) > self.config.queue_bytes;
        if before >= self.config.queue || too_big {
            return Err(AppendError::Overloaded);
        }
        Ok(permit)
    }

    /// Arrivals were made durable.
    pub(super) fn committed(&self, items: Vec<Item>) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.metrics.journal_commit();
        let now = self.clock.tick();
        let mut queue = self.queue();
        queue.committed(items, now);
        self.count(&queue);
        drop(queue);
        self.ready.notify_one();
    }

    pub(super) fn take(self: &Arc<Self>, count: usize, bytes: u64) -> Taken {
        let mut queue = self.queue();
        let seqs = queue.take(count, bytes);
        if queue.is_ready() {
            self.ready.notify_one();
        }
        drop(queue);
        Taken {
            shared: Arc::clone(self),
            seqs,
        }
    }

    pub(super) fn put_back(&self, ids: &[ReceiptId]) {
        self.queue().put_back(ids);
        self.ready.notify_one();
    }

    /// These were shipped.
    pub(super) fn finish(&self, ids: &[ReceiptId]) -> Finished {
        let mut queue = self.queue();
        let finished = queue.finish(ids);
        self.count(&queue);
        drop(queue);
        self.shipped.notify_waiters();
        finished
    }

    /// These stay on file.
    pub(super) fn leave(&self, ids: &[ReceiptId]) {
        let mut queue = self.queue();
        queue.leave(ids);
        self.count(&queue);
        drop(queue);
        self.shipped.notify_waiters();
    }

    /// Counts what is to be shipped and what was left, as [`status`](Self::status) says it too.
    pub(super) fn count(&self, queue: &Queue) {
        self.metrics.set_journal_unshipped(queue.unshipped());
        self.metrics.set_journal_left(queue.left());
    }

    /// Waits until all that was committed up to a place is shipped or left.
    pub(super) async fn all_shipped(&self, upto: u64) {
        loop {
            let woken = self.shipped.notified();
            tokio::pin!(woken);
            // Registered before looking, or a wake-up in between would be missed.
            woken.as_mut().enable();
            if self.queue().is_shipped_up_to(upto) {
                return;
            }
            woken.await;
        }
    }

    /// Nothing is accepted from now on.
    pub(super) fn fail(&self, why: &str) {
        if self.failed.set(why.into()).is_ok() {
            tracing::error!(error = why, "journal failed: refusing until restart");
        }
    }

    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.failed.get().map(Arc::clone)
    }

    /// A write found no room.
    pub(super) fn set_full(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    /// Whether that much can certainly be written.
    pub(super) fn has_free(&self, bytes: u64) -> bool {
        self.free.load(Ordering::Relaxed) >= bytes
    }

    /// So much was written.
    pub(super) fn wrote(&self, bytes: u64) {
        let less = |free: u64| Some(free.saturating_sub(bytes));
        // Never fails: there always is a new value.
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .ok();
    }

    /// What a look at the disk has shown.
    pub(super) fn set_free(&self, free: u64) {
        self.free.store(free, Ordering::Relaxed);
        let below = free < self.config.disk_floor;
        self.below_half
            .store(free < self.config.disk_floor / 2, Ordering::Relaxed);
        if self.below_floor.swap(below, Ordering::Relaxed) != below {
            tracing::warn!(
                free,
                floor = self.config.disk_floor,
                below,
                "journal disk floor"
            );
        }
        if !below {
            self.full.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn begin_close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.ready.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(super) fn closed(&self) -> AppendError {
        AppendError::Failed(self.failure().unwrap_or_else(|| "it is closed".into()))
    }

    /// The file could not be read: whoever takes next is told.
    pub(super) fn set_read_error(&self, why: String) {
        *self
            .read_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.ready.notify_one();
    }

    pub(super) fn take_read_error(&self) -> Option<String> {
        self.read_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// How long the oldest unshipped receipt in memory has been there.
    pub(super) fn behind(&self) -> Duration {
        let oldest = self.queue().oldest_since();
        oldest.map_or(Duration::ZERO, |since| self.clock.tick().since(since))
    }

    pub(super) fn status(&self) -> JournalStatus {
        let (unshipped, left, oldest) = {
            let queue = self.queue();
            (queue.unshipped(), queue.left(), queue.oldest())
        };
        JournalStatus {
            unshipped,
            left,
            oldest,
            commits: self.commits.load(Ordering::Relaxed),
            refusing: self.admits(Door::Smtp).err(),
        }
    }
}

/// Tells everybody when the committing task is gone, however it ended.
#[derive(Debug)]
pub(super) struct End(pub(super) Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.begin_close();
    }
}

/// An arrival's share of what may wait, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Permit {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        self.shared
            .waiting_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a take has picked, put back when dropped before [`Taken::keep`].
#[derive(Debug)]
pub(super) struct Taken {
    shared: Arc<Shared>,
    seqs: Vec<u64>,
}

impl Taken {
    pub(super) fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    pub(super) fn keep(mut self) -> Vec<Entry> {
        let seqs = std::mem::take(&mut self.seqs);
        self.shared.queue().entries(&seqs)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.seqs.is_empty() {
            self.shared.queue().put_back_seqs(&self.seqs);
            self.shared.ready.notify_one();
        }
    }
}

/// Bytes that a receipt's envelope is counted with while it waits.
const ENVELOPE_BYTES: usize = 1024;
