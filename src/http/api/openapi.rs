//! `GET /openapi.json`: what the API takes and answers, generated from the handlers.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

use super::Api;
use super::caller::LocalOrRead;
use super::conditional::Had;

/// What does not belong to one call.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "desist",
        description = "The private API of desist: who must not be mailed, why, and what came in.\n\
            \n\
            Every call but those for health needs `Authorization: Bearer KEY`. A key belongs to \
            one tenant, or to the installation; the latter names the tenant in the header \
            `Desist-Tenant` (its name; `default` if not given; `*` reads across all tenants where \
            that makes sense). Errors are `application/problem+json` (RFC 9457) with a stable \
            `code`. Lists and feeds answer `{\"items\": […], \"next\": CURSOR|null}`; `next` is \
            sent as `after`. Every answer has its number in `X-Request-Id`, which the server's log \
            names. Times are RFC 3339 in UTC. Unknown members and parameters are \
            refused.",
        license(name = "Apache-2.0 OR MIT")
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "check", description = "May this be sent?"),
        (name = "suppressions", description = "Who must not be mailed, and why"),
        (name = "feeds", description = "What has happened, in order"),
        (name = "evidence", description = "What came in, byte by byte"),
        (name = "review", description = "What waits for an operator"),
        (name = "tokens", description = "What goes into outgoing mail"),
        (name = "management", description = "Tenants, streams and API keys"),
        (name = "operations", description = "Health, metrics and this description"),
    )
)]
struct Frame;

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// `/problems/CODE`, stable.
    #[schema(example = "/problems/unknown-stream")]
    r#type: String,
    /// The sentence that belongs to the code.
    #[schema(example = "The tenant has no such stream")]
    title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What exactly is wrong.
    #[schema(example = "the tenant has no stream 7")]
    detail: String,
    /// The word that programs compare.
    #[schema(example = "unknown-stream")]
    code: String,
    /// The call's number, which stands in `X-Request-Id` and in the server's log too.
    #[schema(example = "5f3a91c2-1024")]
    request: String,
}

/// The description of the whole API: OpenAPI 3.1.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Frame::openapi();
    document.merge(super::described().into_openapi());
    if let Some(components) = &mut document.components {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("desist");
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    }
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(identifier(method, path));
                describe_problems(operation);
            }
        }
    }
    document
}

/// A name for generated clients, for instance `get_v1_receipts_id_raw`.
fn identifier(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{method}_{}", words.join("_"))
}

/// Every call can end with a problem.
fn describe_problems(operation: &mut Operation) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description("What went wrong")
        .content("application/problem+json", content);
    operation
        .responses
        .responses
        .insert("default".to_owned(), response.build().into());
}

/// What is generated once at start.
#[derive(Debug)]
pub(super) struct Documents {
    /// The OpenAPI document.
    openapi: Bytes,
    /// The page for people.
    pub(super) docs: Bytes,
}

impl Documents {
    /// Generates them.
    pub(super) fn new() -> Self {
        let document = document();
        let openapi = document.to_pretty_json().unwrap_or_default();
        let docs = super::docs::render(&openapi);
        Self {
            openapi: openapi.into(),
            docs: docs.into(),
        }
    }
}

/// Gives this description.
///
/// Without a key on loopback only; otherwise with the scope `read`.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    security((), ("bearer" = ["read"])),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of what you have")),
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object,
            example = json!({"openapi": "3.1.0"})),
        (status = 304, description = "You have it"),
    )
)]
pub(super) async fn json(State(api): State<Api>, _: LocalOrRead, had: Had) -> Response {
    had.or_bytes(api.documents.openapi.clone())
}
