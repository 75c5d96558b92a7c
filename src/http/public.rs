//! The public door: one-click unsubscribe by POST (RFC 8058) and the landing page that a reader's
//! browser gets.
//!
//! A POST with a valid token acts, whatever stands in its body or in its header: to fail one who
//! asked to be left alone costs more than to believe a token twice. The body is evidence. GET,
//! HEAD and everything else never act, since security scanners fetch every link of a mail. Nothing
//! redirects, sets a cookie or asks where a request came from (RFC 8058 §3.1): all readers of a
//! large provider arrive from a few addresses.
//!
//! The page speaks the reader's language, works without script, and says what its button will do.
//! After a press it offers to take back, within an hour, what this visit has done and nothing else.
//! A press beyond its token's share is kept without its visit, or not at all: no offer then.

mod answer;
mod language;
pub mod mta_sts;
mod overrides;
pub mod pages;
mod request;
mod template;
mod texts;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};

use self::mta_sts::MtaSts;
use self::pages::{Ends, Names, Pages, Reader};
use self::request::{first_value, token_text, wants_page};
use super::connection::body::{Beginning, Budget, read_beginning};
use crate::app::reception::undo::UndoRefusal;
use crate::app::reception::{Click, ClickRefusal, Reception};
use crate::judge;
use crate::metrics::Metrics;
use crate::model::clock::Clock;
use crate::model::receipt::Door;
use crate::model::suppression::Scope;
use crate::report::page::{Pressed, pressed};
use crate::token::undo::Visit;
use crate::token::wire::Token;
use crate::traces::{Asked, Span, Traces};

/// What one-click requests may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClickLimits {
    /// Octets of a body that are kept (8 KiB). A longer one is cut, and acted on nevertheless:
    /// the token says all, and a body of any length is a client's mistake, not a reader's.
    pub body: usize,
    /// Octets of a longer body that are still read, and thrown away, before the answer (64 KiB).
    pub discarded: usize,
    /// Octets of bodies held at a time (64 MiB); beyond it the answer is `503`. Only bodies of
    /// requests with a valid token are read at all.
    pub in_flight: usize,
}

impl Default for ClickLimits {
    fn default() -> Self {
        Self {
            body: 8 * 1024,
            discarded: 64 * 1024,
            in_flight: 64 * 1024 * 1024,
        }
    }
}

/// What the public door needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Public {
    reception: Reception,
    limits: ClickLimits,
    bodies: Budget,
    pages: Pages,
    mta_sts: Option<MtaSts>,
    metrics: Metrics,
    clock: Clock,
    traces: Traces,
    scheme: &'static str,
}

impl Public {
    /// A door to this reception, with these pages for readers.
    pub fn new(reception: Reception, limits: ClickLimits, pages: Pages) -> Self {
        Self {
            reception,
            limits,
            bodies: Budget::new(limits.in_flight),
            pages,
            mta_sts: None,
            metrics: Metrics::default(),
            clock: Clock::system(),
            traces: Traces::default(),
            scheme: "https",
        }
    }

    /// Serves this policy, if there is one.
    #[must_use]
    pub fn with_mta_sts(self, mta_sts: Option<MtaSts>) -> Self {
        Self { mta_sts, ..self }
    }

    /// Counts its requests there, by route and status, with the time that they take.
    #[must_use]
    pub fn counting(self, metrics: Metrics, clock: Clock) -> Self {
        Self {
            metrics,
            clock,
            ..self
        }
    }

    /// Makes its requests spans; they come in by `http` or `https`.
    #[must_use]
    pub fn traced(self, traces: Traces, scheme: &'static str) -> Self {
        Self {
            traces,
            scheme,
            ..self
        }
    }

    fn token(&self, path: &str) -> Result<Token, ClickRefusal> {
        let text = token_text(path).ok_or(ClickRefusal::Unknown)?;
        self.reception.click_token(&text)
    }

    /// What a reader is told that an opt-out by this token ends: what it is judged to end.
    fn ends(&self, token: &Token) -> Ends {
        if token.revoked {
            return Ends::NothingYet;
        }
        match judge::opt_out_scope(&self.reception.directory(), &token.fields) {
            Scope::Stream(_) => Ends::ThisKind,
            Scope::Marketing | Scope::All => Ends::Marketing,
        }
    }

    /// Who is said to have sent the mail, and which kind of mail it was.
    fn names(&self, token: &Token) -> Names {
        let directory = self.reception.directory();
        let fields = &token.fields;
        let tenant = directory.tenant(fields.tenant);
        let stream = directory.stream(fields.tenant, fields.stream);
        Names::new(
            tenant.map_or("", |tenant| tenant.shown()),
            stream.map_or("", |stream| stream.shown()),
        )
    }

    fn reader(&self, headers: &HeaderMap) -> Reader<'_> {
        self.pages.for_reader(headers)
    }

    fn unavailable(&self, headers: &HeaderMap) -> Response {
        answer::unavailable(&self.pages, self.reader(headers).later())
    }

    /// The same to the last byte for whatever is wrong with a token: the answer must not tell who
    /// is known here.
    fn refused(&self, refusal: ClickRefusal, headers: &HeaderMap) -> Response {
        match refusal {
            ClickRefusal::Unknown => self.missing(headers),
            ClickRefusal::KeysNotCurrent => self.unavailable(headers),
        }
    }

    fn missing(&self, headers: &HeaderMap) -> Response {
        let said = self.reader(headers).missing();
        answer::page(&self.pages, StatusCode::NOT_FOUND, said)
    }
}

/// `GET`, `HEAD` and `POST /u/TOKEN`, `GET` of the MTA-STS policy; `405` for other methods there, `404` elsewhere.
pub fn router(door: Public) -> Router {
    let unsubscribe = get(page).post(click).fallback(not_allowed);
    Router::new()
        .route("/u/{*token}", unsubscribe)
        .route(
            "/.well-known/mta-sts.txt",
            get(policy).fallback(not_allowed),
        )
        .fallback(not_found)
        .layer(from_fn_with_state(door.clone(), counted))
        .with_state(door)
}

/// The pattern of the route is counted, never the path: it holds the token. Nobody out there decides
/// which spans are kept: no parent is read.
async fn counted(State(door): State<Public>, mut request: Request, next: Next) -> Response {
    let route = match request.uri().path() {
        path if path.starts_with("/u/") => Some("/u/{token}"),
        "/.well-known/mta-sts.txt" => Some("/.well-known/mta-sts.txt"),
        _ => None,
    };
    let asked = Asked {
        door: Door::OneClick,
        scheme: door.scheme,
        route,
        method: request.method(),
        version: request.version(),
    };
    let span = door.traces.request(&asked, None);
    span.put_into(request.extensions_mut());
    let begun = door.clock.tick();
    let response = next.run(request).await;
    let took = door.clock.tick().since(begun);
    let status = response.status().as_u16();
    span.answered(status);
    door.metrics
        .http_request("public", route.unwrap_or("other"), status, took);
    response
}

async fn policy(State(door): State<Public>, uri: Uri, headers: HeaderMap) -> Response {
    let policy = door.mta_sts.as_ref();
    let served = door.reception.served();
    let serves = |domain: &str| served.serves(domain);
    match policy.and_then(|policy| policy.asked(&uri, &headers, serves)) {
        Some(text) => answer::text(&door.pages, text.to_owned()),
        None => door.missing(&headers),
    }
}

async fn page(State(door): State<Public>, uri: Uri, headers: HeaderMap) -> Response {
    match door.token(uri.path()) {
        Ok(token) => {
            let names = door.names(&token);
            let said = door
                .reader(&headers)
                .question(door.ends(&token), &names, draw());
            answer::page(&door.pages, StatusCode::OK, said)
        }
        Err(refusal) => door.refused(refusal, &headers),
    }
}

/// A visit; without the system's randomness there is none, and nothing can be taken back.
fn draw() -> Option<Visit> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    Some(Visit::from_bytes(random))
}

async fn click(
    State(door): State<Public>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let token = match door.token(head.uri.path()) {
        Ok(token) => token,
        Err(refusal) => return door.refused(refusal, &head.headers),
    };
    let Some(_reserved) = door.bodies.reserve(door.limits.body) else {
        return door.unavailable(&head.headers);
    };
    let Beginning { bytes, is_whole } =
        read_beginning(body, door.limits.body, door.limits.discarded).await;
    tracing::debug!(is_whole, "a one-click unsubscribe");
    let click = Click {
        peer: peer.ip(),
        user_agent: first_value(&head.headers, &http::header::USER_AGENT).unwrap_or_default(),
        content_type: first_value(&head.headers, &http::header::CONTENT_TYPE),
        token,
        body: bytes,
    };
    Span::of(&head.extensions).tenant(Some(click.token.fields.tenant));
    match pressed(&click.body) {
        Pressed::Unsubscribe { .. } => unsubscribe(&door, click, &head).await,
        Pressed::Undo { nonce } => {
            let nonce = nonce.to_owned();
            undo(&door, click, &nonce, &head).await
        }
    }
}

async fn unsubscribe(door: &Public, click: Click, head: &Parts) -> Response {
    let headers = &head.headers;
    let reads = wants_page(headers).then(|| click.token.clone());
    let span = Span::of(&head.extensions);
    let visit = match door.reception.receive_click(click, &span).await {
        Ok(visit) => visit,
        Err(error) => {
            // As many as come while the journal cannot take them: they are counted where it refuses.
            tracing::debug!(%error, "a one-click unsubscribe was not accepted");
            return door.unavailable(headers);
        }
    };
    let Some(token) = reads else {
        return answer::line(&door.pages);
    };
    let (ends, names) = (door.ends(&token), door.names(&token));
    // Offered only where it will find what to take back.
    let visit = visit.filter(|_| ends != Ends::NothingYet);
    let nonce = visit.and_then(|visit| door.reception.undo_nonce(&token, visit));
    let said = door.reader(headers).done(ends, &names, nonce.as_deref());
    answer::page(&door.pages, StatusCode::OK, said)
}

async fn undo(door: &Public, click: Click, nonce: &str, head: &Parts) -> Response {
    let headers = &head.headers;
    let reader = door.reader(headers);
    let span = Span::of(&head.extensions);
    match door.reception.receive_undo(click, nonce, &span).await {
        Ok(()) => answer::page(&door.pages, StatusCode::OK, reader.undone()),
        Err(UndoRefusal::Gone(_)) => answer::page(&door.pages, StatusCode::GONE, reader.late()),
        Err(UndoRefusal::NotNow(error)) => {
            tracing::debug!(%error, "an undo was not accepted");
            door.unavailable(headers)
        }
    }
}

async fn not_found(State(door): State<Public>, headers: HeaderMap) -> Response {
    door.missing(&headers)
}

async fn not_allowed(State(door): State<Public>, headers: HeaderMap) -> Response {
    let said = door.reader(&headers).refused();
    answer::page(&door.pages, StatusCode::METHOD_NOT_ALLOWED, said)
}
