//! The spans that have ended and wait to be sent: so many and no more, each counted once.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor,
};

use super::collector::Collector;
use crate::metrics::{Metrics, SpanResult};
use crate::model::clock::Clock;

/// How many wait, and how it goes with them. Cheap to clone; clones are the same queue.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    waiting: AtomicUsize,
    metrics: Metrics,
    clock: Clock,
    /// Whether spans have been dropped since the collector last took some.
    is_troubled: AtomicBool,
    /// Whether the log was told of that.
    is_told: AtomicBool,
    /// When it was told last, in milliseconds of the clock; [`NEVER`] at first.
    told: AtomicU64,
}

/// What takes ended spans, if there is room for them.
#[derive(Debug)]
pub(super) struct Entrance {
    queue: Queue,
    batches: BatchSpanProcessor,
}

/// Spans that are sent at once, at most.
const BATCH: usize = 512;
/// How long the first of less than that may wait.
const DELAY: Duration = Duration::from_secs(1);
/// Between two lines of the log about the same trouble, at least.
const QUIET: Duration = Duration::from_mins(1);
const NEVER: u64 = u64::MAX;

impl Queue {
    /// For so many spans.
    pub(super) fn new(most: usize, metrics: &Metrics, clock: &Clock) -> Self {
        Self(Arc::new(Inner {
            most,
            waiting: AtomicUsize::new(0),
            metrics: metrics.clone(),
            clock: clock.clone(),
            is_troubled: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            told: AtomicU64::new(NEVER),
        }))
    }

    /// Its entrance; a thread of its own gives what waits to the collector.
    pub(super) fn before(&self, collector: Collector) -> Entrance {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(self.0.most)
            .with_max_export_batch_size(BATCH.min(self.0.most))
            .with_scheduled_delay(DELAY)
            .build();
        let batches = BatchSpanProcessor::builder(collector);
        Entrance {
            queue: self.clone(),
            batches: batches.with_batch_config(config).build(),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// So many wait no longer.
    pub(super) fn taken(&self, count: usize) {
        self.0.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// The collector has got a batch, but for so many of it.
    pub(super) fn sent(&self, count: usize, rejected: usize) {
        let inner = &*self.0;
        let rejected = rejected.min(count);
        inner
            .metrics
            .spans(SpanResult::Exported, count.saturating_sub(rejected));
        inner.metrics.spans(SpanResult::Rejected, rejected);
        inner.is_troubled.store(false, Ordering::Relaxed);
        if inner.is_told.swap(false, Ordering::Relaxed) {
            tracing::info!("the collector takes spans again");
        }
    }

    /// So many are lost.
    pub(super) fn lost(&self, result: SpanResult, count: usize, why: impl Display) {
        let inner = &*self.0;
        inner.metrics.spans(result, count);
        // Under load this is asked for every span: the cheap question first.
        if inner.is_troubled.load(Ordering::Relaxed)
            || inner.is_troubled.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let (now, last) = (inner.clock.tick().as_millis(), &inner.told);
        let before = last.load(Ordering::Relaxed);
        let quiet = u64::try_from(QUIET.as_millis()).unwrap_or(u64::MAX);
        if before == NEVER || now.saturating_sub(before) >= quiet {
            last.store(now, Ordering::Relaxed);
            inner.is_told.store(true, Ordering::Relaxed);
            tracing::warn!(%why, "spans are dropped until their collector takes them");
        }
    }

    /// Makes room for one more; `false` if there is none.
    fn enters(&self) -> bool {
        let inner = &*self.0;
        let more = |waiting| (waiting < inner.most).then_some(waiting + 1);
        inner
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }
}

impl SpanProcessor for Entrance {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.enters() {
            self.batches.on_end(span);
        } else {
            let why = "more end than it takes";
            self.queue.lost(SpanResult::QueueFull, 1, why);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let queue = Queue::new(2, &Metrics::default(), &Clock::system());
        assert!(queue.enters() && queue.enters());
        assert!(!queue.enters());
        queue.taken(1);
        assert!(queue.enters());
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn trouble_is_counted_each_time_and_told_once() {
        let (metrics, clock) = (Metrics::default(), Clock::manual(Timestamp::from_millis(0)));
        let queue = Queue::new(2, &metrics, &clock);
        let is_told = || queue.0.is_told.load(Ordering::Relaxed);
        queue.lost(SpanResult::Failed, 3, "away");
        assert!(is_told());
        queue.lost(SpanResult::QueueFull, 1, "full");
        queue.sent(5, 1);
        assert!(!is_told());
        // Whoever comes and goes fills no log.
        queue.lost(SpanResult::Failed, 3, "away");
        assert!(!is_told());
        queue.sent(1, 0);
        clock.advance(QUIET);
        queue.lost(SpanResult::Failed, 3, "away");
        assert!(is_told());
        let text = metrics.render();
        for line in [
            "desist_spans_total{result=\"failed\"} 9",
            "desist_spans_total{result=\"queue-full\"} 1",
            "desist_spans_total{result=\"exported\"} 5",
            "desist_spans_total{result=\"rejected\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
