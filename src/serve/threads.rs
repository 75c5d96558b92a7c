//! Two sets of threads: one for the API, one for everything else.
//!
//! A check is answered from memory in microseconds; what it waits for is a thread, and then a
//! processor. So it shares no thread with those who have much to do, the doors and the pipeline,
//! and their threads ask the system for a smaller share of processors that are busy: what they do
//! is of the same use some milliseconds later, and when nobody else wants a processor they lose
//! nothing.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The server's runtimes. When dropped, their threads end by themselves; nobody waits.
#[derive(Debug)]
pub(super) struct Threads {
    api: Own,
    work: Own,
}

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
struct Own {
    handle: Handle,
    runtime: Option<Runtime>,
}

/// How much nicer than the process the working threads are: a tenth of the weight of the others.
const NICER: i32 = 10;

impl Threads {
    /// Each with as many threads as there are processors. Threads inherit: called by one that has
    /// the priority of the process.
    pub(super) fn start() -> io::Result<Self> {
        let named = |name: &str| {
            let mut builder = Builder::new_multi_thread();
            builder.enable_all().thread_name(name);
            builder
        };
        Ok(Self {
            api: named("desist-api").build()?.into(),
            work: named("desist-work")
                .on_thread_start(give_way)
                .build()?
                .into(),
        })
    }

    /// For the API.
    pub(super) const fn api(&self) -> &Handle {
        &self.api.handle
    }

    /// For doors, journal, pipeline, follower and retention. The threads of the engines inherit
    /// the priority.
    pub(super) const fn work(&self) -> &Handle {
        &self.work.handle
    }
}

impl From<Runtime> for Own {
    fn from(runtime: Runtime) -> Self {
        Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // To wait for the threads is forbidden among tasks, and nothing runs on them any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux niceness is that of one thread, and anybody may add to it. Elsewhere it would be that
/// of the whole process.
fn give_way() {
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(NICER)
    {
        tracing::warn!(%error, "a thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn working_threads_give_way_to_those_of_the_api() {
        let threads = Threads::start().unwrap();
        let on = async |runtime: &Handle| {
            let task = runtime.spawn(async { niceness() }).await.unwrap();
            let blocking = runtime.spawn_blocking(niceness).await.unwrap();
            // As the engines start theirs.
            let inherited = runtime.spawn(async { std::thread::spawn(niceness).join() });
            [task, blocking, inherited.await.unwrap().unwrap()]
        };
        let here = niceness();
        assert_eq!(on(threads.api()).await, [here; 3]);
        let nicer = if cfg!(target_os = "linux") { NICER } else { 0 };
        assert_eq!(on(threads.work()).await, [(here + nicer).min(19); 3]);
    }
}
