//! `/v1/streams`: kinds of mail of a tenant.

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
use super::wire::{self, Answer, Listing};
use crate::app::streams::{PutStreamError, StreamChange, list as list_streams, put};
use crate::model::stream::{Class, Stream};

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamItem {
    /// Its number within the tenant, from 1.
    number: u16,
    /// Its unique name within the tenant, 1 to 64 characters of `a-z0-9._-`.
    name: String,
    /// `marketing` or `transactional`.
    #[schema(value_type = String)]
    class: Class,
    /// Whether an opt-out by its token ends this stream itself although it is transactional.
    unsubscribe: bool,
    /// What readers know it by; null: its name.
    #[schema(required = true)]
    title: Option<String>,
}

/// A stream to create or to update.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a stream: {\"number\": …, \"name\": …}"
)]
pub(super) struct StreamRequest {
    /// Its number within the tenant, 1 to 65535.
    #[serde(deserialize_with = "wire::stream_number")]
    number: u16,
    /// Its unique name within the tenant, 1 to 64 characters of `a-z0-9._-`.
    name: String,
    /// `marketing` or `transactional`. Not given: as it was, `marketing` for a new stream.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    class: Option<Class>,
    /// Whether an opt-out by its token ends this stream itself although it is transactional. Not
    /// given: as it was, `false` for a new stream.
    #[serde(default)]
    unsubscribe: Option<bool>,
    /// What readers know it by, 1 to 100 characters. Not given: as it was; an empty text takes it
    /// away.
    #[serde(default)]
    title: Option<String>,
}

impl From<Stream> for StreamItem {
    fn from(stream: Stream) -> Self {
        let Stream {
            number,
            name,
            class,
            unsubscribe,
            title,
            ..
        } = stream;
        Self {
            number,
            name,
            class,
            unsubscribe,
            title,
        }
    }
}

/// What was put.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PutAnswer {
    /// The stream as it is now.
    stream: StreamItem,
    /// `created` or `updated`.
    #[schema(value_type = String)]
    result: &'static str,
    /// Whether this node knows it already; it will, if not.
    indexed: bool,
}

/// Lists all streams of the tenant.
#[utoipa::path(
    get,
    path = "/v1/streams",
    tag = "management",
    security(("bearer" = ["read"])),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of what you have")),
    responses(
        (status = 200, description = "All of them", body = Listing<StreamItem>,
            example = json!({"items": [{"number": 3, "name": "newsletter", "class": "marketing",
                "unsubscribe": false, "title": "Weekly news"}], "next": null})),
        (status = 304, description = "You have them"),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    had: Had,
) -> Result<Response, Problem> {
    let streams = list_streams(&api.app, caller.one_tenant()?);
    let items: Vec<StreamItem> = streams.into_iter().map(StreamItem::from).collect();
    Ok(had.or_else(&Listing { items, next: None }))
}

/// Creates a stream, or updates the one of that number.
///
/// What is not given of a stream that exists stays as it is.
#[utoipa::path(
    post,
    path = "/v1/streams",
    tag = "management",
    security(("bearer" = ["admin"])),
    request_body(content = StreamRequest,
        example = json!({"number": 3, "name": "newsletter", "class": "marketing",
            "title": "Weekly news"})),
    responses(
        (status = 201, description = "Created", body = PutAnswer, example = json!({
            "stream": {"number": 3, "name": "newsletter", "class": "marketing",
                "unsubscribe": false, "title": "Weekly news"},
            "result": "created", "indexed": true})),
        (status = 200, description = "Updated", body = PutAnswer, example = json!({
            "stream": {"number": 3, "name": "weekly", "class": "marketing",
                "unsubscribe": false, "title": null},
            "result": "updated", "indexed": true})),
    )
)]
pub(super) async fn create(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Json(request): Json<StreamRequest>,
) -> Result<Response, Problem> {
    let StreamRequest {
        number,
        name,
        class,
        unsubscribe,
        title,
    } = request;
    let change = StreamChange {
        number,
        name,
        class,
        unsubscribe,
        title,
    };
    let done = put(&api.app, caller.one_tenant()?, change).await?;
    let (status, result) = if done.created {
        (StatusCode::CREATED, "created")
    } else {
        (StatusCode::OK, "updated")
    };
    let answer = PutAnswer {
        stream: done.stream.into(),
        result,
        indexed: done.indexed,
    };
    Ok((status, Answer(answer)).into_response())
}

impl From<PutStreamError> for Problem {
    fn from(error: PutStreamError) -> Self {
        let detail = error.to_string();
        match error {
            PutStreamError::Zero | PutStreamError::Name | PutStreamError::Title => {
                Self::new(Kind::InvalidRequest, detail)
            }
            PutStreamError::NameTaken(stream) => {
                Self::new(Kind::NameTaken, detail).with("stream", stream)
            }
            PutStreamError::Store(error) => error.into(),
        }
    }
}
