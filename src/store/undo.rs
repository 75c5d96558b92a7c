//! Ends what a visit of the landing page has begun, and nothing else: where somebody has opted out
//! since in any other way, that opt-out takes its place ([`heirs`]).
//!
//! Opt-out and undo may have come to two nodes, and the undo may be stored first: then the opt-out
//! finds it. Both look after they have taken their places of the feed, which is the lock under
//! which they see each other.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::Failure;
use super::feed::{self, NewChange};
use super::heirs;
use super::lift;
use super::pool::Conn;
use super::record::Verdict;
use super::sql::{ManyRows, Row, fetch, fetch_many, month, values};
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, Event, EventId};
use crate::model::receipt::{Door, ReceiptId};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;
use crate::report::page::{Pressed, pressed};
use crate::token::undo::Visit;

/// Why something undone was lifted.
const NOTE: &str = "taken back on the page where it was begun";

/// Whether a verdict takes something back.
pub(super) fn takes_back(verdict: &Verdict) -> bool {
    let mut events = verdict.events.iter();
    events.any(|event| event.effects.contains(&Effect::Undo))
}

/// Settles the undoing in new verdicts, of which `begun` are the suppressions that they began; the
/// feed's head after it, if it ended anything.
pub(super) async fn settle(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    begun: &[NewChange],
    now: Timestamp,
) -> Result<Option<u64>, Failure> {
    let mut doomed = Vec::new();
    for verdict in new.iter().filter(|verdict| takes_back(verdict)) {
        doomed.extend(begun_by_visit(conn, verdict).await?);
    }
    doomed.extend(taken_back_before(conn, new, begun).await?);
    let mut changes = heirs::take_over(conn, &doomed, now).await?;
    // What was taken over is of another event now, and not found.
    let ended = lift::remove_begun(conn, &doomed).await?;
    let inherited = u64::try_from(changes.len()).unwrap_or_default();
    changes.extend(ended.iter().map(|stood| stood.ended(now)));
    if changes.is_empty() {
        return Ok(None);
    }
    let first = feed::advance(conn, changes.len()).await?;
    feed::publish(conn, &changes, first).await?;
    lift::remember(conn, ended, first + inherited, (now, NOTE)).await?;
    Ok(Some(
        first + u64::try_from(changes.len()).unwrap_or_default() - 1,
    ))
}

type Doomed = Vec<(SuppressionKey, EventId)>;

/// The recipient's opt-outs that stand because of the visit which this verdict takes back.
async fn begun_by_visit(conn: &mut Conn<'_>, verdict: &Verdict) -> Result<Doomed, Failure> {
    let whose = verdict.events.iter().find_map(whose);
    let (Some(visit), Some((tenant, recipient))) = (taken_back(&verdict.raw), whose) else {
        return Ok(Vec::new());
    };
    let rows = fetch(
        conn,
        "suppressions",
        "select scope, event_receipt, event_idx from suppressions
         where tenant = $1 and recipient = $2 and reason = $3 and event_receipt is not null",
        values![tenant, recipient, Reason::Unsubscribe.as_str()],
    )
    .await?;
    let mut doomed = Vec::new();
    for row in rows {
        let receipt = ReceiptId::from_bytes(row.array("event_receipt")?);
        if visit_of(conn, receipt).await? != Some(visit) {
            continue;
        }
        let key = SuppressionKey {
            tenant,
            recipient,
            scope: row.word::<Scope>("scope")?,
            reason: Reason::Unsubscribe,
        };
        let index = row.number("event_idx")?;
        doomed.push((key, EventId { receipt, index }));
    }
    Ok(doomed)
}

/// The visit that a receipt came from: its raw bytes name it, and are kept for longer than it can
/// be taken back.
pub(super) async fn visit_of(
    conn: &mut Conn<'_>,
    receipt: ReceiptId,
) -> Result<Option<Visit>, Failure> {
    let rows = fetch(
        conn,
        "raw",
        "select w.bytes from receipts r join raw w on w.at = r.at and w.sha256 = r.sha256
         where r.month = $1 and r.id = $2 and r.door = $3",
        values![month(receipt), receipt, Door::OneClick.as_str()],
    )
    .await?;
    match rows.first() {
        Some(row) => Ok(made_in(&row.bytes("bytes")?)),
        None => Ok(None),
    }
}

/// Those of the suppressions begun now whose visit has been taken back since, by another node that
/// was faster.
async fn taken_back_before(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    begun: &[NewChange],
) -> Result<Doomed, Failure> {
    let visits = visits(new, begun);
    if visits.is_empty() {
        return Ok(Vec::new());
    }
    let undone = undone(conn, visits.keys()).await?;
    Ok(visits
        .into_iter()
        .filter(|(key, (visit, at, _))| undone.iter().any(|undone| undone.ends(key, *visit, *at)))
        .map(|(key, (_, _, event))| (key, event))
        .collect())
}

/// What has been taken back of these recipients' opt-outs.
pub(super) async fn undone(
    conn: &mut Conn<'_>,
    keys: impl Iterator<Item = &SuppressionKey>,
) -> Result<Vec<Undone>, Failure> {
    let people: BTreeSet<_> = keys.map(|key| (key.tenant, key.recipient)).collect();
    let people = people
        .into_iter()
        .map(|(tenant, recipient)| values![tenant, recipient]);
    let statement = ManyRows {
        table: "events",
        head: "select e.tenant, e.recipient, w.at, w.bytes from (",
        tail: ") k cross join events e
               join receipts r on r.month = e.month and r.id = e.receipt
               join raw w on w.at = r.at and w.sha256 = r.sha256
               where e.tenant = k.column1 and e.recipient = k.column2 and e.kind = 'undo'",
    };
    let rows = fetch_many(conn, statement, people.collect()).await?;
    rows.iter().map(Undone::of).collect()
}

/// A stored undo.
pub(super) struct Undone {
    whose: (TenantId, RecipientKey),
    at: Timestamp,
    visit: Option<Visit>,
}

impl Undone {
    /// Whether it takes back what that visit began then.
    pub(super) fn ends(&self, key: &SuppressionKey, visit: Visit, at: Timestamp) -> bool {
        self.whose == (key.tenant, key.recipient) && self.visit == Some(visit) && self.at >= at
    }

    fn of(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            whose: (
                row.tenant("tenant")?,
                RecipientKey::from_bytes(row.array("recipient")?),
            ),
            at: row.time("at")?,
            visit: taken_back(&row.bytes("bytes")?),
        })
    }
}

type Visits = BTreeMap<SuppressionKey, (Visit, Timestamp, EventId)>;

/// The visits that began any of these suppressions; of equal ones the first event did.
fn visits(new: &[&Verdict], begun: &[NewChange]) -> Visits {
    let mut visits = Visits::new();
    for verdict in new {
        let receipt = &verdict.receipt;
        if receipt.door != Door::OneClick {
            continue;
        }
        let Some(visit) = made_in(&verdict.raw) else {
            continue;
        };
        for event in &verdict.events {
            for (scope, reason) in event.effects.iter().filter_map(|effect| effect.stops()) {
                let Some((tenant, recipient)) = whose(event) else {
                    continue;
                };
                let key = SuppressionKey {
                    tenant,
                    recipient,
                    scope,
                    reason,
                };
                visits.entry(key).or_insert((visit, receipt.at, event.id));
            }
        }
    }
    if !visits.is_empty() {
        let begun: BTreeSet<_> = begun.iter().map(|change| change.key).collect();
        visits.retain(|key, _| begun.contains(key));
    }
    visits
}

fn whose(event: &Event) -> Option<(TenantId, RecipientKey)> {
    Some((event.tenant?, event.recipient?))
}

fn made_in(body: &[u8]) -> Option<Visit> {
    match pressed(body) {
        Pressed::Unsubscribe { visit } => visit,
        Pressed::Undo { .. } => None,
    }
}

fn taken_back(body: &[u8]) -> Option<Visit> {
    match pressed(body) {
        Pressed::Undo { nonce } => Visit::of_nonce(nonce),
        Pressed::Unsubscribe { .. } => None,
    }
}
