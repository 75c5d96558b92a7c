//! Statements over many rows at once. One statement a batch is what makes the journal fast; in
//! sizes of powers of two each is prepared once and used again.

use std::sync::Arc;

use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, query::Query};

/// A statement and its bound values.
pub(super) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// The values of one row, in the order of the statement's parameters.
pub(super) trait Row {
    /// Binds them.
    fn bind<'q>(&self, query: Bound<'q>) -> Bound<'q>;
}

/// Rows of the largest statement, as a power of two.
const LARGEST: u32 = 7;

/// A statement that repeats one group of parameters, for every power of two of repetitions.
#[derive(Debug)]
pub(super) struct Repeated {
    texts: Vec<Arc<str>>,
}

impl Repeated {
    /// `before`, then `group` as often as needed with commas between, then `after`.
    pub(super) fn new(before: &str, group: &str, after: &str) -> Self {
        let text = |power| {
            let groups = vec![group; 1_usize << power].join(",");
            Arc::from(format!("{before}{groups}{after}"))
        };
        Self {
            texts: (0..=LARGEST).map(text).collect(),
        }
    }

    /// Runs it for all of `rows`; `lead` comes before each statement's first.
    pub(super) async fn run<T: Row>(
        &self,
        connection: &mut SqliteConnection,
        lead: Option<i64>,
        mut rows: &[T],
    ) -> sqlx::Result<u64> {
        let mut affected = 0;
        while let Some((text, chunk, rest)) = self.next_chunk(rows) {
            let done = bound(text, lead, chunk).execute(&mut *connection).await?;
            affected += done.rows_affected();
            rows = rest;
        }
        Ok(affected)
    }

    /// The same for a query by key.
    pub(super) async fn fetch(
        &self,
        connection: &mut SqliteConnection,
        mut keys: &[i64],
    ) -> sqlx::Result<Vec<SqliteRow>> {
        let mut found = Vec::with_capacity(keys.len());
        while let Some((text, chunk, rest)) = self.next_chunk(keys) {
            found.extend(bound(text, None, chunk).fetch_all(&mut *connection).await?);
            keys = rest;
        }
        Ok(found)
    }

    fn next_chunk<'a, T>(&self, rows: &'a [T]) -> Option<(&Arc<str>, &'a [T], &'a [T])> {
        let power = rows.len().checked_ilog2()?.min(LARGEST);
        let (chunk, rest) = rows.split_at_checked(1 << power)?;
        let text = self.texts.get(usize::try_from(power).ok()?)?;
        Some((text, chunk, rest))
    }
}

fn bound<'q, T: Row>(text: &Arc<str>, lead: Option<i64>, rows: &[T]) -> Bound<'q> {
    // The text is made of constants above and question marks.
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(text)));
    if let Some(lead) = lead {
        query = query.bind(lead);
    }
    rows.iter().fold(query, |query, row| row.bind(query))
}

impl Row for i64 {
    fn bind<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        query.bind(*self)
    }
}

/// A place as SQLite stores it.
pub(super) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A place as it was stored.
pub(super) fn place(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
