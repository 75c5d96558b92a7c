//! Spans in a program without the feature `otel`: there are none. The types have no values, so that
//! whoever asks for one of them has no instruction to run.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;

use super::{Kind, Settings, StartError, Value};
use crate::metrics::Metrics;
use crate::model::clock::Clock;

/// Makes no spans.
#[derive(Debug, Clone)]
pub(super) enum Tracer {}

/// A span that is never kept.
#[derive(Debug, Clone)]
pub(super) enum Recording {}

/// A span that nobody names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Remote {}

/// What was read without anybody looking.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {}

/// A moment that becomes no span.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instant {}

/// What the documentation says: nothing is left of a span.
const _: () = {
    assert!(size_of::<super::Span>() == 0 && size_of::<super::Traces>() == 0);
    assert!(size_of::<super::Moment>() == 0 && size_of::<super::Reading>() == 0);
};

impl Tracer {
    #[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
    pub(super) fn start(_: Settings, _: &Metrics, _: &Clock) -> Result<Option<Self>, StartError> {
        Ok(None)
    }

    pub(super) const fn keeps(&self, _: Option<Remote>) -> bool {
        match *self {}
    }

    pub(super) fn begin(
        &self,
        _: Kind,
        _: Cow<'static, str>,
        _: Option<Remote>,
        _: Option<Instant>,
    ) -> Option<Recording> {
        match *self {}
    }

    pub(super) const fn read(&self, _: Instant, _: usize) -> Option<Reading> {
        match *self {}
    }

    pub(super) const fn now(&self) -> Option<Instant> {
        match *self {}
    }

    pub(super) const fn ago(&self, _: Duration) -> Option<Instant> {
        match *self {}
    }

    pub(super) const fn close(&self, _: Duration) {
        match *self {}
    }
}

impl Remote {
    pub(super) const fn named_in(_: &HeaderMap) -> Option<Self> {
        None
    }
}

impl Recording {
    pub(super) const fn part(&self, _: &'static str, _: Option<Instant>) -> Option<Self> {
        match *self {}
    }

    pub(super) fn set(&self, _: &'static str, _: Value) {
        match *self {}
    }

    pub(super) const fn fail(&self) {
        match *self {}
    }

    pub(super) const fn end(&self, _: Option<Instant>) {
        match *self {}
    }
}

impl Reading {
    pub(super) const fn times(self) -> (Option<Instant>, Option<Instant>) {
        match self {}
    }

    pub(super) const fn items(self) -> usize {
        match self {}
    }
}
