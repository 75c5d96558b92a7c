//! Holds that are decided together: those that a filter finds.

use super::batch::{Found, begin, found, proposed, settle};
use super::failure::{Failure, StoreError};
use super::held::Decision;
use super::lift;
use super::pool::{Conn, read, write};
use super::sql::{Conditions, month, values};
use super::{Addresses, Store};
use crate::model::clock::Timestamp;
use crate::model::event::{Event, EventId, EventKind, HoldReason};
use crate::model::provider::organisation;
use crate::model::receipt::ReceiptId;
use crate::model::tenant::TenantId;

/// Holds that one call looks at.
const LOOKED_AT: u32 = 500;

/// Which holds: those that everything given is true of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldFilter {
    /// Only reports of this reporter: its program, its name or its organisational domain.
    pub reporter: Option<String>,
    /// Only events of this kind.
    pub kind: Option<EventKind>,
    /// Only what waits for this reason.
    pub because: Option<HoldReason>,
    /// Only what was accepted then or later.
    pub since: Option<Timestamp>,
    /// Only what was accepted before then.
    pub until: Option<Timestamp>,
}

/// What is to be decided, and how.
#[derive(Debug, Clone, Copy)]
pub struct HeldDecision<'a> {
    /// Whose; `None`: of all tenants and of none.
    pub tenant: Option<TenantId>,
    /// Which.
    pub filter: &'a HeldFilter,
    /// How.
    pub decision: Decision,
    /// Why, in words.
    pub note: &'a str,
    /// The last that was looked at.
    pub after: Option<EventId>,
    /// Whether nothing is changed.
    pub dry_run: bool,
}

/// What one call has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldPage {
    /// How many were decided, or would be.
    pub decided: u64,
    /// How many the filter finds that cannot be approved, because they name nobody.
    pub nameless: u64,
    /// Where the next call goes on; `None`: all were looked at.
    pub next: Option<EventId>,
    /// The feed's head after it, if it changed anything.
    pub seq: Option<u64>,
}

impl Store {
    /// Looks at the next 500 open holds, the oldest first, and decides those of them that a filter
    /// finds. Call again with `after` until there is no `next`. A note is required.
    ///
    /// What somebody else has decided meanwhile is not counted. An approval leaves what names
    /// nobody.
    pub async fn decide_held(
        &self,
        what: HeldDecision<'_>,
        now: Timestamp,
    ) -> Result<HeldPage, StoreError> {
        if what.note.trim().is_empty() {
            return Err(lift::no_note());
        }
        if what.dry_run {
            return read!(self.pool, |conn| looked_at(conn, what)
                .await
                .map(|looked| looked.page));
        }
        write!(self.pool, |conn| decide(conn, what, self.addresses, now)
            .await)
    }
}

struct Looked {
    found: Vec<Found>,
    page: HeldPage,
}

async fn looked_at(conn: &mut Conn<'_>, what: HeldDecision<'_>) -> Result<Looked, Failure> {
    let mut open = found(conn, conditions(what)).await?;
    let is_full = u32::try_from(open.len()).is_ok_and(|rows| rows >= LOOKED_AT);
    let last = open.last().map(|(hold, _)| hold.id());
    open.retain(|(hold, _)| finds(what.filter, &hold.event.event));
    let all = open.len();
    if what.decision == Decision::Approved {
        open.retain(|one| proposed(&one.0.event.event).is_some());
    }
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Ok(Looked {
        page: HeldPage {
            decided: count(open.len()),
            nameless: count(all - open.len()),
            next: last.filter(|_| is_full),
            seq: None,
        },
        found: open,
    })
}

async fn decide(
    conn: &mut Conn<'_>,
    what: HeldDecision<'_>,
    addresses: Addresses,
    now: Timestamp,
) -> Result<HeldPage, Failure> {
    let Looked { found, page } = looked_at(conn, what).await?;
    if found.is_empty() {
        return Ok(page);
    }
    let decided = settle(conn, &found, what.decision, now).await?;
    let mut wanted = Vec::new();
    if what.decision == Decision::Approved {
        for (hold, source) in found.iter().filter(|one| decided.contains(&one.0.id())) {
            wanted.extend(begin(hold, source, what.note)?);
        }
    }
    let (_, seq) = lift::begin(conn, wanted, addresses, now).await?;
    Ok(HeldPage {
        decided: u64::try_from(decided.len()).unwrap_or(u64::MAX),
        seq,
        ..page
    })
}

/// Ids begin with the time of acceptance, so that a window is a range of them.
fn conditions(what: HeldDecision<'_>) -> Conditions {
    let mut those = Conditions::behind(values![LOOKED_AT]);
    those.plain("h.decision is null");
    if let Some(tenant) = what.tenant {
        those.equal("h.tenant", tenant);
    }
    let first = |at| ReceiptId::from_parts(at, &[0; 10]);
    if let Some(since) = what.filter.since {
        let id = first(since);
        those.beyond("(h.month, h.receipt) >=", values![month(id), id]);
    }
    if let Some(until) = what.filter.until {
        let id = first(until);
        those.beyond("(h.month, h.receipt) <", values![month(id), id]);
    }
    if let Some(after) = what.after {
        let place = values![month(after.receipt), after.receipt, after.index];
        those.beyond("(h.month, h.receipt, h.idx) >", place);
    }
    those
}

fn finds(filter: &HeldFilter, event: &Event) -> bool {
    let because = event.effects.iter().find_map(|effect| effect.because());
    filter.kind.is_none_or(|kind| kind == event.kind)
        && filter.because.is_none_or(|wanted| Some(wanted) == because)
        && filter.reporter.as_deref().is_none_or(|wanted| {
            let named = event.detail.reporter.as_deref();
            let domain = named.and_then(organisation);
            let program = event.detail.user_agent.as_deref();
            [named, domain.as_deref(), program]
                .into_iter()
                .flatten()
                .any(|name| name.eq_ignore_ascii_case(wanted))
        })
}
