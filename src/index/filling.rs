//! Fills a new index with very many suppressions in any order.
//!
//! To enter one moves half of its bucket. So they wait, some for each group of cells, and are
//! entered together.

use std::sync::{Mutex, PoisonError};

use super::Index;
use super::entry::{Celled, Entry, Place};
use crate::model::clock::Timestamp;
use crate::model::suppression::SuppressionKey;

/// An index that is being filled. Shared by reference.
#[derive(Debug)]
pub struct Filling {
    index: Index,
    shards: Box<[Mutex<Waiting>]>,
}

/// What waits to be entered into a shard.
#[derive(Debug, Default)]
struct Waiting {
    /// [`MOST`] places for each group, none until there is something: one large piece of memory,
    /// which leaves no holes behind.
    entries: Vec<Celled>,
    /// How many wait for each group.
    counts: Vec<usize>,
    /// Where a group and what waits for it are put together.
    merged: Vec<Celled>,
}

/// How many wait for a group at most: 16 MiB for all of them.
const MOST: usize = 128;

impl Default for Filling {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(Place::SHARDS);
        Self {
            index: Index::default(),
            shards: shards.collect(),
        }
    }
}

impl Filling {
    /// Enters standing suppressions. If one is there already, it stands since either time.
    pub fn insert(&self, entries: impl IntoIterator<Item = (SuppressionKey, Timestamp)>) {
        for (key, since) in entries {
            let place = Place::of(&key.recipient);
            let Some(shard) = self.shards.get(place.shard()) else {
                continue;
            };
            let mut waiting = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = place.celled(Entry::new(&key, since));
            if waiting.push(place.group(), entry) == MOST {
                waiting.enter(&self.index, place.shard(), place.group());
            }
        }
    }

    /// The index, when all is entered.
    pub fn finish(self) -> Index {
        for (number, shard) in self.shards.into_iter().enumerate() {
            let mut waiting = shard.into_inner().unwrap_or_else(PoisonError::into_inner);
            for group in 0..Place::GROUPS {
                waiting.enter(&self.index, number, group);
            }
        }
        self.index
    }
}

impl Waiting {
    /// Lets it wait; how many do for this group.
    fn push(&mut self, group: usize, entry: Celled) -> usize {
        if self.entries.is_empty() {
            self.entries = vec![Celled::default(); Place::GROUPS * MOST];
            self.counts = vec![0; Place::GROUPS];
        }
        let Some(count) = self.counts.get_mut(group) else {
            return 0;
        };
        if let Some(free) = self.entries.get_mut(group * MOST + *count) {
            *free = entry;
            *count += 1;
        }
        *count
    }

    /// Enters all that waits for this group.
    fn enter(&mut self, index: &Index, shard: usize, group: usize) {
        let count = self.counts.get_mut(group).map_or(0, std::mem::take);
        let first = group * MOST;
        let Some(entries) = self.entries.get_mut(first..first + count) else {
            return;
        };
        entries.sort_unstable();
        let all = &mut self.merged;
        index.counting(shard, |shard| {
            all.clear();
            shard.copy(group, all);
            all.extend_from_slice(entries);
            // Two sorted runs: this only merges them.
            all.sort();
            all.dedup_by_key(|entry| entry.identity());
            shard.rewrite(group, all);
        });
    }
}
