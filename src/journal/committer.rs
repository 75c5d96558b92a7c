//! The one task that writes: it takes what waits, commits it with one sync, and answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use super::append::{self, Append};
use super::books::{Books, Portion};
use super::file::Opened;
use super::mirror::{Page, Parts};
use super::queue::Finished;
use super::shared::Shared;
use super::tables::Tables;
use super::{AppendError, JournalError, room};

/// Arrivals of one transaction.
const GROUP: usize = 1_000;
/// Bytes of arrivals of one transaction; a larger one has a transaction of its own.
const GROUP_BYTES: u64 = 32 << 20;
/// Groups that are deleted in a transaction: with arrivals more than come in, so that they cannot
/// pile up, and without.
const DELETED: (usize, usize) = (32, 256);
/// Bytes written to the log before it is brought into the file. What is shipped by then leaves
/// its pages to what comes, and each page is brought over once, so a long log is cheap.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// How often the kept is looked through for what has grown old, and the file for free pages.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What else the task is asked for.
pub(super) enum Command {
    /// What is in work has become more; it is given out when it is noted.
    Taken { answer: oneshot::Sender<()> },
    /// These are in the store.
    Done(Finished),
    /// What is in work has become less.
    PutBack,
    /// What is kept is to be shipped again.
    OfferAgain {
        answer: oneshot::Sender<Result<u64, JournalError>>,
    },
    /// The directory is to be mirrored.
    SaveDirectory {
        page: Page,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    /// What has changed of it is to be mirrored.
    SaveParts {
        parts: Parts,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    /// The mirrored directory is wanted.
    Directory {
        answer: oneshot::Sender<Result<Option<Page>, JournalError>>,
    },
    /// The end.
    Close { answer: oneshot::Sender<()> },
}

/// What is done from time to time.
#[derive(Debug)]
struct Due {
    /// Bookkeeping has waited for company long enough.
    books: bool,
    /// The next step of tidying.
    tidying: bool,
}

/// The task's state.
pub(super) struct Committer {
    tables: Tables,
    /// The folder that the file lies in.
    folder: PathBuf,
    shared: Arc<Shared>,
    arrivals: mpsc::Receiver<Append>,
    commands: mpsc::Receiver<Command>,
    /// Taken from the channel, but too large for the transaction before.
    left_over: Option<Append>,
    books: Books,
    last_seq: u64,
    /// Bytes in the log since the last checkpoint, roughly.
    logged: u64,
    /// Nothing could be written or read: bookkeeping waits for the next tick.
    stalled: bool,
    /// What the last tick has made due.
    due: Due,
    close: Option<oneshot::Sender<()>>,
}

impl Committer {
    pub(super) fn new(
        opened: Opened,
        shared: Arc<Shared>,
        arrivals: mpsc::Receiver<Append>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            last_seq: opened.last_seq,
            folder: opened.folder.clone(),
            tables: Tables::new(opened),
            shared,
            arrivals,
            commands,
            left_over: None,
            books: Books::default(),
            logged: 0,
            stalled: false,
            due: Due {
                books: false,
                tidying: true,
            },
            close: None,
        }
    }

    /// Runs until it is told to close or every handle is gone.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(HOUSEKEEPING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.close.is_none() {
            let mut group = Vec::new();
            if self.is_idle() && !self.wait(&mut group, &mut ticks).await {
                break;
            }
            while let Ok(command) = self.commands.try_recv() {
                self.accept(command).await;
            }
            // Those whom the commit before has answered come again now rather than one by one.
            tokio::task::yield_now().await;
            self.gather(&mut group);
            if !group.is_empty() || self.books.is_urgent() || std::mem::take(&mut self.due.books) {
                self.commit(group).await;
            }
            self.load().await;
            self.tidy().await;
        }
        self.finish().await;
    }

    /// Waits for something to do; `false` when there is nobody left who could ask for it.
    async fn wait(&mut self, group: &mut Vec<Append>, ticks: &mut Interval) -> bool {
        let command = tokio::select! {
            biased;
            append = self.arrivals.recv() => {
                let more = append.is_some();
                group.extend(append);
                return more;
            }
            command = self.commands.recv() => command,
            _ = ticks.tick() => {
                self.tick();
                // First of all: after a full disk it makes room in the log.
                self.checkpoint_if_due().await;
                return true;
            }
        };
        match command {
            Some(command) => {
                self.accept(command).await;
                true
            }
            None => false,
        }
    }

    fn is_idle(&self) -> bool {
        let urgent = self.books.is_urgent() || self.shared.queue().wants_load().is_some();
        self.left_over.is_none() && !self.due.tidying && (self.stalled || !urgent)
    }

    /// Adds what waits, within the bounds of one transaction.
    fn gather(&mut self, group: &mut Vec<Append>) {
        let mut bytes: u64 = group.iter().map(Append::bytes).sum();
        while group.len() < GROUP {
            let Some(next) = self
                .left_over
                .take()
                .or_else(|| self.arrivals.try_recv().ok())
            else {
                return;
            };
            bytes = bytes.saturating_add(next.bytes());
            if bytes > GROUP_BYTES && !group.is_empty() {
                self.left_over = Some(next);
                return;
            }
            group.push(next);
        }
    }

    /// One transaction: all of `group`, and as much bookkeeping as does not hold it up.
    async fn commit(&mut self, group: Vec<Append>) {
        let mut portion = if group.is_empty() {
            if self.stalled {
                return;
            }
            self.books.portion(DELETED.1)
        } else {
            self.books.portion(DELETED.0)
        };
        if group.is_empty() && portion.is_empty() {
            return;
        }
        if let Some(why) = self.shared.failure() {
            refuse(group, &AppendError::Failed(why));
            portion.answer();
            return;
        }
        let group = if self.make_room(&group).await {
            group
        } else {
            self.shared.set_full();
            refuse(group, &AppendError::Full);
            Vec::new()
        };
        if group.is_empty() && portion.is_empty() {
            portion.answer();
            return;
        }
        let written = self.write(&group, &portion).await;
        portion.answer();
        match written {
            Ok(()) => self.committed(group).await,
            Err(error) => self.not_committed(group, portion, &error).await,
        }
    }

    async fn write(&mut self, group: &[Append], portion: &Portion) -> sqlx::Result<()> {
        let group = append::write(group, self.last_seq.saturating_add(1));
        let keep = (!self.shared.config.keep.is_zero()).then(|| self.shared.clock.now());
        let taken = self.shared.queue().taken();
        // Its pages, that of its row, and those of the table and of the list of free pages.
        let arrived = group
            .as_ref()
            .map_or(0, |group| length(group.body.len()).saturating_add(4 * PAGE));
        // What is noted is little; each group that goes touches its row and the free pages.
        let books = length(portion.len()).saturating_add(3).saturating_mul(PAGE);
        let books = if portion.is_empty() { 0 } else { books };
        self.tables.commit(group, portion, &taken, keep).await?;
        let logged = arrived.saturating_add(books);
        self.logged = self.logged.saturating_add(logged);
        self.shared.wrote(logged);
        Ok(())
    }

    async fn committed(&mut self, group: Vec<Append>) {
        let (items, answers) = append::read(group, self.last_seq.saturating_add(1));
        if !items.is_empty() {
            self.last_seq = self.last_seq.saturating_add(length(items.len()));
            self.shared.committed(items);
            for answer in answers {
                // Whoever asked may have gone away.
                answer.send(Ok(())).ok();
            }
        }
        self.checkpoint_if_due().await;
    }

    /// Whether a group can be written so that the log still has room to be brought into the file:
    /// a full disk on which only the log could shrink would stay full for ever.
    async fn make_room(&mut self, group: &[Append]) -> bool {
        let bytes: u64 = group.iter().map(Append::bytes).sum();
        if bytes == 0 {
            return true;
        }
        // Once in the log, and once from there in the file.
        let needed = bytes.saturating_add(ROOM).saturating_mul(2);
        if self.shared.has_free(needed.saturating_add(self.logged)) {
            return true;
        }
        if self.logged > 0 {
            self.logged = CHECKPOINT_BYTES;
            self.checkpoint_if_due().await;
        }
        room::check(&self.shared, self.folder.clone()).await;
        self.shared.has_free(needed.saturating_add(self.logged))
    }

    /// Nothing of it is in the file, or nobody knows: that is the difference between a full disk
    /// and a failed one.
    async fn not_committed(&mut self, group: Vec<Append>, portion: Portion, error: &sqlx::Error) {
        let rolled_back = self.tables.roll_back().await;
        if is_full(error) && rolled_back {
            self.shared.set_full();
            refuse(group, &AppendError::Full);
            self.books.again(portion);
            self.stalled = true;
            self.logged = CHECKPOINT_BYTES;
            return;
        }
        self.fail(error).await;
        let why = self.shared.failure().unwrap_or_default();
        refuse(group, &AppendError::Failed(why));
    }

    async fn fail(&mut self, error: &sqlx::Error) {
        self.shared.fail(&error.to_string());
        self.tables.overwrite_failed().await;
    }

    async fn checkpoint_if_due(&mut self) {
        if self.logged < CHECKPOINT_BYTES || self.shared.failure().is_some() {
            return;
        }
        self.logged = 0;
        match self.tables.checkpoint().await {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.shared.set_full();
                // Tried again after the next tick: it is what makes the log's room free again.
                self.logged = CHECKPOINT_BYTES;
            }
            Err(error) => self.fail(&error).await,
        }
    }

    async fn accept(&mut self, command: Command) {
        match command {
            Command::Taken { answer } => self.books.taken(answer),
            Command::Done(finished) => self.books.done(finished),
            Command::PutBack => self.books.put_back(),
            Command::OfferAgain { answer } => {
                answer.send(self.offer_again().await).ok();
            }
            Command::SaveDirectory { page, answer } => {
                answer.send(self.save_directory(&page).await).ok();
            }
            Command::SaveParts { parts, answer } => {
                answer.send(self.save_parts(&parts).await).ok();
            }
            Command::Directory { answer } => {
                answer.send(self.tables.directory().await).ok();
            }
            Command::Close { answer } => self.close = Some(answer),
        }
        self.shared.count(&self.shared.queue());
    }

    async fn save_directory(&mut self, page: &Page) -> Result<(), JournalError> {
        if let Some(why) = self.shared.failure() {
            return Err(JournalError::File(why.to_string()));
        }
        let saved = self.tables.save_directory(page).await;
        self.settle(saved).await
    }

    async fn save_parts(&mut self, parts: &Parts) -> Result<(), JournalError> {
        if let Some(why) = self.shared.failure() {
            return Err(JournalError::File(why.to_string()));
        }
        let saved = self.tables.save_parts(parts).await;
        self.settle(saved).await
    }

    async fn offer_again(&mut self) -> Result<u64, JournalError> {
        if let Some(why) = self.shared.failure() {
            return Err(JournalError::File(why.to_string()));
        }
        // What is done but still in the file must not come back as if it were not.
        while !self.books.is_empty() && !self.stalled && self.shared.failure().is_none() {
            self.commit(Vec::new()).await;
        }
        let offered = self.tables.offer_again().await;
        let more = self.settle(offered).await?;
        self.shared.queue().reload(more);
        Ok(more)
    }

    /// What a failed transaction of its own means for the journal.
    async fn settle<T>(&mut self, result: sqlx::Result<T>) -> Result<T, JournalError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                let message = error.to_string();
                self.not_committed(Vec::new(), Portion::default(), &error)
                    .await;
                Err(JournalError::File(message))
            }
        }
    }

    /// Reads on where memory ends, if there is room.
    async fn load(&mut self) {
        let Some(after) = self.shared.queue().wants_load() else {
            return;
        };
        if self.stalled {
            return;
        }
        match self.tables.read(after).await {
            Ok((items, upto)) => {
                let now = self.shared.clock.tick();
                self.shared.queue().load(items, upto, now);
                self.shared.ready.notify_one();
                // What cannot be read is not waited for.
                self.shared.shipped.notify_waiters();
            }
            Err(error) => {
                self.stalled = true;
                self.shared.set_read_error(error.to_string());
            }
        }
    }

    fn tick(&mut self) {
        self.stalled = false;
        self.due = Due {
            books: true,
            tidying: true,
        };
        let now = self.shared.clock.now().as_millis();
        let oldest = self.shared.queue().oldest();
        let age = oldest.map_or(0, |at| now.saturating_sub(at.as_millis()));
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        self.shared.metrics.set_oldest_unshipped(age);
    }

    /// One step of deleting what has been kept long enough and of giving back free pages, so that
    /// arrivals never wait for more than one.
    async fn tidy(&mut self) {
        if !self.due.tidying || self.stalled || self.shared.failure().is_some() {
            self.due.tidying = false;
            return;
        }
        match self.tidy_step().await {
            Ok(more) => self.due.tidying = more,
            Err(error) => {
                self.not_committed(Vec::new(), Portion::default(), &error)
                    .await;
            }
        }
        self.checkpoint_if_due().await;
    }

    async fn tidy_step(&mut self) -> sqlx::Result<bool> {
        let keep = self.shared.config.keep;
        let expired = if keep.is_zero() {
            0
        } else {
            self.tables
                .expire(self.shared.clock.now().before(keep))
                .await?
        };
        self.logged = self.logged.saturating_add(expired.saturating_mul(PAGE));
        let shrunk = self.tables.shrink().await?;
        if shrunk {
            // The file itself becomes shorter only by this.
            self.logged = CHECKPOINT_BYTES;
        }
        Ok(expired > 0 || shrunk)
    }

    /// Commits what waits, then closes the file.
    async fn finish(mut self) {
        self.shared.begin_close();
        self.arrivals.close();
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            self.accept(command).await;
        }
        self.stalled = false;
        loop {
            let mut group = Vec::new();
            self.gather(&mut group);
            if (group.is_empty() && self.books.is_empty()) || self.stalled {
                refuse(group, &self.shared.closed());
                break;
            }
            self.commit(group).await;
        }
        self.tables.close(self.shared.failure().is_none()).await;
        if let Some(answer) = self.close {
            answer.send(()).ok();
        }
    }
}

fn refuse(group: Vec<Append>, why: &AppendError) {
    for append in group {
        append.refuse(why);
    }
}

/// Whether the disk, not the write, is to blame.
fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: &str = "13";
    let error = error.as_database_error();
    error
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == SQLITE_FULL)
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Bytes of bookkeeping that a commit brings with it, at most about.
const ROOM: u64 = 1 << 20;
/// Bytes of a page: a transaction adds each that it changes to the log.
const PAGE: u64 = 16 << 10;
