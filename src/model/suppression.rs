//! The suppression: do not send to this recipient in this scope.

use std::fmt;
use std::str::FromStr;

use super::clock::Timestamp;
use super::recipient::RecipientKey;
use super::stream::StreamNumber;
use super::tenant::TenantId;
use super::words::{UnknownWord, words};

/// How much mail a suppression stops. Written `all`, `marketing` or `stream:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Nothing at all may be sent.
    All,
    /// No marketing stream may be sent.
    Marketing,
    /// One stream may not be sent.
    Stream(StreamNumber),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Marketing => f.pad("marketing"),
            Self::Stream(number) => f.pad(&format!("stream:{number}")),
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => return Ok(Self::All),
            "marketing" => return Ok(Self::Marketing),
            _ => {}
        }
        text.strip_prefix("stream:")
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok())
            .map(Self::Stream)
            .ok_or_else(|| UnknownWord {
                what: "scope",
                given: text.chars().take(80).collect(),
                known: "all, marketing, stream:N (N from 1 to 65535)".to_owned(),
            })
    }
}

words! {
    /// Why a suppression stands. The order is that of strength, strongest first.
    pub enum Reason as "reason" {
        /// The recipient complained.
        Complaint = "complaint",
        /// The recipient opted out.
        Unsubscribe = "unsubscribe",
        /// The address does not work.
        Bounce = "bounce",
        /// Somebody entered it.
        Manual = "manual",
        /// It came from another system's list.
        Import = "import",
    }
}

/// What identifies a suppression: at most one standing entry each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SuppressionKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// Whom it is about.
    pub recipient: RecipientKey,
    /// How much it stops.
    pub scope: Scope,
    /// Why.
    pub reason: Reason,
}

words! {
    /// What a change in the feed does.
    pub enum ChangeOp as "op" {
        /// A suppression begins.
        Suppress = "suppress",
        /// A suppression ends.
        Lift = "lift",
    }
}

/// One entry of the suppression feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in the feed; grows without gaps in what a reader can miss.
    pub seq: u64,
    /// What it does.
    pub op: ChangeOp,
    /// To which suppression.
    pub key: SuppressionKey,
    /// The address, where one is known and kept.
    pub address: Option<String>,
    /// When.
    pub at: Timestamp,
}
