//! `GET /v1/events`: the feed of judged facts.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

pub(super) mod add;

use axum::extract::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::cursor::{Wait, behind, cursor, place};
use super::problem::{Kind, Problem};
use super::wire::{self, Answer, Listing, Parameters};
use crate::app::suppressions::whom_in;
use crate::model::authentication::Authentication;
use crate::model::clock::Timestamp;
use crate::model::event::{
    Detail, Effect, EventId, EventKind, FoundIn, HoldReason, Proof, SoftFailure,
};
use crate::model::receipt::{Door, ReceiptId};
use crate::model::recipient::RecipientKey;
use crate::model::reporter;
use crate::model::suppression::{Reason, Scope};
use crate::model::tenant::TenantId;
use crate::store::{EventFilter, StoredEvent};

/// Which part of the feed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsParameters {
    /// The `next` of the answer before; `head` for only what comes from now on.
    after: Option<String>,
    /// Only this kind, for instance `complaint`.
    #[param(value_type = Option<String>)]
    kind: Option<EventKind>,
    /// Only with this proof: `token`, `authenticated`, `operator` or `none`.
    #[param(value_type = Option<String>)]
    proof: Option<Proof>,
    /// Only from this reporter: by the organisational domain of who reports (of a host its domain
    /// counts), or by the program. `other` of `GET /v1/stats` is nobody's name.
    reporter: Option<String>,
    /// Only about this recipient: an address, or a recipient key of 20 hexadecimal digits.
    recipient: Option<String>,
    /// Items at most, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
    /// Seconds to wait for the first event, 0 to 60; 0 if not given.
    wait: Option<u64>,
}

/// One judged fact.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventItem {
    /// The receipt's id, a dot and a number.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    id: EventId,
    /// The receipt that it was read from.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    receipt: ReceiptId,
    /// Its place in the feed.
    seq: u64,
    /// When its receipt was accepted.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// By which door: `smtp`, `one-click` or `api`.
    #[schema(value_type = String)]
    door: Door,
    /// Number of the tenant; null if none could be named.
    #[schema(value_type = Option<u32>, required = true)]
    tenant: Option<u32>,
    /// What it says, for instance `complaint`.
    #[schema(value_type = String)]
    kind: EventKind,
    /// Why it is believed: `token`, `authenticated`, `operator` or `none`.
    #[schema(value_type = String)]
    proof: Proof,
    /// What authentication of the mail said: `passed` or `failed`; `not-asked` also of what is no
    /// mail, such as a click.
    #[schema(value_type = String)]
    authentication: Authentication,
    /// The recipient key, 20 hexadecimal digits.
    #[serde(serialize_with = "wire::optional_text")]
    #[schema(value_type = Option<String>, required = true)]
    recipient: Option<RecipientKey>,
    /// The address that the report asserts, if it is the recipient's.
    #[schema(required = true)]
    address: Option<String>,
    /// The token's stream; 0 if none is named.
    stream: u16,
    /// The token's ref in hexadecimal.
    #[serde(rename = "ref")]
    reference: String,
    /// In which class of place the token was found.
    #[schema(value_type = Option<String>, required = true)]
    found_in: Option<FoundIn>,
    /// What it changes.
    effects: Vec<EffectItem>,
    /// Extracts for people.
    #[schema(value_type = Object)]
    detail: Detail,
}

/// What an event changes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EffectItem {
    /// `suppress`, `hold`, `signal`, `count-soft`, `reset-soft` or `undo`.
    #[schema(value_type = String)]
    effect: &'static str,
    /// How much it stops.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "wire::optional_text"
    )]
    #[schema(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
    /// Why it waits for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    because: Option<HoldReason>,
    /// What is counted: `failed`, `mailbox-full` or `unread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    failure: Option<SoftFailure>,
}

impl From<Effect> for EffectItem {
    fn from(effect: Effect) -> Self {
        let stops = effect.stops();
        Self {
            effect: effect.as_str(),
            scope: stops.map(|(scope, _)| scope),
            reason: stops.map(|(_, reason)| reason),
            because: effect.because(),
            failure: effect.failure(),
        }
    }
}

impl From<StoredEvent> for EventItem {
    fn from(stored: StoredEvent) -> Self {
        let StoredEvent {
            seq,
            at,
            door,
            event,
        } = stored;
        Self {
            id: event.id,
            receipt: event.id.receipt,
            seq,
            at,
            door,
            tenant: event.tenant.map(TenantId::get),
            kind: event.kind,
            proof: event.proof,
            authentication: event.authentication,
            recipient: event.recipient,
            address: event.address,
            stream: event.stream,
            reference: HEXLOWER.encode(&event.reference),
            found_in: event.found_in,
            effects: event.effects.into_iter().map(EffectItem::from).collect(),
            detail: event.detail,
        }
    }
}

/// Reads what was judged, in order and without gaps; filters may be combined.
///
/// After an update of a store that had events before these could be found by proof and reporter, both
/// filters answer `503` with `Retry-After` until the old ones are ready.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "feeds",
    security(("bearer" = ["read"])),
    params(EventsParameters),
    responses((status = 200, description = "What follows", body = Listing<EventItem>,
        example = json!({"items": [{"id": "019aa5f2-7c00-7000-8000-000000000001.0",
            "receipt": "019aa5f2-7c00-7000-8000-000000000001", "seq": 7,
            "at": "2026-11-21T12:00:00.417Z", "door": "smtp", "tenant": 1, "kind": "complaint", "proof": "token",
            "authentication": "not-asked", "recipient": "0f1e2d3c4b5a69788796",
            "address": null, "stream": 3, "ref": "", "found_in": "returned-header",
            "effects": [{"effect": "suppress", "scope": "marketing", "reason": "complaint"}],
            "detail": {"feedback_type": "abuse"}}], "next": "k3v9:7"})))
)]
pub(super) async fn events(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<EventsParameters>,
) -> Result<Answer<Listing<EventItem>>, Problem> {
    let app = &api.app;
    let limit = wire::limit(asked.limit)?;
    let mut wait = Wait::new(&api, asked.wait)?;
    let recipients = match &asked.recipient {
        Some(text) => whom_in(app, caller.one_tenant()?, text)?.recipients,
        None => Vec::new(),
    };
    let filter = EventFilter {
        kind: asked.kind,
        proof: asked.proof,
        reporter: asked.reporter.as_deref().map(reporter).transpose()?,
        recipients,
    };
    let mut begin = behind(&app.store, place(&app.store, asked.after.as_deref())?).await?;
    loop {
        let (found, upto) = app
            .store
            .events(caller.tenant, &filter, begin, limit)
            .await?;
        if !found.is_empty() || !wait.more(upto).await {
            let items = found.into_iter().map(EventItem::from).collect();
            return Ok(Answer(Listing {
                items,
                next: Some(cursor(&app.store, upto)),
            }));
        }
        begin = upto;
    }
}

fn reporter(text: &str) -> Result<String, Problem> {
    reporter::meant(text).ok_or_else(|| {
        let detail = "reporter: a domain, a host or the name of a program is wanted";
        Problem::new(Kind::InvalidRequest, detail)
    })
}
