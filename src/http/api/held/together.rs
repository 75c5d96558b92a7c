//! `POST /v1/held/approve` and `…/dismiss`: one decision for a whole batch, or for all that a filter
//! finds.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::held::{Batch, decide_batch, decide_held};
use crate::app::suppressions::LONGEST_NOTE;
use crate::http::api::Api;
use crate::http::api::body::Json;
use crate::http::api::caller::{Caller, May, Write};
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{self, Answer, Object};
use crate::model::clock::Timestamp;
use crate::model::event::{EventId, EventKind, HoldReason};
use crate::store::{Decision, HeldDecision, HeldFilter};

/// Which holds: a batch, or what a filter finds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{\"batch\": …, \"note\": …} or {\"filter\": …, \"note\": …}"
)]
pub(in crate::http::api) struct TogetherRequest {
    /// As `GET /v1/held` and the alarm name it.
    #[serde(default)]
    batch: Option<String>,
    /// Or all that it finds, a page a call.
    #[serde(default)]
    #[schema(value_type = Option<HeldFilterRequest>)]
    filter: Option<Object<HeldFilterRequest>>,
    /// Why, in words, at most 2,000 bytes; kept with each suppression that begins. Required with a
    /// filter.
    #[serde(default)]
    note: String,
    /// The `next` of the page before; with a filter only.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    after: Option<EventId>,
    /// Change nothing, only count; with a filter only.
    #[serde(default)]
    dry_run: bool,
}

/// Which holds: those that everything given is true of. At least one member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a filter: {\"reporter\": …}")]
pub(in crate::http::api) struct HeldFilterRequest {
    /// Who reports: `user_agent` or `reporter` of the event's detail in any case, or the
    /// organisational domain of the latter, for instance `example.com`.
    #[serde(default)]
    reporter: Option<String>,
    /// Only events of this kind, for instance `complaint`.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    kind: Option<EventKind>,
    /// Only what waits for this reason, for instance `unproven`.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    because: Option<HoldReason>,
    /// Only what was accepted then or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only what was accepted before then.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl From<HeldFilterRequest> for HeldFilter {
    fn from(request: HeldFilterRequest) -> Self {
        Self {
            reporter: request.reporter,
            kind: request.kind,
            because: request.because,
            since: request.since,
            until: request.until,
        }
    }
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct TogetherAnswer {
    /// Which batch; null with a filter.
    #[schema(required = true)]
    batch: Option<String>,
    /// `approved` or `dismissed`.
    #[schema(value_type = String)]
    decision: Decision,
    /// How many waited; on a dry run how many would be decided.
    decided: u64,
    /// How many the filter finds that were left, because an approval of what names nobody means
    /// nothing: decide each by its id, with an address, or dismiss them.
    nameless: u64,
    /// To be sent as `after` for the next page; null if all were looked at.
    #[serde(serialize_with = "wire::optional_text")]
    #[schema(value_type = Option<String>, required = true)]
    next: Option<EventId>,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// Lets all of a batch, or all that a filter finds, take effect.
///
/// Either `batch` or `filter` is given. A batch is decided whole: the provider was right. With a
/// filter a call looks at 500 of what waits, the oldest first, and decides what the filter finds
/// among it: call again with `next` as `after` until it is null. It may be called again at any
/// time, also on another node: what was decided is not decided twice.
#[utoipa::path(
    post,
    path = "/v1/held/approve",
    tag = "review",
    security(("bearer" = ["write"])),
    request_body(content = TogetherRequest,
        example = json!({"filter": {"reporter": "example.com", "kind": "complaint"},
            "note": "their reports are genuine, ticket 4711"})),
    responses((status = 200, description = "Approved", body = TogetherAnswer,
        example = json!({"batch": null, "decision": "approved", "decided": 480, "nameless": 3,
            "next": "019aa5f2-7c00-7000-8000-000000000001.0", "indexed": true})))
)]
pub(in crate::http::api) async fn approve_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<TogetherRequest>,
) -> Result<Answer<TogetherAnswer>, Problem> {
    decide(&api, &caller, request, Decision::Approved).await
}

/// Ends all of a batch, or all that a filter finds, without effect.
///
/// Called as `POST /v1/held/approve` is.
#[utoipa::path(
    post,
    path = "/v1/held/dismiss",
    tag = "review",
    security(("bearer" = ["write"])),
    request_body(content = TogetherRequest,
        example = json!({"batch": "1-example.com-20261121T12"})),
    responses((status = 200, description = "Dismissed", body = TogetherAnswer,
        example = json!({"batch": "1-example.com-20261121T12", "decision": "dismissed",
            "decided": 4711, "nameless": 0, "next": null, "indexed": true})))
)]
pub(in crate::http::api) async fn dismiss_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<TogetherRequest>,
) -> Result<Answer<TogetherAnswer>, Problem> {
    decide(&api, &caller, request, Decision::Dismissed).await
}

async fn decide(
    api: &Api,
    caller: &Caller,
    request: TogetherRequest,
    decision: Decision,
) -> Result<Answer<TogetherAnswer>, Problem> {
    let invalid = |detail: String| Problem::new(Kind::InvalidRequest, detail);
    let note = request.note.trim();
    if request.note.len() > LONGEST_NOTE {
        return Err(invalid(format!("note: at most {LONGEST_NOTE} bytes")));
    }
    let (after, dry_run) = (request.after, request.dry_run);
    match (request.batch, request.filter) {
        (Some(_), None) if dry_run || after.is_some() => Err(invalid(
            "after and dry_run belong to a filter: a batch is decided whole".to_owned(),
        )),
        (Some(batch), None) => whole(api, caller, (batch, note), decision).await,
        (None, Some(filter)) => {
            let filter = HeldFilter::from(filter.into_inner());
            if filter == HeldFilter::default() {
                let detail = "filter: name at least one of reporter, kind, because, since, until";
                return Err(invalid(detail.to_owned()));
            }
            if note.is_empty() {
                let detail = format!("note: 1 to {LONGEST_NOTE} bytes that say why");
                return Err(invalid(detail));
            }
            let what = HeldDecision {
                tenant: caller.tenant,
                filter: &filter,
                decision,
                note,
                after,
                dry_run,
            };
            let done = decide_held(&api.app, what).await?;
            Ok(Answer(TogetherAnswer {
                batch: None,
                decision,
                decided: done.page.decided,
                nameless: done.page.nameless,
                next: done.page.next,
                indexed: done.indexed,
            }))
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(invalid("give either a batch or a filter".to_owned()))
        }
    }
}

async fn whole(
    api: &Api,
    caller: &Caller,
    (batch, note): (String, &str),
    decision: Decision,
) -> Result<Answer<TogetherAnswer>, Problem> {
    let what = Batch {
        tenant: caller.tenant,
        batch: &batch,
        note,
    };
    let decided = decide_batch(&api.app, what, decision).await?;
    if decided.count == 0 {
        let detail = "nothing of that batch waits";
        return Err(Problem::new(Kind::NotFound, detail));
    }
    Ok(Answer(TogetherAnswer {
        batch: Some(batch),
        decision,
        decided: decided.count,
        nameless: 0,
        next: None,
        indexed: decided.indexed,
    }))
}
