//! Mailboxes beyond or instead of the defaults of a domain.

use crate::app::App;
use crate::app::suppressions::indexed;
use crate::model::address::{Address, AddressError};
use crate::model::domain;
use crate::model::mailbox::Mailbox;
use crate::model::tenant::TenantId;
use crate::store::{MailboxRefusal, StoreError};

/// What became of a mailbox that was put or removed.
#[derive(Debug, Clone)]
pub struct Done {
    /// The mailbox as it is now, or was.
    pub mailbox: Mailbox,
    /// Whether it was not there before.
    pub created: bool,
    /// Whether this node knows it already.
    pub indexed: bool,
}

/// Why a mailbox was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutMailboxError {
    /// The address is none.
    #[error("address: {0}")]
    Address(#[from] AddressError),
    /// Its domain can have no mail.
    #[error("address: its domain is no domain name")]
    Domain,
    /// It does not fit to what there is.
    #[error(transparent)]
    Refused(MailboxRefusal),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the config declares a mailbox: after the next start it is as the config says.
pub fn is_declared(app: &App, mailbox: &Mailbox) -> bool {
    app.settings.declared.contains(&mailbox.address)
}

/// A page of mailboxes by address, and whether there are more. `tenant` `None`: of all tenants and
/// of none.
pub fn list(
    app: &App,
    tenant: Option<TenantId>,
    after: Option<&str>,
    limit: usize,
) -> (Vec<Mailbox>, bool) {
    let directory = app.reception.directory();
    let all = directory.mailboxes.as_slice();
    let start = after.map_or(0, |after| {
        all.partition_point(|mailbox| mailbox.address.as_str() <= after)
    });
    let behind = all.get(start..).unwrap_or_default().iter();
    let mut found = behind.filter(|mailbox| tenant.is_none() || mailbox.tenant == tenant);
    let page = found.by_ref().take(limit).cloned().collect();
    (page, found.next().is_some())
}

/// Creates or updates a mailbox of its tenant, or of no tenant. `for_installation`: whoever asks
/// may decide about the domains that all tenants share.
pub async fn put(
    app: &App,
    mut mailbox: Mailbox,
    for_installation: bool,
) -> Result<Done, PutMailboxError> {
    let address = Address::parse(&mailbox.address)?;
    if domain::canonical(address.domain()).is_none() {
        return Err(PutMailboxError::Domain);
    }
    let mut shared = app.settings.domains.iter();
    let shared = for_installation && shared.any(|served| served == address.domain());
    address.as_str().clone_into(&mut mailbox.address);
    let put = app.store.change_mailbox(&mailbox, shared).await?;
    let put = put.map_err(PutMailboxError::Refused)?;
    Ok(Done {
        mailbox: put.now,
        created: put.created,
        indexed: indexed(app, put.seq).await,
    })
}

/// Removes a mailbox; `None` if this tenant has none of that address. Where it was one of the
/// defaults, that is what the address is again.
pub async fn remove(
    app: &App,
    tenant: Option<TenantId>,
    address: &str,
) -> Result<Option<Done>, StoreError> {
    let canonical = Address::parse(address);
    let address = canonical.as_ref().map_or(address, Address::as_str);
    let Some((mailbox, seq)) = app.store.remove_mailbox(address, tenant).await? else {
        return Ok(None);
    };
    Ok(Some(Done {
        mailbox,
        created: false,
        indexed: indexed(app, Some(seq)).await,
    }))
}
