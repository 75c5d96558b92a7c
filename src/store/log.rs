//! SQLite's log: moved into the file beside the connection that commits, and kept short.
//!
//! Whoever writes when the log has a certain length would move it, and its caller would wait. So
//! a connection of its own does it, which neither readers nor the writer wait for. It cannot begin
//! the log anew while somebody writes behind what it has moved: when the log has grown too long,
//! it stops the writer for the little that is left.

use std::time::Duration;

use sqlx::{Row as _, SqliteConnection, SqlitePool};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Store;
use super::failure::{Failure, StoreError};
use super::pool::Pool;

/// How often the log's length is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Pages to be moved at once: the more, the more often one was written several times, and is moved
/// only once.
const MOVED: i64 = 8_192;
/// Pages of the longest log that is left as it is.
const LONGEST: i64 = 16_384;
/// Pages that the writer may be stopped for.
const LITTLE: i64 = 1_024;
/// How often what was written meanwhile is moved before the writer is stopped.
const PASSES: u32 = 4;

/// The log's length in pages, and how many of them are in the file already.
struct Log {
    length: i64,
    moved: i64,
}

impl Log {
    fn left(&self) -> i64 {
        self.length.saturating_sub(self.moved)
    }
}

impl Store {
    /// Keeps the log short until `stop`; PostgreSQL does so by itself. Without it commits do, which
    /// then take up to a second now and then.
    pub async fn keep_log_short(&self, stop: &CancellationToken) {
        let Pool::Sqlite { log, writer, .. } = &self.pool else {
            return;
        };
        let mut failing = false;
        while timeout(LOOK, stop.cancelled()).await.is_err() {
            let result = match log.acquire().await {
                Ok(mut connection) => shorten(&mut connection, writer).await,
                Err(error) => Err(error.into()),
            };
            let failed = result.is_err();
            if let Err(error) = result.map_err(StoreError::from)
                && !failing
            {
                tracing::warn!(%error, "cannot move SQLite's log into the file now");
            }
            failing = failed;
        }
    }
}

async fn shorten(connection: &mut SqliteConnection, writer: &SqlitePool) -> Result<(), Failure> {
    let mut log = checkpoint(connection, "pragma wal_checkpoint(noop)").await?;
    let much = log.left() >= MOVED || (log.length >= LONGEST && log.left() > 0);
    if !much {
        return Ok(());
    }
    for _ in 0..PASSES {
        log = checkpoint(connection, "pragma wal_checkpoint(passive)").await?;
        if log.left() < LITTLE {
            break;
        }
    }
    if log.length >= LONGEST {
        // Waits in line with those who write, rather than for a moment when none does.
        let _nobody_writes = writer.acquire().await?;
        checkpoint(connection, "pragma wal_checkpoint(restart)").await?;
    }
    Ok(())
}

async fn checkpoint(
    connection: &mut SqliteConnection,
    pragma: &'static str,
) -> Result<Log, Failure> {
    let row = sqlx::query(pragma).fetch_one(connection).await?;
    Ok(Log {
        length: row.try_get(1)?,
        moved: row.try_get(2)?,
    })
}
