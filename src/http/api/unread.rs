//! What an answer leaves unread of a body. A connection that is closed while its peer still sends
//! loses the answer: the peer sees a broken pipe instead of a `401` that says what is wrong.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

/// Bytes of an unread body that are still read and thrown away.
const DISCARDED: u64 = 64 * 1024;

/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Stands in the extensions of an answer that reads the body while it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadWhileAnswered;

/// What may be left of a request's body; `None` if it has none.
#[derive(Debug)]
pub(super) struct Unread(Option<Shared>);

/// The request with a body of which it is known what was left unread.
pub(super) fn watched(request: Request) -> (Request, Unread) {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(parts, body), Unread(None));
    }
    let body = Shared(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(parts, Body::new(body.clone()));
    (request, Unread(Some(body)))
}

impl Unread {
    /// Reads the rest of a short body, before the answer.
    pub(super) async fn discard(self) {
        if let Some(body) = self.0 {
            discard(body).await;
        }
    }
}

/// Reads the rest of a short body, before the answer.
pub(super) async fn discard<B: HttpBody<Data = Bytes> + Unpin>(body: B) {
    if !body.is_end_stream() {
        // Whether the rest came, failed or was too long: the answer is the same.
        drop(tokio::time::timeout(PATIENCE, exhaust(body)).await);
    }
}

async fn exhaust<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) {
    if body.size_hint().lower() > DISCARDED {
        return;
    }
    let mut read: u64 = 0;
    while read <= DISCARDED {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        read = read.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    }
}

/// A body that both the handler and the refusal after it can read.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    fn with<T>(&self, act: impl FnOnce(Pin<&mut Body>) -> T) -> T {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(Pin::new(&mut body))
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
