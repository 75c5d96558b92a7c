//! Erases who a recipient is, on demand of that person. What was suppressed stays so.

use std::time::Duration;

use crate::app::App;
use crate::app::suppressions::{ItemError, whom_in};
use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;
use crate::store::{Erased, Erasure, StoreError};

/// Why nothing, or not all, was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// It names nobody.
    #[error(transparent)]
    Whom(#[from] ItemError),
    /// The store broke off; called again it goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was erased, and what a later call or time is for.
#[derive(Debug, Clone, Copy)]
pub struct Forgotten {
    /// What of the store.
    pub erased: Erased,
    /// Receipts that this node had accepted before the call and that are not in the store yet: any of
    /// them may be of this recipient.
    pub unshipped: u64,
    /// Receipts that no store takes, likewise. They are tried again when this node starts.
    pub left: u64,
    /// Until when the journal keeps what it has shipped; `None` if it keeps nothing.
    pub journal_until: Option<Timestamp>,
}

/// How long what was accepted is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Erases an address, or whoever a recipient key (20 hexadecimal digits) is of: the address, the
/// envelopes and the raw bytes of all mail that is known to be of this recipient. What this node has
/// accepted before the call is waited for, so that it is found.
pub async fn erase(app: &App, tenant: TenantId, text: &str) -> Result<Forgotten, EraseError> {
    let whom = whom_in(app, tenant, text)?;
    let whose = Erasure {
        tenant,
        recipients: whom.recipients,
        address: whom.address.map(|address| address.as_str().to_owned()),
    };
    let (unshipped, left) = app.journal.shipped(PATIENCE).await;
    let keeps = app.journal.keeps();
    let journal_until = (!keeps.is_zero()).then(|| app.clock.now().after(keeps));
    let erased = app.store.erase(&whose, app.clock.now()).await?;
    tracing::info!(
        tenant = tenant.get(),
        %erased,
        unshipped,
        left,
        "erased a recipient's address and mail"
    );
    Ok(Forgotten {
        erased,
        unshipped,
        left,
        journal_until,
    })
}
