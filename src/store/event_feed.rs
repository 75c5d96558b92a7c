//! Events in the order of the feed, by what they are filtered by.

use super::Store;
use super::events::{COLUMNS, DOOR, StoredEvent};
use super::failure::{Failure, StoreError};
use super::feed::{Place, bounded, no_counter};
use super::marks;
use super::pool::read;
use super::sql::{Conditions, Row, Value, fetch, values};
use crate::model::event::{EventKind, Proof};
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;

/// Which events of the feed: those that everything given is true of.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only with this proof.
    pub proof: Option<Proof>,
    /// Only from this reporter, by the name that [`meant`](crate::model::reporter::meant) gives.
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
        let (sql, values) = behind(tenant, filter, after, limit);
        let rows = read!(self.pool, |conn| fetch(conn, "events", sql, values).await)?;
        let first = rows.first().ok_or_else(no_counter)?;
        let place = Place {
            head: first.number("head")?,
            trimmed: first.number("trimmed")?,
        };
        if after > place.head {
            return Err(StoreError::Gone(place.trimmed));
        }
        let (marked, unmarked): (u64, u64) = (first.number("marked")?, first.number("unmarked")?);
        if Way::of(tenant, filter).needs_marks(filter) && marked < unmarked && after < unmarked {
            return Err(StoreError::NotYet { marked, unmarked });
        }
        let events = items(&rows)?;
        let reached = place.reached(events.last().map(|event| event.seq), events.len(), limit);
        Ok((events, reached))
    }
}

/// The rows that stand for something: without any there is one with the bounds alone.
fn items(rows: &[Row]) -> Result<Vec<StoredEvent>, Failure> {
    match rows {
        [row] if row.opt_int("seq")?.is_none() => Ok(Vec::new()),
        rows => rows.iter().map(StoredEvent::of).collect(),
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
    /// By the mark of their reporter.
    Reporter,
    /// By the marks of the proof, of one kind or of each.
    Proof,
    /// By an index of tenant or of tenant and kind.
    Tenant,
}

impl Way {
    fn of(tenant: Option<TenantId>, filter: &EventFilter) -> Self {
        match tenant {
            _ if !filter.recipients.is_empty() => Self::Recipient,
            None => Self::Through,
            Some(_) if filter.reporter.is_some() => Self::Reporter,
            Some(_) if filter.proof.is_some() => Self::Proof,
            Some(_) => Self::Tenant,
        }
    }

    /// An event's row tells its proof, but not the name of its reporter.
    fn needs_marks(self, filter: &EventFilter) -> bool {
        filter.reporter.is_some() || self == Self::Proof
    }
}

/// The statement that reads events; each row has the feed's bounds too.
pub(super) fn behind(
    tenant: Option<TenantId>,
    filter: &EventFilter,
    after: u64,
    limit: u32,
) -> (String, Vec<Value>) {
    let way = Way::of(tenant, filter);
    let mut those = Conditions::behind(values![bounded(limit), after]);
    let (from, seq) = match way {
        Way::Reporter => ("event_marks m cross join events".to_owned(), "m.seq"),
        Way::Proof => {
            let found = by_proof(&mut those.values, tenant, filter);
            (format!("({found}) m cross join events"), "m.seq")
        }
        Way::Through | Way::Recipient | Way::Tenant => ("events".to_owned(), "events.seq"),
    };
    those.plain(&format!("{seq} > $2"));
    match way {
        Way::Reporter => {
            those.plain("events.seq = m.seq");
            those.equal("m.tenant", marks::owner(tenant));
            those.equal("m.mark", mark_of(filter).as_str());
        }
        Way::Proof => those.plain("events.seq = m.seq"),
        Way::Through | Way::Recipient | Way::Tenant => {
            if let Some(tenant) = tenant {
                those.equal("events.tenant", tenant);
            }
        }
    }
    // What the rows are not found by is looked at in each.
    if way == Way::Recipient {
        let keys = filter.recipients.iter();
        those.within("events.recipient", keys.map(|key| Value::from(*key)));
    }
    if let Some(kind) = filter.kind.filter(|_| way != Way::Proof) {
        let column = match way {
            Way::Recipient => "coalesce(events.kind, '')",
            _ => "events.kind",
        };
        those.equal(column, kind.as_str());
    }
    if let Some(proof) = filter.proof.filter(|_| way != Way::Proof) {
        those.equal("events.proof", proof.as_str());
    }
    if filter.reporter.is_some() && way != Way::Reporter {
        those.values.push(mark_of(filter).as_str().into());
        let mark = those.values.len();
        those.plain(&format!(
            "exists (select 1 from event_marks m where m.tenant = coalesce(events.tenant, 0)
                     and m.mark = ${mark} and m.seq = events.seq)"
        ));
    }
    let order = match way {
        Way::Recipient => "events.seq + 0",
        _ => seq,
    };
    let sql = format!(
        "select f.seq as head, f.trimmed, f.marked, f.unmarked, {COLUMNS}, {DOOR}
         from feed f left join
              (select events.* from {from} {} order by {order} limit $1) e on true
         where f.id = 1 order by e.seq",
        those.to_where()
    );
    (sql, those.values)
}

fn mark_of(filter: &EventFilter) -> String {
    marks::reported_by(filter.reporter.as_deref().unwrap_or_default())
}

/// The places of what has a proof: of each kind as many as are wanted in all.
fn by_proof(values: &mut Vec<Value>, tenant: Option<TenantId>, filter: &EventFilter) -> String {
    values.push(marks::owner(tenant).into());
    let owner = values.len();
    let kinds = EventKind::ALL.iter().copied();
    let kinds = kinds.filter(|kind| filter.kind.is_none_or(|wanted| wanted == *kind));
    let mut of_each = Vec::new();
    for kind in kinds {
        let Some(proof) = filter.proof else { break };
        values.push(marks::proven(kind, proof).as_str().into());
        let mark = values.len();
        of_each.push(format!(
            "select seq from (select seq from event_marks
             where tenant = ${owner} and mark = ${mark} and seq > $2
             order by seq limit $1) m{mark}"
        ));
    }
    of_each.join(" union all ")
}
