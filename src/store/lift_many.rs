//! Suppressions that end together: those that a filter finds.

use super::Store;
use super::failure::{Failure, StoreError};
use super::feed::{self, NewChange};
use super::lift;
use super::pool::{Conn, write};
use super::sql::{Conditions, fetch, values};
use super::suppressions::{COLUMNS, StoredSuppression};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::suppression::{Reason, Scope};
use crate::model::tenant::TenantId;

/// Suppressions that one call ends at most.
const TOGETHER: u32 = 500;

/// Which suppressions end.
#[derive(Debug, Clone)]
pub struct LiftFilter {
    /// Why they stand.
    pub reason: Reason,
    /// Only this scope.
    pub scope: Option<Scope>,
    /// Only bounces of this class.
    pub class: Option<BounceClass>,
    /// Only bounces of this provider (its organisational domain).
    pub provider: Option<String>,
    /// Only those that stand since then or later.
    pub since: Option<Timestamp>,
    /// Only those that stand since before then.
    pub until: Option<Timestamp>,
}

/// What one call has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiftedMany {
    /// How many; 0 if none is left.
    pub lifted: u64,
    /// The feed's head after it, if it changed anything.
    pub seq: Option<u64>,
}

impl Store {
    /// Ends at most 500 of the suppressions that a filter finds, the oldest first. Call again until
    /// it is 0. A note is required.
    pub async fn lift_many(
        &self,
        tenant: TenantId,
        filter: &LiftFilter,
        note: &str,
        now: Timestamp,
    ) -> Result<LiftedMany, StoreError> {
        let note = note.trim();
        if note.is_empty() {
            return Err(lift::no_note());
        }
        write!(self.pool, |conn| end(conn, (tenant, filter), note, now)
            .await)
    }
}

async fn end(
    conn: &mut Conn<'_>,
    (tenant, filter): (TenantId, &LiftFilter),
    note: &str,
    now: Timestamp,
) -> Result<LiftedMany, Failure> {
    let those = conditions(tenant, filter);
    // It is read by the index of since, and ends in the order of the keys.
    let sql = format!(
        "delete from suppressions where (tenant, recipient, scope, reason) in (
             select tenant, recipient, scope, reason from suppressions {}
             order by since, recipient, scope, reason limit $1)
         returning {COLUMNS}",
        those.to_where()
    );
    let rows = fetch(conn, "suppressions", sql, those.values).await?;
    let mut ended: Vec<StoredSuppression> = rows
        .iter()
        .map(StoredSuppression::standing)
        .collect::<Result<_, _>>()?;
    if ended.is_empty() {
        return Ok(LiftedMany::default());
    }
    ended.sort_by_key(|stood| stood.key);
    let changes: Vec<NewChange> = ended.iter().map(|stood| stood.ended(now)).collect();
    let first = feed::advance(conn, changes.len()).await?;
    feed::publish(conn, &changes, first).await?;
    lift::remember(conn, ended, first, (now, note)).await?;
    let lifted = u64::try_from(changes.len()).unwrap_or_default();
    Ok(LiftedMany {
        lifted,
        seq: Some(first + lifted - 1),
    })
}

fn conditions(tenant: TenantId, filter: &LiftFilter) -> Conditions {
    let mut those = Conditions::behind(values![TOGETHER]);
    those.equal("tenant", tenant);
    those.equal("reason", filter.reason.as_str());
    if let Some(scope) = filter.scope {
        those.equal("scope", scope.to_string().as_str());
    }
    if let Some(class) = filter.class {
        those.equal("class", class.as_str());
    }
    if let Some(provider) = &filter.provider {
        those.equal("provider", provider.as_str());
    }
    if let Some(since) = filter.since {
        those.beyond("since >=", values![since]);
    }
    if let Some(until) = filter.until {
        those.beyond("since <", values![until]);
    }
    those
}
