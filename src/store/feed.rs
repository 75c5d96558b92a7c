//! The feed: changes and events in the order of their commits, without a gap that a reader could
//! miss.
//!
//! One row counts. A transaction moves it on with its last statements and so holds its lock until
//! it has committed: a place of the feed becomes visible only after all places before it.

use super::Store;
use super::failure::{Failure, StoreError};
use super::migrate;
use super::pool::{Conn, read, write};
use super::sql::{Conditions, ManyRows, Row, Value, execute, fetch, fetch_many, fetch_one, values};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Change, ChangeOp, SuppressionKey};
use crate::model::tenant::TenantId;

/// The head of the feed as the store's own clock saw it.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The last place that is taken.
    pub seq: u64,
    /// The place of the last change of tenants, streams, signing keys or mailboxes: a
    /// [`Directory`](crate::model::directory::Directory) read before it is out of date.
    pub directory: u64,
    /// The store's clock.
    pub now: Timestamp,
}

/// A change that has no place yet.
#[derive(Debug)]
pub(super) struct NewChange {
    pub(super) op: ChangeOp,
    pub(super) key: SuppressionKey,
    pub(super) address: Option<String>,
    pub(super) at: Timestamp,
}

/// Changes that one call of [`Store::forget_feed_before`] forgets at most.
const FORGET: u64 = 10_000;
/// The longest answer of one call.
const MOST: u32 = 10_000;

/// Takes `count` places, the last statement before their rows; returns the first of them. Fails as
/// [`same_tables`] does.
pub(super) async fn advance(conn: &mut Conn<'_>, count: usize) -> Result<u64, Failure> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let sql = "update feed set seq = seq + $1 where id = 1 and tables = $2 returning seq";
    let seq = place(conn, sql, count).await?;
    Ok(seq + 1 - count)
}

/// Fails if a newer program has changed the tables: it may want more than this one writes.
pub(super) async fn same_tables(conn: &mut Conn<'_>) -> Result<(), Failure> {
    let sql = "select seq from feed where id = 1 and tables = $1";
    match fetch_one(conn, "feed", sql, values![migrate::version()]).await? {
        Some(_) => Ok(()),
        None => Err(nowhere(conn).await?),
    }
}

async fn place(conn: &mut Conn<'_>, sql: &'static str, count: u64) -> Result<u64, Failure> {
    match fetch_one(conn, "feed", sql, values![count, migrate::version()]).await? {
        Some(row) => row.number("seq"),
        None => Err(nowhere(conn).await?),
    }
}

/// Why no place could be taken.
async fn nowhere(conn: &mut Conn<'_>) -> Result<Failure, Failure> {
    let counter = fetch_one(conn, "feed", "select seq from feed where id = 1", vec![]).await?;
    Ok(counter.map_or_else(no_counter, |_there| {
        let text = "a newer version of this program has changed its tables: end this process and \
                    start that version";
        StoreError::Unavailable(text.to_owned()).into()
    }))
}

/// Takes one place for a change of the directory.
pub(super) async fn directory_changed(conn: &mut Conn<'_>) -> Result<u64, Failure> {
    let sql = "update feed set seq = seq + $1, directory = seq + $1 where id = 1 and tables = $2
               returning seq";
    place(conn, sql, 1).await
}

/// Writes changes at places from `first` on, which [`advance`] has given.
pub(super) async fn publish(
    conn: &mut Conn<'_>,
    changes: &[NewChange],
    first: u64,
) -> Result<(), Failure> {
    let rows = changes.iter().zip(first..).map(|(change, seq)| {
        let key = change.key;
        values![
            seq,
            change.at,
            change.op.as_str(),
            key.tenant,
            key.recipient,
            key.scope.to_string().as_str(),
            key.reason.as_str(),
            change.address.as_deref(),
        ]
    });
    let statement = ManyRows {
        table: "changes",
        head: "insert into changes (seq, at, op, tenant, recipient, scope, reason, address)",
        tail: "",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

impl Store {
    /// The feed's head and the store's clock.
    pub async fn head(&self) -> Result<Head, StoreError> {
        read!(self.pool, |conn| read_head(conn).await)
    }

    /// Changes behind `after`, in order. `tenant` `None`: of all tenants. The second value is the
    /// place up to which the feed has been read (a filter may leave out the last ones).
    ///
    /// `after` 0 is the beginning, whatever is kept; otherwise [`StoreError::Gone`] if changes
    /// behind it are no longer kept, or if it is a place that this feed has not reached.
    pub async fn changes(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<Change>, u64), StoreError> {
        let (sql, values) = changes_behind(tenant, after, limit);
        let rows = read!(self.pool, |conn| fetch(conn, "changes", sql, values).await)?;
        let (place, mut changes) = bounds_and_changes(&rows)?;
        if after > place.head || (after > 0 && after < place.trimmed) {
            return Err(StoreError::Gone(place.trimmed));
        }
        // As they come on both engines, though neither promises it.
        changes.sort_by_key(|change| change.seq);
        let reached = place.reached(
            changes.last().map(|change| change.seq),
            changes.len(),
            limit,
        );
        Ok((changes, reached))
    }

    /// The last change up to a place, if it is still kept, and the greatest place that a change has
    /// been forgotten of.
    pub async fn last_change(&self, seq: u64) -> Result<(Option<Change>, u64), StoreError> {
        let (sql, values) = last_change_up_to(seq);
        let rows = read!(self.pool, |conn| fetch(conn, "changes", sql, values).await)?;
        let (place, changes) = bounds_and_changes(&rows)?;
        Ok((changes.into_iter().next(), place.trimmed))
    }

    /// Forgets changes older than `before`, at most 10,000 in one call; returns how many. Call
    /// again until it is 0.
    pub async fn forget_feed_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        write!(self.pool, |conn| forget(conn, before).await)
    }
}

/// The statement that reads changes. Its first row is the feed's bounds in the same snapshot.
pub(super) fn changes_behind(
    tenant: Option<TenantId>,
    after: u64,
    limit: u32,
) -> (String, Vec<Value>) {
    let behind = behind(tenant, after, limit);
    let which = format!("{} order by seq limit $1", behind.to_where());
    (bounds_and(&which), behind.values)
}

/// The statement that reads the last change up to a place, likewise.
pub(super) fn last_change_up_to(seq: u64) -> (String, Vec<Value>) {
    let which = "where seq <= $1 order by seq desc limit 1";
    (bounds_and(which), values![seq])
}

fn bounds_and(which: &str) -> String {
    format!(
        "select seq, trimmed, null as op, null as tenant, null as recipient, null as scope,
                null as reason, null as address
         from feed where id = 1
         union all select * from
              (select seq, at, op, tenant, recipient, scope, reason, address
               from changes {which}) c"
    )
}

async fn read_head(conn: &mut Conn<'_>) -> Result<Head, Failure> {
    // Each engine names its clock differently.
    let clock = match conn {
        Conn::Sqlite(_) => "cast(unixepoch('subsec') * 1000 as integer)",
        Conn::Postgres(_) => "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)",
    };
    let sql = format!("select seq, directory, {clock} as now from feed where id = 1");
    let row = fetch_one(conn, "feed", sql, vec![])
        .await?
        .ok_or_else(no_counter)?;
    Ok(Head {
        seq: row.number("seq")?,
        directory: row.number("directory")?,
        now: row.time("now")?,
    })
}

async fn forget(conn: &mut Conn<'_>, before: Timestamp) -> Result<u64, Failure> {
    // The first change that is kept: those of several nodes need not be in the order of time.
    let kept = fetch_one(
        conn,
        "changes",
        "select seq from changes where at >= $1 order by seq limit 1",
        values![before],
    )
    .await?;
    let bounds = fetch_one(
        conn,
        "changes",
        "select min(seq) as first, max(seq) as last from changes",
        vec![],
    )
    .await?
    .ok_or_else(no_counter)?;
    let (Some(first), Some(last)) = (bounds.opt_int("first")?, bounds.opt_int("last")?) else {
        return Ok(0);
    };
    let end = match kept {
        Some(row) => row.int("seq")?.saturating_sub(1),
        None => last,
    };
    let end = end.min(first.saturating_add(i64::try_from(FORGET).unwrap_or(i64::MAX) - 1));
    // The greatest place that a change is forgotten of: whoever has read it has missed nothing.
    let greatest = fetch_one(
        conn,
        "changes",
        "select max(seq) as greatest from changes where seq <= $1",
        values![end],
    )
    .await?
    .ok_or_else(no_counter)?;
    let Some(greatest) = greatest.opt_int("greatest")? else {
        return Ok(0);
    };
    let gone = execute(
        conn,
        "delete from changes where seq <= $1",
        values![greatest],
    )
    .await?;
    execute(
        conn,
        "update feed set trimmed = $1 where id = 1 and trimmed < $1",
        values![greatest],
    )
    .await?;
    Ok(gone)
}

/// The feed's bounds in the snapshot of a read: each row has them.
pub(super) struct Place {
    pub(super) head: u64,
    pub(super) trimmed: u64,
}

impl Place {
    /// A full answer ends with its last item, any other at the head.
    pub(super) fn reached(&self, last: Option<u64>, count: usize, limit: u32) -> u64 {
        let full = u32::try_from(count).unwrap_or(u32::MAX) >= bounded(limit);
        last.filter(|_| full).unwrap_or(self.head)
    }
}

pub(super) fn bounded(limit: u32) -> u32 {
    limit.clamp(1, MOST)
}

/// The first parameter is the limit.
fn behind(tenant: Option<TenantId>, after: u64, limit: u32) -> Conditions {
    let mut behind = Conditions::behind(values![bounded(limit)]);
    behind.beyond("seq >", values![after]);
    if let Some(tenant) = tenant {
        behind.equal("tenant", tenant);
    }
    behind
}

fn bounds_and_changes(rows: &[Row]) -> Result<(Place, Vec<Change>), Failure> {
    let mut place = None;
    let mut changes = Vec::with_capacity(rows.len().saturating_sub(1));
    for row in rows {
        match row.opt_word(2)? {
            Some(op) => changes.push(change_of(row, op)?),
            None => {
                place = Some(Place {
                    head: row.number(0)?,
                    trimmed: row.number(1)?,
                });
            }
        }
    }
    Ok((place.ok_or_else(no_counter)?, changes))
}

/// By the columns' numbers: every change is read by every node.
fn change_of(row: &Row, op: ChangeOp) -> Result<Change, Failure> {
    Ok(Change {
        seq: row.number(0)?,
        at: row.time(1)?,
        op,
        key: SuppressionKey {
            tenant: row.tenant(3)?,
            recipient: RecipientKey::from_bytes(row.array(4)?),
            scope: row.word(5)?,
            reason: row.word(6)?,
        },
        address: row.opt_text(7)?,
    })
}

/// The key of a row that names a suppression.
pub(super) fn key_of(row: &Row) -> Result<SuppressionKey, Failure> {
    Ok(SuppressionKey {
        tenant: row.tenant("tenant")?,
        recipient: RecipientKey::from_bytes(row.array("recipient")?),
        scope: row.word("scope")?,
        reason: row.word("reason")?,
    })
}

pub(super) fn no_counter() -> Failure {
    StoreError::Inconsistent("feed: the row that counts is missing".to_owned()).into()
}
