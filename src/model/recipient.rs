//! The recipient key: whom a suppression is about, without the address.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// 10 bytes: the first bytes of HMAC-SHA256(address key, canonical address) within one tenant.
/// Printed as 20 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientKey([u8; 10]);

/// A text was no recipient key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a recipient key is 20 hexadecimal digits")]
pub struct NoRecipientKey;

impl RecipientKey {
    /// Length in bytes.
    pub const LEN: usize = 10;

    /// Takes the ten bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The ten bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientKey({self})")
    }
}

impl FromStr for RecipientKey {
    type Err = NoRecipientKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_cause| NoRecipientKey)?;
        bytes.try_into().map(Self).map_err(|_cause| NoRecipientKey)
    }
}
