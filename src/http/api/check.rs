//! `POST /v1/check`: may these addresses be mailed?

#![expect(
    single_use_lifetimes,
    reason = "written by the macro that describes the types"
)]

mod block;
mod lines;
mod quick;
mod spool;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::block::Form;
use self::lines::LinesParameters;
pub(super) use self::quick::QuickCheck;
pub use self::spool::SpoolPlace;
use super::Api;
use super::body::{Body, JsonBody, media_type};
use super::caller::{self, May};
use super::problem::{Kind, Problem};
use super::wire::{self, Bounded};
use crate::app::check::{Check, CheckError};
use crate::model::address::AddressError;
use crate::model::clock::Timestamp;
use crate::model::suppression::{Reason, Scope};
use crate::model::tenant::TenantId;

/// Addresses in one call.
const MOST_ADDRESSES: usize = 100_000;

/// A body from this size on is answered on a thread of its own: about a millisecond of work.
const BULK_BYTES: usize = 64 * 1024;

/// The media types of the line form: an address, or a JSON string, a line.
pub(super) const LINES: &str = "text/plain";
pub(super) const JSON_LINES: &str = "application/x-ndjson";

/// Which addresses, and for which stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"addresses\": […]}")]
pub(super) struct CheckRequest<'a> {
    /// The stream that is to be mailed; without it any scope counts.
    #[serde(default, deserialize_with = "wire::optional_stream")]
    stream: Option<u16>,
    /// At most 100,000.
    #[serde(borrow)]
    #[schema(value_type = Vec<String>, max_items = 100_000)]
    addresses: Bounded<Text<'a>, MOST_ADDRESSES>,
}

/// A text that is borrowed from the body unless it has escapes.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Who must not be mailed. Addresses that are not named may be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckAnswer<'a> {
    /// How many addresses were looked at, bad ones included.
    checked: usize,
    /// One item for each suppressed address: its widest scope, and for it the strongest reason.
    suppressed: Vec<SuppressedAddress<'a>>,
    /// Texts that are no addresses: never mail them.
    errors: Vec<BadAddress<'a>>,
    /// The store's clock when this node's index was last complete.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
}

/// An address that must not be mailed.
#[derive(Debug, Serialize, ToSchema)]
struct SuppressedAddress<'a> {
    /// Its place in the call, from 0.
    index: usize,
    /// As sent.
    address: &'a str,
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why.
    #[schema(value_type = String)]
    reason: Reason,
    /// Since when, in whole seconds.
    #[serde(serialize_with = "seconds")]
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// A text that is no address.
#[derive(Debug, Serialize, ToSchema)]
struct BadAddress<'a> {
    /// Its place in the call, from 0.
    index: usize,
    /// As sent.
    address: &'a str,
    /// What is wrong with it.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    error: AddressError,
}

/// Asks which of many addresses must not be mailed.
///
/// Answered from memory; works while the store is away. An error, or no answer, never means "not
/// suppressed". Bad addresses are named in `errors`, all others are answered.
///
/// Lists of any length are sent as lines: an address a line as `text/plain`, or a JSON string a line
/// as `application/x-ndjson`. The lines that may be mailed come back in their order while the others
/// are still being sent. What is no address is never among them. The last line is `# end checked=…
/// suppressed=… errors=… as_of=…`; without it the answer is void.
#[utoipa::path(
    post,
    path = "/v1/check",
    tag = "check",
    security(("bearer" = ["check"])),
    params(LinesParameters),
    request_body(content(
        (CheckRequest<'_> = "application/json", example = json!({
            "stream": 3, "addresses": ["ann@example.com", "bob@example.com", "nobody"]
        })),
        (String = "text/plain", example = "ann@example.com\nbob@example.com\nnobody\n"),
        (String = "application/x-ndjson", example = "\"ann@example.com\"\n")
    )),
    responses((status = 200, description = "Who must not be mailed; as lines: who may be",
        content(
            (CheckAnswer<'_> = "application/json", example = json!({
                "checked": 3,
                "suppressed": [{"index": 1, "address": "bob@example.com", "scope": "marketing",
                    "reason": "complaint", "since": "2026-11-21T12:00:00Z"}],
                "errors": [{"index": 2, "address": "nobody", "error": "an address needs an @"}],
                "as_of": "2026-11-21T12:00:05.123Z"
            })),
            (String = "text/plain", example = "ann@example.com\n\
                # end checked=3 suppressed=1 errors=1 as_of=2026-11-21T12:00:05.123Z\n"),
            (String = "application/x-ndjson", example = "\"ann@example.com\"\n\
                # end checked=1 suppressed=0 errors=0 as_of=2026-11-21T12:00:05.123Z\n")
        )))
)]
pub(super) async fn check(
    State(api): State<Api>,
    May { caller, .. }: May<caller::Check>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = caller.one_tenant()?;
    match media_type(request.headers()).as_deref() {
        Some(LINES) => return lines::answer(&api, tenant, Form::Plain, request),
        Some(JSON_LINES) => return lines::answer(&api, tenant, Form::Json, request),
        _ => {}
    }
    let JsonBody(body) = JsonBody::from_request(request, &api).await?;
    if body.bytes().len() < BULK_BYTES {
        return answer(&api, tenant, &body).map(wire::json);
    }
    // As many at a time as there are processors: more would only wait for each other.
    let turn = Arc::clone(&api.bulk).acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let answered = answer(&api, tenant, &body);
        drop(turn);
        answered
    });
    let body = done
        .await
        .map_err(|error| Problem::internal("a bulk check ended without an answer", &error))?;
    body.map(wire::json)
}

fn answer(api: &Api, tenant: TenantId, body: &Body) -> Result<Vec<u8>, Problem> {
    let request: CheckRequest<'_> = body.json()?;
    let addresses = request.addresses.within()?;
    let check = Check::new(&api.app, tenant, request.stream)?;
    let answers = check.addresses(&addresses);
    let text = |index: usize| addresses.get(index).map_or("", AsRef::as_ref);
    let suppressed = answers.suppressed.into_iter();
    let suppressed = suppressed.map(|(index, hit)| SuppressedAddress {
        index,
        address: text(index),
        scope: hit.scope,
        reason: hit.reason,
        since: hit.since,
    });
    let errors = answers.errors.into_iter().map(|(index, error)| BadAddress {
        index,
        address: text(index),
        error,
    });
    let checked = addresses.len();
    let answer = CheckAnswer {
        checked,
        suppressed: suppressed.collect(),
        errors: errors.collect(),
        as_of: check.as_of(),
    };
    serde_json::to_vec(&answer)
        .map_err(|error| Problem::internal("a check's answer is no JSON", &error))
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::UnknownStream(stream) => {
                Self::new(Kind::UnknownStream, error.to_string()).with("stream", stream)
            }
            CheckError::NotLoaded => Self::later(Kind::NotReady, error.to_string(), 1),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde fixes the signature"
)]
fn seconds<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_seconds_text())
}
