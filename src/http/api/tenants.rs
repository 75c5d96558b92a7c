//! `/v1/tenants`: sending organisations.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::caller::{Admin, May, Read};
use super::conditional::Had;
use super::problem::{Kind, Problem};
use super::wire::{Answer, Bounded, Listing, Parameters};
use crate::app::tenants::{MOST_RELEASED, PutTenantError, TenantChange, put};
use crate::model::tenant::{Tenant, TenantId};
use crate::store::TenantRefusal;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantItem {
    /// Its number, as it stands in tokens.
    number: u32,
    /// Its name, to be sent as `Desist-Tenant`.
    name: String,
    /// The domain that its tokens are minted on; null: the installation's first.
    #[schema(required = true)]
    domain: Option<String>,
    /// All domains that are served for it alone: that one, and those before until they are
    /// released.
    domains: Vec<String>,
    /// What readers know it by; null: its name.
    #[schema(required = true)]
    title: Option<String>,
}

/// A tenant to create or to update.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a tenant: {\"name\": …}")]
pub(super) struct TenantRequest {
    /// Its number, 1 to 16777215, as it stands in tokens. Not given: that of the tenant of this
    /// name, or the next free one.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 16_777_215)]
    number: Option<u32>,
    /// Its unique name, 1 to 64 characters of `a-z0-9._-`.
    name: String,
    /// The domain that its tokens are minted on. The MX serves it from now on, and its default
    /// mailboxes are this tenant's. One of before goes on being served. Not given: as it was; an
    /// empty text: the installation's first.
    #[serde(default)]
    domain: Option<String>,
    /// What readers know it by, 1 to 100 characters. Not given: as it was; an empty text takes it
    /// away.
    #[serde(default)]
    title: Option<String>,
    /// Domains of before that are served for it no longer, with the mailboxes in them: what still
    /// comes there is refused. At most 100.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    release: Bounded<String, MOST_RELEASED>,
}

/// What was put.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantAnswer {
    /// The tenant as it is now.
    tenant: TenantItem,
    /// `created` or `updated`.
    #[schema(value_type = String)]
    result: &'static str,
    /// Whether this node knows it already; it will, if not.
    indexed: bool,
}

impl TenantItem {
    fn new(tenant: &Tenant, domains: Vec<String>) -> Self {
        let Tenant {
            id,
            name,
            domain,
            title,
        } = tenant;
        Self {
            number: id.get(),
            name: name.clone(),
            domain: domain.clone(),
            domains,
            title: title.clone(),
        }
    }
}

/// Which page.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantsParameters {
    /// The `next` of the page before.
    #[param(maximum = 16_777_215)]
    after: Option<u32>,
    /// Items of a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
    /// Only the one of this name.
    name: Option<String>,
}

/// Lists the tenants by number: with a key of one tenant that one alone.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "management",
    security(("bearer" = ["read"])),
    params(TenantsParameters,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what you have")),
    responses(
        (status = 200, description = "A page", body = Listing<TenantItem>,
            example = json!({"items": [{"number": 1, "name": "default", "domain": null, "domains": [],
                "title": "Example Shop"}],
                "next": null})),
        (status = 304, description = "You have it"),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<TenantsParameters>,
    had: Had,
) -> Result<Response, Problem> {
    let limit = usize::try_from(super::wire::limit(asked.limit)?).unwrap_or(usize::MAX);
    let directory = api.app.reception.directory();
    let own = caller.key.tenant;
    let behind = asked.after.unwrap_or(0);
    if behind > TenantId::MAX {
        let detail = format!("after: a tenant's number, at most {}", TenantId::MAX);
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let all = directory.tenants.as_slice();
    let start = all.partition_point(|tenant| tenant.id.get() <= behind);
    let named = |tenant: &Tenant| asked.name.as_ref().is_none_or(|name| *name == tenant.name);
    let behind = all.get(start..).unwrap_or_default().iter();
    let mut found = behind.filter(|tenant| own.is_none_or(|own| own == tenant.id) && named(tenant));
    let page: Vec<&Tenant> = found.by_ref().take(limit).collect();
    let last = page.last().map(|tenant| tenant.id.to_string());
    let next = found.next().and(last);
    let items = page.into_iter().map(|tenant| {
        let domains = directory.domains.of(tenant.id).map(str::to_owned);
        TenantItem::new(tenant, domains.collect())
    });
    let items: Vec<TenantItem> = items.collect();
    Ok(had.or_else(&Listing { items, next }))
}

/// Creates a tenant, or updates the one of that number or name.
///
/// With a key of the installation alone. A new tenant has a signing key and no stream. What is not
/// given of a tenant that exists stays as it is; the same call again changes nothing. What the
/// config says of a tenant counts again after the next start.
#[utoipa::path(
    post,
    path = "/v1/tenants",
    tag = "management",
    security(("bearer" = ["admin"])),
    request_body(content = TenantRequest,
        example = json!({"name": "shop", "domain": "fb.shop.example", "title": "Example Shop"})),
    responses(
        (status = 201, description = "Created", body = TenantAnswer, example = json!({
            "tenant": {"number": 2, "name": "shop", "domain": "fb.shop.example",
                "domains": ["fb.shop.example"], "title": "Example Shop"},
            "result": "created", "indexed": true})),
        (status = 200, description = "Updated", body = TenantAnswer, example = json!({
            "tenant": {"number": 2, "name": "shop", "domain": "bounces.shop.example",
                "domains": ["bounces.shop.example", "fb.shop.example"], "title": null},
            "result": "updated", "indexed": true})),
    )
)]
pub(super) async fn create(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<TenantRequest>,
) -> Result<Response, Problem> {
    if caller.key.tenant.is_some() {
        let detail = "tenants are created and changed with a key of the installation";
        return Err(Problem::new(Kind::ForeignTenant, detail));
    }
    let TenantRequest {
        number,
        name,
        domain,
        title,
        release,
    } = request;
    let known = |number: u32| {
        let detail = format!("number: from 1 to {}, not {number}", TenantId::MAX);
        TenantId::new(number).ok_or_else(|| Problem::new(Kind::InvalidRequest, detail))
    };
    let change = TenantChange {
        number: number.map(known).transpose()?,
        name,
        domain,
        title,
        release: release.within()?,
    };
    let done = put(&api.app, change).await?;
    let (status, result) = if done.created {
        (StatusCode::CREATED, "created")
    } else {
        (StatusCode::OK, "updated")
    };
    let answer = TenantAnswer {
        tenant: TenantItem::new(&done.tenant, done.domains),
        result,
        indexed: done.indexed,
    };
    Ok((status, Answer(answer)).into_response())
}

impl From<PutTenantError> for Problem {
    fn from(error: PutTenantError) -> Self {
        let detail = error.to_string();
        match error {
            PutTenantError::Name
            | PutTenantError::Title
            | PutTenantError::Domain(_)
            | PutTenantError::TooManyReleased => Self::new(Kind::InvalidRequest, detail),
            PutTenantError::Refused(TenantRefusal::NameTaken(tenant)) => {
                Self::new(Kind::NameTaken, detail).with("tenant", tenant.get())
            }
            PutTenantError::Refused(TenantRefusal::DomainTaken(_)) => {
                Self::new(Kind::DomainTaken, detail)
            }
            PutTenantError::Refused(TenantRefusal::DomainInUse(_)) => {
                Self::new(Kind::Unprocessable, detail)
            }
            PutTenantError::Refused(TenantRefusal::NoNumber) => {
                Self::new(Kind::LimitReached, detail)
            }
            PutTenantError::Store(error) => error.into(),
        }
    }
}
