//! Operators begin and end suppressions.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::Store;
use super::failure::{Failure, StoreError};
use super::feed::{self, NewChange};
use super::pool::{Conn, write};
use super::sql::{Conditions, ManyRows, Value, fetch, fetch_many, values};
use super::standing::{self, Because, Begin};
use super::suppressions::{COLUMNS, StoredSuppression};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::event::{EventId, Proof};
use crate::model::receipt::Door;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// A suppression to be added by hand or import.
#[derive(Debug, Clone)]
pub struct NewSuppression {
    /// What it is.
    pub key: SuppressionKey,
    /// The address, if it may be kept.
    pub address: Option<String>,
    /// Why, in words.
    pub note: String,
}

/// Which suppressions a lift ends.
#[derive(Debug, Clone)]
pub struct Lift {
    /// Whom it is about, under every address-key generation.
    pub recipients: Vec<RecipientKey>,
    /// Only this scope; `None`: every scope.
    pub scope: Option<Scope>,
    /// Only this reason; `None`: every reason.
    pub reason: Option<Reason>,
}

/// Recipients by which one statement ends suppressions.
const RECIPIENTS: usize = 256;

impl Store {
    /// Adds suppressions; `true` for each that is new.
    pub async fn suppress(
        &self,
        new: &[NewSuppression],
        now: Timestamp,
    ) -> Result<(Vec<bool>, Option<u64>), StoreError> {
        for new in new {
            new.check()?;
        }
        let (mut begun, seq) = write!(self.pool, |conn| {
            let wanted = new.iter().map(|new| new.begin(now)).collect();
            begin(conn, wanted, self.addresses, now).await
        })?;
        // Of equal ones the first is new.
        let is_new = new.iter().map(|new| begun.remove(&new.key)).collect();
        Ok((is_new, seq))
    }

    /// Ends standing suppressions; for each item those that it ended. What several items name
    /// counts for one of them. A note is required.
    pub async fn lift(
        &self,
        tenant: TenantId,
        items: &[Lift],
        note: &str,
        now: Timestamp,
    ) -> Result<(Vec<Vec<SuppressionKey>>, Option<u64>), StoreError> {
        let note = note.trim();
        if note.is_empty() {
            return Err(no_note());
        }
        write!(self.pool, |conn| end(conn, tenant, items, note, now).await)
    }
}

pub(super) fn no_note() -> StoreError {
    StoreError::Refused("a lift needs a note that says why".to_owned())
}

impl NewSuppression {
    /// Refuses what has no meaning.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.key.scope == Scope::Stream(0) {
            return Err(StoreError::Refused("no stream has number 0".to_owned()));
        }
        Ok(())
    }

    fn begin(&self, now: Timestamp) -> Begin {
        Begin {
            key: self.key,
            address: self.address.clone(),
            event: None,
            evidence: json!({"at": now, "door": Door::Api, "proof": Proof::Operator}).to_string(),
            note: Some(self.note.clone()).filter(|note| !note.is_empty()),
            because: Because::default(),
        }
    }
}

/// Begins suppressions and publishes them: their keys and the feed's head.
pub(super) async fn begin(
    conn: &mut Conn<'_>,
    wanted: Vec<Begin>,
    addresses: super::Addresses,
    now: Timestamp,
) -> Result<(HashSet<SuppressionKey>, Option<u64>), Failure> {
    let changes = standing::begin(conn, wanted, addresses, now).await?;
    let seq = publish(conn, &changes).await?.map(|(_, last)| last);
    Ok((changes.iter().map(|change| change.key).collect(), seq))
}

/// Publishes changes: the first and the last of their places, if there are any.
async fn publish(
    conn: &mut Conn<'_>,
    changes: &[NewChange],
) -> Result<Option<(u64, u64)>, Failure> {
    if changes.is_empty() {
        return Ok(None);
    }
    let first = feed::advance(conn, changes.len()).await?;
    feed::publish(conn, changes, first).await?;
    Ok(Some((
        first,
        first + u64::try_from(changes.len()).unwrap_or_default() - 1,
    )))
}

type Ended = (Vec<Vec<SuppressionKey>>, Option<u64>);

async fn end(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    items: &[Lift],
    note: &str,
    now: Timestamp,
) -> Result<Ended, Failure> {
    let mut by_filter: BTreeMap<_, BTreeMap<RecipientKey, usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let group = by_filter.entry((item.scope, item.reason)).or_default();
        for recipient in &item.recipients {
            group.entry(*recipient).or_insert(index);
        }
    }
    let mut answers = vec![Vec::new(); items.len()];
    let mut ended = Vec::new();
    for ((scope, reason), group) in by_filter {
        let recipients: Vec<RecipientKey> = group.keys().copied().collect();
        for recipients in recipients.chunks(RECIPIENTS) {
            for stood in remove(conn, tenant, recipients, (scope, reason)).await? {
                let item = group.get(&stood.key.recipient);
                if let Some(answer) = item.and_then(|index| answers.get_mut(*index)) {
                    answer.push(stood.key);
                }
                ended.push(stood);
            }
        }
    }
    ended.sort_by_key(|stood| stood.key);
    let changes: Vec<NewChange> = ended.iter().map(|stood| stood.ended(now)).collect();
    let Some((first, last)) = publish(conn, &changes).await? else {
        return Ok((answers, None));
    };
    remember(conn, ended, first, (now, note)).await?;
    Ok((answers, Some(last)))
}

async fn remove(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    recipients: &[RecipientKey],
    (scope, reason): (Option<Scope>, Option<Reason>),
) -> Result<Vec<StoredSuppression>, Failure> {
    let mut those = Conditions::behind(vec![]);
    those.equal("tenant", tenant);
    if let Some(scope) = scope {
        those.equal("scope", scope.to_string().as_str());
    }
    if let Some(reason) = reason {
        those.equal("reason", reason.as_str());
    }
    those.within("recipient", recipients.iter().map(|key| Value::from(*key)));
    let filter = those.to_where();
    let sql = match conn {
        // A delete locks rows in the order in which it meets them: two of them, or one and an
        // insert, could wait for each other. So they are locked in the order of their keys first,
        // in the same statement: what is inserted meanwhile is not seen, and not waited for.
        Conn::Postgres(_) => {
            let columns: Vec<String> = COLUMNS
                .split(',')
                .map(|column| format!("s.{}", column.trim()))
                .collect();
            format!(
                "with locked as materialized (
                     select tenant, recipient, scope, reason from suppressions {filter}
                     order by recipient, scope, reason for update)
                 delete from suppressions s using locked l
                  where (s.tenant, s.recipient, s.scope, s.reason)
                      = (l.tenant, l.recipient, l.scope, l.reason)
                 returning {}",
                columns.join(", ")
            )
        }
        // One writer, and no locks of rows.
        Conn::Sqlite(_) => format!("delete from suppressions {filter} returning {COLUMNS}"),
    };
    let rows = fetch(conn, "suppressions", sql, those.values).await?;
    rows.iter().map(StoredSuppression::standing).collect()
}

/// Ends those suppressions that these very events have begun. The history is the caller's.
pub(super) async fn remove_begun(
    conn: &mut Conn<'_>,
    begun: &[(SuppressionKey, EventId)],
) -> Result<Vec<StoredSuppression>, Failure> {
    let rows = begun.iter().map(|(key, event)| {
        values![
            key.tenant,
            key.recipient,
            key.scope.to_string().as_str(),
            key.reason.as_str(),
            event.receipt,
            event.index,
        ]
    });
    let statement = ManyRows {
        table: "suppressions",
        head: "delete from suppressions where (tenant, recipient, scope, reason) in (
               select s.tenant, s.recipient, s.scope, s.reason from (",
        tail: ") k join suppressions s on s.tenant = k.column1 and s.recipient = k.column2
               and s.scope = k.column3 and s.reason = k.column4
               and s.event_receipt = k.column5 and s.event_idx = k.column6)
               returning tenant, recipient, scope, reason, address, since, event_receipt,
                   event_idx, evidence, note, class, provider, erased",
    };
    let rows = fetch_many(conn, statement, rows.collect()).await?;
    let mut ended: Vec<StoredSuppression> = rows
        .iter()
        .map(StoredSuppression::standing)
        .collect::<Result<_, _>>()?;
    ended.sort_by_key(|stood| stood.key);
    Ok(ended)
}

/// Writes into the history what has ended.
pub(super) async fn remember(
    conn: &mut Conn<'_>,
    ended: Vec<StoredSuppression>,
    first: u64,
    (now, note): (Timestamp, &str),
) -> Result<(), Failure> {
    let row = |(stood, seq): (StoredSuppression, u64)| {
        let mut row = values![
            stood.key.tenant,
            stood.key.recipient,
            seq,
            stood.key.scope.to_string().as_str(),
            stood.key.reason.as_str(),
            stood.address.as_deref(),
            stood.since,
            stood.event.map(|event| event.receipt),
            stood.event.map(|event| event.index),
        ];
        row.push(Value::json(&stood.evidence)?);
        row.extend(values![
            stood.note.as_deref(),
            now,
            note,
            stood.class.map(BounceClass::as_str),
            stood.provider.as_deref(),
            stood.erased,
        ]);
        Ok(row)
    };
    let rows = ended
        .into_iter()
        .zip(first..)
        .map(row)
        .collect::<Result<_, Failure>>()?;
    let statement = ManyRows {
        table: "history",
        head: "insert into history (tenant, recipient, seq, scope, reason, address, since, \
               event_receipt, event_idx, evidence, note, lifted, lift_note, class, provider, \
               erased)",
        tail: "",
    };
    fetch_many(conn, statement, rows).await?;
    Ok(())
}
