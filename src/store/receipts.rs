//! Receipts as they are read, with their events and raw bytes.

use std::str::FromStr as _;

use super::Store;
use super::events::{COLUMNS as EVENT_COLUMNS, DOOR, StoredEvent};
use super::failure::{Failure, StoreError};
use super::paging::{Page, Paging, foreign_cursor};
use super::pool::{Conn, read, write};
use super::record::indexable;
use super::sql::{Conditions, Row, Value, execute, fetch, fetch_one, month, values};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::receipt::{Receipt, ReceiptId, ReceiptState};
use crate::model::tenant::TenantId;

/// A receipt as stored.
#[derive(Debug, Clone)]
pub struct StoredReceipt {
    /// What came in.
    pub receipt: Receipt,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// What has become of it.
    pub state: ReceiptState,
    /// Length of the raw bytes.
    pub size: u64,
}

/// Which receipts to list.
#[derive(Debug, Clone, Default)]
pub struct ReceiptFilter {
    /// Only those of this mailbox (its address, or its local part).
    pub mailbox: Option<String>,
    /// Only those in this state.
    pub state: Option<ReceiptState>,
}

/// Those that lie before a time in the table and were not stored anew since.
pub(super) const FORGET_RAW: &str = "delete from raw where (at, sha256) in
    (select at, sha256 from raw where at < $1 and created < $1 order by at, sha256 limit 1000)";
pub(super) const COLUMNS: &str = "id, at, tenant, door, state, sha256, size, envelope";

impl StoredReceipt {
    pub(super) fn of(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            receipt: Receipt {
                id: ReceiptId::from_bytes(row.array("id")?),
                at: row.time("at")?,
                door: row.word("door")?,
                envelope: row.json("envelope")?,
                digest: Digest::from_bytes(row.array("sha256")?),
            },
            tenant: row.opt_tenant("tenant")?,
            state: row.word("state")?,
            size: row.number("size")?,
        })
    }
}

impl Store {
    /// Receipts, the newest first.
    pub async fn receipts(
        &self,
        tenant: Option<TenantId>,
        filter: &ReceiptFilter,
        paging: &Paging,
    ) -> Result<Page<StoredReceipt>, StoreError> {
        let (sql, values) = listing(tenant, filter, paging)?;
        let rows = read!(self.pool, |conn| fetch(conn, "receipts", sql, values).await)?;
        let items = rows
            .iter()
            .map(StoredReceipt::of)
            .collect::<Result<_, _>>()?;
        Ok(paging.page(items, |item: &StoredReceipt| [item.receipt.id.to_string()]))
    }

    /// One receipt and its events.
    pub async fn receipt(
        &self,
        id: ReceiptId,
    ) -> Result<Option<(StoredReceipt, Vec<StoredEvent>)>, StoreError> {
        read!(self.pool, |conn| {
            match one(conn, id).await? {
                Some(receipt) => Ok(Some((receipt, events_of(conn, id).await?))),
                None => Ok::<_, Failure>(None),
            }
        })
    }

    /// The raw bytes of a receipt, if they are still kept.
    pub async fn raw(&self, id: ReceiptId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "select raw.bytes from receipts join raw
                   on raw.at = receipts.at and raw.sha256 = receipts.sha256
                   where receipts.month = $1 and receipts.id = $2";
        let row = read!(self.pool, |conn| fetch_one(
            conn,
            "raw",
            sql,
            values![month(id), id]
        )
        .await)?;
        Ok(row.map(|row| row.bytes("bytes")).transpose()?)
    }

    /// Forgets raw bytes that were accepted before `before` and that no receipt has brought since,
    /// of at most 1,000 messages in one call; returns of how many. Call again until it is 0. Receipts, events and evidence stay.
    pub async fn forget_raw_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        write!(self.pool, |conn| execute(conn, FORGET_RAW, values![before])
            .await)
    }
}

/// The statement that lists receipts.
pub(super) fn listing(
    tenant: Option<TenantId>,
    filter: &ReceiptFilter,
    paging: &Paging,
) -> Result<(String, Vec<Value>), StoreError> {
    let mut those = Conditions::behind(values![paging.rows()]);
    if let Some(tenant) = tenant {
        those.equal("tenant", tenant);
    }
    if let Some(mailbox) = &filter.mailbox {
        let mailbox = indexable(mailbox);
        // The index is by local part: it serves both forms.
        let local_part = mailbox.rsplit_once('@').map_or(mailbox, |(local, _)| local);
        those.equal("local_part", local_part);
        if mailbox.contains('@') {
            those.equal("mailbox", mailbox);
        }
    }
    if let Some(state) = filter.state {
        those.equal("state", state.as_str());
        if state != ReceiptState::Done {
            // The index has only what is not done, and is used only if that is said.
            those.plain("state <> 'done'");
        }
    }
    if let Some([id]) = paging.cursor()? {
        let id = ReceiptId::from_str(&id).map_err(|_no_id| foreign_cursor())?;
        those.beyond("(month, id) <", values![month(id), id]);
    }
    let sql = format!(
        "select {COLUMNS} from receipts {} order by month desc, id desc limit $1",
        those.to_where()
    );
    Ok((sql, those.values))
}

/// One receipt.
pub(super) async fn one(
    conn: &mut Conn<'_>,
    id: ReceiptId,
) -> Result<Option<StoredReceipt>, Failure> {
    let sql = format!("select {COLUMNS} from receipts where month = $1 and id = $2");
    let row = fetch_one(conn, "receipts", sql, values![month(id), id]).await?;
    row.as_ref().map(StoredReceipt::of).transpose()
}

async fn events_of(conn: &mut Conn<'_>, id: ReceiptId) -> Result<Vec<StoredEvent>, Failure> {
    let sql = format!(
        "select {EVENT_COLUMNS}, {DOOR}
         from events e where e.month = $1 and e.receipt = $2 order by e.idx"
    );
    let rows = fetch(conn, "events", sql, values![month(id), id]).await?;
    rows.iter().map(StoredEvent::of).collect()
}
