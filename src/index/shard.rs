//! Sorted lists of entries whose memory is what they hold.
//!
//! A list, a bucket, is cut into blocks of one size, all full but the last. One growing piece of
//! memory a bucket would leave holes behind: all buckets grow alike, and what one has left is too
//! small for the others. For the same reason the tables of the blocks are rows of one size: a row
//! has the blocks of one number, one of each bucket.
//!
//! Where the entries of each cell end is kept beside them: a look-up reads that, and then looks
//! within the cell where keys as good as random let the entry expect.
//!
//! Invariants: the entries of a cell are ascending, one for each tenant, recipient, scope and
//! reason; those of the next cell follow; there is no block without an entry, and no row without a
//! block.

use std::ops::Range;

use super::entry::{Entry, Owner, Packed, Place};

/// The buckets that are locked together. Nothing is allocated until something is entered.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// For each bucket and cell, how many entries of the bucket there are in this cell and in
    /// those before it.
    ends: Vec<[u32; Place::CELLS]>,
    #[expect(
        clippy::vec_box,
        reason = "the pointers grow, the rows stay where they are"
    )]
    rows: Vec<Box<Row>>,
    blocks: usize,
}

type Block = [Packed; BLOCK];
type Row = [Option<Box<Block>>; Place::BUCKETS];

impl Shard {
    /// Enters it, or replaces the time of the one that is there; whether it is a new one.
    pub(super) fn insert(&mut self, place: Place, entry: Entry) -> bool {
        let (bucket, cell) = (place.bucket(), place.cell());
        let range = self.range(bucket, cell);
        let at = self.first_from(bucket, &range, entry);
        let there = self.get(bucket, at).filter(|_| at < range.end);
        if there.is_some_and(|there| there.identity() == entry.identity()) {
            let block = self.block(bucket, at / BLOCK);
            if let Some(there) = block.and_then(|block| block.get_mut(at % BLOCK)) {
                *there = entry.pack();
            }
            return false;
        }
        self.make_room(bucket);
        // Every block from there on takes one in and hands its last one on.
        let (mut carried, mut from) = (entry.pack(), at % BLOCK);
        for row in self.rows.iter_mut().skip(at / BLOCK) {
            let Some(block) = row.get_mut(bucket).and_then(Option::as_mut) else {
                break;
            };
            carried = push_right(block.get_mut(from..).unwrap_or_default(), carried);
            from = 0;
        }
        for end in self.ends_of(bucket).iter_mut().skip(cell) {
            *end = end.saturating_add(1);
        }
        true
    }

    /// Room for one more entry of a bucket.
    fn make_room(&mut self, bucket: usize) {
        if self.ends.is_empty() {
            self.ends.reserve_exact(Place::BUCKETS);
            self.ends.resize(Place::BUCKETS, [0; Place::CELLS]);
        }
        let length = self.length(bucket);
        if !length.is_multiple_of(BLOCK) {
            return;
        }
        let number = length / BLOCK;
        if number == self.rows.len() {
            self.rows.push(Box::new([const { None }; Place::BUCKETS]));
        }
        let row = self.rows.get_mut(number);
        if let Some(block) = row.and_then(|row| row.get_mut(bucket)) {
            *block = Some(Box::new([Packed::NONE; BLOCK]));
            self.blocks += 1;
        }
    }

    /// Removes what was entered for the same tenant, recipient, scope and reason, at any time;
    /// whether there was one.
    pub(super) fn remove(&mut self, place: Place, entry: Entry) -> bool {
        let (bucket, cell) = (place.bucket(), place.cell());
        let range = self.range(bucket, cell);
        let at = self.first_from(bucket, &range, entry);
        let there = self.get(bucket, at).filter(|_| at < range.end);
        if there.is_none_or(|there| there.identity() != entry.identity()) {
            return false;
        }
        let last = (self.length(bucket) - 1) / BLOCK;
        let mut carried = Packed::NONE;
        for number in (at / BLOCK..=last).rev() {
            let from = if number == at / BLOCK { at % BLOCK } else { 0 };
            if let Some(block) = self.block(bucket, number) {
                carried = push_left(block.get_mut(from..).unwrap_or_default(), carried);
            }
        }
        for end in self.ends_of(bucket).iter_mut().skip(cell) {
            *end = end.saturating_sub(1);
        }
        if self.length(bucket).is_multiple_of(BLOCK) {
            self.drop_block(bucket, last);
        }
        true
    }

    fn drop_block(&mut self, bucket: usize, number: usize) {
        let row = self.rows.get_mut(number);
        if let Some(block) = row.and_then(|row| row.get_mut(bucket)) {
            *block = None;
            self.blocks -= 1;
        }
        while self
            .rows
            .last()
            .is_some_and(|row| row.iter().all(Option::is_none))
        {
            self.rows.pop();
        }
        if self.rows.is_empty() {
            *self = Self::default();
        }
    }

    /// Adds behind all others what [`Shard::entries`] of another one has given; `false`, and
    /// nothing is changed, if it does not belong there.
    pub(super) fn append(&mut self, place: Place, entry: Entry) -> bool {
        let bucket = place.bucket();
        let range = self.range(bucket, place.cell());
        let last = range.end.checked_sub(1).filter(|_| !range.is_empty());
        let last = last.and_then(|last| self.get(bucket, last));
        let ascends = last.is_none_or(|last| last.identity() < entry.identity());
        let fits = range.end == self.length(bucket) && ascends && entry.hit().is_some();
        fits && self.insert(place, entry)
    }

    /// All of one owner, the strongest first.
    pub(super) fn of(&self, place: Place, owner: Owner) -> impl Iterator<Item = Entry> {
        let bucket = place.bucket();
        let range = self.range(bucket, place.cell());
        let at = self.first_from(bucket, &range, Entry::first_of(owner));
        (at..range.end)
            .map_while(move |at| self.get(bucket, at))
            .take_while(move |entry| entry.owner() == owner)
    }

    /// All of one bucket, each with its cell, in order.
    pub(super) fn entries(&self, bucket: usize) -> impl Iterator<Item = (usize, Entry)> {
        (0..Place::CELLS).flat_map(move |cell| {
            let range = self.range(bucket, cell);
            range.filter_map(move |at| Some((cell, self.get(bucket, at)?)))
        })
    }

    /// Bytes of blocks and of the tables.
    pub(super) fn bytes(&self) -> usize {
        self.blocks * size_of::<Block>()
            + self.rows.len() * size_of::<Row>()
            + self.ends.len() * size_of::<[u32; Place::CELLS]>()
    }

    /// Entries of a bucket.
    pub(super) fn length(&self, bucket: usize) -> usize {
        self.ends.get(bucket).map_or(0, |[.., end]| position(*end))
    }

    /// Where the entries of a cell are within its bucket.
    fn range(&self, bucket: usize, cell: usize) -> Range<usize> {
        let Some(ends) = self.ends.get(bucket) else {
            return 0..0;
        };
        let before = cell.checked_sub(1).and_then(|before| ends.get(before));
        let end = ends.get(cell).copied().unwrap_or_default();
        position(before.copied().unwrap_or_default())..position(end)
    }

    /// The first place within `range` whose entry is not before this one. Looks from where it is
    /// expected in growing steps, then by halves.
    fn first_from(&self, bucket: usize, range: &Range<usize>, entry: Entry) -> usize {
        let identity = entry.identity();
        let before = |at: usize| {
            self.get(bucket, at)
                .is_some_and(|there| there.identity() < identity)
        };
        let (mut start, mut end) = (range.start, range.end);
        let (mut at, mut step) = (expected(range, entry), 1);
        if at < end && before(at) {
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

    fn block(&mut self, bucket: usize, number: usize) -> Option<&mut Block> {
        self.rows.get_mut(number)?.get_mut(bucket)?.as_deref_mut()
    }

    fn ends_of(&mut self, bucket: usize) -> &mut [u32] {
        self.ends.get_mut(bucket).map_or(&mut [], |ends| ends)
    }
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

/// Entries of a block. With what the allocator adds, 8 bytes, a block of 840 bytes is a multiple
/// of 16, so that nothing is lost to rounding.
const BLOCK: usize = 56;
