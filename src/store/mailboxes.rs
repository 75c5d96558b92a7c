//! Mailboxes beyond or instead of the defaults of a domain.

use super::Store;
use super::directory::{MAILBOXES, changed, lock_tenant, mailbox_of, refused, some, sql};
use super::failure::{Failure, StoreError};
use super::pool::{Conn, write};
use super::sql::{execute, fetch_one, values};
use super::tenants::{Put, one_at_a_time, owner_of};
use crate::model::clock::Timestamp;
use crate::model::mailbox::Mailbox;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;

/// Octets of a mailbox's address: local part 256, `@`, domain 255 (RFC 5321 §4.5.3.1.2 for the
/// domain).
const ADDRESS: usize = 512;

/// Mailboxes that one tenant may have, or that may be no tenant's, beside those of the config.
pub const MOST_MAILBOXES: i64 = 1_000;

/// Why a mailbox was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailboxRefusal {
    /// The domain is not served, or not for this tenant.
    #[error("the address is in no domain that is served for this tenant")]
    ForeignDomain,
    /// There is a mailbox of that address, and it is somebody else's.
    #[error("the address is another tenant's mailbox, or that of no tenant")]
    Taken,
    /// There is no such stream.
    #[error("the tenant has no stream {0}")]
    UnknownStream(StreamNumber),
    /// There are as many as there may be.
    #[error("a tenant has at most {MOST_MAILBOXES} mailboxes")]
    TooMany,
}

impl Store {
    /// Creates or updates a mailbox, whoever's it was.
    pub async fn put_mailbox(
        &self,
        mailbox: &Mailbox,
        _now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        check_address(&mailbox.address)?;
        write!(self.pool, |conn| put(conn, mailbox).await)
    }

    /// Creates or updates a mailbox of its tenant, or of no tenant. `shared`: its domain is served
    /// for everybody, and the caller may decide about it; one that is a tenant's is for that tenant
    /// alone.
    pub async fn change_mailbox(
        &self,
        mailbox: &Mailbox,
        shared: bool,
    ) -> Result<Result<Put<Mailbox>, MailboxRefusal>, StoreError> {
        check_address(&mailbox.address)?;
        write!(self.pool, |conn| decide(conn, mailbox, shared).await)
    }

    /// Deletes a mailbox; `tenant` `None`: whoever's it is. `None` if there was none.
    pub async fn remove_mailbox(
        &self,
        address: &str,
        tenant: Option<TenantId>,
    ) -> Result<Option<(Mailbox, u64)>, StoreError> {
        write!(self.pool, |conn| {
            let found = one(conn, address).await?;
            let own = |mailbox: &Mailbox| tenant.is_none() || mailbox.tenant == tenant;
            match found.filter(own) {
                Some(mailbox) => removed(conn, mailbox).await,
                None => Ok(None),
            }
        })
    }
}

async fn put(conn: &mut Conn<'_>, mailbox: &Mailbox) -> Result<Option<u64>, Failure> {
    one_at_a_time(conn).await?;
    let before = one(conn, &mailbox.address).await?;
    let was = before.iter().filter_map(|before| before.tenant);
    let mut owners: Vec<TenantId> = was.chain(mailbox.tenant).collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in &owners {
        lock_tenant(conn, *owner).await?;
    }
    if before.as_ref() == Some(mailbox) {
        return Ok(None);
    }
    written(conn, mailbox).await?;
    let was_shared = before.is_some_and(|before| before.tenant.is_none());
    let shared = was_shared || mailbox.tenant.is_none();
    changed(conn, &owners, shared).await.map(Some)
}

async fn removed(conn: &mut Conn<'_>, mailbox: Mailbox) -> Result<Option<(Mailbox, u64)>, Failure> {
    if let Some(owner) = mailbox.tenant {
        lock_tenant(conn, owner).await?;
    }
    let sql = "delete from mailboxes where address = $1 and tenant is not distinct from $2";
    let gone = execute(conn, sql, values![mailbox.address.as_str(), mailbox.tenant]);
    if gone.await? == 0 {
        // Somebody else was faster.
        return Ok(None);
    }
    let owner: Vec<TenantId> = mailbox.tenant.into_iter().collect();
    let seq = changed(conn, &owner, owner.is_empty()).await?;
    Ok(Some((mailbox, seq)))
}

async fn decide(
    conn: &mut Conn<'_>,
    mailbox: &Mailbox,
    shared: bool,
) -> Result<Result<Put<Mailbox>, MailboxRefusal>, Failure> {
    match mailbox.tenant {
        Some(owner) => lock_tenant(conn, owner).await?,
        // Whoever claims the domain meanwhile, or makes another of nobody, waits.
        None => one_at_a_time(conn).await?,
    }
    let (_, domain) = mailbox.address.rsplit_once('@').unwrap_or_default();
    let allowed = match owner_of(conn, domain).await? {
        Some(owner) => mailbox.tenant == Some(owner),
        None => shared,
    };
    if !allowed {
        return Ok(Err(MailboxRefusal::ForeignDomain));
    }
    let before = one(conn, &mailbox.address).await?;
    match &before {
        Some(before) if before.tenant != mailbox.tenant => {
            return Ok(Err(MailboxRefusal::Taken));
        }
        None if count(conn, mailbox.tenant).await? >= MOST_MAILBOXES => {
            return Ok(Err(MailboxRefusal::TooMany));
        }
        Some(_) | None => {}
    }
    if let Some(stream) = mailbox.stream {
        let sql = "select number from streams where tenant = $1 and number = $2";
        let known = fetch_one(conn, "streams", sql, values![mailbox.tenant, stream]);
        if known.await?.is_none() {
            return Ok(Err(MailboxRefusal::UnknownStream(stream)));
        }
    }
    let seq = if before.as_ref() == Some(mailbox) {
        None
    } else {
        written(conn, mailbox).await?;
        let owner: Vec<TenantId> = mailbox.tenant.into_iter().collect();
        Some(changed(conn, &owner, owner.is_empty()).await?)
    };
    Ok(Ok(Put {
        now: mailbox.clone(),
        created: before.is_none(),
        seq,
    }))
}

async fn one(conn: &mut Conn<'_>, address: &str) -> Result<Option<Mailbox>, Failure> {
    let sql = sql(MAILBOXES, "where address = $1");
    let found = some(conn, "mailboxes", &sql, values![address], mailbox_of).await?;
    Ok(found.into_iter().next())
}

async fn count(conn: &mut Conn<'_>, tenant: Option<TenantId>) -> Result<i64, Failure> {
    let sql = "select count(*) as count from mailboxes where tenant is not distinct from $1";
    let row = fetch_one(conn, "mailboxes", sql, values![tenant]).await?;
    row.map_or(Ok(0), |row| row.int("count"))
}

async fn written(conn: &mut Conn<'_>, mailbox: &Mailbox) -> Result<(), Failure> {
    execute(
        conn,
        "insert into mailboxes (address, role, tenant, stream) values ($1, $2, $3, $4)
         on conflict (address) do update
         set role = excluded.role, tenant = excluded.tenant, stream = excluded.stream",
        values![
            mailbox.address.as_str(),
            mailbox.role.as_str(),
            mailbox.tenant,
            mailbox.stream
        ],
    )
    .await?;
    Ok(())
}

fn check_address(address: &str) -> Result<(), StoreError> {
    let (local, domain) = address.rsplit_once('@').unwrap_or_default();
    if local.is_empty() || domain.is_empty() || address.len() > ADDRESS {
        return Err(refused("a mailbox is local@domain of at most 512 octets"));
    }
    if address
        .chars()
        .any(|c| c.is_control() || c.is_ascii_uppercase())
    {
        return Err(refused(
            "a mailbox is written in lower case, without control characters",
        ));
    }
    Ok(())
}
