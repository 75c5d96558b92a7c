//! The pipeline: takes from the journal, reads and judges, records in the store, tells the journal.
//!
//! One poison entry stops nobody: what cannot be read, or alone cannot be stored, is recorded as
//! `unrecognised` with the error, its raw bytes kept.

mod turns;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::turns::Turns;
use crate::app::follower::Follower;
use crate::app::reception::Reception;
use crate::journal::{Entry, Journal};
use crate::judge::{Context, Policy, judge};
use crate::metrics::{BatchResult, Metrics};
use crate::model::authentication::Authentication;
use crate::model::clock::{Clock, Timestamp};
use crate::model::event::{Detail, Event, EventId, EventKind, Proof};
use crate::model::receipt::{Receipt, ReceiptId, ReceiptState};
use crate::model::tenant::TenantId;
use crate::store::{self, Alarm, AlarmKind, Store, StoreError, Verdict};
use crate::traces::{Reading, Span, Traces};

/// What the pipeline works with.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Where it takes from.
    pub journal: Journal,
    /// Where it records.
    pub store: Store,
    /// Keys and directory of the moment.
    pub reception: Reception,
    /// Who must look at the feed after a write.
    pub follower: Follower,
    /// What operators have set.
    pub policy: Arc<Policy>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Each batch is a span.
    pub traces: Traces,
}

/// Some receipts that were read and judged.
struct Read {
    verdicts: Vec<Verdict>,
    reading: Reading,
}

/// What is recorded together.
struct Stride {
    verdicts: Vec<Verdict>,
    readings: Vec<Reading>,
}

/// A batch that is in the store: its place of the feed, and when its receipts were accepted.
struct Recorded {
    seq: u64,
    accepted: Vec<Timestamp>,
}

/// Batches whose way into the index is waited for, at most.
const MEASURED: usize = 64;
/// Entries that are read at a time.
const BATCH: usize = 256;
/// Bytes of raw mail that are read at a time, about.
const BATCH_BYTES: u64 = 16 << 20;
/// Batches that were read and wait to be recorded, at most.
const READ_AHEAD: usize = 4;
/// Receipts in one transaction from which on no more are waited for.
const STRIDE: usize = 1_024;
/// Bytes of raw mail in one transaction from which on no more is waited for.
const STRIDE_BYTES: usize = 16 << 20;
/// How long what was read may wait for more that is on its way.
const GATHER: Duration = Duration::from_millis(250);
/// An entry that was at work this often when the process ended is not read again.
const ATTEMPTS: u32 = 5;
/// How the note begins of what could only be stored without what was read.
const NOT_STORABLE: &str = "not storable";
/// The first and the longest pause while the store is away.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Ingest {
    /// Works until `stop`; what is taken then is finished or put back.
    pub async fn run(self, stop: CancellationToken) {
        // Some batches are read while those before are recorded.
        let turns = Turns::of(&self.store);
        let (read, receiver) = mpsc::channel(READ_AHEAD);
        let (recorded, measured) = mpsc::channel(MEASURED);
        tokio::join!(
            self.read_batches(read, &turns, &stop),
            self.record_batches(receiver, recorded, (&turns, &stop)),
            self.measure(measured),
        );
    }

    /// How long it took from the door to the answers of check.
    async fn measure(&self, mut recorded: mpsc::Receiver<Recorded>) {
        while let Some(Recorded { seq, accepted }) = recorded.recv().await {
            if !self.follower.reach(seq, PAUSE.1).await {
                continue;
            }
            let now = self.clock.now().as_millis();
            for at in accepted {
                let age = u64::try_from(now.saturating_sub(at.as_millis())).unwrap_or_default();
                self.metrics
                    .receipt_to_queryable(Duration::from_millis(age));
            }
        }
    }

    async fn read_batches(
        &self,
        batches: mpsc::Sender<Read>,
        turns: &Turns,
        stop: &CancellationToken,
    ) {
        while let Some(entries) = self.take(stop).await {
            let turn = turns.take().await;
            let begun = self.traces.moment();
            let this = self.clone();
            let read = tokio::task::spawn_blocking(move || this.judge_all(entries)).await;
            drop(turn);
            // Reading contains its own panics; an error here means that the runtime is going down,
            // and the next start offers these entries again.
            let Ok(verdicts) = read else { return };
            let reading = self.traces.read(begun, verdicts.len());
            if batches.send(Read { verdicts, reading }).await.is_err() {
                return;
            }
        }
    }

    /// The next entries; `None` when it is time to stop.
    async fn take(&self, stop: &CancellationToken) -> Option<Vec<Entry>> {
        while !stop.is_cancelled() {
            let taken = stop
                .run_until_cancelled(self.journal.take(BATCH, BATCH_BYTES))
                .await?;
            match taken {
                Ok(entries) => return Some(entries),
                Err(error) => tracing::error!(%error, "cannot take from the journal"),
            }
            pause(PAUSE.1, stop).await;
        }
        None
    }

    fn judge_all(&self, entries: Vec<Entry>) -> Vec<Verdict> {
        let served = self.reception.served();
        let context = Context {
            keyring: &served.keyring,
            directory: &served.directory,
            policy: &self.policy,
        };
        entries
            .into_iter()
            .map(|entry| self.judge_one(entry, &context))
            .collect()
    }

    fn judge_one(&self, entry: Entry, context: &Context<'_>) -> Verdict {
        if entry.attempts > ATTEMPTS {
            let why = format!("reading it ended the process {} times", entry.attempts - 1);
            return self.poison(entry, why, context);
        }
        // The reader must not panic; if it does all the same, one mail is unrecognised and the
        // others are not touched.
        let judged = catch_unwind(AssertUnwindSafe(|| {
            judge(&entry.receipt, &entry.raw, Authentication::Failed, context)
        }));
        match judged {
            Ok(judged) => Verdict {
                receipt: entry.receipt,
                tenant: judged.tenant,
                state: judged.state,
                raw: entry.raw,
                events: judged.events,
            },
            Err(_) => self.poison(entry, "the reader failed on it".to_owned(), context),
        }
    }

    fn poison(&self, entry: Entry, why: String, context: &Context<'_>) -> Verdict {
        self.metrics.poison();
        tracing::error!(receipt = %entry.receipt.id, why, "kept as unrecognised");
        let tenant = entry.receipt.envelope.mailbox.tenant;
        let tenant = tenant.or_else(|| context.directory.only_tenant());
        unrecognised(entry.receipt, tenant, entry.raw, why)
    }

    async fn record_batches(
        &self,
        mut batches: mpsc::Receiver<Read>,
        measure: mpsc::Sender<Recorded>,
        (turns, stop): (&Turns, &CancellationToken),
    ) {
        while let Some(Read { verdicts, reading }) = batches.recv().await {
            let mut stride = Stride {
                verdicts,
                readings: vec![reading],
            };
            self.gather(&mut stride, &mut batches, stop).await;
            self.record_until_done(stride, &measure, (turns, stop))
                .await;
        }
    }

    /// Adds what is on its way, so that a transaction costs each receipt less the more arrive.
    /// What comes alone is recorded at once.
    async fn gather(
        &self,
        stride: &mut Stride,
        batches: &mut mpsc::Receiver<Read>,
        stop: &CancellationToken,
    ) {
        let Stride { verdicts, readings } = stride;
        let more = async {
            let mut bytes = size(verdicts);
            while verdicts.len() < STRIDE && bytes < STRIDE_BYTES && self.is_more(verdicts.len()) {
                let Some(batch) = batches.recv().await else {
                    return;
                };
                bytes = bytes.saturating_add(size(&batch.verdicts));
                verdicts.extend(batch.verdicts);
                readings.push(batch.reading);
            }
        };
        // Whatever ends the waiting: what is there is recorded.
        drop(timeout(GATHER, stop.run_until_cancelled(more)).await);
    }

    /// Whether the journal has more than these.
    fn is_more(&self, gathered: usize) -> bool {
        self.journal.in_work() > gathered
    }

    /// Records a batch; waits for a store that is away; bisects what the store refuses.
    async fn record_until_done(
        &self,
        stride: Stride,
        measure: &mpsc::Sender<Recorded>,
        (turns, stop): (&Turns, &CancellationToken),
    ) {
        let span = self.traces.batch(&stride.readings);
        let mut waiting = vec![stride.verdicts];
        let mut patience = PAUSE.0;
        while let Some(mut batch) = waiting.pop() {
            let turn = turns.take().await;
            let recorded = self.record(&batch, &span).await;
            drop(turn);
            match recorded {
                Ok(recorded) => {
                    patience = PAUSE.0;
                    self.reception.pressure().recorded();
                    // When measuring is behind, this batch goes unmeasured.
                    drop(recorded.map(|recorded| measure.try_send(recorded)));
                }
                Err(StoreError::Refused(why)) => {
                    if batch.len() > 1 {
                        let second = batch.split_off(batch.len() / 2);
                        waiting.push(second);
                        waiting.push(batch);
                    } else if let Some(one) = batch.pop() {
                        waiting.extend(self.set_aside(one, &why).await);
                    }
                }
                // Also what is wrong with the store itself: no receipt is to blame for it.
                Err(error) => {
                    tracing::warn!(%error, "the store is away; the journal keeps what comes in");
                    self.reception.pressure().store_away();
                    waiting.push(batch);
                    if stop.is_cancelled() {
                        span.failed_so(BatchResult::Unavailable.as_str());
                        return self.put_back(ids(&waiting.concat())).await;
                    }
                    pause(patience, stop).await;
                    patience = (patience * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// What the store refuses alone is recorded without what was read from it. If even that is
    /// refused it stays in the journal, is offered again after the next start, and says so.
    async fn set_aside(&self, one: Verdict, why: &str) -> Option<Vec<Verdict>> {
        self.metrics.poison();
        let bare = one.events.iter().flat_map(|event| &event.detail.notes);
        if bare.into_iter().any(|note| note.starts_with(NOT_STORABLE)) {
            self.leave(&one, why).await;
            return None;
        }
        tracing::error!(receipt = %one.receipt.id, why, "kept as unrecognised");
        let why = format!("{NOT_STORABLE}: {why}");
        Some(vec![unrecognised(one.receipt, one.tenant, one.raw, why)])
    }

    /// Leaves in the journal what cannot be stored in any form, and tells so.
    async fn leave(&self, one: &Verdict, why: &str) {
        let id = one.receipt.id;
        let alarm = Alarm {
            id: format!("not-storable-{id}"),
            at: self.clock.now(),
            tenant: one.tenant,
            kind: AlarmKind::NotStorable,
            detail: json!({"receipt": id.to_string(), "why": why}),
        };
        alarm.tell(&self.metrics);
        if let Err(error) = self.store.keep_alarm(&alarm).await {
            tracing::error!(%error, "the alarm itself cannot be stored");
        }
        if let Err(error) = self.journal.leave(&[id]).await {
            tracing::error!(%error, "the journal is closed");
        }
    }

    async fn put_back(&self, ids: Vec<ReceiptId>) {
        if let Err(error) = self.journal.put_back(&ids).await {
            tracing::error!(%error, "the journal will offer these again only after a restart");
        }
    }

    async fn record(&self, batch: &[Verdict], span: &Span) -> Result<Option<Recorded>, StoreError> {
        let started = self.clock.tick();
        let storing = span.store(batch.len());
        let mut recorded = store::Recorded::default();
        let result = self
            .store
            .record_into(&mut recorded, batch, self.clock.now())
            .await;
        let what = match &result {
            Ok(()) => BatchResult::Stored,
            Err(StoreError::Refused(_)) => BatchResult::Refused,
            Err(_) => BatchResult::Unavailable,
        };
        if what != BatchResult::Stored {
            storing.failed_so(what.as_str());
        }
        storing.ended();
        self.metrics
            .store_batch(what, self.clock.tick().since(started));
        // Also what was committed before something failed: nobody else will tell of it.
        let new: HashSet<_> = recorded.new.iter().copied().collect();
        let news = || {
            batch
                .iter()
                .filter(|verdict| new.contains(&verdict.receipt.id))
        };
        news().for_each(|verdict| self.count(verdict));
        recorded.tell(&self.metrics);
        result?;
        self.follower.wake();
        if let Err(error) = self.journal.done(&ids(batch)).await {
            // Harmless: after a restart they are offered again and found in the store.
            tracing::error!(%error, "cannot mark as shipped");
        }
        let accepted = news().map(|verdict| verdict.receipt.at).collect();
        Ok(recorded.seq.map(|seq| Recorded { seq, accepted }))
    }

    fn count(&self, verdict: &Verdict) {
        for event in verdict
            .events
            .iter()
            .filter(|event| !event.detail.synthetic)
        {
            self.metrics.event(event.kind, event.proof);
            if event.kind == EventKind::Complaint {
                let detail = &event.detail;
                let reporter = detail.user_agent.as_deref().or(detail.reporter.as_deref());
                let reporter = reporter.unwrap_or("unknown");
                if event.proof == Proof::None {
                    self.metrics.unmatched_complaint(reporter);
                }
                if let Some(place) = event.found_in {
                    self.metrics.complaint_token(place, reporter);
                }
            }
            if let (Some(class), Some(severity)) = (event.detail.class, event.detail.severity) {
                self.metrics.bounce(class, severity);
            }
        }
    }
}

/// A receipt of which nothing but the error is recorded beside its raw bytes.
fn unrecognised(
    receipt: Receipt,
    tenant: Option<TenantId>,
    raw: Arc<[u8]>,
    why: String,
) -> Verdict {
    let event = Event {
        id: EventId {
            receipt: receipt.id,
            index: 0,
        },
        tenant,
        kind: EventKind::Unrecognised,
        proof: Proof::None,
        authentication: Authentication::NotAsked,
        recipient: None,
        address: None,
        stream: 0,
        reference: Vec::new(),
        found_in: None,
        effects: Vec::new(),
        detail: Detail {
            notes: vec![why],
            ..Detail::default()
        },
    };
    Verdict {
        receipt,
        tenant,
        state: ReceiptState::Unrecognised,
        raw,
        events: vec![event],
    }
}

/// Bytes of raw mail; of one message for several recipients more than once.
fn size(verdicts: &[Verdict]) -> usize {
    verdicts.iter().map(|verdict| verdict.raw.len()).sum()
}

fn ids(verdicts: &[Verdict]) -> Vec<ReceiptId> {
    verdicts.iter().map(|verdict| verdict.receipt.id).collect()
}

/// Waits, but not beyond the stop.
async fn pause(long: Duration, stop: &CancellationToken) {
    // Either is a reason to go on.
    drop(timeout(long, stop.cancelled()).await);
}
