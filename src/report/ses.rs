//! Notices of Amazon SES: JSON that its notification service sends as the text of a mail.
//!
//! A complaint names *possible* complainers (all recipients of that mail at the reporting domain),
//! and repeats the header of the sent mail if the sender has asked for that: there the token is.

use serde::Deserialize;

use super::arf::{Feedback, FeedbackType, registered};
use super::asserted;
use super::header::Header;

/// What a notice says.
#[derive(Debug)]
pub enum Notice {
    /// A recipient complained.
    Complaint(Box<Feedback>),
    /// SES did not send a mail, because its own list holds the recipient: no new complaint.
    OnSuppressionList,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    // Notifications have the one, event publishing the other.
    #[serde(alias = "eventType")]
    notification_type: String,
    complaint: Option<Complaint>,
    #[serde(default)]
    mail: Mail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
    #[serde(rename = "complaintFeedbackType")]
    feedback_type: Option<String>,
    #[serde(rename = "complaintSubType")]
    sub_type: Option<String>,
    user_agent: Option<String>,
    arrival_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mail {
    source: String,
    source_ip: String,
    headers: Vec<NameValue>,
    common_headers: CommonHeaders,
}

#[derive(Deserialize)]
struct NameValue {
    name: String,
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CommonHeaders {
    message_id: String,
    subject: String,
    date: String,
    from: Vec<String>,
    to: Vec<String>,
}

/// What the notification service wraps a message in when it is not asked for the raw one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapped {
    message: String,
}

/// The notice about a complaint in the text of a mail, if it is one.
pub fn complaint_in(text: &str) -> Option<Notice> {
    let message: Message = json_in(text)?;
    if message.notification_type != "Complaint" {
        return None;
    }
    let complaint = message.complaint?;
    if complaint.sub_type.as_deref() == Some("OnAccountSuppressionList") {
        return Some(Notice::OnSuppressionList);
    }
    let given = complaint.feedback_type.map(|t| t.to_ascii_lowercase());
    let feedback_type = given.as_deref().map_or(FeedbackType::Abuse, registered);
    let mut feedback = Feedback::in_other_form(
        feedback_type,
        "JSON of an Amazon SES notification about a complaint",
    );
    feedback.given_type = given.or(feedback.given_type);
    feedback.asserted = complaint
        .complained_recipients
        .iter()
        .filter_map(|recipient| asserted::address(&recipient.email_address))
        .collect();
    feedback.fields = Header::of_pairs(
        [
            ("User-Agent", complaint.user_agent.as_deref()),
            ("Arrival-Date", complaint.arrival_date.as_deref()),
            ("Original-Mail-From", Some(message.mail.source.as_str())),
            ("Source-IP", Some(message.mail.source_ip.as_str())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))),
    );
    feedback.set_returned(message.mail.header(), b"");
    Some(Notice::Complaint(Box::new(feedback)))
}

impl Mail {
    /// The header of the sent mail: the whole one if it is there, else what SES repeats of it.
    fn header(&self) -> Header {
        if !self.headers.is_empty() {
            let pairs = self.headers.iter();
            return Header::of_pairs(pairs.map(|h| (h.name.as_str(), h.value.as_str())));
        }
        let common = &self.common_headers;
        let (from, to) = (common.from.join(", "), common.to.join(", "));
        let pairs = [
            ("Message-ID", common.message_id.as_str()),
            ("Subject", &common.subject),
            ("Date", &common.date),
            ("From", &from),
            ("To", &to),
        ];
        Header::of_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()))
    }
}

/// The JSON object that the text begins with, whatever stands behind it, also if a relay has broken
/// the one long line, and also if it is wrapped.
pub(super) fn json_in<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let text = text.trim_start();
    if !text.starts_with('{') {
        return None;
    }
    let joined = joined(text);
    first(&joined).or_else(|| {
        let wrapped: Wrapped = first(&joined)?;
        first(&wrapped.message)
    })
}

fn first<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .next()?
        .ok()
}

/// A line break inside of a JSON string is none of the string: sendmail breaks lines beyond 990
/// octets by `!` and a line break, others by the line break alone, and a space may follow.
fn joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    let mut chars = text.chars().filter(|c| *c != '\r').peekable();
    while let Some(char) = chars.next() {
        if inside && char == '\n' {
            if joined.ends_with('!') {
                joined.pop();
            }
            chars.next_if_eq(&' ');
            continue;
        }
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = inside,
            '"' => inside = !inside,
            _ => {}
        }
        joined.push(char);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::Address;

    const COMPLAINT: &str = r#"{"notificationType":"Complaint","complaint":{
        "complainedRecipients":[{"emailAddress":"alice@example.com"},{"emailAddress":"bob@example.com"}],
        "userAgent":"Some Mail","complaintFeedbackType":"abuse"},
        "mail":{"source":"b-x@fb.example.com","headers":[{"name":"Message-ID","value":"<a@b>"},
        {"name":"X-Desist","value":"token"}],"commonHeaders":{"subject":"News"}}}"#;

    fn complaint(text: &str) -> Feedback {
        match complaint_in(text) {
            Some(Notice::Complaint(feedback)) => *feedback,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_complaint_is_read_with_the_header_of_the_sent_mail() {
        let feedback = complaint(&format!("{COMPLAINT}\n\n--\nTo stop these, unsubscribe\n"));
        assert_eq!(feedback.feedback_type, FeedbackType::Abuse);
        let recipients = feedback.recipients();
        let recipients: Vec<_> = recipients.iter().map(Address::as_str).collect();
        assert_eq!(recipients, ["alice@example.com", "bob@example.com"]);
        assert_eq!(
            feedback.returned.first("x-desist").as_deref(),
            Some("token")
        );
        assert_eq!(
            feedback.token_fields().collect::<Vec<_>>(),
            [b"b-x@fb.example.com"]
        );
    }

    #[test]
    fn events_and_wrapped_and_broken_notices_are_the_same() {
        let event = COMPLAINT.replace("notificationType", "eventType");
        let wrapped = serde_json::json!({"Type": "Notification", "Message": COMPLAINT}).to_string();
        let broken = COMPLAINT.replace("alice@exa", "alice!\n @exa");
        let broken = broken.replace("bob@", "bo\r\nb@");
        for text in [event, wrapped, broken] {
            assert_eq!(complaint(&text).recipients().len(), 2, "{text}");
        }
    }

    // A mail that SES did not even send is no new complaint.
    #[test]
    fn its_own_suppression_list_is_no_complaint() {
        let text = COMPLAINT.replace(
            "\"userAgent\"",
            "\"complaintSubType\":\"OnAccountSuppressionList\",\"userAgent\"",
        );
        assert!(matches!(
            complaint_in(&text),
            Some(Notice::OnSuppressionList)
        ));
    }

    #[test]
    fn other_json_is_none() {
        for text in [
            "",
            "{",
            "{}",
            "[1]",
            "He wrote {\"notificationType\":\"Complaint\"}",
            r#"{"notificationType":"Bounce","complaint":{}}"#,
            r#"{"notificationType":"Complaint"}"#,
        ] {
            assert!(complaint_in(text).is_none(), "{text}");
        }
    }
}
