//! Events in the order of the feed, by what they are filtered by.

use super::Store;
use super::events::{COLUMNS, DOOR, StoredEvent};
use super::failure::{Failure, StoreError};
use super::feed::{bounded, no_counter};
use super::marks;
use super::pool::{Conn, read};
use super::sql::{Conditions, Row, Value, fetch, values};
use crate::model::event::{EventKind, Proof};
use crate::model::recipient::RecipientKey;
use crate::model::reporter::{self, meant};
use crate::model::tenant::TenantId;

/// Which events of the feed: those that everything given is true of.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only with this proof.
    pub proof: Option<Proof>,
    /// Only from this reporter, by one of its [names](crate::model::reporter::names) as
    /// [`meant`] gives it.
    pub reporter: Option<String>,
    /// Only about this recipient: its key under every generation of the address key. Needs a
    /// tenant.
    pub recipients: Vec<RecipientKey>,
}

impl From<EventKind> for EventFilter {
    fn from(kind: EventKind) -> Self {
        Self {
            kind: Some(kind),
            ..Self::default()
        }
    }
}

impl EventFilter {
    /// A row does not tell the reporter: it is read from what the event tells.
    fn suits(&self, event: &StoredEvent) -> bool {
        self.reporter.as_deref().is_none_or(|wanted| {
            let mut names = reporter::names(&event.event.detail);
            names.any(|name| meant(&name).is_some_and(|name| name == wanted))
        })
    }
}

/// Parts of the feed that one statement reads, each of which has something.
const PARTS: usize = 16;
/// Events that are read at least where not each need be one that is asked for.
const CANDIDATES: u32 = 256;

impl Store {
    /// Events behind `after`, in the order of the feed; all are kept. `tenant` `None`: of all
    /// tenants. The second value is the place up to which the feed has been read (a filter may leave
    /// out the last ones).
    ///
    /// [`StoreError::Gone`] if it is a place that this feed has not reached; [`StoreError::NotYet`]
    /// if the filter needs marks that events behind it are still to be given.
    pub async fn events(
        &self,
        tenant: Option<TenantId>,
        filter: &EventFilter,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<StoredEvent>, u64), StoreError> {
        let asked = Asked { tenant, filter };
        read!(self.pool, |conn| asked
            .read(conn, after, bounded(limit))
            .await)
    }
}

/// How events are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One after the other: nobody but an operator asks for some of all tenants.
    Through,
    /// The few of a recipient, which are sorted: in the order of the feed all of the tenant's would
    /// be gone through.
    Recipient,
    /// In the parts of the feed that have the marks of a reporter, or of a proof of one kind or of
    /// each.
    Marks,
    /// By an index of tenant or of tenant and kind.
    Tenant,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) tenant: Option<TenantId>,
    pub(super) filter: &'a EventFilter,
}

/// Events that were read with one statement, or with two.
struct Page {
    events: Vec<StoredEvent>,
    /// The place up to which the feed was read.
    upto: u64,
    /// Whether that is the end of what there is.
    is_last: bool,
}

/// Places of the feed: behind the first, up to the second.
pub(super) type Places = (u64, u64);

impl Asked<'_> {
    async fn read(
        self,
        conn: &mut Conn<'_>,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<StoredEvent>, u64), Failure> {
        let mut found: Vec<StoredEvent> = Vec::new();
        let mut at = after;
        loop {
            let wanted = left(limit, found.len());
            let page = self.page(conn, at, wanted).await?;
            found.extend(
                page.events
                    .into_iter()
                    .filter(|event| self.filter.suits(event)),
            );
            // More may have been read than was asked for.
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let last = found.last().map_or(0, |event| event.seq);
            if left(limit, found.len()) == 0 {
                return Ok((found, last));
            }
            if page.is_last {
                return Ok((found, page.upto));
            }
            at = page.upto;
        }
    }

    /// What is behind a place, some of which the filter may not suit.
    async fn page(self, conn: &mut Conn<'_>, after: u64, wanted: u32) -> Result<Page, Failure> {
        let limit = match self.filter.reporter {
            Some(_) => wanted.max(CANDIDATES),
            None => wanted,
        };
        let is_full = |events: &[StoredEvent]| left(limit, events.len()) == 0;
        let (head, parts) = if self.way() == Way::Marks {
            let (sql, values) = self.parts_behind(after);
            let rows = fetch(conn, "events", sql, values).await?;
            let head = self.head(&rows, after)?;
            let mut parts: Vec<u64> = Vec::new();
            for row in &rows {
                parts.extend(
                    row.opt_int("part")?
                        .and_then(|part| u64::try_from(part).ok()),
                );
            }
            if parts.is_empty() {
                return Ok(Page {
                    events: Vec::new(),
                    upto: head,
                    is_last: true,
                });
            }
            (Some(head), parts)
        } else {
            (None, Vec::new())
        };
        let places = places(&parts, after, head);
        let (sql, values) = self.behind(&places, after, limit);
        let rows = fetch(conn, "events", sql, values).await?;
        let head = match head {
            Some(head) => head,
            None => self.head(&rows, after)?,
        };
        let events = items(&rows)?;
        let (upto, is_last) = match (events.last(), places.last()) {
            (Some(last), _) if is_full(&events) => (last.seq, false),
            (_, Some((_, upto))) if parts.len() == PARTS => (*upto, false),
            _ => (head, true),
        };
        Ok(Page {
            events,
            upto,
            is_last,
        })
    }

    /// The head of the feed, from rows that have its bounds.
    fn head(self, rows: &[Row], after: u64) -> Result<u64, Failure> {
        let first = rows.first().ok_or_else(no_counter)?;
        let head = first.number("head")?;
        if after > head {
            return Err(StoreError::Gone(first.number("trimmed")?).into());
        }
        let (marked, unmarked): (u64, u64) = (first.number("marked")?, first.number("unmarked")?);
        if self.way() == Way::Marks && marked < unmarked && after < unmarked {
            return Err(StoreError::NotYet { marked, unmarked }.into());
        }
        Ok(head)
    }

    fn way(self) -> Way {
        match self.tenant {
            _ if !self.filter.recipients.is_empty() => Way::Recipient,
            None => Way::Through,
            Some(_) if self.filter.reporter.is_some() || self.filter.proof.is_some() => Way::Marks,
            Some(_) => Way::Tenant,
        }
    }

    /// The statement that reads which parts of the feed have the marks, and the feed's bounds.
    pub(super) fn parts_behind(self, after: u64) -> (String, Vec<Value>) {
        let mut values = values![self.tenant, marks::part_of(after.saturating_add(1))];
        let mut of_each = Vec::new();
        for mark in self.marks() {
            values.push(mark.as_str().into());
            let mark = values.len();
            of_each.push(format!(
                "select part from (select part from event_marks
                 where tenant = $1 and mark = ${mark} and part >= $2
                 order by part limit {PARTS}) m{mark}"
            ));
        }
        // Several kinds may have the same part.
        let parts = of_each.join(" union ");
        let sql = format!(
            "select {BOUNDS}, m.part
             from feed f left join (select part from ({parts}) p order by part limit {PARTS}) m
                  on true
             where f.id = 1 order by m.part"
        );
        (sql, values)
    }

    /// The marks of which each part that is looked for has one.
    fn marks(self) -> Vec<String> {
        if let Some(name) = &self.filter.reporter {
            return vec![marks::reported_by(name)];
        }
        let Some(proof) = self.filter.proof else {
            return Vec::new();
        };
        let kinds = EventKind::ALL.iter().copied();
        let kinds = kinds.filter(|kind| self.filter.kind.is_none_or(|wanted| wanted == *kind));
        kinds.map(|kind| marks::proven(kind, proof)).collect()
    }

    /// The statement that reads events, only at these places if there are any; each row has the
    /// feed's bounds too.
    pub(super) fn behind(self, places: &[Places], after: u64, limit: u32) -> (String, Vec<Value>) {
        let filter = self.filter;
        let mut those = Conditions::behind(values![limit]);
        if places.is_empty() {
            those.beyond("events.seq >", values![after]);
        }
        if let Some(tenant) = self.tenant {
            those.equal("events.tenant", tenant);
        }
        let is_of_recipient = self.way() == Way::Recipient;
        if is_of_recipient {
            let keys = filter.recipients.iter();
            those.within("events.recipient", keys.map(|key| Value::from(*key)));
        }
        if let Some(kind) = filter.kind {
            // Not by the index of kinds where there is a better one.
            let column = if is_of_recipient {
                "coalesce(events.kind, '')"
            } else {
                "events.kind"
            };
            those.equal(column, kind.as_str());
        }
        if let Some(proof) = filter.proof {
            those.equal("events.proof", proof.as_str());
        }
        let found = if places.is_empty() {
            let order = if is_of_recipient {
                "events.seq + 0"
            } else {
                "events.seq"
            };
            let which = those.to_where();
            format!("select events.* from events {which} order by {order} limit $1")
        } else {
            let found = at_places(&mut those, places);
            format!(
                "select events.* from ({found}) m cross join events
                 where events.seq = m.seq order by m.seq limit $1"
            )
        };
        let sql = format!(
            "select {BOUNDS}, {COLUMNS}, {DOOR} from feed f left join ({found}) e on true
             where f.id = 1 order by e.seq"
        );
        (sql, those.values)
    }
}

/// The feed's bounds, which each row has.
const BOUNDS: &str = "f.seq as head, f.trimmed, f.marked, f.unmarked";

/// How many of `limit` are wanted still.
fn left(limit: u32, found: usize) -> u32 {
    limit.saturating_sub(u32::try_from(found).unwrap_or(u32::MAX))
}

/// The places of parts, which are in their order; parts one behind the other are one.
fn places(parts: &[u64], after: u64, head: Option<u64>) -> Vec<Places> {
    let mut all: Vec<Places> = Vec::new();
    for part in parts {
        let (behind, upto) = marks::places_of(*part);
        // Nothing that was stored since the parts were read.
        let upto = head.map_or(upto, |head| upto.min(head));
        match all.last_mut() {
            Some(last) if last.1 == behind => last.1 = upto,
            _ => all.push((behind.max(after), upto)),
        }
    }
    all
}

/// The statement that reads what is at these places, of each as many as are wanted in all. Places
/// without any are added up to a power of two, so that fewer different statements are prepared.
fn at_places(those: &mut Conditions, places: &[Places]) -> String {
    let which = those.to_where();
    let more = places.len().next_power_of_two() - places.len();
    let all = places
        .iter()
        .copied()
        .chain(std::iter::repeat_n((0, 0), more));
    let mut of_each = Vec::new();
    for (behind, upto) in all {
        those.values.extend(values![behind, upto]);
        let number = those.values.len();
        of_each.push(format!(
            "select seq from (select events.seq from events {which}
                 and events.seq > ${} and events.seq <= ${number}
                 order by events.seq limit $1) r{number}",
            number - 1
        ));
    }
    of_each.join(" union all ")
}

/// The rows that stand for something: without any there is one with the bounds alone.
fn items(rows: &[Row]) -> Result<Vec<StoredEvent>, Failure> {
    match rows {
        [row] if row.opt_int("seq")?.is_none() => Ok(Vec::new()),
        rows => rows.iter().map(StoredEvent::of).collect(),
    }
}
