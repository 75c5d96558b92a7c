//! Routes that may be replaced while they are served, and a short way past them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::response::Response;
use http::Request;

use super::body::Timed;

/// What answers the requests of a listener. Cheap to clone; clones are replaced together.
#[derive(Debug, Clone)]
pub struct Routes(Arc<ArcSwap<Answering>>);

/// A router, and what is answered without it.
#[derive(Debug, Clone)]
pub struct Answering {
    /// Answers everything.
    pub router: Router,
    /// Answers what is asked most often.
    pub shortcut: Option<Arc<dyn Shortcut>>,
}

/// An answer under way.
pub type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers a request that is asked so often, and answered so quickly, that finding its handler and
/// passing it through every layer would cost more than the answer.
pub trait Shortcut: fmt::Debug + Send + Sync {
    /// Takes a request that it answers, and leaves any other. The answer is the router's to the
    /// last octet.
    fn take(&self, request: &mut Option<Request<Timed>>) -> Option<Answer>;
}

impl Routes {
    /// Answers with these from the next request on.
    pub fn replace(&self, answering: impl Into<Answering>) {
        self.0.store(Arc::new(answering.into()));
    }

    /// What answers now.
    pub(super) fn current(&self) -> Arc<Answering> {
        self.0.load_full()
    }
}

impl From<Router> for Answering {
    fn from(router: Router) -> Self {
        Self {
            router,
            shortcut: None,
        }
    }
}

impl<A: Into<Answering>> From<A> for Routes {
    fn from(answering: A) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(answering.into())))
    }
}
