//! Sorted lists of entries whose memory is what they hold.
//!
//! A list, a bucket, is cut into blocks of one size, all full but the last. One growing piece of
//! memory a bucket would leave holes behind: all buckets grow alike, and what one has left is too
//! small for the others. For the same reason the tables of the blocks are rows of one size: a row
//! has the blocks of one number, one of each bucket.
//!
//! Where the entries of each cell end is kept beside them: a look-up reads that, and then looks
//! within the cell where keys as good as random let the entry expect. A change moves half of its
//! bucket; so when buckets become long, each is split into two with half of its cells.
//!
//! Invariants: the entries of a cell are ascending, one for each tenant, recipient, scope and
//! reason; those of the next cell of the bucket follow; there is no block without an entry, and no
//! row without a block.

use std::iter::repeat;
use std::ops::Range;

use super::entry::{Celled, Entry, Owner, Packed, Place};

/// The buckets that are locked together. Nothing is allocated until something is entered.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// For each cell, how many entries of its bucket there are in it and in those before it.
    ends: Vec<u32>,
    rows: Vec<Row>,
    /// How often all buckets have been split.
    splits: u32,
    entries: usize,
    blocks: usize,
}

/// Where an entry is expected. The steps of a look-up wait for memory; made one after the other
/// for many look-ups, each step waits for all of them together.
#[derive(Debug, Clone)]
pub(super) struct Aim {
    bucket: usize,
    /// The places of its cell.
    range: Range<usize>,
    at: usize,
    entry: Entry,
}

/// A piece of a bucket.
pub(super) type Block = Box<[Packed; BLOCK]>;
type Row = Box<[Option<Block>]>;

impl Shard {
    /// Enters it, or replaces the time of the one that is there.
    pub(super) fn insert(&mut self, place: Place, entry: Entry) {
        self.split_long();
        let aim = self.aim(place, entry);
        let (bucket, at) = (aim.bucket, self.first_from(&aim, self.at(&aim)));
        if self.stands_at(&aim, at) {
            let block = self.block(bucket, at / BLOCK);
            if let Some(there) = block.and_then(|block| block.get_mut(at % BLOCK)) {
                *there = entry.pack();
            }
            return;
        }
        let length = self.length(bucket);
        if length.is_multiple_of(BLOCK) {
            self.add_block(bucket, length / BLOCK, new_block());
        }
        // Every block from there on takes one in and hands its last one on.
        let (mut carried, mut from) = (entry.pack(), at % BLOCK);
        for row in self.rows.iter_mut().skip(at / BLOCK) {
            let Some(block) = row.get_mut(bucket).and_then(Option::as_mut) else {
                break;
            };
            carried = push_right(block.get_mut(from..).unwrap_or_default(), carried);
            from = 0;
        }
        for end in self.ends_from(place.cell()) {
            *end = end.saturating_add(1);
        }
        self.entries += 1;
    }

    /// Removes what was entered for the same tenant, recipient, scope and reason, at any time.
    pub(super) fn remove(&mut self, place: Place, entry: Entry) {
        let aim = self.aim(place, entry);
        let (bucket, at) = (aim.bucket, self.first_from(&aim, self.at(&aim)));
        if !self.stands_at(&aim, at) {
            return;
        }
        let last = (self.length(bucket) - 1) / BLOCK;
        let mut carried = Packed::NONE;
        for number in (at / BLOCK..=last).rev() {
            let from = if number == at / BLOCK { at % BLOCK } else { 0 };
            if let Some(block) = self.block(bucket, number) {
                carried = push_left(block.get_mut(from..).unwrap_or_default(), carried);
            }
        }
        for end in self.ends_from(place.cell()) {
            *end = end.saturating_sub(1);
        }
        self.entries -= 1;
        if self.length(bucket).is_multiple_of(BLOCK) {
            self.drop_block(bucket, last);
        }
        if self.entries == 0 {
            *self = Self::default();
        }
    }

    /// An empty shard gets the buckets that this many entries need.
    pub(super) fn expect(&mut self, entries: usize) {
        if self.entries == 0 {
            self.splits = 0;
            while entries > LONG * self.buckets() && self.width() > 1 {
                self.splits += 1;
            }
        }
    }

    /// Puts these in the place of all entries of a group. They ascend, with one for each identity.
    /// Blocks are taken from `spare` while there are any.
    pub(super) fn rewrite(&mut self, group: usize, mut entries: &[Celled], spare: &mut Vec<Block>) {
        let width = self.width();
        for first in (0..Place::GROUP).step_by(width) {
            let end = entries.partition_point(|entry| entry.cell() < first + width);
            let (own, rest) = entries.split_at_checked(end).unwrap_or_default();
            self.rewrite_bucket(group * Place::GROUP + first, own, spare);
            entries = rest;
        }
        self.split_long();
    }

    /// The same for the bucket of this cell, its first.
    fn rewrite_bucket(&mut self, cell: usize, entries: &[Celled], spare: &mut Vec<Block>) {
        let (bucket, width) = (self.bucket(cell), self.width());
        let length = self.length(bucket);
        let before = length.div_ceil(BLOCK);
        for (number, run) in entries.chunks(BLOCK).enumerate() {
            if number >= before {
                let block = spare.pop().unwrap_or_else(new_block);
                self.add_block(bucket, number, block);
            }
            let block = self.block(bucket, number).into_iter().flatten();
            // A spare one holds something behind them.
            let run = run.iter().map(|entry| entry.entry().pack());
            for (to, from) in block.zip(run.chain(repeat(Packed::NONE))) {
                *to = from;
            }
        }
        let (mut counted, inside) = (0_u32, cell % Place::GROUP);
        let mut left = entries.iter().peekable();
        for (number, end) in (inside..).zip(self.ends_from(cell)).take(width) {
            while left.next_if(|entry| entry.cell() <= number).is_some() {
                counted = counted.saturating_add(1);
            }
            *end = counted;
        }
        for number in entries.len().div_ceil(BLOCK)..before {
            self.drop_block(bucket, number);
        }
        self.entries = self.entries - length + entries.len();
    }

    /// Splits all buckets if they are long on average.
    fn split_long(&mut self) {
        while self.entries > LONG * self.buckets() && self.width() > 1 {
            let mut halves = Self {
                splits: self.splits + 1,
                ..Self::default()
            };
            let (mut entries, mut spare) = (Vec::new(), Vec::new());
            for group in 0..Place::GROUPS {
                entries.clear();
                self.copy(group, &mut entries);
                // One group after the other, so that both never hold everything.
                for first in (0..Place::GROUP).step_by(self.width()) {
                    self.rewrite_bucket(group * Place::GROUP + first, &[], &mut spare);
                }
                halves.rewrite(group, &entries, &mut spare);
            }
            *self = halves;
        }
    }

    /// The first step of a look-up: where an entry is expected.
    pub(super) fn aim(&self, place: Place, entry: Entry) -> Aim {
        let range = self.range(place.cell());
        Aim {
            bucket: self.bucket(place.cell()),
            at: expected(&range, entry),
            range,
            entry,
        }
    }

    /// The second step: what is where it is expected.
    pub(super) fn at(&self, aim: &Aim) -> Option<Entry> {
        self.get(aim.bucket, aim.at)
    }

    /// The last step: all of the owner, the strongest first.
    pub(super) fn from<'s>(
        &'s self,
        aim: &Aim,
        there: Option<Entry>,
    ) -> impl Iterator<Item = Entry> + use<'s> {
        let (bucket, owner) = (aim.bucket, aim.entry.owner());
        (self.first_from(aim, there)..aim.range.end)
            .map_while(move |at| self.get(bucket, at))
            .take_while(move |entry| entry.owner() == owner)
    }

    /// All of one owner, the strongest first.
    pub(super) fn of(&self, place: Place, owner: Owner) -> impl Iterator<Item = Entry> {
        let aim = self.aim(place, Entry::first_of(owner));
        let there = self.at(&aim);
        self.from(&aim, there)
    }

    /// Adds all entries of a group, in order.
    pub(super) fn copy(&self, group: usize, to: &mut Vec<Celled>) {
        for inside in 0..Place::GROUP {
            let cell = group * Place::GROUP + inside;
            let bucket = self.bucket(cell);
            let entries = self.range(cell).filter_map(|at| self.get(bucket, at));
            to.extend(entries.map(|entry| Celled::new(inside, entry)));
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.entries
    }

    /// Bytes of blocks and of the tables.
    pub(super) fn bytes(&self) -> usize {
        self.blocks * size_of::<[Packed; BLOCK]>()
            + self.rows.len() * self.buckets() * size_of::<Option<Block>>()
            + self.ends.len() * size_of::<u32>()
    }

    /// Cells of a bucket.
    const fn width(&self) -> usize {
        Place::GROUP >> self.splits
    }

    const fn buckets(&self) -> usize {
        Place::GROUPS << self.splits
    }

    /// The bucket of a cell.
    const fn bucket(&self, cell: usize) -> usize {
        cell >> (Place::GROUP.ilog2() - self.splits)
    }

    /// Entries of a bucket.
    fn length(&self, bucket: usize) -> usize {
        let last = (bucket + 1) * self.width() - 1;
        self.ends.get(last).map_or(0, |end| position(*end))
    }

    /// Where the entries of a cell are within its bucket.
    fn range(&self, cell: usize) -> Range<usize> {
        let first = cell.is_multiple_of(self.width());
        let before = if first { None } else { self.ends.get(cell - 1) };
        let end = self.ends.get(cell).copied().unwrap_or_default();
        position(before.copied().unwrap_or_default())..position(end)
    }

    /// The ends of this cell and of those behind it in its bucket.
    fn ends_from(&mut self, cell: usize) -> impl Iterator<Item = &mut u32> {
        let width = self.width();
        let end = (cell / width + 1) * width;
        self.ends.get_mut(cell..end).into_iter().flatten()
    }

    /// Whether the entry itself is there.
    fn stands_at(&self, aim: &Aim, at: usize) -> bool {
        let there = self.get(aim.bucket, at).filter(|_| at < aim.range.end);
        there.is_some_and(|there| there.identity() == aim.entry.identity())
    }

    fn add_block(&mut self, bucket: usize, number: usize, new: Block) {
        if self.ends.is_empty() {
            self.ends.reserve_exact(Place::CELLS);
            self.ends.resize(Place::CELLS, 0);
        }
        if number == self.rows.len() {
            let row = std::iter::repeat_with(|| None).take(self.buckets());
            self.rows.push(row.collect());
        }
        let row = self.rows.get_mut(number);
        if let Some(block) = row.and_then(|row| row.get_mut(bucket)) {
            *block = Some(new);
            self.blocks += 1;
        }
    }

    fn drop_block(&mut self, bucket: usize, number: usize) {
        let row = self.rows.get_mut(number);
        if let Some(block) = row.and_then(|row| row.get_mut(bucket)) {
            *block = None;
            self.blocks -= 1;
        }
        while let Some(row) = self.rows.last()
            && row.iter().all(Option::is_none)
        {
            self.rows.pop();
        }
    }

    /// The first place within the cell whose entry is not before this one. Looks from where it is
    /// expected in growing steps, then by halves. `there` is what [`Shard::at`] found.
    fn first_from(&self, aim: &Aim, there: Option<Entry>) -> usize {
        let identity = aim.entry.identity();
        let before = |at: usize| {
            let there = self.get(aim.bucket, at);
            there.is_some_and(|there| there.identity() < identity)
        };
        let (mut start, mut end) = (aim.range.start, aim.range.end);
        let (mut at, mut step) = (aim.at, 1);
        let first_before = there.is_some_and(|there| there.identity() < identity);
        if at < end && first_before {
            start = at + 1;
            while start < end {
                at = (at + step).min(end);
                if at == end || !before(at) {
                    end = at;
                    break;
                }
                start = at + 1;
                step *= 2;
            }
        } else {
            end = at;
            while start < end {
                at = at.saturating_sub(step).max(start);
                if before(at) {
                    start = at + 1;
                    break;
                }
                end = at;
                step *= 2;
            }
        }
        while start < end {
            let middle = start.midpoint(end);
            if before(middle) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    fn get(&self, bucket: usize, at: usize) -> Option<Entry> {
        let block = self.rows.get(at / BLOCK)?.get(bucket)?.as_ref()?;
        Some(block.get(at % BLOCK)?.unpack())
    }

    fn block(&mut self, bucket: usize, number: usize) -> Option<&mut [Packed; BLOCK]> {
        self.rows.get_mut(number)?.get_mut(bucket)?.as_deref_mut()
    }
}

/// A block without entries.
pub(super) fn new_block() -> Block {
    Box::new([Packed::NONE; BLOCK])
}

/// Where in the range of its cell an entry is expected: keys are as good as random.
fn expected(range: &Range<usize>, entry: Entry) -> usize {
    let part = u64::try_from(range.len()).unwrap_or(u64::MAX);
    let part = part.saturating_mul(u64::from(entry.share())) >> 32;
    range.start + usize::try_from(part).unwrap_or(0)
}

/// A number of entries as a place in memory.
fn position(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Puts an entry first, and returns the last one, for which there is no room any more.
fn push_right(run: &mut [Packed], entry: Packed) -> Packed {
    let Some(last) = run.last().copied() else {
        return entry;
    };
    run.copy_within(..run.len() - 1, 1);
    if let Some(first) = run.first_mut() {
        *first = entry;
    }
    last
}

/// Puts an entry last, and returns the first one, whose place was taken.
fn push_left(run: &mut [Packed], entry: Packed) -> Packed {
    let Some(first) = run.first().copied() else {
        return entry;
    };
    run.copy_within(1.., 0);
    if let Some(last) = run.last_mut() {
        *last = entry;
    }
    first
}

/// Entries of a block. Its 765 bytes fill a size that mimalloc has, 768, so that next to nothing is
/// lost to rounding.
pub(super) const BLOCK: usize = 51;
/// Entries of a bucket on average from which all buckets are split.
const LONG: usize = 1_536;
