//! Who calls, and whether they may: API keys, their scopes and the tenant that a call is for.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::Api;
use super::problem::{Kind, Problem};
use crate::app::api_keys::VerifyError;
use crate::app::suppressions::indexed;
use crate::model::tenant::TenantId;
use crate::store::{ApiKey, KeyScope};
use crate::traces::{Parent, Span};

/// The header in which a caller with a key of the installation names the tenant.
const TENANT_HEADER: &str = "desist-tenant";

/// The tenant of a call that names none.
const DEFAULT_TENANT: &str = "default";

const CHALLENGE: &str = "Bearer realm=\"desist\"";
const WRONG_KEY: &str = "Bearer realm=\"desist\", error=\"invalid_token\"";

/// Somebody with a valid key.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The key of the call.
    pub(crate) key: Arc<ApiKey>,
    /// Whom the call is for; `None`: all tenants and what belongs to none (`Desist-Tenant: *`,
    /// with a key of the installation alone).
    pub(crate) tenant: Option<TenantId>,
}

impl Caller {
    /// The one tenant of a call that cannot be for all of them.
    pub(crate) fn one_tenant(&self) -> Result<TenantId, Problem> {
        self.tenant.ok_or_else(|| {
            Problem::new(
                Kind::InvalidRequest,
                "this call is for one tenant: Desist-Tenant: NAME",
            )
        })
    }
}

/// A scope that an endpoint asks for by its type, so that none can forget to ask.
pub(crate) trait Wanted {
    /// The scope.
    const SCOPE: KeyScope;
}

macro_rules! wanted {
    ($( $name:ident ),+) => { $(
        #[doc = concat!("Wants [`KeyScope::", stringify!($name), "`].")]
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl Wanted for $name {
            const SCOPE: KeyScope = KeyScope::$name;
        }
    )+ };
}

wanted!(Check, Read, Write, Admin);

/// A caller whose key has the scope `S`, or `admin`.
#[derive(Debug)]
pub(crate) struct May<S> {
    /// Who it is.
    pub(crate) caller: Caller,
    scope: PhantomData<S>,
}

impl<S: Wanted> FromRequestParts<Api> for May<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Api) -> Result<Self, Problem> {
        let key = verify(parts, state).await?;
        if !key.scopes.contains(&S::SCOPE) && !key.scopes.contains(&KeyScope::Admin) {
            return Err(Problem::insufficient_scope(S::SCOPE.as_str()));
        }
        let tenant = tenant_of(parts, state, &key).await?;
        Span::of(&parts.extensions).tenant(tenant);
        Ok(Self {
            caller: Caller { key, tenant },
            scope: PhantomData,
        })
    }
}

/// A caller on this machine, or one with the scope `read`.
#[derive(Debug)]
pub(crate) struct LocalOrRead;

impl FromRequestParts<Api> for LocalOrRead {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Api) -> Result<Self, Problem> {
        let local = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
        if !local {
            May::<Read>::from_request_parts(parts, state).await?;
        }
        Ok(Self)
    }
}

/// The span that a caller says the call is a part of, if the caller has a key: nobody else may
/// decide what is kept.
pub(super) async fn parent(headers: &HeaderMap, api: &Api) -> Option<Parent> {
    let parent = api.app.traces.parent(headers)?;
    // On the heap: hardly a call comes with one.
    let identified = Box::pin(api.keys.identify(bearer(headers)?)).await;
    identified.ok().map(|_key| parent)
}

/// Who may check, and for whom, as far as it takes nobody's answer to know: a key that is remembered
/// and a tenant that is here.
pub(super) fn known(headers: &HeaderMap, api: &Api) -> Option<TenantId> {
    let key = api.keys.known(bearer(headers)?)?;
    if !key.scopes.contains(&KeyScope::Check) && !key.scopes.contains(&KeyScope::Admin) {
        return None;
    }
    let named = headers.get(TENANT_HEADER).map(|name| name.to_str().ok());
    let tenant = match (named, key.tenant) {
        (None, Some(own)) => own,
        (named, own) => {
            let name = named.map_or(Some(DEFAULT_TENANT), |name| name.map(str::trim))?;
            named_so(api, name).filter(|found| own.is_none_or(|own| own == *found))?
        }
    };
    api.keys.count(&key.prefix).ok()?;
    Some(tenant)
}

/// The key of `Authorization: Bearer KEY` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

async fn verify(parts: &Parts, api: &Api) -> Result<Arc<ApiKey>, Problem> {
    let missing = || {
        Problem::unauthorized(
            "this call needs the header Authorization: Bearer KEY",
            CHALLENGE,
        )
    };
    let text = bearer(&parts.headers).ok_or_else(missing)?;
    api.keys.verify(text).await.map_err(|error| match error {
        VerifyError::Invalid => Problem::unauthorized("the API key is not valid", WRONG_KEY),
        VerifyError::TooOften(wait) => too_often(wait),
        VerifyError::Store(error) => error.into(),
    })
}

fn too_often(wait: Duration) -> Problem {
    let seconds = u16::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u16::MAX);
    let detail = "this API key has made more calls than limits.api_requests_per_second allows";
    Problem::later(Kind::TooManyRequests, detail, seconds)
}

async fn tenant_of(parts: &Parts, api: &Api, key: &ApiKey) -> Result<Option<TenantId>, Problem> {
    let named = match parts
        .headers
        .get(TENANT_HEADER)
        .map(http::HeaderValue::to_str)
    {
        None => None,
        Some(Ok(name)) => Some(name.trim()),
        Some(Err(_)) => {
            return Err(Problem::new(
                Kind::UnknownTenant,
                "Desist-Tenant is no tenant's name",
            ));
        }
    };
    if named == Some("*") && key.tenant.is_none() {
        return Ok(None);
    }
    if let (None, Some(own)) = (named, key.tenant) {
        return Ok(Some(own));
    }
    let name = named.unwrap_or(DEFAULT_TENANT);
    let mut found = named_so(api, name);
    if found.is_none() && key.tenant.is_none() && indexed(&api.app, None).await {
        // Another node may just have made it.
        found = named_so(api, name);
    }
    match (found, key.tenant) {
        (Some(tenant), None) => Ok(Some(tenant)),
        (Some(tenant), Some(own)) if tenant == own => Ok(Some(own)),
        (_, Some(_)) => Err(Problem::new(
            Kind::ForeignTenant,
            "the API key belongs to another tenant",
        )),
        (None, None) => {
            let name: String = name.chars().take(80).collect();
            Err(Problem::new(
                Kind::UnknownTenant,
                format!("there is no tenant {name:?}"),
            ))
        }
    }
}

fn named_so(api: &Api, name: &str) -> Option<TenantId> {
    let directory = api.app.reception.directory();
    api.tenant_names.find(&directory, name)
}
