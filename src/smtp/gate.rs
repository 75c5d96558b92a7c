//! What the session asks while it talks: answered at once, without waiting for anything.

use super::path::Path;
use super::recipients::{Accepted, Refusal};

/// The application's side of one session. Nothing here may block.
pub trait Gate: Send + Sync {
    /// Whether mail is accepted for this forward-path.
    fn recipient(&self, path: &Path) -> Result<Accepted, Refusal>;

    /// Whether a message would be accepted now (RFC 5321 §4.2.5): asked at MAIL.
    fn admits(&self) -> Result<(), Shortage>;

    /// Asks for `bytes` more of memory for a message that is arriving; `false`: there is no room.
    fn reserve(&self, bytes: u64) -> bool;

    /// Gives back `bytes` that were reserved. What is not given back when the session is dropped
    /// is the owner's to free.
    fn release(&self, bytes: u64);
}

/// Why no message can be accepted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// `452 4.3.1`: disk or memory is short.
    #[error("no room for a message now")]
    NoRoom,
    /// `451 4.3.0`: it could not be stored.
    #[error("messages cannot be stored now")]
    Failed,
}
