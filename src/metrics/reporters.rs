//! Reporters as label values: the one label whose text comes from outside, and so is bounded.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Distinct reporters that have a label of their own; all more share `other`.
pub const REPORTERS: usize = 50;

/// The label of the rest.
pub(super) const OTHER: &str = "other";

/// Octets of a reporter's name.
const NAME: usize = 64;

/// The reporters seen so far.
#[derive(Debug, Default)]
pub(super) struct Reporters(Mutex<BTreeSet<String>>);

impl Reporters {
    /// The label for `reporter`. What does not look like a host name or a short name could be an
    /// address, and is never shown.
    pub(super) fn label(&self, reporter: &str) -> String {
        let name = reporter.trim().to_ascii_lowercase();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > NAME || !name.bytes().all(plain) {
            return OTHER.to_owned();
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(&name) {
            return name;
        }
        if seen.len() >= REPORTERS {
            return OTHER.to_owned();
        }
        seen.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // G-032
    #[test]
    fn the_fifty_first_reporter_is_other() {
        let reporters = Reporters::default();
        for n in 0..REPORTERS {
            assert_eq!(
                reporters.label(&format!("MTA{n}.example.")),
                format!("mta{n}.example.")
            );
        }
        assert_eq!(reporters.label("one-more.example"), OTHER);
        assert_eq!(reporters.label("mta7.example."), "mta7.example.");
    }

    // G-032
    #[test]
    fn what_could_be_an_address_is_other() {
        let reporters = Reporters::default();
        let long = "x".repeat(NAME + 1);
        for text in [
            "",
            "jane@example.com",
            "a b",
            "a\"b",
            "caf\u{e9}",
            long.as_str(),
        ] {
            assert_eq!(reporters.label(text), OTHER, "{text}");
        }
    }
}
