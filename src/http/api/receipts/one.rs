//! `GET /v1/receipts/{id}`: one receipt and what was read from it.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::ReceiptItem;
use crate::app::receipts::{ReceiptError, one};
use crate::http::api::Api;
use crate::http::api::caller::{May, Read};
use crate::http::api::events::EventItem;
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{Answer, Segment};
use crate::model::receipt::ReceiptId;

/// A receipt with its events.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct ReceiptWithEvents {
    /// The receipt.
    receipt: ReceiptItem,
    /// What was read from it.
    events: Vec<EventItem>,
}

/// Shows one receipt with its envelope and its events.
///
/// One mail can report about several tenants. A tenant's key sees it if one of its events is the
/// tenant's, even where lists of receipts do not show it, and of the events only the tenant's;
/// `tenant` is null and the envelope names no recipient if the receipt is another's.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}",
    tag = "evidence",
    security(("bearer" = ["read"])),
    params(("id" = String, Path, description = "The receipt's id",
        example = "019aa5f2-7c00-7000-8000-000000000001")),
    responses((status = 200, description = "The receipt", body = ReceiptWithEvents,
        example = json!({"receipt": {"id": "019aa5f2-7c00-7000-8000-000000000001",
            "at": "2026-11-21T12:00:00.417Z", "door": "one-click", "tenant": 1,
            "state": "done", "size": 26,
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "envelope": {"peer": "192.0.2.1", "hello": "Mozilla/5.0", "protocol": "HTTPS",
                "mail_from": null, "recipient": "", "mailbox": "", "role": "unsubscribe",
                "token": null, "content_type": "application/x-www-form-urlencoded"}},
            "events": []})))
)]
pub(in crate::http::api) async fn show(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Segment(id): Segment<ReceiptId>,
) -> Result<Answer<ReceiptWithEvents>, Problem> {
    let (receipt, events) = one(&api.app, caller.tenant, id).await?;
    Ok(Answer(ReceiptWithEvents {
        receipt: receipt.into(),
        events: events.into_iter().map(EventItem::from).collect(),
    }))
}

impl From<ReceiptError> for Problem {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Unknown => Self::new(Kind::NotFound, error.to_string()),
            ReceiptError::NoLongerKept => Self::new(Kind::RawNotKept, error.to_string()),
            ReceiptError::Store(error) => error.into(),
        }
    }
}
