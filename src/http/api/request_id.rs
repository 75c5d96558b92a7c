//! The number of a call, which its answer and the lines of the log share.
//!
//! It is always drawn here: what a caller would call its request could be anything, an address too,
//! and must not be in a log.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};

tokio::task_local! {
    static CURRENT: RequestId;
}

/// One call of one start of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId {
    start: u32,
    number: u64,
}

/// Counts calls.
#[derive(Debug)]
pub(super) struct RequestIds {
    start: u32,
    next: AtomicU64,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl RequestIds {
    /// From 1, with what tells this start of this node from others.
    pub(super) fn new() -> Self {
        Self {
            // Without randomness the numbers alone have to do.
            start: getrandom::u32().unwrap_or_default(),
            next: AtomicU64::new(1),
        }
    }

    /// The next one.
    pub(super) fn draw(&self) -> RequestId {
        RequestId {
            start: self.start,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl RequestId {
    /// The call that is being answered here, if one is.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// What is done for this call.
    pub(super) fn within<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }

    /// What is done for this call at once.
    pub(super) fn within_now<T>(self, act: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, act)
    }

    /// Tells the caller.
    pub(super) fn put_into(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            headers.insert(X_REQUEST_ID, value);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.start, self.number)
    }
}

/// A layer that does nothing but this.
pub(super) async fn given(
    State(ids): State<std::sync::Arc<RequestIds>>,
    request: Request,
    next: Next,
) -> Response {
    let id = ids.draw();
    let mut response = id.within(next.run(request)).await;
    id.put_into(response.headers_mut());
    response
}
