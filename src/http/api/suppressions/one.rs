//! `GET /v1/suppressions/{address}`: everything about one recipient.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Suppression;
use crate::app::check::Check;
use crate::app::suppressions::{ItemError, history, whom_in};
use crate::http::api::Api;
use crate::http::api::caller::{May, Read};
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{self, Answer, Parameters, Segment};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};

/// For which stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http::api) struct OneParameters {
    /// `suppressed` answers for this stream; without it any scope counts.
    stream: Option<u16>,
}

/// What stands and stood about one recipient.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct About {
    /// The recipient key, 20 hexadecimal digits.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    recipient: RecipientKey,
    /// What `POST /v1/check` answers; null if mail may be sent.
    #[schema(required = true)]
    suppressed: Option<Verdict>,
    /// All suppressions with their evidence: standing first, then lifted, the newest first.
    items: Vec<Suppression>,
}

/// The widest scope that stops mail, and for it the strongest reason.
#[derive(Debug, Serialize, ToSchema)]
struct Verdict {
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why.
    #[schema(value_type = String)]
    reason: Reason,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// Tells why an address is suppressed, or was.
///
/// The address is percent-encoded in the path; a recipient key (20 hexadecimal digits) does as
/// well. An address that was never suppressed has no items.
#[utoipa::path(
    get,
    path = "/v1/suppressions/{address}",
    tag = "suppressions",
    security(("bearer" = ["read"])),
    params(
        ("address" = String, Path, description = "The address, or the recipient key",
            example = "bob@example.com"),
        OneParameters
    ),
    responses((status = 200, description = "What stands and stood", body = About,
        example = json!({"recipient": "0f1e2d3c4b5a69788796",
            "suppressed": {"scope": "all", "reason": "manual", "since": "2026-11-21T12:00:00Z"},
            "items": [{"recipient": "0f1e2d3c4b5a69788796", "address": "bob@example.com",
                "scope": "all", "reason": "manual", "since": "2026-11-21T12:00:00.417Z",
                "event": null, "note": "asked by telephone", "evidence": {}, "erased": null,
                "lifted": null}]})))
)]
pub(in crate::http::api) async fn one(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Segment(text): Segment<String>,
    Parameters(asked): Parameters<OneParameters>,
) -> Result<Answer<About>, Problem> {
    let tenant = caller.one_tenant()?;
    let whom = whom_in(&api.app, tenant, &text)?;
    let recipient = *whom.recipients.first().ok_or(ItemError::NoKey)?;
    let hit = Check::new(&api.app, tenant, asked.stream)?.recipient(&whom.recipients);
    let items = history(&api.app, tenant, &whom).await?;
    Ok(Answer(About {
        recipient,
        suppressed: hit.map(|hit| Verdict {
            scope: hit.scope,
            reason: hit.reason,
            since: hit.since,
        }),
        items: items.into_iter().map(Suppression::from).collect(),
    }))
}

impl From<ItemError> for Problem {
    /// What is wrong with an item is a problem of the call where the call has one item only.
    fn from(error: ItemError) -> Self {
        let detail = error.to_string();
        match error {
            ItemError::Address(_) | ItemError::Whom | ItemError::LongNote => {
                Self::new(Kind::InvalidRequest, detail)
            }
            ItemError::UnknownStream(stream) => {
                Self::new(Kind::UnknownStream, detail).with("stream", stream)
            }
            ItemError::NoKey => Self::new(Kind::Unprocessable, detail),
        }
    }
}
