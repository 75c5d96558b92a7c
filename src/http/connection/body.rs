//! Bodies within limits: of time while they come in, of memory while they are held.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::timer::Patience;
use super::{Busy, Limits};

/// A body's next piece, or its whole, did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body did not come in time")]
pub struct TooSlow;

/// A request's body that must keep coming. The time counts only while somebody waits for it.
#[derive(Debug)]
pub struct Timed {
    body: Incoming,
    /// Of who waits for the next piece.
    next: Patience,
    /// From the first wait on, if the whole is limited.
    whole: Option<Patience>,
}

impl Timed {
    pub(super) fn new(body: Incoming, limits: &Limits) -> Self {
        Self {
            body,
            next: Patience::new(limits.body_stall),
            whole: limits.body_time.map(Patience::new),
        }
    }

    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let is_stalled = self.next.is_over(cx);
        let is_over = self.whole.as_mut().is_some_and(|whole| whole.is_over(cx));
        is_stalled || is_over
    }
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.next.calm();
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if self.is_too_slow(cx) => Poll::Ready(Some(Err(TooSlow.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; its request counts as at hand until it is sent or dropped.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    _busy: Busy,
}

impl Counted {
    pub(super) const fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Memory for the bodies that one listener holds at a time. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// A share of a [`Budget`]; dropping it gives it back.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// So many octets.
    pub fn new(octets: usize) -> Self {
        Self(Arc::new(Semaphore::new(octets.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a share without waiting; `None` when that much is not left.
    pub fn reserve(&self, octets: usize) -> Option<Reserved> {
        let permits = u32::try_from(octets).ok()?;
        let permit = Arc::clone(&self.0).try_acquire_many_owned(permits).ok()?;
        Some(Reserved { _permit: permit })
    }
}

/// The beginning of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Its first octets.
    pub bytes: Vec<u8>,
    /// Whether that is all of it, well received.
    pub is_whole: bool,
}

/// Keeps a body's first `keep` octets and throws away at most `discard` more, so that a peer that
/// reads only after it has written all gets to read the answer. It does not fail: what comes too
/// slowly or breaks off is what has come by then.
pub async fn read_beginning(mut body: Body, keep: usize, discard: usize) -> Beginning {
    let mut bytes = Vec::new();
    let mut discarded = 0_usize;
    loop {
        if body.is_end_stream() {
            return Beginning {
                bytes,
                is_whole: discarded == 0,
            };
        }
        let data = match body.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => {
                return Beginning {
                    bytes,
                    is_whole: false,
                };
            }
            None => {
                return Beginning {
                    bytes,
                    is_whole: discarded == 0,
                };
            }
        };
        let (kept, rest) = data.split_at(data.len().min(keep.saturating_sub(bytes.len())));
        bytes.extend_from_slice(kept);
        discarded = discarded.saturating_add(rest.len());
        if discarded > discard {
            return Beginning {
                bytes,
                is_whole: false,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_beginning_of_a_body_is_kept_whatever_its_length() {
        for (length, kept, is_whole) in [
            (0, 0, true),
            (9, 9, true),
            (10, 10, true),
            (11, 10, false),
            (5000, 10, false),
        ] {
            let beginning = read_beginning(Body::from(vec![b'x'; length]), 10, 100).await;
            assert_eq!(
                (beginning.bytes.len(), beginning.is_whole),
                (kept, is_whole),
                "{length}"
            );
        }
    }

    #[test]
    fn a_budget_is_shared_and_given_back() {
        let budget = Budget::new(100);
        let first = budget.reserve(60).unwrap();
        assert!(budget.reserve(41).is_none());
        let second = budget.reserve(40).unwrap();
        assert!(budget.reserve(1).is_none());
        drop((first, second));
        assert!(budget.reserve(100).is_some());
    }
}
