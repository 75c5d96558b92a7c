//! Marks of events: what they are found by that their table has no index of. Each has one of its
//! kind and proof together, so that any proof of any kinds is found in the order of the feed, and
//! one of its reporter, if it names one.

use super::Store;
use super::failure::{Failure, StoreError};
use super::pool::{Conn, write};
use super::record::Verdict;
use super::sql::{ManyRows, Row, execute, fetch, fetch_many, fetch_one, values};
use crate::model::event::{Detail, EventKind, Proof};
use crate::model::reporter;
use crate::model::tenant::TenantId;

/// Events that one call of [`Store::mark_events`] marks at most.
const TOGETHER: u32 = 1_000;

/// The mark of a kind with a proof.
pub(super) fn proven(kind: EventKind, proof: Proof) -> String {
    format!("{kind} {proof}")
}

/// The mark of a reporter, of which no kind begins so.
pub(super) fn reported_by(name: &str) -> String {
    format!("by {name}")
}

/// The tenant of a mark.
pub(super) fn owner(tenant: Option<TenantId>) -> u32 {
    tenant.map_or(0, TenantId::get)
}

/// Marks the events of new receipts, whose places begin with `first`.
pub(super) async fn insert(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    first: u64,
) -> Result<(), Failure> {
    let events = new.iter().flat_map(|verdict| &verdict.events).zip(first..);
    let marks = events.flat_map(|(event, seq)| {
        let whose = (owner(event.tenant), seq);
        marks(whose, (event.kind, event.proof), &event.detail)
    });
    save(conn, marks.collect()).await
}

/// Tenant, mark and place: the key.
type Mark = (u32, String, u64);

fn marks(
    (owner, seq): (u32, u64),
    (kind, proof): (EventKind, Proof),
    detail: &Detail,
) -> impl Iterator<Item = Mark> + use<> {
    let reporter = reporter::of(detail).and_then(|name| reporter::meant(&name));
    let reporter = reporter.map(|name| reported_by(&name));
    let marks = std::iter::once(proven(kind, proof)).chain(reporter);
    marks.map(move |mark| (owner, mark, seq))
}

async fn save(conn: &mut Conn<'_>, mut marks: Vec<Mark>) -> Result<(), Failure> {
    marks.sort_unstable();
    let rows = marks
        .into_iter()
        .map(|(owner, mark, seq)| values![owner, mark.as_str(), seq]);
    let statement = ManyRows {
        table: "event_marks",
        head: "insert into event_marks (tenant, mark, seq)",
        tail: "on conflict do nothing",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

impl Store {
    /// Marks events that an earlier version has stored, a bounded part in one call, the oldest first.
    /// Returns how many it was: call again until it is 0.
    pub async fn mark_events(&self) -> Result<u64, StoreError> {
        write!(self.pool, |conn| mark(conn).await)
    }
}

async fn mark(conn: &mut Conn<'_>) -> Result<u64, Failure> {
    let sql = "select marked, unmarked from feed where id = 1 and marked < unmarked";
    let Some(bounds) = fetch_one(conn, "feed", sql, vec![]).await? else {
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
    let mut all = Vec::new();
    for row in &rows {
        all.extend(marks_of(row)?);
    }
    save(conn, all).await?;
    let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= TOGETHER);
    let upto = match rows.last() {
        Some(last) if is_full => last.number("seq")?,
        Some(_) | None => unmarked,
    };
    // Another node may have come as far.
    let sql = "update feed set marked = $1 where id = 1 and marked < $1";
    execute(conn, sql, values![upto]).await?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

fn marks_of(row: &Row) -> Result<impl Iterator<Item = Mark> + use<>, Failure> {
    let whose = (owner(row.opt_tenant("tenant")?), row.number("seq")?);
    let detail: Detail = row.json("detail")?;
    Ok(marks(
        whose,
        (row.word("kind")?, row.word("proof")?),
        &detail,
    ))
}
