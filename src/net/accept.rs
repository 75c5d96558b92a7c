//! Accepting connections within limits: one network cannot take them all, and nobody at a limit
//! makes the loop spin or wait.
//!
//! At a limit a connection is accepted, told so in one write that never waits, and closed. Leaving
//! it in the kernel's queue instead would keep honest peers waiting for a greeting behind those
//! who hold the sessions; told so, they come back later.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

use super::peer::subscriber_of;
use super::proxies::{Entrance, Proxies};
use super::stop::Stop;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptLimits {
    /// At a time, over all listeners that share [`Sessions`] (1,000).
    pub sessions: usize,
    /// At a time from one IPv4 address or one IPv6 /64 (100).
    pub sessions_per_ip: usize,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            sessions: 1_000,
            sessions_per_ip: 100,
        }
    }
}

/// Counts the open sessions of one or several listeners. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Sessions {
    limits: AcceptLimits,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One counted session; dropping it gives the place back.
#[derive(Debug)]
pub struct Session {
    /// Whose it is; `None` as long as only its proxy is known.
    network: Option<IpAddr>,
    sessions: Sessions,
}

impl From<AcceptLimits> for Sessions {
    fn from(limits: AcceptLimits) -> Self {
        Self {
            limits,
            open: Arc::default(),
        }
    }
}

impl Sessions {
    /// Counts a session of this peer, unless it would be one too many.
    pub fn enter(&self, peer: IpAddr) -> Option<Session> {
        let mut session = self.enter_unnamed()?;
        session.is_of(peer).then_some(session)
    }

    /// Counts a session of somebody whom a proxy will name, unless it would be one too many in
    /// all.
    pub fn enter_unnamed(&self) -> Option<Session> {
        let mut open = self.lock();
        if open.total >= self.limits.sessions {
            return None;
        }
        open.total += 1;
        drop(open);
        Some(Session {
            network: None,
            sessions: self.clone(),
        })
    }

    /// How many are open now.
    pub fn open(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Counts it as one of this peer's; `false` if it is one too many of them.
    pub fn is_of(&mut self, peer: IpAddr) -> bool {
        let network = subscriber_of(peer);
        let mut open = self.sessions.lock();
        let of_network = open.by_network.get(&network).copied().unwrap_or(0);
        if of_network >= self.sessions.limits.sessions_per_ip {
            return false;
        }
        open.by_network.insert(network, of_network + 1);
        drop(open);
        self.network = Some(network);
        true
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut open = self.sessions.lock();
        open.total = open.total.saturating_sub(1);
        let Some(network) = self.network else { return };
        // The entry goes with its last session, so the map never outgrows the open sessions.
        match open.by_network.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_network.remove(&network);
            }
        }
    }
}

/// Accepts until the soft stop and runs `handler` for each connection as a task of `stop`, with
/// the peer's address (an IPv4-mapped one as IPv4), which for a trusted proxy is that of whom it
/// connects for. A connection beyond the limits gets `refuse` and is closed; `refuse` may be empty.
pub async fn run<H, F>(
    entrance: impl Into<Entrance>,
    sessions: impl Into<Sessions>,
    stop: &Stop,
    refuse: &'static [u8],
    handler: H,
) where
    H: Fn(TcpStream, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Entrance { listener, proxies } = entrance.into();
    let (sessions, handler) = (sessions.into(), Arc::new(handler));
    let mut backoff = Backoff::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.soft().cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (
                stream,
                SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            ),
            Err(error) if concerns_one_connection(&error) => continue,
            Err(error) => {
                tokio::select! {
                    () = stop.soft().cancelled() => return,
                    () = tokio::time::sleep(backoff.after(&error)) => continue,
                }
            }
        };
        backoff = Backoff::default();
        let proxies = proxies.as_ref().filter(|proxies| proxies.trusts(peer));
        let session = match proxies {
            None => sessions.enter(peer.ip()),
            Some(_) => sessions.enter_unnamed(),
        };
        let Some(session) = session else {
            refuse_with(&stream, refuse);
            continue;
        };
        send_at_once(&stream);
        match proxies {
            None => {
                let handling = handler(stream, peer);
                stop.spawn(async move {
                    handling.await;
                    drop(session);
                });
            }
            Some(proxies) => {
                let arrived = Proxied {
                    stream,
                    proxy: peer,
                    proxies: proxies.clone(),
                    session,
                };
                let soft = stop.soft().clone();
                let handler = Arc::clone(&handler);
                stop.spawn(async move {
                    let named = soft.run_until_cancelled(arrived.named(refuse)).await;
                    if let Some((stream, peer, session)) = named.flatten() {
                        handler(stream, peer).await;
                        drop(session);
                    }
                });
            }
        }
    }
}

/// A connection that a trusted proxy has made.
struct Proxied {
    stream: TcpStream,
    proxy: SocketAddr,
    proxies: Proxies,
    session: Session,
}

impl Proxied {
    /// With whom it is for, who is counted; `None` if that is not said properly or is one too many.
    async fn named(mut self, refuse: &'static [u8]) -> Option<(TcpStream, SocketAddr, Session)> {
        let peer = self.proxies.told(&mut self.stream, self.proxy).await?;
        if !self.session.is_of(peer.ip()) {
            refuse_with(&self.stream, refuse);
            return None;
        }
        Some((self.stream, peer, self.session))
    }
}

/// Answers are short and waited for: Nagle's algorithm would only delay them.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        // The peer has gone already; its session will find that out.
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
}

/// One write into the empty send buffer of a new connection: it succeeds at once or not at all.
fn refuse_with(stream: &TcpStream, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    if let Err(error) = stream.try_write(text) {
        tracing::debug!(%error, "a refused connection could not be told so");
    }
}

/// Errors of the connection that was to be accepted; the next one is not concerned. Everything
/// else, above all the lack of file descriptors or memory, would fail again at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Pauses between failed accepts: doubling from 10 ms to 1 s. The loop never gives up, because
/// the cause (too many open files) ends when sessions end.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(1);

    fn after(&mut self, error: &io::Error) -> Duration {
        if self.failures == 0 {
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
        self.pause()
    }

    fn pause(&mut self) -> Duration {
        let pause = Duration::from_millis(10 << self.failures.min(7)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_limited_in_all_and_by_network_and_given_back() {
        let sessions = Sessions::from(AcceptLimits {
            sessions: 3,
            sessions_per_ip: 2,
        });
        let first = sessions.enter(ip("2001:db8::1")).unwrap();
        let second = sessions.enter(ip("2001:db8::2")).unwrap();
        assert!(
            sessions.enter(ip("2001:db8::3")).is_none(),
            "third of one /64"
        );
        let third = sessions.enter(ip("::ffff:192.0.2.7")).unwrap();
        assert!(sessions.enter(ip("192.0.2.8")).is_none(), "fourth in all");
        drop(first);
        let again = sessions.enter(ip("2001:db8::3")).unwrap();
        drop((second, third, again));
        assert_eq!(sessions.open(), 0);
        assert!(sessions.lock().by_network.is_empty());
    }

    #[test]
    fn pauses_grow_to_a_second_and_stay_there() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 640, 1000]);
        assert!(pauses[8..].iter().all(|pause| *pause == 1000));
    }
}
