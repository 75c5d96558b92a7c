//! Signing keys of a tenant: the next one, and what becomes of those before.
//!
//! A sender that has its tokens minted here needs one step: from then on they are minted with the
//! new key. One that mints by itself makes the next key, exports it, switches, and then retires the
//! old one. A key that has leaked is revoked in the same step that makes the next one: at no moment
//! is there none to mint with. What is retired verifies for ever.

use crate::app::App;
use crate::app::suppressions::indexed;
use crate::model::directory::{KeyState, SigningKey};
use crate::model::tenant::TenantId;
use crate::store::{KeyRefusal, Put, StoreError};

pub use crate::store::NextKey;

/// What became of a signing key.
#[derive(Debug, Clone, Copy)]
pub struct PutKey {
    /// As it is now.
    pub key: SigningKey,
    /// Whether this node knows it already.
    pub indexed: bool,
}

/// Why a signing key was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum PutKeyError {
    /// It does not fit to the tenant's keys.
    #[error(transparent)]
    Refused(KeyRefusal),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All signing keys of a tenant, as this node knows them, by serial.
pub fn list(app: &App, tenant: TenantId) -> Vec<SigningKey> {
    let directory = app.reception.directory();
    directory.signing_keys_of(tenant).to_vec()
}

/// Makes the next signing key, active at once, and retires or revokes others in the same step.
pub async fn add(app: &App, tenant: TenantId, next: &NextKey) -> Result<PutKey, PutKeyError> {
    answer(app, app.store.add_signing_key(tenant, next).await?).await
}

/// Says what a signing key may do from now on.
pub async fn set(
    app: &App,
    tenant: TenantId,
    serial: u32,
    state: KeyState,
) -> Result<PutKey, PutKeyError> {
    answer(app, app.store.set_key_state(tenant, serial, state).await?).await
}

async fn answer(
    app: &App,
    put: Result<Put<SigningKey>, KeyRefusal>,
) -> Result<PutKey, PutKeyError> {
    let put = put.map_err(PutKeyError::Refused)?;
    Ok(PutKey {
        key: put.now,
        indexed: indexed(app, put.seq).await,
    })
}
