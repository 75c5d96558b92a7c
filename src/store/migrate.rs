//! Brings the tables to the form that this program knows.
//!
//! Each step is one file, never changed once released. It is written for PostgreSQL; for SQLite
//! two words are replaced: `bytea` and `bigint` by the types of strict tables; what stands in
//! `/*: … */` is read instead of skipped, and lines that begin with `/*postgres*/` are skipped
//! instead of read. On PostgreSQL texts are compared by bytes, as SQLite
//! does, so that both list in the same order and no index depends on the system's locale.

use sqlx::AssertSqlSafe;

use super::failure::{Failure, StoreError};
use super::pool::{Conn, Pool, write};
use super::sql::{execute, fetch_one, values};
use crate::model::clock::Timestamp;

/// The steps; the version of a store is how many of them it has had.
pub(super) const STEPS: &[&str] = &[
    include_str!("migrations/0001_store.sql"),
    include_str!("migrations/0002_bounces.sql"),
    include_str!("migrations/0003_counts.sql"),
    include_str!("migrations/0004_page.sql"),
    include_str!("migrations/0005_recipients.sql"),
    include_str!("migrations/0006_directory.sql"),
    include_str!("migrations/0007_marks.sql"),
    include_str!("migrations/0008_parts.sql"),
];

/// Applies the steps that are missing. Any number of nodes may do so at the same time.
pub(super) async fn migrate(pool: &Pool, now: Timestamp) -> Result<(), StoreError> {
    // Two nodes that make the same table at once: one fails by a constraint of the catalogue,
    // and finds the table when it looks again.
    if prepare(pool, now).await.is_err() {
        prepare(pool, now).await?;
    }
    write!(pool, |conn| apply(conn, now).await)
}

async fn prepare(pool: &Pool, now: Timestamp) -> Result<(), StoreError> {
    write!(pool, |conn| make_table(conn, now).await)
}

async fn make_table(conn: &mut Conn<'_>, now: Timestamp) -> Result<(), Failure> {
    execute(
        conn,
        "create table if not exists migrations
            (version bigint not null primary key, applied bigint not null)",
        vec![],
    )
    .await?;
    execute(
        conn,
        "insert into migrations (version, applied) values (0, $1) on conflict do nothing",
        values![now],
    )
    .await?;
    Ok(())
}

async fn apply(conn: &mut Conn<'_>, now: Timestamp) -> Result<(), Failure> {
    // The lock: who comes second waits here until the first has committed.
    execute(
        conn,
        "update migrations set applied = applied where version = 0",
        vec![],
    )
    .await?;
    let done: usize = fetch_one(
        conn,
        "migrations",
        "select version from migrations order by version desc limit 1",
        vec![],
    )
    .await?
    .map_or(Ok(0), |row| row.int("version"))?
    .try_into()
    .unwrap_or(usize::MAX);
    if done > STEPS.len() {
        return Err(StoreError::Inconsistent(format!(
            "its tables have version {done}, and this program knows them up to version {}: run a \
             newer one",
            STEPS.len()
        ))
        .into());
    }
    if done > 0 {
        // In line with whoever writes: all that is stored before is there, and what comes after
        // finds the new number.
        execute(conn, "update feed set seq = seq where id = 1", vec![]).await?;
    }
    for (version, step) in (1_i64..).zip(STEPS).skip(done) {
        run(conn, step).await?;
        execute(
            conn,
            "insert into migrations (version, applied) values ($1, $2)",
            values![version, now],
        )
        .await?;
    }
    let sql = "update feed set tables = $1 where id = 1 and tables < $1";
    execute(conn, sql, values![version()]).await?;
    Ok(())
}

/// The number of the tables that this program writes.
pub(super) fn version() -> u64 {
    u64::try_from(STEPS.len()).unwrap_or(u64::MAX)
}

/// Runs all statements of a step.
async fn run(conn: &mut Conn<'_>, step: &str) -> Result<(), Failure> {
    match conn {
        Conn::Sqlite(conn) => {
            let text = for_sqlite(step);
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut **conn)
                .await?;
        }
        Conn::Postgres(conn) => {
            let text = for_postgres(step);
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut **conn)
                .await?;
        }
    }
    Ok(())
}

pub(super) fn for_sqlite(step: &str) -> String {
    without(&["--", "/*postgres*/"], step)
        .replace("bytea", "blob")
        .replace("bigint", "integer")
        .replace("/*:", "")
        .replace("*/", "")
}

fn for_postgres(step: &str) -> String {
    without(&["--"], step).replace(" text", " text collate \"C\"")
}

fn without(starts: &[&str], step: &str) -> String {
    step.lines()
        .filter(|line| !starts.iter().any(|start| line.starts_with(start)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_reads_its_own_words() {
        let step = "-- a text\ncreate table t (a bytea, b bigint, c text)/*: strict */;\n\
                    /*postgres*/ create index i on t (a);";
        assert_eq!(
            for_sqlite(step),
            "create table t (a blob, b integer, c text) strict ;"
        );
        assert_eq!(
            for_postgres(step),
            "create table t (a bytea, b bigint, c text collate \"C\")/*: strict */;\n\
             /*postgres*/ create index i on t (a);"
        );
    }
}
