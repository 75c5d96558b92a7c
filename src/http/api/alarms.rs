//! `GET /v1/alarms`: what somebody should look at.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::problem::Problem;
use super::wire::{self, Answer, Listing, Parameters};
use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;
use crate::store::{Alarm, AlarmKind};

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlarmParameters {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// Something that somebody should look at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlarmItem {
    /// What is told once, however often it happens, has one id.
    id: String,
    /// When it was raised.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Number of the tenant; null if it is no single one's.
    #[schema(value_type = Option<u32>, required = true)]
    tenant: Option<u32>,
    /// What it is about: `brake`, `signal`, `revoked-key`, `not-storable` or `certificate`.
    #[schema(value_type = String)]
    kind: AlarmKind,
    /// The same in words.
    about: &'static str,
    /// What is known.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
}

impl From<Alarm> for AlarmItem {
    fn from(alarm: Alarm) -> Self {
        Self {
            about: alarm.kind.about(),
            id: alarm.id,
            at: alarm.at,
            tenant: alarm.tenant.map(TenantId::get),
            kind: alarm.kind,
            detail: alarm.detail,
        }
    }
}

/// Lists alarms, the newest first.
#[utoipa::path(
    get,
    path = "/v1/alarms",
    tag = "review",
    security(("bearer" = ["read"])),
    params(AlarmParameters),
    responses((status = 200, description = "A page", body = Listing<AlarmItem>,
        example = json!({"items": [{"id": "brake-1-example.com-20261121T12",
            "at": "2026-11-21T12:07:00.417Z", "tenant": 1, "kind": "brake",
            "about": "a provider calls too many recipients dead at once: they are held",
            "detail": {"batch": "1-example.com-20261121T12", "provider": "example.com",
                "hour": "2026-11-21T12:00:00Z", "bounces": 201, "busiest_hour_before": 17}}],
            "next": null})))
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<AlarmParameters>,
) -> Result<Answer<Listing<AlarmItem>>, Problem> {
    let paging = wire::paging(asked.after, asked.limit)?;
    let page = api.app.store.alarms(caller.tenant, &paging).await?;
    Ok(Answer(Listing::of(page, AlarmItem::from)))
}
