//! Whether the pipeline reads while it records.
//!
//! Where the store is in this process, two of the pipeline's threads at work at the same time take
//! most of two processors from the doors, whose peers wait: then it does one after the other. More
//! processors have room for both; of a database server little more than waiting is done here.

use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::store::Store;

/// Processors on which reading and recording take turns, at most.
const FEW: usize = 2;

/// Who may work now.
#[derive(Debug)]
pub(super) struct Turns(Option<Semaphore>);

impl Turns {
    /// For a store on this machine.
    pub(super) fn of(store: &Store) -> Self {
        // Unknown is few.
        let processors = available_parallelism().map_or(1, NonZero::get);
        let take_turns = store.is_in_process() && processors <= FEW;
        Self(take_turns.then(|| Semaphore::new(1)))
    }

    /// Waits for one's turn, which lasts until what is returned is dropped.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.as_ref()?.acquire().await.ok()
    }
}
