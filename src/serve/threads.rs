//! Two sets of threads: one for the API, one for everything else.
//!
//! A check is answered from memory in microseconds; what it waits for is a thread. So it shares
//! none with those who have much to do, the doors and the pipeline.
//!
//! All have the priority of the process. With working threads that are nicer checks wait still less,
//! but beside other busy processes the doors then hardly work, and a stop does not end in time.

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

impl Threads {
    /// Each with as many threads as there are processors.
    pub(super) fn start() -> io::Result<Self> {
        let named = |name: &str| {
            let mut builder = Builder::new_multi_thread();
            builder.enable_all().thread_name(name);
            builder
        };
        Ok(Self {
            api: named("desist-api").build()?.into(),
            work: named("desist-work").build()?.into(),
        })
    }

    /// For the API.
    pub(super) const fn api(&self) -> &Handle {
        &self.api.handle
    }

    /// For doors, journal, pipeline, follower and retention.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_api_shares_no_thread() {
        let threads = Threads::start().unwrap();
        let name = || std::thread::current().name().map(str::to_owned);
        for (runtime, expected) in [
            (threads.api(), "desist-api"),
            (threads.work(), "desist-work"),
        ] {
            let task = runtime.spawn(async move { name() }).await.unwrap();
            let blocking = runtime.spawn_blocking(name).await.unwrap();
            assert_eq!([task.as_deref(), blocking.as_deref()], [Some(expected); 2]);
        }
    }
}
