//! Statements and rows: one text and one set of types for both engines.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::failure::{Failure, StoreError};
use super::pool::Conn;
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::receipt::ReceiptId;
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;

/// Rows of one statement. A power of two, so that few different statements are prepared.
const ROWS: usize = 256;
/// Parameters of one statement; SQLite takes 32,766, PostgreSQL 65,535.
const PARAMETERS: usize = 16_384;
/// Bytes of one statement's values, beyond which fewer rows go into it (8 MiB).
const BYTES: usize = 8 * 1024 * 1024;

/// A parameter of a statement. The type is known even of a null, as PostgreSQL needs it.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Value {
    fn len(&self) -> usize {
        match self {
            Self::Int(_) => 8,
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        }
    }

    /// JSON as text: PostgreSQL's own JSON types cannot hold U+0000.
    pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<Self, Failure> {
        serde_json::to_string(value)
            .map(|text| Self::Text(Some(text)))
            .map_err(|error| StoreError::Refused(format!("no JSON can be made: {error}")).into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<u16>> for Value {
    fn from(value: Option<u16>) -> Self {
        Self::Int(value.map(i64::from))
    }
}

impl From<u64> for Value {
    /// Places of the feed and sizes stay far below the limit.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_millis()))
    }
}

impl From<TenantId> for Value {
    fn from(value: TenantId) -> Self {
        Self::Int(Some(value.get().into()))
    }
}

impl From<Option<TenantId>> for Value {
    fn from(value: Option<TenantId>) -> Self {
        Self::Int(value.map(|tenant| tenant.get().into()))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(clean(value)))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(clean))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<RecipientKey> for Value {
    fn from(value: RecipientKey) -> Self {
        value.as_bytes().as_slice().into()
    }
}

impl From<Option<RecipientKey>> for Value {
    fn from(value: Option<RecipientKey>) -> Self {
        Self::Bytes(value.map(|key| key.as_bytes().to_vec()))
    }
}

impl From<ReceiptId> for Value {
    fn from(value: ReceiptId) -> Self {
        value.as_bytes().as_slice().into()
    }
}

impl From<Option<ReceiptId>> for Value {
    fn from(value: Option<ReceiptId>) -> Self {
        Self::Bytes(value.map(|id| id.as_bytes().to_vec()))
    }
}

impl From<Digest> for Value {
    fn from(value: Digest) -> Self {
        value.as_bytes().as_slice().into()
    }
}

/// PostgreSQL's text cannot hold U+0000, and mail may bring it: it becomes U+FFFD on both engines,
/// so that a text never fails a batch.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The month of a receipt and of all that belongs to it, from the id alone.
pub(super) fn month(id: ReceiptId) -> i64 {
    id.at().month().into()
}

/// The values of a statement or of one row.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![ $( $crate::store::sql::Value::from($value) ),* ] };
}

pub(super) use values;

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

/// A statement around a list of rows: `head ($1,$2),($3,$4) tail`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ManyRows {
    /// The table, for errors.
    pub(super) table: &'static str,
    /// What stands before the rows, `values` included.
    pub(super) head: &'static str,
    /// What stands behind the rows.
    pub(super) tail: &'static str,
}

/// Runs a statement over many rows, in as few pieces as the bounds allow. The rows should be
/// sorted by key, so that two transactions lock in the same order.
pub(super) async fn fetch_many(
    conn: &mut Conn<'_>,
    statement: ManyRows,
    rows: Vec<Vec<Value>>,
) -> Result<Vec<Row>, Failure> {
    // SQLite looks for the name of each numbered parameter among all others: with thousands of
    // them that is most of the time. It counts those without number by itself.
    let numbered = matches!(conn, Conn::Postgres(_));
    let mut found = Vec::new();
    let mut rows = rows.into_iter().peekable();
    let mut left = rows.len();
    while let Some(first) = rows.peek() {
        let width = first.len();
        let most = largest_power_of_two(left.min(ROWS).min(PARAMETERS / width.max(1)));
        let mut piece: Vec<Value> = Vec::with_capacity(most * width);
        let (mut count, mut bytes) = (0, 0);
        // Beyond the bytes, a piece ends at the next power of two.
        while count < most && (bytes < BYTES || !usize::is_power_of_two(count)) {
            let Some(row) = rows.next() else { break };
            bytes += row.iter().map(Value::len).sum::<usize>();
            piece.extend(row);
            count += 1;
        }
        left -= count;
        let sql = format!(
            "{} {} {}",
            statement.head,
            placeholders(count, width, numbered),
            statement.tail
        );
        found.extend(fetch(conn, statement.table, sql, piece).await?);
    }
    Ok(found)
}

fn largest_power_of_two(bound: usize) -> usize {
    if bound < 2 { 1 } else { 1 << bound.ilog2() }
}

/// `($1,$2),($3,$4)` or `(?,?),(?,?)`.
fn placeholders(rows: usize, width: usize, numbered: bool) -> String {
    let mut text = String::with_capacity(rows * width * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..width {
            text.push_str(if column == 0 { "" } else { "," });
            if numbered {
                text.push('$');
                text.push_str(&(row * width + column + 1).to_string());
            } else {
                text.push('?');
            }
        }
        text.push(')');
    }
    text
}

/// The conditions of a query, and all its parameters so far.
#[derive(Debug)]
pub(super) struct Conditions {
    texts: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// Begins behind parameters that the query has already.
    pub(super) fn behind(values: Vec<Value>) -> Self {
        Self {
            texts: Vec::new(),
            values,
        }
    }

    /// A condition without parameter.
    pub(super) fn plain(&mut self, text: &str) {
        self.texts.push(text.to_owned());
    }

    /// `column = value`.
    pub(super) fn equal(&mut self, column: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.texts
            .push(format!("{column} = ${}", self.values.len()));
    }

    /// `columns < (values)` or `>`: whence a listing goes on.
    pub(super) fn beyond(&mut self, columns: &str, values: Vec<Value>) {
        let list: Vec<String> = (self.values.len() + 1..)
            .zip(&values)
            .map(|(number, _)| format!("${number}"))
            .collect();
        self.texts.push(format!("{columns} ({})", list.join(", ")));
        self.values.extend(values);
    }

    /// `column in (values)`. The last value is repeated up to a power of two, which changes
    /// nothing but that fewer different statements are prepared. There must be one.
    pub(super) fn within(&mut self, column: &str, values: impl IntoIterator<Item = Value>) {
        let list = in_list(&mut self.values, values);
        self.texts.push(format!("{column} in ({list})"));
    }

    /// `where … and …`, or nothing.
    pub(super) fn to_where(&self) -> String {
        if self.texts.is_empty() {
            return String::new();
        }
        format!("where {}", self.texts.join(" and "))
    }
}

/// `$3,$4,$5`, as many as the next power of two.
fn in_list(values: &mut Vec<Value>, given: impl IntoIterator<Item = Value>) -> String {
    let before = values.len();
    values.extend(given);
    let wanted = before + (values.len() - before).next_power_of_two();
    while values.len() < wanted {
        let Some(last) = values.last().cloned() else {
            break;
        };
        values.push(last);
    }
    let list: Vec<String> = (before + 1..=wanted)
        .map(|number| format!("${number}"))
        .collect();
    list.join(",")
}

/// A row of either engine.
#[derive(Debug)]
pub(super) struct Row {
    table: &'static str,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! getter {
    ($name:ident, $type:ty) => {
        /// The value of a column, `None` if it is null.
        pub(super) fn $name(&self, column: &str) -> Result<Option<$type>, Failure> {
            match &self.inner {
                Inner::Sqlite(row) => row.try_get::<Option<$type>, _>(column),
                Inner::Postgres(row) => row.try_get::<Option<$type>, _>(column),
            }
            .map_err(|error| self.broken(column, &error))
        }
    };
}

impl Row {
    getter!(opt_int, i64);
    getter!(opt_text, String);
    getter!(opt_bytes, Vec<u8>);

    pub(super) fn int(&self, column: &str) -> Result<i64, Failure> {
        self.opt_int(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(super) fn text(&self, column: &str) -> Result<String, Failure> {
        self.opt_text(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(super) fn bytes(&self, column: &str) -> Result<Vec<u8>, Failure> {
        self.opt_bytes(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    /// An integer within the range of `T`.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, Failure> {
        T::try_from(self.int(column)?).map_err(|_outside| self.broken(column, &"is out of range"))
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, Failure> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(super) fn tenant(&self, column: &str) -> Result<TenantId, Failure> {
        self.number(column)
    }

    pub(super) fn opt_tenant(&self, column: &str) -> Result<Option<TenantId>, Failure> {
        self.opt_int(column)?
            .map(|number| TenantId::try_from(number).map_err(|error| self.broken(column, &error)))
            .transpose()
    }

    /// A text with one meaning: a word, a scope.
    pub(super) fn word<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, Failure> {
        self.text(column)?
            .parse()
            .map_err(|error| self.broken(column, &error))
    }

    pub(super) fn opt_word<T: FromStr<Err: Display>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, Failure> {
        self.opt_text(column)?
            .map(|text| text.parse().map_err(|error| self.broken(column, &error)))
            .transpose()
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, Failure> {
        serde_json::from_str(&self.text(column)?).map_err(|error| self.broken(column, &error))
    }

    /// Exactly `N` bytes.
    pub(super) fn array<const N: usize>(&self, column: &str) -> Result<[u8; N], Failure> {
        self.opt_array(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(super) fn opt_array<const N: usize>(
        &self,
        column: &str,
    ) -> Result<Option<[u8; N]>, Failure> {
        self.opt_bytes(column)?
            .map(|bytes| {
                bytes
                    .try_into()
                    .map_err(|_outside| self.broken(column, &"has a wrong length"))
            })
            .transpose()
    }

    /// What is stored contradicts itself.
    pub(super) fn broken(&self, column: &str, why: &dyn Display) -> Failure {
        StoreError::Inconsistent(format!("{}.{column}: {why}", self.table)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_parameters_row_by_row() {
        assert_eq!(placeholders(2, 3, true), "($1,$2,$3),($4,$5,$6)");
        assert_eq!(placeholders(2, 3, false), "(?,?,?),(?,?,?)");
        assert_eq!(placeholders(1, 1, true), "($1)");
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for (bound, size) in [(1, 1), (2, 2), (3, 2), (255, 128), (256, 256)] {
            assert_eq!(largest_power_of_two(bound), size);
        }
    }

    #[test]
    fn a_list_is_filled_up_with_its_last_value() {
        let mut values = values![7_i64];
        let list = in_list(&mut values, values![1_i64, 2_i64, 3_i64]);
        assert_eq!(list, "$2,$3,$4,$5");
        assert_eq!(values.len(), 5);
    }

    #[test]
    fn a_nul_never_reaches_the_engine() {
        let Value::Text(Some(text)) = Value::from("a\0b") else {
            panic!("a text")
        };
        assert_eq!(text, "a\u{fffd}b");
    }
}
