//! `GET /v1/receipts/{id}/raw`: the bytes as they came.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::receipts::{raw, whole, with_trace};
use crate::http::api::Api;
use crate::http::api::caller::{May, Read};
use crate::http::api::pieces::Pieces;
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::wire::{Parameters, Segment};
use crate::model::receipt::{Door, ReceiptId};

/// In which form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http::api) struct RawParameters {
    /// For mail: puts Return-Path and one Received on top, made from the envelope
    /// (RFC 5321 §4.4), and leaves out a Return-Path that came with it.
    #[serde(default)]
    trace: bool,
}

/// Gives the raw bytes of a receipt, exactly as received.
///
/// A mail that reports about several tenants is given to a key of the installation alone: to a
/// tenant's key it is not found.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}/raw",
    tag = "evidence",
    security(("bearer" = ["read"])),
    params(
        ("id" = String, Path, description = "The receipt's id",
            example = "019aa5f2-7c00-7000-8000-000000000001"),
        RawParameters
    ),
    responses(
        (status = 200, description = "The bytes", content(
            (String = "message/rfc822", example = "Subject: report\r\n\r\nThis is a report."),
            (String = "application/octet-stream", example = "List-Unsubscribe=One-Click"),
        )),
    )
)]
pub(in crate::http::api) async fn bytes(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Segment(id): Segment<ReceiptId>,
    Parameters(asked): Parameters<RawParameters>,
) -> Result<Response, Problem> {
    let stored = whole(&api.app, caller.tenant, id).await?;
    let mail = stored.receipt.door == Door::Smtp;
    if asked.trace && !mail {
        return Err(Problem::new(
            Kind::InvalidRequest,
            "trace: this receipt is no mail",
        ));
    }
    let share = api.budget.hold(stored.size)?;
    let raw = raw(&api.app, id).await?;
    let bytes = if asked.trace {
        let by = api
            .app
            .settings
            .domains
            .first()
            .map_or("localhost", String::as_str);
        with_trace(&stored.receipt, by, &raw)
    } else {
        raw
    };
    // Never shown by a browser as a page of this origin.
    let (media, suffix) = if mail {
        ("message/rfc822", "eml")
    } else {
        ("application/octet-stream", "bin")
    };
    let disposition = format!("attachment; filename=\"{id}.{suffix}\"");
    let headers = [
        (CONTENT_TYPE, media.to_owned()),
        (CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::new(Pieces::new(bytes.into(), share))).into_response())
}
