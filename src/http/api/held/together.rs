//! `POST /v1/held/approve` and `…/dismiss`: one decision for a whole batch.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::held::{Batch, decide_batch};
use crate::app::suppressions::LONGEST_NOTE;
use crate::http::api::Api;
use crate::http::api::body::Json;
use crate::http::api::caller::{Caller, May, Write};
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::Answer;
use crate::store::Decision;

/// Which batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"batch\": …, \"note\": …}")]
pub(in crate::http::api) struct BatchRequest {
    /// As `GET /v1/held` and the alarm name it.
    batch: String,
    /// Why, in words, at most 2,000 bytes; kept with each suppression that begins.
    #[serde(default)]
    note: String,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct BatchAnswer {
    /// Which batch.
    batch: String,
    /// `approved` or `dismissed`.
    #[schema(value_type = String)]
    decision: Decision,
    /// How many waited.
    decided: u64,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// Lets all of a batch take effect: the provider was right.
#[utoipa::path(
    post,
    path = "/v1/held/approve",
    tag = "review",
    security(("bearer" = ["write"])),
    request_body(content = BatchRequest,
        example = json!({"batch": "1-example.com-20261121T12", "note": "they closed the service"})),
    responses((status = 200, description = "Approved", body = BatchAnswer,
        example = json!({"batch": "1-example.com-20261121T12", "decision": "approved",
            "decided": 4711, "indexed": true})))
)]
pub(in crate::http::api) async fn approve_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<BatchRequest>,
) -> Result<Answer<BatchAnswer>, Problem> {
    decide(&api, &caller, request, Decision::Approved).await
}

/// Ends all of a batch without effect: the provider was wrong.
#[utoipa::path(
    post,
    path = "/v1/held/dismiss",
    tag = "review",
    security(("bearer" = ["write"])),
    request_body(content = BatchRequest, example = json!({"batch": "1-example.com-20261121T12"})),
    responses((status = 200, description = "Dismissed", body = BatchAnswer,
        example = json!({"batch": "1-example.com-20261121T12", "decision": "dismissed",
            "decided": 4711, "indexed": true})))
)]
pub(in crate::http::api) async fn dismiss_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<BatchRequest>,
) -> Result<Answer<BatchAnswer>, Problem> {
    decide(&api, &caller, request, Decision::Dismissed).await
}

async fn decide(
    api: &Api,
    caller: &Caller,
    BatchRequest { batch, note }: BatchRequest,
    decision: Decision,
) -> Result<Answer<BatchAnswer>, Problem> {
    if note.len() > LONGEST_NOTE {
        let detail = format!("note: at most {LONGEST_NOTE} bytes");
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let what = Batch {
        tenant: caller.tenant,
        batch: &batch,
        note: note.trim(),
    };
    let decided = decide_batch(&api.app, what, decision).await?;
    if decided.count == 0 {
        let detail = "nothing of that batch waits";
        return Err(Problem::new(Kind::NotFound, detail));
    }
    Ok(Answer(BatchAnswer {
        batch,
        decision,
        decided: decided.count,
        indexed: decided.indexed,
    }))
}
