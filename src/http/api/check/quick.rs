//! The short way to a check of a few addresses, by a caller who is known here: past the router and
//! its layers, which take longer than the answer.
//!
//! It takes what it can answer at once, with a body of known length, and leaves everything else to
//! the router, all refusals before the body among it. What it answers is what the router would.

use axum::response::{IntoResponse as _, Response};
use http::{Method, Request};

use super::super::body::{self, Body, media_type};
use super::super::counting::{self, Counted};
use super::super::request_id::RequestId;
use super::super::{Api, accept, caller, complete, long, unread, wire};
use super::{BULK_BYTES, answer};
use crate::http::connection::body::Timed;
use crate::http::connection::{Answer, Shortcut};
use crate::metrics::OftenAnswered;
use crate::model::tenant::TenantId;

const PATH: &str = "/v1/check";
const JSON: &str = "application/json";

/// Answers small checks.
#[derive(Debug)]
pub(in super::super) struct QuickCheck {
    api: Api,
    often: OftenAnswered,
}

/// A check whose body is still to be read.
struct Taken {
    api: Api,
    counted: Counted,
    id: RequestId,
    tenant: TenantId,
    body: Timed,
    announced: usize,
}

impl QuickCheck {
    /// For one listener.
    pub(in super::super) fn new(api: Api) -> Self {
        let often = api.app.metrics.often("api", PATH);
        Self { api, often }
    }

    /// The length and the tenant of a check that can be answered here.
    fn admits(&self, request: &Request<Timed>) -> Option<(usize, TenantId)> {
        let (uri, headers) = (request.uri(), request.headers());
        if request.method() != Method::POST || uri.path() != PATH || uri.query().is_some() {
            return None;
        }
        let most = BULK_BYTES.min(self.api.budget.largest());
        let announced = body::announced(headers).filter(|length| *length < most)?;
        if media_type(headers)? != JSON || !accept::takes(headers, JSON) {
            return None;
        }
        Some((announced, caller::known(headers, &self.api)?))
    }
}

impl Shortcut for QuickCheck {
    fn take(&self, request: &mut Option<Request<Timed>>) -> Option<Answer> {
        let mut counted = counting::begun_often(&self.api, PATH, &self.often);
        let (announced, tenant) = self.admits(request.as_ref()?)?;
        counted.traced(&self.api, request.as_ref()?, tenant);
        let taken = Taken {
            api: self.api.clone(),
            counted,
            id: self.api.requests.draw(),
            tenant,
            body: request.take()?.into_body(),
            announced,
        };
        Some(Box::pin(taken.answer()))
    }
}

impl Taken {
    async fn answer(self) -> Response {
        let Self {
            api,
            counted,
            id,
            tenant,
            mut body,
            announced,
        } = self;
        let read = Body::collect(&mut body, Some(announced), &api.budget);
        let read = id.within(read).await;
        if read.is_err() {
            unread::discard(body).await;
        }
        let mut response = id.within_now(|| {
            let answered = read.and_then(|body| answer(&api, tenant, &body));
            long(&api, answered.map(wire::json).into_response(), true)
        });
        counted.ended(&api, id, response.status());
        complete(&mut response, id);
        response
    }
}
