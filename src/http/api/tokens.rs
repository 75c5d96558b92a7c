//! `POST /v1/tokens`: tokens and header fields for outgoing mail.

pub(super) mod inspect;

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::caller::{May, Write};
use super::problem::{Kind, Problem};
use super::wire::{self, Answer, Bounded, Object};
use crate::app::tokens::{Minter, Recipient, TokensError, reference};
use crate::model::address::Address;
use crate::token::wire::Use;

/// Recipients in one call.
const MOST_RECIPIENTS: usize = 1000;

/// For whom, and for which stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{\"stream\": …, \"recipients\": […]}"
)]
pub(super) struct TokensRequest {
    /// The stream of the mail; 0 (if not given) for none.
    #[serde(default, deserialize_with = "wire::stream_or_zero")]
    stream: u16,
    /// At most 1,000.
    #[schema(value_type = Vec<RecipientItem>, max_items = 1000)]
    recipients: Bounded<Object<RecipientItem>, MOST_RECIPIENTS>,
    /// If given, only a bare token for this use is minted, without return path and headers:
    /// `feedback` or `bounce`.
    #[serde(default, rename = "use")]
    #[schema(value_type = Option<String>)]
    purpose: Option<Use>,
}

/// One recipient.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a recipient: {\"address\": …}")]
pub(super) struct RecipientItem {
    /// Whom the mail is for.
    address: String,
    /// The sender's own reference in hexadecimal: at most 6 bytes, 16 in a bare token.
    #[serde(default, rename = "ref")]
    reference: String,
}

/// One item a recipient, in the order of the call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokensAnswer {
    /// The tokens.
    items: Vec<TokenItem>,
}

/// What one mail needs.
#[derive(Debug, Default, Serialize, ToSchema)]
struct TokenItem {
    /// As sent.
    address: String,
    /// The token: of use `feedback` unless another was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The address for MAIL FROM.
    #[serde(skip_serializing_if = "Option::is_none")]
    return_path: Option<String>,
    /// Header fields by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'static str, String>>,
    /// Why there is no token.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Mints tokens with the return path and the header fields that carry them.
///
/// Works while the store is away. The same input gives the same token for ever; only the
/// Message-ID differs from call to call.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "tokens",
    security(("bearer" = ["write"])),
    request_body(content = TokensRequest, example = json!({"stream": 3, "recipients": [
        {"address": "bob@example.com", "ref": "00c0ffee"}]})),
    responses((status = 200, description = "Tokens", body = TokensAnswer,
        example = json!({"items": [{"address": "bob@example.com", "token": "ceaaaaiaa…",
            "return_path": "b-ceaaaaiaa…@fb.example.com", "headers": {
                "CFBL-Address": "cfbl@fb.example.com; report=arf",
                "CFBL-Feedback-ID": "ceaaaaiaa…",
                "List-Unsubscribe": "<https://u.example.com/u/ceaaaaiaa…>, \
                    <mailto:u-ceaaaaiaa…@fb.example.com?subject=unsubscribe>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "Message-ID": "<ceaaaaiaa….5f0c1d2e3b4a5968@fb.example.com>",
                "X-Desist": "ceaaaaiaa…"}}]})))
)]
pub(super) async fn mint(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<TokensRequest>,
) -> Result<Answer<TokensAnswer>, Problem> {
    let minter = Minter::new(&api.app, caller.one_tenant()?, request.stream)?;
    let recipients = request.recipients.objects()?;
    let mut addresses = Vec::with_capacity(recipients.len());
    let mut items = Vec::with_capacity(recipients.len());
    for item in recipients {
        let minted = item.read().and_then(|recipient| {
            let minted = form(&minter, &recipient, request.purpose);
            addresses.push(recipient.address);
            minted
        });
        items.push(match minted {
            Ok(minted) => TokenItem {
                address: item.address,
                ..minted
            },
            Err(error) => TokenItem {
                address: item.address,
                error: Some(error.to_string()),
                ..TokenItem::default()
            },
        });
    }
    minter.fill_in(&api.app, &addresses).await;
    Ok(Answer(TokensAnswer { items }))
}

impl RecipientItem {
    fn read(&self) -> Result<Recipient, TokensError> {
        let address = Address::parse(&self.address)?;
        Ok(Recipient {
            address,
            reference: reference(&self.reference)?,
        })
    }
}

fn form(
    minter: &Minter,
    recipient: &Recipient,
    purpose: Option<Use>,
) -> Result<TokenItem, TokensError> {
    if let Some(purpose) = purpose {
        let token = minter.token(recipient, purpose)?;
        return Ok(TokenItem {
            token: Some(token.text),
            ..TokenItem::default()
        });
    }
    let minted = minter.mail(recipient)?;
    Ok(TokenItem {
        token: Some(minted.token.text),
        return_path: Some(minted.return_path),
        headers: Some(minted.headers.into_iter().collect()),
        ..TokenItem::default()
    })
}

impl From<TokensError> for Problem {
    fn from(error: TokensError) -> Self {
        let detail = error.to_string();
        match error {
            TokensError::UnknownStream(stream) => {
                Self::new(Kind::UnknownStream, detail).with("stream", stream)
            }
            TokensError::NoDomain => Self::new(Kind::Unprocessable, detail),
            TokensError::Address(_)
            | TokensError::Hexadecimal
            | TokensError::Mint(_)
            | TokensError::Carrier(_) => Self::new(Kind::InvalidRequest, detail),
            TokensError::Random => Self::new(Kind::Internal, detail),
        }
    }
}
