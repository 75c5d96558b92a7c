//! The file: how it is made, locked and opened.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Row as _};

use super::JournalError;

/// The version of the tables below. A file of a newer one is refused.
const FORMAT: i64 = 2;

/// An open file that belongs to this process alone.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: SqliteConnection,
    /// The folder that the file lies in.
    pub(super) folder: PathBuf,
    /// Held as long as the file is open.
    pub(super) lock: File,
    /// The last place that is taken.
    pub(super) last_seq: u64,
    /// Receipts not yet shipped.
    pub(super) unshipped: u64,
}

/// Opens or makes the file and recovers what an earlier process left.
pub(super) async fn open(path: &Path) -> Result<Opened, JournalError> {
    let path = path.to_owned();
    let prepare = move || match prepare(&path) {
        Ok(lock) => Ok((path, lock)),
        Err(JournalError::File(why)) => {
            Err(JournalError::File(format!("{}: {why}", path.display())))
        }
        Err(other) => Err(other),
    };
    let (path, lock) = tokio::task::spawn_blocking(prepare)
        .await
        .map_err(unusable)??;
    let mut connection = options(&path).connect().await.map_err(unusable)?;
    migrate(&mut connection).await?;
    // What is still noted as taken was in work when the process died.
    sqlx::raw_sql(
        "begin immediate;
         with recursive each (seq, last) as (
             select first, last from taken
             union all select seq + 1, last from each where seq < last limit 100000)
         insert into deaths (seq, deaths) select seq, 1 from each where true
             on conflict (seq) do update set deaths = deaths + 1;
         delete from taken;
         update meta set value = value + 1 where key = 'opened';
         commit",
    )
    .execute(&mut connection)
    .await
    .map_err(unusable)?;
    let (last_seq, unshipped) = count(&mut connection).await.map_err(unusable)?;
    let folder = folder_of(&path);
    // The files' names must be as durable as what is in them. By now the log exists too.
    let names = folder.clone();
    tokio::task::spawn_blocking(move || File::open(names)?.sync_all())
        .await
        .map_err(unusable)?
        .map_err(unusable)?;
    Ok(Opened {
        connection,
        folder,
        lock,
        last_seq,
        unshipped,
    })
}

/// The file's folder.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Takes the lock, leaves the number of this process in it for people, and makes the file, readable
/// by its owner alone from the first byte on: SQLite gives the log the mode of the file.
pub(super) fn prepare(path: &Path) -> Result<File, JournalError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let lock = options
        .open(path.with_extension("lock"))
        .map_err(unusable)?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        // On a full disk nobody is told the number; a journal can be read there all the same.
        Ok(()) => drop(sign(&lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(JournalError::Open {
                folder: folder_of(path),
                process: signed(&lock),
            });
        }
        Err(error) => return Err(unusable(error)),
    }
    let file = options.open(path).map_err(unusable)?;
    restrict(&file).map_err(unusable)?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match File::open(log) {
        Ok(log) => restrict(&log).map_err(unusable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    Ok(lock)
}

/// Writes which process has the lock.
fn sign(mut lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

/// Which process has the lock, if it has come to say so.
fn signed(lock: &File) -> Option<u32> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Takes away what others may do with a file that was copied here carelessly.
fn restrict(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // `prepare` has made it, with its mode.
        .create_if_missing(false)
        // One connection alone: the log's index lives in memory instead of a shared file.
        .locking_mode(SqliteLockingMode::Exclusive)
        // A group fills few pages, and each is written with two calls to the system.
        .page_size(16_384)
        // The file can shrink after an outage of the store has made it large.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        // A commit is one sequential write and one sync.
        .journal_mode(SqliteJournalMode::Wal)
        // Every commit that a door waits for syncs the log before it returns.
        .synchronous(SqliteSynchronous::Full)
        // Checkpoints are run by the committer, which sees their errors; SQLite's own hide them.
        .pragma("wal_autocheckpoint", "0")
        // No table refers to another but by the trigger.
        .foreign_keys(false)
        // In KiB: holds a whole transaction, so that it reaches the log in one piece.
        .pragma("cache_size", "-49152")
        .statement_cache_capacity(100)
        // Statement texts say nothing that is not in this file.
        .disable_statement_logging()
}

/// Makes the tables in an empty file, and refuses a file of a newer version.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    let known = "select count(*) from sqlite_schema where type = 'table' and name = 'meta'";
    let known: i64 = scalar(connection, known).await?;
    if known == 0 {
        for sql in [TABLES, PARTS] {
            sqlx::raw_sql(sql)
                .execute(&mut *connection)
                .await
                .map_err(unusable)?;
        }
        return Ok(());
    }
    let format: i64 = scalar(connection, "select value from meta where key = 'format'").await?;
    if format == FORMAT {
        // A file of before has none.
        sqlx::raw_sql(PARTS)
            .execute(connection)
            .await
            .map_err(unusable)?;
        Ok(())
    } else {
        let message = format!(
            "format {format} of the file, where this program knows {FORMAT}: let the version that \
             wrote it run until it has nothing unshipped"
        );
        Err(JournalError::Inconsistent(message))
    }
}

async fn scalar(
    connection: &mut SqliteConnection,
    query: &'static str,
) -> Result<i64, JournalError> {
    sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .map_err(unusable)
}

async fn count(connection: &mut SqliteConnection) -> sqlx::Result<(u64, u64)> {
    let row = sqlx::query(
        "select (select seq from groups order by seq desc limit 1),
                (select receipts from groups order by seq desc limit 1),
                (select coalesce(sum(receipts), 0) from groups
                  where seq not in (select seq from shipped))
              - (select coalesce(sum(json_array_length(done)), 0) from partly
                  where json_valid(done) and seq not in (select seq from shipped))",
    )
    .fetch_one(connection)
    .await?;
    let first = place(row.try_get::<Option<i64>, _>(0)?.unwrap_or(0));
    let count = place(row.try_get::<Option<i64>, _>(1)?.unwrap_or(0));
    let last = first.saturating_add(count.saturating_sub(1));
    Ok((last, place(row.try_get(2)?)))
}

/// An error of the file, as text: the texts of SQLite and of the system name no content.
pub(super) fn unusable(error: impl std::fmt::Display) -> JournalError {
    JournalError::File(error.to_string())
}

/// `groups`: what was committed together; `seq` is the place of its first receipt, `receipts` how
/// many it has, `body` as `group` writes them. `partly`: the places of a group that are done,
/// while others are not. `taken`: what is in work, as runs of places. `deaths`: how many processes
/// died while they had a receipt. `shipped`: groups that the store has and that are kept.
const TABLES: &str = "
begin immediate;
create table meta (key text primary key, value integer not null) strict, without rowid;
create table groups (
    seq integer primary key check (seq > 0),
    receipts integer not null check (receipts between 1 and 10000000),
    body blob not null
) strict;
create table partly (seq integer primary key, done text not null) strict;
create table taken (first integer primary key, last integer not null) strict;
create table deaths (seq integer primary key, deaths integer not null check (deaths > 0)) strict;
create table shipped (seq integer primary key, at integer not null) strict;
create trigger groups_deleted after delete on groups begin
    delete from partly where seq = old.seq;
    delete from shipped where seq = old.seq;
    delete from deaths where seq >= old.seq and seq < old.seq + old.receipts;
end;
create table directory (
    one integer primary key check (one = 1),
    root blob not null,
    body text not null,
    seq integer not null
) strict;
insert into meta (key, value) values ('format', 2), ('opened', 0), ('failed', 0);
commit";

/// What of the directory has changed since it was mirrored whole: a row a tenant; 0: what is no
/// tenant's.
const PARTS: &str = "
create table if not exists directory_parts (
    tenant integer primary key,
    body text not null
) strict";

/// A place as SQLite stores it.
pub(super) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A place as it was stored.
pub(super) fn place(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
