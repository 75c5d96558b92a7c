//! Erases who a recipient is, on demand of that person. What was suppressed stays so.

use crate::app::App;
use crate::app::suppressions::{ItemError, whom_in};
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

/// Erases an address, or whoever a recipient key (20 hexadecimal digits) is of: the address, the
/// envelopes and the raw bytes of all mail that is known to be of this recipient.
pub async fn erase(app: &App, tenant: TenantId, text: &str) -> Result<Erased, EraseError> {
    let whom = whom_in(app, tenant, text)?;
    let whose = Erasure {
        tenant,
        recipients: whom.recipients,
        address: whom.address.map(|address| address.as_str().to_owned()),
    };
    let erased = app.store.erase(&whose, app.clock.now()).await?;
    tracing::info!(tenant = tenant.get(), %erased, "erased a recipient's address and mail");
    Ok(erased)
}
