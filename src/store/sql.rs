//! Statements and rows: one text and one set of types for both engines.

mod conditions;
mod many_rows;
mod row;
mod value;

use sqlx::{AssertSqlSafe, PgConnection};

pub(super) use self::conditions::Conditions;
pub(super) use self::many_rows::{ManyRows, fetch_many};
use self::row::Inner;
pub(super) use self::row::Row;
use self::value::Column;
pub(super) use self::value::{Value, month, to_json, values};
use super::failure::Failure;
use super::pool::Conn;

macro_rules! bound {
    ($engine:ty, $sql:expr, $values:expr) => {{
        let mut query = sqlx::query::<$engine>(AssertSqlSafe($sql));
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

/// Runs a statement and returns its rows. `table` is named if they make no sense.
pub(super) async fn fetch(
    conn: &mut Conn<'_>,
    table: &'static str,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Vec<Row>, Failure> {
    let sql = sql.into();
    Ok(match conn {
        Conn::Sqlite(conn) => bound!(sqlx::Sqlite, sql, values)
            .fetch_all(&mut **conn)
            .await?
            .into_iter()
            .map(|row| Row {
                table,
                inner: Inner::Sqlite(row),
            })
            .collect(),
        Conn::Postgres(conn) => bound!(sqlx::Postgres, sql, values)
            .fetch_all(&mut **conn)
            .await?
            .into_iter()
            .map(|row| Row {
                table,
                inner: Inner::Postgres(row),
            })
            .collect(),
    })
}

/// Runs a statement that returns at most one row.
pub(super) async fn fetch_one(
    conn: &mut Conn<'_>,
    table: &'static str,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Option<Row>, Failure> {
    Ok(fetch(conn, table, sql, values).await?.pop())
}

/// Runs a statement and returns how many rows it changed.
pub(super) async fn execute(
    conn: &mut Conn<'_>,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<u64, Failure> {
    let sql = sql.into();
    Ok(match conn {
        Conn::Sqlite(conn) => bound!(sqlx::Sqlite, sql, values)
            .execute(&mut **conn)
            .await?
            .rows_affected(),
        Conn::Postgres(conn) => bound!(sqlx::Postgres, sql, values)
            .execute(&mut **conn)
            .await?
            .rows_affected(),
    })
}

/// Runs a statement whose parameters are the columns of many rows.
async fn fetch_arrays(
    conn: &mut PgConnection,
    table: &'static str,
    sql: String,
    columns: Vec<Column>,
) -> Result<Vec<Row>, Failure> {
    let mut query = sqlx::query::<sqlx::Postgres>(AssertSqlSafe(sql));
    for column in columns {
        query = match column {
            Column::Int(values) => query.bind(values),
            Column::Text(values) => query.bind(values),
            Column::Bytes(values) => query.bind(values),
        };
    }
    let rows = query.fetch_all(conn).await?.into_iter();
    Ok(rows
        .map(|row| Row {
            table,
            inner: Inner::Postgres(row),
        })
        .collect())
}
