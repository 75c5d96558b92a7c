//! Holds: events that wait for an operator.

use std::str::FromStr as _;

use super::Store;
use super::events::{self, COLUMNS, DOOR, Source, StoredEvent};
use super::failure::{Failure, StoreError};
use super::lift::{self, NewSuppression};
use super::paging::{Page, Paging, foreign_cursor};
use super::pool::{Conn, read, write};
use super::receipts;
use super::sql::{Conditions, Row, execute, fetch, fetch_one, month, values};
use super::standing::{Because, Begin};
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, EventId, Proof};
use crate::model::tenant::TenantId;
use crate::model::words::words;

words! {
    /// What an operator decided about a hold.
    pub enum Decision as "decision" {
        /// It takes effect.
        Approved = "approved",
        /// It does not.
        Dismissed = "dismissed",
    }
}

/// An event that waits for an operator.
#[derive(Debug, Clone)]
pub struct StoredHold {
    /// The event, with its hold among its effects.
    pub event: StoredEvent,
    /// The batch that it belongs to: what was braked together.
    pub batch: Option<String>,
    /// What was decided, and when.
    pub decided: Option<(Decision, Timestamp)>,
}

/// What a hold has beside its event.
pub(super) const OWN: &str = "h.decision, h.decided, h.batch, h.scope as hold_scope, \
    h.reason as hold_reason, h.because as hold_because";
/// A hold with its event.
pub(super) const JOINED: &str = "holds h join events e
    on e.month = h.month and e.receipt = h.receipt and e.idx = h.idx";

impl StoredHold {
    /// Its id, which is the event's.
    pub(super) fn id(&self) -> EventId {
        self.event.event.id
    }

    pub(super) fn of(row: &Row) -> Result<Self, Failure> {
        let decided = match row.opt_word("decision")? {
            Some(decision) => Some((decision, row.time("decided")?)),
            None => None,
        };
        let mut event = StoredEvent::of(row)?;
        // It had taken effect before it was held.
        if let Some(scope) = row.opt_word("hold_scope")? {
            event.event.effects.push(Effect::Hold {
                scope,
                reason: row.word("hold_reason")?,
                because: row.word("hold_because")?,
            });
        }
        Ok(Self {
            event,
            batch: row.opt_text("batch")?,
            decided,
        })
    }
}

impl Store {
    /// Events that wait for an operator, of one batch or of all, the oldest first.
    pub async fn held(
        &self,
        tenant: Option<TenantId>,
        batch: Option<&str>,
        paging: &Paging,
    ) -> Result<Page<StoredHold>, StoreError> {
        let mut open = Conditions::behind(values![paging.rows()]);
        open.plain("h.decision is null");
        if let Some(batch) = batch {
            // The index has only what belongs to one, and is used only if that is said.
            open.plain("h.batch is not null");
            open.equal("h.batch", batch);
        }
        if let Some(tenant) = tenant {
            open.equal("h.tenant", tenant);
        }
        if let Some([event]) = paging.cursor()? {
            let id = EventId::from_str(&event).map_err(|_no_id| foreign_cursor())?;
            let place = values![month(id.receipt), id.receipt, id.index];
            open.beyond("(h.month, h.receipt, h.idx) >", place);
        }
        let sql = format!(
            "select {COLUMNS}, {DOOR}, {OWN} from {JOINED} {}
             order by h.month, h.receipt, h.idx limit $1",
            open.to_where()
        );
        let rows = read!(self.pool, |conn| fetch(conn, "holds", sql, open.values)
            .await)?;
        let items = rows.iter().map(StoredHold::of).collect::<Result<_, _>>()?;
        Ok(paging.page(items, |item: &StoredHold| [item.event.event.id.to_string()]))
    }

    /// One hold.
    pub async fn hold(&self, id: EventId) -> Result<Option<StoredHold>, StoreError> {
        read!(self.pool, |conn| one(conn, id).await)
    }

    /// Decides a hold. Approving suppresses `key` (with proof `operator`); dismissing changes
    /// nothing. `None` if it is not there or was decided before.
    ///
    /// The receipt is done when none of its events waits any longer.
    pub async fn decide(
        &self,
        id: EventId,
        decision: Decision,
        suppress: Option<NewSuppression>,
        now: Timestamp,
    ) -> Result<Option<Option<u64>>, StoreError> {
        let suppress = suppress.filter(|_| decision == Decision::Approved);
        if let Some(new) = &suppress {
            new.check()?;
        }
        write!(self.pool, |conn| {
            if settle(conn, id, decision, now).await? {
                self.take_effect(conn, id, suppress.as_ref(), now)
                    .await
                    .map(Some)
            } else {
                Ok(None)
            }
        })
    }

    async fn take_effect(
        &self,
        conn: &mut Conn<'_>,
        id: EventId,
        suppress: Option<&NewSuppression>,
        now: Timestamp,
    ) -> Result<Option<u64>, Failure> {
        let Some(new) = suppress else { return Ok(None) };
        let (Some(hold), Some(receipt)) =
            (one(conn, id).await?, receipts::one(conn, id.receipt).await?)
        else {
            return Err(missing());
        };
        let source = Source {
            at: receipt.receipt.at,
            door: receipt.receipt.door,
            digest: receipt.receipt.digest,
        };
        let begin = Begin {
            key: new.key,
            address: new.address.clone(),
            event: Some(id),
            evidence: events::evidence(&hold.event.event, Proof::Operator, &source)?,
            note: Some(new.note.clone()).filter(|note| !note.is_empty()),
            because: Because::of(&hold.event.event),
        };
        lift::begin(conn, vec![begin], self.addresses, now)
            .await
            .map(|(_, seq)| seq)
    }
}

async fn one(conn: &mut Conn<'_>, id: EventId) -> Result<Option<StoredHold>, Failure> {
    let sql = format!(
        "select {COLUMNS}, {DOOR}, {OWN} from {JOINED}
         where h.month = $1 and h.receipt = $2 and h.idx = $3"
    );
    let parameters = values![month(id.receipt), id.receipt, id.index];
    let row = fetch_one(conn, "holds", sql, parameters).await?;
    row.as_ref().map(StoredHold::of).transpose()
}

/// Notes the decision; `false` if there is nothing to decide.
async fn settle(
    conn: &mut Conn<'_>,
    id: EventId,
    decision: Decision,
    now: Timestamp,
) -> Result<bool, Failure> {
    // Locks the receipt: of two who decide its last two holds at once, the second sees the first.
    execute(
        conn,
        "update receipts set state = state where month = $1 and id = $2",
        values![month(id.receipt), id.receipt],
    )
    .await?;
    let decided = execute(
        conn,
        "update holds set decision = $4, decided = $5
         where month = $1 and receipt = $2 and idx = $3 and decision is null",
        values![
            month(id.receipt),
            id.receipt,
            id.index,
            decision.as_str(),
            now
        ],
    )
    .await?;
    if decided == 0 {
        return Ok(false);
    }
    execute(
        conn,
        "update receipts set state = 'done' where month = $1 and id = $2 and state = 'held'
         and not exists (select 1 from holds
             where holds.month = $1 and holds.receipt = $2 and holds.decision is null)",
        values![month(id.receipt), id.receipt],
    )
    .await?;
    Ok(true)
}

fn missing() -> Failure {
    StoreError::Inconsistent("holds: the event or receipt of a hold is missing".to_owned()).into()
}
