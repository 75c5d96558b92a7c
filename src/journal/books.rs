//! Bookkeeping that waits to be written: what is in work, and what is done.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::queue::Finished;

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Books {
    waiting: Portion,
}

/// As much of it as one transaction writes.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// What is in work is to be noted anew.
    pub(super) noted: bool,
    /// Groups of which everything is done.
    pub(super) groups: Vec<u64>,
    /// Of groups of which something is done: all places that are.
    pub(super) partly: BTreeMap<u64, Vec<u64>>,
    answers: Vec<oneshot::Sender<()>>,
}

impl Books {
    /// Somebody waits until what is in work is noted.
    pub(super) fn taken(&mut self, answer: oneshot::Sender<()>) {
        self.waiting.noted = true;
        self.waiting.answers.push(answer);
    }

    /// What is in work has become less.
    pub(super) fn put_back(&mut self) {
        self.waiting.noted = true;
    }

    /// In the store now.
    pub(super) fn done(&mut self, finished: Finished) {
        let waiting = &mut self.waiting;
        waiting.noted = true;
        for group in finished.groups {
            waiting.partly.remove(&group);
            waiting.groups.push(group);
        }
        waiting.partly.extend(finished.partly);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it should not wait for the next arrival or tick: somebody waits, or it is much.
    pub(super) fn is_urgent(&self) -> bool {
        !self.waiting.answers.is_empty() || self.waiting.len() >= MUCH
    }

    /// All that somebody waits for, and at most `most` groups.
    pub(super) fn portion(&mut self, most: usize) -> Portion {
        let mut portion = std::mem::take(&mut self.waiting);
        if portion.groups.len() > most {
            self.waiting.groups = portion.groups.split_off(most);
        }
        portion
    }

    /// This could not be written now.
    pub(super) fn again(&mut self, portion: Portion) {
        let newer = std::mem::replace(&mut self.waiting, portion);
        let waiting = &mut self.waiting;
        waiting.answers.clear();
        waiting.noted |= newer.noted;
        for group in &newer.groups {
            waiting.partly.remove(group);
        }
        waiting.groups.extend(newer.groups);
        waiting.partly.extend(newer.partly);
        waiting.answers.extend(newer.answers);
    }
}

impl Portion {
    pub(super) fn is_empty(&self) -> bool {
        !self.noted && self.len() == 0
    }

    /// Groups that it says something of.
    pub(super) fn len(&self) -> usize {
        self.groups.len().saturating_add(self.partly.len())
    }

    /// Lets those go on who wait. Also where the notes could not be written: that entries reach
    /// the store matters more than how often they were tried.
    pub(super) fn answer(&mut self) {
        for answer in self.answers.drain(..) {
            answer.send(()).ok();
        }
    }
}

/// Groups whose bookkeeping has a transaction of its own.
const MUCH: usize = 64;
