//! API keys. They are looked up by prefix; the secret rest is known by its hash alone.

use super::Store;
use super::directory::check_tenant;
use super::failure::{Failure, StoreError};
use super::pool::{Conn, read, write};
use super::sql::{Conditions, Row, execute, fetch, fetch_one, values};
use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;
use crate::model::words::words;

words! {
    /// What an API key may do.
    pub enum KeyScope as "scope" {
        /// Ask.
        Check = "check",
        /// Read everything.
        Read = "read",
        /// Suppressions, events, held, tokens.
        Write = "write",
        /// Everything, management included.
        Admin = "admin",
    }
}

/// An API key as stored: only its SHA-256 is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The visible beginning, unique.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// Whose it is; `None`: the installation's.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub scopes: Vec<KeyScope>,
    /// What it is for, in words.
    pub name: String,
    /// Since when.
    pub created: Timestamp,
}

const COLUMNS: &str = "prefix, hash, tenant, scopes, name, created";

impl ApiKey {
    fn of(row: &Row) -> Result<Self, Failure> {
        let scopes = row
            .text("scopes")?
            .split_ascii_whitespace()
            .map(|word| word.parse().map_err(|error| row.broken("scopes", &error)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            prefix: row.text("prefix")?,
            hash: row.array("hash")?,
            tenant: row.opt_tenant("tenant")?,
            scopes,
            name: row.text("name")?,
            created: row.time("created")?,
        })
    }
}

impl Store {
    /// Adds an API key. Refused if there is one with this prefix.
    pub async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        if key.prefix.is_empty() || key.prefix.len() > 64 || key.name.len() > 512 {
            return Err(StoreError::Refused(
                "a key's prefix has 1 to 64 octets, its name at most 512".to_owned(),
            ));
        }
        write!(self.pool, |conn| add(conn, key).await)
    }

    /// The key of that prefix, for comparison of the hash.
    pub async fn api_key(&self, prefix: &str) -> Result<Option<ApiKey>, StoreError> {
        let sql = format!("select {COLUMNS} from api_keys where prefix = $1");
        let row = read!(self.pool, |conn| fetch_one(
            conn,
            "api_keys",
            sql,
            values![prefix]
        )
        .await)?;
        Ok(row.as_ref().map(ApiKey::of).transpose()?)
    }

    /// Those of these keys that there are, in one question. At most a few hundred.
    pub async fn api_keys_named(&self, prefixes: &[String]) -> Result<Vec<ApiKey>, StoreError> {
        if prefixes.is_empty() {
            return Ok(Vec::new());
        }
        let mut named = Conditions::behind(vec![]);
        named.within("prefix", prefixes.iter().map(|one| one.as_str().into()));
        let sql = format!("select {COLUMNS} from api_keys {}", named.to_where());
        let rows = read!(self.pool, |conn| fetch(conn, "api_keys", sql, named.values)
            .await)?;
        Ok(rows.iter().map(ApiKey::of).collect::<Result<_, _>>()?)
    }

    /// The keys of a tenant, or (`None`) all, by prefix.
    pub async fn api_keys(&self, tenant: Option<TenantId>) -> Result<Vec<ApiKey>, StoreError> {
        let (filter, parameters) = match tenant {
            Some(tenant) => ("where tenant = $1", values![tenant]),
            None => ("", vec![]),
        };
        let sql = format!("select {COLUMNS} from api_keys {filter} order by prefix");
        let rows = read!(self.pool, |conn| fetch(conn, "api_keys", sql, parameters)
            .await)?;
        Ok(rows.iter().map(ApiKey::of).collect::<Result<_, _>>()?)
    }

    /// Deletes an API key; `false` if there was none.
    pub async fn remove_api_key(&self, prefix: &str) -> Result<bool, StoreError> {
        let sql = "delete from api_keys where prefix = $1";
        let gone = write!(self.pool, |conn| execute(conn, sql, values![prefix]).await)?;
        Ok(gone > 0)
    }
}

async fn add(conn: &mut Conn<'_>, key: &ApiKey) -> Result<(), Failure> {
    if let Some(tenant) = key.tenant {
        check_tenant(conn, tenant).await?;
    }
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let added = execute(
        conn,
        "insert into api_keys (prefix, hash, tenant, scopes, name, created)
         values ($1, $2, $3, $4, $5, $6) on conflict (prefix) do nothing",
        values![
            key.prefix.as_str(),
            key.hash.as_slice(),
            key.tenant,
            scopes.join(" ").as_str(),
            key.name.as_str(),
            key.created,
        ],
    )
    .await?;
    if added == 0 {
        return Err(StoreError::Refused("there is a key with this prefix".to_owned()).into());
    }
    Ok(())
}
