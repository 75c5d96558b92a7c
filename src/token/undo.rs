//! The nonce that takes an opt-out back: who saw the page that made it, and when.
//!
//! ```text
//! nonce = hexadecimal of  visit(16) ‖ time(6) ‖ first 16 bytes of HMAC-SHA256(key, visit ‖ time ‖ token)
//! key   = HKDF as of every key, info "desist/1/undo/TENANT/1"
//! ```
//!
//! The visit is drawn when the page is shown and stands in its form, so that pressing twice is one
//! visit. Only the answer to a press carries the nonce; whoever holds the link alone cannot make
//! one, and a sender's exported keys do not suffice either.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;

use super::keyring::{Keyring, macs_equal};
use super::wire::Token;
use crate::model::clock::Timestamp;

/// How long after a press it can be taken back.
pub const WITHIN: Duration = Duration::from_hours(1);

const VISIT: usize = 16;
const TIME: usize = 6;
const MAC: usize = 16;

/// One showing of the page, drawn at random. Printed as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visit([u8; VISIT]);

/// A text was no visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a visit is 32 hexadecimal digits")]
pub struct NoVisit;

/// Why nothing can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// It is not ours, or another token's.
    #[error("no such nonce")]
    Unknown,
    /// The hour is over.
    #[error("the time to take it back is over")]
    Late,
}

impl Visit {
    /// Takes sixteen random bytes.
    pub const fn from_bytes(bytes: [u8; VISIT]) -> Self {
        Self(bytes)
    }

    /// The visit that a nonce speaks of, whoever made the nonce.
    pub fn of_nonce(nonce: &str) -> Option<Self> {
        nonce.get(..2 * VISIT)?.parse().ok()
    }
}

impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

/// Never shows it: it is a secret between the page and its reader.
impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visit(…)")
    }
}

impl FromStr for Visit {
    type Err = NoVisit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_cause| NoVisit)?;
        bytes.try_into().map(Self).map_err(|_cause| NoVisit)
    }
}

impl Keyring {
    /// What takes back, within the hour, what this visit did by this token; `None` where the
    /// keyring cannot sign.
    pub fn undo_nonce(&self, token: &Token, visit: Visit, at: Timestamp) -> Option<String> {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0).to_be_bytes();
        let mut signed = visit.0.to_vec();
        signed.extend(millis.iter().skip(8 - TIME));
        let mac = self.undo_mac(token.fields.tenant, &[&signed, token.text.as_bytes()])?;
        signed.extend(mac);
        Some(HEXLOWER.encode(&signed))
    }

    /// The visit whose doings this nonce takes back now.
    pub fn undone(&self, token: &Token, nonce: &str, now: Timestamp) -> Result<Visit, UndoError> {
        let bytes = HEXLOWER.decode(nonce.as_bytes());
        let bytes = bytes.map_err(|_cause| UndoError::Unknown)?;
        let (signed, carried) = bytes
            .split_at_checked(VISIT + TIME)
            .ok_or(UndoError::Unknown)?;
        let carried: [u8; MAC] = carried.try_into().map_err(|_cause| UndoError::Unknown)?;
        let computed = self.undo_mac(token.fields.tenant, &[signed, token.text.as_bytes()]);
        if !computed.is_some_and(|computed| macs_equal(&computed, &carried)) {
            return Err(UndoError::Unknown);
        }
        let (visit, time) = signed.split_at_checked(VISIT).ok_or(UndoError::Unknown)?;
        let at = time
            .iter()
            .fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
        let age = now.as_millis().saturating_sub(at);
        if u128::try_from(age).is_ok_and(|age| age > WITHIN.as_millis()) {
            return Err(UndoError::Late);
        }
        let visit = visit.try_into().map_err(|_cause| UndoError::Unknown)?;
        Ok(Visit(visit))
    }
}
