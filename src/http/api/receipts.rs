//! `GET /v1/receipts`: what came in, the newest first.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

pub(super) mod one;
pub(super) mod raw;

use std::net::IpAddr;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::problem::Problem;
use super::wire::{self, Answer, Listing, Parameters};
use crate::model::clock::Timestamp;
use crate::model::mailbox::Role;
use crate::model::receipt::{Door, ReceiptId, ReceiptState};
use crate::model::tenant::TenantId;
use crate::store::{ReceiptFilter, StoredReceipt};

/// Which receipts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReceiptsParameters {
    /// Only those of this mailbox: its address, or its local part.
    mailbox: Option<String>,
    /// Only those in this state: `pending`, `done`, `held` or `unrecognised`.
    #[param(value_type = Option<String>)]
    state: Option<ReceiptState>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// One thing accepted at a door for one recipient.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptItem {
    /// A UUIDv7, drawn at the door.
    #[serde(serialize_with = "wire::text")]
    #[schema(value_type = String, format = "uuid")]
    id: ReceiptId,
    /// When the door accepted it.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `smtp`, `one-click`, `tls-report` or `api`.
    #[schema(value_type = String)]
    door: Door,
    /// Number of the tenant; null if none could be named.
    #[schema(required = true)]
    tenant: Option<u32>,
    /// `pending`, `done`, `held` or `unrecognised`.
    #[schema(value_type = String)]
    state: ReceiptState,
    /// Length of the raw bytes.
    size: u64,
    /// SHA-256 of the raw bytes, 64 hexadecimal digits.
    sha256: String,
    /// What the door knew.
    envelope: EnvelopeItem,
}

/// What the door knew.
#[derive(Debug, Serialize, ToSchema)]
struct EnvelopeItem {
    /// Who connected.
    #[schema(value_type = Option<String>, required = true)]
    peer: Option<IpAddr>,
    /// The EHLO or HELO argument; for HTTP the `User-Agent`.
    hello: String,
    /// `SMTP`, `ESMTP`, `ESMTPS`, `UTF8SMTP`, `UTF8SMTPS` or `HTTPS`.
    protocol: String,
    /// The reverse-path, empty for `<>`; null for HTTP.
    #[schema(required = true)]
    mail_from: Option<String>,
    /// The forward-path as received; empty for HTTP.
    recipient: String,
    /// The mailbox it was accepted for; empty for HTTP.
    mailbox: String,
    /// What the mailbox is for.
    #[schema(value_type = String)]
    role: Role,
    /// The token that the door verified.
    #[schema(required = true)]
    token: Option<String>,
    /// The request's `Content-Type`, for HTTP.
    #[schema(required = true)]
    content_type: Option<String>,
}

impl From<StoredReceipt> for ReceiptItem {
    fn from(stored: StoredReceipt) -> Self {
        let envelope = stored.receipt.envelope;
        Self {
            id: stored.receipt.id,
            at: stored.receipt.at,
            door: stored.receipt.door,
            tenant: stored.tenant.map(TenantId::get),
            state: stored.state,
            size: stored.size,
            sha256: stored.receipt.digest.to_string(),
            envelope: EnvelopeItem {
                peer: envelope.peer,
                hello: envelope.hello,
                protocol: envelope.protocol,
                mail_from: envelope.mail_from,
                recipient: envelope.recipient,
                mailbox: envelope.mailbox.address,
                role: envelope.mailbox.role,
                token: envelope.token,
                content_type: envelope.content_type,
            },
        }
    }
}

/// Lists receipts, the newest first.
#[utoipa::path(
    get,
    path = "/v1/receipts",
    tag = "evidence",
    security(("bearer" = ["read"])),
    params(ReceiptsParameters),
    responses((status = 200, description = "A page", body = Listing<ReceiptItem>,
        example = json!({"items": [{"id": "019aa5f2-7c00-7000-8000-000000000001",
            "at": "2026-11-21T12:00:00.417Z", "door": "smtp", "tenant": 1, "state": "done",
            "size": 4711,
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "envelope": {"peer": "192.0.2.1", "hello": "mail.example.org",
                "protocol": "ESMTPS", "mail_from": "", "recipient": "fbl@fb.example.com",
                "mailbox": "fbl@fb.example.com", "role": "complaint", "token": null,
                "content_type": null}}], "next": null})))
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<ReceiptsParameters>,
) -> Result<Answer<Listing<ReceiptItem>>, Problem> {
    let paging = wire::paging(asked.after, asked.limit)?;
    let filter = ReceiptFilter {
        mailbox: asked.mailbox,
        state: asked.state,
    };
    let page = api
        .app
        .store
        .receipts(caller.tenant, &filter, &paging)
        .await?;
    Ok(Answer(Listing::of(page, ReceiptItem::from)))
}
