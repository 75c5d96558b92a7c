//! `GET /v1/suppressions`: what stands, page by page.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

pub(super) mod add;
pub(super) mod lift;
pub(super) mod one;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::problem::Problem;
use super::wire::{self, Answer, Listing, Parameters};
use crate::model::clock::Timestamp;
use crate::model::event::EventId;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};
use crate::store::StoredSuppression;

/// Which suppressions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
    /// Only this scope: `all`, `marketing` or `stream:N`.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[param(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Only this reason: `complaint`, `unsubscribe`, `bounce`, `manual` or `import`.
    #[param(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// A suppression, standing or lifted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Suppression {
    /// The recipient key, 20 hexadecimal digits.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    recipient: RecipientKey,
    /// The address, where one is known and kept.
    #[schema(required = true)]
    address: Option<String>,
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why.
    #[schema(value_type = String)]
    reason: Reason,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The event that began it; null if an operator did.
    #[serde(serialize_with = "wire::optional_text")]
    #[schema(value_type = Option<String>, required = true)]
    event: Option<EventId>,
    /// What the operator noted.
    #[schema(required = true)]
    note: Option<String>,
    /// What is kept for ever about its cause.
    #[schema(value_type = Object)]
    evidence: serde_json::Value,
    /// When its address was erased; null if it was not.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    erased: Option<Timestamp>,
    /// When and why it ended; null while it stands.
    #[schema(required = true)]
    lifted: Option<LiftedAt>,
}

/// The end of a suppression.
#[derive(Debug, Serialize, ToSchema)]
struct LiftedAt {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Why, in words.
    note: String,
}

impl From<StoredSuppression> for Suppression {
    fn from(stored: StoredSuppression) -> Self {
        Self {
            recipient: stored.key.recipient,
            address: stored.address,
            scope: stored.key.scope,
            reason: stored.key.reason,
            since: stored.since,
            event: stored.event,
            note: stored.note,
            evidence: stored.evidence,
            erased: stored.erased,
            lifted: stored.lifted.map(|(at, note)| LiftedAt { at, note }),
        }
    }
}

/// Lists the standing suppressions of the tenant in a stable order.
#[utoipa::path(
    get,
    path = "/v1/suppressions",
    tag = "suppressions",
    security(("bearer" = ["read"])),
    params(ListParameters),
    responses((status = 200, description = "A page", body = Listing<Suppression>,
        example = json!({"items": [{"recipient": "0f1e2d3c4b5a69788796",
            "address": "bob@example.com", "scope": "marketing", "reason": "complaint",
            "since": "2026-11-21T12:00:00.417Z",
            "event": "019aa5f2-7c00-7000-8000-000000000001.0", "note": null,
            "evidence": {"door": "smtp"}, "erased": null, "lifted": null}], "next": null})))
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Answer<Listing<Suppression>>, Problem> {
    let paging = wire::paging(asked.after, asked.limit)?;
    let tenant = caller.one_tenant()?;
    let page = api
        .app
        .store
        .suppressions(tenant, asked.scope, asked.reason, &paging)
        .await?;
    Ok(Answer(Listing::of(page, Suppression::from)))
}
