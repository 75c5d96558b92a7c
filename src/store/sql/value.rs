//! Values that statements are given.

use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::receipt::ReceiptId;
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;
use crate::store::failure::{Failure, StoreError};

/// A parameter of a statement. The type is known even of a null, as PostgreSQL needs it.
#[derive(Debug, Clone)]
pub(in crate::store) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// The values of one column of many rows.
#[derive(Debug)]
pub(super) enum Column {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    /// For values such as this one.
    pub(super) fn new(like: &Value, count: usize) -> Self {
        match like {
            Value::Int(_) => Self::Int(Vec::with_capacity(count)),
            Value::Text(_) => Self::Text(Vec::with_capacity(count)),
            Value::Bytes(_) => Self::Bytes(Vec::with_capacity(count)),
        }
    }
}

impl Value {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Int(_) => 8,
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        }
    }

    /// JSON as text: PostgreSQL's own JSON types cannot hold U+0000.
    pub(in crate::store) fn json<T: serde::Serialize>(value: &T) -> Result<Self, Failure> {
        to_json(value).map(|text| Self::Text(Some(text)))
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

impl From<Option<Timestamp>> for Value {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(Timestamp::as_millis))
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

/// The JSON of a value.
pub(in crate::store) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Refused(format!("no JSON can be made: {error}")).into())
}

/// The month of a receipt and of all that belongs to it, from the id alone.
pub(in crate::store) fn month(id: ReceiptId) -> i64 {
    id.at().month().into()
}

/// The values of a statement or of one row.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![ $( $crate::store::sql::Value::from($value) ),* ] };
}

pub(in crate::store) use values;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_never_reaches_the_engine() {
        let Value::Text(Some(text)) = Value::from("a\0b") else {
            panic!("a text")
        };
        assert_eq!(text, "a\u{fffd}b");
    }
}
