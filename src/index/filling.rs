//! Fills a new index with very many suppressions in any order.
//!
//! To enter one moves half of its bucket. So all of them wait, unsorted, in a list for each group of
//! cells, and are entered together when no more come. They wait in the blocks that hold them
//! afterwards: other memory beside the index would be as large as the index.

use std::sync::{Mutex, PoisonError};

use super::Index;
use super::entry::{Celled, Entry, Place};
use super::shard::{BLOCK, Block, Shard, new_block};
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
    /// One for each group, none until there is something.
    groups: Vec<Group>,
    entries: usize,
}

/// What waits for a group.
#[derive(Debug, Default)]
struct Group {
    /// Full but the last.
    blocks: Vec<Block>,
    /// The cell of each entry.
    cells: Vec<u8>,
}

/// Entries that are handed to a shard under one lock.
const AT_ONCE: usize = 256;

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
    /// Takes standing suppressions. If one comes twice, it stands since the earlier time.
    pub fn insert(&self, entries: impl IntoIterator<Item = (SuppressionKey, Timestamp)>) {
        let mut shards = vec![Vec::new(); Place::SHARDS];
        for (key, since) in entries {
            let place = Place::of(&key.recipient);
            let Some(own) = shards.get_mut(place.shard()) else {
                continue;
            };
            own.push((place, Entry::new(&key, since)));
            if own.len() == AT_ONCE {
                self.wait(place.shard(), own);
            }
        }
        for (shard, own) in shards.iter_mut().enumerate() {
            self.wait(shard, own);
        }
    }

    /// Lets them wait, all of one shard.
    fn wait(&self, shard: usize, entries: &mut Vec<(Place, Entry)>) {
        let Some(shard) = self.shards.get(shard).filter(|_| !entries.is_empty()) else {
            return;
        };
        let mut waiting = shard.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, entry) in entries.drain(..) {
            waiting.push(place, entry);
        }
    }

    /// Enters what waits in one of `parts` parts, numbered from 0: some 100 ns of a processor for
    /// each entry. Several parts can be entered at the same time.
    pub fn enter(&self, part: usize, parts: usize) {
        let own = self.shards.iter().enumerate().skip(part);
        for (number, shard) in own.step_by(parts.max(1)) {
            let mut waiting = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = std::mem::take(&mut *waiting);
            self.index.counting(number, |shard| waiting.enter(shard));
        }
    }

    /// The index, with all that was taken.
    pub fn finish(self) -> Index {
        self.enter(0, 1);
        self.index
    }
}

impl Waiting {
    fn push(&mut self, place: Place, entry: Entry) {
        if self.groups.is_empty() {
            self.groups.resize_with(Place::GROUPS, Group::default);
        }
        if let Some(group) = self.groups.get_mut(place.group()) {
            group.push(place.celled(entry));
            self.entries += 1;
        }
    }

    fn enter(self, shard: &mut Shard) {
        shard.expect(self.entries);
        let (mut entries, mut spare) = (Vec::new(), Vec::new());
        for (number, group) in self.groups.into_iter().enumerate() {
            entries.clear();
            shard.copy(number, &mut entries);
            entries.extend(group.entries());
            entries.sort_unstable();
            entries.dedup_by_key(|entry| entry.identity());
            spare.extend(group.blocks);
            shard.rewrite(number, &entries, &mut spare);
        }
    }
}

impl Group {
    fn push(&mut self, entry: Celled) {
        let at = self.cells.len() % BLOCK;
        if at == 0 {
            self.blocks.push(new_block());
        }
        let last = self.blocks.last_mut();
        if let Some(free) = last.and_then(|block| block.get_mut(at)) {
            *free = entry.entry().pack();
            self.cells.push(entry.cell_byte());
        }
    }

    fn entries(&self) -> impl Iterator<Item = Celled> {
        let entries = self.blocks.iter().flat_map(|block| block.iter());
        let both = entries.zip(&self.cells);
        both.map(|(entry, cell)| Celled::new(usize::from(*cell), entry.unpack()))
    }
}
