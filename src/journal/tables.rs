//! What is written to and read from the tables. A transaction is one text of several statements,
//! so that the connection's thread is handed one piece of work for each; they are begun and ended
//! by plain statements: a failed `COMMIT` must leave no doubt about whether one is still open.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::JournalError;
use super::books::Portion;
use super::file::{Opened, place, stored, unusable};
use super::group::{self, Part};
use super::mirror::{Page, Parts};
use super::queue::{Item, Stored};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::secret::Secret;

/// Groups looked at for one reading.
const READ: i64 = 512;
/// Bytes read back at a time, beyond the first group.
const READ_BYTES: u64 = 8 << 20;
/// Kept groups deleted in one transaction.
const EXPIRE: i64 = 128;
/// Free pages given back in one step, and how many there must be: 16 MiB.
const SHRINK: i64 = 1_024;

/// A group is written.
macro_rules! arrive {
    () => {
        "insert into groups (seq, receipts, body) values (?, ?, ?);"
    };
}

/// What is in work, and of which groups something is done, is noted.
macro_rules! note {
    () => {
        "delete from taken;
         insert into taken (first, last) select value ->> 0, value ->> 1 from json_each(?);
         insert or replace into partly (seq, done) select value ->> 0, value ->> 1 from json_each(?);"
    };
}

/// Groups of which everything is done are deleted.
macro_rules! delete {
    () => {
        "delete from groups where seq in (select value from json_each(?));"
    };
}

/// Or kept as shipped.
macro_rules! keep {
    () => {
        "insert or replace into shipped (at, seq) select ?, value from json_each(?);"
    };
}

/// A group to be written.
#[derive(Debug)]
pub(super) struct NewGroup {
    /// The place of its first receipt.
    pub(super) first: u64,
    /// Its receipts.
    pub(super) count: usize,
    /// Its arrivals, as [`group`] writes them.
    pub(super) body: Vec<u8>,
}

/// The connection, and how it is set.
pub(super) struct Tables {
    connection: SqliteConnection,
    lock: File,
    /// Whether a commit syncs as the connection is set now.
    syncs: bool,
    /// The digest of the mirrored directory's body, where it is known.
    mirrored: Option<Digest>,
}

impl Tables {
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            connection: opened.connection,
            lock: opened.lock,
            syncs: true,
            mirrored: None,
        }
    }

    /// Commits a group with a sync, or bookkeeping alone, which merely survives this process.
    /// `taken`: what is in work, as runs of places. What is done is deleted, or kept as shipped
    /// at `keep`.
    pub(super) async fn commit(
        &mut self,
        group: Option<NewGroup>,
        portion: &Portion,
        taken: &[(u64, u64)],
        keep: Option<Timestamp>,
    ) -> sqlx::Result<()> {
        self.syncing(group.is_some()).await?;
        let books = !portion.is_empty();
        let text = match (group.is_some(), books, keep) {
            (true, false, _) => concat!("begin immediate;", arrive!(), "commit"),
            (true, true, None) => {
                concat!("begin immediate;", arrive!(), note!(), delete!(), "commit")
            }
            (true, true, Some(_)) => {
                concat!("begin immediate;", arrive!(), note!(), keep!(), "commit")
            }
            (false, _, None) => concat!("begin immediate;", note!(), delete!(), "commit"),
            (false, _, Some(_)) => concat!("begin immediate;", note!(), keep!(), "commit"),
        };
        let mut query = sqlx::query(text);
        if let Some(group) = group {
            query = query
                .bind(stored(group.first))
                .bind(i64::try_from(group.count).unwrap_or(i64::MAX))
                .bind(group.body);
        }
        if books {
            query = query.bind(pairs(taken)).bind(lists(&portion.partly));
            if let Some(now) = keep {
                query = query.bind(now.as_millis());
            }
            query = query.bind(list(&portion.groups));
        }
        query.execute(&mut self.connection).await.map(drop)
    }

    /// Sets whether commits sync from now on.
    async fn syncing(&mut self, syncs: bool) -> sqlx::Result<()> {
        if self.syncs != syncs {
            let level = if syncs {
                "pragma synchronous = full"
            } else {
                "pragma synchronous = normal"
            };
            self.execute(level).await?;
            self.syncs = syncs;
        }
        Ok(())
    }

    /// Ends what may be open. `false`: nobody knows how it stands.
    pub(super) async fn roll_back(&mut self) -> bool {
        // SQLite may have rolled back by itself; then this fails, and the next line does not.
        self.execute("rollback").await.ok();
        self.execute("begin immediate; rollback").await.is_ok()
    }

    /// Deletes some of what has been kept since before `before`; how many groups. What was shipped
    /// late holds up what lies behind it, no longer than it is kept itself.
    pub(super) async fn expire(&mut self, before: Timestamp) -> sqlx::Result<u64> {
        self.syncing(false).await?;
        let deleted = sqlx::query(
            "delete from groups where seq in (
                 select seq from (select seq, at from shipped order by seq limit ?) where at < ?)",
        )
        .bind(EXPIRE)
        .bind(before.as_millis())
        .execute(&mut self.connection)
        .await?;
        Ok(deleted.rows_affected())
    }

    /// Gives back some of the pages that an outage of the store has left free, once they are many
    /// and more than are in use; whether there are more.
    pub(super) async fn shrink(&mut self) -> sqlx::Result<bool> {
        let pages = "select free.freelist_count, pages.page_count
                       from pragma_freelist_count free, pragma_page_count pages";
        let row = sqlx::query(pages).fetch_one(&mut self.connection).await?;
        let (free, pages): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if free < SHRINK || free < pages / 2 {
            return Ok(false);
        }
        self.syncing(false).await?;
        self.execute("pragma incremental_vacuum(1024)").await?;
        Ok(true)
    }

    /// Brings the log into the file, with a sync of each. Without it the log would grow for ever.
    pub(super) async fn checkpoint(&mut self) -> sqlx::Result<()> {
        self.execute("pragma wal_checkpoint(passive)").await
    }

    /// After a failed commit its frames may stand in the log, complete, behind the last good
    /// ones: a restart would take them for committed, though the doors have refused them. A
    /// following transaction is written over them and breaks their chain of checksums.
    pub(super) async fn overwrite_failed(&mut self) {
        if self.roll_back().await {
            self.execute("update meta set value = value + 1 where key = 'failed'")
                .await
                .ok();
        }
    }

    /// The next unshipped groups behind `after`, in order, and up to where that is all (`None`:
    /// the end).
    pub(super) async fn read(&mut self, after: u64) -> sqlx::Result<(Vec<Stored>, Option<u64>)> {
        let (last, complete) = self.measure(after).await?;
        let rows = sqlx::query(
            "select seq, receipts, body, done from groups left join partly using (seq)
              where seq > ? and seq <= ? and seq not in (select seq from shipped) order by seq",
        )
        .bind(stored(after))
        .bind(stored(last))
        .fetch_all(&mut self.connection)
        .await?;
        let mut groups = rows
            .iter()
            .map(read_group)
            .collect::<sqlx::Result<Vec<_>>>()?;
        self.count_deaths(&mut groups).await?;
        Ok((groups, (!complete).then_some(last)))
    }

    /// Up to where to read so that it is not too much; and whether that is the end.
    async fn measure(&mut self, after: u64) -> sqlx::Result<(u64, bool)> {
        let rows = sqlx::query(
            "select seq, length(body) from groups
              where seq > ? and seq not in (select seq from shipped) order by seq limit ?",
        )
        .bind(stored(after))
        .bind(READ)
        .fetch_all(&mut self.connection)
        .await?;
        let (mut last, mut bytes) = (after, 0_u64);
        for row in &rows {
            bytes = bytes.saturating_add(place(row.try_get(1)?));
            if bytes > READ_BYTES && last > after {
                return Ok((last, false));
            }
            last = place(row.try_get(0)?);
        }
        let complete = i64::try_from(rows.len()).unwrap_or(READ) < READ;
        Ok((last, complete))
    }

    /// Notes with each item how many processes died while they had it.
    async fn count_deaths(&mut self, groups: &mut [Stored]) -> sqlx::Result<()> {
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else {
            return Ok(());
        };
        let rows = sqlx::query("select seq, deaths from deaths where seq >= ? and seq <= ?")
            .bind(stored(first.first))
            .bind(stored(last.last()))
            .fetch_all(&mut self.connection)
            .await?;
        let mut deaths = BTreeMap::new();
        for row in &rows {
            let count = u32::try_from(place(row.try_get(1)?)).unwrap_or(u32::MAX);
            deaths.insert(place(row.try_get(0)?), count);
        }
        for item in groups.iter_mut().flat_map(|group| &mut group.items) {
            item.deaths = deaths.get(&item.seq).copied().unwrap_or(0);
        }
        Ok(())
    }

    /// Makes what is kept unshipped again; how many receipts.
    pub(super) async fn offer_again(&mut self) -> sqlx::Result<u64> {
        self.syncing(false).await?;
        self.execute("begin immediate").await?;
        let count =
            "select (select coalesce(sum(receipts), 0) from groups join shipped using (seq))
                          + (select coalesce(sum(json_array_length(done)), 0) from partly
                              where json_valid(done) and seq not in (select seq from shipped))";
        let offered: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut self.connection)
            .await?;
        self.execute("delete from shipped; delete from partly; commit")
            .await?;
        Ok(place(offered))
    }

    pub(super) async fn save_directory(&mut self, page: &Page) -> sqlx::Result<()> {
        let mut identity = page.root.expose().to_vec();
        identity.extend_from_slice(page.body.as_bytes());
        let identity = Digest::of(&identity);
        self.syncing(true).await?;
        self.execute("begin immediate").await?;
        if self.mirrored == Some(identity) {
            // Most changes of the feed leave the directory as it is.
            sqlx::query("update directory set seq = ?")
                .bind(stored(page.seq))
                .execute(&mut self.connection)
                .await?;
        } else {
            sqlx::query("insert or replace into directory (one, root, body, seq) values (1,?,?,?)")
                .bind(page.root.expose().to_vec())
                .bind(page.body.clone())
                .bind(stored(page.seq))
                .execute(&mut self.connection)
                .await?;
            self.execute("delete from directory_parts").await?;
        }
        self.execute("commit").await?;
        self.mirrored = Some(identity);
        Ok(())
    }

    /// What has changed of the directory that was mirrored whole before.
    pub(super) async fn save_parts(&mut self, parts: &Parts) -> sqlx::Result<()> {
        self.syncing(true).await?;
        self.execute("begin immediate").await?;
        for (tenant, body) in &parts.bodies {
            sqlx::query("insert or replace into directory_parts (tenant, body) values (?,?)")
                .bind(i64::from(*tenant))
                .bind(body.clone())
                .execute(&mut self.connection)
                .await?;
        }
        sqlx::query("update directory set seq = ?")
            .bind(stored(parts.seq))
            .execute(&mut self.connection)
            .await?;
        self.execute("commit").await?;
        if !parts.bodies.is_empty() {
            self.mirrored = None;
        }
        Ok(())
    }

    /// What has changed since the directory was mirrored whole, by tenant.
    async fn parts(&mut self) -> Result<Vec<(u32, String)>, JournalError> {
        let rows = sqlx::query("select tenant, body from directory_parts order by tenant")
            .fetch_all(&mut self.connection)
            .await
            .map_err(unusable)?;
        let part = |row: &SqliteRow| -> sqlx::Result<(u32, String)> {
            Ok((row.try_get(0)?, row.try_get(1)?))
        };
        rows.iter()
            .map(part)
            .collect::<Result<_, _>>()
            .map_err(unusable)
    }

    pub(super) async fn directory(&mut self) -> Result<Option<Page>, JournalError> {
        let parts = self.parts().await?;
        let row = sqlx::query("select root, body, seq from directory")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(unusable)?;
        let page = |row: &SqliteRow, parts| -> sqlx::Result<Option<Page>> {
            let root: Option<[u8; 32]> = row.try_get::<&[u8], _>(0)?.try_into().ok();
            let (body, seq) = (row.try_get(1)?, place(row.try_get(2)?));
            Ok(root.map(|root| Page {
                root: Secret::new(root),
                body,
                parts,
                seq,
            }))
        };
        let page = row.as_ref().map(|row| page(row, parts)).transpose();
        match page.map_err(unusable)? {
            None => Ok(None),
            Some(Some(page)) => Ok(Some(page)),
            Some(None) => Err(JournalError::Inconsistent(
                "a root secret of wrong length".into(),
            )),
        }
    }

    /// Closes the file, and tidies it if it can be trusted.
    pub(super) async fn close(mut self, trusted: bool) {
        let tidied = if trusted {
            self.tidy_up().await
        } else {
            Ok(())
        };
        let Self {
            connection, lock, ..
        } = self;
        if let Err(error) = tidied.and(connection.close().await) {
            tracing::warn!(%error, "journal could not be closed in order");
        }
        // Only now may another process have it.
        drop(lock);
    }

    /// Who has something in work now lets it go; nobody died.
    async fn tidy_up(&mut self) -> sqlx::Result<()> {
        self.execute("delete from taken").await?;
        self.execute("pragma wal_checkpoint(truncate)").await
    }

    async fn execute(&mut self, statement: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(statement)
            .execute(&mut self.connection)
            .await
            .map(drop)
    }
}

/// What is damaged, or of a newer version, is left in the file and not given out.
fn read_group(row: &SqliteRow) -> sqlx::Result<Stored> {
    let first = place(row.try_get(0)?);
    let count = place(row.try_get(1)?);
    let done: Option<&str> = row.try_get(3).ok().flatten();
    let mut stored = Stored {
        first,
        count: usize::try_from(count).unwrap_or(usize::MAX),
        // What cannot be read is offered again: the store knows what it has.
        done: done
            .and_then(|done| serde_json::from_str(done).ok())
            .unwrap_or_default(),
        items: Vec::new(),
    };
    let places = first..first.saturating_add(count);
    let mut unreadable = 0_u64;
    for part in group::parts(row.try_get(2)?) {
        match part {
            Ok(part) if places.contains(&part.first) && places.contains(&part.last()) => {
                stored.items.extend(items(part));
            }
            Ok(_) | Err(group::Unreadable) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::error!(
            seq = first,
            unreadable,
            "journal: damaged, or of a newer version: left in the file and not shipped"
        );
    }
    stored.items.retain(|item| !stored.done.contains(&item.seq));
    Ok(stored)
}

fn items(part: Part) -> impl Iterator<Item = Item> {
    let Part {
        first,
        receipts,
        raw,
    } = part;
    (first..)
        .zip(receipts)
        .map(move |(seq, receipt)| Item::new(seq, receipt, Arc::clone(&raw), seq == first))
}

/// `[[1,4],[6,6]]`
fn pairs(runs: &[(u64, u64)]) -> String {
    let runs: Vec<_> = runs
        .iter()
        .map(|(first, last)| format!("[{first},{last}]"))
        .collect();
    format!("[{}]", runs.join(","))
}

/// `[[1,"[1,2]"]]`
fn lists(partly: &BTreeMap<u64, Vec<u64>>) -> String {
    let lists: Vec<_> = partly
        .iter()
        .map(|(group, done)| format!("[{group},\"{}\"]", list(done)))
        .collect();
    format!("[{}]", lists.join(","))
}

/// `[1,2]`
fn list(places: &[u64]) -> String {
    let mut text = String::from("[");
    for (index, place) in places.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        write!(text, "{comma}{place}").ok();
    }
    text.push(']');
    text
}
