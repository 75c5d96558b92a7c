//! Bookkeeping that waits to be written: what is taken, put back and done.

use tokio::sync::oneshot;

use super::sql::stored;

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Books {
    waiting: Portion,
}

/// As much of it as one transaction writes.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) put_back: Vec<i64>,
    pub(super) taken: Vec<i64>,
    pub(super) done: Vec<i64>,
    answers: Vec<oneshot::Sender<()>>,
}

impl Books {
    /// To be given out once it is noted.
    pub(super) fn taken(&mut self, seqs: Vec<u64>, answer: oneshot::Sender<()>) {
        self.waiting.taken.extend(seqs.into_iter().map(stored));
        self.waiting.answers.push(answer);
    }

    pub(super) fn done(&mut self, seqs: Vec<u64>) {
        self.waiting.done.extend(seqs.into_iter().map(stored));
    }

    pub(super) fn put_back(&mut self, seqs: Vec<u64>) {
        self.waiting.put_back.extend(seqs.into_iter().map(stored));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All that somebody waits for or whose order matters, and the oldest `count` of the done.
    pub(super) fn portion(&mut self, count: usize) -> Portion {
        let mut portion = std::mem::take(&mut self.waiting);
        if portion.done.len() > count {
            self.waiting.done = portion.done.split_off(count);
        }
        portion
    }

    /// This could not be written now.
    pub(super) fn again(&mut self, mut portion: Portion) {
        portion.answers.clear();
        portion.put_back.append(&mut self.waiting.put_back);
        portion.taken.append(&mut self.waiting.taken);
        portion.done.append(&mut self.waiting.done);
        portion.answers.append(&mut self.waiting.answers);
        self.waiting = portion;
    }
}

impl Portion {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.answers.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.put_back
            .len()
            .saturating_add(self.taken.len())
            .saturating_add(self.done.len())
    }

    /// Lets those go on who wait. Also where the notes could not be written: that entries reach
    /// the store matters more than how often they were tried.
    pub(super) fn answer(&mut self) {
        for answer in self.answers.drain(..) {
            answer.send(()).ok();
        }
    }
}
