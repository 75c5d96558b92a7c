//! Layer 2: the index: suppressions in memory, fed by the feed alone.
//!
//! An entry is one number of 15 bytes. The first 19 bits of the recipient key say where it lies:
//! the shard, which is locked as a whole, and the cell in it; some cells together are a bucket, a
//! sorted list. The entry holds the next 45 bits, so that tenant and 64 of the key's 80 bits are
//! compared. The order of the numbers is the order of strength: the first entry of a recipient that
//! counts for what is asked is the answer.
//!
//! Invariants: a bucket is sorted and has one entry for each tenant, recipient, scope and reason;
//! its memory grows and shrinks with it in small steps and never doubles; a lock is held for one
//! change, or for the look-ups of one list. (Splitting the buckets of a shard, some milliseconds,
//! happens when the number of entries has doubled.)

mod entry;
mod filling;
mod image;
mod shard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use self::entry::{Entry, Owner, Place};
pub use self::filling::Filling;
pub use self::image::{ImageError, LastChange, Origin, remove as remove_image};
use self::shard::{Aim, Shard};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::stream::{Class, StreamNumber};
use crate::model::suppression::{Change, ChangeOp, Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// All standing suppressions of all tenants. Shared by reference; reading never waits for long.
pub struct Index {
    shards: Box<[RwLock<Shard>]>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

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

/// Questions that are looked up together. Made once and used for many batches.
#[derive(Debug)]
pub struct Batch {
    /// Number and recipient of each question, by shard.
    shards: Box<[Vec<(usize, RecipientKey)>]>,
    /// The steps of the look-ups in one shard.
    steps: Vec<(Aim, Option<Entry>)>,
}

impl Default for Batch {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Vec::new).take(Place::SHARDS);
        Self {
            shards: shards.collect(),
            steps: Vec::new(),
        }
    }
}

impl Batch {
    /// Asks about one recipient. The same question may be asked about several, then the strongest
    /// answer counts.
    pub fn ask(&mut self, question: usize, recipient: RecipientKey) {
        let shard = Place::of(&recipient).shard();
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.push((question, recipient));
        }
    }
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
        self.counting(place.shard(), |shard| shard.insert(place, entry));
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
        self.counting(place.shard(), |shard| shard.remove(place, entry));
    }

    /// One look-up for all scopes, under each given key (one for each address-key generation).
    pub fn look_up(
        &self,
        tenant: TenantId,
        recipients: &[RecipientKey],
        asked: Asked,
    ) -> Option<Hit> {
        let found = recipients.iter().filter_map(|recipient| {
            let place = Place::of(recipient);
            let shard = self.read(place.shard())?;
            let entries = shard.of(place, Owner::new(tenant, recipient));
            strongest(entries, asked)
        });
        found.min_by_key(|entry| entry.strength())?.hit()
    }

    /// Looks up all that was asked for, and leaves the batch empty: what is found, one answer for
    /// each question that has one, ascending by question.
    ///
    /// Each shard is locked once, and its look-ups follow each other so closely that the processor
    /// waits for several places in memory at a time.
    pub fn look_up_batch(
        &self,
        tenant: TenantId,
        batch: &mut Batch,
        asked: Asked,
    ) -> Vec<(usize, Hit)> {
        let mut found = Vec::new();
        let Batch { shards, steps } = batch;
        for (shard, questions) in self.shards.iter().zip(shards) {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            steps.clear();
            steps.extend(questions.iter().map(|(_, recipient)| {
                let owner = Owner::new(tenant, recipient);
                let aim = shard.aim(Place::of(recipient), Entry::first_of(owner));
                (aim, None)
            }));
            for (aim, there) in &mut *steps {
                *there = shard.at(aim);
            }
            let answers = questions.drain(..).zip(&*steps);
            found.extend(answers.filter_map(|((question, _), (aim, there))| {
                Some((question, strongest(shard.from(aim, *there), asked)?))
            }));
        }
        found.sort_unstable_by_key(|(question, entry)| (*question, entry.strength()));
        found.dedup_by_key(|(question, _)| *question);
        let hit = |(question, entry): (usize, Entry)| Some((question, entry.hit()?));
        found.into_iter().filter_map(hit).collect()
    }

    /// Since when exactly this suppression stands, whatever else does.
    pub fn stands_since(&self, key: &SuppressionKey) -> Option<Timestamp> {
        let place = Place::of(&key.recipient);
        let wanted = Entry::new(key, Timestamp::default()).identity();
        let owner = Owner::new(key.tenant, &key.recipient);
        let shard = self.read(place.shard())?;
        let mut entries = shard.of(place, owner);
        let found = entries.find(|entry| entry.identity() == wanted)?;
        found.hit().map(|hit| hit.since)
    }

    /// Whether exactly this suppression stands, whatever else does.
    pub fn stands(&self, key: &SuppressionKey) -> bool {
        self.stands_since(key).is_some()
    }

    /// Number of standing suppressions.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held for entries, spare room and tables included. What the allocator adds, 3 bytes for
    /// 51 entries, is not counted.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
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
        self.bytes
            .store(other.bytes.into_inner(), Ordering::Relaxed);
    }

    /// Changes a shard and keeps the sums true.
    fn counting(&self, shard: usize, change: impl FnOnce(&mut Shard)) {
        let Some(shard) = self.shards.get(shard) else {
            return;
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let (entries, bytes) = (shard.len(), shard.bytes());
        change(&mut shard);
        add_difference(&self.entries, entries, shard.len());
        add_difference(&self.bytes, bytes, shard.bytes());
    }

    /// A panic cannot leave a bucket unsorted, so a poisoned lock is as good as any.
    fn read(&self, shard: usize) -> Option<RwLockReadGuard<'_, Shard>> {
        let shard = self.shards.get(shard)?;
        Some(shard.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The strongest entry that counts, of all of one recipient.
fn strongest(mut entries: impl Iterator<Item = Entry>, asked: Asked) -> Option<Entry> {
    entries.find(|entry| entry.hit().is_some_and(|hit| asked.counts(hit.scope)))
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
            bytes: AtomicUsize::new(0),
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
