//! `POST /v1/suppressions/lift`: to end suppressions. They stay in the history.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::suppressions::{ItemError, LONGEST_NOTE, Lifted, Removal, lift, lift_many};
use crate::http::api::Api;
use crate::http::api::body::Json;
use crate::http::api::caller::{May, Write};
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{self, Answer, Bounded, Object};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};
use crate::model::tenant::TenantId;
use crate::store::LiftFilter;

/// Items in one call.
const MOST_ITEMS: usize = 10_000;

/// What to lift, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"items\": […], \"note\": …}")]
pub(in crate::http::api) struct LiftRequest {
    /// At most 10,000.
    #[serde(default)]
    #[schema(value_type = Option<Vec<LiftItem>>, max_items = 10_000)]
    items: Option<Bounded<Object<LiftItem>, MOST_ITEMS>>,
    /// Or all that it finds.
    #[serde(default)]
    #[schema(value_type = Option<FilterRequest>)]
    filter: Option<Object<FilterRequest>>,
    /// Why, in words, 1 to 2,000 bytes. Kept with each suppression that ends.
    #[schema(min_length = 1)]
    note: String,
}

/// Which suppressions: those that everything given is true of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a filter: {\"reason\": …}")]
pub(in crate::http::api) struct FilterRequest {
    /// Why they stand.
    #[schema(value_type = String)]
    reason: Reason,
    /// Only this scope.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Only bounces of this class, for instance `bad-mailbox`.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    class: Option<BounceClass>,
    /// Only bounces of this provider: the domain of its servers, for instance `example.com`.
    #[serde(default)]
    provider: Option<String>,
    /// Only those that stand since then or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those that stand since before then.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl From<FilterRequest> for LiftFilter {
    fn from(request: FilterRequest) -> Self {
        Self {
            reason: request.reason,
            scope: request.scope,
            class: request.class,
            provider: request.provider.map(|name| name.to_ascii_lowercase()),
            since: request.since,
            until: request.until,
        }
    }
}

/// One recipient: by address or by key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an item: {\"address\": …} or {\"recipient\": …}"
)]
pub(in crate::http::api) struct LiftItem {
    /// The address.
    #[serde(default)]
    address: Option<String>,
    /// Or the recipient key, 20 hexadecimal digits.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    recipient: Option<RecipientKey>,
    /// Only this scope; every scope if not given.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Only this reason; every reason if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// What became of each item, in the order of the call.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct LiftAnswer {
    /// One an item; empty with a filter.
    items: Vec<LiftedItem>,
    /// How many suppressions ended.
    lifted: u64,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// What became of an item.
#[derive(Debug, Serialize, ToSchema)]
struct LiftedItem {
    /// Its place in the call, from 0.
    index: usize,
    /// The recipient key; absent with an error.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "wire::optional_text"
    )]
    #[schema(value_type = Option<String>)]
    recipient: Option<RecipientKey>,
    /// What stood and stands no more; empty if nothing did.
    lifted: Vec<Ended>,
    /// What is wrong with the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A suppression that ended.
#[derive(Debug, Serialize, ToSchema)]
struct Ended {
    /// `all`, `marketing` or `stream:N`.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String)]
    scope: Scope,
    /// Why it stood.
    #[schema(value_type = String)]
    reason: Reason,
}

/// Ends suppressions: of the named recipients, or all that a filter finds.
///
/// Either `items` or `filter` is given. A note is required. An event that is committed later suppresses anew.
#[utoipa::path(
    post,
    path = "/v1/suppressions/lift",
    tag = "suppressions",
    security(("bearer" = ["write"])),
    request_body(content = LiftRequest, example = json!({
        "items": [{"address": "bob@example.com"},
            {"recipient": "0f1e2d3c4b5a69788796", "scope": "marketing"}],
        "note": "asked to receive the newsletter again, ticket 4711"
    })),
    responses((status = 200, description = "What ended", body = LiftAnswer, example = json!({
        "items": [
            {"index": 0, "recipient": "8f1e2d3c4b5a69788790",
                "lifted": [{"scope": "all", "reason": "manual"}]},
            {"index": 1, "recipient": "0f1e2d3c4b5a69788796", "lifted": []}
        ], "lifted": 1, "indexed": true})))
)]
pub(in crate::http::api) async fn lift_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    Json(request): Json<LiftRequest>,
) -> Result<Answer<LiftAnswer>, Problem> {
    let tenant = caller.one_tenant()?;
    let note = request.note.trim();
    if note.is_empty() || note.len() > LONGEST_NOTE {
        let detail = format!("note: 1 to {LONGEST_NOTE} bytes that say why");
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let named = match (request.items, request.filter) {
        (Some(items), None) => items,
        (None, Some(filter)) => {
            return by_filter(&api, tenant, &filter.into_inner().into(), note).await;
        }
        (Some(_), Some(_)) | (None, None) => {
            let detail = "give either items or a filter";
            return Err(Problem::new(Kind::InvalidRequest, detail));
        }
    };
    let removals: Vec<Removal> = named
        .objects()?
        .map(
            |LiftItem {
                 address,
                 recipient,
                 scope,
                 reason,
             }| Removal {
                address,
                recipient,
                scope,
                reason,
            },
        )
        .collect();
    let written = lift(&api.app, tenant, &removals, note).await?;
    let items: Vec<LiftedItem> = written
        .items
        .into_iter()
        .enumerate()
        .map(|(index, item)| form(index, item))
        .collect();
    let lifted = items.iter().map(|item| item.lifted.len()).sum::<usize>();
    Ok(Answer(LiftAnswer {
        items,
        lifted: u64::try_from(lifted).unwrap_or(u64::MAX),
        indexed: written.indexed,
    }))
}

async fn by_filter(
    api: &Api,
    tenant: TenantId,
    filter: &LiftFilter,
    note: &str,
) -> Result<Answer<LiftAnswer>, Problem> {
    let ended = lift_many(&api.app, tenant, filter, note).await?;
    Ok(Answer(LiftAnswer {
        items: Vec::new(),
        lifted: ended.lifted,
        indexed: ended.indexed,
    }))
}

fn form(index: usize, item: Result<Lifted, ItemError>) -> LiftedItem {
    match item {
        Ok(lifted) => LiftedItem {
            index,
            recipient: Some(lifted.recipient),
            lifted: lifted
                .keys
                .into_iter()
                .map(|key| Ended {
                    scope: key.scope,
                    reason: key.reason,
                })
                .collect(),
            error: None,
        },
        Err(error) => LiftedItem {
            index,
            recipient: None,
            lifted: Vec::new(),
            error: Some(error.to_string()),
        },
    }
}
