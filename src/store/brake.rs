//! The brake: when a provider calls too many recipients dead at once, this hour's are held.
//!
//! One row for each provider and hour counts, and is the lock. Who they are is kept for the hour,
//! so that those of before the brake can be held too.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde_json::json;

use super::alarms::{Alarm, AlarmKind};
use super::failure::Failure;
use super::pool::{Conn, write};
use super::sql::{ManyRows, Row, Value, execute, fetch, fetch_many, fetch_one, values};
use super::{DAY, HOUR, Store, StoreError, soft};
use crate::judge::history::{BouncePolicy, brakes};
use crate::model::clock::Timestamp;
use crate::model::event::EventId;
use crate::model::receipt::ReceiptId;
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;

/// For how many hours it is kept who bounced: what was accepted then may still be on its way.
const KEPT_HOURS: i64 = 48;
/// Rows that one call forgets at most.
const FORGET: u32 = 5_000;

/// A provider's hour, as one tenant sees it.
pub(super) type Hour = (TenantId, String, i64);

/// A hard bounce of the batch.
#[derive(Debug, Clone)]
pub(super) struct HardBounce {
    pub(super) at: Timestamp,
    pub(super) tenant: TenantId,
    pub(super) provider: String,
    pub(super) recipient: RecipientKey,
    pub(super) event: EventId,
    /// By receipt and event within the batch.
    pub(super) place: (usize, usize),
}

impl HardBounce {
    fn hour(&self) -> Hour {
        let hour = self.at.as_millis().div_euclid(HOUR);
        (self.tenant, self.provider.clone(), hour)
    }
}

/// What is to become of the hard bounces.
#[derive(Debug, Default)]
pub(super) struct Braked {
    /// Held, with the batch that they belong to.
    pub(super) held: BTreeMap<(usize, usize), String>,
    /// Their recipient is in the batch already: nothing more follows.
    pub(super) known: BTreeSet<(usize, usize)>,
    /// Those of before the brake, with their batch.
    pub(super) earlier: Vec<Earlier>,
    /// What to tell.
    pub(super) alarms: Vec<Alarm>,
}

/// A bounce that has suppressed before the brake.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) tenant: TenantId,
    pub(super) recipient: RecipientKey,
    pub(super) event: EventId,
    pub(super) batch: String,
}

/// A row of `bounce_hours`, locked.
#[derive(Debug)]
struct Counted {
    bounces: u64,
    batch: Option<String>,
    approved: bool,
}

/// Counts hard bounces and says which of them are held.
pub(super) async fn brake(
    conn: &mut Conn<'_>,
    bounces: &[HardBounce],
    policy: &BouncePolicy,
    now: Timestamp,
) -> Result<Braked, Failure> {
    let mut braked = Braked::default();
    if bounces.is_empty() {
        return Ok(braked);
    }
    let mut hours = lock(conn, bounces).await?;
    let new = note(conn, bounces).await?;
    for (tenant, provider, hour, _) in &new {
        if let Some(counted) = hours.get_mut(&(*tenant, provider.clone(), *hour)) {
            counted.bounces += 1;
        }
    }
    let before = hours_before(conn, &hours, policy).await?;
    for (key, counted) in &mut hours {
        if counted.batch.is_some() {
            continue;
        }
        if let Some(batch) = before.get(key) {
            counted.batch = Some(batch.clone());
            continue;
        }
        if counted.bounces <= u64::from(policy.brake_bounces) {
            continue;
        }
        let busiest = busiest(conn, key, policy).await?;
        if brakes(counted.bounces, busiest, policy) {
            let batch = batch_of(key);
            braked
                .alarms
                .push(alarm(key, (&batch, counted.bounces, busiest), now));
            braked
                .earlier
                .extend(earlier(conn, key, &batch, bounces).await?);
            counted.batch = Some(batch);
        }
    }
    save(conn, &hours).await?;
    for bounce in bounces {
        let key = bounce.hour();
        let Some(counted) = hours.get(&key) else {
            continue;
        };
        let Some(batch) = counted.batch.clone().filter(|_| !counted.approved) else {
            continue;
        };
        let (tenant, provider, hour) = key;
        let is_first = new.contains(&(tenant, provider, hour, bounce.event));
        if is_first {
            braked.held.insert(bounce.place, batch);
        } else {
            braked.known.insert(bounce.place);
        }
    }
    Ok(braked)
}

/// The name of a batch: readable, and the same whoever gives it.
fn batch_of((tenant, provider, hour): &Hour) -> String {
    let at = Timestamp::from_millis(hour.saturating_mul(HOUR)).to_seconds_text();
    let at = at.replace(['-', ':'], "");
    let hour = at.get(..11).unwrap_or(&at);
    format!("{}-{provider}-{hour}", tenant.get())
}

fn alarm(
    (tenant, provider, hour): &Hour,
    (batch, bounces, busiest): (&str, u64, u64),
    now: Timestamp,
) -> Alarm {
    Alarm {
        id: format!("brake-{batch}"),
        at: now,
        tenant: Some(*tenant),
        kind: AlarmKind::Brake,
        detail: json!({
            "batch": batch,
            "provider": provider,
            "hour": Timestamp::from_millis(hour.saturating_mul(HOUR)),
            "bounces": bounces,
            "busiest_hour_before": busiest,
        }),
    }
}

/// Locks the hours in the order of their keys.
async fn lock(
    conn: &mut Conn<'_>,
    bounces: &[HardBounce],
) -> Result<BTreeMap<Hour, Counted>, Failure> {
    let hours: BTreeSet<Hour> = bounces.iter().map(HardBounce::hour).collect();
    let rows = hours
        .iter()
        .map(|(tenant, provider, hour)| values![*tenant, provider.as_str(), *hour, 0_i64, 1_i64]);
    let statement = ManyRows {
        table: "bounce_hours",
        head: "insert into bounce_hours (tenant, provider, hour, bounces, counts)",
        tail: "on conflict (tenant, provider, hour) do update set bounces = bounce_hours.bounces
               returning tenant, provider, hour, bounces, batch, counts",
    };
    let found = fetch_many(conn, statement, rows.collect()).await?;
    found
        .iter()
        .map(|row| {
            let batch = row.opt_text("batch")?;
            let counted = Counted {
                bounces: row.number("bounces")?,
                approved: batch.is_some() && row.int("counts")? == 1,
                batch,
            };
            Ok((hour_of(row)?, counted))
        })
        .collect()
}

fn hour_of(row: &Row) -> Result<Hour, Failure> {
    Ok((
        row.tenant("tenant")?,
        row.text("provider")?,
        row.int("hour")?,
    ))
}

/// Notes who bounced; returns the events of those that had not in their hour.
async fn note(
    conn: &mut Conn<'_>,
    bounces: &[HardBounce],
) -> Result<HashSet<(TenantId, String, i64, EventId)>, Failure> {
    let mut firsts: BTreeMap<(Hour, RecipientKey), EventId> = BTreeMap::new();
    for bounce in bounces {
        firsts
            .entry((bounce.hour(), bounce.recipient))
            .or_insert(bounce.event);
    }
    let rows = firsts
        .iter()
        .map(|(((tenant, provider, hour), recipient), event)| {
            values![
                *tenant,
                provider.as_str(),
                *hour,
                *recipient,
                event.receipt,
                event.index
            ]
        });
    let statement = ManyRows {
        table: "hard_bounces",
        head: "insert into hard_bounces (tenant, provider, hour, recipient, receipt, idx)",
        tail: "on conflict (tenant, provider, hour, recipient) do nothing
               returning tenant, provider, hour, receipt, idx",
    };
    let new = fetch_many(conn, statement, rows.collect()).await?;
    new.iter()
        .map(|row| {
            let (tenant, provider, hour) = hour_of(row)?;
            Ok((tenant, provider, hour, event_of(row)?))
        })
        .collect()
}

fn event_of(row: &Row) -> Result<EventId, Failure> {
    Ok(EventId {
        receipt: ReceiptId::from_bytes(row.array("receipt")?),
        index: row.number("idx")?,
    })
}

/// The batches that the hours go on with: the provider was braked in the hour before, for as many
/// as are looked at.
async fn hours_before(
    conn: &mut Conn<'_>,
    hours: &BTreeMap<Hour, Counted>,
    policy: &BouncePolicy,
) -> Result<BTreeMap<Hour, String>, Failure> {
    let rows = hours
        .iter()
        .filter(|(_, counted)| counted.batch.is_none())
        .map(|((tenant, provider, hour), _)| {
            values![
                *tenant,
                provider.as_str(),
                hour.saturating_sub(1),
                policy.brake_bounces
            ]
        });
    let statement = ManyRows {
        table: "bounce_hours",
        head: "select b.tenant, b.provider, b.hour, b.batch from (",
        tail: ") k join bounce_hours b on b.tenant = k.column1 and b.provider = k.column2
               and b.hour = k.column3 and b.bounces > k.column4
               and b.counts = 0 and b.batch is not null",
    };
    let found = fetch_many(conn, statement, rows.collect()).await?;
    found
        .iter()
        .map(|row| {
            let (tenant, provider, hour) = hour_of(row)?;
            Ok((
                (tenant, provider, hour.saturating_add(1)),
                row.text("batch")?,
            ))
        })
        .collect()
}

/// The most that a provider has called dead in an hour before, those left out that were braked.
async fn busiest(
    conn: &mut Conn<'_>,
    (tenant, provider, hour): &Hour,
    policy: &BouncePolicy,
) -> Result<u64, Failure> {
    let history = i64::try_from(policy.brake_history.as_millis()).unwrap_or(i64::MAX) / HOUR;
    let row = fetch_one(
        conn,
        "bounce_hours",
        "select max(bounces) as busiest from bounce_hours
         where tenant = $1 and provider = $2 and hour >= $3 and hour < $4 and counts = 1",
        values![
            *tenant,
            provider.as_str(),
            hour.saturating_sub(history),
            *hour
        ],
    )
    .await?;
    let busiest = row.map(|row| row.opt_int("busiest")).transpose()?.flatten();
    Ok(busiest
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0))
}

/// Who bounced in the hour before this batch.
async fn earlier(
    conn: &mut Conn<'_>,
    (tenant, provider, hour): &Hour,
    batch: &str,
    bounces: &[HardBounce],
) -> Result<Vec<Earlier>, Failure> {
    let rows = fetch(
        conn,
        "hard_bounces",
        "select recipient, receipt, idx from hard_bounces
         where tenant = $1 and provider = $2 and hour = $3 order by recipient",
        values![*tenant, provider.as_str(), *hour],
    )
    .await?;
    let of_batch: HashSet<EventId> = bounces.iter().map(|bounce| bounce.event).collect();
    let mut earlier = Vec::new();
    for row in &rows {
        let event = event_of(row)?;
        if !of_batch.contains(&event) {
            earlier.push(Earlier {
                tenant: *tenant,
                recipient: RecipientKey::from_bytes(row.array("recipient")?),
                event,
                batch: batch.to_owned(),
            });
        }
    }
    Ok(earlier)
}

async fn save(conn: &mut Conn<'_>, hours: &BTreeMap<Hour, Counted>) -> Result<(), Failure> {
    let rows = hours.iter().map(|((tenant, provider, hour), counted)| {
        let counts = i64::from(counted.batch.is_none() || counted.approved);
        let mut row = values![*tenant, provider.as_str(), *hour, counted.bounces];
        row.push(Value::from(counted.batch.as_deref()));
        row.push(counts.into());
        row
    });
    let statement = ManyRows {
        table: "bounce_hours",
        head: "insert into bounce_hours (tenant, provider, hour, bounces, batch, counts)",
        tail: "on conflict (tenant, provider, hour) do update set bounces = excluded.bounces,
               batch = excluded.batch, counts = excluded.counts",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

/// A batch was approved: its hours tell what is usual, and what still comes in them takes effect.
pub(super) async fn approved(conn: &mut Conn<'_>, batch: &str) -> Result<(), Failure> {
    let sql = "update bounce_hours set counts = 1 where batch = $1";
    execute(conn, sql, values![batch]).await?;
    Ok(())
}

impl Store {
    /// Forgets what was counted about bounces and counts no more, a bounded part in one call.
    /// Returns how much it was: call again until it is 0.
    pub async fn forget_bounces(&self, now: Timestamp) -> Result<u64, StoreError> {
        let policy = &self.bounces;
        // A whole hour or day more, so that those at the border are all there.
        let before = now
            .before(policy.brake_history)
            .before(Duration::from_hours(25));
        let counted = write!(self.pool, |conn| forget(conn, now, before).await)?;
        let before = now
            .before(policy.soft_memory)
            .before(Duration::from_hours(24));
        let failures = write!(self.pool, |conn| soft::forget(conn, before).await)?;
        Ok(counted + failures)
    }
}

async fn forget(conn: &mut Conn<'_>, now: Timestamp, before: Timestamp) -> Result<u64, Failure> {
    let recipients = now.as_millis().div_euclid(HOUR).saturating_sub(KEPT_HOURS);
    let hours = before.as_millis().div_euclid(HOUR);
    let days = before.as_millis().div_euclid(DAY);
    let mut total = 0;
    for (sql, older) in [
        (
            "delete from hard_bounces where (tenant, provider, hour, recipient) in (
                 select tenant, provider, hour, recipient from hard_bounces
                 where hour < $1 order by hour limit $2)",
            recipients,
        ),
        (
            "delete from bounce_hours where (tenant, provider, hour) in (
                 select tenant, provider, hour from bounce_hours
                 where hour < $1 order by hour limit $2)",
            hours,
        ),
        (
            "delete from bounce_signals where (tenant, provider, class, day) in (
                 select tenant, provider, class, day from bounce_signals
                 where day < $1 order by day limit $2)",
            days,
        ),
    ] {
        total += execute(conn, sql, values![older, FORGET]).await?;
    }
    Ok(total)
}
