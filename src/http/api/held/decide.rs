//! `POST /v1/held/{id}/approve` and `…/dismiss`: an operator's decision.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::held::{Approval, DecideError, Decided, Operator, approve, dismiss};
use crate::http::api::Api;
use crate::http::api::body::{JsonOrNothing, Nothing};
use crate::http::api::caller::{Caller, May, Write};
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{self, Answer, Segment};
use crate::model::event::EventId;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};
use crate::store::Decision;

/// What the hold does not know itself. All of it may be left out, and the body too.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{\"address\": …, \"scope\": …, \"note\": …}, all of them optional"
)]
pub(in crate::http::api) struct ApproveRequest {
    /// Whom it is about, where the hold has no recipient.
    #[serde(default)]
    address: Option<String>,
    /// `all`, `marketing` or `stream:N`, instead of what the hold proposes.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Why, in words, at most 2,000 bytes.
    #[serde(default)]
    note: Option<String>,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct DecidedAnswer {
    /// Which hold.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    id: EventId,
    /// `approved` or `dismissed`.
    #[schema(value_type = String)]
    decision: Decision,
    /// What stands because of it; null after a dismissal.
    #[schema(required = true)]
    suppression: Option<Begun>,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// A suppression that stands.
#[derive(Debug, Serialize, ToSchema)]
struct Begun {
    /// The recipient key, 20 hexadecimal digits.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    recipient: RecipientKey,
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why.
    #[schema(value_type = String)]
    reason: Reason,
}

impl From<Decided> for DecidedAnswer {
    fn from(decided: Decided) -> Self {
        Self {
            id: decided.id,
            decision: decided.decision,
            suppression: decided.suppression.map(|key| Begun {
                recipient: key.recipient,
                scope: key.scope,
                reason: key.reason,
            }),
            indexed: decided.indexed,
        }
    }
}

/// Lets a hold take effect.
///
/// A hold that belongs to no tenant is decided with a key of the installation: approving it needs
/// the tenant whom it is for in `Desist-Tenant`, dismissing it does not.
#[utoipa::path(
    post,
    path = "/v1/held/{id}/approve",
    tag = "review",
    security(("bearer" = ["write"])),
    params(("id" = String, Path, description = "The event's id",
        example = "019aa5f2-7c00-7000-8000-000000000001.0")),
    request_body(content = Option<ApproveRequest>,
        example = json!({"address": "bob@example.com", "scope": "marketing"})),
    responses((status = 200, description = "Approved", body = DecidedAnswer,
        example = json!({"id": "019aa5f2-7c00-7000-8000-000000000001.0",
            "decision": "approved", "suppression": {"recipient": "0f1e2d3c4b5a69788796",
                "scope": "marketing", "reason": "complaint"}, "indexed": true})))
)]
pub(in crate::http::api) async fn approve_one(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Segment(id): Segment<EventId>,
    JsonOrNothing(request): JsonOrNothing<ApproveRequest>,
) -> Result<Answer<DecidedAnswer>, Problem> {
    let ApproveRequest {
        address,
        scope,
        note,
    } = request;
    let approval = Approval {
        address,
        scope,
        note,
    };
    let decided = approve(&api.app, operator(&caller), id, approval).await?;
    Ok(Answer(decided.into()))
}

/// Ends a hold without effect.
#[utoipa::path(
    post,
    path = "/v1/held/{id}/dismiss",
    tag = "review",
    security(("bearer" = ["write"])),
    params(("id" = String, Path, description = "The event's id",
        example = "019aa5f2-7c00-7000-8000-000000000001.0")),
    responses((status = 200, description = "Dismissed", body = DecidedAnswer,
        example = json!({"id": "019aa5f2-7c00-7000-8000-000000000001.0",
            "decision": "dismissed", "suppression": null, "indexed": true})))
)]
pub(in crate::http::api) async fn dismiss_one(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Segment(id): Segment<EventId>,
    JsonOrNothing(Nothing): JsonOrNothing<Nothing>,
) -> Result<Answer<DecidedAnswer>, Problem> {
    let decided = dismiss(&api.app, operator(&caller), id).await?;
    Ok(Answer(decided.into()))
}

fn operator(caller: &Caller) -> Operator {
    Operator {
        tenant: caller.tenant,
        of_installation: caller.key.tenant.is_none(),
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        let detail = error.to_string();
        match error {
            DecideError::Unknown => Self::new(Kind::NotFound, detail),
            DecideError::Before(decision) => {
                Self::new(Kind::AlreadyDecided, detail).with("decision", decision.as_str())
            }
            DecideError::NoTenant => Self::new(Kind::NoTenant, detail),
            DecideError::NoRecipient | DecideError::OtherRecipient => {
                Self::new(Kind::Unprocessable, detail)
            }
            DecideError::Item(error) => error.into(),
            DecideError::Store(error) => error.into(),
        }
    }
}
