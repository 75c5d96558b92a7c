//! TLS handshakes within limits of time, number and rate.
//!
//! What costs is what follows a client's first message: a signature and a key exchange, up to a
//! millisecond of a processor. So a handshake is counted when that message is there, and those that
//! stay half open use up nobody's share.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tokio_util::sync::CancellationToken;

use super::peer::neighbourhood_of;
use super::tls::Tls;
use crate::metrics::{Metrics, Refusal};
use crate::model::clock::Clock;
use crate::model::pace::{Pace, Paces};
use crate::model::receipt::Door;

/// How many handshakes may run, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// At a time (200).
    pub concurrent: usize,
    /// From its beginning to its end (30 s).
    pub time: Duration,
    /// Of one network (/24 or /64) in a second, of which five seconds' worth may come at once
    /// (300); `None`: any number.
    pub per_second: Option<u32>,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            concurrent: 200,
            time: Duration::from_secs(30),
            per_second: Some(300),
        }
    }
}

/// Bounds the handshakes that run at a time: when there is one too many, the oldest is closed,
/// because the one that has waited longest is the likeliest never to end. Cheap to clone; clones
/// share the bound.
#[derive(Debug, Clone)]
pub struct Handshakes {
    limits: HandshakeLimits,
    running: Arc<Mutex<Running>>,
    networks: Option<Arc<Mutex<Paces<IpAddr>>>>,
    clock: Clock,
    counted: Option<(Metrics, Door)>,
}

/// As many at once as in so many seconds: a provider's relays come together.
const AT_ONCE: u32 = 5;

#[derive(Debug, Default)]
struct Running {
    next: u64,
    /// By age: a smaller number began earlier.
    by_number: BTreeMap<u64, CancellationToken>,
}

/// One handshake that runs; dropping it gives the place back.
#[derive(Debug)]
struct Place {
    number: u64,
    evicted: CancellationToken,
    running: Arc<Mutex<Running>>,
}

impl Handshakes {
    /// None runs yet.
    pub fn new(limits: HandshakeLimits, clock: Clock) -> Self {
        let paces = |count| Arc::new(Mutex::new(Paces::new(Pace::per_second(count, AT_ONCE))));
        Self {
            limits,
            running: Arc::default(),
            networks: limits.per_second.map(paces),
            clock,
            counted: None,
        }
    }

    /// Counts there what is refused for its rate, as that door's.
    #[must_use]
    pub fn counting(self, metrics: Metrics, door: Door) -> Self {
        Self {
            counted: Some((metrics, door)),
            ..self
        }
    }

    /// Performs a handshake as server with that peer, within the limits. The error is `TimedOut`
    /// when it took too long or gave way to a newer one, `QuotaExceeded` when the peer's network
    /// has had its share, `ConnectionAborted` after a challenge; the stream is closed then.
    pub async fn accept<S>(&self, tls: &Tls, stream: S, peer: IpAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let place = self.enter();
        tokio::select! {
            biased;
            () = place.evicted.cancelled() => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the TLS handshake gave way to newer ones",
            )),
            // On the heap: every session would be larger by it.
            done = Box::pin(self.shake(tls, stream, peer)) => done,
            () = tokio::time::sleep(self.limits.time) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the TLS handshake took too long",
            )),
        }
    }

    async fn shake<S>(&self, tls: &Tls, stream: S, peer: IpAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        if self.is_too_often(peer) {
            if let Some((metrics, door)) = &self.counted {
                metrics.refusal(*door, Refusal::HandshakeRate);
            }
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many TLS handshakes of one network",
            ));
        }
        match tls.challenged(&begun.client_hello()) {
            // Seldom: it must not make every session's future larger.
            Some(shown) => Err(Box::pin(show(begun, shown)).await),
            None => begun.into_stream(tls.config()).await,
        }
    }

    fn is_too_often(&self, peer: IpAddr) -> bool {
        let Some(networks) = &self.networks else {
            return false;
        };
        let mut networks = networks.lock().unwrap_or_else(PoisonError::into_inner);
        let network = neighbourhood_of(peer);
        networks.take(network, self.clock.tick()).is_err()
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_number
            .len()
    }

    fn enter(&self) -> Place {
        let evicted = CancellationToken::new();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let number = running.next;
        running.next += 1;
        running.by_number.insert(number, evicted.clone());
        if running.by_number.len() > self.limits.concurrent.max(1)
            && let Some((_, oldest)) = running.by_number.pop_first()
        {
            oldest.cancel();
        }
        drop(running);
        Place {
            number,
            evicted,
            running: Arc::clone(&self.running),
        }
    }
}

/// Shows an authority what it asked for. Nothing is exchanged after such a handshake (RFC 8737 §3).
async fn show<S>(begun: StartHandshake<S>, shown: Arc<ServerConfig>) -> io::Error
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ended = match begun.into_stream(shown).await {
        Ok(mut stream) => stream.shutdown().await,
        Err(error) => Err(error),
    };
    let done = || {
        let says = "a certificate authority has seen what it asked for";
        io::Error::new(io::ErrorKind::ConnectionAborted, says)
    };
    ended.err().unwrap_or_else(done)
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.by_number.remove(&self.number);
    }
}
