//! Connections: one enum for both engines, every wait bounded.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection,
    SqlitePool, Transaction,
};

use super::failure::{Failure, StoreError};

/// How long a caller waits for a free connection, and for a new one to be made.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long one reading call may take in all, so that a server that hangs is an error.
pub(super) const READ: Duration = Duration::from_secs(15);
/// How long one attempt of a writing transaction may take in all.
pub(super) const WRITE: Duration = Duration::from_secs(30);
/// How often a transaction that lost against another is tried again.
const RETRIES: u32 = 8;
/// Readers of an SQLite file, which are opened when they are first needed: as many as fill an index,
/// and some more.
const SQLITE_READERS: u32 = 8;
/// Bytes of a page of a new SQLite file: three messages of the usual size fit into one, and an
/// entry somewhere in an index costs no more than that (8 KiB).
const PAGE: u32 = 8192;
/// What the writer keeps of the file in memory, in KiB below zero (64 MiB): a batch, and most of
/// the pages of the indices that each of its entries is somewhere else in.
const CACHE: &str = "-65536";
/// The same of a reader (4 MiB).
const READER_CACHE: &str = "-4096";
/// The length of the log, in pages, at which a commit moves it into the file, where nobody else
/// has (256 MiB).
const LOG_AT_LAST: &str = "32768";
/// How long the log's connection waits for readers of its end, and the writer with it.
const LOG_WAITS: Duration = Duration::from_millis(100);
/// Rows that SQLite's thread may be ahead of who reads them: it need not wait for each.
const ROWS_AHEAD: usize = 1024;
/// Connections of this node to PostgreSQL, whose default allows 100 in all.
const POSTGRES_CONNECTIONS: u32 = 16;
/// Prepared statements kept by connection: on SQLite each multi-row statement has eight sizes.
const STATEMENTS: usize = 256;

/// How long to wait before a file that is being made is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(20);

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code.parse::<u32>().is_ok_and(|code| code & 0xff == 5))
}

/// The file of a store on SQLite, of which `url` is `sqlite:PATH` or `sqlite://PATH`.
pub fn sqlite_path(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

/// The connections of either engine.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    /// SQLite has one writer at a time: a queue of one connection waits better than busy loops.
    Sqlite {
        /// The only connection that writes.
        writer: SqlitePool,
        /// Readers, which in WAL mode neither wait for the writer nor stop it.
        readers: SqlitePool,
        /// The connection that moves the log into the file.
        log: SqlitePool,
    },
    /// PostgreSQL.
    Postgres {
        /// Reads and writes.
        pool: PgPool,
        /// On which timeline of the cluster the first connection found itself; `None` on a
        /// compatible engine that has none.
        timeline: Arc<OnceLock<Option<String>>>,
    },
}

/// A connection taken from the pool. One that is dropped before its work has [finished] well is
/// closed rather than kept, but for SQLite's readers, which have no transaction to be left in.
///
/// PostgreSQL: the server may hang. SQLite: a full disk and other failures end a transaction
/// without being told to; the driver counts it as open for ever after, and nothing could be
/// written until the next start.
///
/// [finished]: Connection::finish
#[derive(Debug)]
pub(super) struct Connection {
    engine: Engine,
    closes: bool,
}

#[derive(Debug)]
enum Engine {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A transaction; rolled back when dropped.
#[derive(Debug)]
pub(super) enum Tx<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Transaction<'c, Postgres>),
}

/// What statements run on, inside or outside of a transaction.
#[derive(Debug)]
pub(super) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Pool {
    /// Whether the engine works in this process.
    pub(super) const fn is_in_process(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Opens the connections that `url` names.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = sqlite_path(url) {
            return Box::pin(Self::open_sqlite(path)).await;
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Box::pin(Self::open_postgres(url)).await;
        }
        Err(StoreError::Refused(
            "the store's URL is sqlite:PATH or postgres://…".to_owned(),
        ))
    }

    /// The same for one who only looks: no SQLite file is made, changed or left beside another.
    pub(super) async fn open_to_read(url: &str) -> Result<Self, StoreError> {
        let Some(path) = sqlite_path(url) else {
            return Self::open(url).await;
        };
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        // Whoever has the file open has a log beside it. Without one nobody writes, and SQLite
        // need not make the files by which readers and writers know of each other.
        let alone = !Path::new(&log).try_exists().unwrap_or(true);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .immutable(alone)
            .busy_timeout(ACQUIRE)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_with(options)
            .await?;
        Ok(Self::Sqlite {
            writer: pool.clone(),
            readers: pool.clone(),
            log: pool,
        })
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            return Err(StoreError::Refused(
                "sqlite: needs the path of a file".to_owned(),
            ));
        }
        // The file holds the root secret: only its owner may read it. SQLite gives the files
        // beside it the same mode. One that is there is left alone: closing it would take away
        // the locks that this process may have on it already.
        let made = std::fs::OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(path);
        match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(StoreError::Unavailable(format!("the SQLite file: {error}")));
            }
            _ => {}
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            // Readers and the writer do not wait for each other.
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on the disk when it returns: the journal forgets what the store has.
            .synchronous(SqliteSynchronous::Full)
            // Another process (the command line beside the server) may write.
            .busy_timeout(ACQUIRE)
            // SQLite checks references only if told.
            .foreign_keys(true)
            .page_size(PAGE)
            .pragma("cache_size", CACHE)
            // Only where nothing else keeps the log short.
            .pragma("wal_autocheckpoint", LOG_AT_LAST)
            .row_buffer_size(ROWS_AHEAD)
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        let began = tokio::time::Instant::now();
        // Connections live as long as the store: closing the last one would checkpoint.
        let pool = |size| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .acquire_timeout(ACQUIRE)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = loop {
            match pool(1).connect_with(options.clone()).await {
                Ok(writer) => break writer,
                // Another process is just making the file: SQLite does not wait for the change
                // to WAL, whatever the busy time-out.
                Err(error) if is_busy(&error) && began.elapsed() < ACQUIRE => {
                    tokio::time::sleep(OPEN_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        // Whom it waits for, the writer waits for too.
        let log = options.clone().busy_timeout(LOG_WAITS);
        let log = pool(1).connect_lazy_with(log);
        let options = options.pragma("cache_size", READER_CACHE);
        let readers = pool(SQLITE_READERS).connect_lazy_with(options.read_only(true));
        Ok(Self::Sqlite {
            writer,
            readers,
            log,
        })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url
            .parse::<PgConnectOptions>()
            // The text of the error may repeat the URL with its password.
            .map_err(|_secret| StoreError::Refused("the PostgreSQL URL cannot be read".to_owned()))?
            .application_name("desist")
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        // A pool only says that no connection came in time; one of our own says why.
        let first = PgConnection::connect_with(&options);
        match tokio::time::timeout(ACQUIRE, first).await {
            Ok(first) => first?.close().await?,
            Err(_elapsed) => {
                let text = "the PostgreSQL server does not answer".to_owned();
                return Err(StoreError::Unavailable(text));
            }
        }
        let timeline = Arc::new(OnceLock::new());
        let known = Arc::clone(&timeline);
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .after_connect(move |connection, _| {
                let known = Arc::clone(&known);
                Box::pin(async move {
                    sqlx::raw_sql(POSTGRES_SESSION)
                        .execute(&mut *connection)
                        .await?;
                    same_timeline(connection, &known).await
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self::Postgres { pool, timeline })
    }

    /// PostgreSQL's timeline: it changes when a standby takes over.
    pub(super) fn timeline(&self) -> Option<&str> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { timeline, .. } => timeline.get()?.as_deref(),
        }
    }

    /// A connection that may write.
    ///
    // The driver's futures are large, and whatever waits for the store, a handler that hardly ever
    // does as well, would be as large and copied as often: so they stand on the heap.
    pub(super) async fn writer(&self) -> Result<Connection, StoreError> {
        let engine = match self {
            Self::Sqlite { writer, .. } => Engine::Sqlite(Box::pin(writer.acquire()).await?),
            Self::Postgres { pool, .. } => Engine::Postgres(Box::pin(pool.acquire()).await?),
        };
        Ok(Connection {
            engine,
            closes: true,
        })
    }

    /// A connection for reading.
    pub(super) async fn reader(&self) -> Result<Connection, StoreError> {
        let (engine, closes) = match self {
            Self::Sqlite { readers, .. } => {
                (Engine::Sqlite(Box::pin(readers.acquire()).await?), false)
            }
            Self::Postgres { pool, .. } => {
                (Engine::Postgres(Box::pin(pool.acquire()).await?), true)
            }
        };
        Ok(Connection { engine, closes })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite {
                writer,
                readers,
                log,
            } => {
                log.close().await;
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}

impl Connection {
    /// Begins a writing transaction.
    pub(super) async fn begin(&mut self) -> Result<Tx<'_>, Failure> {
        match &mut self.engine {
            // Taking the write lock first avoids that a reader cannot become a writer.
            Engine::Sqlite(connection) => {
                Ok(Tx::Sqlite(connection.begin_with("begin immediate").await?))
            }
            Engine::Postgres(connection) => Ok(Tx::Postgres(connection.begin().await?)),
        }
    }

    /// For statements outside of a transaction.
    pub(super) fn conn(&mut self) -> Conn<'_> {
        match &mut self.engine {
            Engine::Sqlite(connection) => Conn::Sqlite(connection),
            Engine::Postgres(connection) => Conn::Postgres(connection),
        }
    }

    /// Its work came to an end and left no transaction open: it may be used again.
    pub(super) fn finish(&mut self) {
        self.closes = false;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.closes {
            match &mut self.engine {
                Engine::Sqlite(connection) => connection.close_on_drop(),
                Engine::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}

impl Tx<'_> {
    /// What statements run on.
    pub(super) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(transaction) => Conn::Sqlite(transaction),
            Self::Postgres(transaction) => Conn::Postgres(transaction),
        }
    }

    /// Commits what went well and rolls back what did not. The second value tells whether the
    /// transaction has certainly ended, so that its connection may be used again.
    pub(super) async fn end<T>(self, result: Result<T, Failure>) -> (Result<T, Failure>, bool) {
        match result {
            Ok(value) => {
                let committed = match self {
                    Self::Sqlite(transaction) => transaction.commit().await,
                    Self::Postgres(transaction) => transaction.commit().await,
                };
                let ended = committed.is_ok();
                (committed.map(|()| value).map_err(Failure::from), ended)
            }
            Err(failure) => {
                let rolled_back = match self {
                    Self::Sqlite(transaction) => transaction.rollback().await,
                    Self::Postgres(transaction) => transaction.rollback().await,
                };
                // What failed first says more.
                (Err(failure), rolled_back.is_ok())
            }
        }
    }
}

/// Refuses a connection to another timeline than that of the first one. A standby that took over
/// may lack the last commits: cursors and index of this node are then no longer true, and only a
/// new start makes them anew.
async fn same_timeline(
    connection: &mut PgConnection,
    known: &OnceLock<Option<String>>,
) -> Result<(), sqlx::Error> {
    let sql = "select substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";
    let timeline = match sqlx::query_scalar::<_, Option<String>>(sql)
        .fetch_one(connection)
        .await
    {
        Ok(timeline) => timeline,
        // Function unknown, not allowed or not supported: a compatible engine without timelines.
        Err(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("42883" | "42501" | "0A000")) =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    if *known.get_or_init(|| timeline.clone()) == timeline {
        return Ok(());
    }
    Err(sqlx::Error::Protocol(
        "another server has taken over the database: this node must be restarted".to_owned(),
    ))
}

/// Whether to try a transaction again; waits a little before it says so.
pub(super) async fn again(failure: &Failure, attempt: u32) -> bool {
    let retry = matches!(failure, Failure::Conflict(_)) && attempt < RETRIES;
    if retry {
        tokio::time::sleep(Duration::from_millis(5 << attempt.min(6))).await;
    }
    retry
}

/// The engine did not come to an end in time.
pub(super) fn too_late() -> Failure {
    StoreError::Unavailable("the store did not answer in time".to_owned()).into()
}

/// Runs `$work`, which uses the connection `$conn`, in one writing transaction; again if the
/// engine let another transaction win. `$work` must not change anything but the store.
macro_rules! write {
    ($pool:expr, |$conn:ident| $work:expr) => {{
        let mut attempt = 0;
        loop {
            let mut connection = $pool.writer().await?;
            let outcome = tokio::time::timeout($crate::store::pool::WRITE, async {
                let mut transaction = match connection.begin().await {
                    Ok(transaction) => transaction,
                    Err(failure) => return (Err(failure), false),
                };
                let result: std::result::Result<_, $crate::store::failure::Failure> = async {
                    let $conn = &mut transaction.conn();
                    $work
                }
                .await;
                transaction.end(result).await
            })
            .await;
            let (result, ended) =
                outcome.unwrap_or_else(|_elapsed| (Err($crate::store::pool::too_late()), false));
            if ended {
                connection.finish();
            }
            drop(connection);
            match result {
                Ok(value) => break Ok(value),
                Err(failure) if $crate::store::pool::again(&failure, attempt).await => attempt += 1,
                Err(failure) => break Err($crate::store::StoreError::from(failure)),
            }
        }
    }};
}

/// Runs `$work`, which only reads, on the connection `$conn`.
macro_rules! read {
    ($pool:expr, |$conn:ident| $work:expr) => {{
        let mut connection = $pool.reader().await?;
        let outcome = tokio::time::timeout($crate::store::pool::READ, async {
            let $conn = &mut connection.conn();
            $work
        })
        .await;
        match outcome {
            Ok(result) => {
                connection.finish();
                result.map_err($crate::store::StoreError::from)
            }
            Err(_) => Err($crate::store::StoreError::from(
                $crate::store::pool::too_late(),
            )),
        }
    }};
}

pub(super) use {read, write};

/// What every session is told. A statement, a lock or a dead peer ends in bounded time on the
/// server's side too; a commit that was acknowledged has reached the server's disk.
const POSTGRES_SESSION: &str = "
    set statement_timeout = '10s';
    set lock_timeout = '5s';
    set idle_in_transaction_session_timeout = '30s';
    set tcp_user_timeout = '20s';
    set tcp_keepalives_idle = '15s';
    set tcp_keepalives_interval = '5s';
    set tcp_keepalives_count = '3';
    select set_config('synchronous_commit', 'on', false)
        where current_setting('synchronous_commit') = 'off';";
