//! A long answer that is sent piece by piece. Its share of the memory for bodies returns when all
//! of it has been taken by the connection, however slowly its peer reads.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::body::Share;

/// Bytes that the connection is given at a time.
const PIECE: usize = 64 * 1024;

/// Bytes on their way out.
#[derive(Debug)]
pub(super) struct Pieces {
    bytes: Bytes,
    given: usize,
    _share: Share,
}

impl Pieces {
    pub(super) const fn new(bytes: Bytes, share: Share) -> Self {
        Self {
            bytes,
            given: 0,
            _share: share,
        }
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.given..).unwrap_or_default()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.left().chunks(PIECE).next() else {
            return Poll::Ready(None);
        };
        // A copy: what refers to the whole would keep it when the share has returned.
        let piece = Bytes::copy_from_slice(piece);
        self.given = self.given.saturating_add(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left().len()).unwrap_or(u64::MAX))
    }
}
