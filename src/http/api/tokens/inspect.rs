//! `POST /v1/tokens/inspect`: what a token says.

use std::fmt::Display;

use axum::extract::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::tokens::{InspectError, Inspected, inspect};
use crate::http::api::Api;
use crate::http::api::body::Json;
use crate::http::api::caller::{May, Read};
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{self, Answer};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};
use crate::token::wire::Use;

/// Which token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"token\": …}")]
pub(in crate::http::api) struct InspectRequest {
    /// The token, in any case: bare, or an address or a URL that has it.
    token: String,
    /// Whether it was minted for this address.
    #[serde(default)]
    address: Option<String>,
}

/// What the token says.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct InspectAnswer {
    /// Whether it is a token of this tenant.
    valid: bool,
    /// Why not: `malformed`, `unknown-key`, `bad-mac` or `foreign` (of another tenant).
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Its fields, if it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<TokenFields>,
    /// Whether it was minted for the address of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    address_matches: Option<bool>,
    /// What stops mail to its recipient on its stream now, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<Suppressed>,
}

/// The fields of a token.
#[derive(Debug, Serialize, ToSchema)]
struct TokenFields {
    /// `feedback` or `bounce`.
    #[serde(rename = "use")]
    #[schema(value_type = String)]
    purpose: Use,
    /// Number of the tenant.
    tenant: u32,
    /// The signing key's serial modulo 16.
    key: u8,
    /// Whether that key is revoked: the token then proves nothing.
    revoked: bool,
    /// The stream; 0 for none.
    stream: u16,
    /// The stream's name, if it exists.
    #[schema(required = true)]
    stream_name: Option<String>,
    /// The recipient key, 20 hexadecimal digits.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    recipient: RecipientKey,
    /// The sender's own reference in hexadecimal.
    #[serde(rename = "ref")]
    reference: String,
}

/// What stands.
#[derive(Debug, Serialize, ToSchema)]
struct Suppressed {
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why.
    #[schema(value_type = String)]
    reason: Reason,
}

/// Explains a token: its fields, whether it verifies, and for whom it is.
#[utoipa::path(
    post,
    path = "/v1/tokens/inspect",
    tag = "tokens",
    security(("bearer" = ["read"])),
    request_body(content = InspectRequest,
        example = json!({"token": "ceaaaaiaa…", "address": "bob@example.com"})),
    responses((status = 200, description = "What it says", body = InspectAnswer,
        example = json!({"valid": true, "fields": {"use": "feedback", "tenant": 1, "key": 1,
            "revoked": false, "stream": 3, "stream_name": "newsletter",
            "recipient": "0f1e2d3c4b5a69788796", "ref": "00c0ffee"},
            "address_matches": true})))
)]
pub(in crate::http::api) async fn explain(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Json(request): Json<InspectRequest>,
) -> Result<Answer<InspectAnswer>, Problem> {
    let address = request.address.as_deref();
    match inspect(&api.app, caller.tenant, &request.token, address) {
        Ok(inspected) => Ok(Answer(form(inspected))),
        Err(error @ InspectError::Token(word)) => Ok(Answer(invalid(&word, error))),
        Err(error @ InspectError::Foreign) => Ok(Answer(invalid(&"foreign", error))),
        Err(error @ InspectError::Address(_)) => {
            Err(Problem::new(Kind::InvalidRequest, error.to_string()))
        }
        Err(InspectError::Check(error)) => Err(error.into()),
    }
}

fn invalid(word: &dyn Display, why: InspectError) -> InspectAnswer {
    InspectAnswer {
        valid: false,
        error: Some(word.to_string()),
        detail: Some(why.to_string()),
        fields: None,
        address_matches: None,
        suppressed: None,
    }
}

fn form(inspected: Inspected) -> InspectAnswer {
    let Inspected {
        token,
        stream_name,
        matches,
        suppressed,
    } = inspected;
    InspectAnswer {
        valid: true,
        error: None,
        detail: None,
        fields: Some(TokenFields {
            purpose: token.purpose,
            tenant: token.fields.tenant.get(),
            key: token.fields.key,
            revoked: token.revoked,
            stream: token.fields.stream,
            stream_name,
            recipient: token.fields.recipient,
            reference: HEXLOWER.encode(&token.fields.reference),
        }),
        address_matches: matches,
        suppressed: suppressed.map(|hit| Suppressed {
            scope: hit.scope,
            reason: hit.reason,
        }),
    }
}
