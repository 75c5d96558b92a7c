//! Layer 2: the index: suppressions in memory, fed by the feed alone.
//!
//! An entry is one number of 16 bytes. It lies in one of 65,536 sorted buckets; the bucket stands
//! for the first 16 bits of the recipient key and the entry holds the next 48, so that tenant and
//! 64 of the key's 80 bits are compared. The order of the numbers is the order of strength: the
//! first entry of a recipient that counts for what is asked is the answer.
//!
//! Invariants: a bucket is sorted and has one entry for each tenant, recipient, scope and reason;
//! its memory grows and shrinks with it in small steps and never doubles; a lock is held for one
//! look-up or one change in one bucket.

mod bucket;
mod entry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::bucket::Bucket;
use self::entry::{Entry, Owner, Place};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::stream::{Class, StreamNumber};
use crate::model::suppression::{Change, ChangeOp, Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// All standing suppressions of all tenants. Shared by reference; reading never waits for long.
pub struct Index {
    /// By the first byte of the recipient key.
    shards: Box<[RwLock<Shard>]>,
    entries: AtomicUsize,
    /// Entries that there is room for.
    room: AtomicUsize,
}

/// Buckets by the second byte of the recipient key; empty until something is entered.
type Shard = Vec<Bucket>;

/// What a look-up asks.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// Any scope counts.
    Any,
    /// Only what stops mail of this stream.
    Stream {
        /// Its number.
        number: StreamNumber,
        /// Its class: `marketing` stops only marketing streams.
        class: Class,
    },
}

/// The answer for one recipient: the widest scope, and within it the strongest reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// How much is stopped.
    pub scope: Scope,
    /// Why.
    pub reason: Reason,
    /// Since when, in whole seconds.
    pub since: Timestamp,
}

impl Asked {
    /// Whether a suppression of that scope answers the question.
    pub fn counts(self, scope: Scope) -> bool {
        match self {
            Self::Any => true,
            Self::Stream { number, class } => match scope {
                Scope::All => true,
                Scope::Marketing => class == Class::Marketing,
                Scope::Stream(stopped) => stopped == number,
            },
        }
    }
}

impl Index {
    /// Enters a standing suppression, as the scan of the store gives it. Order does not matter.
    /// If it is there already, it stands since the given time from now on.
    pub fn insert(&self, key: SuppressionKey, since: Timestamp) {
        let place = Place::of(&key.recipient);
        let entry = Entry::new(&key, since);
        let Some(mut shard) = self.write(place) else {
            return;
        };
        if shard.is_empty() {
            shard.resize_with(Place::BUCKETS, Bucket::default);
        }
        let Some(bucket) = shard.get_mut(place.bucket()) else {
            return;
        };
        self.counting(bucket, |bucket| bucket.insert(entry));
    }

    /// Applies a change of the feed. Applying it twice is the same as once.
    pub fn apply(&self, change: &Change) {
        match change.op {
            ChangeOp::Suppress => self.insert(change.key, change.at),
            ChangeOp::Lift => self.remove(&change.key),
        }
    }

    fn remove(&self, key: &SuppressionKey) {
        let place = Place::of(&key.recipient);
        let entry = Entry::new(key, Timestamp::default());
        let Some(mut shard) = self.write(place) else {
            return;
        };
        let Some(bucket) = shard.get_mut(place.bucket()) else {
            return;
        };
        self.counting(bucket, |bucket| bucket.remove(entry));
    }

    /// One look-up for all scopes, under each given key (one for each address-key generation).
    pub fn look_up(
        &self,
        tenant: TenantId,
        recipients: &[RecipientKey],
        asked: Asked,
    ) -> Option<Hit> {
        let strongest = recipients.iter().filter_map(|recipient| {
            let place = Place::of(recipient);
            let shard = self.read(place)?;
            let bucket = shard.get(place.bucket())?;
            let owner = Owner::new(tenant, recipient);
            bucket.of(owner).find_map(|entry| {
                let hit = entry.hit()?;
                asked.counts(hit.scope).then_some((entry.strength(), hit))
            })
        });
        strongest
            .min_by_key(|(strength, _)| *strength)
            .map(|(_, hit)| hit)
    }

    /// Whether exactly this suppression stands, whatever else does.
    pub fn stands(&self, key: &SuppressionKey) -> bool {
        let place = Place::of(&key.recipient);
        let owner = Owner::new(key.tenant, &key.recipient);
        self.read(place).is_some_and(|shard| {
            let bucket = shard.get(place.bucket());
            bucket
                .into_iter()
                .flat_map(|bucket| bucket.of(owner))
                .any(|entry| {
                    let hit = entry.hit();
                    hit.is_some_and(|hit| (hit.scope, hit.reason) == (key.scope, key.reason))
                })
        })
    }

    /// Number of standing suppressions.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held for entries, spare room included. The fixed table of buckets, 3 MiB, their
    /// pointers, 8 bytes for 64 entries, and what the allocator adds are not counted.
    pub fn bytes(&self) -> usize {
        self.room
            .load(Ordering::Relaxed)
            .saturating_mul(Entry::BYTES)
    }

    /// Takes over what another index holds, and forgets its own. A look-up meanwhile finds what it
    /// would have found before or after, never nothing. Nobody else may write at that time.
    pub fn replace(&self, other: Self) {
        for (shard, fresh) in self.shards.iter().zip(other.shards) {
            let fresh = fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
            *shard.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        self.entries
            .store(other.entries.into_inner(), Ordering::Relaxed);
        self.room.store(other.room.into_inner(), Ordering::Relaxed);
    }

    /// Changes a bucket and keeps the sums true.
    fn counting(&self, bucket: &mut Bucket, change: impl FnOnce(&mut Bucket)) {
        let (entries, room) = (bucket.len(), bucket.room());
        change(bucket);
        add_difference(&self.entries, entries, bucket.len());
        add_difference(&self.room, room, bucket.room());
    }

    /// A panic cannot leave a bucket unsorted, so a poisoned lock is as good as any.
    fn read(&self, place: Place) -> Option<RwLockReadGuard<'_, Shard>> {
        let shard = self.shards.get(place.shard())?;
        Some(shard.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, place: Place) -> Option<RwLockWriteGuard<'_, Shard>> {
        let shard = self.shards.get(place.shard())?;
        Some(shard.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Wraps around below zero on the way, which is harmless: the sum is right in the end.
fn add_difference(sum: &AtomicUsize, before: usize, after: usize) {
    if before != after {
        sum.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

impl Default for Index {
    fn default() -> Self {
        let shards = std::iter::repeat_with(RwLock::default)
            .take(Place::SHARDS)
            .collect();
        Self {
            shards,
            entries: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
        }
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .finish()
    }
}
