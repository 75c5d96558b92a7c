//! `POST /v1/suppressions`: suppressions by hand.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::suppressions::{Added, Addition, ItemError, add};
use crate::http::api::Api;
use crate::http::api::body::Json;
use crate::http::api::caller::{May, Write};
use crate::http::api::problem::Problem;
use crate::http::api::wire::{self, Answer, Bounded, Object};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};

/// Items in one call.
const MOST_ITEMS: usize = 10_000;

/// What to suppress.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"suppressions\": […]}")]
pub(in crate::http::api) struct AddRequest {
    /// At most 10,000.
    #[schema(value_type = Vec<AddItem>, max_items = 10_000)]
    suppressions: Bounded<Object<AddItem>, MOST_ITEMS>,
}

/// One suppression to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a suppression: {\"address\": …}")]
pub(in crate::http::api) struct AddItem {
    /// Whom not to mail.
    address: String,
    /// `all` (if not given), `marketing` or `stream:N`.
    #[serde(default = "all", deserialize_with = "wire::word")]
    #[schema(value_type = Option<String>)]
    scope: Scope,
    /// `manual` (if not given), `complaint`, `unsubscribe`, `bounce` or `import`.
    #[serde(default = "manual")]
    #[schema(value_type = Option<String>)]
    reason: Reason,
    /// Why, in words, at most 2,000 bytes.
    #[serde(default)]
    note: String,
}

const fn all() -> Scope {
    Scope::All
}

const fn manual() -> Reason {
    Reason::Manual
}

/// What became of each item, in the order of the call.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct AddAnswer {
    /// One an item.
    items: Vec<AddedItem>,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// What became of an item.
#[derive(Debug, Serialize, ToSchema)]
struct AddedItem {
    /// Its place in the call, from 0.
    index: usize,
    /// `created`, `existed` or `error`.
    #[schema(value_type = String)]
    result: &'static str,
    /// The recipient key; absent with an error.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "wire::optional_text"
    )]
    #[schema(value_type = Option<String>)]
    recipient: Option<RecipientKey>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Begins suppressions.
///
/// What stands already in the same scope for the same reason stays as it is (`existed`). Bad items
/// are named, all others take effect.
#[utoipa::path(
    post,
    path = "/v1/suppressions",
    tag = "suppressions",
    security(("bearer" = ["write"])),
    request_body(content = AddRequest, example = json!({"suppressions": [
        {"address": "bob@example.com", "scope": "marketing", "reason": "manual",
            "note": "asked by telephone"},
        {"address": "nobody"}
    ]})),
    responses((status = 200, description = "What became of each", body = AddAnswer,
        example = json!({"items": [
            {"index": 0, "result": "created", "recipient": "0f1e2d3c4b5a69788796"},
            {"index": 1, "result": "error", "error": "no address: an address needs an @"}
        ], "indexed": true})))
)]
pub(in crate::http::api) async fn add_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<AddRequest>,
) -> Result<Answer<AddAnswer>, Problem> {
    let tenant = caller.one_tenant()?;
    let additions: Vec<Addition> = request
        .suppressions
        .objects()?
        .map(
            |AddItem {
                 address,
                 scope,
                 reason,
                 note,
             }| Addition {
                address,
                scope,
                reason,
                note,
            },
        )
        .collect();
    let written = add(&api.app, tenant, &additions).await?;
    let items = written
        .items
        .into_iter()
        .enumerate()
        .map(|(index, item)| form(index, item));
    Ok(Answer(AddAnswer {
        items: items.collect(),
        indexed: written.indexed,
    }))
}

fn form(index: usize, item: Result<Added, ItemError>) -> AddedItem {
    match item {
        Ok(added) => AddedItem {
            index,
            result: if added.created { "created" } else { "existed" },
            recipient: Some(added.key.recipient),
            error: None,
        },
        Err(error) => AddedItem {
            index,
            result: "error",
            recipient: None,
            error: Some(error.to_string()),
        },
    }
}
