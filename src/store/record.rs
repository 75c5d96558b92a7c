//! What the pipeline writes: receipts first, effects only of those that are new, the feed last.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::alarms::Alarm;
use super::counts;
use super::events::{self, Source};
use super::failure::{Failure, StoreError};
use super::feed;
use super::lift;
use super::marks;
use super::pool::{Conn, write};
use super::settle::{self, Settled};
use super::sql::{ManyRows, Row, Value, fetch_many, month, values};
use super::standing::{self, Because, Begin};
use super::suppressions::StoredSuppression;
use super::{Addresses, Store, undo};
use crate::judge::history::BouncePolicy;
use crate::metrics::Metrics;
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, Event, EventId};
use crate::model::receipt::{Receipt, ReceiptId, ReceiptState};
use crate::model::suppression::{Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// A receipt with all that was read from it: what the pipeline writes.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What came in.
    pub receipt: Receipt,
    /// Whose it is, if that is known.
    pub tenant: Option<TenantId>,
    /// What has become of it.
    pub state: ReceiptState,
    /// Its raw bytes.
    pub raw: Arc<[u8]>,
    /// What it says, by index from 0.
    pub events: Vec<Event>,
}

/// What a writing call changed.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The receipts that were new; the others had been stored before, without any effect now.
    pub new: Vec<ReceiptId>,
    /// The feed's head after this write, if it changed anything in the feed.
    pub seq: Option<u64>,
    /// What the new events have changed, but for synthetic ones, once what depends on the past was
    /// settled.
    pub effects: Vec<Effect>,
    /// Alarms that this write has raised.
    pub alarms: Vec<Alarm>,
}

impl Recorded {
    /// Adds what a later transaction changed.
    fn add(&mut self, later: Self) {
        self.new.extend(later.new);
        self.seq = later.seq.or(self.seq);
        self.effects.extend(later.effects);
        self.alarms.extend(later.alarms);
    }

    /// Counts what was changed, and tells the alarms.
    pub fn tell(&self, metrics: &Metrics) {
        for effect in &self.effects {
            match effect {
                Effect::Suppress { reason, .. } => metrics.suppression(*reason),
                Effect::Hold { because, .. } => metrics.hold(*because),
                Effect::SuppressUnlessBraked { .. }
                | Effect::CountSoft(_)
                | Effect::ResetSoft
                | Effect::Undo
                | Effect::Signal => {}
            }
        }
        for alarm in &self.alarms {
            alarm.tell(metrics);
        }
    }
}

impl Store {
    /// Writes a batch in one transaction: receipts first; effects only of the receipts that are
    /// new; the feed last. Of two verdicts on one receipt the first counts. A verdict that takes
    /// back what came before it ends a transaction, so that what comes behind it is not touched.
    ///
    /// [`StoreError::Refused`] means that something in this batch can never be stored; without it
    /// the rest can. The batch is held in memory once more while it is written, so its bytes
    /// should be bounded as well as its count (1,024 verdicts are a good size).
    pub async fn record(
        &self,
        verdicts: &[Verdict],
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let mut recorded = Recorded::default();
        self.record_into(&mut recorded, verdicts, now).await?;
        Ok(recorded)
    }

    /// Likewise, and tells also what was committed before something failed: that will be known, and
    /// nothing new, when the batch is tried again.
    pub async fn record_into(
        &self,
        recorded: &mut Recorded,
        verdicts: &[Verdict],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut batch: Vec<&Verdict> = verdicts.iter().collect();
        batch.sort_by_key(|verdict| verdict.receipt.id);
        batch.dedup_by_key(|verdict| verdict.receipt.id);
        for verdict in &batch {
            check(verdict)?;
        }
        for part in batch.split_inclusive(|verdict| undo::takes_back(verdict)) {
            recorded.add(write!(self.pool, |conn| write_batch(
                conn,
                part,
                (self.addresses, &self.bounces),
                now
            )
            .await)?);
        }
        Ok(())
    }
}

async fn write_batch(
    conn: &mut Conn<'_>,
    batch: &[&Verdict],
    (addresses, bounces): (Addresses, &BouncePolicy),
    now: Timestamp,
) -> Result<Recorded, Failure> {
    let claimed = claim(conn, batch).await?;
    let mut new: Vec<Cow<'_, Verdict>> = batch
        .iter()
        .filter(|verdict| claimed.contains(&verdict.receipt.id))
        .map(|verdict| Cow::Borrowed(*verdict))
        .collect();
    if new.is_empty() {
        return Ok(Recorded::default());
    }
    let settled = settle::settle(conn, &mut new, bounces, now).await?;
    let new: Vec<&Verdict> = new.iter().map(|verdict| &**verdict).collect();
    keep_raw(conn, &new, now).await?;
    counts::count(conn, &new).await?;
    write_events(conn, &new, (settled, Ended::default()), (addresses, now)).await
}

/// Suppressions that have been taken out of the table, and why.
#[derive(Debug, Default)]
pub(super) struct Ended<'a> {
    pub(super) stood: Vec<StoredSuppression>,
    pub(super) note: &'a str,
}

/// Writes settled events and what follows from them; the feed last.
pub(super) async fn write_events(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    (settled, ended): (Settled, Ended<'_>),
    (addresses, now): (Addresses, Timestamp),
) -> Result<Recorded, Failure> {
    let Settled {
        batches,
        lifted,
        alarms,
    } = settled;
    hold(conn, new, &batches).await?;
    let mut changes = standing::begin(conn, beginnings(new)?, addresses, now).await?;
    let begun = changes.len();
    changes.extend(lifted.iter().map(|stood| stood.ended(now)));
    changes.extend(ended.stood.iter().map(|stood| stood.ended(now)));

    let events = new
        .iter()
        .map(|verdict| verdict.events.len())
        .sum::<usize>();
    let places = events + changes.len();
    let mut recorded = Recorded {
        new: new.iter().map(|verdict| verdict.receipt.id).collect(),
        seq: None,
        effects: effects_of(new),
        alarms,
    };
    if places > 0 {
        let place = |count: usize| u64::try_from(count).unwrap_or_default();
        let first = feed::advance(conn, places).await?;
        events::insert(conn, new, addresses, first).await?;
        marks::insert(conn, new, first).await?;
        feed::publish(conn, &changes, first + place(events)).await?;
        let behind_begun = first + place(events + begun);
        let behind_lifted = behind_begun + place(lifted.len());
        lift::remember(conn, lifted, behind_begun, (now, settle::BRAKED_NOTE)).await?;
        lift::remember(conn, ended.stood, behind_lifted, (now, ended.note)).await?;
        recorded.seq = Some(first + place(places) - 1);
        let begun = changes.get(..begun).unwrap_or_default();
        recorded.seq = undo::settle(conn, new, begun, now).await?.or(recorded.seq);
    } else {
        feed::same_tables(conn).await?;
    }
    Ok(recorded)
}

/// The effects of the new events, in their order.
fn effects_of(new: &[&Verdict]) -> Vec<Effect> {
    let events = new.iter().flat_map(|verdict| &verdict.events);
    let events = events.filter(|event| !event.detail.synthetic);
    events.flat_map(|event| event.effects.clone()).collect()
}

/// Inserts the receipts; those returned are new, and this transaction alone acts on them.
async fn claim(conn: &mut Conn<'_>, batch: &[&Verdict]) -> Result<HashSet<ReceiptId>, Failure> {
    let mut new: Vec<&Verdict> = batch.to_vec();
    let mut tail = "on conflict (month, id) do nothing returning id";
    if let Conn::Sqlite(_) = conn {
        // Nobody else writes now: asking which are there costs less than being told which were
        // not, since nearly all are not.
        let known = known(conn, batch).await?;
        new.retain(|verdict| !known.contains(&verdict.receipt.id));
        tail = "";
    }
    let rows = new
        .iter()
        .map(|verdict| receipt_row(verdict))
        .collect::<Result<_, _>>()?;
    let statement = ManyRows {
        table: "receipts",
        head: "insert into receipts (month, id, at, tenant, door, mailbox, local_part, state, \
               sha256, size, envelope)",
        tail,
    };
    let returned = fetch_many(conn, statement, rows).await?;
    if let Conn::Sqlite(_) = conn {
        return Ok(new.iter().map(|verdict| verdict.receipt.id).collect());
    }
    returned.iter().map(receipt_of).collect()
}

/// Those of the batch that the table has.
async fn known(conn: &mut Conn<'_>, batch: &[&Verdict]) -> Result<HashSet<ReceiptId>, Failure> {
    let keys = batch
        .iter()
        .map(|verdict| values![month(verdict.receipt.id), verdict.receipt.id]);
    let statement = ManyRows {
        table: "receipts",
        head: "select r.id from (",
        tail: ") k cross join receipts r on r.month = k.column1 and r.id = k.column2",
    };
    let found = fetch_many(conn, statement, keys.collect()).await?;
    found.iter().map(receipt_of).collect()
}

fn receipt_of(row: &Row) -> Result<ReceiptId, Failure> {
    row.array(0).map(ReceiptId::from_bytes)
}

fn receipt_row(verdict: &Verdict) -> Result<Vec<Value>, Failure> {
    let receipt = &verdict.receipt;
    let mailbox = indexable(&receipt.envelope.mailbox.address);
    let local_part = mailbox.rsplit_once('@').map_or(mailbox, |(local, _)| local);
    let mut row = values![
        month(receipt.id),
        receipt.id,
        receipt.at,
        verdict.tenant,
        receipt.door.as_str(),
        mailbox,
        local_part,
        verdict.state.as_str(),
        receipt.digest,
        u64::try_from(verdict.raw.len()).unwrap_or(u64::MAX),
    ];
    // The envelope is evidence and kept as it was received, with the addresses in it, also where
    // addresses are otherwise forgotten.
    row.push(Value::json(&receipt.envelope)?);
    Ok(row)
}

/// The beginning of a text that fits into an index on either engine.
pub(super) fn indexable(text: &str) -> &str {
    text.get(..text.floor_char_boundary(INDEXABLE))
        .unwrap_or_default()
}

/// Octets; PostgreSQL refuses index entries beyond a third of a page (2,704).
const INDEXABLE: usize = 768;

/// Keeps raw bytes once per message: its receipts, of which other batches may have brought some,
/// have the same time and SHA-256.
async fn keep_raw(conn: &mut Conn<'_>, new: &[&Verdict], now: Timestamp) -> Result<(), Failure> {
    let messages: BTreeMap<_, &Verdict> = new
        .iter()
        .map(|verdict| ((verdict.receipt.at, verdict.receipt.digest), *verdict))
        .collect();
    let rows = messages
        .into_iter()
        .map(|((at, digest), verdict)| values![at, digest, &*verdict.raw, now]);
    let statement = ManyRows {
        table: "raw",
        head: "insert into raw (at, sha256, bytes, created)",
        // Who refers to them last decides how long they are kept, to the day.
        tail: "on conflict (at, sha256) do update set created = excluded.created \
               where raw.created < excluded.created - 86400000",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

/// Notes which events wait for an operator.
async fn hold(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    batches: &BTreeMap<EventId, String>,
) -> Result<(), Failure> {
    let held = new
        .iter()
        .flat_map(|verdict| &verdict.events)
        .filter(|event| {
            event
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::Hold { .. }))
        });
    let rows = held.map(|event| {
        values![
            month(event.id.receipt),
            event.id.receipt,
            event.id.index,
            event.tenant,
            batches.get(&event.id).map(String::as_str),
        ]
    });
    let statement = ManyRows {
        table: "holds",
        head: "insert into holds (month, receipt, idx, tenant, batch)",
        tail: "",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

/// The suppressions that new events want, in the order of the events.
fn beginnings(new: &[&Verdict]) -> Result<Vec<Begin>, Failure> {
    let mut wanted = Vec::new();
    for verdict in new {
        let receipt = &verdict.receipt;
        let source = Source {
            at: receipt.at,
            door: receipt.door,
            digest: receipt.digest,
        };
        for event in &verdict.events {
            let (Some(tenant), Some(recipient)) = (event.tenant, event.recipient) else {
                continue;
            };
            for effect in &event.effects {
                let Effect::Suppress { scope, reason } = *effect else {
                    continue;
                };
                wanted.push(Begin {
                    key: SuppressionKey {
                        tenant,
                        recipient,
                        scope,
                        reason,
                    },
                    address: event.address.clone(),
                    event: Some(event.id),
                    evidence: events::evidence(event, event.proof, &source)?,
                    note: None,
                    because: Because::of(event),
                });
            }
        }
    }
    Ok(wanted)
}

/// What would fail the whole batch, or be stored without meaning, is refused before it is tried.
fn check(verdict: &Verdict) -> Result<(), StoreError> {
    let id = verdict.receipt.id;
    let refuse = |why: &str| Err(StoreError::Refused(format!("receipt {id}: {why}")));
    for (index, event) in (0_u16..).zip(&verdict.events) {
        if event.id.receipt != id || event.id.index != index {
            return refuse("its events are not numbered from 0");
        }
        let mut holds = 0;
        for effect in &event.effects {
            let scope = match *effect {
                Effect::Suppress { scope, .. } | Effect::SuppressUnlessBraked { scope, .. } => {
                    if event.tenant.is_none() || event.recipient.is_none() {
                        return refuse("an event suppresses, but names no tenant or recipient");
                    }
                    scope
                }
                Effect::Hold { scope, .. } => {
                    holds += 1;
                    scope
                }
                Effect::CountSoft(_) => {
                    // It may come to a hold.
                    holds += 1;
                    if event.tenant.is_none() || event.recipient.is_none() {
                        return refuse("an event counts, but names no tenant or recipient");
                    }
                    continue;
                }
                Effect::Signal | Effect::ResetSoft => continue,
                Effect::Undo => {
                    if event.tenant.is_none() || event.recipient.is_none() {
                        return refuse("an event takes back, but names no tenant or recipient");
                    }
                    continue;
                }
            };
            if scope == Scope::Stream(0) {
                return refuse("no stream has number 0");
            }
        }
        if holds > 1 {
            return refuse("an event is held more than once");
        }
        if event.reference.len() > 16 {
            return refuse("a ref is longer than 16 bytes");
        }
    }
    if verdict.events.len() > usize::from(u16::MAX) {
        return refuse("it has more events than can be numbered");
    }
    Ok(())
}
