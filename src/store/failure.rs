//! What goes wrong in the store, and the one place where the engines' errors are translated.

use sqlx::postgres::PgDatabaseError;

/// What went wrong, and who must act.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine is away or overloaded: the same call may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// This input can never be stored.
    #[error("the store refuses this: {0}")]
    Refused(String),
    /// What is stored contradicts itself.
    #[error("the store holds inconsistent data: {0}")]
    Inconsistent(String),
    /// The feed does not reach back to the cursor, or not yet up to it: start from the beginning.
    #[error(
        "the feed does not hold this place, which is no longer kept or was never reached; \
         what is kept begins after {0}"
    )]
    Gone(u64),
    /// Events of an earlier version are still being marked, by which this would find them.
    #[error("events up to place {unmarked} are being made ready for this filter: {marked} are")]
    NotYet {
        /// Events up to this place have their marks.
        marked: u64,
        /// Events up to this place are to get them.
        unmarked: u64,
    },
    /// The root secret could not be opened.
    #[error("the root secret cannot be unsealed: {0}")]
    Sealed(String),
}

/// What ends one attempt of a transaction.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine chose this transaction to lose against another: the same again may succeed.
    Conflict(String),
    /// Trying again at once is of no use.
    Final(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(text) => Self::Unavailable(text),
            Failure::Final(error) => error,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => postgres(error.code(), error.message()),
                None => sqlite(error.code().as_deref().unwrap_or_default(), error.message()),
            },
            // The source of a configuration error may repeat the URL with its password.
            sqlx::Error::Configuration(_) => {
                StoreError::Refused("the store's URL cannot be used".to_owned()).into()
            }
            sqlx::Error::PoolTimedOut => {
                StoreError::Unavailable("no connection became free in time".to_owned()).into()
            }
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound => StoreError::Inconsistent(error.to_string()).into(),
            sqlx::Error::Encode(_) => StoreError::Refused(error.to_string()).into(),
            other => StoreError::Unavailable(other.to_string()).into(),
        }
    }
}

/// By the class of the SQLSTATE (PostgreSQL, appendix A). Only what is about the values given is
/// refused: a refused receipt is set aside as unrecognised, which must never happen because of the
/// server's state.
fn postgres(code: &str, message: &str) -> Failure {
    let text = format!("PostgreSQL {code}: {message}");
    match code {
        "40001" | "40P01" => return Failure::Conflict(text),
        "42P01" | "42703" => return StoreError::Inconsistent(text).into(),
        _ => {}
    }
    match code.get(..2) {
        Some("22" | "23" | "54") => StoreError::Refused(text).into(),
        _ => StoreError::Unavailable(text).into(),
    }
}

/// By the primary result code, the low byte of the extended one (sqlite.org/rescode.html).
fn sqlite(code: &str, message: &str) -> Failure {
    let text = format!("SQLite {code}: {message}");
    match code.parse::<u32>().unwrap_or_default() & 0xff {
        // TOOBIG, CONSTRAINT, MISMATCH, RANGE
        18 | 19 | 20 | 25 => StoreError::Refused(text).into(),
        // ERROR (no such table), CORRUPT, NOTADB
        1 | 11 | 26 => StoreError::Inconsistent(text).into(),
        _ => StoreError::Unavailable(text).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_must_act() {
        let unavailable = |failure| matches!(failure, Failure::Final(StoreError::Unavailable(_)));
        let refused = |failure| matches!(failure, Failure::Final(StoreError::Refused(_)));
        for code in [
            "08006", "53100", "53300", "57014", "57P01", "55P03", "25006", "28P01",
        ] {
            assert!(unavailable(postgres(code, "")), "{code}");
        }
        for code in ["22021", "23505", "23503", "54000"] {
            assert!(refused(postgres(code, "")), "{code}");
        }
        for code in ["40001", "40P01"] {
            assert!(matches!(postgres(code, ""), Failure::Conflict(_)), "{code}");
        }
        // BUSY, BUSY_SNAPSHOT, LOCKED, IOERR_FSYNC, FULL, CANTOPEN, READONLY
        for code in ["5", "517", "6", "1034", "13", "14", "8"] {
            assert!(unavailable(sqlite(code, "")), "{code}");
        }
        // CONSTRAINT_UNIQUE, TOOBIG
        for code in ["2067", "18"] {
            assert!(refused(sqlite(code, "")), "{code}");
        }
    }
}
