//! The reading side in memory: what is committed and not yet done, as far as it fits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Entry;
use crate::model::clock::Timestamp;
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
            weight,
        }
    }

    pub(super) fn after_deaths(self, deaths: u32) -> Self {
        Self { deaths, ..self }
    }

    fn entry(&self) -> Entry {
        Entry {
            receipt: self.receipt.clone(),
            raw: Arc::clone(&self.raw),
            attempts: self.deaths.saturating_add(1),
        }
    }
}

/// What is ready and what is taken. Everything up to `loaded` is here or done; what lies between
/// `loaded` and `committed` is on file alone.
#[derive(Debug)]
pub(super) struct Queue {
    ready: BTreeMap<u64, Item>,
    taken: BTreeMap<u64, Item>,
    taken_ids: HashMap<ReceiptId, u64>,
    bytes: u64,
    limit: u64,
    loaded: u64,
    committed: u64,
    unshipped: u64,
}

impl Queue {
    /// Nothing is in memory; on file are `unshipped` receipts, the last at `committed`.
    pub(super) fn new(limit: u64, committed: u64, unshipped: u64) -> Self {
        Self {
            ready: BTreeMap::new(),
            taken: BTreeMap::new(),
            taken_ids: HashMap::new(),
            bytes: 0,
            limit,
            loaded: if unshipped == 0 { committed } else { 0 },
            committed,
            unshipped,
        }
    }

    /// Just committed, in order, behind everything before. Kept only while nothing waits on file
    /// that comes first, and while there is room.
    pub(super) fn committed(&mut self, items: Vec<Item>) {
        for item in items {
            let in_turn = self.loaded == self.committed;
            let fits = self.bytes == 0 || self.bytes.saturating_add(item.weight) <= self.limit;
            self.committed = item.seq;
            self.unshipped = self.unshipped.saturating_add(1);
            if in_turn && fits {
                self.loaded = item.seq;
                self.insert(item);
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
    pub(super) fn load(&mut self, items: Vec<Item>, upto: Option<u64>) {
        self.loaded = upto.unwrap_or(self.committed);
        for item in items {
            if !self.taken.contains_key(&item.seq) && !self.ready.contains_key(&item.seq) {
                self.insert(item);
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
            self.taken.insert(item.seq, item);
            if alone {
                break;
            }
        }
        seqs
    }

    /// What is given out for these.
    pub(super) fn entries(&self, seqs: &[u64]) -> Vec<Entry> {
        seqs.iter()
            .filter_map(|seq| self.taken.get(seq))
            .map(Item::entry)
            .collect()
    }

    /// The places of those of `ids` that were taken; they are gone from here now.
    pub(super) fn finish(&mut self, ids: &[ReceiptId]) -> Vec<u64> {
        let items = self.remove_taken(ids);
        for item in &items {
            self.bytes = self.bytes.saturating_sub(item.weight);
            self.unshipped = self.unshipped.saturating_sub(1);
        }
        items.iter().map(|item| item.seq).collect()
    }

    /// The places of those of `ids` that were taken; they are ready again.
    pub(super) fn put_back(&mut self, ids: &[ReceiptId]) -> Vec<u64> {
        let items = self.remove_taken(ids);
        let seqs = items.iter().map(|item| item.seq).collect();
        self.ready
            .extend(items.into_iter().map(|item| (item.seq, item)));
        seqs
    }

    /// The same for places.
    pub(super) fn put_back_seqs(&mut self, seqs: &[u64]) {
        for seq in seqs {
            if let Some(item) = self.taken.remove(seq) {
                self.taken_ids.remove(&item.receipt.id);
                self.ready.insert(item.seq, item);
            }
        }
    }

    pub(super) fn unshipped(&self) -> u64 {
        self.unshipped
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the oldest that is here was accepted.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let ready = self.ready.first_key_value();
        let taken = self.taken.first_key_value();
        ready
            .into_iter()
            .chain(taken)
            .min_by_key(|(seq, _)| **seq)
            .map(|(_, item)| item.receipt.at)
    }

    fn insert(&mut self, item: Item) {
        self.bytes = self.bytes.saturating_add(item.weight);
        self.ready.insert(item.seq, item);
    }

    fn remove_taken(&mut self, ids: &[ReceiptId]) -> Vec<Item> {
        ids.iter()
            .filter_map(|id| self.taken_ids.remove(id))
            .filter_map(|seq| self.taken.remove(&seq))
            .collect()
    }
}
