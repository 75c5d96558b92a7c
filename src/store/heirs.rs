//! Who takes the place of an opt-out that is taken back.
//!
//! An opt-out of a recipient who has opted out already changes nothing, and only its event is kept. If
//! the first one is then taken back on the page, it must stand all the same: nobody has taken *it*
//! back. So the suppression goes over to the first opt-out that was stored since, one that no undo
//! can take back before any other.

use super::events::{self, COLUMNS as EVENT_COLUMNS, Source, event_of};
use super::failure::Failure;
use super::feed::NewChange;
use super::pool::Conn;
use super::sql::{Row, fetch, fetch_one, month, values};
use super::undo::{Undone, undone, visit_of};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::event::{Effect, Event, EventId};
use crate::model::suppression::{ChangeOp, SuppressionKey};

/// An opt-out that would have begun what stands.
struct Heir {
    event: Event,
    source: Source,
}

/// Gives suppressions that stand by these events to those who have opted out since, and what the
/// feed is to say of that. The others are left as they are.
pub(super) async fn take_over(
    conn: &mut Conn<'_>,
    doomed: &[(SuppressionKey, EventId)],
    now: Timestamp,
) -> Result<Vec<NewChange>, Failure> {
    if doomed.is_empty() {
        return Ok(Vec::new());
    }
    let undone = undone(conn, doomed.iter().map(|(key, _)| key)).await?;
    let mut changes = Vec::new();
    for (key, event) in doomed {
        if let Some(heir) = heir(conn, key, *event, &undone).await? {
            changes.extend(give(conn, key, *event, (&heir, now)).await?);
        }
    }
    Ok(changes)
}

/// The first opt-out behind that event in the feed which stands in for it.
async fn heir(
    conn: &mut Conn<'_>,
    key: &SuppressionKey,
    doomed: EventId,
    undone: &[Undone],
) -> Result<Option<Heir>, Failure> {
    let (mut taken_back_later, wanted) = (
        None,
        Effect::Suppress {
            scope: key.scope,
            reason: key.reason,
        },
    );
    for heir in opt_outs_behind(conn, key, doomed).await? {
        if !heir.event.effects.contains(&wanted) {
            continue;
        }
        let Some(visit) = visit_of(conn, heir.event.id.receipt).await? else {
            return Ok(Some(heir));
        };
        let is_undone = undone
            .iter()
            .any(|undone| undone.ends(key, visit, heir.source.at));
        if !is_undone && taken_back_later.is_none() {
            taken_back_later = Some(heir);
        }
    }
    Ok(taken_back_later)
}

/// The recipient's events behind that one, those left out that were withdrawn. How many they can be
/// is bounded by what is kept of a token in the hour within which an opt-out can be taken back.
async fn opt_outs_behind(
    conn: &mut Conn<'_>,
    key: &SuppressionKey,
    doomed: EventId,
) -> Result<Vec<Heir>, Failure> {
    // By the recipient: in the order of the feed all of the tenant's would be gone through.
    let sql = format!(
        "select {EVENT_COLUMNS}, r.door, r.sha256
         from events e join receipts r on r.month = e.month and r.id = e.receipt
         where e.tenant = $1 and e.recipient = $2 and e.seq > (
                 select seq from events where month = $3 and receipt = $4 and idx = $5)
             and not exists (select 1 from withdrawn_events w where w.month = e.month
                 and w.receipt = e.receipt and w.idx = e.idx)
         order by e.seq + 0"
    );
    let whose = values![
        key.tenant,
        key.recipient,
        month(doomed.receipt),
        doomed.receipt,
        doomed.index,
    ];
    let rows = fetch(conn, "events", sql, whose).await?;
    let heir = |row: &Row| {
        Ok(Heir {
            event: event_of(row)?,
            source: Source {
                at: row.time("at")?,
                door: row.word("door")?,
                digest: Digest::from_bytes(row.array("sha256")?),
            },
        })
    };
    rows.iter().map(heir).collect()
}

/// Makes it the heir's from now on, if it stands by that event.
async fn give(
    conn: &mut Conn<'_>,
    key: &SuppressionKey,
    doomed: EventId,
    (heir, now): (&Heir, Timestamp),
) -> Result<Option<NewChange>, Failure> {
    let Heir { event, source } = heir;
    let sql =
        "update suppressions set since = $7, event_receipt = $8, event_idx = $9, evidence = $10
         where tenant = $1 and recipient = $2 and scope = $3 and reason = $4
             and event_receipt = $5 and event_idx = $6 returning address";
    let evidence = events::evidence(event, event.proof, source)?;
    let values = values![
        key.tenant,
        key.recipient,
        key.scope.to_string().as_str(),
        key.reason.as_str(),
        doomed.receipt,
        doomed.index,
        now,
        event.id.receipt,
        event.id.index,
        evidence.as_str(),
    ];
    let row = fetch_one(conn, "suppressions", sql, values).await?;
    let address = row.map(|row| row.opt_text("address")).transpose()?;
    Ok(address.map(|address| NewChange {
        op: ChangeOp::Suppress,
        key: *key,
        address,
        at: now,
    }))
}
