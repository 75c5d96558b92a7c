//! The directory: tenants with their domains, streams and signing keys, and mailboxes.
//!
//! Every change takes a place of the feed and notes it at the tenant, so that nodes read anew what
//! has changed and no more; a call that changes nothing takes none. Who changes what is a tenant's
//! locks the tenant first: what it has read of it stays true until it has committed.

use super::failure::{Failure, StoreError};
use super::feed::directory_changed;
use super::pool::{Conn, Pool, read};
use super::sql::{Row, Value, execute, fetch, fetch_one, values};
use super::{Store, StoreConfig, copy};
use crate::model::directory::{Directory, DirectoryChange, SigningKey, TenantDomain};
use crate::model::mailbox::Mailbox;
use crate::model::secret::Secret;
use crate::model::stream::Stream;
use crate::model::tenant::{Tenant, TenantId, is_name, is_title};

impl Store {
    /// All that the doors must know, and the feed's head that it is true for.
    pub async fn directory(&self) -> Result<Directory, StoreError> {
        read!(self.pool, |conn| whole(conn, &self.root).await)
    }

    /// What has changed in the directory behind a place of the feed: whole tenants, however little
    /// of one has changed.
    pub async fn directory_behind(&self, after: u64) -> Result<DirectoryChange, StoreError> {
        read!(self.pool, |conn| changes(conn, after).await)
    }
}

/// The directory of a store that is only looked at, whether a server runs or not; `None` if nothing
/// was ever stored there. Makes and changes nothing.
///
/// # Errors
/// The store cannot be opened, is of another version, or its root secret does not open.
pub async fn directory_of(config: &StoreConfig) -> Result<Option<Directory>, StoreError> {
    if copy::store_id(&config.url).await?.is_none() {
        return Ok(None);
    }
    let pool = Pool::open(&config.url).await?;
    let found = read!(pool, |conn| {
        let (root, _) = copy::root_of(conn, config).await?;
        whole(conn, &root).await
    });
    pool.close().await;
    found.map(Some)
}

async fn whole(conn: &mut Conn<'_>, root: &Secret<32>) -> Result<Directory, Failure> {
    // The place first: what changes meanwhile may be in it already, and shows as a change of the
    // directory behind that place.
    let seq = place(conn).await?.number("seq")?;
    Ok(Directory {
        root: root.clone(),
        tenants: all(conn, "tenants", &sql(TENANTS, ""), tenant_of).await?,
        streams: all(conn, "streams", &sql(STREAMS, ""), stream_of).await?,
        signing_keys: all(conn, "signing_keys", &sql(KEYS, ""), signing_key_of).await?,
        mailboxes: all(conn, "mailboxes", &sql(MAILBOXES, ""), mailbox_of)
            .await?
            .into(),
        domains: all(conn, "domains", &sql(DOMAINS, ""), domain_of)
            .await?
            .into(),
        seq,
    })
}

async fn changes(conn: &mut Conn<'_>, after: u64) -> Result<DirectoryChange, Failure> {
    let place = place(conn).await?;
    let own = OF_CHANGED;
    let given = || values![after];
    let mut tenants = some(conn, "tenants", CHANGED_TENANTS, given(), tenant_of).await?;
    tenants.sort_by_key(|tenant| tenant.id);
    let mut change = DirectoryChange {
        streams: some(conn, "streams", &sql(STREAMS, own), given(), stream_of).await?,
        signing_keys: some(
            conn,
            "signing_keys",
            &sql(KEYS, own),
            given(),
            signing_key_of,
        )
        .await?,
        mailboxes: some(conn, "mailboxes", &sql(MAILBOXES, own), given(), mailbox_of).await?,
        domains: some(conn, "domains", &sql(DOMAINS, own), given(), domain_of).await?,
        shared: None,
        tenants,
        seq: place.number("seq")?,
    };
    if place.number::<u64>("shared")? > after {
        let shared = sql(MAILBOXES, "where tenant is null");
        change.shared = Some(all(conn, "mailboxes", &shared, mailbox_of).await?);
    }
    // A tenant that has changed since the first statement is read whole the next time.
    let known = |id: TenantId| {
        let tenants = &change.tenants;
        tenants
            .binary_search_by_key(&id, |tenant| tenant.id)
            .is_ok()
    };
    change.streams.retain(|stream| known(stream.tenant));
    change.signing_keys.retain(|key| known(key.tenant));
    change
        .mailboxes
        .retain(|mailbox| mailbox.tenant.is_some_and(known));
    change.domains.retain(|domain| known(domain.tenant));
    Ok(change)
}

async fn place(conn: &mut Conn<'_>) -> Result<Row, Failure> {
    let row = fetch_one(
        conn,
        "feed",
        "select seq, shared from feed where id = 1",
        vec![],
    );
    row.await?.ok_or_else(no_feed)
}

/// Takes a place of the feed for a change of what is these tenants', and of mailboxes that are
/// nobody's. The tenants are locked.
pub(super) async fn changed(
    conn: &mut Conn<'_>,
    tenants: &[TenantId],
    shared: bool,
) -> Result<u64, Failure> {
    let seq = directory_changed(conn).await?;
    for tenant in tenants {
        let sql = "update tenants set changed = $1 where tenant = $2";
        execute(conn, sql, values![seq, *tenant]).await?;
    }
    if shared {
        let sql = "update feed set shared = $1 where id = 1";
        execute(conn, sql, values![seq]).await?;
    }
    Ok(seq)
}

/// Locks a tenant until the transaction ends. Refused by name rather than by a constraint if there
/// is none.
pub(super) async fn lock_tenant(conn: &mut Conn<'_>, id: TenantId) -> Result<(), Failure> {
    let sql = "update tenants set changed = changed where tenant = $1";
    if execute(conn, sql, values![id]).await? == 0 {
        return Err(no_tenant(id).into());
    }
    Ok(())
}

/// Refused by name rather than by a constraint.
pub(super) async fn check_tenant(conn: &mut Conn<'_>, id: TenantId) -> Result<(), Failure> {
    let sql = "select tenant from tenants where tenant = $1";
    match fetch_one(conn, "tenants", sql, values![id]).await? {
        Some(_) => Ok(()),
        None => Err(no_tenant(id).into()),
    }
}

fn no_tenant(id: TenantId) -> StoreError {
    refused(&format!("there is no tenant {id}"))
}

/// A statement with its condition, in order.
pub(super) fn sql((select, order): (&str, &str), condition: &str) -> String {
    format!("{select} {condition} order by {order}")
}

async fn all<T>(
    conn: &mut Conn<'_>,
    table: &'static str,
    sql: &str,
    read: impl Fn(&Row) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    some(conn, table, sql, vec![], read).await
}

/// What a statement finds.
pub(super) async fn some<T>(
    conn: &mut Conn<'_>,
    table: &'static str,
    sql: &str,
    parameters: Vec<Value>,
    read: impl Fn(&Row) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let rows = fetch(conn, table, sql, parameters).await?;
    rows.iter().map(read).collect()
}

/// Which tenants have changed behind a place of the feed, and what is theirs. In the order of the
/// index: in that of their numbers SQLite would go through all of them.
pub(super) const CHANGED_TENANTS: &str = "select tenant, name, domain, title from tenants
    where changed > $1 order by changed, tenant";
pub(super) const OF_CHANGED: &str =
    "where tenant in (select tenant from tenants where changed > $1)";

/// What is read, and its order.
pub(super) const TENANTS: (&str, &str) =
    ("select tenant, name, domain, title from tenants", "tenant");
pub(super) const STREAMS: (&str, &str) = (
    "select tenant, number, name, class, unsubscribe, title from streams",
    "tenant, number",
);
pub(super) const KEYS: (&str, &str) = (
    "select tenant, serial, state, generation from signing_keys",
    "tenant, serial",
);
pub(super) const MAILBOXES: (&str, &str) = (
    "select address, role, tenant, stream from mailboxes",
    "address",
);
pub(super) const DOMAINS: (&str, &str) = ("select domain, tenant from domains", "domain");

pub(super) fn tenant_of(row: &Row) -> Result<Tenant, Failure> {
    Ok(Tenant {
        id: row.tenant("tenant")?,
        name: row.text("name")?,
        domain: row.opt_text("domain")?,
        title: title_of(row)?,
    })
}

pub(super) fn stream_of(row: &Row) -> Result<Stream, Failure> {
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

pub(super) fn signing_key_of(row: &Row) -> Result<SigningKey, Failure> {
    Ok(SigningKey {
        tenant: row.tenant("tenant")?,
        serial: row.number("serial")?,
        state: row.word("state")?,
        generation: row.number("generation")?,
    })
}

pub(super) fn mailbox_of(row: &Row) -> Result<Mailbox, Failure> {
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

fn domain_of(row: &Row) -> Result<TenantDomain, Failure> {
    Ok(TenantDomain {
        domain: row.text("domain")?,
        tenant: row.tenant("tenant")?,
    })
}

/// Names of tenants and streams.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(refused(
            "a name has 1 to 64 characters of a-z, 0-9, '.', '_' and '-'",
        ))
    }
}

/// Titles of tenants and streams; an empty one takes it away.
pub(super) fn check_title(title: Option<&str>) -> Result<(), StoreError> {
    match title {
        Some(title) if !title.is_empty() && !is_title(title) => Err(refused(
            "a title has 1 to 100 characters, none of them a control character",
        )),
        _ => Ok(()),
    }
}

pub(super) fn refused(why: &str) -> StoreError {
    StoreError::Refused(why.to_owned())
}

fn no_feed() -> Failure {
    StoreError::Inconsistent("feed: the row that counts is missing".to_owned()).into()
}
