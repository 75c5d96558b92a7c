//! `GET /v1/tenants`: sending organisations.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::caller::{May, Read};
use super::conditional::Had;
use super::problem::{Kind, Problem};
use super::wire::{Listing, Parameters};
use crate::model::tenant::{Tenant, TenantId};

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
    /// What readers know it by; null: its name.
    #[schema(required = true)]
    title: Option<String>,
}

impl From<&Tenant> for TenantItem {
    fn from(tenant: &Tenant) -> Self {
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
            example = json!({"items": [{"number": 1, "name": "default", "domain": null,
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
    let mut found = directory
        .tenants
        .iter()
        .filter(|tenant| tenant.id.get() > behind && own.is_none_or(|own| own == tenant.id));
    let items: Vec<TenantItem> = found.by_ref().take(limit).map(TenantItem::from).collect();
    let last = items.last().map(|tenant| tenant.number.to_string());
    let next = found.next().and(last);
    Ok(had.or_else(&Listing { items, next }))
}
