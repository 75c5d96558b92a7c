//! Layer 2: spans for OpenTelemetry, in programs that are built with the feature `otel`.
//!
//! Every kind of span has its typed methods, as every metric has. Names and attributes are texts
//! fixed in the program, words of the model, numbers, and what desist itself has drawn (the number
//! of a call, the id of a receipt); never a path, an address, a token, or anything else that
//! somebody outside chooses. The one exception are the two numbers of a caller's `traceparent`.
//! Spans of HTTP follow OpenTelemetry's conventions but for that: `url.path` is left out.
//!
//! Without the feature [`Span`] and [`Traces`] are `None` of a type that has no value, and nothing
//! of this is left in the program. With it, a span that is not kept costs the decision.
//!
//! Spans have their times from the library that makes them, which reads the system's clock.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod otel;

use std::borrow::Cow;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Version};

#[cfg(not(feature = "otel"))]
use self::absent as inner;
#[cfg(feature = "otel")]
use self::otel as inner;
use crate::metrics::Metrics;
use crate::model::clock::Clock;
use crate::model::receipt::{Door, ReceiptId};
use crate::model::tenant::TenantId;

/// What makes spans. Cheap to clone. The default makes none.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<inner::Tracer>);

/// Something that takes time. It ends when it says so, or with its last clone; the default is one
/// that nobody keeps.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<inner::Recording>);

/// The span of a caller, of which a call is a part.
#[derive(Debug, Clone, Copy)]
pub struct Parent(inner::Remote);

/// A moment that may become the beginning of a span.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment(Option<inner::Instant>);

/// The reading of some receipts, which is over before the span of their batch begins.
#[derive(Debug, Clone, Copy)]
pub struct Reading(Option<inner::Reading>);

/// Where spans go, and which.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URL that they are posted to (OTLP over HTTP).
    pub endpoint: String,
    /// Of the traces that begin here.
    pub sample: Ratio,
    /// Sent along, for instance a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The certificates, PEM, that a collector is trusted by; `None`: those of public authorities.
    pub ca_file: Option<PathBuf>,
    /// How long the collector may take to answer.
    pub timeout: Duration,
    /// Spans that wait, at most.
    pub queue: usize,
    /// What this node is called.
    pub host: String,
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificates cannot be used.
    #[error("traces.ca_file {path}: {why}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system gives no random bytes.
    #[error("no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// A part of a whole, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio(u32);

impl Ratio {
    /// All of it.
    pub const ONE: Self = Self(1_000_000);

    /// So many millionths; `None` above [`Ratio::ONE`].
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if millionths <= Self::ONE.0 {
            Some(Self(millionths))
        } else {
            None
        }
    }

    /// In millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

/// A request of HTTP, as far as its span may know it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Where it came in.
    pub door: Door,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The pattern of its path, if it has one here.
    pub route: Option<&'static str>,
    /// Its method.
    pub method: &'a Method,
    /// Its version of HTTP.
    pub version: Version,
}

/// What an attribute says.
#[cfg_attr(
    not(feature = "otel"),
    expect(dead_code, reason = "nobody is there to read it")
)]
enum Value {
    Number(i64),
    Flag(bool),
    Word(&'static str),
    Text(String),
}

/// Where a span stands among others.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Somebody outside waits for it.
    Server,
    /// It is our own doing.
    Internal,
}

impl Traces {
    /// Sends spans to a collector from now on, if there is one.
    pub fn start(
        collector: Option<Settings>,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Self, StartError> {
        Ok(Self(match collector {
            Some(settings) => inner::Tracer::start(settings, metrics, clock)?,
            None => None,
        }))
    }

    /// The span that a caller says its call is a part of (W3C Trace Context §3.2, `traceparent`).
    /// Only for callers who may decide what is kept.
    pub fn parent(&self, headers: &HeaderMap) -> Option<Parent> {
        self.0.as_ref()?;
        inner::Remote::named_in(headers).map(Parent)
    }

    /// A request begins. A part of a caller's span is kept if that is; another by the ratio.
    pub fn request(&self, asked: &Asked<'_>, parent: Option<Parent>) -> Span {
        let parent = parent.map(|Parent(remote)| remote);
        let Some(tracer) = self.0.as_ref().filter(|tracer| tracer.keeps(parent)) else {
            return Span::default();
        };
        let method = method(asked.method);
        // As OpenTelemetry's conventions for HTTP have it.
        let verb = if method == OTHER { "HTTP" } else { method };
        let name = match asked.route {
            Some(route) => Cow::Owned(format!("{verb} {route}")),
            None => Cow::Borrowed(verb),
        };
        let span = Span(tracer.begin(Kind::Server, name, parent, None));
        span.set("http.request.method", Value::Word(method));
        if let Some(route) = asked.route {
            span.set("http.route", Value::Word(route));
        }
        span.set("url.scheme", Value::Word(asked.scheme));
        span.set(
            "network.protocol.version",
            Value::Word(version(asked.version)),
        );
        span.set(DOOR, Value::Word(asked.door.as_str()));
        span
    }

    /// A mail was received whole, of so many octets, after `took` since its content began.
    pub fn message(&self, octets: usize, tls: bool, took: impl FnOnce() -> Duration) -> Span {
        let Some(tracer) = self.0.as_ref().filter(|tracer| tracer.keeps(None)) else {
            return Span::default();
        };
        let begun = tracer.ago(took());
        let name = Cow::Borrowed("smtp message");
        let span = Span(tracer.begin(Kind::Server, name, None, begun));
        span.set(DOOR, Value::Word(Door::Smtp.as_str()));
        span.set("network.protocol.name", Value::Word("smtp"));
        span.set("tls.established", Value::Flag(tls));
        span.set("desist.message.size", number(octets));
        span
    }

    /// So many receipts have been read since that moment.
    pub fn read(&self, begun: Moment, items: usize) -> Reading {
        let tracer = self.0.as_ref();
        Reading(tracer.and_then(|tracer| tracer.read(begun.0?, items)))
    }

    /// What was read begins to be recorded together; its span began with the first reading.
    pub fn batch(&self, readings: &[Reading]) -> Span {
        let Some(tracer) = self.0.as_ref().filter(|tracer| tracer.keeps(None)) else {
            return Span::default();
        };
        let known = || readings.iter().filter_map(|reading| reading.0);
        let begun = known().next().and_then(|reading| reading.times().0);
        let name = Cow::Borrowed("pipeline batch");
        let span = Span(tracer.begin(Kind::Internal, name, None, begun));
        span.set(ITEMS, number(known().map(inner::Reading::items).sum()));
        for reading in known() {
            let (begun, ended) = reading.times();
            let read = span.part("read", begun);
            read.set(ITEMS, number(reading.items()));
            read.end(ended);
        }
        span
    }

    /// This moment, if it may become part of a span.
    pub fn moment(&self) -> Moment {
        Moment(self.0.as_ref().and_then(inner::Tracer::now))
    }

    /// Sends what waits, for so long; spans that end later are nobody's.
    pub async fn close(&self, within: Duration) {
        let Some(tracer) = self.0.clone() else { return };
        // It waits for the thread that sends. Nothing is left to do if the runtime itself ends.
        drop(tokio::task::spawn_blocking(move || tracer.close(within)).await);
    }
}

impl Span {
    /// The span that stands in the extensions of a request.
    pub fn of(extensions: &Extensions) -> Self {
        // Without the feature there never is one.
        if size_of::<Self>() == 0 {
            return Self::default();
        }
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Puts it where [`Span::of`] finds it.
    pub fn put_into(&self, extensions: &mut Extensions) {
        if self.0.is_some() {
            extensions.insert(self.clone());
        }
    }

    /// Whom it is for.
    pub fn tenant(&self, tenant: Option<TenantId>) {
        if let (Some(_), Some(tenant)) = (&self.0, tenant) {
            self.set("desist.tenant", Value::Number(tenant.get().into()));
        }
    }

    /// The number of the call, which its answer and the log have too.
    pub fn call(&self, number: impl Display) {
        if self.0.is_some() {
            self.set("desist.request_id", Value::Text(number.to_string()));
        }
    }

    /// A request was answered: the span ends.
    pub fn answered(&self, status: u16) {
        if self.0.is_none() {
            return;
        }
        self.set("http.response.status_code", Value::Number(status.into()));
        if status >= 500 {
            self.failed(Value::Text(status.to_string()));
        }
        self.end(None);
    }

    /// A mail is acknowledged by this receipt.
    pub fn receipt(&self, receipt: ReceiptId) {
        if self.0.is_some() {
            self.set("desist.receipt", Value::Text(receipt.to_string()));
        }
    }

    /// A mail was answered with this code: the span ends.
    pub fn replied(&self, code: impl FnOnce() -> Option<u16>) {
        if self.0.is_none() {
            return;
        }
        if let Some(code) = code() {
            self.set("desist.smtp.reply_code", Value::Number(code.into()));
            if code >= 400 {
                self.failed(Value::Text(code.to_string()));
            }
        }
        self.end(None);
    }

    /// The wait for the journal begins.
    #[must_use]
    pub fn journal(&self) -> Self {
        self.part("journal", None)
    }

    /// A transaction of the store begins, for so many receipts.
    #[must_use]
    pub fn store(&self, items: usize) -> Self {
        let span = self.part("store", None);
        span.set(ITEMS, number(items));
        span
    }

    /// It ends now.
    pub fn ended(self) {
        self.end(None);
    }

    /// It has failed; the word says in which way.
    pub fn failed_so(&self, way: &'static str) {
        self.failed(Value::Word(way));
    }

    fn part(&self, name: &'static str, begun: Option<inner::Instant>) -> Self {
        Self(self.0.as_ref().and_then(|whole| whole.part(name, begun)))
    }

    fn failed(&self, kind: Value) {
        if let Some(recording) = &self.0 {
            recording.set("error.type", kind);
            recording.fail();
        }
    }

    fn set(&self, name: &'static str, value: Value) {
        if let Some(recording) = &self.0 {
            recording.set(name, value);
        }
    }

    fn end(&self, at: Option<inner::Instant>) {
        if let Some(recording) = &self.0 {
            recording.end(at);
        }
    }
}

/// What others call themselves is theirs to choose.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

fn number(count: usize) -> Value {
    Value::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

const OTHER: &str = "_OTHER";
const DOOR: &str = "desist.door";
const ITEMS: &str = "desist.items";
