//! XARF reports: JSON as a part of a mail, in version 4 and in both shapes of version 3.
//!
//! No version defines how it travels in a mail, except that version 3 announces it by an ARF part of
//! type `xarf`; so any JSON part with its marks is one. Only what is about a mail (`messaging`) can
//! be a complaint; the rest is about servers, and is recorded.

use std::borrow::Cow;

use serde::Deserialize;

use super::arf::{Feedback, FeedbackType};
use super::header::{self, Header};
use super::mime::{self, Entity};
use super::{MAX_RETURNED, asserted};

/// Octets of the JSON that are read; evidence is a whole mail in base64.
const MAX_JSON: usize = 2 * 1024 * 1024;

/// What both versions may have. What is not named here is passed over.
#[derive(Deserialize)]
struct Document {
    xarf_version: Option<String>,
    report_id: Option<String>,
    timestamp: Option<String>,
    reporter: Option<Reporter>,
    sender: Option<Reporter>,
    source_identifier: Option<String>,
    category: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    smtp_from: Option<String>,
    smtp_to: Option<String>,
    #[serde(default)]
    evidence: Vec<Evidence>,
    #[serde(rename = "ReporterInfo")]
    reporter_info: Option<ReporterInfo>,
    #[serde(rename = "Report")]
    report: Option<Report>,
}

#[derive(Deserialize)]
struct Reporter {
    org: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReporterInfo {
    reporter_org: Option<String>,
}

/// Version 3.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    #[serde(rename = "ReportClass")]
    class: Option<String>,
    #[serde(rename = "ReportType")]
    kind: Option<String>,
    source_ip: Option<String>,
    source: Option<Source>,
    smtp_mail_from_address: Option<String>,
    smtp_rcpt_to_address: Option<String>,
    #[serde(default, alias = "Attachment")]
    samples: Vec<Evidence>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "IP")]
    ip: Option<String>,
}

#[derive(Deserialize)]
struct Evidence {
    #[serde(alias = "ContentType", default)]
    content_type: String,
    #[serde(alias = "Payload", default)]
    payload: String,
    /// Version 3 says so; in version 4 it always is.
    #[serde(rename = "Base64Encoded", default)]
    base64: Option<bool>,
}

/// The report, if a part of the mail is one.
pub fn report_in(root: &Entity<'_>) -> Option<Feedback> {
    root.walk().into_iter().find_map(|part| {
        matches!(
            part.media.essence(),
            "application/json" | "application/xarf+json"
        )
        .then(|| of_json(&part.content(MAX_JSON)))
        .flatten()
    })
}

fn of_json(json: &[u8]) -> Option<Feedback> {
    let document: Document = serde_json::from_slice(json).ok()?;
    match (&document.xarf_version, &document.report) {
        (Some(version), _) => Some(version_4(version, &document)),
        (None, Some(report)) => document
            .reporter_info
            .as_ref()
            .map(|reporter| version_3(reporter, report)),
        (None, None) => None,
    }
}

fn version_4(version: &str, document: &Document) -> Feedback {
    let mail = document.category.as_deref() == Some("messaging")
        && matches!(document.kind.as_deref(), Some("spam" | "bulk_messaging"));
    let mut feedback = begin(mail, "a JSON part with xarf_version (XARF 4)");
    let reporter = document.reporter.as_ref();
    feedback.malformed = !version.starts_with("4.")
        || document.report_id.is_none()
        || document.timestamp.is_none()
        || document.sender.is_none()
        || document.source_identifier.is_none()
        || document.category.is_none()
        || document.kind.is_none()
        || reporter.is_none_or(|reporter| reporter.org.is_none());
    let facts = Facts {
        reporter: reporter.and_then(|reporter| reporter.org.as_deref()),
        from: document.smtp_from.as_deref(),
        to: document.smtp_to.as_deref(),
        source: document.source_identifier.as_deref(),
    };
    facts.tell(&mut feedback);
    return_mail(&mut feedback, &document.evidence, true);
    feedback
}

fn version_3(reporter: &ReporterInfo, report: &Report) -> Feedback {
    let is = |word: &Option<String>, wanted: &str| {
        word.as_deref()
            .is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    };
    let mail = is(&report.class, "activity") && is(&report.kind, "spam");
    let mut feedback = begin(mail, "a JSON part with ReporterInfo and Report (XARF 3)");
    let source = report
        .source
        .as_ref()
        .and_then(|source| source.ip.as_deref());
    let facts = Facts {
        reporter: reporter.reporter_org.as_deref(),
        from: report.smtp_mail_from_address.as_deref(),
        to: report.smtp_rcpt_to_address.as_deref(),
        source: report.source_ip.as_deref().or(source),
    };
    feedback.malformed = report.kind.is_none() || facts.source.is_none();
    facts.tell(&mut feedback);
    return_mail(&mut feedback, &report.samples, false);
    feedback
}

fn begin(mail: bool, sign: &'static str) -> Feedback {
    let mut feedback = Feedback::in_other_form(FeedbackType::Xarf, sign);
    if mail {
        feedback.feedback_type = FeedbackType::Abuse;
    }
    feedback
}

/// What both versions say by other names.
struct Facts<'a> {
    reporter: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    source: Option<&'a str>,
}

impl Facts<'_> {
    fn tell(&self, feedback: &mut Feedback) {
        let fields = [
            ("Reporting-MTA", self.reporter),
            ("Original-Mail-From", self.from),
            ("Source-IP", self.source),
        ];
        let given = fields
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        feedback.fields = Header::of_pairs(given);
        feedback.asserted = self.to.and_then(asserted::address).into_iter().collect();
    }
}

/// The first piece of evidence that is a mail, or the header of one, came back.
fn return_mail(feedback: &mut Feedback, evidence: &[Evidence], always_base64: bool) {
    let is_mail = |piece: &&Evidence| {
        let essence = piece
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        essence.eq_ignore_ascii_case("message/rfc822")
            || essence.eq_ignore_ascii_case("text/rfc822-headers")
            || essence.eq_ignore_ascii_case("text/plain")
    };
    for piece in evidence.iter().filter(is_mail) {
        let content = if piece.base64.unwrap_or(always_base64) {
            Cow::Owned(mime::decode_base64(piece.payload.as_bytes()))
        } else {
            Cow::Borrowed(piece.payload.as_bytes())
        };
        let content = content.get(..MAX_RETURNED).unwrap_or(&content);
        let message = header::repair_returned(content);
        if header::begins_with_header(&message) {
            let (returned, at) = Header::scan(&message);
            feedback.set_returned(returned, message.get(at..).unwrap_or_default());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MAIL: &str = "From: news@example.org\nMessage-ID: <token.1@example.org>\n\nbody";

    fn v4() -> Value {
        json!({
            "xarf_version": "4.0.0", "report_id": "b4f5e3a2-0f6e-4a9e-8f2e-0c4a4c5e9b1d",
            "timestamp": "2026-11-01T10:00:00Z", "reporter": {"org": "Some Provider"},
            "sender": {"org": "Some Provider"}, "source_identifier": "192.0.2.7",
            "category": "messaging", "type": "spam", "smtp_from": "b-x@fb.example.com",
            "smtp_to": "alice@example.com", "_internal": {"a": [1]},
            "evidence": [
                {"content_type": "image/png", "payload": "AAAA"},
                {"content_type": "message/rfc822",
                 "payload": data_encoding::BASE64.encode(MAIL.as_bytes())},
            ],
        })
    }

    fn read(json: &Value) -> Feedback {
        of_json(json.to_string().as_bytes()).unwrap()
    }

    // B-060, B-070
    #[test]
    fn version_4_is_read() {
        let feedback = read(&v4());
        assert_eq!(feedback.feedback_type, FeedbackType::Abuse);
        assert!(!feedback.is_malformed());
        assert_eq!(feedback.recipients()[0].as_str(), "alice@example.com");
        assert_eq!(feedback.source_ip(), "192.0.2.7".parse().ok());
        assert_eq!(
            feedback.original_message_id().as_deref(),
            Some("<token.1@example.org>")
        );
        for member in [
            "report_id",
            "timestamp",
            "reporter",
            "sender",
            "source_identifier",
            "category",
            "type",
        ] {
            let mut without = v4();
            without.as_object_mut().unwrap().remove(member);
            assert!(read(&without).is_malformed(), "{member}");
        }
    }

    // B-061
    #[test]
    fn both_shapes_of_version_3_are_read() {
        let one = json!({"Version": "3", "ReporterInfo": {"ReporterOrg": "P"}, "Report": {
            "ReportClass": "Activity", "ReportType": "Spam", "SourceIp": "192.0.2.7",
            "SmtpMailFromAddress": "b-x@fb.example.com", "SmtpRcptToAddress": "alice@example.com",
            "Samples": [{"ContentType": "message/rfc822", "Base64Encoded": false, "Payload": MAIL}]}});
        let other = json!({"Version": "3", "ReporterInfo": {"ReporterOrg": "P"}, "Report": {
            "ReportClass": "Activity", "ReportType": "Spam", "Source": {"IP": "192.0.2.7", "Port": 25},
            "SmtpRcptToAddress": "alice@example.com",
            "Attachment": [{"ContentType": "message/rfc822", "Base64Encoded": true,
                            "Payload": data_encoding::BASE64.encode(MAIL.as_bytes())}]}});
        for json in [one, other] {
            let feedback = read(&json);
            assert_eq!(feedback.feedback_type, FeedbackType::Abuse);
            assert!(!feedback.is_malformed());
            assert_eq!(feedback.source_ip(), "192.0.2.7".parse().ok());
            assert!(feedback.returned.has("message-id"));
        }
    }

    // B-071
    #[test]
    fn what_is_not_about_a_mail_is_no_complaint() {
        let mut ddos = v4();
        ddos["category"] = "connection".into();
        ddos["type"] = "ddos".into();
        assert_eq!(read(&ddos).feedback_type, FeedbackType::Xarf);
        let other = json!({"ReporterInfo": {}, "Report": {"ReportType": "Copyright"}});
        assert_eq!(read(&other).feedback_type, FeedbackType::Xarf);
    }

    #[test]
    fn other_json_is_none() {
        for text in ["", "{}", "[]", "{\"xarf_version\": 4}", "{\"Report\": {}}"] {
            assert!(of_json(text.as_bytes()).is_none(), "{text}");
        }
    }
}
