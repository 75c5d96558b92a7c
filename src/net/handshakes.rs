//! TLS handshakes within limits of time and number.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::tls::Tls;

/// How many handshakes may run, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// At a time (200).
    pub concurrent: usize,
    /// From its beginning to its end (30 s).
    pub time: Duration,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            concurrent: 200,
            time: Duration::from_secs(30),
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
}

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
    pub fn new(limits: HandshakeLimits) -> Self {
        Self {
            limits,
            running: Arc::default(),
        }
    }

    /// Performs a handshake as server, within the limits of time and number. The error is
    /// `TimedOut` when it took too long or gave way to a newer one; the stream is closed then.
    pub async fn accept<S>(&self, tls: &Tls, stream: S) -> io::Result<TlsStream<S>>
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
            done = tls.acceptor().accept(stream) => done,
            () = tokio::time::sleep(self.limits.time) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the TLS handshake took too long",
            )),
        }
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

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.by_number.remove(&self.number);
    }
}
