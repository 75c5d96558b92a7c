//! One statement over many rows.

use super::{Row, Value, fetch};
use crate::store::failure::Failure;
use crate::store::pool::Conn;

/// Rows of one statement. A power of two, so that few different statements are prepared.
const ROWS: usize = 256;
/// Parameters of one statement; SQLite takes 32,766, PostgreSQL 65,535.
const PARAMETERS: usize = 16_384;
/// Bytes of one statement's values, beyond which fewer rows go into it (8 MiB).
const BYTES: usize = 8 * 1024 * 1024;

/// A statement around a list of rows: `head ($1,$2),($3,$4) tail`.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct ManyRows {
    /// The table, for errors.
    pub(in crate::store) table: &'static str,
    /// What stands before the rows, `values` included.
    pub(in crate::store) head: &'static str,
    /// What stands behind the rows.
    pub(in crate::store) tail: &'static str,
}

/// Runs a statement over many rows, in as few pieces as the bounds allow. The rows should be
/// sorted by key, so that two transactions lock in the same order.
pub(in crate::store) async fn fetch_many(
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
}
