//! Layer 6: builds everything and runs it: the one place where the parts meet.
//!
//! Two sets of threads, of which one is the API's alone. Start: the journal; then the keys, from the store or, while the database is away, from the
//! journal's mirror; then the doors; then what is behind them. Stop: the doors first, then what is
//! behind.

#[cfg(feature = "acme")]
mod acme;
mod announce;
mod descriptors;
mod doors;
mod interior;
mod notify;
mod passed;
mod threads;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::app::App;
use crate::app::reception::{Parts, Reception};
use crate::config::{self, Config};
use crate::index::Index;
use crate::journal::{Journal, JournalError};
use crate::metrics::Metrics;
use crate::model::clock::Clock;
use crate::net::certificate::CertificateError;
use crate::net::stop::Stop;
use crate::smtp::recipients::Served;
use crate::store::StoreError;
use crate::token::keyring::Keyring;
use crate::traces::{StartError, Traces};
pub use announce::Announcer;
use doors::Bound;
pub(crate) use interior::{EPOCH_FILE, IMAGE_FILE};
use interior::{Interior, Opened};
use notify::Manager;
pub use passed::Passed;
use threads::Threads;

/// A running server.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    reception: Reception,
    journal: Journal,
    traces: Traces,
    app: Arc<OnceLock<App>>,
    ready: watch::Receiver<bool>,
    data_dir: PathBuf,
    doors: Stop,
    behind: Stop,
    /// What all of it runs on.
    _threads: Threads,
}

/// The real addresses of the listeners: port 0 has become a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listening {
    /// The MX.
    pub smtp: Vec<SocketAddr>,
    /// The one-click door.
    pub public: Vec<SocketAddr>,
    /// The private API.
    pub api: Vec<SocketAddr>,
    /// The listener for mail servers; often none.
    pub lookup: Vec<SocketAddr>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A folder or file cannot be used.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {listener}: {source}")]
    Listen {
        /// `smtp`, `public`, `api` or `lookup`.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A socket that the service manager passed cannot be used.
    #[error("a socket of the service manager: {0}")]
    Passed(String),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A certificate cannot be used.
    #[error("certificate of the {listener} listener, {files}")]
    Certificate {
        /// `smtp` or `public`.
        listener: &'static str,
        /// The files that it was to come from.
        files: String,
        /// Why not.
        source: Box<CertificateError>,
    },
    /// The operator's templates of the page cannot be used: what is wrong, a line each.
    #[error("public.templates: {0}")]
    Templates(String),
    /// The operating system gives no threads, or one ended by itself.
    #[error("threads: {0}")]
    Threads(std::io::Error),
    /// The operating system gives no random bytes.
    #[error("no randomness: {0}")]
    Randomness(getrandom::Error),
    /// Spans cannot be sent.
    #[error(transparent)]
    Traces(#[from] StartError),
}

/// The file in the data folder that holds the addresses listened on.
pub const LISTENING_FILE: &str = "listening";
/// The file in the data folder that holds this node's admin key.
pub const ADMIN_KEY_FILE: &str = "admin.key";

/// How long sessions may finish after a stop was asked for.
const GRACE: Duration = Duration::from_secs(20);
/// How long the pipeline may finish its batch after the doors have closed.
const GRACE_BEHIND: Duration = Duration::from_secs(5);
/// How long the collector of spans may take what is left, last of all.
const GRACE_SPANS: Duration = Duration::from_secs(5);

impl Server {
    /// Starts. When it returns, the doors are open; the API follows when the index is filled, see
    /// [`Server::ready`].
    /// It runs on threads of its own.
    pub async fn start(config: Config, announcer: Announcer) -> Result<Self, ServeError> {
        Self::start_with(config, announcer, Passed::nothing()).await
    }

    /// [`Server::start`] that takes over what was passed instead of binding it.
    pub async fn start_with(
        config: Config,
        announcer: Announcer,
        passed: Passed,
    ) -> Result<Self, ServeError> {
        let threads = Threads::start().map_err(ServeError::Threads)?;
        let work = threads.work().clone();
        let starting = work.spawn(Self::start_on(threads, config, announcer, passed));
        let started = AbortOnDropHandle::new(starting).await;
        started.map_err(|error| ServeError::Threads(error.into()))?
    }

    async fn start_on(
        threads: Threads,
        config: Config,
        announcer: Announcer,
        passed: Passed,
    ) -> Result<Self, ServeError> {
        let (clock, metrics) = (Clock::system(), Metrics::default());
        let traces = Traces::start(config.collector(), &metrics, &clock)?;
        make_folder(&config.data_dir)?;
        let journal = Journal::open_with(
            &config.data_file("journal.sqlite"),
            config.journal_config(),
            clock.clone(),
            metrics.clone(),
        )
        .await?;
        let config = Arc::new(config);
        let interior = Interior {
            config: Arc::clone(&config),
            journal: journal.clone(),
            index: Arc::new(Index::default()),
            clock,
            metrics,
            traces: traces.clone(),
        };
        let opened = interior.open().await?;
        let reception = interior.reception(&opened);
        let bound = Bound::bind(&config, threads.api(), passed).await?;
        let listening = bound.listening()?;
        announce::write_file(&config.data_file(LISTENING_FILE), &listening)?;
        let (doors, behind) = (Stop::new(), Stop::new());
        let opened_doors = bound.open(&interior, &reception, &doors)?;
        announcer.doors(&listening);

        let of_the_api = doors.on(threads.api());
        let app = Arc::new(OnceLock::new());
        #[cfg(feature = "acme")]
        acme::keep(&interior, opened_doors.certified, &app, &doors);
        #[cfg(not(feature = "acme"))]
        drop(opened_doors.certified);
        let (ready_in, ready) = watch::channel(false);
        let server = Self {
            listening: listening.clone(),
            reception: reception.clone(),
            journal,
            traces,
            app: Arc::clone(&app),
            ready,
            data_dir: config.data_dir.clone(),
            doors,
            behind: behind.clone(),
            _threads: threads,
        };
        let task = interior.run(interior::Running {
            store: opened.store,
            reception,
            listening,
            api: opened_doors.api,
            app,
            ready: ready_in,
            announcer,
            of_the_api,
            behind: behind.clone(),
        });
        behind.spawn(task);
        Ok(server)
    }

    /// Where it listens.
    pub const fn listening(&self) -> &Listening {
        &self.listening
    }

    /// What the doors accept by.
    pub const fn reception(&self) -> &Reception {
        &self.reception
    }

    /// What the API works with, once the store is there.
    pub fn app(&self) -> Option<&App> {
        self.app.get()
    }

    /// The folder of the journal, self-made certificates and keys.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Waits until the index is filled and the API answers; `false` if the server ends before.
    pub async fn ready(&self) -> bool {
        let mut ready = self.ready.clone();
        let result = ready.wait_for(|ready| *ready).await;
        result.is_ok()
    }

    /// Waits until all that was accepted before is stored and in the index.
    pub async fn settled(&self) {
        let Some(app) = self.app() else { return };
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            look.tick().await;
            if self.journal.status().unshipped > 0 {
                continue;
            }
            if let Ok(head) = app.store.head().await
                && app.follower.reach(head.seq, Duration::from_secs(1)).await
            {
                return;
            }
        }
    }

    /// Stops: no new sessions, those at hand finish, what is accepted is kept.
    pub async fn stop(self) {
        self.doors.finish(GRACE).await;
        self.behind.finish(GRACE_BEHIND).await;
        self.journal.close().await;
        if let Some(app) = self.app.get() {
            app.store.close().await;
        }
        self.traces.close(GRACE_SPANS).await;
    }
}

impl Interior {
    fn reception(&self, opened: &Opened) -> Reception {
        let directory = opened.directory.clone();
        Reception::new(Parts {
            journal: self.journal.clone(),
            index: Arc::clone(&self.index),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            served: Served {
                domains: self.config.domains(),
                keyring: Keyring::new(&directory),
                directory: Arc::new(directory),
                current: opened.store.is_some(),
            },
            token_receipts_per_hour: self
                .config
                .limits
                .token_receipts_per_hour
                .limit()
                .unwrap_or(0),
            policy: interior::policy(&self.config),
        })
    }
}

/// Makes the data folder, for this user only.
fn make_folder(path: &Path) -> Result<(), ServeError> {
    let failed = |source| ServeError::File {
        what: "make the folder",
        path: path.to_owned(),
        source,
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)
}

/// Serves until a signal asks to stop; a second one does not wait. A service manager that asked for
/// it (`NOTIFY_SOCKET`) is told when the doors are open and when they close; the listeners that it
/// has passed are taken over.
pub async fn run(config: Config, passed: Passed) -> Result<(), ServeError> {
    let mut environment = config::environment();
    let socket = environment.find(|(name, _)| name == "NOTIFY_SOCKET");
    let manager = Manager::at(socket.map(|(_, socket)| socket.into()));
    // One listener for all of it: a signal that comes as the start ends must not be lost.
    let mut signals = Signals::new();
    let server = tokio::select! {
        biased;
        () = signals.next() => return Ok(()),
        started = Server::start_with(config, Announcer::standard_output(), passed) => started?,
    };
    manager.ready();
    signals.next().await;
    manager.stopping();
    tracing::info!("stopping: sessions at hand may finish");
    let (doors, behind) = (server.doors.clone(), server.behind.clone());
    let stopping = server.stop();
    tokio::pin!(stopping);
    tokio::select! {
        () = &mut stopping => return Ok(()),
        () = signals.next() => {}
    }
    tracing::warn!("a second signal: sessions at hand are cut; what was acknowledged is on disk");
    doors.hard().cancel();
    behind.hard().cancel();
    stopping.await;
    Ok(())
}

/// SIGINT and SIGTERM, from when this was made.
#[derive(Debug)]
struct Signals(Option<[Signal; 2]>);

impl Signals {
    fn new() -> Self {
        let both = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Self(match both {
            [Ok(interrupt), Ok(terminate)] => Some([interrupt, terminate]),
            // Without a handler the signal ends the process, which is what was asked for.
            _ => None,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        let Some([interrupt, terminate]) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Waits for SIGINT or SIGTERM.
pub async fn interrupted() {
    Signals::new().next().await;
}
