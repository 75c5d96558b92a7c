//! Review of what waits for an operator: approve or dismiss.

use crate::app::App;
use crate::app::suppressions::{ItemError, Whom, indexed, kept, known_scope, whom};
use crate::model::event::{Effect, EventId};
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;
use crate::store::{
    BatchDecision, Decision, HeldDecision, HeldPage, NewSuppression, StoreError, StoredHold,
};

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// Whose holds: one tenant's, or those of all and of none.
    pub tenant: Option<TenantId>,
    /// Whether it is the installation's operator, who also decides what belongs to no tenant: by
    /// naming one it is approved for that one.
    pub of_installation: bool,
}

impl Operator {
    fn may_decide(self, hold: &StoredHold) -> bool {
        match (hold.event.event.tenant, self.tenant) {
            (None, _) => self.of_installation,
            (Some(_), None) => true,
            (Some(its), Some(own)) => its == own,
        }
    }
}

/// What an operator adds to an approval.
#[derive(Debug, Clone, Default)]
pub struct Approval {
    /// Whom it is about, where the hold does not know.
    pub address: Option<String>,
    /// How much to stop, instead of what the hold proposes.
    pub scope: Option<Scope>,
    /// Why, in words.
    pub note: Option<String>,
}

/// A decision that was made.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Which hold.
    pub id: EventId,
    /// How.
    pub decision: Decision,
    /// What stands because of it.
    pub suppression: Option<SuppressionKey>,
    /// Whether this node's index shows it already.
    pub indexed: bool,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// There is no such hold, or it is another tenant's.
    #[error("there is no hold of that id")]
    Unknown,
    /// It was decided before.
    #[error("it was {0} before")]
    Before(Decision),
    /// Neither the hold nor the call says whose it is.
    #[error("the hold belongs to no tenant; name one in the header Desist-Tenant")]
    NoTenant,
    /// Neither the hold nor the call says whom it is about.
    #[error("the hold knows no recipient; give an address")]
    NoRecipient,
    /// The address of the call is not the hold's recipient.
    #[error("the address is not the recipient of this hold")]
    OtherRecipient,
    /// Address, scope or note of the call cannot be used.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets a hold take effect, with proof `operator`.
pub async fn approve(
    app: &App,
    operator: Operator,
    id: EventId,
    approval: Approval,
) -> Result<Decided, DecideError> {
    let hold = open_hold(app, operator, id).await?;
    let suppression = planned(app, operator.tenant, &hold, approval)?;
    let key = suppression.key;
    decide(app, id, Decision::Approved, Some(suppression))
        .await
        .map(|decided| Decided {
            suppression: Some(key),
            ..decided
        })
}

/// Ends a hold without effect.
pub async fn dismiss(app: &App, operator: Operator, id: EventId) -> Result<Decided, DecideError> {
    open_hold(app, operator, id).await?;
    decide(app, id, Decision::Dismissed, None).await
}

/// Which batch, and whose.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Whose holds: one tenant's, or those of all.
    pub tenant: Option<TenantId>,
    /// The batch.
    pub batch: &'a str,
    /// Why, in words; may be empty.
    pub note: &'a str,
}

/// What was decided of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedBatch {
    /// How many waited.
    pub count: u64,
    /// Whether this node's index shows it already.
    pub indexed: bool,
}

/// Decides a whole batch, a few hundred in a transaction.
pub async fn decide_batch(
    app: &App,
    what: Batch<'_>,
    decision: Decision,
) -> Result<DecidedBatch, StoreError> {
    let what = BatchDecision {
        tenant: what.tenant,
        batch: what.batch,
        decision,
        note: what.note,
    };
    let (mut count, mut last) = (0, None);
    loop {
        let some = app.store.decide_batch(what, app.clock.now()).await?;
        if some.decided == 0 {
            break;
        }
        count += some.decided;
        last = some.seq.or(last);
    }
    let nothing = count == 0 || decision == Decision::Dismissed;
    let indexed = nothing || indexed(app, last).await;
    Ok(DecidedBatch { count, indexed })
}

/// What one call has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedPage {
    /// What was looked at.
    pub page: HeldPage,
    /// Whether this node's index shows it already.
    pub indexed: bool,
}

/// Decides the next of those holds that a filter finds.
pub async fn decide_held(app: &App, what: HeldDecision<'_>) -> Result<DecidedPage, StoreError> {
    let page = app.store.decide_held(what, app.clock.now()).await?;
    let nothing = page.decided == 0 || what.dry_run || what.decision == Decision::Dismissed;
    let indexed = nothing || indexed(app, page.seq).await;
    Ok(DecidedPage { page, indexed })
}

async fn open_hold(app: &App, operator: Operator, id: EventId) -> Result<StoredHold, DecideError> {
    let hold = app.store.hold(id).await?.ok_or(DecideError::Unknown)?;
    if !operator.may_decide(&hold) {
        return Err(DecideError::Unknown);
    }
    match hold.decided {
        Some((decision, _)) => Err(DecideError::Before(decision)),
        None => Ok(hold),
    }
}

async fn decide(
    app: &App,
    id: EventId,
    decision: Decision,
    suppress: Option<NewSuppression>,
) -> Result<Decided, DecideError> {
    match app
        .store
        .decide(id, decision, suppress, app.clock.now())
        .await?
    {
        Some(seq) => Ok(Decided {
            id,
            decision,
            suppression: None,
            // A dismissal has nothing to show.
            indexed: decision == Decision::Dismissed || indexed(app, seq).await,
        }),
        // Somebody else was faster: say what they decided.
        None => match app.store.hold(id).await?.and_then(|hold| hold.decided) {
            Some((before, _)) => Err(DecideError::Before(before)),
            None => Err(DecideError::Unknown),
        },
    }
}

/// What an approval suppresses: what the hold proposes, completed by the operator.
fn planned(
    app: &App,
    tenant: Option<TenantId>,
    hold: &StoredHold,
    approval: Approval,
) -> Result<NewSuppression, DecideError> {
    let event = &hold.event.event;
    let tenant = event.tenant.or(tenant).ok_or(DecideError::NoTenant)?;
    let (scope, reason) = proposal(&event.effects);
    let scope = approval.scope.unwrap_or(scope);
    known_scope(app, tenant, scope)?;
    let note = approval.note.unwrap_or_default();
    if note.len() > crate::app::suppressions::LONGEST_NOTE {
        return Err(ItemError::LongNote.into());
    }
    let given = approval
        .address
        .map(|address| whom(app, tenant, &address))
        .transpose()?;
    let (recipient, address) = match (event.recipient, given) {
        (None, None) => return Err(DecideError::NoRecipient),
        (Some(recipient), None) => (recipient, event.address.clone()),
        (
            Some(recipient),
            Some(Whom {
                recipients,
                address,
            }),
        ) => {
            if !recipients.contains(&recipient) {
                return Err(DecideError::OtherRecipient);
            }
            (recipient, kept(app, address.as_ref()))
        }
        (
            None,
            Some(Whom {
                recipients,
                address,
            }),
        ) => {
            let newest = recipients.first().ok_or(ItemError::NoKey)?;
            (*newest, kept(app, address.as_ref()))
        }
    };
    let key = SuppressionKey {
        tenant,
        recipient,
        scope,
        reason,
    };
    Ok(NewSuppression { key, address, note })
}

/// Scope and reason that the hold proposes. A hold always has one; without it the narrowest
/// assumption that still stops marketing is made.
fn proposal(effects: &[Effect]) -> (Scope, Reason) {
    effects
        .iter()
        .filter(|effect| effect.because().is_some())
        .find_map(|effect| effect.stops())
        .unwrap_or((Scope::Marketing, Reason::Manual))
}
