//! Kept receipts, read again: corrections withdraw events and add others. Nothing is overwritten.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::events::event_of;
use super::failure::Failure;
use super::feed::key_of;
use super::held::Decision;
use super::pool::{Conn, read, write};
use super::receipts::{COLUMNS, StoredReceipt};
use super::record::{self, Verdict};
use super::settle;
use super::soft;
use super::sql::{Conditions, ManyRows, Row, Value, fetch, fetch_many, month, values};
use super::{Recorded, Store, StoreError, lift};
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, Event, EventId};
use crate::model::receipt::{Receipt, ReceiptId, ReceiptState};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// Why something was lifted that would not begin today.
pub const REPLAY_NOTE: &str = "replay: today's reader and rules would not have begun it";

/// Which receipts are read again.
#[derive(Debug, Clone, Copy)]
pub struct ReplayFilter {
    /// Whose; `None`: of all tenants and of none.
    pub tenant: Option<TenantId>,
    /// Only those that were accepted then or later.
    pub since: Option<Timestamp>,
    /// Only those that were accepted before then.
    pub until: Option<Timestamp>,
}

/// A receipt with what holds of it now.
#[derive(Debug, Clone)]
pub struct KeptReceipt {
    /// The receipt.
    pub stored: StoredReceipt,
    /// Its events, those left out that were withdrawn.
    pub events: Vec<Event>,
    /// The number that its next event gets.
    pub next: u16,
}

/// What is to be corrected about a receipt.
#[derive(Debug, Clone)]
pub struct Correction {
    /// The receipt.
    pub receipt: Receipt,
    /// Whose it is today.
    pub tenant: Option<TenantId>,
    /// Events that hold no longer.
    pub withdrawn: Vec<Event>,
    /// Events that hold instead, numbered behind those that are there.
    pub new: Vec<Event>,
}

/// What a page of corrections has changed.
#[derive(Debug, Default)]
pub struct Corrected {
    /// Suppressions that ended.
    pub lifted: u64,
    /// What was written.
    pub recorded: Recorded,
}

impl Store {
    /// Receipts and their events, the oldest first, from behind `after` on; those left out whose
    /// verdict is still to come.
    pub async fn kept_receipts(
        &self,
        filter: ReplayFilter,
        after: Option<ReceiptId>,
        limit: u32,
    ) -> Result<Vec<KeptReceipt>, StoreError> {
        read!(self.pool, |conn| kept(conn, filter, after, limit).await)
    }

    /// Applies corrections in one transaction: what withdrawn events have begun ends, with `note`
    /// in the history; what they counted counts no more; new events are settled and stored. What
    /// was lifted after its receipt is not begun again.
    pub async fn correct(
        &self,
        corrections: &[Correction],
        note: &str,
        now: Timestamp,
    ) -> Result<Corrected, StoreError> {
        write!(self.pool, |conn| self
            .write_corrections(conn, corrections, note, now)
            .await)
    }

    async fn write_corrections(
        &self,
        conn: &mut Conn<'_>,
        corrections: &[Correction],
        note: &str,
        now: Timestamp,
    ) -> Result<Corrected, Failure> {
        lock(conn, corrections).await?;
        let taken = taken(conn, corrections).await?;
        let corrections: Vec<&Correction> = corrections
            .iter()
            .filter(|one| one.new.iter().all(|event| !taken.contains(&event.id)))
            .collect();
        let claimed = withdraw(conn, &corrections, now).await?;
        let corrections: Vec<&Correction> = corrections
            .into_iter()
            .filter(|one| {
                one.withdrawn
                    .iter()
                    .all(|event| claimed.contains(&event.id))
            })
            .collect();
        let withdrawn: Vec<&Event> = corrections.iter().flat_map(|one| &one.withdrawn).collect();
        soft::discount(conn, counted(&withdrawn)).await?;
        dismiss(conn, &withdrawn, now).await?;
        let ended = lift::remove_begun(conn, &begun(&withdrawn)).await?;
        let lifted_later = lifted_later(conn, &corrections).await?;
        let mut new: Vec<Cow<'_, Verdict>> = corrections
            .iter()
            .map(|one| Cow::Owned(verdict(one, &lifted_later)))
            .collect();
        let settled = settle::settle(conn, &mut new, &self.bounces, now).await?;
        let new: Vec<&Verdict> = new.iter().map(|verdict| &**verdict).collect();
        let lifted = u64::try_from(ended.len()).unwrap_or_default();
        let ended = record::Ended { stood: ended, note };
        let recorded =
            record::write_events(conn, &new, (settled, ended), (self.addresses, now)).await?;
        Ok(Corrected { lifted, recorded })
    }
}

async fn kept(
    conn: &mut Conn<'_>,
    filter: ReplayFilter,
    after: Option<ReceiptId>,
    limit: u32,
) -> Result<Vec<KeptReceipt>, Failure> {
    let mut those = Conditions::behind(values![limit.clamp(1, 1_000)]);
    if let Some(tenant) = filter.tenant {
        those.equal("tenant", tenant);
    }
    if let Some(since) = filter.since {
        // A receipt that is told later is drawn with the time that it speaks of.
        those.beyond("at >=", values![since]);
    }
    if let Some(until) = filter.until {
        those.beyond("at <", values![until]);
    }
    if let Some(after) = after {
        those.beyond("(month, id) >", values![month(after), after]);
    }
    those.plain("state <> 'pending'");
    let sql = format!(
        "select {COLUMNS} from receipts {} order by month, id limit $1",
        those.to_where()
    );
    let rows = fetch(conn, "receipts", sql, those.values).await?;
    let mut found: BTreeMap<ReceiptId, KeptReceipt> = BTreeMap::new();
    for row in &rows {
        let stored = StoredReceipt::of(row)?;
        found.insert(
            stored.receipt.id,
            KeptReceipt {
                stored,
                events: Vec::new(),
                next: 0,
            },
        );
    }
    let keys = || found.keys().map(|id| values![month(*id), *id]).collect();
    let withdrawn = ManyRows {
        table: "withdrawn_events",
        head: "select w.receipt, w.idx from (",
        tail: ") k join withdrawn_events w on w.month = k.column1 and w.receipt = k.column2",
    };
    let mut gone = BTreeSet::new();
    for row in &fetch_many(conn, withdrawn, keys()).await? {
        gone.insert(event_id(row)?);
    }
    let events = events_of(conn, keys()).await?;
    for event in events {
        let Some(kept) = found.get_mut(&event.id.receipt) else {
            continue;
        };
        kept.next = kept.next.max(event.id.index.saturating_add(1));
        if !gone.contains(&event.id) {
            kept.events.push(event);
        }
    }
    Ok(found.into_values().collect())
}

async fn events_of(conn: &mut Conn<'_>, keys: Vec<Vec<Value>>) -> Result<Vec<Event>, Failure> {
    let statement = ManyRows {
        table: "events",
        head: "select e.seq, e.at, e.receipt, e.idx, e.tenant, e.kind, e.proof, e.authentication,
                      e.recipient, e.address, e.stream, e.reference, e.found_in, e.effects,
                      e.detail
               from (",
        tail: ") k join events e on e.month = k.column1 and e.receipt = k.column2",
    };
    let rows = fetch_many(conn, statement, keys).await?;
    let mut events = rows.iter().map(event_of).collect::<Result<Vec<_>, _>>()?;
    events.sort_by_key(|event| event.id);
    Ok(events)
}

fn event_id(row: &Row) -> Result<EventId, Failure> {
    Ok(EventId {
        receipt: ReceiptId::from_bytes(row.array("receipt")?),
        index: row.number("idx")?,
    })
}

/// Makes others that correct the same receipts wait, which one engine does by itself.
async fn lock(conn: &mut Conn<'_>, corrections: &[Correction]) -> Result<(), Failure> {
    if let Conn::Sqlite(_) = conn {
        return Ok(());
    }
    // In one order, so that nobody waits for each other.
    let ids: BTreeSet<ReceiptId> = corrections.iter().map(|one| one.receipt.id).collect();
    let rows = ids.iter().map(|id| values![month(*id), *id]).collect();
    let statement = ManyRows {
        table: "receipts",
        head: "select r.id from (",
        tail: ") k join receipts r on r.month = k.column1 and r.id = k.column2
               order by r.month, r.id for update of r",
    };
    fetch_many(conn, statement, rows).await?;
    Ok(())
}

/// New events whose numbers somebody else has given meanwhile: their receipt was corrected already.
async fn taken(
    conn: &mut Conn<'_>,
    corrections: &[Correction],
) -> Result<BTreeSet<EventId>, Failure> {
    let events = corrections.iter().flat_map(|one| &one.new);
    let rows = events.map(|event| {
        let id = event.id;
        values![month(id.receipt), id.receipt, id.index]
    });
    let statement = ManyRows {
        table: "events",
        head: "select e.receipt, e.idx from (",
        tail: ") k join events e on e.month = k.column1 and e.receipt = k.column2
               and e.idx = k.column3",
    };
    let rows = fetch_many(conn, statement, rows.collect()).await?;
    rows.iter().map(event_id).collect()
}

/// Withdraws events; those that nobody else had.
async fn withdraw(
    conn: &mut Conn<'_>,
    corrections: &[&Correction],
    now: Timestamp,
) -> Result<BTreeSet<EventId>, Failure> {
    let events: BTreeSet<EventId> = corrections
        .iter()
        .flat_map(|one| &one.withdrawn)
        .map(|event| event.id)
        .collect();
    let rows = events
        .iter()
        .map(|id| values![month(id.receipt), id.receipt, id.index, now]);
    let statement = ManyRows {
        table: "withdrawn_events",
        head: "insert into withdrawn_events (month, receipt, idx, at)",
        tail: "on conflict (month, receipt, idx) do nothing returning receipt, idx",
    };
    let rows = fetch_many(conn, statement, rows.collect()).await?;
    rows.iter().map(event_id).collect()
}

fn counted(withdrawn: &[&Event]) -> Vec<soft::Counted> {
    withdrawn
        .iter()
        .filter_map(|event| {
            let failure = event.effects.iter().find_map(|effect| effect.failure())?;
            Some(soft::Counted {
                whose: (event.tenant?, event.recipient?),
                at: event.id.receipt.at(),
                failure,
            })
        })
        .collect()
}

/// What withdrawn events have begun.
fn begun(withdrawn: &[&Event]) -> Vec<(SuppressionKey, EventId)> {
    let mut begun = Vec::new();
    for event in withdrawn {
        let (Some(tenant), Some(recipient)) = (event.tenant, event.recipient) else {
            continue;
        };
        // What an operator has approved is his.
        for effect in &event.effects {
            let Effect::Suppress { scope, reason } = *effect else {
                continue;
            };
            let key = SuppressionKey {
                tenant,
                recipient,
                scope,
                reason,
            };
            begun.push((key, event.id));
        }
    }
    begun.sort();
    begun.dedup();
    begun
}

/// Holds of withdrawn events need no decision any longer.
async fn dismiss(conn: &mut Conn<'_>, withdrawn: &[&Event], now: Timestamp) -> Result<(), Failure> {
    let ids: BTreeSet<EventId> = withdrawn.iter().map(|event| event.id).collect();
    let rows = ids.iter().map(|id| {
        values![
            month(id.receipt),
            id.receipt,
            id.index,
            Decision::Dismissed.as_str(),
            now
        ]
    });
    let statement = ManyRows {
        table: "holds",
        head: "update holds set decision = k.column4, decided = k.column5 from (",
        tail: ") as k where holds.month = k.column1 and holds.receipt = k.column2
               and holds.idx = k.column3 and holds.decision is null",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    let receipts: BTreeSet<ReceiptId> = ids.iter().map(|id| id.receipt).collect();
    let rows = receipts.iter().map(|id| values![month(*id), *id]);
    let statement = ManyRows {
        table: "receipts",
        head: "update receipts set state = 'done' from (",
        tail: ") as k where receipts.month = k.column1 and receipts.id = k.column2
               and receipts.state in ('held', 'unrecognised')
               and not exists (select 1 from holds
                   where holds.month = k.column1 and holds.receipt = k.column2
                   and holds.decision is null)",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

/// For each recipient and what it stopped: when that was lifted last.
type Lifted = BTreeMap<SuppressionKey, Timestamp>;

async fn lifted_later(conn: &mut Conn<'_>, corrections: &[&Correction]) -> Result<Lifted, Failure> {
    let events = corrections.iter().flat_map(|one| &one.new);
    let whose: BTreeSet<(TenantId, RecipientKey)> = events
        .filter_map(|event| Some((event.tenant?, event.recipient?)))
        .collect();
    let rows = whose
        .iter()
        .map(|(tenant, recipient)| values![*tenant, *recipient]);
    let statement = ManyRows {
        table: "history",
        head: "select h.tenant, h.recipient, h.scope, h.reason, h.lifted, h.lift_note from (",
        tail: ") k join history h on h.tenant = k.column1 and h.recipient = k.column2",
    };
    let mut lifted = Lifted::new();
    for row in fetch_many(conn, statement, rows.collect()).await? {
        // Neither an earlier replay nor the brake has said that it must not stand.
        let note = row.text("lift_note")?;
        if note == REPLAY_NOTE || note == settle::BRAKED_NOTE {
            continue;
        }
        let at = row.time("lifted")?;
        let last = lifted.entry(key_of(&row)?).or_default();
        *last = at.max(*last);
    }
    Ok(lifted)
}

/// The new events of a correction, without what was lifted after the receipt.
fn verdict(correction: &Correction, lifted: &Lifted) -> Verdict {
    let mut events = correction.new.clone();
    let accepted = correction.receipt.at;
    for event in &mut events {
        let (tenant, recipient) = (event.tenant, event.recipient);
        event.effects.retain(|effect| {
            let stops = match effect {
                Effect::CountSoft(_) => Some((Scope::All, Reason::Bounce)),
                other => other.stops(),
            };
            let (Some(tenant), Some(recipient), Some((scope, reason))) = (tenant, recipient, stops)
            else {
                return true;
            };
            let key = SuppressionKey {
                tenant,
                recipient,
                scope,
                reason,
            };
            lifted.get(&key).is_none_or(|at| *at < accepted)
        });
        event.detail.notes.push("replayed".to_owned());
    }
    Verdict {
        receipt: correction.receipt.clone(),
        tenant: correction.tenant,
        state: ReceiptState::Done,
        raw: Arc::from([]),
        events,
    }
}
