//! HTTP/1.1 and HTTP/2 on accepted connections, within limits of time, size and number. Shared by
//! the public and the private listener.

pub mod body;
mod routes;
mod stream;
pub mod timer;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use self::body::{Counted, Timed};
use self::stream::Unstalled;
use self::timer::Kept;
use crate::net::accept::{self, Sessions};
use crate::net::proxies::Entrance;
use crate::net::stop::{Stop, contain};
use crate::net::tls::{Handshakes, Tls};
use crate::net::woken::Woken;

pub use self::routes::{Answer, Answering, Routes, Shortcut};

/// What one connection may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the end of one HTTP/1 request (or the beginning) to the end of the next one's head
    /// (15 s); HTTP/2 pings as often and waits as long for the answer.
    pub head_time: Duration,
    /// Octets of a request's head (16 KiB, at least 8 KiB): `431` beyond it.
    pub head_bytes: u32,
    /// Fields of an HTTP/1 request's head (64).
    pub head_fields: usize,
    /// HTTP/2 requests at a time (32).
    pub streams: u32,
    /// Without any request, between once and twice this, until the connection is closed (60 s).
    pub idle: Duration,
    /// Age at which a connection is closed after its requests at hand, so that nobody keeps a
    /// session by never reading an answer; `None` where the clients are known (public: 10 min).
    pub age: Option<Duration>,
    /// For the requests at hand of a connection that is closed for its idleness or age (30 s).
    pub drain: Duration,
    /// Without the peer taking a byte that waits for it (30 s).
    pub write_stall: Duration,
    /// Whether a peer that sends need not take anything meanwhile (private): the one who writes a
    /// long body to its end before it reads the answer.
    pub reading_excuses: bool,
    /// Without a byte of a body that a handler waits for (10 s).
    pub body_stall: Duration,
    /// For a whole body; `None` where bodies may be of any length (public: 30 s).
    pub body_time: Option<Duration>,
}

impl Limits {
    /// For anybody in the world.
    pub const PUBLIC: Self = Self {
        head_time: Duration::from_secs(15),
        head_bytes: 16 * 1024,
        head_fields: 64,
        streams: 32,
        idle: Duration::from_mins(1),
        age: Some(Duration::from_mins(10)),
        drain: Duration::from_secs(30),
        write_stall: Duration::from_secs(30),
        reading_excuses: false,
        body_stall: Duration::from_secs(10),
        body_time: Some(Duration::from_secs(30)),
    };

    /// For the operator's own systems, which stream without end.
    pub const PRIVATE: Self = Self {
        age: None,
        body_time: None,
        reading_excuses: true,
        ..Self::PUBLIC
    };
}

/// Octets of bodies that an HTTP/2 peer may send ahead of the handler: for one request, and for
/// the connection.
const WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);

/// The least that hyper accepts as its buffer.
const LEAST_HEAD_BYTES: u32 = 8 * 1024;

/// What listens: routes, limits, TLS if any. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    /// What answers. Every request carries [`ConnectInfo`] with the peer's address.
    pub router: Routes,
    /// What one connection may cost.
    pub limits: Limits,
    /// How TLS is spoken; `None` for plain text.
    pub tls: Option<(Tls, Handshakes)>,
    /// Runs and ends the connections.
    pub stop: Stop,
}

impl Server {
    /// Accepts connections until the soft stop; beyond the limit of sessions they are closed.
    pub async fn listen(self, entrance: impl Into<Entrance>, sessions: impl Into<Sessions>) {
        let stop = self.stop.clone();
        let server = Arc::new(self);
        let handler = move |stream, peer| Arc::clone(&server).accepted(stream, peer);
        accept::run(entrance, sessions, &stop, b"", handler).await;
    }

    async fn accepted(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Some((tls, handshakes)) = &self.tls else {
            return self.serve(stream, peer).await;
        };
        let shaken = tokio::select! {
            () = self.stop.soft().cancelled() => return,
            shaken = handshakes.accept(tls, stream, peer.ip()) => shaken,
        };
        match shaken {
            Ok(stream) => self.serve(stream, peer).await,
            Err(error) => tracing::debug!(%error, "no TLS connection"),
        }
    }

    /// Serves one connection to its end: until the peer closes, breaks a limit or, on the soft
    /// stop, its requests at hand are answered.
    pub async fn serve<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let builder = self.builder();
        let io = TokioIo::new(Unstalled::new(
            stream,
            self.limits.write_stall,
            self.limits.reading_excuses,
        ));
        let service = service_fn(|request| self.respond(request, peer, &activity));
        let mut connection = pin!(builder.serve_connection(io, service));
        let stopping = pin!(self.stop.soft().cancelled());
        let outlived = pin!(self.outlived(&activity));
        // How a connection ends concerns nobody but its peer: errors are those of any network.
        let drain = tokio::select! {
            _ended = connection.as_mut() => return,
            () = Woken::new(stopping) => None,
            () = Woken::new(outlived) => Some(self.limits.drain),
        };
        connection.as_mut().graceful_shutdown();
        match drain {
            // The stop itself says when the time is up.
            None => drop(connection.await),
            Some(drain) => drop(tokio::time::timeout(drain, connection).await),
        }
    }

    fn builder(&self) -> auto::Builder<Tasks> {
        let limits = &self.limits;
        let head_bytes = limits.head_bytes.max(LEAST_HEAD_BYTES);
        let mut builder = auto::Builder::new(Tasks(self.stop.clone()));
        builder
            .http1()
            .timer(Kept::default())
            .header_read_timeout(limits.head_time)
            .max_headers(limits.head_fields)
            .max_buf_size(usize::try_from(head_bytes).unwrap_or(usize::MAX))
            // A client that closes its side after sending still gets what it asked for.
            .half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.head_time)
            .keep_alive_timeout(limits.head_time)
            .max_header_list_size(head_bytes)
            .max_concurrent_streams(limits.streams)
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .max_send_buf_size(64 * 1024);
        builder
    }

    /// Answers one request. The future owns what it needs, since HTTP/2 runs it as a task.
    fn respond(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<Counted>, Infallible>> + Send + use<> {
        let busy = activity.begin();
        let answer = self.answer(request, peer);
        async move {
            let response = contain(answer).await.unwrap_or_else(|| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            });
            Ok(response.map(|body| Counted::new(body, busy)))
        }
    }

    fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let answering = self.router.current();
        let mut request = Some(request.map(|body| Timed::new(body, &self.limits)));
        if let Some(shortcut) = &answering.shortcut
            && let Some(answer) = shortcut.take(&mut request)
        {
            return answer;
        }
        let router = answering.router.clone();
        Box::pin(async move {
            let Some(request) = request else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }

    /// Returns when the connection was idle for long, or is old.
    async fn outlived(&self, activity: &Activity) {
        let idle = async {
            let mut seen = None;
            loop {
                tokio::time::sleep(self.limits.idle).await;
                let now = activity.answered_if_idle();
                if now.is_some() && now == seen {
                    return;
                }
                seen = now;
            }
        };
        let Some(age) = self.limits.age else {
            return idle.await;
        };
        tokio::select! {
            () = idle => {}
            () = tokio::time::sleep(age) => {}
        }
    }
}

/// The requests of one connection.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// One request from its head to the end of its answer.
#[derive(Debug)]
struct Busy(Arc<Activity>);

impl Activity {
    fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// How many requests were answered, if none is at hand.
    fn answered_if_idle(&self) -> Option<usize> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs the tasks of HTTP/2 requests so that the stop waits for them.
#[derive(Debug, Clone)]
struct Tasks(Stop);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, fut: F) {
        self.0.spawn(fut);
    }
}
