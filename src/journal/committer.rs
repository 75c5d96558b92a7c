//! The one task that writes: it takes what waits, commits it with one sync, and answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use super::books::{Books, Portion};
use super::file::Opened;
use super::mirror::Page;
use super::queue::Item;
use super::shared::{Permit, Shared};
use super::tables::{NewRow, RawRow, Tables};
use super::{AppendError, JournalError};
use crate::model::receipt::Arrival;

/// Arrivals of one transaction.
const GROUP: usize = 1_000;
/// Bytes of arrivals of one transaction; a larger one has a transaction of its own.
const GROUP_BYTES: u64 = 32 << 20;
/// Receipts whose bookkeeping is done in a transaction without arrivals.
const BOOKS: usize = 1_024;
/// Bytes written to the log before it is brought into the file.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// How often the kept is looked through for what has grown old, and the file for free pages.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// An arrival that waits for its commit.
#[derive(Debug)]
pub(super) struct Append {
    arrival: Arrival,
    /// JSON of each receipt's envelope.
    envelopes: Vec<String>,
    permit: Permit,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

impl Append {
    pub(super) fn new(
        arrival: Arrival,
        permit: Permit,
        answer: oneshot::Sender<Result<(), AppendError>>,
    ) -> Result<Self, AppendError> {
        let envelopes = arrival
            .receipts
            .iter()
            .map(|it| serde_json::to_string(&it.envelope));
        let envelopes = envelopes
            .collect::<Result<_, _>>()
            .map_err(|_may_quote| AppendError::Failed("an envelope without JSON form".into()))?;
        Ok(Self {
            arrival,
            envelopes,
            permit,
            answer,
        })
    }

    fn rows(&self, first: u64) -> impl Iterator<Item = NewRow<'_>> {
        let receipts = self.arrival.receipts.iter().zip(&self.envelopes);
        (first..)
            .zip(receipts)
            .map(|(seq, (receipt, envelope))| NewRow {
                seq,
                receipt,
                envelope,
            })
    }

    fn raw_row(&self) -> Option<RawRow<'_>> {
        let digest = self.arrival.receipts.first()?.digest;
        Some(RawRow {
            digest,
            bytes: &self.arrival.raw,
        })
    }

    fn into_items(self, first: u64) -> (Vec<Item>, oneshot::Sender<Result<(), AppendError>>) {
        let raw = self.arrival.raw;
        let items = (first..)
            .zip(self.arrival.receipts)
            .map(|(seq, receipt)| Item::new(seq, receipt, Arc::clone(&raw), seq == first));
        (items.collect(), self.answer)
    }
}

/// What else the task is asked for.
pub(super) enum Command {
    /// These are to be given out.
    Taken {
        seqs: Vec<u64>,
        answer: oneshot::Sender<()>,
    },
    /// These are in the store.
    Done(Vec<u64>),
    /// These are no longer in work.
    PutBack(Vec<u64>),
    /// What is kept is to be shipped again.
    OfferAgain {
        answer: oneshot::Sender<Result<u64, JournalError>>,
    },
    /// The directory is to be mirrored.
    SaveDirectory {
        page: Page,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    /// The mirrored directory is wanted.
    Directory {
        answer: oneshot::Sender<Result<Option<Page>, JournalError>>,
    },
    /// The end.
    Close { answer: oneshot::Sender<()> },
}

/// The task's state.
pub(super) struct Committer {
    tables: Tables,
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
    /// The next step of tidying is due.
    untidy: bool,
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
            tables: Tables::new(opened),
            shared,
            arrivals,
            commands,
            left_over: None,
            books: Books::default(),
            logged: 0,
            stalled: false,
            untidy: true,
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
            self.commit(group).await;
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
        let nothing_to_do = self.books.is_empty() && self.shared.queue().wants_load().is_none();
        self.left_over.is_none() && !self.untidy && (self.stalled || nothing_to_do)
    }

    /// Adds what waits, within the bounds of one transaction.
    fn gather(&mut self, group: &mut Vec<Append>) {
        let mut bytes: u64 = group.iter().map(|append| append.permit.bytes()).sum();
        while group.len() < GROUP {
            let Some(next) = self
                .left_over
                .take()
                .or_else(|| self.arrivals.try_recv().ok())
            else {
                return;
            };
            bytes = bytes.saturating_add(next.permit.bytes());
            if bytes > GROUP_BYTES && !group.is_empty() {
                self.left_over = Some(next);
                return;
            }
            group.push(next);
        }
    }

    /// One transaction: all of `group`, and as much bookkeeping as does not hold it up.
    async fn commit(&mut self, group: Vec<Append>) {
        let mut portion = match group.len() {
            0 if self.stalled => return,
            0 => self.books.portion(BOOKS),
            // More than comes in, so that it cannot pile up.
            arrivals => self
                .books
                .portion(arrivals.saturating_mul(2).saturating_add(64)),
        };
        if group.is_empty() && portion.is_empty() {
            return;
        }
        if let Some(why) = self.shared.failure() {
            refuse(group, &AppendError::Failed(why));
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
        self.tables.begin(!group.is_empty()).await?;
        if !group.is_empty() {
            let raws: Vec<_> = group.iter().filter_map(Append::raw_row).collect();
            self.tables.insert_raw(&raws).await?;
            let mut rows = Vec::with_capacity(group.len());
            for append in group {
                let first = self
                    .last_seq
                    .saturating_add(1)
                    .saturating_add(length(rows.len()));
                rows.extend(append.rows(first));
            }
            self.tables.insert_receipts(&rows).await?;
        }
        let keep = (!self.shared.config.keep.is_zero()).then(|| self.shared.clock.now());
        self.tables.keep_books(portion, keep).await?;
        self.tables.commit().await?;
        let books = length(portion.len()).saturating_mul(BOOK_BYTES);
        self.logged = self.logged.saturating_add(books);
        Ok(())
    }

    async fn committed(&mut self, group: Vec<Append>) {
        if !group.is_empty() {
            let mut items = Vec::with_capacity(group.len());
            let mut answers = Vec::with_capacity(group.len());
            for append in group {
                self.logged = self.logged.saturating_add(append.permit.bytes());
                let first = self.last_seq.saturating_add(1);
                let (more, answer) = append.into_items(first);
                self.last_seq = self.last_seq.saturating_add(length(more.len()));
                items.extend(more);
                answers.push(answer);
            }
            self.shared.committed(items);
            for answer in answers {
                // Whoever asked may have gone away.
                answer.send(Ok(())).ok();
            }
        }
        self.checkpoint_if_due().await;
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
            Command::Taken { seqs, answer } => self.books.taken(seqs, answer),
            Command::Done(seqs) => self.books.done(seqs),
            Command::PutBack(seqs) => self.books.put_back(seqs),
            Command::OfferAgain { answer } => {
                answer.send(self.offer_again().await).ok();
            }
            Command::SaveDirectory { page, answer } => {
                answer.send(self.save_directory(&page).await).ok();
            }
            Command::Directory { answer } => {
                answer.send(self.tables.directory().await).ok();
            }
            Command::Close { answer } => self.close = Some(answer),
        }
        self.shared
            .metrics
            .set_journal_unshipped(self.shared.queue().unshipped());
    }

    async fn save_directory(&mut self, page: &Page) -> Result<(), JournalError> {
        if let Some(why) = self.shared.failure() {
            return Err(JournalError::File(why.to_string()));
        }
        let saved = self.tables.save_directory(page).await;
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
                self.shared.queue().load(items, upto);
                self.shared.ready.notify_one();
            }
            Err(error) => {
                self.stalled = true;
                self.shared.set_read_error(error.to_string());
            }
        }
    }

    fn tick(&mut self) {
        self.stalled = false;
        self.untidy = true;
        let now = self.shared.clock.now().as_millis();
        let oldest = self.shared.queue().oldest();
        let age = oldest.map_or(0, |at| now.saturating_sub(at.as_millis()));
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        self.shared.metrics.set_oldest_unshipped(age);
    }

    /// One step of deleting what has been kept long enough and of giving back free pages, so that
    /// arrivals never wait for more than one.
    async fn tidy(&mut self) {
        if !self.untidy || self.stalled || self.shared.failure().is_some() {
            self.untidy = false;
            return;
        }
        match self.tidy_step().await {
            Ok(more) => self.untidy = more,
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
        self.logged = self
            .logged
            .saturating_add(expired.saturating_mul(BOOK_BYTES));
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
        // Whoever asked may have gone away.
        append.answer.send(Err(why.clone())).ok();
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

/// Bytes of the log that the bookkeeping of one receipt is counted with.
const BOOK_BYTES: u64 = 512;
