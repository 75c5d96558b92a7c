//! `/livez`, `/readyz/doors`, `/readyz/check` and `/metrics`: for whoever watches.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::caller::LocalOrRead;
use super::problem::{Kind, Problem};
use super::wire::Answer;
use crate::journal::Journal;
use crate::metrics;
use crate::model::clock::Timestamp;

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    /// Always true.
    alive: bool,
}

/// Tells that the process runs. Asks nothing else.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operations",
    security(()),
    responses((status = 200, description = "It runs", body = Alive,
        example = json!({"alive": true})))
)]
pub(super) async fn livez() -> Answer<Alive> {
    Answer(Alive { alive: true })
}

/// The doors can accept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DoorsReady {
    /// Always true; otherwise the answer is a problem.
    ready: bool,
    /// Receipts that are durable here and not yet in the store.
    unshipped: u64,
    /// When the oldest of them was accepted; null if there is none, or none has been read from the
    /// file yet. All that was durable before is in the store.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest: Option<Timestamp>,
    /// Receipts that no store takes in any form: they stay in the journal of this node.
    left: u64,
}

/// Tells whether the journal can commit. Does not depend on the store or on DNS.
#[utoipa::path(
    get,
    path = "/readyz/doors",
    tag = "operations",
    security(()),
    responses(
        (status = 200, description = "The doors accept", body = DoorsReady,
            example = json!({"ready": true, "unshipped": 0, "oldest": null, "left": 0})),
        (status = 503, description = "They do not"),
    )
)]
pub(super) async fn doors(State(api): State<Api>) -> Result<Answer<DoorsReady>, Problem> {
    doors_of(&api.app.journal)
}

/// The answer by the journal alone.
pub(super) fn doors_of(journal: &Journal) -> Result<Answer<DoorsReady>, Problem> {
    let status = journal.status();
    match status.refusing {
        None => Ok(Answer(DoorsReady {
            ready: true,
            unshipped: status.unshipped,
            oldest: status.oldest,
            left: status.left,
        })),
        Some(why) => Err(Problem::later(Kind::NotReady, why.to_string(), 5)
            .with("unshipped", status.unshipped)
            .with("oldest", status.oldest.map(|at| at.to_string()))
            .with("left", status.left)),
    }
}

/// The index answers and is not too old.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckReady {
    /// Always true; otherwise the answer is a problem.
    ready: bool,
    /// The store's clock when the index was last complete.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    /// Standing suppressions in the index.
    suppressions: usize,
}

/// Tells whether checks are answered from an index that is loaded and not older than
/// `max_staleness`.
#[utoipa::path(
    get,
    path = "/readyz/check",
    tag = "operations",
    security(()),
    responses(
        (status = 200, description = "The index is loaded and fresh", body = CheckReady,
            example = json!({"ready": true, "as_of": "2026-11-21T12:00:00.417Z",
                "suppressions": 1200})),
        (status = 503, description = "It is not"),
    )
)]
pub(super) async fn check(State(api): State<Api>) -> Result<Answer<CheckReady>, Problem> {
    let app = &api.app;
    let not_ready = |why: &str| Problem::later(Kind::NotReady, why, 1);
    let as_of = app
        .follower
        .position()
        .as_of
        .ok_or_else(|| not_ready("the index is still being loaded"))?;
    if !app.is_fresh() {
        let seconds = app.settings.max_staleness.as_secs();
        let why = format!("the index is older than max_staleness ({seconds} s)");
        return Err(not_ready(&why).with("as_of", as_of.to_string()));
    }
    Ok(Answer(CheckReady {
        ready: true,
        as_of,
        suppressions: app.index.len(),
    }))
}

/// Gives counters, gauges and histograms in Prometheus' text form.
///
/// Without a key on loopback only; otherwise with the scope `read`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    security((), ("bearer" = ["read"])),
    responses((status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text",
        example = "# TYPE desist_receipts counter\n# EOF\n"))
)]
pub(super) async fn metrics(State(api): State<Api>, _: LocalOrRead) -> Response {
    (
        [(CONTENT_TYPE, metrics::CONTENT_TYPE)],
        api.app.metrics.render(),
    )
        .into_response()
}
