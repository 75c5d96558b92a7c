//! `GET /v1/held`: what waits for an operator.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

pub(super) mod decide;
pub(super) mod together;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::events::EventItem;
use super::problem::Problem;
use super::wire::{self, Answer, Listing, Parameters};
use crate::model::event::EventId;
use crate::store::StoredHold;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HeldParameters {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
    /// Only those of this batch.
    batch: Option<String>,
}

/// An event that would suppress, but waits for an operator.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Held {
    /// To be named when deciding: the event's id.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    id: EventId,
    /// The event; its effect `hold` says what it would do and why it waits.
    event: EventItem,
    /// The batch, if the brake has held several together.
    #[schema(required = true)]
    batch: Option<String>,
}

impl From<StoredHold> for Held {
    fn from(hold: StoredHold) -> Self {
        Self {
            id: hold.event.event.id,
            event: hold.event.into(),
            batch: hold.batch,
        }
    }
}

/// Lists what waits for an operator, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/held",
    tag = "review",
    security(("bearer" = ["read"])),
    params(HeldParameters),
    responses((status = 200, description = "A page", body = Listing<Held>,
        example = json!({"items": [{"id": "019aa5f2-7c00-7000-8000-000000000001.0",
            "event": {"id": "019aa5f2-7c00-7000-8000-000000000001.0",
                "receipt": "019aa5f2-7c00-7000-8000-000000000001", "seq": 7,
                "at": "2026-11-21T12:00:00.417Z", "tenant": 1, "kind": "complaint",
                "proof": "none", "authentication": "failed", "recipient": null,
                "address": null, "stream": 0, "ref": "", "found_in": null,
                "effects": [{"effect": "hold", "scope": "marketing",
                    "reason": "complaint", "because": "unproven"}],
                "detail": {"feedback_type": "abuse"}}, "batch": null}], "next": null})))
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<HeldParameters>,
) -> Result<Answer<Listing<Held>>, Problem> {
    let paging = wire::paging(asked.after, asked.limit)?;
    let page = api
        .app
        .store
        .held(caller.tenant, asked.batch.as_deref(), &paging)
        .await?;
    Ok(Answer(Listing::of(page, Held::from)))
}
