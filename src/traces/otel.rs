//! Spans as OpenTelemetry's library makes them.

mod collector;
mod parent;
mod queue;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::resource::{Resource, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, Span, SpanLimits,
};

use self::collector::Collector;
use self::queue::Queue;
use super::{Kind, Ratio, Settings, StartError, Value};
use crate::metrics::Metrics;
use crate::model::clock::Clock;

pub(super) use self::parent::Remote;

/// Makes spans and sends them.
#[derive(Debug, Clone)]
pub(super) struct Tracer(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    random: RandomIdGenerator,
    sample: Ratio,
    queue: Queue,
}

/// A span that is kept.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    tracer: Tracer,
    span: Arc<Mutex<Span>>,
}

/// A reading that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    begun: Instant,
    ended: Instant,
    items: usize,
}

/// A moment of the system's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant(SystemTime);

impl Tracer {
    pub(super) fn start(
        settings: Settings,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Option<Self>, StartError> {
        let (sample, resource) = (settings.sample, resource(&settings)?);
        let queue = Queue::new(settings.queue, metrics, clock);
        let collector = Collector::new(settings, queue.clone())?;
        // Everything that the library would else take from the environment is said here.
        let provider = SdkTracerProvider::builder()
            // What is not kept is not even begun.
            .with_sampler(Sampler::AlwaysOn)
            .with_span_limits(SpanLimits::default())
            .with_resource(resource)
            .with_span_processor(queue.before(collector))
            .build();
        let scope = InstrumentationScope::builder("desist").with_version(env!("CARGO_PKG_VERSION"));
        Ok(Some(Self(Arc::new(Kept {
            tracer: provider.tracer_with_scope(scope.build()),
            provider,
            random: RandomIdGenerator::default(),
            sample,
            queue,
        }))))
    }

    /// Whether a span is begun: as its caller has decided, or by the ratio.
    pub(super) fn keeps(&self, parent: Option<Remote>) -> bool {
        match parent {
            Some(parent) => parent.is_kept(),
            None => self.draws_below(self.0.sample),
        }
    }

    fn draws_below(&self, ratio: Ratio) -> bool {
        if ratio == Ratio::ONE {
            return true;
        }
        let drawn = u64::from_be_bytes(self.0.random.new_span_id().to_bytes());
        drawn % u64::from(Ratio::ONE.millionths()) < u64::from(ratio.millionths())
    }

    pub(super) fn begin(
        &self,
        kind: Kind,
        name: Cow<'static, str>,
        parent: Option<Remote>,
        begun: Option<Instant>,
    ) -> Option<Recording> {
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Internal => SpanKind::Internal,
        };
        let parent = parent.as_ref().map(Remote::context);
        let span = SpanBuilder::from_name(name).with_kind(kind);
        self.begin_in(parent, span, begun)
    }

    /// `None` once it was closed.
    fn begin_in(
        &self,
        parent: Option<SpanContext>,
        mut span: SpanBuilder,
        begun: Option<Instant>,
    ) -> Option<Recording> {
        span.start_time = begun.map(|Instant(at)| at);
        let mut context = Context::new();
        if let Some(parent) = parent {
            context = context.with_remote_span_context(parent);
        }
        let span = self.0.tracer.build_with_context(span, &context);
        span.is_recording().then(|| Recording {
            tracer: self.clone(),
            span: Arc::new(Mutex::new(span)),
        })
    }

    pub(super) fn read(&self, begun: Instant, items: usize) -> Option<Reading> {
        let ended = self.now()?;
        Some(Reading {
            begun,
            ended,
            items,
        })
    }

    pub(super) fn now(&self) -> Option<Instant> {
        self.ago(Duration::ZERO)
    }

    #[expect(
        clippy::unused_self,
        reason = "without the feature there is none to ask"
    )]
    pub(super) fn ago(&self, long: Duration) -> Option<Instant> {
        opentelemetry::time::now().checked_sub(long).map(Instant)
    }

    /// Sends what waits, for so long. Blocks.
    pub(super) fn close(&self, within: Duration) {
        let closed = self.0.provider.shutdown_with_timeout(within);
        let left = self.0.queue.len();
        if closed.is_err() || left > 0 {
            tracing::warn!(
                left,
                "the collector of spans did not take all that were left"
            );
        }
    }
}

impl Recording {
    pub(super) fn part(&self, name: &'static str, begun: Option<Instant>) -> Option<Self> {
        let whole = self.span().span_context().clone();
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Internal);
        self.tracer.begin_in(Some(whole), span, begun)
    }

    pub(super) fn set(&self, name: &'static str, value: Value) {
        let attribute = match value {
            Value::Number(number) => KeyValue::new(name, number),
            Value::Flag(flag) => KeyValue::new(name, flag),
            Value::Word(word) => KeyValue::new(name, word),
            Value::Text(text) => KeyValue::new(name, text),
        };
        self.span().set_attribute(attribute);
    }

    pub(super) fn fail(&self) {
        // What happened is an attribute: a sentence could quote somebody.
        self.span().set_status(Status::error(""));
    }

    pub(super) fn end(&self, at: Option<Instant>) {
        let mut span = self.span();
        match at {
            Some(Instant(at)) => span.end_with_timestamp(at),
            None => span.end(),
        }
    }

    fn span(&self) -> MutexGuard<'_, Span> {
        // Nothing panics while it is locked.
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    pub(super) const fn times(self) -> (Option<Instant>, Option<Instant>) {
        (Some(self.begun), Some(self.ended))
    }

    pub(super) const fn items(self) -> usize {
        self.items
    }
}

/// Who sends them: the program, and which start of which node of it.
fn resource(settings: &Settings) -> Result<Resource, StartError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(StartError::Randomness)?;
    let instance = uuid::Builder::from_random_bytes(random).into_uuid();
    Ok(Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name("desist")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_string()),
            KeyValue::new("host.name", settings.host.clone()),
        ])
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(millionths: u32) -> Tracer {
        let settings = Settings {
            endpoint: "http://127.0.0.1:9/v1/traces".to_owned(),
            sample: Ratio::from_millionths(millionths).unwrap(),
            headers: Vec::new(),
            ca_file: None,
            timeout: Duration::from_secs(1),
            queue: 8,
            host: "mx.example.com".to_owned(),
        };
        let started = Tracer::start(settings, &Metrics::default(), &Clock::system());
        started.unwrap().unwrap()
    }

    #[test]
    fn a_part_of_what_begins_here_is_kept() {
        // G-033
        let kept = |tracer: &Tracer| (0..10_000).filter(|_| tracer.keeps(None)).count();
        assert_eq!(kept(&tracer(0)), 0);
        assert_eq!(kept(&tracer(1_000_000)), 10_000);
        let some = kept(&tracer(250_000));
        assert!((2_000..3_000).contains(&some), "{some}");
    }

    #[test]
    fn what_a_caller_decides_is_not_decided_again() {
        let remote = |text: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("traceparent", http::HeaderValue::from_static(text));
            Remote::named_in(&headers).unwrap()
        };
        let kept = remote("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let dropped = remote("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        for millionths in [0, 1_000_000] {
            let tracer = tracer(millionths);
            assert!(tracer.keeps(Some(kept)));
            assert!(!tracer.keeps(Some(dropped)));
        }
    }
}
