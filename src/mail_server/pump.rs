//! The pump: moves octets and time between a stream and a session. It decides nothing.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::model::clock::{Clock, Tick};
use crate::net::tls::{Handshakes, Tls};
use crate::smtp::gate::Gate;
use crate::smtp::limits::Limits;
use crate::smtp::session::{Message, Outcome, Output, Session};
use crate::traces::Span;

/// Octets that are read at once.
const READ: usize = 16 * 1024;

/// What a pump needs of the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    /// Time.
    pub(super) clock: &'a Clock,
    /// For STARTTLS.
    pub(super) tls: &'a Tls,
    /// Bounds the handshakes.
    pub(super) handshakes: &'a Handshakes,
    /// Who is at the other end.
    pub(super) peer: IpAddr,
    /// The order to stop.
    pub(super) stop: &'a CancellationToken,
    /// For writing and the end of the connection.
    pub(super) limits: &'a Limits,
    /// Counts replies and sessions.
    pub(super) metrics: &'a Metrics,
}

/// What became of a message, and the span that its answer ends.
#[derive(Debug)]
pub(super) struct Delivered {
    /// For the session.
    pub(super) outcome: Outcome,
    /// From the beginning of its content to its answer.
    pub(super) span: Span,
}

/// A session with what the pump reads into.
struct Pump<'a, D> {
    world: World<'a>,
    session: Session,
    gate: &'a dyn Gate,
    deliver: D,
    buffer: Box<[u8]>,
    told_to_stop: bool,
    /// Of the message that is to be answered next.
    answering: Span,
}

/// Why the pump has left a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// The session closed it.
    Closed,
    /// The session wants TLS on it.
    StartTls,
}

/// Holds one session's dialogue on `stream` until either side ends it. The error says why the
/// connection was lost, if it was.
pub(super) async fn converse<S, D, F>(
    stream: S,
    session: Session,
    world: World<'_>,
    gate: &dyn Gate,
    deliver: D,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Fn(Message) -> F,
    F: Future<Output = Delivered>,
{
    let buffer = vec![0; READ].into_boxed_slice();
    let mut pump = Pump {
        world,
        session,
        gate,
        deliver,
        buffer,
        told_to_stop: false,
        answering: Span::default(),
    };
    let mut stream = stream;
    let left = pump.drive(&mut stream).await;
    if !matches!(left, Ok(Left::StartTls)) {
        world.metrics.smtp_session_ended(false);
        left?;
        return pump.linger(stream).await;
    }
    let mut secured = match world.handshakes.accept(world.tls, stream, world.peer).await {
        Ok(secured) => secured,
        Err(error) => {
            pump.session.handle_tls_failed(gate);
            world.metrics.smtp_session_ended(false);
            return Err(error);
        }
    };
    pump.session.handle_tls(world.clock.tick(), gate);
    let left = pump.drive(&mut secured).await;
    world.metrics.smtp_session_ended(true);
    left?;
    pump.linger(secured).await
}

impl<D, F> Pump<'_, D>
where
    D: Fn(Message) -> F,
    F: Future<Output = Delivered>,
{
    async fn drive<S>(&mut self, stream: &mut S) -> io::Result<Left>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if let Some(left) = self.drain(stream).await? {
                return Ok(left);
            }
            let now = self.world.clock.tick();
            tokio::select! {
                // In this order, so that a peer that never stops sending puts off neither.
                biased;
                () = self.world.stop.cancelled(), if !self.told_to_stop => {
                    self.told_to_stop = true;
                    self.session.handle_stop(self.world.clock.tick(), self.gate);
                }
                () = until(self.session.deadline(), now) => {
                    self.session.handle_deadline(self.world.clock.tick(), self.gate);
                }
                read = stream.read(&mut self.buffer), if self.session.wants_input() => {
                    let octets = self.buffer.get(..read?).unwrap_or_default();
                    if octets.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.session.handle_bytes(octets, self.world.clock.tick(), self.gate);
                }
            }
        }
    }

    /// Does what the session wants, until it wants nothing.
    async fn drain<S>(&mut self, stream: &mut S) -> io::Result<Option<Left>>
    where
        S: AsyncWrite + Unpin,
    {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Write(octets) => self.write(stream, &octets).await?,
                Output::StartTls => return Ok(Some(Left::StartTls)),
                Output::Message(message) => {
                    let Delivered { outcome, span } = (self.deliver)(*message).await;
                    self.answering = span;
                    self.session
                        .handle_outcome(outcome, self.world.clock.tick(), self.gate);
                }
                Output::Close => return Ok(Some(Left::Closed)),
            }
        }
        Ok(None)
    }

    async fn write<S>(&mut self, stream: &mut S, octets: &[u8]) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        reply_codes(octets).for_each(|code| self.world.metrics.smtp_reply(code));
        // The answer to a message is the first to be written behind its outcome.
        let answering = std::mem::take(&mut self.answering);
        let write = async {
            stream.write_all(octets).await?;
            stream.flush().await
        };
        in_time(self.world.limits.write, write).await?;
        answering.replied(|| reply_codes(octets).next());
        Ok(())
    }

    /// Ends the connection so that the last reply arrives: closing with input unread would reset
    /// it, and the peer might lose what it has not read yet.
    async fn linger<S>(mut self, mut stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limit = self.world.limits.linger;
        let end = async {
            stream.shutdown().await?;
            while stream.read(&mut self.buffer).await? > 0 {}
            Ok(())
        };
        in_time(limit, end).await
    }
}

/// The codes of the replies in `octets`; of a reply with many lines once.
fn reply_codes(octets: &[u8]) -> impl Iterator<Item = u16> {
    octets.split(|&octet| octet == b'\n').filter_map(|line| {
        let (code, rest) = line.split_at_checked(3)?;
        let code = std::str::from_utf8(code).ok()?.parse().ok()?;
        rest.starts_with(b" ").then_some(code)
    })
}

/// Waits for a point of the clock, for ever if there is none.
async fn until(deadline: Option<Tick>, now: Tick) {
    match deadline {
        Some(deadline) => sleep(deadline.since(now)).await,
        None => std::future::pending().await,
    }
}

async fn in_time(limit: Duration, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
