//! Layer 2: the journal: a node-local queue that is durable before a door answers.
//!
//! One SQLite file and one task that alone writes it. What doors append at the same time is
//! committed in one transaction with one sync; a door is answered after `COMMIT` has returned.
//! What was just committed also stays in memory, within a bound, so that the pipeline is normally
//! served without reading the file; after a restart, and when the pipeline falls behind, the rest
//! is read back in order.
//!
//! # Invariants
//!
//! - `Ok` from [`Journal::append`] means that a sync of the file, and of its folder when the file
//!   was new, lies behind.
//! - An entry is in exactly one place: on file only, ready in memory, or taken. It leaves the file
//!   only after [`Journal::done`].
//! - After a failed write or sync nothing is accepted until restart, since nobody can know what
//!   reached the disk. What had been committed before is still given out. The failed transaction
//!   is rolled back and its place in the log overwritten if the disk allows it, so that what a
//!   door refused does not appear after the restart.
//! - Memory is bounded: by [`JournalConfig::queue`] and [`JournalConfig::queue_bytes`] before the
//!   commit, by [`queue::MEMORY_BYTES`] behind it, and by what the pipeline takes at a time.
//!
//! # Attempts
//!
//! [`Journal::take`] notes what it gives out in the file before it does, and [`Journal::done`] and
//! [`Journal::put_back`] remove the note. What is still noted when the file is opened was in work
//! when the process died: its attempts are raised, and it is given out alone, so that an entry
//! that kills its reader is soon the only one with more than two attempts. Notes and removals are
//! committed without a sync of their own (`synchronous=NORMAL`): they survive the death of the
//! process, which is what they are for. A power failure can lose them, and then an entry is merely
//! offered again, which the store does not mind.

mod append;
mod books;
mod committer;
mod copy;
mod file;
mod group;
mod mirror;
mod queue;
mod room;
mod shared;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::append::Append;
use self::committer::{Command, Committer};
pub use self::copy::{COPIED, copy_to};
use self::shared::Shared;
use crate::metrics::Metrics;
use crate::model::clock::{Clock, Timestamp};
use crate::model::directory::{Directory, DirectoryChange};
use crate::model::receipt::{Arrival, Door, Receipt, ReceiptId};

/// The journal. Cheap to clone. When the last clone is gone, what waits is committed and the file
/// closed; [`Journal::close`] also waits for that.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    arrivals: mpsc::Sender<Append>,
    commands: mpsc::Sender<Command>,
    tasks: TaskTracker,
    /// Ends the task that watches the disk, at the latest when this is dropped.
    watch: CancellationToken,
    _watch: DropGuard,
}

/// How the journal keeps what it keeps.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// Free bytes on the disk below which no more mail is accepted (1 GiB); one-click POSTs are
    /// down to half of it.
    pub disk_floor: u64,
    /// Arrivals that wait for their commit before new ones are refused (10,000).
    pub queue: usize,
    /// Bytes of arrivals that wait for their commit before new ones are refused (256 MiB).
    pub queue_bytes: u64,
    /// How long the shipped is kept (15 min with PostgreSQL, none with SQLite).
    pub keep: Duration,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            disk_floor: 1 << 30,
            queue: 10_000,
            queue_bytes: 256 << 20,
            keep: Duration::ZERO,
        }
    }
}

/// Why an arrival was not committed. The door must not acknowledge it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is below its floor, or the file cannot grow.
    #[error("no room on the journal's disk")]
    Full,
    /// Too much waits for its commit already.
    #[error("the journal has more to commit than it may hold")]
    Overloaded,
    /// An earlier write or sync failed: nothing is accepted until restart.
    #[error("the journal failed and refuses until restart: {0}")]
    Failed(Arc<str>),
}

/// What went wrong on the reading side.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, read or written.
    #[error("the journal's file cannot be used: {0}")]
    File(String),
    /// A server runs on it, or a backup is made.
    #[error(
        "the data folder {} is in use by another desist{}: use that one, or end it before another \
         is started; a second server needs a data folder of its own",
        .folder.display(), named(*.process)
    )]
    Open {
        /// The data folder.
        folder: PathBuf,
        /// Which process, if it has said so.
        process: Option<u32>,
    },
    /// The file is of a newer version, or damaged.
    #[error("the journal holds inconsistent data: {0}")]
    Inconsistent(String),
}

fn named(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(", process {id}"))
}

/// A receipt that waits to be shipped, with its raw bytes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What came in.
    pub receipt: Receipt,
    /// Its raw bytes.
    pub raw: Arc<[u8]>,
    /// How often it has been taken, this time included. A take that ended in
    /// [`Journal::put_back`] is not counted: the store was away, the entry is not to blame. So
    /// more than 1 means that a process died while it had this entry.
    pub attempts: u32,
}

/// Whether the journal can commit now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalStatus {
    /// Receipts not yet shipped.
    pub unshipped: u64,
    /// Receipts that could not be stored in any form ([`Journal::leave`]), not counted with those.
    pub left: u64,
    /// When the oldest of them was accepted, as far as it is in memory.
    pub oldest: Option<Timestamp>,
    /// Transactions that made arrivals durable since the file was opened.
    pub commits: u64,
    /// Why nothing can be accepted now, if so.
    pub refusing: Option<AppendError>,
}

impl Journal {
    /// Opens or makes the file, recovers what an earlier process left, and starts the task that
    /// commits in groups. The folder must exist. Refused while another process has the file.
    pub async fn open(
        path: &Path,
        config: JournalConfig,
        clock: Clock,
    ) -> Result<Self, JournalError> {
        Self::open_with(path, config, clock, Metrics::default()).await
    }

    /// [`Journal::open`], counting into `metrics`.
    pub async fn open_with(
        path: &Path,
        config: JournalConfig,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, JournalError> {
        let opened = file::open(path).await?;
        let cancel = CancellationToken::new();
        let (arrivals_in, arrivals) = mpsc::channel(config.queue.max(1));
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared::new(config, clock, metrics, &opened));
        let tasks = TaskTracker::new();
        room::check(&shared, opened.folder.clone()).await;
        tasks.spawn(room::watch(
            Arc::clone(&shared),
            opened.folder.clone(),
            cancel.clone(),
        ));
        let end = shared::End(Arc::clone(&shared));
        let committer = Committer::new(opened, Arc::clone(&shared), arrivals, commands);
        tasks.spawn(async move {
            committer.run().await;
            drop(end);
        });
        Ok(Self(Arc::new(Inner {
            shared,
            arrivals: arrivals_in,
            commands: commands_in,
            tasks,
            _watch: cancel.clone().drop_guard(),
            watch: cancel,
        })))
    }

    /// Durable when it returns `Ok`. Group commit: callers that wait at the same time share one
    /// sync. A caller that goes away after the hand-over may find its arrival committed.
    pub async fn append(&self, arrival: Arrival) -> Result<(), AppendError> {
        if arrival.receipts.is_empty() {
            return Ok(());
        }
        let shared = &self.0.shared;
        let started = shared.clock.tick();
        let permit = shared.admit(&arrival)?;
        let (answer, committed) = oneshot::channel();
        let append = Append::new(arrival, permit, answer)?;
        self.0
            .arrivals
            .try_send(append)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => AppendError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => shared.closed(),
            })?;
        let outcome = committed.await.map_err(|_gone| shared.closed())?;
        shared
            .metrics
            .journal_append(shared.clock.tick().since(started));
        outcome
    }

    /// Whether an arrival from that door would be accepted now, without waiting: asked at MAIL.
    pub fn admits(&self, door: Door) -> Result<(), AppendError> {
        self.0.shared.admits(door)
    }

    /// The oldest unshipped receipts that are not taken, at least one if there is any, at most
    /// `count` and about `bytes`. Waits until there is one. Their attempts are counted, durably
    /// enough to survive a crash of this process, before they are given out. What an earlier
    /// process died with is given out alone.
    ///
    /// If the returned future is dropped, nothing stays taken.
    pub async fn take(&self, count: usize, bytes: u64) -> Result<Vec<Entry>, JournalError> {
        let shared = &self.0.shared;
        loop {
            let woken = shared.ready.notified();
            tokio::pin!(woken);
            // Registered before looking, or a wake-up in between would be missed.
            woken.as_mut().enable();
            if let Some(error) = shared.take_read_error() {
                return Err(JournalError::File(error));
            }
            let taken = shared.take(count, bytes);
            if taken.is_empty() {
                if shared.is_closed() {
                    return Err(closed());
                }
                woken.await;
                continue;
            }
            let (answer, noted) = oneshot::channel();
            self.command(Command::Taken { answer }).await?;
            noted.await.map_err(|_gone| closed())?;
            return Ok(taken.keep());
        }
    }

    /// These are in the store now. Their removal from the file follows shortly, without a sync of
    /// its own.
    pub async fn done(&self, ids: &[ReceiptId]) -> Result<(), JournalError> {
        let finished = self.0.shared.finish(ids);
        self.command(Command::Done(finished)).await
    }

    /// These could not be stored now: they will be taken again, in order.
    pub async fn put_back(&self, ids: &[ReceiptId]) -> Result<(), JournalError> {
        self.0.shared.put_back(ids);
        self.command(Command::PutBack).await
    }

    /// These cannot be stored: they stay on file, are counted as left, and are offered again after
    /// the next start.
    pub async fn leave(&self, ids: &[ReceiptId]) -> Result<(), JournalError> {
        self.0.shared.leave(ids);
        self.command(Command::PutBack).await
    }

    /// Offers again what was shipped and is still kept, for a store that has lost its last
    /// moments. Returns how many receipts that are.
    pub async fn offer_again(&self) -> Result<u64, JournalError> {
        let (answer, offered) = oneshot::channel();
        self.command(Command::OfferAgain { answer }).await?;
        offered.await.map_err(|_gone| closed())?
    }

    /// Mirrors what the doors must know.
    pub async fn save_directory(&self, directory: &Directory) -> Result<(), JournalError> {
        let (answer, saved) = oneshot::channel();
        let page = mirror::encode(directory)?;
        self.command(Command::SaveDirectory { page, answer })
            .await?;
        saved.await.map_err(|_gone| closed())?
    }

    /// Mirrors what has changed in the directory that was mirrored before, and no more.
    pub async fn save_directory_change(
        &self,
        change: &DirectoryChange,
    ) -> Result<(), JournalError> {
        let (answer, saved) = oneshot::channel();
        let parts = mirror::encode_change(change)?;
        self.command(Command::SaveParts { parts, answer }).await?;
        saved.await.map_err(|_gone| closed())?
    }

    /// The directory as it was last mirrored.
    pub async fn directory(&self) -> Result<Option<Directory>, JournalError> {
        let (answer, read) = oneshot::channel();
        self.command(Command::Directory { answer }).await?;
        let page = read.await.map_err(|_gone| closed())??;
        page.as_ref().map(mirror::decode).transpose()
    }

    /// How far the pipeline is behind: how long the oldest unshipped receipt in memory has been
    /// there. Measured by the monotonic clock.
    pub fn behind(&self) -> Duration {
        self.0.shared.behind()
    }

    /// Waits until all that is durable now is in the store, no longer than `patience`. How many
    /// receipts are late, and how many were left, for which nobody need wait.
    pub async fn shipped(&self, patience: Duration) -> (u64, u64) {
        let shared = &self.0.shared;
        let upto = shared.queue().committed_last();
        // Whichever ends it: what is left is counted.
        drop(timeout(patience, shared.all_shipped(upto)).await);
        let queue = shared.queue();
        (queue.unshipped_up_to(upto), queue.left())
    }

    /// How long the shipped is kept.
    pub fn keeps(&self) -> Duration {
        self.0.shared.config.keep
    }

    /// Receipts that are taken or can be taken at once.
    pub fn in_work(&self) -> usize {
        self.0.shared.queue().in_memory()
    }

    /// How it stands.
    pub fn status(&self) -> JournalStatus {
        self.0.shared.status()
    }

    /// Commits what waits and closes the file. Whoever still has entries taken will be given them
    /// again after the next start, not counted as an attempt.
    pub async fn close(&self) {
        self.0.shared.begin_close();
        let (answer, closed) = oneshot::channel();
        // Whichever of these fails tells that it is closed already.
        if self
            .0
            .commands
            .send(Command::Close { answer })
            .await
            .is_ok()
        {
            closed.await.ok();
        }
        self.0.watch.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn command(&self, command: Command) -> Result<(), JournalError> {
        self.0
            .commands
            .send(command)
            .await
            .map_err(|_gone| closed())
    }
}

fn closed() -> JournalError {
    JournalError::File("it is closed".to_owned())
}

/// Commands that wait for the committing task before their callers wait too.
const COMMANDS: usize = 256;
