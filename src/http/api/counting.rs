//! Counts answers, and makes them spans, by the pattern of their path, never by the path itself:
//! that has addresses.

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode, Version};

use super::Api;
use super::request_id::RequestId;
use crate::metrics::OftenAnswered;
use crate::model::clock::Tick;
use crate::model::receipt::Door;
use crate::model::tenant::TenantId;
use crate::traces::{Asked, Parent, Span};

/// Every pattern, as the metrics' label.
const ROUTES: &[&str] = &[
    "/v1/check",
    "/v1/suppressions",
    "/v1/suppressions/lift",
    "/v1/suppressions/{address}",
    "/v1/tokens",
    "/v1/tokens/inspect",
    "/v1/changes",
    "/v1/events",
    "/v1/erase",
    "/v1/receipts",
    "/v1/receipts/{id}",
    "/v1/receipts/{id}/raw",
    "/v1/held",
    "/v1/held/approve",
    "/v1/held/dismiss",
    "/v1/held/{id}/approve",
    "/v1/held/{id}/dismiss",
    "/v1/alarms",
    "/v1/replay",
    "/v1/explain",
    "/v1/stats",
    "/v1/streams",
    "/v1/keys",
    "/v1/keys/{prefix}",
    "/v1/signing-keys",
    "/v1/signing-keys/export",
    "/v1/signing-keys/{serial}",
    "/v1/mailboxes",
    "/v1/mailboxes/{address}",
    "/v1/tenants",
    "/livez",
    "/readyz/doors",
    "/readyz/check",
    "/metrics",
    "/openapi.json",
    "/docs",
];

/// A call that is being answered.
#[derive(Debug)]
pub(super) struct Counted {
    route: &'static str,
    begun: Tick,
    often: Option<OftenAnswered>,
    span: Span,
}

/// A call begins, perhaps as a part of its caller's span. Its own stands in its extensions.
pub(super) fn begun(api: &Api, request: &mut Request, parent: Option<Parent>) -> Counted {
    let pattern = request.extensions().get::<MatchedPath>();
    let route = pattern.map_or(OTHER, |pattern| label(pattern.as_str()));
    let (method, version) = (request.method(), request.version());
    let span = api
        .app
        .traces
        .request(&asked(route, method, version), parent);
    span.put_into(request.extensions_mut());
    Counted {
        route,
        begun: api.app.clock.tick(),
        often: None,
        span,
    }
}

fn asked<'a>(route: &'static str, method: &'a Method, version: Version) -> Asked<'a> {
    Asked {
        door: Door::Api,
        scheme: "http",
        route: (route != OTHER).then_some(route),
        method,
        version,
    }
}

/// A call of that route, which is answered very often, begins.
pub(super) fn begun_often(api: &Api, route: &'static str, often: &OftenAnswered) -> Counted {
    Counted {
        route,
        begun: api.app.clock.tick(),
        often: Some(often.clone()),
        span: Span::default(),
    }
}

impl Counted {
    /// It is a span too, for this tenant, and perhaps a part of its caller's.
    pub(super) fn traced<B>(&mut self, api: &Api, request: &http::Request<B>, tenant: TenantId) {
        let traces = &api.app.traces;
        let parent = traces.parent(request.headers());
        let asked = asked(self.route, request.method(), request.version());
        self.span = traces.request(&asked, parent);
        self.span.tenant(Some(tenant));
    }

    /// Counts its answer and its time.
    pub(super) fn ended(self, api: &Api, request: RequestId, status: StatusCode) {
        let took = api.app.clock.tick().since(self.begun);
        let Self {
            route, often, span, ..
        } = self;
        span.call(request);
        span.answered(status.as_u16());
        tracing::debug!(%request, route, status = status.as_u16(), ?took, "a call of the API");
        match often {
            Some(often) if status == StatusCode::OK => often.answered(took),
            _ => {
                let status = status.as_u16();
                api.app.metrics.http_request("api", route, status, took);
            }
        }
    }
}

fn label(pattern: &str) -> &'static str {
    ROUTES
        .iter()
        .find(|route| **route == pattern)
        .copied()
        .unwrap_or(OTHER)
}

/// The label of a path that none of them is.
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_label() {
        // G-032
        let document = super::super::document();
        for path in document.paths.paths.keys() {
            assert_eq!(label(path), path);
        }
        assert_eq!(
            ROUTES.len(),
            document.paths.paths.len(),
            "no label without a path"
        );
        assert_eq!(label("/v1/suppressions/somebody@example.com"), "other");
    }
}
