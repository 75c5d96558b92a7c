//! The private API: what sending systems and operators call. One endpoint a file.
//!
//! Nothing here decides: a handler reads the call, asks layer 3 and writes the answer. The check
//! path asks memory alone.

mod accept;
mod alarms;
mod body;
mod caller;
mod changes;
mod check;
mod conditional;
mod counting;
mod cursor;
mod docs;
mod erase;
mod events;
mod explain;
mod health;
mod held;
mod keys;
mod mailboxes;
mod openapi;
mod pieces;
mod problem;
mod query;
mod receipts;
mod replay;
mod request_id;
mod signing_keys;
mod stats;
mod streams;
mod suppressions;
mod tenant_names;
mod tenants;
mod tokens;
mod unread;
pub mod waiting;
mod wire;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::body::{Budget, Share};
use self::check::QuickCheck;
use self::openapi::Documents;
use self::pieces::Pieces;
use self::problem::{Kind, Problem};
use self::request_id::{RequestId, RequestIds};
use self::tenant_names::TenantNames;
use crate::app::App;
use crate::app::api_keys::ApiKeys;
use crate::http::connection::Answering;

pub use self::check::SpoolPlace;
pub use self::openapi::document;

/// Limits of the API listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest body, in bytes (64 MiB).
    pub body: usize,
    /// Bytes of all bodies that are held at the same time (256 MiB).
    pub bodies: usize,
    /// Longest pause between two parts of a body (30 s).
    pub patience: Duration,
    /// Bulk checks that are computed at the same time (the number of processors).
    pub bulk_checks: usize,
    /// Where a check of lines keeps what its client does not take yet.
    pub spools: SpoolPlace,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            body: 64 * 1024 * 1024,
            bodies: 256 * 1024 * 1024,
            patience: Duration::from_secs(30),
            bulk_checks: processors,
            spools: SpoolPlace {
                folder: std::env::temp_dir(),
                floor: 0,
            },
        }
    }
}

/// What every handler can reach. Cheap to clone: every request does it several times.
#[derive(Debug, Clone)]
struct Api(Arc<Reach>);

#[derive(Debug)]
struct Reach {
    app: App,
    keys: ApiKeys,
    budget: Budget,
    bulk: Arc<Semaphore>,
    bulk_checks: usize,
    spools: SpoolPlace,
    documents: Documents,
    tenant_names: TenantNames,
    requests: RequestIds,
    stop: CancellationToken,
}

impl Deref for Api {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.0
    }
}

/// All paths of the API listener. When `stop` is cancelled, calls that wait for something new
/// answer at once; nothing else changes.
///
/// The peer's address is taken from the request's extension
/// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo); without it nobody counts as local.
pub fn router(app: App, limits: &Limits, stop: CancellationToken) -> Router {
    let keys = ApiKeys::new(app.store.clone(), app.clock.clone());
    Api::new(keys, app, limits, stop).router()
}

/// [`router`] with keys that somebody keeps confirmed, and the short way to a check.
pub fn answering(keys: ApiKeys, app: App, limits: &Limits, stop: CancellationToken) -> Answering {
    let api = Api::new(keys, app, limits, stop);
    Answering {
        router: api.clone().router(),
        shortcut: Some(Arc::new(QuickCheck::new(api))),
    }
}

impl Api {
    fn new(keys: ApiKeys, app: App, limits: &Limits, stop: CancellationToken) -> Self {
        Self(Arc::new(Reach {
            app,
            keys,
            budget: Budget::new(limits),
            bulk: Arc::new(Semaphore::new(limits.bulk_checks.max(1))),
            bulk_checks: limits.bulk_checks.max(1),
            spools: limits.spools.clone(),
            documents: Documents::new(),
            tenant_names: TenantNames::default(),
            requests: RequestIds::new(),
            stop,
        }))
    }

    fn router(self) -> Router {
        let (routes, _) = described().split_for_parts();
        routes
            .route("/problems/{code}", get(docs::problem))
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(middleware::from_fn_with_state(self.clone(), every_call))
            .with_state(self)
    }
}

/// Every call that the OpenAPI document describes.
fn described() -> OpenApiRouter<Api> {
    sending()
        .merge(evidence())
        .merge(management())
        .merge(operations())
}

/// What sending systems call.
fn sending() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(check::check))
        .routes(routes!(suppressions::list, suppressions::add::add_all))
        .routes(routes!(suppressions::lift::lift_all))
        .routes(routes!(suppressions::one::one))
        .routes(routes!(tokens::mint))
        .routes(routes!(tokens::inspect::explain))
        .routes(routes!(changes::changes))
        .routes(routes!(events::events, events::add::tell_all))
}

/// What operators look at and decide.
fn evidence() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(receipts::list))
        .routes(routes!(receipts::one::show))
        .routes(routes!(receipts::raw::bytes))
        .routes(routes!(held::list))
        .routes(routes!(held::decide::approve_one))
        .routes(routes!(held::decide::dismiss_one))
        .routes(routes!(erase::erase))
        .routes(routes!(explain::explain))
        .routes(routes!(held::together::approve_all))
        .routes(routes!(held::together::dismiss_all))
        .routes(routes!(alarms::list))
        .routes(routes!(stats::sums))
}

/// What exists.
fn management() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(streams::list, streams::create))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(mailboxes::list, mailboxes::create))
        .routes(routes!(mailboxes::delete))
        .routes(routes!(signing_keys::list, signing_keys::create))
        .routes(routes!(signing_keys::export))
        .routes(routes!(signing_keys::change))
        .routes(routes!(replay::page))
}

/// For whoever watches or reads.
fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(health::livez))
        .routes(routes!(health::doors))
        .routes(routes!(health::check))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi::json))
        .routes(routes!(docs::page))
}

async fn no_such_path() -> Problem {
    Problem::new(
        Kind::NotFound,
        "there is no such path; GET /docs lists them",
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(Kind::MethodNotAllowed, format!("{path} has no {method}"))
}

/// What every call passes, in one layer: each layer of its own would copy all those below it for
/// every request.
async fn every_call(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = api.requests.draw();
    id.within(answered(&api, request, next, id)).await
}

async fn answered(api: &Api, request: Request, next: Next, id: RequestId) -> Response {
    let (mut request, unread) = unread::watched(request);
    let parent = caller::parent(request.headers(), api).await;
    let counted = counting::begun(api, &mut request, parent);
    let is_read = reads(&request);
    let response = match accept::refusal(&request) {
        None => next.run(request).await,
        Some(problem) => problem.into_response(),
    };
    let mut response = long(api, response, is_read);
    counted.ended(api, id, response.status());
    complete(&mut response, id);
    let still_read = response.extensions().get::<unread::ReadWhileAnswered>();
    if still_read.is_none() {
        unread.discard().await;
    }
    response
}

/// The headers of every answer.
fn complete(response: &mut Response, id: RequestId) {
    let headers = response.headers_mut();
    id.put_into(headers);
    keep_private(headers);
}

/// Whether a call changes nothing: then it can be refused when it has been answered.
fn reads(request: &Request) -> bool {
    request.method().is_safe() || request.uri().path() == "/v1/check"
}

/// A long answer is sent piece by piece and counts as a body until it is sent. What has changed
/// something is sent in any case: its caller must not believe that it failed.
fn long(api: &Api, mut response: Response, is_read: bool) -> Response {
    let Some(wire::Long(bytes)) = response.extensions_mut().remove() else {
        return response;
    };
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let share = match api.budget.hold(length) {
        Ok(share) => share,
        Err(problem) if is_read => return problem.into_response(),
        Err(_) => Share::none(),
    };
    response.map(|_empty| Body::new(Pieces::new(bytes, share)))
}

/// Answers name people: nothing on the way may keep them, and no browser may guess their type.
/// What has a tag names nobody: its caller may keep it.
fn keep_private(headers: &mut HeaderMap) {
    let keep = if conditional::is_tagged(headers) {
        "private, no-cache"
    } else {
        "no-store"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
