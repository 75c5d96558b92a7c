//! API keys: `desist_PREFIX_SECRET`, of which only the SHA-256 is stored.

mod memory;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use memory::{Memory, Recalled};
use subtle::ConstantTimeEq as _;

use crate::model::clock::Clock;
use crate::model::digest::Digest;
use crate::model::pace::{Pace, Paces};
use crate::model::tenant::TenantId;
use crate::store::{ApiKey, KeyScope, Store, StoreError};

/// How often it is looked for such keys.
const LOOK: Duration = Duration::from_secs(1);

/// How long the store may take to confirm a key that was good before. Longer counts as away: a
/// check must not wait for a database.
const CONFIRMATION: Duration = Duration::from_millis(500);

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

/// Compares in constant time.
fn is_of(key: &ApiKey, text: &str) -> bool {
    let same = key.hash.ct_eq(Digest::of(text.as_bytes()).as_bytes());
    bool::from(same)
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
}
