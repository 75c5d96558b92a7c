//! What is written to and read from the tables. Transactions are begun and ended here by plain
//! statements: a failed `COMMIT` must leave no doubt about whether one is still open.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::JournalError;
use super::file::{Opened, unusable};
use super::mirror::Page;
use super::queue::Item;
use super::sql::{Bound, Repeated, Row, place, stored};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::receipt::{Receipt, ReceiptId};
use crate::model::secret::Secret;

use super::books::Portion;

/// Receipts read back at a time.
const READ: i64 = 512;
/// Raw bytes read back at a time, beyond the first message.
const READ_BYTES: u64 = 8 << 20;
/// Kept receipts deleted in one transaction.
const EXPIRE: i64 = 512;
/// Free pages given back in one step, and how many there must be.
const SHRINK: i64 = 4_096;

/// A receipt to be inserted.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) seq: u64,
    pub(super) receipt: &'a Receipt,
    pub(super) envelope: &'a str,
}

impl Row for NewRow<'_> {
    fn bind<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        query
            .bind(stored(self.seq))
            .bind(self.receipt.id.as_bytes().to_vec())
            .bind(self.receipt.at.as_millis())
            .bind(self.receipt.door.as_str().to_owned())
            .bind(self.envelope.to_owned())
            .bind(self.receipt.digest.as_bytes().to_vec())
    }
}

/// Raw bytes to be inserted unless they are there.
#[derive(Debug)]
pub(super) struct RawRow<'a> {
    pub(super) digest: Digest,
    pub(super) bytes: &'a [u8],
}

impl Row for RawRow<'_> {
    fn bind<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        query
            .bind(self.digest.as_bytes().to_vec())
            .bind(self.bytes.to_vec())
    }
}

/// The connection and its prepared statements.
pub(super) struct Tables {
    connection: SqliteConnection,
    lock: File,
    statements: Statements,
    /// Whether a commit syncs as the connection is set now.
    syncs: bool,
    /// The digest of the mirrored directory's body, where it is known.
    mirrored: Option<Digest>,
}

struct Statements {
    insert_raw: Repeated,
    insert_receipts: Repeated,
    insert_taken: Repeated,
    delete_taken: Repeated,
    delete_receipts: Repeated,
    keep_receipts: Repeated,
    read_raw: Repeated,
}

impl Statements {
    fn new() -> Self {
        Self {
            insert_raw: Repeated::new(
                "insert into raw (sha256, bytes) values ",
                "(?,?)",
                " on conflict (sha256) do nothing",
            ),
            // `cross join` fixes the order: the few new ones look up the many old ones.
            insert_receipts: Repeated::new(
                "insert into receipts (seq, id, at, door, envelope, raw)
                 select new.column1, new.column2, new.column3, new.column4, new.column5, raw.id
                   from (values ",
                "(?,?,?,?,?,?)",
                ") as new cross join raw on raw.sha256 = new.column6",
            ),
            insert_taken: Repeated::new("insert or ignore into taken (seq) values ", "(?)", ""),
            delete_taken: Repeated::new("delete from taken where seq in (", "?", ")"),
            delete_receipts: Repeated::new("delete from receipts where seq in (", "?", ")"),
            keep_receipts: Repeated::new(
                "update receipts set shipped = ? where seq in (",
                "?",
                ")",
            ),
            read_raw: Repeated::new("select id, sha256, bytes from raw where id in (", "?", ")"),
        }
    }
}

impl Tables {
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            connection: opened.connection,
            lock: opened.lock,
            statements: Statements::new(),
            syncs: true,
            mirrored: None,
        }
    }

    /// Begins a transaction whose commit syncs, or one that merely survives this process.
    pub(super) async fn begin(&mut self, syncs: bool) -> sqlx::Result<()> {
        if self.syncs != syncs {
            let level = if syncs {
                "pragma synchronous = full"
            } else {
                "pragma synchronous = normal"
            };
            self.execute(level).await?;
            self.syncs = syncs;
        }
        self.execute("begin immediate").await
    }

    pub(super) async fn commit(&mut self) -> sqlx::Result<()> {
        self.execute("commit").await
    }

    /// Ends what may be open. `false`: nobody knows how it stands.
    pub(super) async fn roll_back(&mut self) -> bool {
        // SQLite may have rolled back by itself; then this fails, and the next line does not.
        self.execute("rollback").await.ok();
        self.execute("begin immediate; rollback").await.is_ok()
    }

    pub(super) async fn insert_raw(&mut self, rows: &[RawRow<'_>]) -> sqlx::Result<()> {
        self.statements
            .insert_raw
            .run(&mut self.connection, None, rows)
            .await?;
        Ok(())
    }

    /// Their raw bytes must be there: one that would be without is an error, for it would be
    /// acknowledged and not be there.
    pub(super) async fn insert_receipts(&mut self, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
        let inserted = self
            .statements
            .insert_receipts
            .run(&mut self.connection, None, rows)
            .await?;
        if usize::try_from(inserted) == Ok(rows.len()) {
            Ok(())
        } else {
            Err(sqlx::Error::RowNotFound)
        }
    }

    /// Writes bookkeeping. What is done is deleted, or kept since `keep`.
    pub(super) async fn keep_books(
        &mut self,
        portion: &Portion,
        keep: Option<Timestamp>,
    ) -> sqlx::Result<()> {
        let Self {
            connection,
            statements,
            ..
        } = self;
        // In this order: what was put back may be among the taken again.
        statements
            .delete_taken
            .run(connection, None, &portion.put_back)
            .await?;
        statements
            .insert_taken
            .run(connection, None, &portion.taken)
            .await?;
        statements
            .delete_taken
            .run(connection, None, &portion.done)
            .await?;
        match keep.map(Timestamp::as_millis) {
            None => {
                statements
                    .delete_receipts
                    .run(connection, None, &portion.done)
                    .await?;
            }
            now => {
                statements
                    .keep_receipts
                    .run(connection, now, &portion.done)
                    .await?;
            }
        }
        Ok(())
    }

    /// Deletes some of what has been kept since before `before`; how many.
    pub(super) async fn expire(&mut self, before: Timestamp) -> sqlx::Result<u64> {
        self.begin(false).await?;
        let deleted = sqlx::query(
            "delete from receipts where seq in (
                 select seq from receipts where shipped is not null and shipped < ?
                  order by shipped limit ?)",
        )
        .bind(before.as_millis())
        .bind(EXPIRE)
        .execute(&mut self.connection)
        .await?;
        self.commit().await?;
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
        self.begin(false).await?;
        self.execute("pragma incremental_vacuum(4096)").await?;
        self.commit().await?;
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

    /// The next unshipped behind `after`, in order, and up to where that is all (`None`: the end).
    pub(super) async fn read(&mut self, after: u64) -> sqlx::Result<(Vec<Item>, Option<u64>)> {
        let (last, complete) = self.measure(after).await?;
        let rows = sqlx::query(
            "select seq, id, at, door, envelope, deaths, raw from receipts
              where seq > ? and seq <= ? and shipped is null order by seq",
        )
        .bind(stored(after))
        .bind(stored(last))
        .fetch_all(&mut self.connection)
        .await?;
        let mut keys: Vec<i64> = rows
            .iter()
            .map(|row| row.try_get("raw"))
            .collect::<Result<_, _>>()?;
        keys.sort_unstable();
        keys.dedup();
        let mut raws: HashMap<i64, Raw> = HashMap::with_capacity(keys.len());
        for row in self
            .statements
            .read_raw
            .fetch(&mut self.connection, &keys)
            .await?
        {
            let bytes: Arc<[u8]> = row.try_get::<&[u8], _>("bytes")?.into();
            raws.insert(
                row.try_get("id")?,
                Raw {
                    digest: digest(&row)?,
                    bytes,
                    counted: false,
                },
            );
        }
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let raw = raws.get_mut(&row.try_get::<i64, _>("raw")?);
            match raw.and_then(|raw| item(row, raw)) {
                Some(item) => items.push(item),
                None => tracing::error!(
                    seq = row.try_get::<i64, _>("seq")?,
                    "journal row is damaged: it is left in the file and not shipped"
                ),
            }
        }
        Ok((items, (!complete).then_some(last)))
    }

    /// Up to where to read so that it is not too much; and whether that is the end.
    async fn measure(&mut self, after: u64) -> sqlx::Result<(u64, bool)> {
        let rows = sqlx::query(
            "select receipts.seq, receipts.raw, length(raw.bytes)
               from receipts join raw on raw.id = receipts.raw
              where receipts.seq > ? and receipts.shipped is null
              order by receipts.seq limit ?",
        )
        .bind(stored(after))
        .bind(READ)
        .fetch_all(&mut self.connection)
        .await?;
        let (mut last, mut bytes, mut previous) = (after, 0_u64, None);
        for row in &rows {
            let raw: i64 = row.try_get(1)?;
            if previous != Some(raw) {
                bytes = bytes.saturating_add(place(row.try_get(2)?));
                if bytes > READ_BYTES && previous.is_some() {
                    return Ok((last, false));
                }
                previous = Some(raw);
            }
            last = place(row.try_get(0)?);
        }
        let complete = i64::try_from(rows.len()).unwrap_or(READ) < READ;
        Ok((last, complete))
    }

    /// Makes what is kept unshipped again; how many.
    pub(super) async fn offer_again(&mut self) -> sqlx::Result<u64> {
        self.begin(false).await?;
        let offered = sqlx::query("update receipts set shipped = null where shipped is not null")
            .execute(&mut self.connection)
            .await?;
        self.commit().await?;
        Ok(offered.rows_affected())
    }

    pub(super) async fn save_directory(&mut self, page: &Page) -> sqlx::Result<()> {
        let mut identity = page.root.expose().to_vec();
        identity.extend_from_slice(page.body.as_bytes());
        let identity = Digest::of(&identity);
        self.begin(true).await?;
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
        }
        self.commit().await?;
        self.mirrored = Some(identity);
        Ok(())
    }

    pub(super) async fn directory(&mut self) -> Result<Option<Page>, JournalError> {
        let row = sqlx::query("select root, body, seq from directory")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(unusable)?;
        let page = |row: &SqliteRow| -> sqlx::Result<Option<Page>> {
            let root: Option<[u8; 32]> = row.try_get::<&[u8], _>(0)?.try_into().ok();
            let (body, seq) = (row.try_get(1)?, place(row.try_get(2)?));
            Ok(root.map(|root| Page {
                root: Secret::new(root),
                body,
                seq,
            }))
        };
        match row.as_ref().map(page).transpose().map_err(unusable)? {
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

struct Raw {
    digest: Digest,
    bytes: Arc<[u8]>,
    /// Whether an item before is counted with these bytes.
    counted: bool,
}

fn digest(row: &SqliteRow) -> sqlx::Result<Digest> {
    let bytes: Option<[u8; 32]> = row.try_get::<&[u8], _>("sha256")?.try_into().ok();
    bytes
        .map(Digest::from_bytes)
        .ok_or_else(|| sqlx::Error::Decode("length of a digest".into()))
}

/// `None` for what this version cannot read.
fn item(row: &SqliteRow, raw: &mut Raw) -> Option<Item> {
    let id: [u8; 16] = row.try_get::<&[u8], _>("id").ok()?.try_into().ok()?;
    let receipt = Receipt {
        id: ReceiptId::from_bytes(id),
        at: Timestamp::from_millis(row.try_get("at").ok()?),
        door: row.try_get::<&str, _>("door").ok()?.parse().ok()?,
        envelope: serde_json::from_str(row.try_get("envelope").ok()?).ok()?,
        digest: raw.digest,
    };
    let deaths = u32::try_from(row.try_get::<i64, _>("deaths").ok()?).ok()?;
    let first = !std::mem::replace(&mut raw.counted, true);
    let seq = place(row.try_get("seq").ok()?);
    Some(Item::new(seq, receipt, Arc::clone(&raw.bytes), first).after_deaths(deaths))
}
