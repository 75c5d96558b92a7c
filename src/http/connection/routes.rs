//! Routes that may be replaced while they are served.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;

/// What answers the requests of a listener. Cheap to clone; clones are replaced together.
#[derive(Debug, Clone)]
pub struct Routes(Arc<ArcSwap<Router>>);

impl Routes {
    /// Answers with these from the next request on.
    pub fn replace(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    /// What answers now.
    pub fn current(&self) -> Router {
        Router::clone(&self.0.load())
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router)))
    }
}
