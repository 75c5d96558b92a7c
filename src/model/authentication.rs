//! The result of authenticating a mail, as judgement needs it.

use super::words::words;

words! {
    /// Whether who claims to have sent it has sent it.
    pub enum Authentication as "authentication" {
        /// Nobody has asked yet: a verdict that needs it must wait.
        NotAsked = "not-asked",
        /// Asked, and the claim holds for what this mail wants.
        Passed = "passed",
        /// Asked, and nothing was proven.
        Failed = "failed",
    }
}
