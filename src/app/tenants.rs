//! Tenants: who sends, under which name and on which domain.

use crate::app::App;
use crate::app::suppressions::indexed;
use crate::model::domain;
use crate::model::tenant::{Tenant, TenantId, is_name, is_title};
use crate::store::{StoreError, TenantRefusal};

pub use crate::store::TenantChange;

/// Domains that one call can release.
pub const MOST_RELEASED: usize = 100;

/// What became of a tenant that was put.
#[derive(Debug, Clone)]
pub struct PutTenant {
    /// The tenant as it is now.
    pub tenant: Tenant,
    /// All domains that are served for it, by name.
    pub domains: Vec<String>,
    /// Whether it was not there before.
    pub created: bool,
    /// Whether this node knows it already.
    pub indexed: bool,
}

/// Why a tenant was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutTenantError {
    /// The name does not fit a log field, a header or a command line.
    #[error("a tenant's name is 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")]
    Name,
    /// The title cannot be shown.
    #[error("a tenant's title is 1 to 100 characters, none of them a control character")]
    Title,
    /// The domain is none.
    #[error("{0:?} is no domain name")]
    Domain(String),
    /// More than one call can release.
    #[error("a call releases at most {MOST_RELEASED} domains")]
    TooManyReleased,
    /// It does not fit to what other tenants have.
    #[error(transparent)]
    Refused(TenantRefusal),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All domains that are served for a tenant beside the installation's, by name.
pub fn domains(app: &App, tenant: TenantId) -> Vec<String> {
    let directory = app.reception.directory();
    directory.domains.of(tenant).map(str::to_owned).collect()
}

/// Creates a tenant, or updates the one of that number or name; what is not given stays as it is.
pub async fn put(app: &App, mut change: TenantChange) -> Result<PutTenant, PutTenantError> {
    if !is_name(&change.name) {
        return Err(PutTenantError::Name);
    }
    let mut titles = change.title.iter().filter(|title| !title.is_empty());
    if titles.any(|title| !is_title(title)) {
        return Err(PutTenantError::Title);
    }
    if change.release.len() > MOST_RELEASED {
        return Err(PutTenantError::TooManyReleased);
    }
    let named = change.domain.iter_mut().filter(|domain| !domain.is_empty());
    for name in named.chain(&mut change.release) {
        *name = domain::canonical(name).ok_or_else(|| PutTenantError::Domain(name.clone()))?;
    }
    let put = app.store.change_tenant(&change, app.clock.now()).await?;
    let put = put.map_err(PutTenantError::Refused)?;
    let indexed = indexed(app, put.seq).await;
    Ok(PutTenant {
        domains: domains(app, put.now.id),
        tenant: put.now,
        created: put.created,
        indexed,
    })
}
