//! Opening the store, and what its very first start makes.

use data_encoding::HEXLOWER;

use super::failure::{Failure, StoreError};
use super::pool::{Conn, Pool, write};
use super::sql::{Value, execute, fetch_one, values};
use super::{Addresses, Store, migrate, seal, tenants};
use crate::judge::history::BouncePolicy;
use crate::model::clock::Timestamp;
use crate::model::secret::Secret;

/// How to open the store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// Whether asserted and minted addresses are kept.
    pub addresses: Addresses,
    /// Seals the root secret, if given.
    pub seal_key: Option<Secret<32>>,
}

/// What may be made on the first start.
struct Fresh<'a> {
    root: &'a Secret<32>,
    store_id: [u8; 16],
    nonce: [u8; 12],
    seal_key: Option<&'a Secret<32>>,
}

impl Store {
    /// Connects, migrates, and on the very first start makes the root secret, tenant `default`
    /// (number 1) and its first signing key from `fresh`. Any number of nodes may do so at once:
    /// one of them makes what all of them read.
    ///
    /// A root secret that was stored without seal is sealed if there is a seal key now.
    pub async fn open(
        config: &StoreConfig,
        fresh: Secret<32>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let pool = Pool::open(&config.url).await?;
        migrate::migrate(&pool, now).await?;
        let fresh = Fresh {
            root: &fresh,
            store_id: random()?,
            nonce: random()?,
            seal_key: config.seal_key.as_ref(),
        };
        let (store_id, root) = write!(pool, |conn| first_start(conn, &fresh, now).await)?;
        let epoch = match pool.timeline() {
            Some(timeline) => format!("{}-{timeline}", HEXLOWER.encode(&store_id)),
            None => HEXLOWER.encode(&store_id),
        };
        Ok(Self {
            pool,
            addresses: config.addresses,
            epoch: epoch.into(),
            root,
            bounces: BouncePolicy::default(),
        })
    }
}

async fn first_start(
    conn: &mut Conn<'_>,
    fresh: &Fresh<'_>,
    now: Timestamp,
) -> Result<(Vec<u8>, Secret<32>), Failure> {
    let (store_id, _) = keep(conn, "store-id", fresh.store_id.as_slice().into()).await?;
    let sealed = seal::seal(fresh.root, fresh.seal_key, &store_id, fresh.nonce)?;
    let (stored, first) = keep(conn, "root-secret", sealed.as_slice().into()).await?;
    let (root, was_sealed) = seal::open(&stored, fresh.seal_key, &store_id)?;
    if !was_sealed && fresh.seal_key.is_some() {
        let sealed = seal::seal(&root, fresh.seal_key, &store_id, fresh.nonce)?;
        execute(
            conn,
            "update meta set value = $1 where name = 'root-secret'",
            values![sealed.as_slice()],
        )
        .await?;
    }
    if first {
        execute(
            conn,
            "insert into feed (id, seq, directory, trimmed, tables) values (1, 0, 0, 0, $1)
             on conflict (id) do nothing",
            values![migrate::version()],
        )
        .await?;
        tenants::make_default(conn, now).await?;
    }
    Ok((store_id, root))
}

/// Stores a value unless there is one; returns what is stored, and whether it was stored now.
async fn keep(conn: &mut Conn<'_>, name: &str, value: Value) -> Result<(Vec<u8>, bool), Failure> {
    let stored = execute(
        conn,
        "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing",
        vec![name.into(), value],
    )
    .await?;
    let row = fetch_one(
        conn,
        "meta",
        "select value from meta where name = $1",
        values![name],
    )
    .await?;
    let missing = || StoreError::Inconsistent(format!("meta: {name} is missing"));
    Ok((row.ok_or_else(missing)?.bytes("value")?, stored > 0))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Unavailable(format!("no random bytes: {error}")))?;
    Ok(bytes)
}
