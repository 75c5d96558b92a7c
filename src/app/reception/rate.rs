//! How many receipts of one token came in this hour.
//!
//! A token is public to whoever received the mail, so anybody can send it again a million times.
//! Beyond the limit a receipt that would change nothing is counted and not kept. Whether an opt-out
//! changes something depends on what was kept of the token before: that is remembered too.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::clock::Timestamp;
use crate::model::mailbox::Role;

/// Tokens that are counted at a time; beyond it nothing is held back. About 24 MiB.
const COUNTED: usize = 500_000;
const HOUR_MILLIS: i64 = 3_600_000;

#[derive(Debug)]
pub(super) struct TokenRate {
    limit: u32,
    hasher: RandomState,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    hour: i64,
    by_token: HashMap<u64, Count>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    receipts: u32,
    /// When the last opt-out that cannot be taken back was kept, if none that can be was since.
    kept: Option<Timestamp>,
}

impl TokenRate {
    /// `limit` receipts an hour; 0 for no limit.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            hasher: RandomState::new(),
            counts: Mutex::default(),
        }
    }

    /// Counts one receipt of a token in a role and tells whether the hour had its share before.
    pub(super) fn exceeded(&self, token: &str, role: Role, at: Timestamp) -> bool {
        if self.limit == 0 {
            return false;
        }
        let key = self.hasher.hash_one((token, role));
        let hour = at.as_millis().div_euclid(HOUR_MILLIS);
        let mut counts = self.counts();
        if counts.hour != hour {
            *counts = Counts {
                hour,
                by_token: HashMap::new(),
            };
        }
        if counts.by_token.len() >= COUNTED && !counts.by_token.contains_key(&key) {
            return false;
        }
        let count = counts.by_token.entry(key).or_default();
        count.receipts = count.receipts.saturating_add(1);
        count.receipts > self.limit
    }

    /// An opt-out by a token that was just counted was kept at that time; `None`: one that can be
    /// taken back.
    pub(super) fn kept(&self, token: &str, role: Role, at: Option<Timestamp>) {
        let key = self.hasher.hash_one((token, role));
        if let Some(count) = self.counts().by_token.get_mut(&key) {
            count.kept = at;
        }
    }

    /// When the last one that cannot be taken back was kept in this hour, and none that can be since.
    pub(super) fn last_kept(&self, token: &str, role: Role) -> Option<Timestamp> {
        let key = self.hasher.hash_one((token, role));
        self.counts().by_token.get(&key)?.kept
    }

    // A poisoned lock holds plain numbers: they stay usable.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_035_the_limit_is_by_token_and_by_hour() {
        let rate = TokenRate::new(2);
        let at = Timestamp::from_millis(HOUR_MILLIS * 10);
        let results: Vec<bool> = (0..4)
            .map(|_| rate.exceeded("a", Role::Bounce, at))
            .collect();
        assert_eq!(results, [false, false, true, true]);
        assert!(
            !rate.exceeded("b", Role::Bounce, at),
            "another token has its own count"
        );
        assert!(
            !rate.exceeded("a", Role::Bounce, Timestamp::from_millis(HOUR_MILLIS * 11)),
            "a new hour"
        );
    }

    #[test]
    fn tokens_that_are_counted_are_bounded() {
        let rate = TokenRate::new(1);
        let at = Timestamp::default();
        for number in 0..=COUNTED {
            assert!(!rate.exceeded(&number.to_string(), Role::Unsubscribe, at));
        }
        assert_eq!(rate.counts.lock().unwrap().by_token.len(), COUNTED);
        assert!(rate.exceeded("0", Role::Unsubscribe, at), "is counted");
    }

    #[test]
    fn zero_is_no_limit() {
        let rate = TokenRate::new(0);
        assert!((0..1000).all(|_| !rate.exceeded("a", Role::Bounce, Timestamp::default())));
    }
}
