//! The API of a node that has no store or no index yet: health and metrics answer, everything else
//! says that it comes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;

use super::health::{doors_of, livez};
use super::problem::{Kind, Problem};
use super::request_id::{self, RequestIds};
use crate::journal::Journal;
use crate::metrics::{self, Metrics};

/// What such a node can tell.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Whether the doors accept.
    pub journal: Journal,
    /// Counters, on loopback alone: keys cannot be verified yet.
    pub metrics: Metrics,
}

/// Answers with what a waiting node can tell.
pub fn router(node: Waiting) -> Router {
    let ids = Arc::new(RequestIds::new());
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz/doors", get(doors))
        .route("/metrics", get(counters))
        .fallback(not_yet)
        .layer(from_fn_with_state(ids, request_id::given))
        .with_state(node)
}

async fn doors(State(node): State<Waiting>) -> Response {
    doors_of(&node.journal).into_response()
}

async fn counters(
    State(node): State<Waiting>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        return not_yet().await.into_response();
    }
    (
        [(CONTENT_TYPE, metrics::CONTENT_TYPE)],
        node.metrics.render(),
    )
        .into_response()
}

async fn not_yet() -> Problem {
    Problem::later(
        Kind::NotReady,
        "the store is away, or the index is still being loaded",
        1,
    )
}
