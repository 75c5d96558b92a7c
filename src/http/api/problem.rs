//! What went wrong, as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::request_id::RequestId;
use crate::model::redacted::redacted;
use crate::store::StoreError;

/// Declares every kind of problem once: its status, its code, its title and what to do about it.
macro_rules! kinds {
    ($( $kind:ident = $status:ident $code:literal $title:literal $advice:literal; )+) => {
        /// Every kind of problem that the API answers with. Their codes are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $( $kind ),+ }

        impl Kind {
            /// All of them, as `/docs` lists them.
            pub(crate) const ALL: &'static [Self] = &[ $( Self::$kind ),+ ];

            /// The HTTP status.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $( Self::$kind => StatusCode::$status ),+ }
            }

            /// The word that programs compare.
            pub(crate) const fn code(self) -> &'static str {
                match self { $( Self::$kind => $code ),+ }
            }

            /// The sentence that people read.
            pub(crate) const fn title(self) -> &'static str {
                match self { $( Self::$kind => $title ),+ }
            }

            /// What the caller can do.
            pub(crate) const fn advice(self) -> &'static str {
                match self { $( Self::$kind => $advice ),+ }
            }
        }
    };
}

kinds! {
    InvalidRequest = BAD_REQUEST "invalid-request" "A parameter is missing or wrong"
        "Correct what `detail` names.";
    InvalidJson = BAD_REQUEST "invalid-json" "The body is not the JSON that this call takes"
        "Correct it at `line` and `column`. Unknown members are refused, so that a typing error \
        is never taken for a wish.";
    Unauthorized = UNAUTHORIZED "unauthorized" "No valid API key"
        "Send `Authorization: Bearer desist_…`. `desist key create` makes a key.";
    InsufficientScope = FORBIDDEN "insufficient-scope" "The API key may not do this"
        "Use a key that has the scope named in `scope`.";
    ForeignTenant = FORBIDDEN "foreign-tenant" "The API key belongs to another tenant"
        "Leave out the header `Desist-Tenant`, or use a key of that tenant.";
    UnknownTenant = NOT_FOUND "unknown-tenant" "There is no such tenant"
        "Name one that `GET /v1/tenants` lists in the header `Desist-Tenant`.";
    NotFound = NOT_FOUND "not-found" "There is no such thing"
        "Look at the path and the id.";
    MethodNotAllowed = METHOD_NOT_ALLOWED "method-not-allowed" "This path has no such method"
        "Use one that `Allow` names.";
    NotAcceptable = NOT_ACCEPTABLE "not-acceptable" "The answer has no form that `Accept` takes"
        "Accept `application/json`.";
    Timeout = REQUEST_TIMEOUT "timeout" "The body did not arrive in time"
        "Send it again.";
    AlreadyDecided = CONFLICT "already-decided" "The hold was decided before"
        "Nothing: `detail` says how it was decided.";
    NameTaken = CONFLICT "name-taken" "The name belongs to another"
        "Choose another name.";
    DomainTaken = CONFLICT "domain-taken" "The domain belongs to another tenant"
        "Choose another domain, or let its tenant release it first.";
    LastActiveKey = CONFLICT "last-active-key" "Without this key nothing could be minted"
        "Make the next one in the same step: `POST /v1/signing-keys` with `retire` or `revoke`.";
    CursorExpired = GONE "cursor-expired" "The feed no longer reaches back to this cursor"
        "Read `GET /v1/suppressions` anew, having asked for a new cursor with `after=head` first.";
    RawNotKept = GONE "raw-not-kept" "The raw bytes are no longer kept"
        "Nothing: the receipt and its events stay.";
    TooLarge = PAYLOAD_TOO_LARGE "too-large" "The body is too large"
        "Split it.";
    TooManyItems = PAYLOAD_TOO_LARGE "too-many-items" "The call has too many items"
        "Split it into calls of at most `limit` items.";
    TooManyRequests = TOO_MANY_REQUESTS "too-many-requests" "The API key is used too often"
        "Try again after `Retry-After`, with more items in fewer calls.";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type"
        "The body has a type that this call does not take"
        "Send `Content-Type: application/json`.";
    UnknownStream = UNPROCESSABLE_ENTITY "unknown-stream" "The tenant has no such stream"
        "Create it with `POST /v1/streams`, or name one that `GET /v1/streams` lists.";
    ForeignDomain = UNPROCESSABLE_ENTITY "foreign-domain"
        "The domain is not served for this tenant"
        "Use the tenant's own domain. Mailboxes in a domain that tenants share are made with a key \
        of the installation.";
    LimitReached = UNPROCESSABLE_ENTITY "limit-reached" "The tenant has as many as it may have"
        "`detail` says how many that are.";
    Unprocessable = UNPROCESSABLE_ENTITY "unprocessable" "The values do not fit together"
        "Correct what `detail` names.";
    NoTenant = UNPROCESSABLE_ENTITY "no-tenant" "The hold belongs to no tenant"
        "Name the tenant that it is for in the header `Desist-Tenant`.";
    Internal = INTERNAL_SERVER_ERROR "internal" "Something is wrong inside desist"
        "Look at the server's log.";
    StoreUnavailable = SERVICE_UNAVAILABLE "store-unavailable" "The store does not answer"
        "Try again after `Retry-After`. Checks go on from the index meanwhile.";
    NotReady = SERVICE_UNAVAILABLE "not-ready" "This node is not ready for that"
        "Try again after `Retry-After`, or ask another node. Never take it for \"not suppressed\".";
    Overloaded = SERVICE_UNAVAILABLE "overloaded" "Too much is being read at once"
        "Try again after `Retry-After`.";
}

/// One answer that is no success. Made of what the caller may know; causes go to the log.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    members: Vec<(&'static str, Value)>,
    /// Boxed: most problems have none, and every handler's result has room for one.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// A problem and what exactly is wrong.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            members: Vec::new(),
            header: None,
        }
    }

    /// The same with a member that programs can read.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// No valid key (RFC 6750 §3).
    pub(crate) fn unauthorized(detail: &str, challenge: &'static str) -> Self {
        let header = Some(Box::new((
            WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        )));
        Self {
            header,
            ..Self::new(Kind::Unauthorized, detail)
        }
    }

    /// The key may not do this (RFC 6750 §3.1).
    pub(crate) fn insufficient_scope(scope: &'static str) -> Self {
        let challenge =
            format!("Bearer realm=\"desist\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let header = HeaderValue::try_from(challenge)
            .ok()
            .map(|value| Box::new((WWW_AUTHENTICATE, value)));
        let detail = format!("this call needs a key with the scope {scope} (or admin)");
        Self {
            header,
            ..Self::new(Kind::InsufficientScope, detail).with("scope", scope)
        }
    }

    /// It may succeed later.
    pub(crate) fn later(kind: Kind, detail: impl Into<String>, seconds: u16) -> Self {
        let header = Some(Box::new((RETRY_AFTER, HeaderValue::from(seconds))));
        Self {
            header,
            ..Self::new(kind, detail)
        }
    }

    /// Our own fault: the log has the cause, the caller a neutral sentence.
    pub(crate) fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let request = RequestId::current().map(tracing::field::display);
        tracing::error!(request, error, "{what}");
        Self::new(Kind::Internal, "the server's log says more")
    }

    /// JSON that does not fit, with its place.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        Self::new(Kind::InvalidJson, error.to_string())
            .with("line", error.line())
            .with("column", error.column())
    }
}

/// A detail may quote what was sent: that much of it is enough to find the place.
fn cut(mut detail: String) -> String {
    if detail.len() > DETAIL {
        detail.truncate(detail.floor_char_boundary(DETAIL));
        detail.push('…');
    }
    detail
}

/// Octets of a detail.
const DETAIL: usize = 512;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let mut body = Map::new();
        let code = self.kind.code();
        body.insert("type".to_owned(), format!("/problems/{code}").into());
        body.insert("title".to_owned(), self.kind.title().into());
        body.insert("status".to_owned(), status.as_u16().into());
        let detail = redacted(&cut(self.detail)).into_owned();
        body.insert("detail".to_owned(), detail.into());
        body.insert("code".to_owned(), code.into());
        if let Some(request) = RequestId::current() {
            body.insert("request".to_owned(), request.to_string().into());
        }
        for (name, value) in self.members {
            body.insert(name.to_owned(), value);
        }
        let body = Value::Object(body).to_string();
        let mut response =
            (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    /// The one translation of the store's failures. Their texts can name hosts and files, so they
    /// go to the log alone; what the store refuses is the caller's own input.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                log_away(&error);
                Self::later(Kind::StoreUnavailable, "the store does not answer", 5)
            }
            StoreError::Refused(why) => Self::new(Kind::Unprocessable, why),
            StoreError::Gone(_) => Self::new(Kind::CursorExpired, error.to_string()),
            StoreError::NotYet { .. } => Self::later(Kind::NotReady, error.to_string(), 30),
            StoreError::Inconsistent(_) | StoreError::Sealed(_) => {
                Self::internal("a call of the API failed", &error)
            }
        }
    }
}

fn log_away(error: &StoreError) {
    let request = RequestId::current().map(tracing::field::display);
    tracing::warn!(request, %error, "a call of the API needed the store");
}
