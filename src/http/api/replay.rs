//! `POST /v1/replay`: kept receipts are read again with today's reader and rules, a page a call.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::caller::{Admin, May};
use super::problem::Problem;
use super::wire::{self, Answer};
use crate::app::replay::{ReplayPage, Replayed, replay};
use crate::model::clock::Timestamp;
use crate::model::receipt::ReceiptId;
use crate::store::ReplayFilter;

/// Which receipts, and whether it is for good.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"since\": …, \"dry_run\": …}")]
pub(super) struct ReplayRequest {
    /// Only what was accepted then or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only what was accepted before then.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The `next` of the page before.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    after: Option<ReceiptId>,
    /// Change nothing, only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// What a page of receipts came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayAnswer {
    /// Receipts that were read.
    read: u64,
    /// Those of them whose raw bytes are no longer kept.
    not_kept: u64,
    /// Those that say something else today.
    changed: u64,
    /// Suppressions that would not begin today.
    unmade: u64,
    /// Suppressions that would.
    made: u64,
    /// Which rules have become which.
    rules: Vec<RuleChange>,
    /// Suppressions that were lifted; 0 on a dry run.
    lifted: u64,
    /// Suppressions that were begun; 0 on a dry run.
    begun: u64,
    /// To be sent as `after` for the next page; null at the end.
    #[serde(serialize_with = "wire::optional_text")]
    #[schema(value_type = Option<String>, required = true)]
    next: Option<ReceiptId>,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// How often a rule has become another.
#[derive(Debug, Serialize, ToSchema)]
struct RuleChange {
    /// The rule that had decided; `-` if there was no such event.
    before: String,
    /// The rule that decides today; `-` if there is no such event.
    today: String,
    /// How often.
    events: u64,
}

impl From<Replayed> for ReplayAnswer {
    fn from(replayed: Replayed) -> Self {
        let rules = replayed.rules.into_iter();
        Self {
            read: replayed.read,
            not_kept: replayed.not_kept,
            changed: replayed.changed,
            unmade: replayed.unmade,
            made: replayed.made,
            rules: rules
                .map(|((before, today), events)| RuleChange {
                    before,
                    today,
                    events,
                })
                .collect(),
            lifted: replayed.lifted,
            begun: replayed.begun,
            next: replayed.next,
            indexed: replayed.indexed,
        }
    }
}

/// Reads kept receipts again with today's reader and rules, the oldest first, a page a call.
///
/// Suppressions that would not begin today are lifted, with that reason in their history; those
/// that would begin do, unless they were lifted after their receipt. Events stay; what holds
/// instead is added with the note `replayed`.
#[utoipa::path(
    post,
    path = "/v1/replay",
    tag = "management",
    security(("bearer" = ["admin"])),
    request_body(content = ReplayRequest,
        example = json!({"since": "2026-11-01T00:00:00Z", "dry_run": true})),
    responses((status = 200, description = "What a page came to", body = ReplayAnswer,
        example = json!({"read": 200, "not_kept": 0, "changed": 20, "unmade": 17, "made": 3,
            "rules": [{"before": "bounce-hard", "today": "bounce-ours", "events": 17},
                {"before": "bounce-unread", "today": "bounce-hard", "events": 3}],
            "lifted": 0, "begun": 0, "next": null, "indexed": true})))
)]
pub(super) async fn page(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<ReplayRequest>,
) -> Result<Answer<ReplayAnswer>, Problem> {
    let page = ReplayPage {
        filter: ReplayFilter {
            tenant: caller.tenant,
            since: request.since,
            until: request.until,
        },
        after: request.after,
        dry_run: request.dry_run,
    };
    let replayed = replay(&api.app, &api.app.settings.policy, page).await?;
    Ok(Answer(replayed.into()))
}
