//! One statement over many rows.

use super::{Column, Row, Value, fetch, fetch_arrays};
use crate::store::failure::{Failure, StoreError};
use crate::store::pool::Conn;

/// Rows of one statement on SQLite. A power of two, so that few different statements are prepared;
/// more rows make the statement's program longer than a processor keeps at hand.
const SQLITE_ROWS: usize = 128;
/// Rows of one statement on PostgreSQL, where it has one parameter a column whatever their number.
const POSTGRES_ROWS: usize = 4096;
/// Bytes of one statement's values, beyond which fewer rows go into it (8 MiB).
const BYTES: usize = 8 * 1024 * 1024;

/// A statement around a list of rows: `head ROWS tail`. The rows' columns are named `column1` and
/// so on.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct ManyRows {
    /// The table, for errors.
    pub(in crate::store) table: &'static str,
    /// What stands before the rows.
    pub(in crate::store) head: &'static str,
    /// What stands behind the rows.
    pub(in crate::store) tail: &'static str,
}

/// Runs a statement over many rows, in as few pieces as the bounds allow. The rows should be
/// sorted by key, so that two transactions lock in the same order. A column has values of one type.
pub(in crate::store) async fn fetch_many(
    conn: &mut Conn<'_>,
    statement: ManyRows,
    rows: Vec<Vec<Value>>,
) -> Result<Vec<Row>, Failure> {
    let ManyRows { table, head, tail } = statement;
    let mut found = Vec::new();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let pieces = match conn {
            Conn::Sqlite(_) => {
                let most = largest_power_of_two(rows.len().min(SQLITE_ROWS));
                let piece = take(&mut rows, most, usize::is_power_of_two);
                let width = piece.first().map_or(0, Vec::len);
                let sql = format!("{head} {} {tail}", placeholders(piece.len(), width));
                fetch(conn, table, sql, piece.into_iter().flatten().collect()).await?
            }
            Conn::Postgres(conn) => {
                let piece = take(&mut rows, POSTGRES_ROWS, |_| true);
                let columns = columns(piece).ok_or_else(two_types)?;
                let sql = format!("{head} {} {tail}", arrays(&columns));
                fetch_arrays(conn, table, sql, columns).await?
            }
        };
        found.extend(pieces);
    }
    Ok(found)
}

/// At most so many rows; beyond the bytes, fewer of them, by the next number that is `good`.
fn take(
    rows: &mut impl Iterator<Item = Vec<Value>>,
    most: usize,
    good: fn(usize) -> bool,
) -> Vec<Vec<Value>> {
    let mut piece = Vec::with_capacity(most.min(rows.size_hint().0));
    let mut bytes = 0;
    while piece.len() < most && (bytes < BYTES || !good(piece.len())) {
        let Some(row) = rows.next() else { break };
        bytes += row.iter().map(Value::len).sum::<usize>();
        piece.push(row);
    }
    piece
}

fn largest_power_of_two(bound: usize) -> usize {
    if bound < 2 { 1 } else { 1 << bound.ilog2() }
}

/// `values (?,?),(?,?)`. SQLite looks for the name of each numbered parameter among all others:
/// with thousands of them that is most of the time. It counts those without number by itself.
fn placeholders(rows: usize, width: usize) -> String {
    let mut row = "?,".repeat(width);
    row.pop();
    let mut text = format!("({row}),").repeat(rows);
    text.pop();
    format!("values {text}")
}

/// `select unnest($1::bigint[]) as column1, …`: PostgreSQL reads a few arrays in a fraction of the
/// time that it takes to bind thousands of parameters. In a select list it goes through them row
/// by row, and keeps no copy.
fn arrays(columns: &[Column]) -> String {
    let columns: Vec<String> = (1..)
        .zip(columns)
        .map(|(number, column)| {
            let array = match column {
                Column::Int(_) => "bigint[]",
                Column::Text(_) => "text[]",
                Column::Bytes(_) => "bytea[]",
            };
            format!("unnest(${number}::{array}) as column{number}")
        })
        .collect();
    format!("select {}", columns.join(", "))
}

/// The rows turned into columns; `None` if a column has values of two types.
fn columns(rows: Vec<Vec<Value>>) -> Option<Vec<Column>> {
    let count = rows.len();
    let first = rows.first()?;
    let mut columns: Vec<Column> = first
        .iter()
        .map(|value| Column::new(value, count))
        .collect();
    for row in rows {
        if row.len() != columns.len() {
            return None;
        }
        for (column, value) in columns.iter_mut().zip(row) {
            match (column, value) {
                (Column::Int(column), Value::Int(value)) => column.push(value),
                (Column::Text(column), Value::Text(value)) => column.push(value),
                (Column::Bytes(column), Value::Bytes(value)) => column.push(value),
                (Column::Int(_) | Column::Text(_) | Column::Bytes(_), _) => return None,
            }
        }
    }
    Some(columns)
}

fn two_types() -> Failure {
    StoreError::Refused("a column was given values of two types".to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::values;

    #[test]
    fn a_list_of_rows_has_a_place_for_each_value() {
        assert_eq!(placeholders(2, 3), "values (?,?,?),(?,?,?)");
        assert_eq!(placeholders(1, 1), "values (?)");
    }

    #[test]
    fn rows_become_arrays_column_by_column() {
        let rows = vec![values![1_i64, "a", b"x".as_slice()], {
            values![2_i64, None::<&str>, b"y".as_slice()]
        }];
        let columns = columns(rows).unwrap();
        assert_eq!(
            arrays(&columns),
            "select unnest($1::bigint[]) as column1, unnest($2::text[]) as column2, \
             unnest($3::bytea[]) as column3"
        );
        assert!(matches!(&columns[1], Column::Text(texts) if texts[1].is_none()));
    }

    #[test]
    fn a_column_of_two_types_is_refused() {
        assert!(columns(vec![values![1_i64], values!["a"]]).is_none());
        assert!(columns(vec![values![1_i64], values![1_i64, 2_i64]]).is_none());
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for (bound, size) in [(1, 1), (2, 2), (3, 2), (255, 128), (256, 256)] {
            assert_eq!(largest_power_of_two(bound), size);
        }
    }

    #[test]
    fn a_piece_ends_behind_its_bytes() {
        let big = || values![vec![0_u8; BYTES / 2].as_slice()];
        let mut rows = (0..8).map(|_| big());
        assert_eq!(take(&mut rows, 8, usize::is_power_of_two).len(), 2);
        assert_eq!(take(&mut rows, 1, usize::is_power_of_two).len(), 1);
        assert_eq!(take(&mut rows, 8, |_| true).len(), 2);
        assert_eq!(take(&mut rows, 8, |_| true).len(), 2);
        assert_eq!(take(&mut rows, 8, |_| true).len(), 1);
    }
}
