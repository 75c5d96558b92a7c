//! Holds that are decided together: what the brake has held at once.

use std::collections::BTreeSet;

use super::brake;
use super::events::{self, COLUMNS, Source};
use super::failure::Failure;
use super::held::{Decision, JOINED, OWN, StoredHold};
use super::lift;
use super::pool::{Conn, write};
use super::sql::{Conditions, ManyRows, Row, fetch, fetch_many, month, values};
use super::standing::{Because, Begin};
use super::{Addresses, Store, StoreError};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::event::{Event, EventId, Proof};
use crate::model::receipt::ReceiptId;
use crate::model::suppression::{Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// Holds that one call decides at most.
const TOGETHER: u32 = 500;

/// What one call has decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Together {
    /// How many; 0 if nothing of the batch waits any longer.
    pub decided: u64,
    /// The feed's head after it, if it changed anything.
    pub seq: Option<u64>,
}

/// Which holds, and how they are decided.
#[derive(Debug, Clone, Copy)]
pub struct BatchDecision<'a> {
    /// Whose; `None`: of all tenants.
    pub tenant: Option<TenantId>,
    /// The batch.
    pub batch: &'a str,
    /// How.
    pub decision: Decision,
    /// Why, in words; may be empty.
    pub note: &'a str,
}

impl Store {
    /// Decides at most 500 holds of a batch, the oldest first. Call again until it is 0.
    ///
    /// Approving suppresses what each proposes, with proof `operator`, and says that the provider
    /// was right: what still comes of the batch's hours takes effect.
    pub async fn decide_batch(
        &self,
        what: BatchDecision<'_>,
        now: Timestamp,
    ) -> Result<Together, StoreError> {
        write!(self.pool, |conn| decide(conn, what, self.addresses, now)
            .await)
    }
}

async fn decide(
    conn: &mut Conn<'_>,
    what: BatchDecision<'_>,
    addresses: Addresses,
    now: Timestamp,
) -> Result<Together, Failure> {
    let open = open(conn, what).await?;
    if open.is_empty() {
        return Ok(Together::default());
    }
    if what.decision == Decision::Approved {
        brake::approved(conn, what.batch).await?;
    }
    let decided = settle(conn, &open, what.decision, now).await?;
    let mut wanted = Vec::new();
    if what.decision == Decision::Approved {
        let decided = open.iter().filter(|(hold, _)| decided.contains(&hold.id()));
        for (hold, source) in decided {
            wanted.extend(begin(hold, source, what.note)?);
        }
    }
    let (_, seq) = lift::begin(conn, wanted, addresses, now).await?;
    Ok(Together {
        decided: u64::try_from(decided.len()).unwrap_or(u64::MAX),
        seq,
    })
}

async fn open(conn: &mut Conn<'_>, what: BatchDecision<'_>) -> Result<Vec<Found>, Failure> {
    let mut those = Conditions::behind(values![TOGETHER]);
    those.plain("h.decision is null");
    those.plain("h.batch is not null");
    those.equal("h.batch", what.batch);
    if let Some(tenant) = what.tenant {
        those.equal("h.tenant", tenant);
    }
    found(conn, those).await
}

/// A hold with what its event came in with.
pub(super) type Found = (StoredHold, Source);

/// Holds of which all conditions are true, the oldest first. Parameter 1 is how many.
pub(super) async fn found(conn: &mut Conn<'_>, those: Conditions) -> Result<Vec<Found>, Failure> {
    let sql = format!(
        "select {COLUMNS}, {OWN}, r.at as accepted, r.door, r.sha256
         from {JOINED} join receipts r on r.month = h.month and r.id = h.receipt {}
         order by h.month, h.receipt, h.idx limit $1",
        those.to_where()
    );
    let rows = fetch(conn, "holds", sql, those.values).await?;
    rows.iter()
        .map(|row| Ok((StoredHold::of(row)?, source_of(row)?)))
        .collect()
}

fn source_of(row: &Row) -> Result<Source, Failure> {
    Ok(Source {
        at: row.time("accepted")?,
        door: row.word("door")?,
        digest: Digest::from_bytes(row.array("sha256")?),
    })
}

/// Notes the decision; those that nobody else has decided meanwhile.
pub(super) async fn settle(
    conn: &mut Conn<'_>,
    open: &[Found],
    decision: Decision,
    now: Timestamp,
) -> Result<BTreeSet<EventId>, Failure> {
    let receipts: BTreeSet<ReceiptId> = open.iter().map(|(hold, _)| hold.id().receipt).collect();
    let receipts = || receipts.iter().map(|id| values![month(*id), *id]).collect();
    // The lock of each, as when one alone is decided.
    let lock = ManyRows {
        table: "receipts",
        head: "update receipts set state = state from (",
        tail: ") as k where receipts.month = k.column1 and receipts.id = k.column2",
    };
    fetch_many(conn, lock, receipts()).await?;
    let rows = open.iter().map(|(hold, _)| {
        let id = hold.id();
        values![
            month(id.receipt),
            id.receipt,
            id.index,
            decision.as_str(),
            now
        ]
    });
    let note = ManyRows {
        table: "holds",
        head: "update holds set decision = k.column4, decided = k.column5 from (",
        tail: ") as k where holds.month = k.column1 and holds.receipt = k.column2
               and holds.idx = k.column3 and holds.decision is null
               returning holds.receipt as receipt, holds.idx as idx",
    };
    let noted = fetch_many(conn, note, rows.collect()).await?;
    let done = ManyRows {
        table: "receipts",
        head: "update receipts set state = 'done' from (",
        tail: ") as k where receipts.month = k.column1 and receipts.id = k.column2
               and receipts.state = 'held' and not exists (select 1 from holds
                   where holds.month = k.column1 and holds.receipt = k.column2
                   and holds.decision is null)",
    };
    fetch_many(conn, done, receipts()).await?;
    noted
        .iter()
        .map(|row| {
            Ok(EventId {
                receipt: ReceiptId::from_bytes(row.array("receipt")?),
                index: row.number("idx")?,
            })
        })
        .collect()
}

/// What an approval suppresses; nothing where nobody is named.
pub(super) fn proposed(event: &Event) -> Option<SuppressionKey> {
    let mut holds = event.effects.iter().filter(|one| one.because().is_some());
    let (scope, reason) = holds.find_map(|effect| effect.stops())?;
    (scope != Scope::Stream(0)).then_some(SuppressionKey {
        tenant: event.tenant?,
        recipient: event.recipient?,
        scope,
        reason,
    })
}

/// What an approval begins.
pub(super) fn begin(
    hold: &StoredHold,
    source: &Source,
    note: &str,
) -> Result<Option<Begin>, Failure> {
    let event = &hold.event.event;
    let Some(key) = proposed(event) else {
        return Ok(None);
    };
    Ok(Some(Begin {
        key,
        address: event.address.clone(),
        event: Some(event.id),
        evidence: events::evidence(event, Proof::Operator, source)?,
        note: Some(note.to_owned()).filter(|note| !note.is_empty()),
        because: Because::of(event),
    }))
}
