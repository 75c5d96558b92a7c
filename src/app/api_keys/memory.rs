//! What is remembered of API keys, so that a check does not ask the store each time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::clock::Tick;
use crate::store::ApiKey;

/// How long a key is honoured without asking the store again: a key deleted at another node works
/// here for so long.
const FRESH: Duration = Duration::from_secs(10);

/// A key in use whose confirmation is older than this is confirmed before anybody waits for it.
const AGING: Duration = Duration::from_secs(5);

/// While one caller asks the store about a key anew, the others rely on what is remembered for so
/// long.
const ASKING: Duration = Duration::from_secs(1);

/// How many keys, and how many unknown prefixes, are remembered: those of ten thousand tenants go on
/// being honoured while the store is away.
const REMEMBERED: usize = 65_536;

/// What the store said about a prefix, and until when that is relied on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<String, Known>,
    pub(super) unknown: HashMap<String, Tick>,
}

/// A key that the store knows.
#[derive(Debug)]
struct Known {
    key: Arc<ApiKey>,
    /// Honoured without asking again.
    until: Tick,
    /// Whether it was presented since the store confirmed it.
    used: bool,
}

/// What is remembered about a prefix.
pub(super) enum Recalled {
    Known(Arc<ApiKey>),
    /// It was good, but too long ago to rely on while the store can be asked: this caller asks.
    Stale(Arc<ApiKey>),
    Unknown,
    Nothing,
}

impl Memory {
    pub(super) fn known(&mut self, prefix: &str, now: Tick) -> Option<Arc<ApiKey>> {
        let known = self.known.get_mut(prefix)?;
        known.used = true;
        (now < known.until).then(|| Arc::clone(&known.key))
    }

    pub(super) fn recall(&mut self, prefix: &str, now: Tick) -> Recalled {
        if let Some(known) = self.known.get_mut(prefix) {
            known.used = true;
            let key = Arc::clone(&known.key);
            if now < known.until {
                return Recalled::Known(key);
            }
            known.until = now.after(ASKING);
            return Recalled::Stale(key);
        }
        match self.unknown.get(prefix) {
            Some(until) if now < *until => Recalled::Unknown,
            _ => Recalled::Nothing,
        }
    }

    pub(super) fn remember(&mut self, prefix: &str, found: Option<Arc<ApiKey>>, now: Tick) {
        self.learned(prefix, found, now, now);
    }

    /// What the store said at `now`, asked at `begun`. Whoever asked about a key before it was
    /// removed here does not bring it back.
    pub(super) fn learned(
        &mut self,
        prefix: &str,
        found: Option<Arc<ApiKey>>,
        begun: Tick,
        now: Tick,
    ) {
        let until = now.after(FRESH);
        match found {
            Some(key) => {
                let unknown = self.unknown.get(prefix);
                if unknown.is_some_and(|until| *until >= begun.after(FRESH)) {
                    return;
                }
                self.unknown.remove(prefix);
                make_room(&mut self.known, prefix, |known| known.until);
                let known = Known {
                    key,
                    until,
                    used: false,
                };
                self.known.insert(prefix.to_owned(), known);
            }
            None => {
                self.known.remove(prefix);
                make_room(&mut self.unknown, prefix, |until| *until);
                self.unknown.insert(prefix.to_owned(), until);
            }
        }
    }

    /// Keys in use that the store should confirm by now.
    pub(super) fn aging(&self, now: Tick) -> Vec<String> {
        let fresh = now.after(FRESH.saturating_sub(AGING));
        let aging = self.known.iter();
        aging
            .filter(|(_, known)| known.used && known.until <= fresh)
            .map(|(prefix, _)| prefix.clone())
            .collect()
    }

    /// What the store says about a key that it was asked about unasked. One that was removed here
    /// meanwhile stays removed.
    pub(super) fn confirmed(&mut self, prefix: &str, found: Option<Arc<ApiKey>>, now: Tick) {
        if self.known.contains_key(prefix) {
            self.remember(prefix, found, now);
        }
    }

    /// Goes on honouring the keys in use.
    pub(super) fn prolong(&mut self, now: Tick) {
        let until = now.after(FRESH);
        for known in self.known.values_mut().filter(|known| known.used) {
            known.until = until;
            known.used = false;
        }
    }
}

/// Drops the older half of a full memory, if this prefix is one more, so that one more never costs
/// a search each time. Of those that are as old as the middle one some stay: they may all be.
fn make_room<V>(memory: &mut HashMap<String, V>, prefix: &str, until: impl Fn(&V) -> Tick) {
    if memory.len() < REMEMBERED || memory.contains_key(prefix) {
        return;
    }
    let mut ages: Vec<Tick> = memory.values().map(&until).collect();
    let (_, middle, younger) = ages.select_nth_unstable(REMEMBERED / 2);
    let middle = *middle;
    let younger = younger.iter().filter(|age| **age > middle).count();
    let mut as_old = (REMEMBERED / 2).saturating_sub(younger);
    memory.retain(|_, value| {
        let age = until(value);
        if age == middle && as_old > 0 {
            as_old -= 1;
            return true;
        }
        age > middle
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;
    use crate::store::KeyScope;

    fn key(prefix: &str) -> Arc<ApiKey> {
        Arc::new(ApiKey {
            prefix: prefix.to_owned(),
            hash: [0; 32],
            tenant: None,
            scopes: vec![KeyScope::Check],
            name: String::new(),
            created: Timestamp::default(),
        })
    }

    #[test]
    fn a_full_memory_keeps_half_even_if_all_are_as_old() {
        let mut memory = Memory::default();
        let now = Tick::default();
        let name = |number: usize| format!("{number:08}");
        for number in 0..REMEMBERED {
            memory.remember(&name(number), Some(key(&name(number))), now);
        }
        assert_eq!(memory.known.len(), REMEMBERED);
        // One that is there already is not one more.
        memory.remember(&name(7), Some(key(&name(7))), now);
        assert_eq!(memory.known.len(), REMEMBERED);
        memory.remember(&name(REMEMBERED), Some(key("x")), now);
        assert_eq!(memory.known.len(), REMEMBERED / 2 + 1);
    }

    #[test]
    fn whoever_asked_before_a_key_was_removed_does_not_bring_it_back() {
        let mut memory = Memory::default();
        let at = |seconds: u64| Tick::default().after(Duration::from_secs(seconds));
        memory.remember("abcdefg2", None, at(5));
        memory.learned("abcdefg2", Some(key("abcdefg2")), at(4), at(6));
        assert!(matches!(
            memory.recall("abcdefg2", at(7)),
            Recalled::Unknown
        ));
        // Made anew by another node, and asked about after that.
        memory.remember("abcdefg2", Some(key("abcdefg2")), at(8));
        assert!(matches!(
            memory.recall("abcdefg2", at(9)),
            Recalled::Known(_)
        ));
    }

    #[test]
    fn a_memory_is_fresh_then_stale_for_one_caller_a_second() {
        let at = Tick::from_millis;
        let mut memory = Memory::default();
        memory.remember("p", Some(key("p")), at(0));
        assert!(matches!(memory.recall("p", at(9_999)), Recalled::Known(_)));
        assert!(matches!(memory.recall("p", at(10_000)), Recalled::Stale(_)));
        assert!(matches!(memory.recall("p", at(10_999)), Recalled::Known(_)));
        assert!(matches!(memory.recall("p", at(11_000)), Recalled::Stale(_)));
        memory.remember("p", None, at(11_000));
        assert!(matches!(memory.recall("p", at(20_999)), Recalled::Unknown));
        assert!(matches!(memory.recall("p", at(21_000)), Recalled::Nothing));
    }

    #[test]
    fn keys_in_use_are_confirmed_before_they_are_stale() {
        let at = Tick::from_millis;
        let mut memory = Memory::default();
        memory.remember("used", Some(key("used")), at(0));
        memory.remember("idle", Some(key("idle")), at(0));
        assert!(matches!(memory.recall("used", at(10)), Recalled::Known(_)));
        assert!(memory.aging(at(4_999)).is_empty());
        assert_eq!(memory.aging(at(5_000)), ["used"]);
        memory.confirmed("used", Some(key("used")), at(5_000));
        assert!(memory.aging(at(14_999)).is_empty(), "not used since");
        assert!(matches!(
            memory.recall("used", at(14_999)),
            Recalled::Known(_)
        ));
        // A store that is away.
        memory.prolong(at(15_000));
        assert!(matches!(
            memory.recall("used", at(24_999)),
            Recalled::Known(_)
        ));
        assert!(matches!(
            memory.recall("idle", at(15_000)),
            Recalled::Stale(_)
        ));
    }

    #[test]
    fn a_key_that_is_gone_is_not_confirmed_back() {
        let at = Tick::from_millis;
        let mut memory = Memory::default();
        memory.remember("gone", Some(key("gone")), at(0));
        memory.confirmed("gone", None, at(5_000));
        assert!(matches!(
            memory.recall("gone", at(5_001)),
            Recalled::Unknown
        ));
        memory.remember("removed", Some(key("removed")), at(0));
        memory.known.remove("removed");
        memory.confirmed("removed", Some(key("removed")), at(5_000));
        assert!(matches!(
            memory.recall("removed", at(5_001)),
            Recalled::Nothing
        ));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut memory = Memory::default();
        for n in 0..3 * u64::try_from(REMEMBERED).unwrap() {
            memory.remember(&n.to_string(), None, Tick::from_millis(n));
            memory.remember(&format!("k{n}"), Some(key("k")), Tick::from_millis(n));
        }
        assert!(memory.unknown.len() <= REMEMBERED);
        assert!(memory.known.len() <= REMEMBERED);
        let last = 3 * REMEMBERED - 1;
        assert!(
            memory.unknown.contains_key(&last.to_string()),
            "the newest stays"
        );
    }
}
