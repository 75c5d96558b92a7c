//! Trusted proxies: those who say in a header (PROXY protocol) for whom they connect.
//!
//! From a trusted proxy the header is mandatory and the first that is read; nobody is greeted
//! before. To everybody else the header means nothing: it is what a peer says of itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::network::Network;
use super::proxy_header::{self, LONGEST, Malformed, Told};
use crate::metrics::{Metrics, ProxyHeader};

/// From the connection of a trusted proxy to the end of its header.
pub const HEADER_TIME: Duration = Duration::from_secs(5);

/// Whom one listener's proxies are, and what became of their headers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxies {
    networks: Arc<[Network]>,
    listener: &'static str,
    metrics: Metrics,
    time: Duration,
}

/// A listener and its trusted proxies, if it has any.
#[derive(Debug)]
pub struct Entrance {
    pub(super) listener: TcpListener,
    pub(super) proxies: Option<Proxies>,
}

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    /// A health check: connected and closed.
    #[error("closed without a word")]
    Closed,
    /// No header, or a wrong one.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It broke off within the header.
    #[error("the connection was lost within the header: {0}")]
    Lost(io::Error),
    /// It did not come in time.
    #[error("no PROXY header in time")]
    Late,
}

impl Proxies {
    /// Proxies in these networks, at the listener of that name; none if there is no network.
    pub fn new(networks: &[Network], listener: &'static str, metrics: Metrics) -> Option<Self> {
        (!networks.is_empty()).then(|| Self {
            networks: networks.into(),
            listener,
            metrics,
            time: HEADER_TIME,
        })
    }

    /// The same with another time for a header.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Whether that peer is believed.
    pub(super) fn trusts(&self, peer: SocketAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(peer.ip()))
    }

    /// Whom the trusted `proxy` connects for, after its header has been read and nothing more.
    /// `None` if there is no proper header: the connection is to be closed.
    pub(super) async fn told(
        &self,
        stream: &mut TcpStream,
        proxy: SocketAddr,
    ) -> Option<SocketAddr> {
        let read = timeout(self.time, header(stream)).await;
        let (count, told) = match read.unwrap_or(Err(NotTold::Late)) {
            Ok(Told::Peer(peer)) => (ProxyHeader::Told, Some(peer)),
            Ok(Told::Itself) => (ProxyHeader::Itself, Some(proxy)),
            // Load balancers look every second whether anybody is there: that is no news.
            Err(error @ NotTold::Closed) => {
                tracing::debug!(%proxy, %error, "no PROXY header");
                (ProxyHeader::Closed, None)
            }
            Err(error) => {
                let listener = self.listener;
                tracing::info!(%proxy, listener, %error, "closed: a trusted proxy sent no proper header");
                let count = match error {
                    NotTold::Late => ProxyHeader::Late,
                    NotTold::Closed | NotTold::Malformed(_) | NotTold::Lost(_) => {
                        ProxyHeader::Wrong
                    }
                };
                (count, None)
            }
        };
        self.metrics.proxy_header(self.listener, count);
        told
    }
}

impl Entrance {
    /// That listener, with these proxies.
    pub const fn new(listener: TcpListener, proxies: Option<Proxies>) -> Self {
        Self { listener, proxies }
    }
}

impl From<TcpListener> for Entrance {
    fn from(listener: TcpListener) -> Self {
        Self::new(listener, None)
    }
}

/// Reads the header to its end and not an octet further: what follows is the client's.
async fn header(stream: &mut TcpStream) -> Result<Told, NotTold> {
    let mut buffer = [0; LONGEST];
    let mut taken = 0;
    loop {
        // Looked at first, and taken as far as it belongs to the header. Nothing that was looked
        // at stays when more is needed, so that the next look waits for more.
        let free = buffer.get_mut(taken..).unwrap_or_default();
        let seen = stream.peek(free).await.map_err(NotTold::Lost)?;
        if seen == 0 {
            return Err(match taken {
                0 => NotTold::Closed,
                _ => NotTold::Lost(io::ErrorKind::UnexpectedEof.into()),
            });
        }
        let there = buffer.get(..taken + seen).unwrap_or_default();
        let read = proxy_header::read(there)?;
        let end = read.map_or(taken + seen, |(_, length)| length);
        let belonging = buffer.get_mut(taken..end).unwrap_or_default();
        let got = stream.read_exact(belonging).await;
        got.map_err(NotTold::Lost)?;
        taken = end;
        if let Some((told, _)) = read {
            return Ok(told);
        }
    }
}
