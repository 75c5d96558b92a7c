//! Rows as they are read.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row as _};

use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;
use crate::store::failure::{Failure, StoreError};

/// A row of either engine.
#[derive(Debug)]
pub(in crate::store) struct Row {
    pub(super) table: &'static str,
    pub(super) inner: Inner,
}

#[derive(Debug)]
pub(super) enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// How a column is named: by its name, or for less by its number from 0.
pub(in crate::store) trait Named:
    ColumnIndex<SqliteRow> + ColumnIndex<PgRow> + Display + Copy
{
}

impl Named for &str {}
impl Named for usize {}

macro_rules! getter {
    ($name:ident, $type:ty) => {
        /// The value of a column, `None` if it is null.
        pub(in crate::store) fn $name(&self, column: impl Named) -> Result<Option<$type>, Failure> {
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

    pub(in crate::store) fn int(&self, column: impl Named) -> Result<i64, Failure> {
        self.opt_int(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(in crate::store) fn text(&self, column: impl Named) -> Result<String, Failure> {
        self.opt_text(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(in crate::store) fn bytes(&self, column: impl Named) -> Result<Vec<u8>, Failure> {
        self.opt_bytes(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    /// An integer within the range of `T`.
    pub(in crate::store) fn number<T: TryFrom<i64>>(
        &self,
        column: impl Named,
    ) -> Result<T, Failure> {
        T::try_from(self.int(column)?).map_err(|_outside| self.broken(column, &"is out of range"))
    }

    pub(in crate::store) fn time(&self, column: impl Named) -> Result<Timestamp, Failure> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(in crate::store) fn tenant(&self, column: impl Named) -> Result<TenantId, Failure> {
        self.number(column)
    }

    pub(in crate::store) fn opt_tenant(
        &self,
        column: impl Named,
    ) -> Result<Option<TenantId>, Failure> {
        self.opt_int(column)?
            .map(|number| TenantId::try_from(number).map_err(|error| self.broken(column, &error)))
            .transpose()
    }

    /// A text with one meaning: a word, a scope.
    pub(in crate::store) fn word<T: FromStr<Err: Display>>(
        &self,
        column: impl Named,
    ) -> Result<T, Failure> {
        self.opt_word(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(in crate::store) fn opt_word<T: FromStr<Err: Display>>(
        &self,
        column: impl Named,
    ) -> Result<Option<T>, Failure> {
        match &self.inner {
            Inner::Sqlite(row) => row.try_get::<Option<&str>, _>(column),
            Inner::Postgres(row) => row.try_get::<Option<&str>, _>(column),
        }
        .map_err(|error| self.broken(column, &error))?
        .map(|text| text.parse().map_err(|error| self.broken(column, &error)))
        .transpose()
    }

    pub(in crate::store) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: impl Named,
    ) -> Result<T, Failure> {
        serde_json::from_str(&self.text(column)?).map_err(|error| self.broken(column, &error))
    }

    /// Exactly `N` bytes.
    pub(in crate::store) fn array<const N: usize>(
        &self,
        column: impl Named,
    ) -> Result<[u8; N], Failure> {
        self.opt_array(column)?
            .ok_or_else(|| self.broken(column, &"is null"))
    }

    pub(in crate::store) fn opt_array<const N: usize>(
        &self,
        column: impl Named,
    ) -> Result<Option<[u8; N]>, Failure> {
        match &self.inner {
            Inner::Sqlite(row) => row.try_get::<Option<&[u8]>, _>(column),
            Inner::Postgres(row) => row.try_get::<Option<&[u8]>, _>(column),
        }
        .map_err(|error| self.broken(column, &error))?
        .map(|bytes| {
            bytes
                .try_into()
                .map_err(|_outside| self.broken(column, &"has a wrong length"))
        })
        .transpose()
    }

    /// What is stored contradicts itself.
    pub(in crate::store) fn broken(&self, column: impl Display, why: &dyn Display) -> Failure {
        StoreError::Inconsistent(format!("{}.{column}: {why}", self.table)).into()
    }
}
