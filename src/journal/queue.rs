//! The reading side in memory: what is committed and not yet done, as far as it fits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Entry;
use crate::model::clock::{Tick, Timestamp};
use crate::model::receipt::{Receipt, ReceiptId};

/// Bytes of committed entries that are kept in memory. Beyond it they stay on file until there is
/// room again.
pub(super) const MEMORY_BYTES: u64 = 64 << 20;

/// Bytes that an entry is counted with beside its raw bytes: envelope and bookkeeping.
const ENTRY_BYTES: u64 = 1024;

/// An entry and its place in the order of commit.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) seq: u64,
    pub(super) receipt: Receipt,
    pub(super) raw: Arc<[u8]>,
    /// Takes that a process did not survive.
    pub(super) deaths: u32,
    /// Since when it has been in memory.
    since: Tick,
    /// Memory that it is counted with: its raw bytes only if no earlier receipt of the same
    /// message is counted with them.
    weight: u64,
}

impl Item {
    pub(super) fn new(seq: u64, receipt: Receipt, raw: Arc<[u8]>, first: bool) -> Self {
        let weight = if first { raw.len() } else { 0 };
        let weight = u64::try_from(weight)
            .unwrap_or(u64::MAX)
            .saturating_add(ENTRY_BYTES);
        Self {
            seq,
            receipt,
            raw,
            deaths: 0,
            since: Tick::default(),
            weight,
        }
    }

    fn entry(&self) -> Entry {
        Entry {
            receipt: self.receipt.clone(),
            raw: Arc::clone(&self.raw),
            attempts: self.deaths.saturating_add(1),
        }
    }
}

/// A group of which something is in memory.
#[derive(Debug)]
struct Group {
    /// Its receipts.
    count: usize,
    /// The places of those that are done.
    done: Vec<u64>,
}

/// A group as it is read from file.
#[derive(Debug)]
pub(super) struct Stored {
    /// The place of its first receipt.
    pub(super) first: u64,
    /// Its receipts, those that are done or cannot be read included.
    pub(super) count: usize,
    /// The places of those that are done.
    pub(super) done: Vec<u64>,
    /// The others.
    pub(super) items: Vec<Item>,
}

impl Stored {
    /// The place of its last receipt.
    pub(super) fn last(&self) -> u64 {
        self.first
            .saturating_add(length(self.count))
            .saturating_sub(1)
    }
}

/// What has been finished, by group.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Groups of which everything is done.
    pub(super) groups: Vec<u64>,
    /// Of groups of which something is done: all places that are.
    pub(super) partly: BTreeMap<u64, Vec<u64>>,
}

/// What is taken, by place.
#[derive(Debug, Default)]
struct InWork {
    items: BTreeMap<u64, Item>,
    /// Runs of places, as long as they are true: each commit asks for them.
    runs: Option<Vec<(u64, u64)>>,
}

impl InWork {
    fn insert(&mut self, item: Item) {
        self.runs = None;
        self.items.insert(item.seq, item);
    }

    fn remove(&mut self, seq: u64) -> Option<Item> {
        self.runs = None;
        self.items.remove(&seq)
    }

    fn runs(&mut self) -> Vec<(u64, u64)> {
        let items = &self.items;
        let runs = self.runs.get_or_insert_with(|| {
            let mut runs: Vec<(u64, u64)> = Vec::new();
            for &seq in items.keys() {
                match runs.last_mut() {
                    Some((_, last)) if last.checked_add(1) == Some(seq) => *last = seq,
                    _ => runs.push((seq, seq)),
                }
            }
            runs
        });
        runs.clone()
    }
}

/// What is ready and what is taken. Everything up to `loaded` is here or done; what lies between
/// `loaded` and `committed` is on file alone. A group is here as a whole or not at all.
#[derive(Debug)]
pub(super) struct Queue {
    ready: BTreeMap<u64, Item>,
    taken: InWork,
    taken_ids: HashMap<ReceiptId, u64>,
    /// By the place of their first receipt.
    groups: BTreeMap<u64, Group>,
    bytes: u64,
    limit: u64,
    loaded: u64,
    committed: u64,
    unshipped: u64,
    /// Those that are on file alone and will not be read before the file is read again.
    left: u64,
}

impl Queue {
    /// Nothing is in memory; on file are `unshipped` receipts, the last at `committed`.
    pub(super) fn new(limit: u64, committed: u64, unshipped: u64) -> Self {
        Self {
            ready: BTreeMap::new(),
            taken: InWork::default(),
            taken_ids: HashMap::new(),
            groups: BTreeMap::new(),
            bytes: 0,
            limit,
            loaded: if unshipped == 0 { committed } else { 0 },
            committed,
            unshipped,
            left: 0,
        }
    }

    /// A group that was just committed, in order, behind everything before. Kept only while
    /// nothing waits on file that comes first, and while there is room.
    pub(super) fn committed(&mut self, items: Vec<Item>, now: Tick) {
        let (Some(first), Some(last)) = (items.first(), items.last()) else {
            return;
        };
        let (first, last, count) = (first.seq, last.seq, items.len());
        let weight: u64 = items.iter().map(|item| item.weight).sum();
        let in_turn = self.loaded == self.committed;
        let fits = self.bytes == 0 || self.bytes.saturating_add(weight) <= self.limit;
        self.committed = last;
        self.unshipped = self.unshipped.saturating_add(length(count));
        if in_turn && fits {
            self.loaded = last;
            let done = Vec::new();
            self.groups.insert(first, Group { count, done });
            for item in items {
                self.insert(item, now);
            }
        }
    }

    /// Where to read on, if there is something on file and room for it.
    pub(super) fn wants_load(&self) -> Option<u64> {
        let room = self.ready.is_empty() || self.bytes < self.limit / 2;
        (self.loaded < self.committed && room).then_some(self.loaded)
    }

    /// Read from file, in order; nothing unshipped lies between them and up to `upto`, or up to
    /// the end if that is `None`.
    pub(super) fn load(&mut self, groups: Vec<Stored>, upto: Option<u64>, now: Tick) {
        self.loaded = upto.unwrap_or(self.committed);
        for stored in groups {
            // What is known here is newer than what the file says.
            let group = self.groups.entry(stored.first).or_insert(Group {
                count: stored.count,
                done: stored.done,
            });
            let done: HashSet<u64> = group.done.iter().copied().collect();
            for item in stored.items {
                let known = self.taken.items.contains_key(&item.seq)
                    || self.ready.contains_key(&item.seq)
                    || done.contains(&item.seq);
                if !known {
                    self.insert(item, now);
                }
            }
        }
    }

    /// Reads everything on file again, where `more` receipts have become unshipped. What is ready
    /// is read again too, so that the order stays.
    pub(super) fn reload(&mut self, more: u64) {
        self.unshipped = self.unshipped.saturating_add(more);
        if more > 0 {
            let ready: u64 = self.ready.values().map(|item| item.weight).sum();
            self.bytes = self.bytes.saturating_sub(ready);
            self.ready.clear();
            self.loaded = 0;
            self.unshipped = self.unshipped.saturating_add(self.left);
            self.left = 0;
            // What was done of them is to be offered again; what is in work still is.
            for group in self.groups.values_mut() {
                group.done.clear();
            }
        }
    }

    /// Moves the oldest to the taken; an item that a process died with goes alone.
    pub(super) fn take(&mut self, count: usize, bytes: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        let mut taken_bytes: u64 = 0;
        while let Some(first) = self.ready.first_entry() {
            let item = first.get();
            taken_bytes = taken_bytes.saturating_add(item.weight);
            let full = seqs.len() >= count.max(1) || taken_bytes > bytes;
            let alone = item.deaths > 0;
            if !seqs.is_empty() && (full || alone) {
                break;
            }
            let item = first.remove();
            seqs.push(item.seq);
            self.taken_ids.insert(item.receipt.id, item.seq);
            self.taken.insert(item);
            if alone {
                break;
            }
        }
        seqs
    }

    /// What is given out for these.
    pub(super) fn entries(&self, seqs: &[u64]) -> Vec<Entry> {
        seqs.iter()
            .filter_map(|seq| self.taken.items.get(seq))
            .map(Item::entry)
            .collect()
    }

    /// What is in work, as runs of places: the first and the last of each.
    pub(super) fn taken(&mut self) -> Vec<(u64, u64)> {
        self.taken.runs()
    }

    /// Those of `ids` that were taken are done: they are gone from here now.
    pub(super) fn finish(&mut self, ids: &[ReceiptId]) -> Finished {
        let mut finished = Finished::default();
        for item in self.remove_taken(ids) {
            self.bytes = self.bytes.saturating_sub(item.weight);
            self.unshipped = self.unshipped.saturating_sub(1);
            let Some((&first, group)) = self.groups.range_mut(..=item.seq).next_back() else {
                continue;
            };
            group.done.push(item.seq);
            if group.done.len() < group.count {
                finished.partly.insert(first, Vec::new());
            } else {
                finished.partly.remove(&first);
                finished.groups.push(first);
                self.groups.remove(&first);
            }
        }
        for (first, done) in &mut finished.partly {
            if let Some(group) = self.groups.get(first) {
                done.clone_from(&group.done);
            }
        }
        finished
    }

    /// Those of `ids` that were taken are ready again.
    pub(super) fn put_back(&mut self, ids: &[ReceiptId]) {
        let items = self.remove_taken(ids);
        self.ready
            .extend(items.into_iter().map(|item| (item.seq, item)));
    }

    /// Those of `ids` that were taken stay on file alone: nobody waits for them to be shipped, and
    /// they are not given out again.
    pub(super) fn leave(&mut self, ids: &[ReceiptId]) {
        for item in self.remove_taken(ids) {
            self.bytes = self.bytes.saturating_sub(item.weight);
            self.unshipped = self.unshipped.saturating_sub(1);
            self.left = self.left.saturating_add(1);
        }
    }

    /// The same for places.
    pub(super) fn put_back_seqs(&mut self, seqs: &[u64]) {
        for seq in seqs {
            if let Some(item) = self.taken.remove(*seq) {
                self.taken_ids.remove(&item.receipt.id);
                self.ready.insert(item.seq, item);
            }
        }
    }

    /// Receipts that are to be shipped, those that were left not counted.
    pub(super) fn unshipped(&self) -> u64 {
        self.unshipped
    }

    /// Receipts that were left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Receipts in memory, ready or taken.
    pub(super) fn in_memory(&self) -> usize {
        self.ready.len().saturating_add(self.taken.items.len())
    }

    /// The place of what was committed last.
    pub(super) fn committed_last(&self) -> u64 {
        self.committed
    }

    /// Whether nothing up to a place is still to be shipped.
    pub(super) fn is_shipped_up_to(&self, place: u64) -> bool {
        let begins_behind =
            |items: &BTreeMap<u64, Item>| items.keys().next().is_none_or(|first| *first > place);
        self.on_file_up_to(place) == 0
            && begins_behind(&self.ready)
            && begins_behind(&self.taken.items)
    }

    /// How many receipts up to a place are still to be shipped; of those on file alone all are
    /// counted, if any of them can be meant.
    pub(super) fn unshipped_up_to(&self, place: u64) -> u64 {
        let of = |items: &BTreeMap<u64, Item>| length(items.range(..=place).count());
        let here = of(&self.ready).saturating_add(of(&self.taken.items));
        here.saturating_add(self.on_file_up_to(place))
    }

    /// Of those on file alone all, if any of them can be meant.
    fn on_file_up_to(&self, place: u64) -> u64 {
        if self.loaded >= place {
            return 0;
        }
        self.unshipped.saturating_sub(length(self.in_memory()))
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the oldest that is here was accepted.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.first().map(|item| item.receipt.at)
    }

    /// Since when the oldest that is here has been here, whatever the clock was set to.
    pub(super) fn oldest_since(&self) -> Option<Tick> {
        self.first().map(|item| item.since)
    }

    fn first(&self) -> Option<&Item> {
        let ready = self.ready.values().next();
        let taken = self.taken.items.values().next();
        ready.into_iter().chain(taken).min_by_key(|item| item.seq)
    }

    fn insert(&mut self, mut item: Item, now: Tick) {
        item.since = now;
        self.bytes = self.bytes.saturating_add(item.weight);
        self.ready.insert(item.seq, item);
    }

    fn remove_taken(&mut self, ids: &[ReceiptId]) -> Vec<Item> {
        ids.iter()
            .filter_map(|id| self.taken_ids.remove(id))
            .filter_map(|seq| self.taken.remove(seq))
            .collect()
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
