//! `POST /v1/erase`: to forget who a recipient is.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::caller::{Admin, May};
use super::problem::Problem;
use super::wire::Answer;
use crate::app::erase::{EraseError, Forgotten, erase as erase_recipient};
use crate::model::clock::Timestamp;

/// Whom to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"address\": …}")]
pub(super) struct EraseRequest {
    /// The address, or the recipient key of 20 hexadecimal digits. With the key alone, mail is found
    /// only by what it was judged to be.
    address: String,
}

/// What was erased: rows that had something of the recipient in them and have it no longer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EraseAnswer {
    /// Suppressions, standing and lifted, that no longer name an address.
    suppressions: u64,
    /// Changes of the feed that no longer name one.
    changes: u64,
    /// Events that no longer name one.
    events: u64,
    /// Receipts whose envelopes no longer tell who wrote, from where, and with which program.
    receipts: u64,
    /// Messages whose raw bytes are gone.
    messages: u64,
    /// Receipts that this node had accepted before and that were not in the store in time: they were
    /// not looked at.
    unshipped: u64,
    /// Receipts of this node that no store takes: they were not looked at, and are tried again when it
    /// starts.
    left: u64,
    /// Until when the journal of this node keeps what it has brought into the store; null if it keeps
    /// it no longer than it must.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    journal_until: Option<Timestamp>,
}

impl From<Forgotten> for EraseAnswer {
    fn from(forgotten: Forgotten) -> Self {
        let Forgotten {
            erased,
            unshipped,
            left,
            journal_until,
        } = forgotten;
        Self {
            suppressions: erased.suppressions,
            changes: erased.changes,
            events: erased.events,
            receipts: erased.receipts,
            messages: erased.messages,
            unshipped,
            left,
            journal_until,
        }
    }
}

/// Erases the address of a recipient and all mail that is known to be of it.
///
/// The recipient key stays, and with it everything that is suppressed, the times, and the SHA-256 of
/// what came in. This cannot be taken back. An address that nothing is known of erases nothing.
/// Mail that this node has accepted before the call is waited for, up to 10 s: while `unshipped` is
/// not 0, call again; and if `left` is not 0, once the node has started anew without any. Of several
/// nodes each knows its own mail alone: ask each. The journal's file may hold the octets of mail that
/// was stored until `journal_until`, or without one for some seconds, and from then on until other mail
/// is written over them. Raw bytes
/// that receipts of other tenants share are gone for these too, because they name the person; the
/// events and envelopes of other tenants stay. Copies, and other people's mail that names the address
/// in its text, are not found.
#[utoipa::path(
    post,
    path = "/v1/erase",
    tag = "evidence",
    security(("bearer" = ["admin"])),
    request_body(content = EraseRequest, example = json!({"address": "bob@example.com"})),
    responses((status = 200, description = "What was erased", body = EraseAnswer,
        example = json!({"suppressions": 2, "changes": 2, "events": 3, "receipts": 3,
            "messages": 2, "unshipped": 0, "left": 0,
            "journal_until": "2026-11-21T12:15:00.417Z"})))
)]
pub(super) async fn erase(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<EraseRequest>,
) -> Result<Answer<EraseAnswer>, Problem> {
    let tenant = caller.one_tenant()?;
    let erased = erase_recipient(&api.app, tenant, &request.address).await?;
    Ok(Answer(erased.into()))
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::Whom(error) => error.into(),
            EraseError::Store(error) => error.into(),
        }
    }
}
