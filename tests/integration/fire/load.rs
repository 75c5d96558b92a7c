//! Clients of all doors at once, which go on through whatever happens to the server and note what
//! they were promised.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use desist::model::clock::{Clock, Tick};
use serde_json::Value;

use super::clients::{check, click, complain, read, write_by_hand};
use super::ledger::{Act, Item, Ledger};
use crate::harness::{PATIENCE, Running};

/// Clients that complain, each in a session of its own.
const COMPLAINERS: usize = 3;
/// Clients that click, each with connections of its own.
const CLICKERS: usize = 2;
/// How long a client whose server is away waits before it tries again.
const AGAIN: Duration = Duration::from_millis(20);

/// A load that runs until [`Load::end`].
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<Reading>>,
}

/// How far the clients have come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Complaints and clicks that were acknowledged.
    pub(super) doors: usize,
    /// Calls of the API that wrote and were answered so.
    pub(super) writes: usize,
    /// Checks that were answered.
    pub(super) checks: usize,
    /// The longest of them.
    pub(super) slowest_check: Duration,
    /// Checks that were not answered, or not with 200.
    pub(super) unchecked: usize,
    /// The `as_of` of the last check.
    pub(super) as_of: String,
    /// Complaints and clicks that were refused.
    pub(super) refused: usize,
    /// What was said to them, of the last thousand.
    pub(super) refusals: VecDeque<String>,
}

/// What one reader of a feed was given, in that order.
#[derive(Debug)]
pub(super) struct Reading {
    /// Who it was.
    pub(super) reader: String,
    /// `changes` or `events`.
    pub(super) feed: &'static str,
    /// What it was given.
    pub(super) items: Vec<Value>,
}

/// Everything that the clients know in the end.
pub(super) struct Known {
    pub(super) ledger: Ledger,
    pub(super) readings: Vec<Reading>,
    pub(super) progress: Progress,
}

/// Where the server is now.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) smtp: SocketAddr,
    pub(super) public: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) key: String,
    /// Another number for each process.
    pub(super) process: u32,
}

#[derive(Default)]
pub(super) struct State {
    targets: Vec<Target>,
    pub(super) progress: Progress,
    pub(super) ledger: Ledger,
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) moved: Condvar,
    /// Nobody begins anything new.
    over: AtomicBool,
    /// Readers stop where there is nothing more.
    pub(super) complete: AtomicBool,
    /// Nobody wants to know what they have read: the server may be gone.
    pub(super) abandoned: AtomicBool,
}

/// What came of sending an item.
pub(super) enum Outcome {
    /// The server has promised.
    Acknowledged,
    /// The server has said that it will not.
    Refused(String),
    /// It was sent and never answered.
    Unanswered,
    /// It cannot have arrived whole.
    Unsent,
}

impl Load {
    /// Begins against this server.
    pub(super) fn start(running: &Running) -> Self {
        Self::on_nodes(&[running])
    }

    /// Begins against these nodes of one store, each client on one of them.
    pub(super) fn on_nodes(nodes: &[&Running]) -> Self {
        let shared = Arc::new(Shared::default());
        shared.aim(nodes);
        let mut clients: Vec<JoinHandle<()>> = Vec::new();
        let mut client = |work: fn(&Shared, usize)| {
            let (shared, number) = (Arc::clone(&shared), clients.len());
            clients.push(std::thread::spawn(move || work(&shared, number)));
        };
        (0..COMPLAINERS).for_each(|_| client(complain));
        (0..CLICKERS).for_each(|_| client(click));
        client(write_by_hand);
        client(check);
        let readers = [("changes", 0), ("changes", 2), ("events", 2)];
        let readers = readers
            .into_iter()
            .enumerate()
            .map(|(number, (feed, wait))| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || read(&shared, number, feed, wait))
            });
        let readers = readers.collect();
        Self {
            shared,
            clients,
            readers,
        }
    }

    /// The server is here from now on.
    pub(super) fn aim(&self, nodes: &[&Running]) {
        self.shared.aim(nodes);
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        self.shared.state().progress.clone()
    }

    /// Waits until the clients are as far as that.
    pub(super) fn wait(&self, what: &str, mut enough: impl FnMut(&Progress) -> bool) -> Progress {
        let clock = Clock::system();
        let mut state = self.shared.state();
        while !enough(&state.progress) {
            let left = Tick::default().after(PATIENCE).since(clock.tick());
            assert!(!left.is_zero(), "{what}: {:?}", state.progress);
            state = self.shared.moved.wait_timeout(state, left).unwrap().0;
        }
        state.progress.clone()
    }

    /// Waits until so many more complaints and clicks are acknowledged, and checks answered.
    pub(super) fn goes_on(&self, what: &str, more: usize) -> Progress {
        let before = self.progress();
        self.wait(what, |now| {
            now.doors >= before.doors + more && now.checks >= before.checks + more / 10
        })
    }

    /// Somebody else has sent an item whole and will never know what came of it.
    pub(super) fn doubtful(&self, act: Act, item: &Item) {
        self.shared.state().ledger.doubtful(act, item);
    }

    /// Lets the clients come to an end at the server that runs now, and everything arrive; then
    /// says what they know.
    pub(super) fn end(self, running: &Running) -> Known {
        self.end_on(&[running])
    }

    /// [`Load::end`] at these nodes.
    pub(super) fn end_on(mut self, nodes: &[&Running]) -> Known {
        self.shared.over.store(true, Ordering::SeqCst);
        for client in std::mem::take(&mut self.clients) {
            client.join().unwrap();
        }
        for node in nodes {
            node.drained();
        }
        self.shared.complete.store(true, Ordering::SeqCst);
        let readings = std::mem::take(&mut self.readers).into_iter();
        let readings = readings.map(|reader| reader.join().unwrap()).collect();
        let mut state = self.shared.state();
        let State {
            ledger, progress, ..
        } = std::mem::take(&mut *state);
        Known {
            ledger,
            readings,
            progress,
        }
    }
}

/// A load that is not ended, because a test does not ask what became of it or has failed, would take
/// the processors from all other tests.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.abandoned.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn aim(&self, nodes: &[&Running]) {
        let targets = nodes.iter().map(|running| Target {
            smtp: running.smtp,
            public: running.public,
            api: running.api,
            key: running.key.clone(),
            process: running.pid(),
        });
        self.state().targets = targets.collect();
        self.moved.notify_all();
    }

    pub(super) fn target(&self, client: usize) -> Target {
        let targets = &self.state().targets;
        targets[client % targets.len()].clone()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits until somebody has come further, a moment at most.
    pub(super) fn pause(&self) {
        drop(self.moved.wait_timeout(self.state(), AGAIN).unwrap());
    }

    pub(super) fn note(&self, outcome: &Outcome, act: Act, items: &[Item]) {
        let mut state = self.state();
        for item in items {
            match outcome {
                Outcome::Acknowledged => state.ledger.certain(act, item),
                Outcome::Unanswered => state.ledger.doubtful(act, item),
                Outcome::Refused(_) | Outcome::Unsent => {}
            }
        }
        let progress = &mut state.progress;
        match outcome {
            Outcome::Acknowledged if matches!(act, Act::Complaint | Act::Click) => {
                progress.doors += items.len();
            }
            Outcome::Acknowledged => progress.writes += 1,
            Outcome::Refused(reply) => {
                progress.refused += 1;
                progress.refusals.push_back(reply.clone());
                if progress.refusals.len() > 1000 {
                    progress.refusals.pop_front();
                }
            }
            Outcome::Unanswered | Outcome::Unsent => {}
        }
        drop(state);
        self.moved.notify_all();
    }
}
