//! The orderly stop: soft first, hard when time is up, and nothing runs untracked.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::woken::Woken;

/// Spawns every task of the server and ends them. Cheap to clone; clones are the same stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    /// Where tasks run, if not where they are spawned.
    runtime: Option<Handle>,
}

impl Stop {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same stop, whose tasks run on that runtime.
    #[must_use]
    pub fn on(&self, runtime: &Handle) -> Self {
        Self {
            runtime: Some(runtime.clone()),
            ..self.clone()
        }
    }

    /// Runs a task that the stop waits for. It ends by itself on [`Stop::soft`]; on
    /// [`Stop::hard`] it is dropped where it stands. If it panics, that is logged and ends this
    /// task alone.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = Woken::new(Box::pin(self.hard.clone().cancelled_owned()));
        let task = async move {
            tokio::select! {
                biased;
                () = hard => {}
                _ = contain(task) => {}
            }
        };
        match &self.runtime {
            Some(runtime) => self.tasks.spawn_on(task, runtime),
            None => self.tasks.spawn(task),
        };
    }

    /// Cancelled when no new work is to be begun.
    pub const fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when running work is to be abandoned.
    pub const fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Asks every task to end by itself.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Asks every task to end by itself, drops those that still run after `grace`, and returns
    /// when none is left. `true` if none had to be dropped.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.begin();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return true;
        }
        tracing::warn!(
            tasks = self.tasks.len(),
            "abandoning what did not end in time"
        );
        self.hard.cancel();
        self.tasks.wait().await;
        false
    }
}

/// Awaits a future; if it panics, logs that and gives `None`. What the panic says is not logged
/// here: it may quote what a peer sent.
pub async fn contain<F: Future>(task: F) -> Option<F::Output> {
    let mut task = pin!(task);
    let outcome = poll_fn(|context| {
        // The future is never polled again after a panic, so no broken state of it is seen; what
        // it shares with others is behind locks that recover.
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Err(_panic) => Poll::Ready(None),
        }
    })
    .await;
    if outcome.is_none() {
        tracing::error!("a task panicked; it was ended and the others go on");
    }
    outcome
}
