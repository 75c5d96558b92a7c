//! Feedback reports: ARF (RFC 5965, RFC 6430, RFC 6591, RFC 6692) as senders really write it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::header::{self, Header};
use super::mime::Entity;
use super::{MAX_RETURNED, asserted, jmrp, xarf};
use crate::model::address::Address;
use crate::model::words::words;

/// Reports of one mail that are read. Each is searched for tokens by itself.
pub const MAX_REPORTS: usize = 100;

/// Octets of a report part that are read.
const MAX_REPORT_PART: usize = 256 * 1024;

/// Fields that appear at most once (RFC 5965 §3.1 and §3.2).
const AT_MOST_ONCE: [&str; 9] = [
    "feedback-type",
    "user-agent",
    "version",
    "original-envelope-id",
    "original-mail-from",
    "arrival-date",
    "reporting-mta",
    "source-ip",
    "incidents",
];

/// Fields of the report in which the sender's own identifiers come back.
const TOKEN_FIELDS: [&str; 4] = [
    "original-mail-from",
    "original-envelope-id",
    "original-rcpt-to",
    "reported-uri",
];

/// Fields that name whom the report is about.
const RECIPIENT_FIELDS: [&str; 2] = ["original-rcpt-to", "removal-recipient"];

/// What a returned mail is labelled as, the registered forms and those that are seen.
const RETURNED: [&str; 7] = [
    "message/rfc822",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
    "text/rfc822-headers",
    "text/rfc822-header",
    "text/rfc822",
];

words! {
    /// The Feedback-Type of a report.
    pub enum FeedbackType as "feedback type" {
        /// The recipient calls it spam.
        Abuse = "abuse",
        /// Phishing.
        Fraud = "fraud",
        /// A virus in the mail.
        Virus = "virus",
        /// None of the registered kinds.
        Other = "other",
        /// The recipient says that it is no spam (RFC 6430).
        NotSpam = "not-spam",
        /// Authentication failed (RFC 6591).
        AuthFailure = "auth-failure",
        /// The recipient wants no more (older than the standard).
        OptOut = "opt-out",
        /// The report is XARF, in another part.
        Xarf = "xarf",
        /// A type that is not known, or none.
        Unknown = "unknown",
    }
}

/// One feedback report with what came back of the mail that it is about.
#[derive(Debug, Clone)]
pub struct Feedback {
    /// What kind it is.
    pub feedback_type: FeedbackType,
    /// The Feedback-Type as given, lower-case, without comments.
    pub given_type: Option<String>,
    /// The fields of the report part.
    pub fields: Header,
    /// The header of the returned mail; empty if none came back.
    pub returned: Header,
    /// The beginning of the returned mail's body as received. It may quote anybody's tokens.
    pub returned_body: Vec<u8>,
    /// What tells that it is one, for people.
    pub sign: &'static str,
    /// Whom another form than ARF says it is about; more may stand in `fields`.
    pub(super) asserted: Vec<Address>,
    /// From where the reporter got the mail, where another form says so.
    pub(super) source: Option<IpAddr>,
    pub(super) malformed: bool,
}

impl Feedback {
    /// Whether a field that must be there once is there another number of times, or is no value.
    /// A missing User-Agent or Version is too common to say so.
    pub const fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// Whether it only announces an XARF report.
    pub fn is_xarf(&self) -> bool {
        self.feedback_type == FeedbackType::Xarf
    }

    /// The addresses that the report says it is about, in order, each once. Redactions and hashes
    /// are none.
    pub fn recipients(&self) -> Vec<Address> {
        let fields = RECIPIENT_FIELDS.iter();
        let fields = fields.flat_map(|name| self.fields.all(name));
        let named = fields.filter_map(|field| asserted::address(&field.value()));
        let mut seen = BTreeSet::new();
        self.asserted
            .iter()
            .cloned()
            .chain(named)
            .filter(|address| seen.insert(address.clone()))
            .collect()
    }

    /// The values of the report's fields that may carry the sender's token, as received.
    pub fn token_fields(&self) -> impl Iterator<Item = &[u8]> {
        TOKEN_FIELDS
            .iter()
            .flat_map(|name| self.fields.all(name))
            .map(header::Field::raw)
    }

    /// The values of the returned header that may carry the sender's token, as received. Threading
    /// fields are excepted: they name other people's mail. In a field that holds nothing but an
    /// identifier, white space means nothing (RFC 9477 §5.2).
    pub fn returned_fields(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let fields = self.returned.fields();
        let fields = fields.filter(|field| !super::is_threading(field.name()));
        fields.map(|field| match field.name() {
            "cfbl-feedback-id" | "x-desist" => field
                .raw()
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect(),
            _ => Cow::Borrowed(field.raw()),
        })
    }

    /// What came back and may hold tokens but proves nothing: threading fields and the body.
    pub fn hints(&self) -> impl Iterator<Item = &[u8]> {
        super::threading(&self.returned).chain([self.returned_body.as_slice()])
    }

    /// Source-IP (RFC 5965 §3.2), also with the prefix `IPv6:` or with text behind it.
    pub fn source_ip(&self) -> Option<IpAddr> {
        if self.source.is_some() {
            return self.source;
        }
        let value = self.fields.first("source-ip")?;
        let word = value.split([' ', '\t', '(', ';']).next()?;
        let word = word.trim_start_matches('[').trim_end_matches(']');
        let plain = word
            .get(..5)
            .filter(|p| p.eq_ignore_ascii_case("ipv6:"))
            .map_or(word, |p| word.strip_prefix(p).unwrap_or(word));
        plain.parse().ok()
    }

    /// Source-Port (RFC 6692 §2).
    pub fn source_port(&self) -> Option<u16> {
        let value = self.fields.first("source-port")?;
        value
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| value.parse().ok())
            .flatten()
    }

    /// How many mails the report stands for if it says so (RFC 5965 §3.2), 1 to 1,000,000. Never a
    /// reason to do more than for one.
    pub fn incidents(&self) -> Option<u32> {
        const MOST: u32 = 1_000_000;
        let value = self.fields.first("incidents")?;
        let number = value.bytes().all(|b| b.is_ascii_digit());
        Some(if number {
            value.parse().unwrap_or(MOST).clamp(1, MOST)
        } else {
            1
        })
    }

    /// The mail that the report is about.
    pub fn original_message_id(&self) -> Option<String> {
        self.returned.first("message-id")
    }

    fn new(part: &Entity<'_>, returned: Option<&Entity<'_>>) -> Self {
        let content = part.content(MAX_REPORT_PART);
        let (fields, _) = Header::scan(&header::repair(&content));
        let mut feedback = Self {
            feedback_type: FeedbackType::Unknown,
            given_type: fields.first("feedback-type").map(|given| type_of(&given)),
            malformed: AT_MOST_ONCE.iter().any(|name| fields.count(name) > 1)
                || !fields.has("feedback-type"),
            fields,
            returned: Header::default(),
            returned_body: Vec::new(),
            sign: if part.media.is("message/feedback-report") {
                "a message/feedback-report part (RFC 5965)"
            } else {
                "a part with the fields of a report in a multipart/report (RFC 5965)"
            },
            asserted: Vec::new(),
            source: None,
        };
        feedback.malformed |=
            feedback.fields.has("source-port") && feedback.source_port().is_none();
        feedback.feedback_type = feedback.classify();
        if let Some(returned) = returned {
            let content = returned.content(MAX_RETURNED);
            let message = header::repair_returned(&content);
            let (header, at) = Header::scan(&message);
            feedback.set_returned(header, message.get(at..).unwrap_or_default());
        }
        feedback
    }

    /// A report in another form than ARF, of which nothing but the type is known yet.
    pub(super) fn in_other_form(feedback_type: FeedbackType, sign: &'static str) -> Self {
        Self {
            feedback_type,
            given_type: Some(feedback_type.as_str().to_owned()),
            fields: Header::default(),
            returned: Header::default(),
            returned_body: Vec::new(),
            sign,
            asserted: Vec::new(),
            source: None,
            malformed: false,
        }
    }

    /// What came back; of the body the beginning is kept.
    pub(super) fn set_returned(&mut self, header: Header, body: &[u8]) {
        self.returned = header;
        self.returned_body = body.get(..super::MAX_TEXT).unwrap_or(body).to_vec();
    }

    /// The first type given counts, unless another one contradicts it by saying that this is no
    /// complaint: that must never suppress (RFC 6430, RFC 6591).
    fn classify(&self) -> FeedbackType {
        let mut types = self
            .fields
            .all("feedback-type")
            .map(|f| registered(&type_of(&f.value())));
        let Some(first) = types.next() else {
            return FeedbackType::Unknown;
        };
        let harmless =
            |kind: FeedbackType| matches!(kind, FeedbackType::NotSpam | FeedbackType::AuthFailure);
        if types.any(|other| other != first && harmless(other)) {
            return FeedbackType::Unknown;
        }
        first
    }
}

/// All reports outside nested messages, each with the returned mail that follows it.
pub fn reports_in(root: &Entity<'_>) -> Vec<Feedback> {
    let mut found = Vec::new();
    collect(root, &mut found);
    if found.iter().all(Feedback::is_xarf)
        && let Some(report) = xarf::report_in(root)
    {
        // What only announces it says nothing that the JSON does not say.
        found = vec![report];
    }
    if found.is_empty() {
        found.extend(jmrp::report_in(root));
    }
    found
}

fn collect(entity: &Entity<'_>, found: &mut Vec<Feedback>) {
    if entity.media.is("message/feedback-report") {
        found.push(Feedback::new(entity, None));
        return;
    }
    let declared = entity.media.report_type().as_deref() == Some("feedback-report");
    let is_report = |part: &Entity<'_>| {
        part.media.is("message/feedback-report") || (declared && is_mislabelled_report(part))
    };
    // Asked once a part: the answer may cost its decoding.
    let parts: Vec<_> = entity.parts.iter().map(|p| (p, is_report(p))).collect();
    let only = parts.iter().filter(|(_, report)| *report).count() == 1;
    let labelled = |part: &&Entity<'_>| RETURNED.contains(&part.media.essence());
    for (index, (part, report)) in parts.iter().enumerate() {
        if found.len() >= MAX_REPORTS {
            return;
        }
        if !report {
            collect(part, found);
            continue;
        }
        let after = parts.iter().skip(index + 1);
        let own = after
            .take_while(|(_, report)| !report)
            .map(|(part, _)| *part);
        let before = parts
            .iter()
            .take(if only { index } else { 0 })
            .map(|(part, _)| *part);
        let returned = own
            .clone()
            .find(labelled)
            .or_else(|| own.clone().find(|part| is_unlabelled_header(part)))
            .or_else(|| before.clone().find(labelled));
        found.push(Feedback::new(part, returned));
    }
}

/// A report part that a gateway has re-labelled. Counts only inside of what declares itself a
/// feedback report: text that merely quotes a report is none.
fn is_mislabelled_report(part: &Entity<'_>) -> bool {
    if !matches!(
        part.media.essence(),
        "text/plain" | "application/octet-stream"
    ) {
        return false;
    }
    let content = part.content(MAX_REPORT_PART);
    let (fields, _) = Header::scan(&header::repair(&content));
    fields.has("feedback-type") && (fields.has("user-agent") || fields.has("version"))
}

/// A returned header that is labelled as plain text or as data.
fn is_unlabelled_header(part: &Entity<'_>) -> bool {
    matches!(
        part.media.essence(),
        "text/plain" | "application/octet-stream"
    ) && header::begins_with_header(&header::repair_returned(&part.content(MAX_RETURNED)))
}

/// The type's word, lower-case, without comment or parameters.
fn type_of(value: &str) -> String {
    let word = value
        .split(['(', ';', ' ', '\t'])
        .next()
        .unwrap_or_default();
    word.trim_matches('"').to_ascii_lowercase()
}

pub(super) fn registered(word: &str) -> FeedbackType {
    match word {
        // Both are older than the standard and mean the same.
        "opt-out-list" => FeedbackType::OptOut,
        "unknown" => FeedbackType::Unknown,
        word => word.parse().unwrap_or(FeedbackType::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::mime;

    fn feedback(fields: &str) -> Feedback {
        let raw = format!("Content-Type: message/feedback-report\n\n{fields}");
        reports_in(&mime::open(raw.as_bytes(), mime::Limits::default()).root).remove(0)
    }

    // B-011
    #[test]
    fn source_ip_is_read_with_what_stands_around_it() {
        for (given, expected) in [
            ("x.x.x.x", None),
            ("", None),
            ("192.0.2.1 (x)", Some("192.0.2.1")),
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("IPv6:2001:db8::1", Some("2001:db8::1")),
            ("[ipv6:2001:db8::1]", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
        ] {
            let ip = feedback(&format!("Feedback-Type: abuse\nSource-IP: {given}\n")).source_ip();
            assert_eq!(ip, expected.map(|ip| ip.parse().unwrap()), "{given}");
        }
    }

    // B-012
    #[test]
    fn source_port_has_a_range() {
        let port = |given: &str| {
            let report = feedback(&format!("Feedback-Type: abuse\nSource-Port: {given}\n"));
            (report.source_port(), report.is_malformed())
        };
        assert_eq!(port("0"), (Some(0), false));
        assert_eq!(port("65535"), (Some(65_535), false));
        for given in ["65536", "-1", "+1", "abc", "99999999999999999999"] {
            assert_eq!(port(given), (None, true), "{given}");
        }
    }

    // B-014
    #[test]
    fn incidents_are_clamped() {
        for (given, expected) in [
            ("99999999999", 1_000_000),
            ("0", 1),
            ("7", 7),
            ("-3", 1),
            ("many", 1),
        ] {
            let report = feedback(&format!("Feedback-Type: abuse\nIncidents: {given}\n"));
            assert_eq!(report.incidents(), Some(expected), "{given}");
        }
        assert_eq!(feedback("Feedback-Type: abuse\n").incidents(), None);
    }

    // B-008, B-013
    #[test]
    fn recipients_are_all_named_once() {
        let report = feedback(
            "Original-Rcpt-To: <a@b.example>\nOriginal-Rcpt-To: redacted@\nOriginal-Rcpt-To: A@B.example\nOriginal-Rcpt-To: rfc822;c@d.example\n",
        );
        let recipients: Vec<_> = report.recipients().iter().map(Address::to_string).collect();
        assert_eq!(recipients, ["a@b.example", "c@d.example"]);
    }

    // B-009, B-020
    #[test]
    fn types_are_told_apart() {
        for (given, expected) in [
            ("Abuse", FeedbackType::Abuse),
            ("abuse (comment)", FeedbackType::Abuse),
            ("not-spam", FeedbackType::NotSpam),
            ("auth-failure", FeedbackType::AuthFailure),
            ("opt-out-list", FeedbackType::OptOut),
            ("miscategorized", FeedbackType::Unknown),
            ("not-abuse", FeedbackType::Unknown),
            ("x-new", FeedbackType::Unknown),
        ] {
            let report = feedback(&format!("Feedback-Type: {given}\n"));
            assert_eq!(report.feedback_type, expected, "{given}");
        }
        assert_eq!(
            feedback("Version: 1\n").feedback_type,
            FeedbackType::Unknown
        );
    }
}
