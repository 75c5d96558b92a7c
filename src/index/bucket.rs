//! A sorted list of entries whose memory is what it holds.
//!
//! It is cut into blocks of one size, all full, and a tail. One growing piece of memory a bucket
//! would leave holes behind: all buckets grow alike, and what one has left is too small for the
//! others. Blocks of one size fit each other's place.
//!
//! Invariants: the entries of all blocks and then of the tail are ascending, one for each tenant,
//! recipient, scope and reason; the tail has fewer entries than a block.

use super::entry::{Entry, Owner};

/// Entries in order, one for each tenant, recipient, scope and reason.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    #[expect(
        clippy::vec_box,
        reason = "the pointers grow, the blocks stay where they are"
    )]
    blocks: Vec<Box<[Entry; BLOCK]>>,
    tail: Vec<Entry>,
}

/// Where an entry is, or where it belongs.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// Index of the block; the number of blocks means the tail.
    block: usize,
    /// Index within it; below [`BLOCK`].
    at: usize,
}

impl Bucket {
    /// Enters it, or replaces the time of the one that is there.
    pub(super) fn insert(&mut self, entry: Entry) {
        let Position { block, at } = self.position(entry);
        let present = self.run_mut(block).get_mut(at);
        if let Some(present) = present.filter(|present| present.identity() == entry.identity()) {
            *present = entry;
            return;
        }
        // Every block from there on takes one in and hands its last one on.
        let (mut carried, mut at) = (entry, at);
        for block in self.blocks.iter_mut().skip(block) {
            carried = push_right(block.get_mut(at..).unwrap_or_default(), carried);
            at = 0;
        }
        self.insert_into_tail(at, carried);
    }

    fn insert_into_tail(&mut self, at: usize, entry: Entry) {
        let length = self.tail.len();
        if length == self.tail.capacity() {
            self.tail
                .reserve_exact((1 + length / STEP).min(BLOCK - length));
        }
        self.tail.insert(at, entry);
        if self.tail.len() == BLOCK {
            if self.blocks.len() == self.blocks.capacity() {
                self.blocks.reserve_exact(1 + self.blocks.len() / STEP);
            }
            let full = std::mem::take(&mut self.tail).into_boxed_slice();
            // The length was looked at above, so there always is one.
            self.blocks.extend(full.try_into().ok());
        }
    }

    /// Removes what was entered for the same tenant, recipient, scope and reason, at any time.
    pub(super) fn remove(&mut self, entry: Entry) {
        let Position { block, at } = self.position(entry);
        let present = self.run(block).get(at);
        if present.is_none_or(|present| present.identity() != entry.identity()) {
            return;
        }
        if self.tail.is_empty() {
            // The last block becomes the tail, and is found as such at the same position.
            let last = self.blocks.pop().map(|block| -> Box<[Entry]> { block });
            self.tail = last.map(Vec::from).unwrap_or_default();
        }
        if block < self.blocks.len() {
            let mut carried = self.tail.remove(0);
            for (index, run) in self.blocks.iter_mut().enumerate().skip(block).rev() {
                let from = if index == block { at } else { 0 };
                carried = push_left(run.get_mut(from..).unwrap_or_default(), carried);
            }
        } else {
            self.tail.remove(at);
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.tail.capacity() - self.tail.len() > self.tail.len() / STEP {
            self.tail.shrink_to_fit();
        }
        if self.blocks.capacity() - self.blocks.len() > 1 + self.blocks.len() / STEP {
            self.blocks.shrink_to_fit();
        }
    }

    /// All of one owner, the strongest first.
    pub(super) fn of(&self, owner: Owner) -> impl Iterator<Item = Entry> {
        let Position { block, at } = self.position(Entry::first_of(owner));
        let rest = self.run(block).get(at..).unwrap_or_default();
        let later = (block + 1..=self.blocks.len()).flat_map(|block| self.run(block));
        rest.iter()
            .chain(later)
            .copied()
            .take_while(move |entry| entry.owner() == owner)
    }

    pub(super) const fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.tail.len()
    }

    /// Entries that there is room for.
    pub(super) const fn room(&self) -> usize {
        self.blocks.len() * BLOCK + self.tail.capacity()
    }

    fn position(&self, entry: Entry) -> Position {
        let before = |present: &Entry| present.identity() < entry.identity();
        let block = self
            .blocks
            .partition_point(|block| block.last().is_some_and(before));
        Position {
            block,
            at: self.run(block).partition_point(before),
        }
    }

    /// The block of that index, or the tail.
    fn run(&self, block: usize) -> &[Entry] {
        self.blocks
            .get(block)
            .map_or(&self.tail, |block| block.as_slice())
    }

    fn run_mut(&mut self, block: usize) -> &mut [Entry] {
        match self.blocks.get_mut(block) {
            Some(block) => block.as_mut_slice(),
            None => &mut self.tail,
        }
    }
}

/// Puts an entry first, and returns the last one, for which there is no room any more.
fn push_right(run: &mut [Entry], mut entry: Entry) -> Entry {
    run.rotate_right(usize::from(!run.is_empty()));
    if let Some(first) = run.first_mut() {
        std::mem::swap(first, &mut entry);
    }
    entry
}

/// Puts an entry last, and returns the first one, whose place was taken.
fn push_left(run: &mut [Entry], mut entry: Entry) -> Entry {
    run.rotate_left(usize::from(!run.is_empty()));
    if let Some(last) = run.last_mut() {
        std::mem::swap(last, &mut entry);
    }
    entry
}

/// Entries of a block: 1 KiB.
const BLOCK: usize = 64;
/// What grows does so by this part of its length, and shrinks when its spare room exceeds that.
const STEP: usize = 8;
