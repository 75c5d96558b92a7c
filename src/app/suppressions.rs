//! Suppressions by hand: whom they are about, adding, lifting, looking up.

use std::time::Duration;

use tokio::time::timeout;

use crate::app::App;
use crate::model::address::{Address, AddressError};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;
use crate::store::{Addresses, Lift, LiftFilter, NewSuppression, StoreError, StoredSuppression};

/// How long a writing call waits for its change to reach this node's index.
const INDEX_WAIT: Duration = Duration::from_secs(2);

/// The smallest step of time: what stands since this very moment is meant too.
const TICK: Duration = Duration::from_millis(1);

/// Longest note, in bytes.
pub const LONGEST_NOTE: usize = 2000;

/// Whom a call is about: an address, or the recipient key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// The key under every address-key generation, the newest first. Never empty.
    pub recipients: Vec<RecipientKey>,
    /// The canonical address, if one was given.
    pub address: Option<Address>,
}

/// Why an item was not acted on. The others of the same call were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// It names no address.
    #[error("no address: {0}")]
    Address(#[from] AddressError),
    /// It names neither an address nor a recipient key, or both.
    #[error("give either an address or a recipient (20 hexadecimal digits)")]
    Whom,
    /// Its scope names a stream that does not exist.
    #[error("the tenant has no stream {0}")]
    UnknownStream(u16),
    /// Its note is too long.
    #[error("a note has at most 2000 bytes")]
    LongNote,
    /// The tenant has no address key.
    #[error("the tenant has no key for addresses")]
    NoKey,
}

/// One suppression to add.
#[derive(Debug, Clone)]
pub struct Addition {
    /// The address as given.
    pub address: String,
    /// How much to stop.
    pub scope: Scope,
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub note: String,
}

/// What an addition did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// What stands now.
    pub key: SuppressionKey,
    /// Whether it did not stand before.
    pub created: bool,
}

/// One thing to lift.
#[derive(Debug, Clone)]
pub struct Removal {
    /// The address as given.
    pub address: Option<String>,
    /// Or the recipient key.
    pub recipient: Option<RecipientKey>,
    /// Only this scope.
    pub scope: Option<Scope>,
    /// Only this reason.
    pub reason: Option<Reason>,
}

/// A recipient's key in the newest generation and what was lifted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifted {
    /// Whom it was about.
    pub recipient: RecipientKey,
    /// What stood and stands no more.
    pub keys: Vec<SuppressionKey>,
}

/// What a writing call answers.
#[derive(Debug, Clone)]
pub struct Written<T, E = ItemError> {
    /// One an item, in the order of the call.
    pub items: Vec<Result<T, E>>,
    /// Whether this node's index shows it already.
    pub indexed: bool,
}

/// Waits until this node's index shows what the store answered: the change at `seq`. `None` changed
/// nothing, but another node may just have written what the call found there, so then it is all
/// that is in the feed by now.
pub async fn indexed(app: &App, seq: Option<u64>) -> bool {
    let reached = async {
        let seq = match seq {
            Some(seq) => seq,
            None => app.store.head().await.ok()?.seq,
        };
        Some(app.follower.reach(seq, INDEX_WAIT).await)
    };
    matches!(timeout(INDEX_WAIT, reached).await, Ok(Some(true)))
}

/// The recipient of an address.
pub fn whom(app: &App, tenant: TenantId, address: &str) -> Result<Whom, ItemError> {
    let address = Address::parse(address)?;
    let recipients = app.reception.keyring().recipient_keys(tenant, &address);
    if recipients.is_empty() {
        return Err(ItemError::NoKey);
    }
    Ok(Whom {
        recipients,
        address: Some(address),
    })
}

/// The recipient of an address, or the one that a key of 20 hexadecimal digits is.
pub fn whom_in(app: &App, tenant: TenantId, text: &str) -> Result<Whom, ItemError> {
    match text.parse::<RecipientKey>() {
        Ok(recipient) => Ok(Whom {
            recipients: vec![recipient],
            address: None,
        }),
        Err(_) => whom(app, tenant, text),
    }
}

/// Adds suppressions in one transaction; bad items are named and the others added.
pub async fn add(
    app: &App,
    tenant: TenantId,
    additions: &[Addition],
) -> Result<Written<Added>, StoreError> {
    let plan: Vec<Result<NewSuppression, ItemError>> = additions
        .iter()
        .map(|addition| plan_addition(app, tenant, addition))
        .collect();
    let new: Vec<NewSuppression> = plan.iter().flatten().cloned().collect();
    let (created, indexed) = if new.is_empty() {
        (Vec::new(), true)
    } else {
        let (created, seq) = app.store.suppress(&new, app.clock.now()).await?;
        (created, indexed(app, seq).await)
    };
    let mut created = created.into_iter();
    let items = plan
        .into_iter()
        .map(|item| {
            let key = item?.key;
            let created = created.next().unwrap_or(false);
            Ok(Added { key, created })
        })
        .collect();
    Ok(Written { items, indexed })
}

fn plan_addition(
    app: &App,
    tenant: TenantId,
    addition: &Addition,
) -> Result<NewSuppression, ItemError> {
    known_scope(app, tenant, addition.scope)?;
    if addition.note.len() > LONGEST_NOTE {
        return Err(ItemError::LongNote);
    }
    let whom = whom(app, tenant, &addition.address)?;
    let recipient = *whom.recipients.first().ok_or(ItemError::NoKey)?;
    Ok(NewSuppression {
        key: SuppressionKey {
            tenant,
            recipient,
            scope: addition.scope,
            reason: addition.reason,
        },
        address: kept(app, whom.address.as_ref()),
        note: addition.note.clone(),
    })
}

/// A scope must not name a stream that does not exist.
pub fn known_scope(app: &App, tenant: TenantId, scope: Scope) -> Result<(), ItemError> {
    match scope {
        Scope::Stream(number) if app.reception.directory().stream(tenant, number).is_none() => {
            Err(ItemError::UnknownStream(number))
        }
        Scope::All | Scope::Marketing | Scope::Stream(_) => Ok(()),
    }
}

/// The address as it is stored, where addresses are kept.
pub fn kept(app: &App, address: Option<&Address>) -> Option<String> {
    match app.settings.addresses {
        Addresses::Keep => address.map(|address| address.as_str().to_owned()),
        Addresses::Forget => None,
    }
}

/// Lifts in one transaction; bad items are named and the others lifted. The note is kept with
/// each suppression that ends.
pub async fn lift(
    app: &App,
    tenant: TenantId,
    removals: &[Removal],
    note: &str,
) -> Result<Written<Lifted>, StoreError> {
    let plan: Vec<Result<Lift, ItemError>> = removals
        .iter()
        .map(|removal| plan_removal(app, tenant, removal))
        .collect();
    let lifts: Vec<Lift> = plan.iter().flatten().cloned().collect();
    let (ended, indexed) = if lifts.is_empty() {
        (Vec::new(), true)
    } else {
        let now = app.clock.now();
        let (ended, seq) = app.store.lift(tenant, &lifts, note, now).await?;
        (ended, indexed(app, seq).await)
    };
    let mut ended = ended.into_iter();
    let items = plan
        .into_iter()
        .map(|item| {
            let lift = item?;
            let recipient = *lift.recipients.first().ok_or(ItemError::NoKey)?;
            Ok(Lifted {
                recipient,
                keys: ended.next().unwrap_or_default(),
            })
        })
        .collect();
    Ok(Written { items, indexed })
}

/// How many suppressions a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiftedCount {
    /// How many.
    pub lifted: u64,
    /// Whether this node's index shows it already.
    pub indexed: bool,
}

/// Lifts all that a filter finds, a few hundred in a transaction.
pub async fn lift_many(
    app: &App,
    tenant: TenantId,
    filter: &LiftFilter,
    note: &str,
) -> Result<LiftedCount, StoreError> {
    // What begins meanwhile is not meant.
    let now = app.clock.now();
    let mut filter = filter.clone();
    filter.until = Some(
        filter
            .until
            .map_or(now.after(TICK), |until| until.min(now.after(TICK))),
    );
    let (mut lifted, mut last) = (0, None);
    loop {
        let some = app.store.lift_many(tenant, &filter, note, now).await?;
        if some.lifted == 0 {
            break;
        }
        lifted += some.lifted;
        last = some.seq.or(last);
    }
    let indexed = lifted == 0 || indexed(app, last).await;
    Ok(LiftedCount { lifted, indexed })
}

fn plan_removal(app: &App, tenant: TenantId, removal: &Removal) -> Result<Lift, ItemError> {
    let recipients = match (&removal.address, removal.recipient) {
        (Some(address), None) => whom(app, tenant, address)?.recipients,
        (None, Some(recipient)) => vec![recipient],
        (Some(_), Some(_)) | (None, None) => return Err(ItemError::Whom),
    };
    Ok(Lift {
        recipients,
        scope: removal.scope,
        reason: removal.reason,
    })
}

/// All that is and was about one recipient: standing first, then lifted, the newest first.
pub async fn history(
    app: &App,
    tenant: TenantId,
    whom: &Whom,
) -> Result<Vec<StoredSuppression>, StoreError> {
    app.store.suppressions_of(tenant, &whom.recipients).await
}
