//! What stands: suppressions begin, and addresses are filled in.

use std::collections::{BTreeMap, HashSet};

use super::failure::{Failure, StoreError};
use super::feed::{NewChange, key_of};
use super::pool::{Conn, read, write};
use super::sql::{Conditions, ManyRows, Value, fetch, fetch_many, values};
use super::{Addresses, Store};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::event::{Event, EventId};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::ChangeOp;
use crate::model::suppression::SuppressionKey;
use crate::model::tenant::TenantId;

/// A suppression that is to begin, if it does not stand already.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) key: SuppressionKey,
    pub(super) address: Option<String>,
    pub(super) event: Option<EventId>,
    /// JSON.
    pub(super) evidence: String,
    pub(super) note: Option<String>,
    pub(super) because: Because,
}

/// What is kept of a bounce so that suppressions can be found by it.
#[derive(Debug, Clone, Default)]
pub(super) struct Because {
    class: Option<BounceClass>,
    provider: Option<String>,
}

impl Because {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            class: event.detail.class,
            provider: event.detail.provider.clone(),
        }
    }
}

/// Begins suppressions, of several with one key the first; returns the changes of those that did
/// not stand. It is `now` that they begin: a lift before it does not end them.
pub(super) async fn begin(
    conn: &mut Conn<'_>,
    mut wanted: Vec<Begin>,
    addresses: Addresses,
    now: Timestamp,
) -> Result<Vec<NewChange>, Failure> {
    wanted.sort_by_key(|begin| begin.key);
    wanted.dedup_by_key(|begin| begin.key);
    let begun = insert(conn, &wanted, addresses, now).await?;
    if addresses == Addresses::Keep {
        let known = wanted
            .iter()
            .filter(|begin| !begun.contains(&begin.key))
            .filter_map(|begin| {
                Some((
                    (begin.key.tenant, begin.key.recipient),
                    begin.address.as_deref()?,
                ))
            });
        fill(conn, known.collect()).await?;
    }
    Ok(wanted
        .into_iter()
        .filter(|begin| begun.contains(&begin.key))
        .map(|begin| NewChange {
            op: ChangeOp::Suppress,
            key: begin.key,
            address: begin.address.filter(|_| addresses == Addresses::Keep),
            at: now,
        })
        .collect())
}

/// Inserts those that do not stand; returns their keys.
async fn insert(
    conn: &mut Conn<'_>,
    wanted: &[Begin],
    addresses: Addresses,
    now: Timestamp,
) -> Result<HashSet<SuppressionKey>, Failure> {
    let mut new: Vec<&Begin> = wanted.iter().collect();
    let mut tail = "on conflict (tenant, recipient, scope, reason) do nothing \
                    returning tenant, recipient, scope, reason";
    if let Conn::Sqlite(_) = conn {
        // As with receipts: asking costs less than being told.
        let standing = standing(conn, wanted).await?;
        new.retain(|begin| !standing.contains(&begin.key));
        tail = "";
    }
    let rows = new.iter().map(|begin| row(begin, addresses, now)).collect();
    let statement = ManyRows {
        table: "suppressions",
        head: "insert into suppressions (tenant, recipient, scope, reason, address, since, \
               event_receipt, event_idx, evidence, note, class, provider)",
        tail,
    };
    let returned = fetch_many(conn, statement, rows).await?;
    if let Conn::Sqlite(_) = conn {
        return Ok(new.iter().map(|begin| begin.key).collect());
    }
    returned.iter().map(key_of).collect()
}

/// Those of the wanted that stand.
async fn standing(
    conn: &mut Conn<'_>,
    wanted: &[Begin],
) -> Result<HashSet<SuppressionKey>, Failure> {
    let keys = wanted.iter().map(|Begin { key, .. }| {
        values![
            key.tenant,
            key.recipient,
            key.scope.to_string().as_str(),
            key.reason.as_str(),
        ]
    });
    let statement = ManyRows {
        table: "suppressions",
        head: "select s.tenant, s.recipient, s.scope, s.reason from (",
        tail: ") k cross join suppressions s on s.tenant = k.column1 \
               and s.recipient = k.column2 and s.scope = k.column3 and s.reason = k.column4",
    };
    let found = fetch_many(conn, statement, keys.collect()).await?;
    found.iter().map(key_of).collect()
}

fn row(begin: &Begin, addresses: Addresses, now: Timestamp) -> Vec<Value> {
    let key = begin.key;
    values![
        key.tenant,
        key.recipient,
        key.scope.to_string().as_str(),
        key.reason.as_str(),
        addresses.kept(begin.address.as_deref()),
        now,
        begin.event.map(|event| event.receipt),
        begin.event.map(|event| event.index),
        begin.evidence.as_str(),
        begin.note.as_deref(),
        begin.because.class.map(BounceClass::as_str),
        begin.because.provider.as_deref(),
    ]
}

/// Fills in the address of what stands without one. What was erased stays so.
async fn fill(
    conn: &mut Conn<'_>,
    known: BTreeMap<(TenantId, RecipientKey), &str>,
) -> Result<(), Failure> {
    let rows = known
        .into_iter()
        .map(|((tenant, recipient), address)| values![tenant, recipient, address])
        .collect();
    let statement = ManyRows {
        table: "suppressions",
        head: "update suppressions set address = known.column3 from (",
        tail: ") as known where suppressions.tenant = known.column1 \
               and suppressions.recipient = known.column2 and suppressions.address is null \
               and suppressions.erased is null",
    };
    fetch_many(conn, statement, rows).await?;
    Ok(())
}

impl Store {
    /// Fills in the address of standing suppressions that have none, where addresses are kept.
    pub async fn fill_addresses(
        &self,
        tenant: TenantId,
        known: &[(RecipientKey, String)],
    ) -> Result<(), StoreError> {
        if self.addresses == Addresses::Forget {
            return Ok(());
        }
        let mut wanted: BTreeMap<_, _> = known
            .iter()
            .map(|(key, address)| ((tenant, *key), address.as_str()))
            .collect();
        // Most of those who are written to are not suppressed: asking first spares them a write.
        let keys: Vec<RecipientKey> = wanted.keys().map(|(_, key)| *key).collect();
        let without = read!(self.pool, |conn| without_address(conn, tenant, &keys).await)?;
        wanted.retain(|(_, key), _| without.contains(key));
        if wanted.is_empty() {
            return Ok(());
        }
        write!(self.pool, |conn| fill(conn, wanted.clone()).await)
    }
}

async fn without_address(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    keys: &[RecipientKey],
) -> Result<HashSet<RecipientKey>, Failure> {
    let mut found = HashSet::new();
    for keys in keys.chunks(1024) {
        let mut those = Conditions::behind(vec![]);
        those.equal("tenant", tenant);
        those.plain("address is null and erased is null");
        those.within("recipient", keys.iter().map(|key| Value::from(*key)));
        let sql = format!("select recipient from suppressions {}", those.to_where());
        for row in fetch(conn, "suppressions", sql, those.values).await? {
            found.insert(RecipientKey::from_bytes(row.array("recipient")?));
        }
    }
    Ok(found)
}
