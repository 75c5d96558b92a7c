//! All that stands, read as fast as the engine can, to fill an index.
//!
//! A row that is fetched costs the driver more than the engine. So many suppressions come at a
//! time: from SQLite as one value for each column, from `PostgreSQL` as lines.

use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::Arc;

use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Store;
use super::failure::{Failure, StoreError};
use super::pool::{Conn, Pool, READ, read, too_late};
use super::sql::{Row, fetch_one, values};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// Numbers of rows of an SQLite file that one call reads. No column becomes so long that memory for
/// it is asked of the system each time.
const ROWS: i64 = 8_192;
/// Parts of an SQLite file that are read at the same time, at most: some wait for the disk while
/// others compute.
const PARTS: i64 = 6;
/// Numbers of rows from which on there is a part more.
const PART_ROWS: i64 = 64 * ROWS;
/// Rows of `PostgreSQL` that are handed on at a time.
const LINES: usize = 16_384;
/// Pieces of them that are handed on at the same time.
const PIECES: usize = 2;

/// Takes over the suppressions that are read, in pieces, from several tasks at a time.
pub type Taker = Arc<dyn Fn(Vec<(SuppressionKey, Timestamp)>) + Send + Sync>;

impl Store {
    /// Gives all tenants' standing suppressions, to fill an index: key and since, in pieces and in
    /// no order. What was given before an error is to be thrown away.
    ///
    /// What begins or ends meanwhile may be in it or not: read the head of the feed before, and
    /// follow the feed from there.
    pub async fn scan(&self, taker: Taker) -> Result<(), StoreError> {
        match &self.pool {
            Pool::Sqlite { .. } => self.scan_file(taker).await,
            Pool::Postgres { .. } => self.scan_server(taker).await,
        }
    }

    /// In the order of the file, which is not that of the keys: by key each row would be a jump.
    async fn scan_file(&self, taker: Taker) -> Result<(), StoreError> {
        let before = read!(self.pool, |conn| rows_of(conn).await)?;
        let mut parts = JoinSet::new();
        for (after, upto) in before.parts() {
            let (store, taker) = (self.clone(), Arc::clone(&taker));
            parts.spawn(async move { store.scan_part(after, upto, &taker).await });
        }
        all(parts).await?;
        let after = read!(self.pool, |conn| rows_of(conn).await)?;
        if after.arrangement != before.arrangement {
            let text = "the file was rearranged while it was read".to_owned();
            return Err(StoreError::Unavailable(text));
        }
        Ok(())
    }

    /// The rows from behind `after` up to `upto`, a window of their numbers at a time.
    async fn scan_part(&self, mut after: i64, upto: i64, taker: &Taker) -> Result<(), StoreError> {
        while after < upto {
            let end = upto.min(after.saturating_add(ROWS));
            let columns = read!(self.pool, |conn| file_columns(conn, after, end).await)?;
            after = end;
            if let Some(columns) = columns {
                taker(columns.entries()?);
            } else {
                // Where very many have ended there may be many windows without any.
                let next = read!(self.pool, |conn| row_behind(conn, end).await)?;
                after = next.map_or(upto, |next| next.saturating_sub(1));
            }
        }
        Ok(())
    }

    /// In one statement, which sees one state of the table.
    async fn scan_server(&self, taker: Taker) -> Result<(), StoreError> {
        let mut connection = self.pool.reader().await?;
        let outcome = match connection.conn() {
            Conn::Postgres(conn) => copy(conn, &taker).await,
            Conn::Sqlite(_) => Ok(()),
        };
        if outcome.is_ok() {
            connection.finish();
        }
        Ok(outcome?)
    }
}

/// Waits for all; an error ends the others.
async fn all(mut tasks: JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_panicked| unreadable("a part"))??;
    }
    Ok(())
}

/// The rows of an SQLite table.
struct Rows {
    first: i64,
    last: i64,
    /// Changes when the file is vacuumed, which may number the rows anew.
    arrangement: i64,
}

async fn rows_of(conn: &mut Conn<'_>) -> Result<Rows, Failure> {
    let sql = "select (select min(rowid) from suppressions) as first,
                      (select max(rowid) from suppressions) as last,
                      schema_version from pragma_schema_version";
    let row = fetch_one(conn, "suppressions", sql, vec![]).await?;
    let row = row.ok_or_else(|| unreadable("the number of rows"))?;
    Ok(Rows {
        first: row.opt_int("first")?.unwrap_or(0),
        last: row.opt_int("last")?.unwrap_or(0),
        arrangement: row.int("schema_version")?,
    })
}

impl Rows {
    /// Bounds of the parts: behind which row each begins, and its last.
    fn parts(&self) -> impl Iterator<Item = (i64, i64)> {
        let numbers = self.last.saturating_sub(self.first);
        let parts = (numbers / PART_ROWS + 1).min(PARTS);
        let step = numbers / parts + 1;
        let first = self.first.saturating_sub(1);
        let bound = move |part| first.saturating_add(step.saturating_mul(part));
        (0..parts).map(move |part| (bound(part), bound(part + 1)))
    }
}

/// The number of the first row behind that one.
async fn row_behind(conn: &mut Conn<'_>, row: i64) -> Result<Option<i64>, Failure> {
    let sql = "select min(rowid) as next from suppressions where rowid > $1";
    let row = fetch_one(conn, "suppressions", sql, values![row]).await?;
    row.ok_or_else(|| unreadable("the next row"))?
        .opt_int("next")
}

/// Columns of many rows, one value behind the other.
struct Columns {
    /// [`RecipientKey::LEN`] bytes each.
    recipients: Vec<u8>,
    /// The others with commas between.
    tenants: String,
    scopes: String,
    reasons: String,
    sinces: String,
}

/// `None` if there is no row. Each column is put together by itself: to join the values of a row
/// first would cost twice as much as all the rest.
async fn file_columns(
    conn: &mut Conn<'_>,
    after: i64,
    upto: i64,
) -> Result<Option<Columns>, Failure> {
    // A BLOB goes through as the bytes that it is, zeros included.
    let sql = "select cast(group_concat(recipient, '') as blob) as recipients,
                      group_concat(tenant) as tenants, group_concat(scope) as scopes,
                      group_concat(reason) as reasons, group_concat(since) as sinces
               from suppressions where rowid > $1 and rowid <= $2";
    let row: Option<Row> = fetch_one(conn, "suppressions", sql, values![after, upto]).await?;
    let row = row.ok_or_else(|| unreadable("the columns"))?;
    let Some(recipients) = row.opt_bytes("recipients")? else {
        return Ok(None);
    };
    Ok(Some(Columns {
        recipients,
        tenants: row.text("tenants")?,
        scopes: row.text("scopes")?,
        reasons: row.text("reasons")?,
        sinces: row.text("sinces")?,
    }))
}

impl Columns {
    fn entries(&self) -> Result<Vec<(SuppressionKey, Timestamp)>, StoreError> {
        let (recipients, rest) = self.recipients.as_chunks();
        let mut tenants = Words::of(&self.tenants);
        let mut scopes = Words::of(&self.scopes);
        let mut reasons = Words::of(&self.reasons);
        let mut sinces = Words::of(&self.sinces);
        let mut entry = |recipient: &[u8; RecipientKey::LEN]| {
            let key = SuppressionKey {
                tenant: tenants.next(|word| TenantId::new(word.parse().ok()?))?,
                recipient: RecipientKey::from_bytes(*recipient),
                scope: scopes.next(|word| word.parse().ok())?,
                reason: reasons.next(|word| word.parse().ok())?,
            };
            let since = sinces.next(|word| word.parse().ok())?;
            Some((key, Timestamp::from_millis(since)))
        };
        let entries: Option<Vec<_>> = recipients.iter().map(&mut entry).collect();
        let all = rest.is_empty() && tenants.is_at_end() && sinces.is_at_end();
        entries
            .filter(|_| all)
            .ok_or_else(|| unreadable("a column"))
    }
}

/// A column, word by word. Most say what the one before says: it is read again only if not.
struct Words<'c, T> {
    /// Behind the comma of the last word.
    rest: Option<&'c str>,
    last: Option<(&'c str, T)>,
}

impl<'c, T: Copy> Words<'c, T> {
    const fn of(column: &'c str) -> Self {
        Self {
            rest: Some(column),
            last: None,
        }
    }

    /// `None` at the end, or if the word cannot be read.
    fn next(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let rest = self.rest?;
        if let Some((last, value)) = self.last
            && let Some(behind) = rest.strip_prefix(last)
            && (behind.is_empty() || behind.starts_with(','))
        {
            self.rest = behind.strip_prefix(',');
            return Some(value);
        }
        // Words are short: to look at each octet is faster than to search.
        let end = rest.bytes().position(|octet| octet == b',');
        let word = rest.get(..end.unwrap_or(rest.len()))?;
        self.rest = end.and_then(|end| rest.get(end + 1..));
        let value = read(word)?;
        self.last = Some((word, value));
        Some(value)
    }

    const fn is_at_end(&self) -> bool {
        self.rest.is_none()
    }
}

async fn copy(conn: &mut PgConnection, taker: &Taker) -> Result<(), Failure> {
    // A session's statements end after 10 s; this one may take minutes, but each wait is bounded.
    sqlx::raw_sql("begin; set local statement_timeout = 0")
        .execute(&mut *conn)
        .await?;
    let sql = "copy (select tenant, encode(recipient, 'hex'), scope, reason, since
                     from suppressions) to stdout (delimiter ' ')";
    let mut stream = conn.copy_out_raw(sql).await?;
    let mut pieces = JoinSet::new();
    let (mut lines, mut count) = (String::new(), 0);
    loop {
        let next = poll_fn(|context| Pin::as_mut(&mut stream).poll_next(context));
        let next = timeout(READ, next).await.map_err(|_elapsed| too_late())?;
        if let Some(bytes) = &next {
            let bytes = bytes.as_ref().map_err(|error| {
                StoreError::Unavailable(format!("the suppressions cannot be copied: {error}"))
            })?;
            lines.push_str(std::str::from_utf8(bytes).map_err(|_text| unreadable("a line"))?);
            count += 1;
            if count % LINES > 0 {
                continue;
            }
        }
        if pieces.len() == PIECES
            && let Some(ended) = pieces.join_next().await
        {
            ended.map_err(|_panicked| unreadable("a piece"))??;
        }
        let (taker, piece) = (Arc::clone(taker), std::mem::take(&mut lines));
        pieces.spawn(async move {
            taker(entries(&piece)?);
            Ok(())
        });
        if next.is_none() {
            break;
        }
    }
    all(pieces).await?;
    drop(stream);
    sqlx::raw_sql("commit").execute(conn).await?;
    Ok(())
}

fn entries(lines: &str) -> Result<Vec<(SuppressionKey, Timestamp)>, StoreError> {
    let entries = lines.lines().map(entry);
    entries
        .collect::<Option<_>>()
        .ok_or_else(|| unreadable("a line"))
}

fn entry(line: &str) -> Option<(SuppressionKey, Timestamp)> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    let tenant = TenantId::new(word()?.parse().ok()?)?;
    let recipient = RecipientKey::from_str(word()?).ok()?;
    let scope = Scope::from_str(word()?).ok()?;
    let reason = Reason::from_str(word()?).ok()?;
    let since = Timestamp::from_millis(word()?.parse().ok()?);
    let key = SuppressionKey {
        tenant,
        recipient,
        scope,
        reason,
    };
    words.next().is_none().then_some((key, since))
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Inconsistent(format!("suppressions: {what} cannot be read"))
}
