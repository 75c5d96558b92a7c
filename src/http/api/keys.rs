//! `/v1/keys`: API keys.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::caller::{Admin, May};
use super::problem::{Kind, Problem};
use super::wire::{Answer, Listing, Segment};
use crate::app::api_keys::{MakeError, NewKey};
use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;
use crate::store::{ApiKey, KeyScope};

/// Longest name of a key, in bytes.
const LONGEST_NAME: usize = 200;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"name\": …, \"scopes\": […]}")]
pub(super) struct KeyRequest {
    /// What it is for, in words, 1 to 200 bytes.
    name: String,
    /// What it may do: `check`, `read`, `write`, `admin`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<KeyScope>,
    /// Whether it is the installation's and may act for every tenant. Only a key of the
    /// installation can make one.
    #[serde(default)]
    installation: bool,
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyItem {
    /// Its visible part: `desist_PREFIX_…`.
    prefix: String,
    /// What it is for.
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<KeyScope>,
    /// Number of its tenant; null: the installation's.
    #[schema(required = true)]
    tenant: Option<u32>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeAnswer {
    /// The whole key. It is told this once and is not stored.
    key: String,
    /// What is stored.
    stored: KeyItem,
}

impl From<ApiKey> for KeyItem {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            prefix,
            hash: _,
            tenant,
            scopes,
            name,
            created,
        } = key;
        Self {
            prefix,
            name,
            scopes,
            tenant: tenant.map(TenantId::get),
            created,
        }
    }
}

/// Lists the API keys of the tenant; with `Desist-Tenant: *` all of them.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "management",
    security(("bearer" = ["admin"])),
    responses((status = 200, description = "All of them", body = Listing<KeyItem>,
        example = json!({"items": [{"prefix": "abcdefg2", "name": "campaign server",
            "scopes": ["check"], "tenant": 1, "created": "2026-11-21T12:00:00Z"}],
            "next": null})))
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
) -> Result<Answer<Listing<KeyItem>>, Problem> {
    let keys = api.keys.list(caller.tenant).await?;
    Ok(Answer(Listing {
        items: keys.into_iter().map(KeyItem::from).collect(),
        next: None,
    }))
}

/// Makes an API key.
///
/// Keys are in no node's index, so the answer has no `indexed`. Every node honours the key at once;
/// only one that was asked for this very key before may refuse it for 10 seconds more.
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "management",
    security(("bearer" = ["admin"])),
    request_body(content = KeyRequest,
        example = json!({"name": "campaign server", "scopes": ["check"]})),
    responses((status = 201, description = "Made", body = MadeAnswer, example = json!({
        "key": "desist_abcdefg2_…", "stored": {"prefix": "abcdefg2",
            "name": "campaign server", "scopes": ["check"], "tenant": 1,
            "created": "2026-11-21T12:00:00Z"}})))
)]
pub(super) async fn create(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<KeyRequest>,
) -> Result<Response, Problem> {
    let KeyRequest {
        name,
        mut scopes,
        installation,
    } = request;
    if name.trim().is_empty() || name.len() > LONGEST_NAME {
        let detail = format!("name: 1 to {LONGEST_NAME} bytes that say what the key is for");
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Problem::new(Kind::InvalidRequest, "scopes: at least one"));
    }
    let tenant = if !installation {
        Some(caller.one_tenant()?)
    } else if caller.key.tenant.is_none() {
        None
    } else {
        let detail = "a key of the installation is made with one of the installation";
        return Err(Problem::new(Kind::ForeignTenant, detail));
    };
    let made = api
        .keys
        .make(NewKey {
            tenant,
            name,
            scopes,
        })
        .await?;
    let answer = MadeAnswer {
        key: made.text,
        stored: made.key.into(),
    };
    Ok((StatusCode::CREATED, Answer(answer)).into_response())
}

/// Deletes an API key.
///
/// Keys are in no node's index, so there is nothing to wait for and no `indexed`. This node honours
/// the key no longer when it answers; others may for 10 seconds more, and for as long as they
/// cannot reach the store.
#[utoipa::path(
    delete,
    path = "/v1/keys/{prefix}",
    tag = "management",
    security(("bearer" = ["admin"])),
    params(("prefix" = String, Path, description = "The key's visible part",
        example = "abcdefg2")),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Segment(prefix): Segment<String>,
) -> Result<StatusCode, Problem> {
    // A key of the installation may delete any, a tenant's only its own.
    if api.keys.remove(caller.key.tenant, &prefix).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(
            Kind::NotFound,
            "there is no key of that prefix",
        ))
    }
}

impl From<MakeError> for Problem {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Random(_) => Self::internal("no API key could be made", &error),
            MakeError::Store(error) => error.into(),
        }
    }
}
