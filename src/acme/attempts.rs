//! What is remembered of attempts, over restarts: when the next one may be.

use serde::{Deserialize, Serialize};

use super::schedule;
use crate::model::clock::Timestamp;

/// The file in the data folder that remembers them.
pub(super) const ATTEMPTS_FILE: &str = "acme-attempts.json";

/// Attempts in a row without a certificate; the one at hand counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// What was to be ordered: other settings begin anew.
    pub(super) wanted: String,
    /// How many; 0 after a success.
    pub(super) failures: u32,
    /// The next one is not before.
    pub(super) next: Timestamp,
}

impl Attempts {
    /// One more begins now.
    pub(super) fn one_more(before: Option<Self>, wanted: String, now: Timestamp) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let chance = getrandom::u32().unwrap_or_default();
        Self {
            wanted,
            failures,
            next: now.after(schedule::backoff(failures, chance)),
        }
    }

    /// The same, after the authority said that it is asked too often.
    pub(super) fn postponed(self) -> Self {
        Self {
            next: self.next.after(schedule::AFTER_TOO_MANY),
            ..self
        }
    }

    /// This one was not in vain.
    pub(super) fn succeeded(self, now: Timestamp) -> Self {
        Self {
            failures: 0,
            next: now.after(schedule::AFTER_SUCCESS),
            ..self
        }
    }

    /// What the file holds.
    pub(super) fn to_text(&self) -> String {
        // Text and numbers alone: this cannot fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{json}\n")
    }

    /// Reads it; what is broken is as if there were none.
    pub(super) fn of_text(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_survive_their_file_and_add_up() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let first = Attempts::one_more(None, "these".to_owned(), now);
        assert_eq!(first.failures, 1);
        assert!(first.next >= now.after(schedule::LEAST));
        let read = Attempts::of_text(first.to_text().as_bytes());
        assert_eq!(read, Some(first.clone()));
        let second = Attempts::one_more(read, "these".to_owned(), now);
        assert_eq!(second.failures, 2);
        assert!(second.next > first.next);
        assert_eq!(
            second.clone().postponed().next,
            second.next.after(schedule::AFTER_TOO_MANY)
        );
        assert_eq!(Attempts::of_text(b"{\"wanted\": 1}"), None);
        assert_eq!(Attempts::of_text(b""), None);
    }
}
