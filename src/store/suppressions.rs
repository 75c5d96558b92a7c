//! Suppressions as they are read: standing and lifted.

use std::str::FromStr as _;

use super::Store;
use super::failure::{Failure, StoreError};
use super::feed::{NewChange, key_of};
use super::paging::{Page, Paging, foreign_cursor};
use super::pool::{Conn, read};
use super::sql::{Conditions, Row, Value, fetch, values};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::event::EventId;
use crate::model::receipt::ReceiptId;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{ChangeOp, Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// A suppression as stored, standing or lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSuppression {
    /// What identifies it.
    pub key: SuppressionKey,
    /// The address, where one is known and kept.
    pub address: Option<String>,
    /// Since when it stands or stood.
    pub since: Timestamp,
    /// The event that began it; `None` if an operator did.
    pub event: Option<EventId>,
    /// For ever kept extract: time, door, reporter, authentication, rule, SHA-256 of the raw bytes.
    pub evidence: serde_json::Value,
    /// What the operator noted.
    pub note: Option<String>,
    /// Of a bounce: why the mail was not delivered.
    pub class: Option<BounceClass>,
    /// Of a bounce: the organisational domain of whoever refused it.
    pub provider: Option<String>,
    /// When its address was erased.
    pub erased: Option<Timestamp>,
    /// When it was lifted, and why; `None` while it stands.
    pub lifted: Option<(Timestamp, String)>,
}

/// What [`StoredSuppression::standing`] reads.
pub(super) const COLUMNS: &str = "tenant, recipient, scope, reason, address, since, event_receipt, event_idx, evidence, note, \
     class, provider, erased";

impl StoredSuppression {
    /// Reads a row of the table `suppressions`.
    pub(super) fn standing(row: &Row) -> Result<Self, Failure> {
        let event = match row.opt_array("event_receipt")? {
            Some(receipt) => Some(EventId {
                receipt: ReceiptId::from_bytes(receipt),
                index: row.number("event_idx")?,
            }),
            None => None,
        };
        Ok(Self {
            key: key_of(row)?,
            address: row.opt_text("address")?,
            since: row.time("since")?,
            event,
            evidence: row.json("evidence")?,
            note: row.opt_text("note")?,
            class: row.opt_word("class")?,
            provider: row.opt_text("provider")?,
            erased: row.opt_int("erased")?.map(Timestamp::from_millis),
            lifted: None,
        })
    }

    /// Its end, as the feed tells it.
    pub(super) fn ended(&self, now: Timestamp) -> NewChange {
        NewChange {
            op: ChangeOp::Lift,
            key: self.key,
            address: self.address.clone(),
            at: now,
        }
    }

    /// Reads a row of the table `history`.
    fn lifted(row: &Row) -> Result<Self, Failure> {
        let lifted = Some((row.time("lifted")?, row.text("lift_note")?));
        Ok(Self {
            lifted,
            ..Self::standing(row)?
        })
    }
}

impl Store {
    /// All suppressions of one recipient, standing first, then lifted, the newest first.
    pub async fn suppressions_of(
        &self,
        tenant: TenantId,
        recipients: &[RecipientKey],
    ) -> Result<Vec<StoredSuppression>, StoreError> {
        if recipients.is_empty() {
            return Ok(Vec::new());
        }
        read!(self.pool, |conn| all_of(conn, tenant, recipients).await)
    }

    /// Standing suppressions of a tenant in a stable order.
    pub async fn suppressions(
        &self,
        tenant: TenantId,
        scope: Option<Scope>,
        reason: Option<Reason>,
        paging: &Paging,
    ) -> Result<Page<StoredSuppression>, StoreError> {
        let mut those = Conditions::behind(values![paging.rows()]);
        those.equal("tenant", tenant);
        if let Some(scope) = scope {
            those.equal("scope", scope.to_string().as_str());
        }
        if let Some(reason) = reason {
            those.equal("reason", reason.as_str());
        }
        if let Some([recipient, scope, reason]) = paging.cursor()? {
            let recipient =
                RecipientKey::from_str(&recipient).map_err(|_no_key| foreign_cursor())?;
            let place = values![recipient, scope.as_str(), reason.as_str()];
            those.beyond("(recipient, scope, reason) >", place);
        }
        let sql = format!(
            "select {COLUMNS} from suppressions {}
             order by tenant, recipient, scope, reason limit $1",
            those.to_where()
        );
        let rows = read!(self.pool, |conn| fetch(
            conn,
            "suppressions",
            sql,
            those.values
        )
        .await)?;
        let items = rows
            .iter()
            .map(StoredSuppression::standing)
            .collect::<Result<_, _>>()?;
        Ok(paging.page(items, |item: &StoredSuppression| {
            [
                item.key.recipient.to_string(),
                item.key.scope.to_string(),
                item.key.reason.to_string(),
            ]
        }))
    }
}

async fn all_of(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    recipients: &[RecipientKey],
) -> Result<Vec<StoredSuppression>, Failure> {
    let mut those = Conditions::behind(vec![]);
    those.equal("tenant", tenant);
    those.within("recipient", recipients.iter().map(|key| Value::from(*key)));
    let those_of = those.to_where();
    let standing =
        format!("select {COLUMNS} from suppressions {those_of} order by since desc, scope, reason");
    let lifted =
        format!("select {COLUMNS}, lifted, lift_note from history {those_of} order by seq desc");
    let standing = fetch(conn, "suppressions", standing, those.values.clone()).await?;
    let lifted = fetch(conn, "history", lifted, those.values).await?;
    standing
        .iter()
        .map(StoredSuppression::standing)
        .chain(lifted.iter().map(StoredSuppression::lifted))
        .collect()
}
