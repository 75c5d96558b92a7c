//! All metrics with their names, helps and buckets.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::reporters::Reporters;

/// Labels: names and values.
type Labels<const N: usize, V = &'static str> = [(&'static str, V); N];
type Counters<const N: usize, V = &'static str> = Family<Labels<N, V>, Counter>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;
type Count = Gauge<u64, AtomicU64>;
type Seconds = Gauge<f64, AtomicU64>;

/// The registry and a handle to each metric in it.
#[derive(Debug)]
pub(super) struct Families {
    registry: Registry,
    pub(super) reporters: Reporters,
    pub(super) receipts: Counters<2>,
    pub(super) refusals: Counters<2>,
    pub(super) slowed_down: Counters<1>,
    pub(super) events: Counters<2>,
    pub(super) bounces: Counters<2>,
    pub(super) suppressions: Counters<1>,
    pub(super) holds: Counters<1>,
    pub(super) token_failures: Counters<2>,
    pub(super) unmatched_complaints: Counters<1, String>,
    pub(super) complaint_tokens: Family<(Labels<1>, Labels<1, String>), Counter>,
    /// Not `smtp_sessions`: that is the counter's name without its suffix.
    pub(super) smtp_sessions_open: Gauge,
    pub(super) smtp_sessions: Counters<1>,
    pub(super) smtp_replies: Counters<1, u32>,
    pub(super) proxy_headers: Counters<2>,
    pub(super) lookups: Counters<2>,
    pub(super) http_requests: Family<(Labels<2>, Labels<1, u32>), Counter>,
    pub(super) http_request_seconds: Histograms<2>,
    pub(super) journal_unshipped: Count,
    pub(super) journal_left: Count,
    pub(super) journal_commits: Counter,
    pub(super) journal_append_seconds: Histogram,
    pub(super) oldest_unshipped_seconds: Seconds,
    pub(super) store_batches: Counters<1>,
    pub(super) store_record_seconds: Histogram,
    pub(super) receipt_to_queryable_seconds: Histogram,
    pub(super) poison: Counter,
    pub(super) index_suppressions: Count,
    pub(super) index_bytes: Count,
    pub(super) index_staleness_seconds: Seconds,
    pub(super) feed_position: Count,
    pub(super) alarms: Counters<1>,
    pub(super) tls_certificate_expiry_seconds: Family<Labels<1>, Gauge>,
    pub(super) acme_orders: Counters<1>,
    pub(super) spans: Counters<1>,
}

impl Default for Families {
    fn default() -> Self {
        let mut names = Names(Registry::with_prefix("desist"));
        let n = &mut names;
        let build: Labels<1> = [("version", env!("CARGO_PKG_VERSION"))];
        n.0.register("build", "The program", Info::new(build));
        let requests: Histograms<2> = Family::new_with_constructor(fast);
        Self {
            reporters: Reporters::default(),
            receipts: n.counters("receipts", "Receipts committed"),
            refusals: n.counters("refusals", "What doors refused"),
            slowed_down: n.counters("slowed_down", "Answers that waited for the pipeline"),
            events: n.counters("events", "Events recorded"),
            bounces: n.counters("bounces", "Bounces read"),
            suppressions: n.counters("suppressions", "Suppressions begun"),
            holds: n.counters("holds", "Events held"),
            token_failures: n.counters("token_failures", "Tokens that did not verify"),
            unmatched_complaints: n
                .counters("unmatched_complaints", "Complaints without a recipient"),
            complaint_tokens: n.counters("complaint_tokens", "Where complaints had their token"),
            smtp_sessions_open: n.add("smtp_sessions_open", "SMTP sessions open", Gauge::default()),
            smtp_sessions: n.counters("smtp_sessions", "SMTP sessions ended"),
            smtp_replies: n.counters("smtp_replies", "SMTP replies sent"),
            proxy_headers: n.counters("proxy_headers", "Connections of trusted proxies"),
            lookups: n.counters("lookups", "Questions of mail servers answered"),
            http_requests: n.counters("http_requests", "HTTP requests answered"),
            http_request_seconds: n.add("http_request_seconds", "Time to answer", requests),
            journal_unshipped: n.add("journal_unshipped", "Receipts unshipped", Count::default()),
            journal_left: n.add("journal_left", "Receipts no store takes", Count::default()),
            journal_commits: n.add("journal_commits", "Groups made durable", Counter::default()),
            journal_append_seconds: n.add("journal_append_seconds", "Time to durable", fast()),
            oldest_unshipped_seconds: n.add(
                "oldest_unshipped_seconds",
                "Age of the oldest receipt unshipped",
                Seconds::default(),
            ),
            store_batches: n.counters("store_batches", "Batches tried at the store"),
            store_record_seconds: n.add("store_record_seconds", "Time of a batch", fast()),
            receipt_to_queryable_seconds: n.add(
                "receipt_to_queryable_seconds",
                "Time from acceptance to answers of check",
                slow(),
            ),
            poison: n.add("poison", "Entries that failed alone", Counter::default()),
            index_suppressions: n.add(
                "index_suppressions",
                "Suppressions in the index",
                Count::default(),
            ),
            index_bytes: n.add("index_bytes", "Memory of the index", Count::default()),
            index_staleness_seconds: n.add(
                "index_staleness_seconds",
                "Time since the index was current",
                Seconds::default(),
            ),
            feed_position: n.add(
                "feed_position",
                "Place of the feed applied",
                Count::default(),
            ),
            alarms: n.counters("alarms", "Alarms raised"),
            tls_certificate_expiry_seconds: n.add(
                "tls_certificate_expiry_seconds",
                "When the certificate ends, since the epoch",
                Family::default(),
            ),
            acme_orders: n.counters("acme_orders", "Certificates ordered by ACME"),
            spans: n.counters("spans", "Spans sent to a collector, or dropped"),
            registry: names.0,
        }
    }
}

impl Families {
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a string does not fail; half a text would be misread.
            Err(std::fmt::Error) => String::new(),
        }
    }
}

/// Registers what it makes.
struct Names(Registry);

impl Names {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn counters<L>(&mut self, name: &str, help: &str) -> Family<L, Counter>
    where
        L: EncodeLabelSet + Clone + std::hash::Hash + Eq + std::fmt::Debug + Send + Sync + 'static,
    {
        self.add(name, help, Family::default())
    }
}

/// Half a millisecond to about 16 s.
fn fast() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0,
        4.0, 8.0, 16.0,
    ])
}

/// 10 ms to one hour.
fn slow() -> Histogram {
    Histogram::new([
        0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
    ])
}
