//! The directory: tenants, streams, signing keys and mailboxes.
//!
//! Every change takes a place of the feed, so that nodes notice; a call that changes nothing takes
//! none.

use super::Store;
use super::failure::{Failure, StoreError};
use super::feed::directory_changed;
use super::pool::{Conn, read, write};
use super::sql::{Row, Value, fetch, fetch_one, values};
use crate::model::clock::Timestamp;
use crate::model::directory::{Directory, KeyState, SigningKey};
use crate::model::mailbox::Mailbox;
use crate::model::stream::Stream;
use crate::model::tenant::{Tenant, TenantId, is_name, is_title};

/// Octets of a mailbox's address: local part 256, `@`, domain 255 (RFC 5321 §4.5.3.1.2 for the
/// domain).
const ADDRESS: usize = 512;

impl Store {
    /// All that the doors must know, and the feed's head that it is true for.
    pub async fn directory(&self) -> Result<Directory, StoreError> {
        read!(self.pool, |conn| {
            // The place first: what changes meanwhile may be in it already, and shows as a change
            // of the directory behind that place.
            let row = fetch_one(conn, "feed", "select seq from feed where id = 1", vec![]).await?;
            let seq = row.ok_or_else(no_feed)?.number("seq")?;
            Ok::<_, Failure>(Directory {
                root: self.root.clone(),
                tenants: all(conn, "tenants", TENANTS, tenant_of).await?,
                streams: all(conn, "streams", STREAMS, stream_of).await?,
                signing_keys: all(conn, "signing_keys", SIGNING_KEYS, signing_key_of).await?,
                mailboxes: all(conn, "mailboxes", MAILBOXES, mailbox_of).await?.into(),
                seq,
            })
        })
    }

    /// Creates or updates a tenant, and its first signing key if it has none.
    pub async fn put_tenant(
        &self,
        tenant: &Tenant,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        check_name(&tenant.name)?;
        check_title(tenant.title.as_deref())?;
        if tenant
            .domain
            .as_ref()
            .is_some_and(|domain| domain.is_empty() || domain.len() > 255)
        {
            return Err(refused("a domain has 1 to 255 characters"));
        }
        write!(self.pool, |conn| write_tenant(conn, tenant, now).await)
    }

    /// Creates or updates a stream. Refused if the name is another stream's.
    pub async fn put_stream(
        &self,
        stream: &Stream,
        _now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        check_name(&stream.name)?;
        check_title(stream.title.as_deref())?;
        if stream.number == 0 {
            return Err(refused("no stream has number 0"));
        }
        write!(self.pool, |conn| write_stream(conn, stream).await)
    }

    /// Creates or updates a mailbox.
    pub async fn put_mailbox(
        &self,
        mailbox: &Mailbox,
        _now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let address = &mailbox.address;
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
        write!(self.pool, |conn| write_mailbox(conn, mailbox).await)
    }

    /// Deletes a mailbox; `None` if there was none.
    pub async fn remove_mailbox(&self, address: &str) -> Result<Option<u64>, StoreError> {
        write!(self.pool, |conn| {
            let sql = "delete from mailboxes where address = $1 returning address";
            noted(conn, "mailboxes", sql, values![address]).await
        })
    }

    /// Adds the tenant's next signing key, or changes the state of one. Serials count up from 1
    /// and are never reused; a key's generation stays.
    pub async fn put_signing_key(&self, key: &SigningKey) -> Result<Option<u64>, StoreError> {
        write!(self.pool, |conn| write_signing_key(conn, key).await)
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
    write_tenant(conn, &tenant, now).await.map(|_| ())
}

async fn write_tenant(
    conn: &mut Conn<'_>,
    tenant: &Tenant,
    now: Timestamp,
) -> Result<Option<u64>, Failure> {
    let taken = fetch_one(
        conn,
        "tenants",
        "select tenant from tenants where name = $1 and tenant <> $2",
        values![tenant.name.as_str(), tenant.id],
    )
    .await?;
    if let Some(row) = taken {
        return Err(refused(&format!("tenant {} has this name", row.int("tenant")?)).into());
    }
    let changed = fetch_one(
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
            now,
            tenant.title.as_deref(),
        ],
    )
    .await?;
    let first_key = fetch_one(
        conn,
        "signing_keys",
        "insert into signing_keys (tenant, serial, state, generation) values ($1, 1, $2, 1)
         on conflict (tenant, serial) do nothing returning serial",
        values![tenant.id, KeyState::Active.as_str()],
    )
    .await?;
    if changed.is_none() && first_key.is_none() {
        return Ok(None);
    }
    directory_changed(conn).await.map(Some)
}

async fn write_stream(conn: &mut Conn<'_>, stream: &Stream) -> Result<Option<u64>, Failure> {
    check_tenant(conn, stream.tenant).await?;
    let taken = fetch_one(
        conn,
        "streams",
        "select number from streams where tenant = $1 and name = $2 and number <> $3",
        values![stream.tenant, stream.name.as_str(), stream.number],
    )
    .await?;
    if let Some(row) = taken {
        return Err(refused(&format!("stream {} has this name", row.int("number")?)).into());
    }
    noted(
        conn,
        "streams",
        "insert into streams (tenant, number, name, class, unsubscribe, title)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant, number) do update
         set name = excluded.name, class = excluded.class, unsubscribe = excluded.unsubscribe,
             title = coalesce(excluded.title, streams.title)
         where streams.name <> excluded.name or streams.class <> excluded.class
            or streams.unsubscribe <> excluded.unsubscribe
            or coalesce(excluded.title, streams.title) is distinct from streams.title
         returning number",
        values![
            stream.tenant,
            stream.number,
            stream.name.as_str(),
            stream.class.as_str(),
            i64::from(stream.unsubscribe),
            stream.title.as_deref(),
        ],
    )
    .await
}

async fn write_mailbox(conn: &mut Conn<'_>, mailbox: &Mailbox) -> Result<Option<u64>, Failure> {
    if let Some(tenant) = mailbox.tenant {
        check_tenant(conn, tenant).await?;
    }
    noted(
        conn,
        "mailboxes",
        "insert into mailboxes (address, role, tenant, stream) values ($1, $2, $3, $4)
         on conflict (address) do update
         set role = excluded.role, tenant = excluded.tenant, stream = excluded.stream
         where mailboxes.role <> excluded.role
            or mailboxes.tenant is distinct from excluded.tenant
            or mailboxes.stream is distinct from excluded.stream
         returning address",
        values![
            mailbox.address.as_str(),
            mailbox.role.as_str(),
            mailbox.tenant,
            mailbox.stream
        ],
    )
    .await
}

async fn write_signing_key(conn: &mut Conn<'_>, key: &SigningKey) -> Result<Option<u64>, Failure> {
    check_tenant(conn, key.tenant).await?;
    let last = fetch_one(
        conn,
        "signing_keys",
        "select max(serial) as serial from signing_keys where tenant = $1",
        values![key.tenant],
    )
    .await?;
    let last = last
        .map(|row| row.opt_int("serial"))
        .transpose()?
        .flatten()
        .unwrap_or_default();
    if key.serial == 0 || i64::from(key.serial) > last + 1 || key.generation == 0 {
        return Err(refused("serials count up by one, and generations from 1").into());
    }
    let changed = noted(
        conn,
        "signing_keys",
        "insert into signing_keys (tenant, serial, state, generation) values ($1, $2, $3, $4)
         on conflict (tenant, serial) do update set state = excluded.state
         where signing_keys.state <> excluded.state
           and signing_keys.generation = excluded.generation
         returning serial",
        values![key.tenant, key.serial, key.state.as_str(), key.generation],
    )
    .await?;
    let other = fetch_one(
        conn,
        "signing_keys",
        "select generation from signing_keys
         where tenant = $1 and serial = $2 and generation <> $3",
        values![key.tenant, key.serial, key.generation],
    )
    .await?;
    match other {
        Some(_) => Err(refused("a signing key's generation stays").into()),
        None => Ok(changed),
    }
}

/// Runs a statement that returns what it changed, and takes a place of the feed if it did.
async fn noted(
    conn: &mut Conn<'_>,
    table: &'static str,
    sql: &str,
    parameters: Vec<Value>,
) -> Result<Option<u64>, Failure> {
    match fetch_one(conn, table, sql, parameters).await? {
        Some(_) => directory_changed(conn).await.map(Some),
        None => Ok(None),
    }
}

async fn all<T>(
    conn: &mut Conn<'_>,
    table: &'static str,
    sql: &str,
    read: impl Fn(&Row) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    fetch(conn, table, sql, vec![])
        .await?
        .iter()
        .map(read)
        .collect()
}

const TENANTS: &str = "select tenant, name, domain, title from tenants order by tenant";
const STREAMS: &str =
    "select tenant, number, name, class, unsubscribe, title from streams order by tenant, number";
const SIGNING_KEYS: &str =
    "select tenant, serial, state, generation from signing_keys order by tenant, serial";
const MAILBOXES: &str = "select address, role, tenant, stream from mailboxes order by address";

fn tenant_of(row: &Row) -> Result<Tenant, Failure> {
    Ok(Tenant {
        id: row.tenant("tenant")?,
        name: row.text("name")?,
        domain: row.opt_text("domain")?,
        title: title_of(row)?,
    })
}

fn stream_of(row: &Row) -> Result<Stream, Failure> {
    Ok(Stream {
        tenant: row.tenant("tenant")?,
        number: row.number("number")?,
        name: row.text("name")?,
        class: row.word("class")?,
        unsubscribe: row.int("unsubscribe")? != 0,
        title: title_of(row)?,
    })
}

/// An empty one has been taken away.
fn title_of(row: &Row) -> Result<Option<String>, Failure> {
    Ok(row.opt_text("title")?.filter(|title| !title.is_empty()))
}

fn signing_key_of(row: &Row) -> Result<SigningKey, Failure> {
    Ok(SigningKey {
        tenant: row.tenant("tenant")?,
        serial: row.number("serial")?,
        state: row.word("state")?,
        generation: row.number("generation")?,
    })
}

fn mailbox_of(row: &Row) -> Result<Mailbox, Failure> {
    let stream = match row.opt_int("stream")? {
        Some(_) => Some(row.number("stream")?),
        None => None,
    };
    Ok(Mailbox {
        address: row.text("address")?,
        role: row.word("role")?,
        tenant: row.opt_tenant("tenant")?,
        stream,
    })
}

/// Names of tenants and streams.
fn check_name(name: &str) -> Result<(), StoreError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(refused(
            "a name has 1 to 64 characters of a-z, 0-9, '.', '_' and '-'",
        ))
    }
}

/// Titles of tenants and streams; an empty one takes it away.
fn check_title(title: Option<&str>) -> Result<(), StoreError> {
    match title {
        Some(title) if !title.is_empty() && !is_title(title) => Err(refused(
            "a title has 1 to 100 characters, none of them a control character",
        )),
        _ => Ok(()),
    }
}

/// Refused by name rather than by a constraint.
pub(super) async fn check_tenant(conn: &mut Conn<'_>, id: TenantId) -> Result<(), Failure> {
    let sql = "select tenant from tenants where tenant = $1";
    match fetch_one(conn, "tenants", sql, values![id]).await? {
        Some(_) => Ok(()),
        None => Err(refused(&format!("there is no tenant {id}")).into()),
    }
}

fn refused(why: &str) -> StoreError {
    StoreError::Refused(why.to_owned())
}

fn no_feed() -> Failure {
    StoreError::Inconsistent("feed: the row that counts is missing".to_owned()).into()
}
