//! Layer 2: counters, gauges and histograms, and their text form.
//!
//! Every metric has one typed method, so that no caller can misspell a name or a label. Label
//! values are the words of the model, texts fixed in the program, and numbers of protocols; never
//! an address, a token, or anything else that somebody outside chooses. The one exception, the
//! reporter of an unmatched complaint, is bounded to [`REPORTERS`] values and `other`.

mod families;
mod reporters;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use self::families::Families;
use crate::model::bounce::{BounceClass, Severity};
use crate::model::event::{EventKind, FoundIn, HoldReason, Proof};
use crate::model::mailbox::Role;
use crate::model::receipt::Door;
use crate::model::suppression::Reason;
use crate::model::words::words;
use crate::token::wire::TokenError;

pub use self::reporters::REPORTERS;

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one server. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Families>);

words! {
    /// Why a door did not accept what was well formed.
    pub enum Refusal as "refusal" {
        /// The journal's disk has no room.
        Full = "full",
        /// Too much waits for its commit.
        Overloaded = "overloaded",
        /// The journal has failed.
        Failed = "failed",
        /// Too many bytes are under way, of all or of one network.
        Memory = "memory",
        /// Nobody is served there.
        NoMailbox = "no-mailbox",
        /// The keys are not current, so nobody can tell.
        KeysNotCurrent = "keys-not-current",
        /// The peer's network has had its share of TLS handshakes.
        HandshakeRate = "handshake-rate",
        /// This token has had its hour's share of receipts: counted, and answered as always.
        TokenRate = "token-rate",
    }
}

words! {
    /// What is wrong with a token.
    pub enum TokenFailure as "token failure" {
        /// It has not the form of one.
        Malformed = "malformed",
        /// Its tenant or its key is unknown.
        UnknownKey = "unknown-key",
        /// Its MAC is wrong under a known key.
        BadMac = "bad-mac",
        /// Its key is revoked.
        Revoked = "revoked",
    }
}

impl From<TokenError> for TokenFailure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::Malformed,
            TokenError::UnknownKey => Self::UnknownKey,
            TokenError::BadMac => Self::BadMac,
        }
    }
}

words! {
    /// What became of a batch of the pipeline.
    pub enum BatchResult as "batch result" {
        /// It is in the store.
        Stored = "stored",
        /// The store is away: it will be tried again.
        Unavailable = "unavailable",
        /// The store refuses it for ever: it is divided.
        Refused = "refused",
    }
}

words! {
    /// How a mail server asks whether it may send.
    pub enum LookupForm as "look-up form" {
        /// Postfix's netstrings.
        Socketmap = "socketmap",
        /// Postfix's attributes.
        Policy = "policy",
        /// A line each.
        Line = "line",
    }
}

words! {
    /// What a mail server was answered.
    pub enum LookupAnswer as "look-up answer" {
        /// Nothing stops the mail.
        Allowed = "allowed",
        /// Something does.
        Suppressed = "suppressed",
        /// What was named is no address.
        Invalid = "invalid",
        /// Nobody can tell now.
        Temporary = "temporary",
        /// The list does not exist.
        Unknown = "unknown",
    }
}

words! {
    /// What a trusted proxy said of its connection.
    pub enum ProxyHeader as "PROXY header" {
        /// Whom it is for.
        Told = "told",
        /// That it is its own, or nothing.
        Itself = "itself",
        /// It closed without a word.
        Closed = "closed",
        /// It did not say it in time.
        Late = "late",
        /// What it said is no header.
        Wrong = "wrong",
    }
}

words! {
    /// What became of a span that was kept.
    pub enum SpanResult as "span result" {
        /// The collector took it.
        Exported = "exported",
        /// As many waited as may wait.
        QueueFull = "queue-full",
        /// The collector was away, too slow, or answered that it does not take it.
        Failed = "failed",
        /// The collector took others of its batch.
        Rejected = "rejected",
    }
}

impl Metrics {
    /// A trusted proxy has connected.
    pub fn proxy_header(&self, listener: &'static str, header: ProxyHeader) {
        let labels = [("listener", listener), ("header", header.as_str())];
        self.0.proxy_headers.get_or_create(&labels).inc();
    }

    /// A mail server asked and was answered.
    pub fn lookup(&self, form: LookupForm, answer: LookupAnswer) {
        let labels = [("form", form.as_str()), ("answer", answer.as_str())];
        self.0.lookups.get_or_create(&labels).inc();
    }

    /// A receipt was committed.
    pub fn receipt(&self, door: Door, role: Role) {
        let labels = [("door", door.as_str()), ("role", role.as_str())];
        self.0.receipts.get_or_create(&labels).inc();
    }

    /// Something was not accepted.
    pub fn refusal(&self, door: Door, reason: Refusal) {
        let labels = [("door", door.as_str()), ("reason", reason.as_str())];
        self.0.refusals.get_or_create(&labels).inc();
    }

    /// A door waited for the pipeline before it answered.
    pub fn slowed_down(&self, door: Door) {
        self.0
            .slowed_down
            .get_or_create(&[("door", door.as_str())])
            .inc();
    }

    /// An event was recorded.
    pub fn event(&self, kind: EventKind, proof: Proof) {
        let labels = [("kind", kind.as_str()), ("proof", proof.as_str())];
        self.0.events.get_or_create(&labels).inc();
    }

    /// A bounce was read.
    pub fn bounce(&self, class: BounceClass, severity: Severity) {
        let labels = [("class", class.as_str()), ("severity", severity.as_str())];
        self.0.bounces.get_or_create(&labels).inc();
    }

    /// A suppression began.
    pub fn suppression(&self, reason: Reason) {
        self.0
            .suppressions
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
    }

    /// An event was held.
    pub fn hold(&self, because: HoldReason) {
        self.0
            .holds
            .get_or_create(&[("because", because.as_str())])
            .inc();
    }

    /// A token was presented that does not verify.
    pub fn token_failure(&self, door: Door, why: TokenFailure) {
        let labels = [("door", door.as_str()), ("why", why.as_str())];
        self.0.token_failures.get_or_create(&labels).inc();
    }

    /// A complaint could be matched to no recipient. `reporter` is shown as it is for the first
    /// [`REPORTERS`] that look like a name, and as `other` for all more.
    pub fn unmatched_complaint(&self, reporter: &str) {
        let label = self.0.reporters.label(reporter);
        self.0
            .unmatched_complaints
            .get_or_create(&[("reporter", label)])
            .inc();
    }

    /// A complaint had its token in that class of place; the reporter as in
    /// [`Self::unmatched_complaint`].
    pub fn complaint_token(&self, place: FoundIn, reporter: &str) {
        let label = self.0.reporters.label(reporter);
        self.0
            .complaint_tokens
            .get_or_create(&([("place", place.as_str())], [("reporter", label)]))
            .inc();
    }

    /// An SMTP session began; it ends when the value is dropped.
    #[must_use]
    pub fn smtp_session(&self) -> SmtpSession {
        self.0.smtp_sessions_open.inc();
        SmtpSession(Arc::clone(&self.0))
    }

    /// An SMTP session has ended; whether it had used TLS.
    pub fn smtp_session_ended(&self, tls: bool) {
        let label = if tls { "yes" } else { "no" };
        self.0.smtp_sessions.get_or_create(&[("tls", label)]).inc();
    }

    /// An SMTP reply was sent.
    pub fn smtp_reply(&self, code: u16) {
        // Only what RFC 5321 §4.2 allows can be a label.
        let code = if (200..=559).contains(&code) {
            u32::from(code)
        } else {
            0
        };
        self.0.smtp_replies.get_or_create(&[("code", code)]).inc();
    }

    /// An HTTP request was answered. `route` is the pattern, never the path itself.
    ///
    /// What OpenTelemetry's conventions call `http.server.request.duration` is the histogram
    /// `desist_http_request_seconds`, with `http.route` as `route`; the answers by
    /// `http.response.status_code` are counted in `desist_http_requests_total`, as `status`.
    pub fn http_request(
        &self,
        listener: &'static str,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let labels = [("listener", listener), ("route", route)];
        let status = [("status", u32::from(status))];
        self.0.http_requests.get_or_create(&(labels, status)).inc();
        self.0
            .http_request_seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// What counts the answers of `200` of a route that is asked very often.
    pub fn often(&self, listener: &'static str, route: &'static str) -> OftenAnswered {
        let labels = [("listener", listener), ("route", route)];
        let status = [("status", 200)];
        let requests = self
            .0
            .http_requests
            .get_or_create(&(labels, status))
            .clone();
        let seconds = self.0.http_request_seconds.get_or_create(&labels).clone();
        OftenAnswered { requests, seconds }
    }

    /// A group of arrivals was made durable.
    pub fn journal_commit(&self) {
        self.0.journal_commits.inc();
    }

    /// An arrival was answered by the journal.
    pub fn journal_append(&self, took: Duration) {
        self.0.journal_append_seconds.observe(took.as_secs_f64());
    }

    /// So many receipts wait to be shipped.
    pub fn set_journal_unshipped(&self, count: u64) {
        self.0.journal_unshipped.set(count);
    }

    /// So many receipts could not be stored and stay in the journal.
    pub fn set_journal_left(&self, count: u64) {
        self.0.journal_left.set(count);
    }

    /// The oldest of those that wait does so for so long.
    pub fn set_oldest_unshipped(&self, age: Duration) {
        self.0.oldest_unshipped_seconds.set(age.as_secs_f64());
    }

    /// A batch was tried at the store.
    pub fn store_batch(&self, result: BatchResult, took: Duration) {
        self.0
            .store_batches
            .get_or_create(&[("result", result.as_str())])
            .inc();
        self.0.store_record_seconds.observe(took.as_secs_f64());
    }

    /// What was accepted can now be queried, so long after.
    pub fn receipt_to_queryable(&self, took: Duration) {
        self.0
            .receipt_to_queryable_seconds
            .observe(took.as_secs_f64());
    }

    /// An entry failed alone and was stored `unrecognised`.
    pub fn poison(&self) {
        self.0.poison.inc();
    }

    /// The index holds so much.
    pub fn set_index(&self, suppressions: u64, bytes: u64) {
        self.0.index_suppressions.set(suppressions);
        self.0.index_bytes.set(bytes);
    }

    /// So long ago this node reached the feed's head.
    pub fn set_index_staleness(&self, age: Duration) {
        self.0.index_staleness_seconds.set(age.as_secs_f64());
    }

    /// The place of the feed that this node has applied.
    pub fn set_feed_position(&self, seq: u64) {
        self.0.feed_position.set(seq);
    }

    /// An alarm was raised. `alarm` is its fixed name.
    pub fn alarm(&self, alarm: &'static str) {
        self.0.alarms.get_or_create(&[("alarm", alarm)]).inc();
    }

    /// The listener's certificate is valid until that many seconds after the epoch.
    pub fn set_certificate_expiry(&self, listener: &'static str, seconds: i64) {
        self.0
            .tls_certificate_expiry_seconds
            .get_or_create(&[("listener", listener)])
            .set(seconds);
    }

    /// A certificate was ordered of an authority. `result` is `issued` or `failed`.
    pub fn acme_order(&self, result: &'static str) {
        self.0
            .acme_orders
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Spans have ended and are the collector's, or nobody's.
    pub fn spans(&self, result: SpanResult, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0
            .spans
            .get_or_create(&[("result", result.as_str())])
            .inc_by(count);
    }

    /// The text form, `OpenMetrics` 1.0; see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Counts like [`Metrics::http_request`], without looking for its labels each time.
#[derive(Debug, Clone)]
pub struct OftenAnswered {
    requests: Counter,
    seconds: Histogram,
}

impl OftenAnswered {
    /// A request was answered with `200`.
    pub fn answered(&self, took: Duration) {
        self.requests.inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

/// A session that is counted as open until it is dropped.
#[derive(Debug)]
pub struct SmtpSession(Arc<Families>);

impl Drop for SmtpSession {
    fn drop(&mut self) {
        self.0.smtp_sessions_open.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every method once for every word it takes.
    fn filled() -> Metrics {
        let metrics = Metrics::default();
        for door in Door::ALL.iter().copied() {
            for role in Role::ALL {
                metrics.receipt(door, *role);
            }
            for reason in Refusal::ALL {
                metrics.refusal(door, *reason);
            }
            for why in TokenFailure::ALL {
                metrics.token_failure(door, *why);
            }
        }
        for class in BounceClass::ALL {
            for severity in Severity::ALL {
                metrics.bounce(*class, *severity);
            }
        }
        metrics.slowed_down(Door::Smtp);
        for kind in EventKind::ALL.iter().copied() {
            for proof in Proof::ALL {
                metrics.event(kind, *proof);
            }
        }
        for reason in Reason::ALL {
            metrics.suppression(*reason);
        }
        for because in HoldReason::ALL {
            metrics.hold(*because);
        }
        for it in BatchResult::ALL {
            metrics.store_batch(*it, Duration::from_millis(3));
        }
        for n in 0..10_000 {
            metrics.unmatched_complaint(&format!("r{n}.example"));
            for place in FoundIn::ALL {
                metrics.complaint_token(*place, &format!("r{n}.example"));
            }
        }
        for code in 0..u16::MAX {
            metrics.smtp_reply(code);
        }
        for form in LookupForm::ALL {
            for answer in LookupAnswer::ALL {
                metrics.lookup(*form, *answer);
            }
        }
        for header in ProxyHeader::ALL {
            metrics.proxy_header("smtp", *header);
        }
        metrics.smtp_session_ended(true);
        metrics.smtp_session_ended(false);
        metrics.http_request("public", "/u/{token}", 200, Duration::from_millis(1));
        metrics.journal_commit();
        metrics.journal_append(Duration::from_millis(2));
        metrics.receipt_to_queryable(Duration::from_millis(40));
        metrics.poison();
        metrics.set_index(5, 80);
        metrics.set_feed_position(9);
        metrics.alarm("journal-failed");
        metrics.set_certificate_expiry("smtp", 2_000_000_000);
        metrics.acme_order("issued");
        for result in SpanResult::ALL {
            metrics.spans(*result, 2);
        }
        metrics
    }

    fn samples(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter(|line| !line.starts_with('#'))
    }

    // G-032
    #[test]
    fn names_have_units_and_one_type_each() {
        let text = filled().render();
        assert!(text.ends_with("# EOF\n"));
        let mut families = BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(name.starts_with("desist_"), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert!(families.insert(name.to_owned()), "{name} twice");
            assert!(
                !name.ends_with("_total") && !name.contains("milli"),
                "{name}"
            );
            if kind == "histogram" {
                assert!(name.ends_with("_seconds"), "{name}");
            }
        }
        for line in samples(&text) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = families
                .iter()
                .find(|family| name.starts_with(family.as_str()));
            assert!(family.is_some(), "{name}");
        }
    }

    // G-032
    #[test]
    fn cardinality_is_bounded_whatever_comes_in() {
        let text = filled().render();
        assert!(samples(&text).count() < 5_000, "{}", samples(&text).count());
        let of = |family: &str| {
            samples(&text)
                .filter(|line| line.starts_with(family) && line.contains("reporter="))
                .count()
        };
        assert_eq!(of("desist_unmatched_complaints"), REPORTERS + 1);
        let places = FoundIn::ALL.len();
        assert_eq!(of("desist_complaint_tokens"), places * (REPORTERS + 1));
    }

    /// The expressions of the alert rules and of the dashboard.
    fn expressions() -> Vec<String> {
        fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
            match value {
                serde_json::Value::Object(members) => {
                    into.extend(
                        members
                            .get("expr")
                            .map(|it| it.as_str().unwrap().to_owned()),
                    );
                    members.values().for_each(|it| collect(it, into));
                }
                serde_json::Value::Array(items) => items.iter().for_each(|it| collect(it, into)),
                _ => {}
            }
        }
        let rules = include_str!("../config/prometheus-rules.yml");
        let of_a_rule = |line: &str| Some(line.trim().strip_prefix("expr: ")?.to_owned());
        let mut all: Vec<String> = rules.lines().filter_map(of_a_rule).collect();
        assert!(all.len() >= 10, "{}", all.len());
        let board = include_str!("../config/grafana.json");
        collect(&serde_json::from_str(board).unwrap(), &mut all);
        assert!(all.len() >= 40, "{}", all.len());
        all
    }

    // G-032
    #[test]
    fn rules_and_dashboard_name_what_is_exported() {
        let text = filled().render();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for expression in expressions() {
            let words: Vec<&str> = expression.split(|c: char| !is_word(c)).collect();
            let names = words.iter().filter(|word| word.starts_with("desist_"));
            let mut found = Vec::new();
            for name in names {
                let of_it = samples(&text).filter(|line| {
                    let rest = line.strip_prefix(name);
                    rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                });
                let before = found.len();
                found.extend(of_it);
                assert!(found.len() > before, "{name} is not exported: {expression}");
            }
            // What Prometheus adds, and what histograms have.
            let foreign = ["instance", "job", "le"];
            let groups = expression.split(" by (").skip(1);
            let grouped = groups.flat_map(|rest| rest.split(')').next().unwrap().split(", "));
            let matched = expression.split(['{', ',']).skip(1).filter_map(|rest| {
                let (label, _) = rest.trim_start().split_once('=')?;
                label.chars().all(is_word).then_some(label)
            });
            for label in grouped
                .chain(matched)
                .filter(|label| !foreign.contains(label))
            {
                let there = found
                    .iter()
                    .any(|line| line.contains(&format!("{label}=\"")));
                assert!(there, "no label {label}: {expression}");
            }
        }
    }

    // G-032: the names that dashboards rely on
    #[test]
    fn samples_read_as_documented() {
        let metrics = Metrics::default();
        metrics.receipt(Door::OneClick, Role::Unsubscribe);
        metrics.http_request("api", "/v1/check", 200, Duration::from_millis(1));
        let session = metrics.smtp_session();
        let text = metrics.render();
        for line in [
            "desist_receipts_total{door=\"one-click\",role=\"unsubscribe\"} 1",
            "desist_http_requests_total{listener=\"api\",route=\"/v1/check\",status=\"200\"} 1",
            "desist_smtp_sessions_open 1",
            "desist_journal_unshipped 0",
            "desist_journal_left 0",
            concat!(
                "desist_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        drop(session);
        assert!(metrics.render().contains("desist_smtp_sessions_open 0\n"));
    }
}
