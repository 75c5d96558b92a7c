//! Marks of events: what they are found by that their table has no index of. Each event of a tenant
//! has one of its kind and proof together, so that any proof of any kinds is found in the order of
//! the feed, and one of each name of its reporter. Events near to each other share theirs: a
//! mark says of a part of the feed that the tenant has such an event there.

use std::collections::BTreeSet;

use super::Store;
use super::failure::{Failure, StoreError};
use super::migrate;
use super::pool::{Conn, write};
use super::record::Verdict;
use super::sql::{ManyRows, execute, fetch, fetch_many, fetch_one, values};
use crate::model::event::{Detail, EventKind, Proof};
use crate::model::reporter;
use crate::model::tenant::TenantId;

/// Events that one call of [`Store::mark_events`] marks at most.
const TOGETHER: u32 = 1_000;
/// Places of the feed that share their marks. The fewer, the less is read for each event that is
/// found; the more, the fewer rows a batch of one tenant writes.
const PART: u64 = 128;

/// The mark of a kind with a proof.
pub(super) fn proven(kind: EventKind, proof: Proof) -> String {
    format!("{kind} {proof}")
}

/// The mark of a reporter, of which no kind begins so.
pub(super) fn reported_by(name: &str) -> String {
    format!("by {name}")
}

/// The part that a place is in.
pub(super) const fn part_of(seq: u64) -> u64 {
    seq / PART
}

/// The place before a part's first, and its last.
pub(super) const fn places_of(part: u64) -> (u64, u64) {
    let first = part.saturating_mul(PART);
    (first.saturating_sub(1), first.saturating_add(PART - 1))
}

/// Marks the events of new receipts, whose places begin with `first`.
pub(super) async fn insert(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    first: u64,
) -> Result<(), Failure> {
    let mut all = Marks::default();
    for (event, seq) in new.iter().flat_map(|verdict| &verdict.events).zip(first..) {
        all.add(event.tenant, (event.kind, event.proof), &event.detail, seq);
    }
    all.save(conn).await
}

/// Tenants, marks and parts: the keys, in their order, so that two who write some of the same wait
/// for each other in one order.
#[derive(Default)]
struct Marks(BTreeSet<(TenantId, String, u64)>);

impl Marks {
    fn add(
        &mut self,
        tenant: Option<TenantId>,
        (kind, proof): (EventKind, Proof),
        detail: &Detail,
        seq: u64,
    ) {
        // Events of nobody are gone through: see `event_feed`.
        let Some(tenant) = tenant else { return };
        let part = part_of(seq);
        self.0.insert((tenant, proven(kind, proof), part));
        for name in reporter::names(detail).filter_map(|name| reporter::meant(&name)) {
            self.0.insert((tenant, reported_by(&name), part));
        }
    }

    async fn save(self, conn: &mut Conn<'_>) -> Result<(), Failure> {
        let rows = self.0.iter();
        let rows = rows.map(|(tenant, mark, part)| values![*tenant, mark.as_str(), *part]);
        let statement = ManyRows {
            table: "event_marks",
            head: "insert into event_marks (tenant, mark, part)",
            tail: "on conflict do nothing",
        };
        fetch_many(conn, statement, rows.collect()).await?;
        Ok(())
    }
}

impl Store {
    /// Marks events that an earlier version has stored, a bounded part in one call, the oldest first.
    /// Returns how many it was: call again until it is 0.
    pub async fn mark_events(&self) -> Result<u64, StoreError> {
        write!(self.pool, |conn| mark(conn).await)
    }
}

async fn mark(conn: &mut Conn<'_>) -> Result<u64, Failure> {
    // What a newer program's marks are is for that one to know.
    let sql =
        "select marked, unmarked from feed where id = 1 and marked < unmarked and tables = $1";
    let Some(bounds) = fetch_one(conn, "feed", sql, values![migrate::version()]).await? else {
        return Ok(0);
    };
    let (marked, unmarked): (u64, u64) = (bounds.number("marked")?, bounds.number("unmarked")?);
    let rows = fetch(
        conn,
        "events",
        "select seq, tenant, kind, proof, detail from events
         where seq > $1 and seq <= $2 order by seq limit $3",
        values![marked, unmarked, TOGETHER],
    )
    .await?;
    let mut all = Marks::default();
    for row in &rows {
        let detail: Detail = row.json("detail")?;
        let what = (row.word("kind")?, row.word("proof")?);
        all.add(row.opt_tenant("tenant")?, what, &detail, row.number("seq")?);
    }
    let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= TOGETHER);
    let upto = match rows.last() {
        Some(last) if is_full => last.number("seq")?,
        Some(_) | None => unmarked,
    };
    // Another node may have come as far. First, as the row of the feed comes first where new events
    // are marked, of which some may be in a part with these.
    let sql = "update feed set marked = $1 where id = 1 and marked < $1 and tables = $2";
    execute(conn, sql, values![upto, migrate::version()]).await?;
    all.save(conn).await?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}
