//! Counts of what was stored, by hour and by day, written in the transaction that stores it.
//!
//! Whoever refuses or reports names himself, so that names cannot be trusted to be few: of a tenant
//! and a day only the first ones are counted by name, [`PROVEN`] of what is proven and [`UNPROVEN`]
//! of what anybody can send; all others together are [`OTHER`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::failure::{Failure, StoreError};
use super::pool::{Conn, write};
use super::record::Verdict;
use super::sql::{ManyRows, Row, execute, fetch_many, values};
use super::{DAY, HOUR, Store};
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, Event, EventKind, Proof};
use crate::model::provider::organisation;
use crate::model::reporter;
use crate::model::tenant::TenantId;
use crate::model::words::words;

/// Pairs of provider and reporter that are counted by name, of a tenant and a day.
const PROVEN: usize = 500;
/// The same of events that prove nothing.
const UNPROVEN: usize = 50;
/// The name of all other providers and reporters.
pub(super) const OTHER: &str = "other";
/// How long hours are kept.
const KEEP_HOURS: Duration = Duration::from_hours(14 * 24);
/// How long days are kept.
const KEEP_DAYS: Duration = Duration::from_hours(3 * 366 * 24);
/// Rows that one call forgets at most.
const FORGET: u32 = 5_000;

words! {
    /// How long one count reaches.
    pub enum Span as "span" {
        /// An hour (UTC). Kept for 14 days.
        Hour = "hour",
        /// A day (UTC). Kept for three years.
        Day = "day",
    }
}

impl Span {
    /// When the span that holds this moment began.
    fn begins(self, at: Timestamp) -> Timestamp {
        let long = match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
        };
        let millis = at.as_millis();
        Timestamp::from_millis(millis - millis.rem_euclid(long))
    }
}

/// Whom an event is counted for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Names {
    tenant: u32,
    day: Timestamp,
    proven: bool,
    provider: String,
    reporter: String,
}

impl Names {
    fn of(event: &Event, at: Timestamp) -> Self {
        let detail = &event.detail;
        let domain = detail.reporter.as_deref().and_then(organisation);
        let provider = detail.provider.as_deref().and_then(organisation);
        Self {
            tenant: event.tenant.map_or(0, TenantId::get),
            day: Span::Day.begins(at),
            proven: event.proof != Proof::None,
            provider: provider.or(domain).unwrap_or_default(),
            reporter: reporter::of(detail).unwrap_or_default(),
        }
    }

    fn is_nobody(&self) -> bool {
        self.provider.is_empty() && self.reporter.is_empty()
    }

    fn row(&self) -> Vec<super::sql::Value> {
        values![
            self.tenant,
            self.day,
            u32::from(self.proven),
            self.provider.as_str(),
            self.reporter.as_str()
        ]
    }

    fn read(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            tenant: row.number("tenant")?,
            day: row.time("day")?,
            proven: row.int("proven")? == 1,
            provider: row.text("provider")?,
            reporter: row.text("reporter")?,
        })
    }

    /// Those that share a budget, without their names.
    fn budget(&self) -> Self {
        Self {
            provider: String::new(),
            reporter: String::new(),
            ..*self
        }
    }
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tenant: u32,
    span: Span,
    begins: Timestamp,
    stream: u16,
    provider: String,
    reporter: String,
    kind: EventKind,
    class: &'static str,
}

#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    events: u64,
    unmatched: u64,
    held: u64,
}

/// Counts the events of new receipts, but for synthetic ones, by the time at which they were accepted
/// or are told to have happened.
pub(super) async fn count(conn: &mut Conn<'_>, new: &[&Verdict]) -> Result<(), Failure> {
    let events = || {
        let events = new.iter().flat_map(|verdict| &verdict.events);
        let events = events.filter(|event| !event.detail.synthetic);
        events.map(|event| {
            let at = event.id.receipt.at();
            (at, event, Names::of(event, at))
        })
    };
    let wanted: BTreeSet<Names> = events()
        .map(|(_, _, names)| names)
        .filter(|names| !names.is_nobody())
        .collect();
    let named = named(conn, wanted).await?;
    let mut counts: BTreeMap<Key, Numbers> = BTreeMap::new();
    for (at, event, names) in events() {
        let shown = names.is_nobody() || named.contains(&names);
        let name = |name: String| {
            if shown || name.is_empty() {
                name
            } else {
                OTHER.to_owned()
            }
        };
        let class = event
            .detail
            .class
            .filter(|_| event.kind == EventKind::Bounce);
        let (provider, reporter) = (name(names.provider), name(names.reporter));
        for span in Span::ALL {
            let key = Key {
                tenant: names.tenant,
                span: *span,
                begins: span.begins(at),
                stream: event.stream,
                provider: provider.clone(),
                reporter: reporter.clone(),
                kind: event.kind,
                class: class.map_or("", |class| class.as_str()),
            };
            counts.entry(key).or_default().add(event);
        }
    }
    save(conn, counts).await
}

impl Numbers {
    fn add(&mut self, event: &Event) {
        let holds = |effect: &Effect| matches!(effect, Effect::Hold { .. });
        self.events += 1;
        self.unmatched += u64::from(event.proof == Proof::None);
        self.held += u64::from(event.effects.iter().any(holds));
    }
}

async fn save(conn: &mut Conn<'_>, counts: BTreeMap<Key, Numbers>) -> Result<(), Failure> {
    let rows = counts.into_iter().map(|(key, numbers)| {
        values![
            key.tenant,
            key.span.as_str(),
            key.begins,
            key.stream,
            key.provider.as_str(),
            key.reporter.as_str(),
            key.kind.as_str(),
            key.class,
            numbers.events,
            numbers.unmatched,
            numbers.held
        ]
    });
    let statement = ManyRows {
        table: "counts",
        head: "insert into counts (tenant, span, begins, stream, provider, reporter, kind, class,
               events, unmatched, held)",
        tail: "on conflict (tenant, span, begins, stream, provider, reporter, kind, class)
               do update set events = counts.events + excluded.events,
               unmatched = counts.unmatched + excluded.unmatched,
               held = counts.held + excluded.held",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}

/// Those of the names that are counted one by one; notes new ones while there is room.
async fn named(conn: &mut Conn<'_>, wanted: BTreeSet<Names>) -> Result<BTreeSet<Names>, Failure> {
    let mut named = known(conn, &wanted).await?;
    let new: BTreeSet<Names> = wanted.difference(&named).cloned().collect();
    if new.is_empty() {
        return Ok(named);
    }
    // Usual names are there after the first minutes of a day: nobody waits here for long.
    let mut used = lock(conn, &new).await?;
    named.extend(known(conn, &new).await?);
    let mut admitted = Vec::new();
    for names in new {
        if named.contains(&names) {
            continue;
        }
        let most = if names.proven { PROVEN } else { UNPROVEN };
        let used = used.entry(names.budget()).or_default();
        if *used < most {
            *used += 1;
            admitted.push(names.row());
            named.insert(names);
        }
    }
    let statement = ManyRows {
        table: "counted_names",
        head: "insert into counted_names (tenant, day, proven, provider, reporter)",
        tail: "on conflict do nothing",
    };
    fetch_many(conn, statement, admitted).await?;
    Ok(named)
}

async fn known(conn: &mut Conn<'_>, wanted: &BTreeSet<Names>) -> Result<BTreeSet<Names>, Failure> {
    let statement = ManyRows {
        table: "counted_names",
        head: "select n.tenant, n.day, n.proven, n.provider, n.reporter from (",
        tail: ") k join counted_names n on n.tenant = k.column1 and n.day = k.column2
               and n.proven = k.column3 and n.provider = k.column4 and n.reporter = k.column5",
    };
    let rows = wanted.iter().map(Names::row).collect();
    let found = fetch_many(conn, statement, rows).await?;
    found.iter().map(Names::read).collect()
}

/// Locks the budgets that new names come out of, in the order of their keys; how much of each is
/// used.
async fn lock(
    conn: &mut Conn<'_>,
    new: &BTreeSet<Names>,
) -> Result<BTreeMap<Names, usize>, Failure> {
    let budgets: BTreeSet<Names> = new.iter().map(Names::budget).collect();
    let rows = || budgets.iter().map(Names::row).collect();
    let statement = ManyRows {
        table: "counted_names",
        head: "insert into counted_names (tenant, day, proven, provider, reporter)",
        tail: "on conflict (tenant, day, proven, provider, reporter)
               do update set provider = excluded.provider",
    };
    fetch_many(conn, statement, rows()).await?;
    let statement = ManyRows {
        table: "counted_names",
        head: "select n.tenant, n.day, n.proven, '' as provider, '' as reporter,
                      count(*) as used from (",
        tail: ") k join counted_names n on n.tenant = k.column1 and n.day = k.column2
               and n.proven = k.column3 group by n.tenant, n.day, n.proven",
    };
    let mut used = BTreeMap::new();
    for row in fetch_many(conn, statement, rows()).await? {
        // The lock is a row too.
        let count: usize = row.number("used")?;
        used.insert(Names::read(&row)?, count.saturating_sub(1));
    }
    Ok(used)
}

impl Store {
    /// Forgets old counts, a bounded part in one call. Returns how much it was: call again until it
    /// is 0.
    pub async fn forget_counts(&self, now: Timestamp) -> Result<u64, StoreError> {
        write!(self.pool, |conn| forget(conn, now).await)
    }
}

async fn forget(conn: &mut Conn<'_>, now: Timestamp) -> Result<u64, Failure> {
    let mut total = 0;
    for (span, keep) in [(Span::Hour, KEEP_HOURS), (Span::Day, KEEP_DAYS)] {
        let sql = "delete from counts where (tenant, span, begins, stream, provider, reporter,
                       kind, class) in (
                   select tenant, span, begins, stream, provider, reporter, kind, class
                   from counts where span = $1 and begins < $2 order by begins limit $3)";
        let before = span.begins(now.before(keep));
        total += execute(conn, sql, values![span.as_str(), before, FORGET]).await?;
    }
    // What comes later still is told with a time of at most 90 days ago.
    let before = Span::Day.begins(now.before(KEEP_NAMES));
    let sql = "delete from counted_names where (tenant, day, proven, provider, reporter) in (
                   select tenant, day, proven, provider, reporter from counted_names
                   where day < $1 order by day limit $2)";
    Ok(total + execute(conn, sql, values![before, FORGET]).await?)
}

/// How long it is known which names are counted one by one: receipts may be told of 90 days late.
const KEEP_NAMES: Duration = Duration::from_hours(92 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_begin_in_utc() {
        let at: Timestamp = "2026-11-21T12:34:56.789Z".parse().unwrap();
        assert_eq!(Span::Hour.begins(at).to_string(), "2026-11-21T12:00:00Z");
        assert_eq!(Span::Day.begins(at).to_string(), "2026-11-21T00:00:00Z");
    }
}
