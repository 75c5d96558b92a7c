//! Failures that count against a recipient: a row for each recipient that has any, which is the
//! lock, and one for each day. A count that has led to something begins anew.

use std::collections::{BTreeMap, BTreeSet};

use super::DAY;
use super::failure::Failure;
use super::pool::Conn;
use super::sql::{ManyRows, Row, Value, fetch, fetch_many, fetch_one, values};
use crate::judge::history::{BouncePolicy, Dead, FailedDay, dead};
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, HoldReason, SoftFailure};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};
use crate::model::tenant::TenantId;

/// Recipients whose old failures one call forgets at most.
const FORGET: u32 = 1_000;

/// A recipient of a tenant.
pub(super) type Whose = (TenantId, RecipientKey);

/// Something that is counted, or that ends a count. Ordered as it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) whose: Whose,
    /// `None`: mail has arrived.
    pub(super) failure: Option<SoftFailure>,
    /// Whether a tenant's own system says that mail has arrived.
    pub(super) fed: bool,
    /// Which event says it: by receipt and event within the batch.
    pub(super) place: (usize, usize),
}

/// What is known of a recipient.
#[derive(Debug, Default)]
struct Count {
    /// Failures up to here count no more.
    since: Timestamp,
    days: BTreeMap<i64, Failures>,
    gone: BTreeSet<i64>,
    changed: BTreeSet<i64>,
    /// Whether they have led to something: the count begins anew.
    has_led: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    last: Timestamp,
    all: u64,
    full: u64,
    unread: u64,
}

/// Counts what happened, in order; returns what follows, and from which event.
pub(super) async fn count(
    conn: &mut Conn<'_>,
    mut steps: Vec<Step>,
    policy: &BouncePolicy,
    now: Timestamp,
) -> Result<Vec<((usize, usize), Effect)>, Failure> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    steps.sort();
    feeds(conn, &steps).await?;
    let mut counts = lock(conn, &steps).await?;
    let mut outcomes = Vec::new();
    for step in &steps {
        let (Some(failure), Some(count)) = (step.failure, counts.get_mut(&step.whose)) else {
            continue;
        };
        if let Some(outcome) = count.add(step.at, failure, policy) {
            outcomes.push((step.place, step.whose.0, outcome));
        }
    }
    save(conn, &counts).await?;
    let mut effects = Vec::new();
    for (place, tenant, outcome) in outcomes {
        let fed = is_fed(conn, tenant, now.before(policy.soft_spread)).await?;
        effects.push((place, effect(outcome, fed)));
    }
    Ok(effects)
}

const fn effect(outcome: Dead, fed: bool) -> Effect {
    let (scope, reason) = (Scope::All, Reason::Bounce);
    let because = match (outcome, fed) {
        (Dead::Yes, true) => return Effect::Suppress { scope, reason },
        (Dead::Yes, false) => HoldReason::NoDeliveries,
        (Dead::IfUnreadCount, _) => HoldReason::UnreadBounces,
    };
    Effect::Hold {
        scope,
        reason,
        because,
    }
}

impl Count {
    fn add(&mut self, at: Timestamp, failure: SoftFailure, policy: &BouncePolicy) -> Option<Dead> {
        if at <= self.since {
            return None;
        }
        let day = at.as_millis().div_euclid(DAY);
        let failures = self.days.entry(day).or_default();
        failures.last = failures.last.max(at);
        failures.all += 1;
        failures.full += u64::from(failure == SoftFailure::MailboxFull);
        failures.unread += u64::from(failure == SoftFailure::Unread);
        self.changed.insert(day);
        let days: Vec<FailedDay> = self
            .days
            .iter()
            .map(|(day, failures)| FailedDay {
                day: *day,
                full: failures.full > 0,
                read: failures.all > failures.unread,
            })
            .collect();
        let outcome = dead(&days, policy)?;
        let last = self.days.values().map(|failures| failures.last).max();
        self.since = last.unwrap_or(at);
        self.has_led = true;
        self.gone.extend(self.days.keys());
        self.days.clear();
        self.changed.clear();
        Some(outcome)
    }

    fn take_back(&mut self, counted: Counted) {
        let day = counted.at.as_millis().div_euclid(DAY);
        let Some(failures) = self.days.get_mut(&day).filter(|_| counted.at > self.since) else {
            return;
        };
        failures.all = failures.all.saturating_sub(1);
        let full = u64::from(counted.failure == SoftFailure::MailboxFull);
        failures.full = failures.full.saturating_sub(full);
        let unread = u64::from(counted.failure == SoftFailure::Unread);
        failures.unread = failures.unread.saturating_sub(unread);
        if failures.all == 0 {
            self.days.remove(&day);
            self.gone.insert(day);
        } else {
            self.changed.insert(day);
        }
    }

    /// Forgets what counts no more.
    fn forget_before(&mut self) {
        let before = |failures: &Failures| failures.last <= self.since;
        let old: Vec<i64> = self
            .days
            .iter()
            .filter(|(_, failures)| before(failures))
            .map(|(day, _)| *day)
            .collect();
        for day in old {
            self.days.remove(&day);
            self.gone.insert(day);
        }
    }
}

/// Notes which tenants tell what was delivered, to the hour.
async fn feeds(conn: &mut Conn<'_>, steps: &[Step]) -> Result<(), Failure> {
    let mut fed: BTreeMap<TenantId, Timestamp> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.fed) {
        let last = fed.entry(step.whose.0).or_default();
        *last = step.at.max(*last);
    }
    let rows = fed.into_iter().map(|(tenant, last)| values![tenant, last]);
    let statement = ManyRows {
        table: "delivery_feeds",
        head: "insert into delivery_feeds (tenant, last)",
        tail: "on conflict (tenant) do update set last = excluded.last
               where delivery_feeds.last < excluded.last - 3600000",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

async fn is_fed(conn: &mut Conn<'_>, tenant: TenantId, since: Timestamp) -> Result<bool, Failure> {
    let sql = "select last from delivery_feeds where tenant = $1 and last >= $2";
    let row = fetch_one(conn, "delivery_feeds", sql, values![tenant, since]).await?;
    Ok(row.is_some())
}

/// Locks the recipients in the order of their keys and reads what is known of them. Of those whose
/// mail has only arrived, who never failed is not in it.
async fn lock(conn: &mut Conn<'_>, steps: &[Step]) -> Result<BTreeMap<Whose, Count>, Failure> {
    let mut failed: BTreeMap<Whose, Timestamp> = BTreeMap::new();
    let mut arrived: BTreeMap<Whose, Timestamp> = BTreeMap::new();
    for step in steps {
        let map = match step.failure {
            Some(_) => &mut failed,
            None => &mut arrived,
        };
        let last = map.entry(step.whose).or_default();
        *last = step.at.max(*last);
    }
    let rows = failed
        .iter()
        .map(|((tenant, recipient), last)| values![*tenant, *recipient, 0_i64, *last]);
    let statement = ManyRows {
        table: "soft_recipients",
        head: "insert into soft_recipients (tenant, recipient, since, last)",
        tail: "on conflict (tenant, recipient) do update set last =
               case when excluded.last > soft_recipients.last
                    then excluded.last else soft_recipients.last end
               returning tenant, recipient, since",
    };
    let mut counts = begun(&fetch_many(conn, statement, rows.collect()).await?)?;
    let rows = arrived
        .iter()
        .map(|((tenant, recipient), at)| values![*tenant, *recipient, *at]);
    let statement = ManyRows {
        table: "soft_recipients",
        head: "update soft_recipients set since = k.column3 from (",
        tail: ") as k where soft_recipients.tenant = k.column1
               and soft_recipients.recipient = k.column2
               and soft_recipients.since < k.column3
               returning soft_recipients.tenant as tenant,
                   soft_recipients.recipient as recipient,
                   soft_recipients.since as since",
    };
    for row in fetch_many(conn, statement, rows.collect()).await? {
        let whose = whose(&row)?;
        counts.entry(whose).or_default().since = row.time("since")?;
    }
    days(conn, &mut counts).await?;
    counts.values_mut().for_each(Count::forget_before);
    Ok(counts)
}

fn whose(row: &Row) -> Result<Whose, Failure> {
    let recipient = RecipientKey::from_bytes(row.array("recipient")?);
    Ok((row.tenant("tenant")?, recipient))
}

/// Counts without their days yet.
fn begun(rows: &[Row]) -> Result<BTreeMap<Whose, Count>, Failure> {
    let count = |row: &Row| {
        let since = row.time("since")?;
        let count = Count {
            since,
            ..Count::default()
        };
        Ok((whose(row)?, count))
    };
    rows.iter().map(count).collect()
}

async fn days(conn: &mut Conn<'_>, counts: &mut BTreeMap<Whose, Count>) -> Result<(), Failure> {
    let rows = counts
        .keys()
        .map(|(tenant, recipient)| values![*tenant, *recipient]);
    let statement = ManyRows {
        table: "soft_days",
        head: "select d.tenant, d.recipient, d.day, d.last, d.failures, d.full_failures,
                      d.unread_failures from (",
        tail: ") k join soft_days d on d.tenant = k.column1 and d.recipient = k.column2",
    };
    for row in fetch_many(conn, statement, rows.collect()).await? {
        let whose = whose(&row)?;
        if let Some(count) = counts.get_mut(&whose) {
            let failures = Failures {
                last: row.time("last")?,
                all: row.number("failures")?,
                full: row.number("full_failures")?,
                unread: row.number("unread_failures")?,
            };
            count.days.insert(row.int("day")?, failures);
        }
    }
    Ok(())
}

/// Writes what has changed: nobody else has since it was read.
async fn save(conn: &mut Conn<'_>, counts: &BTreeMap<Whose, Count>) -> Result<(), Failure> {
    let key = |(tenant, recipient): &Whose, day: &i64| values![*tenant, *recipient, *day];
    let gone: Vec<Vec<Value>> = counts
        .iter()
        .flat_map(|(whose, count)| count.gone.iter().map(move |day| key(whose, day)))
        .collect();
    let statement = ManyRows {
        table: "soft_days",
        head: "delete from soft_days where (tenant, recipient, day) in (
               select k.column1, k.column2, k.column3 from (",
        tail: ") k)",
    };
    fetch_many(conn, statement, gone).await?;
    let mut rows = Vec::new();
    for (whose, count) in counts {
        for day in &count.changed {
            let Some(failures) = count.days.get(day) else {
                continue;
            };
            let mut row = key(whose, day);
            row.extend(values![
                failures.last,
                failures.all,
                failures.full,
                failures.unread
            ]);
            rows.push(row);
        }
    }
    let statement = ManyRows {
        table: "soft_days",
        head: "insert into soft_days (tenant, recipient, day, last, failures, full_failures,
               unread_failures)",
        tail: "on conflict (tenant, recipient, day) do update set last = excluded.last,
               failures = excluded.failures, full_failures = excluded.full_failures,
               unread_failures = excluded.unread_failures",
    };
    fetch_many(conn, statement, rows).await?;
    let led = counts.iter().filter(|(_, count)| count.has_led);
    let rows = led.map(|((tenant, recipient), count)| values![*tenant, *recipient, count.since]);
    let statement = ManyRows {
        table: "soft_recipients",
        head: "update soft_recipients set since = k.column3 from (",
        tail: ") as k where soft_recipients.tenant = k.column1
               and soft_recipients.recipient = k.column2",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

/// A failure that was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) whose: Whose,
    pub(super) at: Timestamp,
    pub(super) failure: SoftFailure,
}

/// Takes back what was counted, as far as it still counts.
pub(super) async fn discount(conn: &mut Conn<'_>, counted: Vec<Counted>) -> Result<(), Failure> {
    let recipients: BTreeSet<Whose> = counted.iter().map(|one| one.whose).collect();
    let rows = recipients
        .iter()
        .map(|(tenant, recipient)| values![*tenant, *recipient]);
    let lock = ManyRows {
        table: "soft_recipients",
        head: "update soft_recipients set last = last from (",
        tail: ") as k where soft_recipients.tenant = k.column1
               and soft_recipients.recipient = k.column2
               returning soft_recipients.tenant as tenant,
                   soft_recipients.recipient as recipient, soft_recipients.since as since",
    };
    let mut counts = begun(&fetch_many(conn, lock, rows.collect()).await?)?;
    days(conn, &mut counts).await?;
    for one in counted {
        if let Some(count) = counts.get_mut(&one.whose) {
            count.take_back(one);
        }
    }
    save(conn, &counts).await
}

/// Forgets recipients that have not failed since `before`, at most 1,000; returns how many.
pub(super) async fn forget(conn: &mut Conn<'_>, before: Timestamp) -> Result<u64, Failure> {
    // The lock first: who has failed meanwhile stays.
    let sql = "delete from soft_recipients where last < $1 and (tenant, recipient) in (
                   select tenant, recipient from soft_recipients where last < $1
                   order by last limit $2)
               returning tenant, recipient";
    let gone = fetch(conn, "soft_recipients", sql, values![before, FORGET]).await?;
    let mut rows = Vec::new();
    for row in &gone {
        let recipient: [u8; 10] = row.array("recipient")?;
        rows.push(values![row.tenant("tenant")?, recipient.as_slice()]);
    }
    let days = ManyRows {
        table: "soft_days",
        head: "delete from soft_days where (tenant, recipient) in (
               select k.column1, k.column2 from (",
        tail: ") k)",
    };
    fetch_many(conn, days, rows).await?;
    Ok(u64::try_from(gone.len()).unwrap_or(u64::MAX))
}
