//! `/v1/mailboxes`: mailboxes beyond or instead of the defaults of a domain.

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
use super::wire::{self, Answer, Listing, Parameters, Segment};
use crate::app::App;
use crate::app::mailboxes::{
    Done, PutMailboxError, is_declared, list as list_mailboxes, put, remove,
};
use crate::model::mailbox::{Mailbox, Role};
use crate::model::tenant::TenantId;
use crate::store::MailboxRefusal;

/// A mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MailboxItem {
    /// Its address.
    address: String,
    /// `complaint`, `cfbl`, `unsubscribe`, `bounce`, `dmarc`, `tls-report` or `human`.
    #[schema(value_type = String)]
    role: Role,
    /// Number of its tenant; null: no tenant's.
    #[schema(required = true)]
    tenant: Option<u32>,
    /// The stream that an opt-out without token means; null: none.
    #[schema(required = true)]
    stream: Option<u16>,
    /// Whether the config declares it: after the next start it is as the config says, also if it
    /// was removed.
    declared: bool,
}

impl MailboxItem {
    fn new(app: &App, mailbox: Mailbox) -> Self {
        let declared = is_declared(app, &mailbox);
        let Mailbox {
            address,
            role,
            tenant,
            stream,
        } = mailbox;
        Self {
            address,
            role,
            tenant: tenant.map(TenantId::get),
            stream,
            declared,
        }
    }
}

/// A mailbox to create or to update.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a mailbox: {\"address\": …, \"role\": …}"
)]
pub(super) struct MailboxRequest {
    /// Its address, in a domain of the tenant. In a domain that tenants share, only with a key of
    /// the installation.
    address: String,
    /// `complaint`, `cfbl`, `unsubscribe`, `bounce`, `dmarc`, `tls-report` or `human`.
    #[schema(value_type = String)]
    role: Role,
    /// The stream that an opt-out without token means, 1 to 65535. Not given: none.
    #[serde(default, deserialize_with = "wire::optional_stream")]
    stream: Option<u16>,
}

/// What became of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MailboxAnswer {
    /// The mailbox as it is now, or as it was.
    mailbox: MailboxItem,
    /// `created`, `updated` or `removed`.
    #[schema(value_type = String)]
    result: &'static str,
    /// Whether this node knows it already; it will, if not.
    indexed: bool,
}

impl MailboxAnswer {
    fn new(app: &App, done: Done, result: &'static str) -> Self {
        Self {
            mailbox: MailboxItem::new(app, done.mailbox),
            result,
            indexed: done.indexed,
        }
    }
}

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MailboxesParameters {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// Lists the tenant's mailboxes by address; with `Desist-Tenant: *` all.
///
/// Those that every domain has by default (`fbl`, `cfbl`, `u`, `unsubscribe`, `b`, `dmarc`,
/// `tlsrpt`, `postmaster`, `abuse`) are listed only where something else was said about them.
#[utoipa::path(
    get,
    path = "/v1/mailboxes",
    tag = "management",
    security(("bearer" = ["read"])),
    params(MailboxesParameters),
    responses(
        (status = 200, description = "A page", body = Listing<MailboxItem>,
            example = json!({"items": [{"address": "jmrp@fb.shop.example", "role": "complaint",
                "tenant": 2, "stream": null, "declared": false}], "next": null})),
        (status = 304, description = "You have it"),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<MailboxesParameters>,
    had: Had,
) -> Result<Response, Problem> {
    let limit = usize::try_from(wire::limit(asked.limit)?).unwrap_or(usize::MAX);
    let after = asked.after.as_deref();
    let (page, more) = list_mailboxes(&api.app, caller.tenant, after, limit);
    let next = page.last().filter(|_| more);
    let next = next.map(|mailbox| mailbox.address.clone());
    let items = page
        .into_iter()
        .map(|mailbox| MailboxItem::new(&api.app, mailbox));
    Ok(had.or_else(&Listing {
        items: items.collect(),
        next,
    }))
}

/// Creates a mailbox, or updates the one of that address.
///
/// It is the tenant's for which the call is; with `Desist-Tenant: *` it is no tenant's, for a loop
/// that reports about all of them. A tenant has at most 1,000.
#[utoipa::path(
    post,
    path = "/v1/mailboxes",
    tag = "management",
    security(("bearer" = ["admin"])),
    request_body(content = MailboxRequest,
        example = json!({"address": "jmrp@fb.shop.example", "role": "complaint"})),
    responses(
        (status = 201, description = "Created", body = MailboxAnswer, example = json!({
            "mailbox": {"address": "jmrp@fb.shop.example", "role": "complaint", "tenant": 2,
                "stream": null, "declared": false},
            "result": "created", "indexed": true})),
        (status = 200, description = "Updated", body = MailboxAnswer, example = json!({
            "mailbox": {"address": "leave@fb.shop.example", "role": "unsubscribe", "tenant": 2,
                "stream": 3, "declared": false},
            "result": "updated", "indexed": true})),
    )
)]
pub(super) async fn create(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<MailboxRequest>,
) -> Result<Response, Problem> {
    let MailboxRequest {
        address,
        role,
        stream,
    } = request;
    let mailbox = Mailbox {
        address,
        role,
        tenant: caller.tenant,
        stream,
    };
    let done = put(&api.app, mailbox, caller.key.tenant.is_none()).await?;
    let (status, result) = if done.created {
        (StatusCode::CREATED, "created")
    } else {
        (StatusCode::OK, "updated")
    };
    Ok((status, Answer(MailboxAnswer::new(&api.app, done, result))).into_response())
}

/// Removes a mailbox.
///
/// An address that a domain has by default is then what it was by default. One that the config
/// declares is there again after the next start: `declared` says so.
#[utoipa::path(
    delete,
    path = "/v1/mailboxes/{address}",
    tag = "management",
    security(("bearer" = ["admin"])),
    params(("address" = String, Path, description = "The mailbox's address",
        example = "jmrp@fb.shop.example")),
    responses((status = 200, description = "Removed", body = MailboxAnswer, example = json!({
        "mailbox": {"address": "jmrp@fb.shop.example", "role": "complaint", "tenant": 2,
            "stream": null, "declared": false},
        "result": "removed", "indexed": true})))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Segment(address): Segment<String>,
) -> Result<Answer<MailboxAnswer>, Problem> {
    let done = remove(&api.app, caller.tenant, &address).await?;
    let missing = || Problem::new(Kind::NotFound, "the tenant has no mailbox of that address");
    let done = done.ok_or_else(missing)?;
    Ok(Answer(MailboxAnswer::new(&api.app, done, "removed")))
}

impl From<PutMailboxError> for Problem {
    fn from(error: PutMailboxError) -> Self {
        let detail = error.to_string();
        match error {
            PutMailboxError::Address(_) | PutMailboxError::Domain => {
                Self::new(Kind::InvalidRequest, detail)
            }
            PutMailboxError::Refused(MailboxRefusal::ForeignDomain) => {
                Self::new(Kind::ForeignDomain, detail)
            }
            PutMailboxError::Refused(MailboxRefusal::Taken) => Self::new(Kind::NameTaken, detail),
            PutMailboxError::Refused(MailboxRefusal::UnknownStream(stream)) => {
                Self::new(Kind::UnknownStream, detail).with("stream", stream)
            }
            PutMailboxError::Refused(MailboxRefusal::TooMany) => {
                Self::new(Kind::LimitReached, detail)
            }
            PutMailboxError::Store(error) => error.into(),
        }
    }
}
