//! Tenants and the domains that are served for them.

use super::Store;
use super::directory::{
    self, TENANTS, changed, check_name, check_title, mailbox_of, refused, some, sql, tenant_of,
};
use super::failure::{Failure, StoreError};
use super::pool::{Conn, write};
use super::sql::{execute, fetch_one, values};
use crate::model::clock::Timestamp;
use crate::model::directory::KeyState;
use crate::model::domain;
use crate::model::tenant::{Tenant, TenantId};

/// What was put, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<T> {
    /// As it is now.
    pub now: T,
    /// Whether it was not there before.
    pub created: bool,
    /// The place of the feed, if anything has changed.
    pub seq: Option<u64>,
}

/// A tenant to create or to update. What is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// Its number. Not given: that of the tenant of this name, or the next free one.
    pub number: Option<TenantId>,
    /// Its name from now on.
    pub name: String,
    /// The domain that its tokens are minted on, canonical; an empty text: the installation's.
    pub domain: Option<String>,
    /// What readers know it by; an empty text takes it away.
    pub title: Option<String>,
    /// Domains of before that are no longer served for it, with their mailboxes.
    pub release: Vec<String>,
}

/// Why a tenant was not put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantRefusal {
    /// Names are unique.
    #[error("the name belongs to tenant {0}")]
    NameTaken(TenantId),
    /// A domain is one tenant's.
    #[error("the domain {0} belongs to another tenant")]
    DomainTaken(String),
    /// Tokens are minted on it.
    #[error("tokens are minted on {0}: name another domain before it is released")]
    DomainInUse(String),
    /// There are 16,777,215.
    #[error("no number is free")]
    NoNumber,
}

/// A tenant to be written, and what the store knows of it.
struct Writing<'a> {
    tenant: &'a Tenant,
    release: &'a [String],
    now: Timestamp,
}

impl Store {
    /// Creates or updates a tenant, and its first signing key if it has none. A domain or a title
    /// that is not given stays.
    pub async fn put_tenant(
        &self,
        tenant: &Tenant,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let change = TenantChange {
            number: Some(tenant.id),
            name: tenant.name.clone(),
            domain: tenant.domain.clone(),
            title: tenant.title.clone(),
            release: Vec::new(),
        };
        match self.change_tenant(&change, now).await? {
            Ok(put) => Ok(put.seq),
            Err(refusal) => Err(refused(&refusal.to_string())),
        }
    }

    /// Creates or updates a tenant; a new one has a signing key. Callers at the same time, on any
    /// number of nodes, never draw the same number.
    pub async fn change_tenant(
        &self,
        change: &TenantChange,
        now: Timestamp,
    ) -> Result<Result<Put<Tenant>, TenantRefusal>, StoreError> {
        check_name(&change.name)?;
        check_title(change.title.as_deref())?;
        let named = change.domain.iter().filter(|domain| !domain.is_empty());
        for name in named {
            if domain::canonical(name).as_ref() != Some(name) {
                return Err(refused("a domain is written in lower-case A-labels"));
            }
        }
        write!(self.pool, |conn| decide(conn, change, now).await)
    }
}

/// On the very first start: tenant `default` with its first signing key.
pub(super) async fn make_default(conn: &mut Conn<'_>, now: Timestamp) -> Result<(), Failure> {
    let tenant = Tenant {
        id: TenantId::DEFAULT,
        name: "default".to_owned(),
        domain: None,
        title: None,
    };
    let writing = Writing {
        tenant: &tenant,
        release: &[],
        now,
    };
    written(conn, &writing).await.map(|_| ())
}

async fn decide(
    conn: &mut Conn<'_>,
    change: &TenantChange,
    now: Timestamp,
) -> Result<Result<Put<Tenant>, TenantRefusal>, Failure> {
    one_at_a_time(conn).await?;
    let namesake = number_of(conn, &change.name).await?;
    let id = match (change.number, namesake) {
        (Some(number), Some(other)) if number != other => {
            return Ok(Err(TenantRefusal::NameTaken(other)));
        }
        (Some(number), _) | (None, Some(number)) => number,
        (None, None) => match free_number(conn).await? {
            Some(number) => number,
            None => return Ok(Err(TenantRefusal::NoNumber)),
        },
    };
    let own = sql(TENANTS, "where tenant = $1");
    let before = some(conn, "tenants", &own, values![id], tenant_of).await?;
    let before = before.into_iter().next();
    let domain = match &change.domain {
        Some(domain) => Some(domain.clone()).filter(|domain| !domain.is_empty()),
        None => before.as_ref().and_then(|tenant| tenant.domain.clone()),
    };
    if let Some(domain) = &domain {
        if owner_of(conn, domain)
            .await?
            .is_some_and(|owner| owner != id)
        {
            return Ok(Err(TenantRefusal::DomainTaken(domain.clone())));
        }
        if change.release.contains(domain) {
            return Ok(Err(TenantRefusal::DomainInUse(domain.clone())));
        }
    }
    let title = change.title.clone();
    let mut tenant = Tenant {
        id,
        name: change.name.clone(),
        domain,
        title: title.or_else(|| before.as_ref().and_then(|tenant| tenant.title.clone())),
    };
    let writing = Writing {
        tenant: &tenant,
        release: &change.release,
        now,
    };
    let seq = written(conn, &writing).await?;
    tenant.title = tenant.title.filter(|title| !title.is_empty());
    Ok(Ok(Put {
        now: tenant,
        created: before.is_none(),
        seq,
    }))
}

/// Tenants are created and changed one after another, on all nodes: names, numbers and domains are
/// unique among all of them.
pub(super) async fn one_at_a_time(conn: &mut Conn<'_>) -> Result<(), Failure> {
    execute(
        conn,
        "insert into meta (name, value) values ('tenants', $1)
         on conflict (name) do update set value = excluded.value",
        values![b"".as_slice()],
    )
    .await?;
    Ok(())
}

async fn number_of(conn: &mut Conn<'_>, name: &str) -> Result<Option<TenantId>, Failure> {
    let sql = "select tenant from tenants where name = $1";
    let row = fetch_one(conn, "tenants", sql, values![name]).await?;
    row.map(|row| row.tenant("tenant")).transpose()
}

/// Whose domain that is.
pub(super) async fn owner_of(
    conn: &mut Conn<'_>,
    domain: &str,
) -> Result<Option<TenantId>, Failure> {
    let sql = "select tenant from domains where domain = $1";
    let row = fetch_one(conn, "domains", sql, values![domain]).await?;
    row.map(|row| row.tenant("tenant")).transpose()
}

/// The number behind the last one; if there is none, the first gap.
async fn free_number(conn: &mut Conn<'_>) -> Result<Option<TenantId>, Failure> {
    for sql in [
        "select max(tenant) + 1 as free from tenants",
        "select min(t.tenant) + 1 as free from tenants t
         where not exists (select 1 from tenants n where n.tenant = t.tenant + 1)",
    ] {
        let row = fetch_one(conn, "tenants", sql, vec![]).await?;
        let free = row.map(|row| row.opt_int("free")).transpose()?.flatten();
        let free = free.unwrap_or(1);
        if let Ok(free) = TenantId::try_from(free) {
            return Ok(Some(free));
        }
    }
    Ok(None)
}

/// Writes a tenant, its domain and its first signing key; the place of the feed if that changed
/// anything.
async fn written(conn: &mut Conn<'_>, writing: &Writing<'_>) -> Result<Option<u64>, Failure> {
    let Writing {
        tenant,
        release,
        now,
    } = writing;
    let stored = fetch_one(
        conn,
        "tenants",
        "insert into tenants (tenant, name, domain, created, title) values ($1, $2, $3, $4, $5)
         on conflict (tenant) do update set name = excluded.name, domain = excluded.domain,
             title = coalesce(excluded.title, tenants.title)
         where tenants.name <> excluded.name or tenants.domain is distinct from excluded.domain
            or coalesce(excluded.title, tenants.title) is distinct from tenants.title
         returning tenant",
        values![
            tenant.id,
            tenant.name.as_str(),
            tenant.domain.as_deref(),
            *now,
            tenant.title.as_deref(),
        ],
    )
    .await?;
    let first_key = execute(
        conn,
        "insert into signing_keys (tenant, serial, state, generation) values ($1, 1, $2, 1)
         on conflict (tenant, serial) do nothing",
        values![tenant.id, KeyState::Active.as_str()],
    )
    .await?;
    let mut domains = 0;
    if let Some(domain) = &tenant.domain {
        let sql = "insert into domains (domain, tenant) values ($1, $2)
                   on conflict (domain) do nothing";
        domains += execute(conn, sql, values![domain.as_str(), tenant.id]).await?;
    }
    for domain in *release {
        domains += released(conn, tenant.id, domain).await?;
    }
    if stored.is_none() && first_key == 0 && domains == 0 {
        return Ok(None);
    }
    changed(conn, &[tenant.id], false).await.map(Some)
}

/// A domain is this tenant's no longer. Its mailboxes go too: the next owner must not find them.
async fn released(conn: &mut Conn<'_>, tenant: TenantId, domain: &str) -> Result<u64, Failure> {
    let sql = "delete from domains where domain = $1 and tenant = $2";
    let gone = execute(conn, sql, values![domain, tenant]).await?;
    if gone > 0 {
        let own = directory::sql(directory::MAILBOXES, "where tenant = $1");
        for mailbox in some(conn, "mailboxes", &own, values![tenant], mailbox_of).await? {
            let at = mailbox.address.rsplit_once('@');
            if at.is_some_and(|(_, of)| of == domain) {
                let sql = "delete from mailboxes where address = $1";
                execute(conn, sql, values![mailbox.address.as_str()]).await?;
            }
        }
    }
    Ok(gone)
}
