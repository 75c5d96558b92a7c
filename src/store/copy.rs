//! Copies of the store that are kept for another day, and a store that was brought back from one.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::failure::{Failure, StoreError};
use super::first_start::random;
use super::pool::{Conn, Pool, read, sqlite_path, write};
use super::sql::{execute, fetch_one, values};
use super::{StoreConfig, seal};
use crate::model::clock::Timestamp;
use crate::model::secret::Secret;

/// Copies the SQLite store of `url` into the new file `to` (mode 0600), as it is at one moment,
/// while others may write to it. `false`: the store is of another engine, which has its own means.
///
/// # Errors
/// There is no store, the file exists and is not empty, or the disk is full; what was written so
/// far is left there.
pub async fn copy_to(url: &str, to: &Path) -> Result<bool, StoreError> {
    let Some(path) = sqlite_path(url) else {
        return Ok(false);
    };
    copy_file(path, to).await.map(|()| true)
}

/// Copies one SQLite file as it is at one moment.
async fn copy_file(path: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("{} cannot be copied: {error}", path.display()))
    };
    // SQLite fills an empty file, and would make one that everybody can read.
    OpenOptions::new()
        .create_new(true)
        .append(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", to.display())))?;
    let Some(name) = to.to_str() else {
        return Err(failed(&"the name of the copy is no text"));
    };
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|error| failed(&error))?;
    sqlx::query("vacuum into ?")
        .bind(name)
        .execute(&mut connection)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// What names the store of `url`, in hexadecimal digits; `None` if nothing was ever stored there.
/// Writes nothing, to no file.
pub async fn store_id(url: &str) -> Result<Option<String>, StoreError> {
    if sqlite_path(url).is_some_and(|path| !path.exists()) {
        return Ok(None);
    }
    let pool = Pool::open_to_read(url).await?;
    let id = read!(pool, |conn| id_of(conn).await);
    pool.close().await;
    Ok(id?.map(|id| HEXLOWER.encode(&id)))
}

/// What the clock of the store's own machine says; `None` where that is this one.
pub async fn time_of(url: &str) -> Result<Option<Timestamp>, StoreError> {
    if sqlite_path(url).is_some() {
        return Ok(None);
    }
    let pool = Pool::open(url).await?;
    let told = read!(pool, |conn| {
        let sql = "select (extract(epoch from clock_timestamp()) * 1000)::bigint as now";
        let row = fetch_one(conn, "store", sql, vec![]).await?;
        row.map(|row| row.time("now")).transpose()
    });
    pool.close().await;
    told
}

async fn id_of(conn: &mut Conn<'_>) -> Result<Option<Vec<u8>>, Failure> {
    let table = match conn {
        Conn::Sqlite(_) => {
            "select 1 as one from sqlite_schema where type = 'table' and name = 'meta'"
        }
        Conn::Postgres(_) => "select 1 as one where to_regclass('meta') is not null",
    };
    if fetch_one(conn, "meta", table, vec![]).await?.is_none() {
        return Ok(None);
    }
    meta(conn, "store-id").await
}

async fn meta(conn: &mut Conn<'_>, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let sql = "select value from meta where name = $1";
    let row = fetch_one(conn, "meta", sql, values![name]).await?;
    row.map(|row| row.bytes("value")).transpose()
}

/// Gives a store that was brought back, and was named `from`, a new name: places of its feed will be
/// used a second time, so that no cursor, index or node of the time that was lost may go on with
/// it. The root secret stays.
///
/// Several nodes have one store: it gets its new name with the first that is brought back, and
/// keeps it with the others. `false`: it is another store.
pub async fn rename(config: &StoreConfig, from: &str) -> Result<bool, StoreError> {
    let pool = Pool::open(&config.url).await?;
    let fresh: ([u8; 16], [u8; 12]) = (random()?, random()?);
    let done = write!(pool, |conn| {
        match id_of(conn).await? {
            None => Ok(false),
            Some(id) if HEXLOWER.encode(&id) == from => {
                name(conn, config, (&id, &fresh.0), fresh.1).await
            }
            Some(_) => {
                let before = meta(conn, "restored-from").await?;
                Ok(before.is_some_and(|id| HEXLOWER.encode(&id) == from))
            }
        }
    });
    pool.close().await;
    done
}

async fn name(
    conn: &mut Conn<'_>,
    config: &StoreConfig,
    (before, id): (&[u8], &[u8; 16]),
    nonce: [u8; 12],
) -> Result<bool, Failure> {
    let (root, _) = root_of(conn, config).await?;
    let sealed = seal::seal(&root, config.seal_key.as_ref(), id, nonce)?;
    let sql = "update meta set value = $1 where name = 'store-id' and value = $2";
    if execute(conn, sql, values![id.as_slice(), before]).await? == 0 {
        return Err(Failure::Conflict("another node names the store".to_owned()));
    }
    let sql = "update meta set value = $1 where name = 'root-secret'";
    execute(conn, sql, values![sealed.as_slice()]).await?;
    let sql = "insert into meta (name, value) values ('restored-from', $1)
               on conflict (name) do update set value = excluded.value";
    execute(conn, sql, values![before]).await?;
    Ok(true)
}

/// Whether the root secret is sealed; it opens with the configured key. Writes nothing, to no file.
///
/// # Errors
/// [`StoreError::Sealed`] if it does not open.
pub async fn unseals(config: &StoreConfig) -> Result<bool, StoreError> {
    let pool = Pool::open_to_read(&config.url).await?;
    let opened = read!(pool, |conn| root_of(conn, config).await);
    pool.close().await;
    opened.map(|(_, sealed)| sealed)
}

/// The root secret, and whether it was sealed.
pub(super) async fn root_of(
    conn: &mut Conn<'_>,
    config: &StoreConfig,
) -> Result<(Secret<32>, bool), Failure> {
    let missing = || StoreError::Inconsistent("the store has no name yet".to_owned());
    let id = id_of(conn).await?.ok_or_else(missing)?;
    let stored = meta(conn, "root-secret").await?.ok_or_else(missing)?;
    Ok(seal::open(&stored, config.seal_key.as_ref(), &id)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_store_is_named_in_two_forms() {
        for (url, path) in [
            ("sqlite:data/desist.db", Some("data/desist.db")),
            ("sqlite://data/desist.db", Some("data/desist.db")),
            ("sqlite:///var/desist.db", Some("/var/desist.db")),
            ("postgres://localhost/desist", None),
        ] {
            assert_eq!(sqlite_path(url), path.map(Path::new), "{url}");
        }
    }
}
