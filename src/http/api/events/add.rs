//! `POST /v1/events`: what the sender's own systems know of deliveries.

use axum::extract::State;
use http::HeaderMap;
use http::header::USER_AGENT;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::fed::{Item, Taken, TellError, tell};
use crate::http::api::Api;
use crate::http::api::body::Json;
use crate::http::api::caller::{May, Write};
use crate::http::api::problem::Problem;
use crate::http::api::wire::{self, Answer, Bounded, Object};
use crate::judge::fed::{Told, ToldKind};
use crate::model::bounce::Stage;
use crate::model::clock::Timestamp;
use crate::model::receipt::ReceiptId;

/// Items in one call.
const MOST_ITEMS: usize = 10_000;
/// Characters of the caller's name that are kept.
const MAX_AGENT: usize = 512;

/// What happened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"events\": […]}")]
pub(in crate::http::api) struct TellRequest {
    /// At most 10,000.
    #[schema(value_type = Vec<TellItem>, max_items = 10_000)]
    events: Bounded<Object<TellItem>, MOST_ITEMS>,
}

/// What became of one mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an event: {\"kind\": \"delivered\" or \"bounce\", \"address\" or \"token\": …}"
)]
pub(in crate::http::api) struct TellItem {
    /// `delivered` or `bounce` (given up, or refused for good).
    #[schema(value_type = String)]
    kind: ToldKind,
    /// Whom the mail was for.
    #[serde(default)]
    address: Option<String>,
    /// Or the token of its envelope.
    #[serde(default)]
    token: Option<String>,
    /// When it happened, at most 90 days ago; now if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Your own name for it, with `at`: told again, it changes nothing.
    #[serde(default)]
    id: Option<String>,
    /// The enhanced status code, for instance `5.1.1`.
    #[serde(default)]
    status: Option<String>,
    /// The reply code, for instance 550.
    #[serde(default)]
    smtp_code: Option<u16>,
    /// At which step it was refused: `connect`, `ehlo`, `tls`, `auth`, `mail`, `rcpt`, `data` or
    /// `end-of-data`.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[schema(value_type = Option<String>)]
    stage: Option<Stage>,
    /// The server's text.
    #[serde(default)]
    diagnostic: Option<String>,
    /// The server that refused.
    #[serde(default)]
    remote_mta: Option<String>,
}

impl From<TellItem> for Item {
    fn from(item: TellItem) -> Self {
        Self {
            token: item.token,
            id: item.id,
            at: item.at,
            told: Told {
                kind: item.kind,
                address: item.address,
                status: item.status,
                smtp_code: item.smtp_code,
                stage: item.stage,
                diagnostic: item.diagnostic,
                remote_mta: item.remote_mta,
            },
        }
    }
}

/// What became of each item, in the order of the call.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::api) struct TellAnswer {
    /// One an item.
    items: Vec<ToldItem>,
    /// Whether `POST /v1/check` of this node shows it already; it will, if not.
    indexed: bool,
}

/// What became of an item.
#[derive(Debug, Serialize, ToSchema)]
struct ToldItem {
    /// Its place in the call, from 0.
    index: usize,
    /// `recorded`, `existed` or `error`.
    #[schema(value_type = String)]
    result: &'static str,
    /// Its receipt; absent with an error.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "wire::optional_text"
    )]
    #[schema(value_type = Option<String>)]
    receipt: Option<ReceiptId>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Tells what became of mails.
///
/// A bounce is judged as one that came by mail with proof. While a tenant tells of no deliveries,
/// soft bounces hold instead of suppressing: nothing else says that mail arrives. Bad items are
/// named, all others are stored, in one transaction.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "feeds",
    security(("bearer" = ["write"])),
    request_body(content = TellRequest, example = json!({"events": [
        {"kind": "delivered", "address": "bob@example.com", "at": "2026-11-21T12:00:00Z",
            "id": "mta1/4XyZ"},
        {"kind": "bounce", "address": "ann@example.com", "status": "5.1.1", "smtp_code": 550,
            "stage": "rcpt", "diagnostic": "550 5.1.1 no such user",
            "remote_mta": "mx.example.com"}
    ]})),
    responses((status = 200, description = "What became of each", body = TellAnswer,
        example = json!({"items": [
            {"index": 0, "result": "recorded", "receipt": "019aa5f2-7c00-7000-8000-000000000001"},
            {"index": 1, "result": "recorded", "receipt": "019aa5f2-7c00-7000-8000-000000000002"}
        ], "indexed": true})))
)]
pub(in crate::http::api) async fn tell_all(
    State(api): State<Api>,
    May { caller, .. }: May<Write>,
    headers: HeaderMap,
    Json(request): Json<TellRequest>,
) -> Result<Answer<TellAnswer>, Problem> {
    let tenant = caller.one_tenant()?;
    let agent = headers.get(USER_AGENT).and_then(|text| text.to_str().ok());
    let agent: String = agent.unwrap_or_default().chars().take(MAX_AGENT).collect();
    let items = request.events.objects()?.map(Item::from);
    let written = tell(&api.app, tenant, (&agent, items.collect())).await?;
    let items = written.items.into_iter().enumerate();
    Ok(Answer(TellAnswer {
        items: items.map(|(index, item)| form(index, item)).collect(),
        indexed: written.indexed,
    }))
}

fn form(index: usize, item: Result<Taken, TellError>) -> ToldItem {
    match item {
        Ok(taken) => ToldItem {
            index,
            result: if taken.new { "recorded" } else { "existed" },
            receipt: Some(taken.receipt),
            error: None,
        },
        Err(error) => ToldItem {
            index,
            result: "error",
            receipt: None,
            error: Some(error.to_string()),
        },
    }
}
