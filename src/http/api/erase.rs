//! `POST /v1/erase`: to forget who a recipient is.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::caller::{Admin, May};
use super::problem::Problem;
use super::wire::Answer;
use crate::app::erase::{EraseError, erase as erase_recipient};
use crate::store::Erased;

/// Whom to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"address\": …}")]
pub(super) struct EraseRequest {
    /// The address, or the recipient key of 20 hexadecimal digits. With the key alone, mail is found
    /// only by what it was judged to be.
    address: String,
}

/// Erases the address of a recipient and all mail that is known to be of it.
///
/// The recipient key stays, and with it everything that is suppressed, the times, and the SHA-256 of
/// what came in. This cannot be taken back. An address that nothing is known of erases nothing.
/// Mail that a node has accepted and not yet stored is not found: call again when its
/// `GET /readyz/doors` says that nothing is unshipped. What it has stored stays in its journal for
/// `journal.keep`. Raw bytes that receipts of other tenants share are gone for these too, because
/// they name the person; the events and envelopes of other tenants stay. Copies, and other people's
/// mail that names the address in its text, are not found.
#[utoipa::path(
    post,
    path = "/v1/erase",
    tag = "evidence",
    security(("bearer" = ["admin"])),
    request_body(content = EraseRequest, example = json!({"address": "bob@example.com"})),
    responses((status = 200, description = "What was erased", body = Erased,
        example = json!({"suppressions": 2, "changes": 2, "events": 3, "receipts": 3,
            "messages": 2})))
)]
pub(super) async fn erase(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<EraseRequest>,
) -> Result<Answer<Erased>, Problem> {
    let tenant = caller.one_tenant()?;
    let erased = erase_recipient(&api.app, tenant, &request.address).await?;
    Ok(Answer(erased))
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::Whom(error) => error.into(),
            EraseError::Store(error) => error.into(),
        }
    }
}
