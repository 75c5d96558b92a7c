//! `GET /v1/changes`: the feed of suppressions that begin and end.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::cursor::{Wait, behind, cursor, place};
use super::problem::Problem;
use super::wire::{self, Answer, Listing, Parameters};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Change, ChangeOp, Reason, Scope};

/// Which part of the feed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesParameters {
    /// The `next` of the answer before; `head` for only what comes from now on; without it the
    /// feed starts at the beginning of what is kept (30 days).
    after: Option<String>,
    /// Items at most, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
    /// Seconds to wait for the first change, 0 to 60; 0 if not given.
    wait: Option<u64>,
}

/// A suppression that begins or ends.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeItem {
    /// Its place in the feed.
    seq: u64,
    /// `suppress` or `lift`.
    #[schema(value_type = String)]
    op: ChangeOp,
    /// The recipient key, 20 hexadecimal digits.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    recipient: RecipientKey,
    /// The address, where one is known and kept.
    #[schema(required = true)]
    address: Option<String>,
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why.
    #[schema(value_type = String)]
    reason: Reason,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Change> for ChangeItem {
    fn from(change: Change) -> Self {
        Self {
            seq: change.seq,
            op: change.op,
            recipient: change.key.recipient,
            address: change.address,
            scope: change.key.scope,
            reason: change.key.reason,
            at: change.at,
        }
    }
}

/// Reads what has changed, in order and without gaps.
///
/// To build a copy: ask for a cursor with `after=head`, read all of `GET /v1/suppressions`, then
/// follow from that cursor. Applying a change twice is the same as once.
#[utoipa::path(
    get,
    path = "/v1/changes",
    tag = "feeds",
    security(("bearer" = ["read"])),
    params(ChangesParameters),
    responses((status = 200, description = "What follows", body = Listing<ChangeItem>,
        example = json!({"items": [{"seq": 42, "op": "suppress",
            "recipient": "0f1e2d3c4b5a69788796", "address": null, "scope": "stream:3",
            "reason": "unsubscribe", "at": "2026-11-21T12:00:00.417Z"}], "next": "k3v9:42"})))
)]
pub(super) async fn changes(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<ChangesParameters>,
) -> Result<Answer<Listing<ChangeItem>>, Problem> {
    let app = &api.app;
    let tenant = caller.one_tenant()?;
    let limit = wire::limit(asked.limit)?;
    let mut wait = Wait::new(&api, asked.wait)?;
    let mut begin = behind(&app.store, place(&app.store, asked.after.as_deref())?).await?;
    loop {
        let (found, upto) = app.store.changes(Some(tenant), begin, limit).await?;
        if !found.is_empty() || !wait.more(upto).await {
            let items = found.into_iter().map(ChangeItem::from).collect();
            return Ok(Answer(Listing {
                items,
                next: Some(cursor(&app.store, upto)),
            }));
        }
        begin = upto;
    }
}
