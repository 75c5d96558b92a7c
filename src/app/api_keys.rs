//! API keys: `desist_PREFIX_SECRET`, of which only the SHA-256 is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;

use crate::model::clock::{Clock, Tick};
use crate::model::digest::Digest;
use crate::model::pace::{Pace, Paces};
use crate::model::tenant::TenantId;
use crate::store::{ApiKey, KeyScope, Store, StoreError};

/// How long a key is honoured without asking the store again: a key deleted at another node works
/// here for so long.
const FRESH: Duration = Duration::from_secs(10);

/// A key in use whose confirmation is older than this is confirmed before anybody waits for it.
const AGING: Duration = Duration::from_secs(5);

/// How often it is looked for such keys.
const LOOK: Duration = Duration::from_secs(1);

/// While one caller asks the store about a key anew, the others rely on what is remembered for so
/// long.
const ASKING: Duration = Duration::from_secs(1);

/// How long the store may take to confirm a key that was good before. Longer counts as away: a
/// check must not wait for a database.
const CONFIRMATION: Duration = Duration::from_millis(500);

/// How many keys, and how many unknown prefixes, are remembered: those of ten thousand tenants go on
/// being honoured while the store is away.
const REMEMBERED: usize = 65_536;

/// How many keys are confirmed with one question.
const CONFIRMED: usize = 256;

/// A limited key may be used as often at once as in so many seconds.
const CALLS_AT_ONCE: u32 = 2;

/// What a node's own admin key is called.
const ADMIN: &str = "admin.key of a node";

/// Random bytes of the prefix and of the secret: 8 and 32 characters of base32.
const PREFIX_BYTES: usize = 5;
const SECRET_BYTES: usize = 20;

/// Verifies, makes and deletes API keys. Remembers what it has verified, so that a check does not
/// ask the store each time and works while the store is away. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiKeys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    /// Held only for a look-up or an insertion, never over an await.
    memory: Mutex<Memory>,
    /// Calls of each key, by its prefix, if they are limited. Held as shortly.
    calls: Option<Mutex<Paces<String>>>,
}

/// What the store said about a prefix, and until when that is relied on.
#[derive(Debug, Default)]
struct Memory {
    known: HashMap<String, Known>,
    unknown: HashMap<String, Tick>,
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

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose it will be; `None`: the installation's.
    pub tenant: Option<TenantId>,
    /// What it is for, in words.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<KeyScope>,
}

/// A key that was made. Its text is known only now.
#[derive(Clone)]
pub struct MadeKey {
    /// The whole key: a secret.
    pub text: String,
    /// What is stored.
    pub key: ApiKey,
}

impl std::fmt::Debug for MadeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeKey")
            .field("prefix", &self.key.prefix)
            .finish_non_exhaustive()
    }
}

/// Why a key is not honoured.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not of the form of a key, unknown, deleted, or with a wrong secret.
    #[error("no valid API key")]
    Invalid,
    /// It has been used too often: so long it should wait.
    #[error("the API key is used too often")]
    TooOften(Duration),
    /// It is not remembered and the store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The operating system gave no randomness.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiKeys {
    /// Remembers nothing yet; calls are not limited.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self::limited(store, clock, None)
    }

    /// Each key may be used so many times a second, if there is a limit, and twice as often at
    /// once.
    pub fn limited(store: Store, clock: Clock, per_second: Option<u32>) -> Self {
        let pace = |count| Mutex::new(Paces::new(Pace::per_second(count, CALLS_AT_ONCE)));
        Self(Arc::new(Inner {
            store,
            clock,
            memory: Mutex::default(),
            calls: per_second.map(pace),
        }))
    }

    /// The key of this text, compared in constant time.
    ///
    /// While the store is away a key that was verified before goes on being honoured.
    pub async fn verify(&self, text: &str) -> Result<Arc<ApiKey>, VerifyError> {
        let key = self.identify(text).await?;
        self.count(&key.prefix)?;
        Ok(key)
    }

    /// [`ApiKeys::verify`] for whom it is no use of the key to be [counted](Self::count).
    pub async fn identify(&self, text: &str) -> Result<Arc<ApiKey>, VerifyError> {
        let prefix = prefix_of(text).ok_or(VerifyError::Invalid)?;
        let key = self.by_prefix(prefix).await?.ok_or(VerifyError::Invalid)?;
        is_of(&key, text).then_some(key).ok_or(VerifyError::Invalid)
    }

    /// The key of this text, if it is remembered and need not be confirmed yet. Its use is still to
    /// be [counted](Self::count).
    pub fn known(&self, text: &str) -> Option<Arc<ApiKey>> {
        let prefix = prefix_of(text)?;
        let now = self.0.clock.tick();
        let key = self.memory(|memory| memory.known(prefix, now))?;
        is_of(&key, text).then_some(key)
    }

    /// Counts a use of a key. Whoever knows its prefix alone is not counted.
    pub fn count(&self, prefix: &str) -> Result<(), VerifyError> {
        let Some(calls) = &self.0.calls else {
            return Ok(());
        };
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .take(prefix.to_owned(), self.0.clock.tick())
            .map_err(VerifyError::TooOften)
    }

    /// Confirms the keys in use at the store, again and again, so that no caller waits for that:
    /// with a database that hangs each would.
    pub async fn keep_confirmed(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.confirm().await;
        }
    }

    async fn confirm(&self) {
        let now = self.0.clock.tick();
        let aging = self.memory(|memory| memory.aging(now));
        for prefixes in aging.chunks(CONFIRMED) {
            let asked = tokio::time::timeout(CONFIRMATION, self.0.store.api_keys_named(prefixes));
            match asked.await {
                Ok(Ok(found)) => {
                    let now = self.0.clock.tick();
                    let mut found: HashMap<String, Arc<ApiKey>> = found
                        .into_iter()
                        .map(|key| (key.prefix.clone(), Arc::new(key)))
                        .collect();
                    self.memory(|memory| {
                        for prefix in prefixes {
                            memory.confirmed(prefix, found.remove(prefix), now);
                        }
                    });
                }
                Err(_) | Ok(Err(StoreError::Unavailable(_))) => {
                    // Nothing can be deleted from a store that is away.
                    let now = self.0.clock.tick();
                    return self.memory(|memory| memory.prolong(now));
                }
                // Whoever presents the key next is told.
                Ok(Err(_)) => {}
            }
        }
    }

    /// Makes a key from the operating system's randomness and stores its hash.
    pub async fn make(&self, new: NewKey) -> Result<MadeKey, MakeError> {
        let mut random = [0; PREFIX_BYTES + SECRET_BYTES];
        getrandom::fill(&mut random).map_err(MakeError::Random)?;
        let (prefix, secret) = random.split_at(PREFIX_BYTES);
        let prefix = BASE32_NOPAD.encode(prefix).to_ascii_lowercase();
        let secret = BASE32_NOPAD.encode(secret).to_ascii_lowercase();
        let text = format!("desist_{prefix}_{secret}");
        let key = ApiKey {
            hash: *Digest::of(text.as_bytes()).as_bytes(),
            prefix,
            tenant: new.tenant,
            scopes: new.scopes,
            name: new.name,
            created: self.0.clock.now(),
        };
        self.0.store.add_api_key(&key).await?;
        self.memory(|memory| memory.unknown.remove(&key.prefix));
        Ok(MadeKey { text, key })
    }

    /// Sees to it that the store knows the installation-wide admin key of this text, which this
    /// node keeps in its data folder; `false` if the text has not the form of a key.
    pub async fn adopt_admin(&self, text: &str) -> Result<bool, StoreError> {
        let Some(prefix) = prefix_of(text) else {
            return Ok(false);
        };
        if self.0.store.api_key(prefix).await?.is_none() {
            let key = ApiKey {
                prefix: prefix.to_owned(),
                hash: *Digest::of(text.as_bytes()).as_bytes(),
                tenant: None,
                scopes: vec![KeyScope::Admin],
                name: ADMIN.to_owned(),
                created: self.0.clock.now(),
            };
            self.0.store.add_api_key(&key).await?;
        }
        Ok(true)
    }

    /// Makes a node's own admin key.
    pub async fn make_admin(&self) -> Result<MadeKey, MakeError> {
        let name = ADMIN.to_owned();
        self.make(NewKey {
            tenant: None,
            name,
            scopes: vec![KeyScope::Admin],
        })
        .await
    }

    /// Keys of a tenant; `None`: all of them.
    pub async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<ApiKey>, StoreError> {
        self.0.store.api_keys(tenant).await
    }

    /// Deletes a key; `false` if there is none, or, where `tenant` is given, if it is not that
    /// tenant's.
    pub async fn remove(&self, tenant: Option<TenantId>, prefix: &str) -> Result<bool, StoreError> {
        let Some(key) = self.0.store.api_key(prefix).await? else {
            return Ok(false);
        };
        if tenant.is_some() && key.tenant != tenant {
            return Ok(false);
        }
        let removed = self.0.store.remove_api_key(prefix).await?;
        let now = self.0.clock.tick();
        self.memory(|memory| memory.remember(prefix, None, now));
        Ok(removed)
    }

    async fn by_prefix(&self, prefix: &str) -> Result<Option<Arc<ApiKey>>, StoreError> {
        let now = self.0.clock.tick();
        let stale = match self.memory(|memory| memory.recall(prefix, now)) {
            Recalled::Known(key) => return Ok(Some(key)),
            Recalled::Unknown => return Ok(None),
            Recalled::Stale(key) => Some(key),
            Recalled::Nothing => None,
        };
        let begun = now;
        let asked = self.0.store.api_key(prefix);
        let answer = match &stale {
            None => asked.await,
            Some(_) => tokio::time::timeout(CONFIRMATION, asked)
                .await
                .unwrap_or_else(|_elapsed| Err(StoreError::Unavailable("too slow".to_owned()))),
        };
        let found = match (answer, stale) {
            (Ok(found), _) => found.map(Arc::new),
            // Nothing can be deleted from a store that is away.
            (Err(StoreError::Unavailable(_)), Some(key)) => Some(key),
            (Err(error), _) => return Err(error),
        };
        let now = self.0.clock.tick();
        self.memory(|memory| memory.learned(prefix, found.clone(), begun, now));
        Ok(found)
    }

    fn memory<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is remembered about a prefix.
enum Recalled {
    Known(Arc<ApiKey>),
    /// It was good, but too long ago to rely on while the store can be asked: this caller asks.
    Stale(Arc<ApiKey>),
    Unknown,
    Nothing,
}

/// Compares in constant time.
fn is_of(key: &ApiKey, text: &str) -> bool {
    let same = key.hash.ct_eq(Digest::of(text.as_bytes()).as_bytes());
    bool::from(same)
}

impl Memory {
    fn known(&mut self, prefix: &str, now: Tick) -> Option<Arc<ApiKey>> {
        let known = self.known.get_mut(prefix)?;
        known.used = true;
        (now < known.until).then(|| Arc::clone(&known.key))
    }

    fn recall(&mut self, prefix: &str, now: Tick) -> Recalled {
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

    fn remember(&mut self, prefix: &str, found: Option<Arc<ApiKey>>, now: Tick) {
        self.learned(prefix, found, now, now);
    }

    /// What the store said at `now`, asked at `begun`. Whoever asked about a key before it was
    /// removed here does not bring it back.
    fn learned(&mut self, prefix: &str, found: Option<Arc<ApiKey>>, begun: Tick, now: Tick) {
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
}

impl Memory {
    /// Keys in use that the store should confirm by now.
    fn aging(&self, now: Tick) -> Vec<String> {
        let fresh = now.after(FRESH.saturating_sub(AGING));
        let aging = self.known.iter();
        aging
            .filter(|(_, known)| known.used && known.until <= fresh)
            .map(|(prefix, _)| prefix.clone())
            .collect()
    }

    /// What the store says about a key that it was asked about unasked. One that was removed here
    /// meanwhile stays removed.
    fn confirmed(&mut self, prefix: &str, found: Option<Arc<ApiKey>>, now: Tick) {
        if self.known.contains_key(prefix) {
            self.remember(prefix, found, now);
        }
    }

    /// Goes on honouring the keys in use.
    fn prolong(&mut self, now: Tick) {
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

/// The visible part of a text that has the form of a key.
fn prefix_of(text: &str) -> Option<&str> {
    let (prefix, secret) = text.strip_prefix("desist_")?.split_once('_')?;
    let plain = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let fits = prefix.len() == 8 && secret.len() == 32 && plain(prefix) && plain(secret);
    fits.then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;

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
    fn only_the_documented_form_is_a_key() {
        let secret = "a".repeat(32);
        assert_eq!(
            prefix_of(&format!("desist_abcdefg2_{secret}")),
            Some("abcdefg2")
        );
        for bad in [
            "",
            "desist_",
            "desist_abcdefg2_",
            &format!("other_abcdefg2_{secret}"),
            &format!("desist_ABCDEFG2_{secret}"),
            &format!("desist_abcdefg_{secret}"),
            &format!("desist_abcdefg2_{secret}a"),
        ] {
            assert_eq!(prefix_of(bad), None, "{bad}");
        }
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
