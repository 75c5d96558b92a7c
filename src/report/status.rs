//! Delivery status and disposition notifications (RFC 3464, RFC 6533, RFC 8098): recognised by
//! structure.

use super::header::{self, Header};
use super::mime::Entity;
use crate::model::bounce::{Action, Stage};

/// Octets of a status part that are read.
const MAX_STATUS_PART: usize = 256 * 1024;

/// Recipients of one notification that are read.
const MAX_RECIPIENTS: usize = 1_000;

/// What a delivery status notification says.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// In which form it was told: `rfc3464`, or the name of another form.
    pub format: String,
    /// Reporting-MTA, without its type.
    pub reporting_mta: Option<String>,
    /// Original-Envelope-Id: what the sender named the envelope (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// One a recipient, in order.
    pub outcomes: Vec<Outcome>,
    /// The header of the mail that came back; empty if none did.
    pub returned: Header,
}

/// What became of a mail for one recipient, as far as the notification says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Final-Recipient without its type: an address, but also a pipe, an X.400 name, a local part.
    pub address: Option<String>,
    /// Original-Recipient without its type: whom the sender named.
    pub original: Option<String>,
    /// What became of it.
    pub action: Action,
    /// The status code `class.subject.detail` (RFC 3463), the most telling one given.
    pub status: Option<String>,
    /// The reply code of the SMTP server, 200 to 599.
    pub smtp_code: Option<u16>,
    /// At which step of the SMTP dialogue it was refused.
    pub stage: Option<Stage>,
    /// The server's text, on one line.
    pub diagnostic: Option<String>,
    /// The server that refused it, if it was another than the reporting one.
    pub remote_mta: Option<String>,
}

impl Delivery {
    /// The gravest action: failed before delayed before the others. A notification that names none
    /// is one of failure.
    pub fn gravest(&self) -> Action {
        let actions = self.outcomes.iter().map(|outcome| outcome.action);
        actions.min().unwrap_or(Action::Failed)
    }
}

/// The delivery status in `root`, outside nested messages.
pub fn delivery_in(root: &Entity<'_>) -> Option<Delivery> {
    let part = root.walk().into_iter().find(|part| {
        matches!(
            part.media.essence(),
            "message/delivery-status" | "message/global-delivery-status"
        )
    });
    match part {
        Some(part) => Some(delivery(&part.content(MAX_STATUS_PART))),
        None => {
            (root.media.report_type().as_deref() == Some("delivery-status")).then(Delivery::default)
        }
    }
}

/// Whether `root` is a message disposition notification.
pub fn is_disposition(root: &Entity<'_>) -> bool {
    root.media.report_type().as_deref() == Some("disposition-notification")
        || root.walk().iter().any(|part| {
            matches!(
                part.media.essence(),
                "message/disposition-notification" | "message/global-disposition-notification"
            )
        })
}

fn delivery(content: &[u8]) -> Delivery {
    let content = header::repair(content);
    let mut delivery = Delivery::default();
    let mut rest: &[u8] = &content;
    while !rest.is_empty() && delivery.outcomes.len() < MAX_RECIPIENTS {
        let (group, length) = Header::scan(rest);
        rest = rest.get(length..).unwrap_or_default();
        if delivery.reporting_mta.is_none() {
            delivery.reporting_mta = without_type(&group, "reporting-mta");
        }
        if group.has("final-recipient") || group.has("action") || group.has("status") {
            delivery.outcomes.push(outcome(&group));
        }
    }
    delivery
}

fn outcome(group: &Header) -> Outcome {
    let diagnostic = without_type(group, "diagnostic-code");
    Outcome {
        address: without_type(group, "final-recipient"),
        original: without_type(group, "original-recipient"),
        action: action(group),
        status: group.first("status").and_then(|text| code(&text)),
        smtp_code: diagnostic.as_deref().and_then(reply_code),
        stage: None,
        diagnostic,
        remote_mta: without_type(group, "remote-mta"),
    }
}

/// The value of a field without the type that stands before a semicolon (RFC 3464 §2.1.2).
fn without_type(group: &Header, name: &str) -> Option<String> {
    let value = group.first(name)?;
    let text = value
        .split_once(';')
        .map_or(value.as_str(), |(_, text)| text);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The status code at the beginning of a text, with what some put before it.
fn code(text: &str) -> Option<String> {
    let text = text.trim_start_matches(['#', ' ']);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let code = text.get(..end)?;
    (code.split('.').count() == 3 && code.starts_with(['2', '4', '5'])).then(|| code.to_owned())
}

/// The reply code at the beginning of a text (RFC 5321 §4.2).
fn reply_code(text: &str) -> Option<u16> {
    let digits = text.get(..3)?;
    let ends = !text
        .get(3..)?
        .starts_with(|c: char| c.is_ascii_alphanumeric());
    let code = digits.parse().ok()?;
    (ends && (200..600).contains(&code)).then_some(code)
}

/// The action as given, else what the status code's class says (RFC 3463 §2).
fn action(group: &Header) -> Action {
    let word = group.first("action").unwrap_or_default();
    let word = word
        .split([' ', '(', ';'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if let Ok(action) = word.parse() {
        return action;
    }
    match group.first("status").unwrap_or_default().bytes().next() {
        Some(b'2') => Action::Delivered,
        Some(b'4') => Action::Delayed,
        _ => Action::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Peers: `delayed` and `relayed` mixed with failed; several recipients stop early.
    #[test]
    fn the_gravest_action_counts() {
        let text = b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822;a@b\nAction: Delivered (x)\n\n\nFinal-Recipient: rfc822;c@d\nStatus: 4.4.1\n\nFinal-Recipient: rfc822;e@f\nAction: failed\n";
        let delivery = delivery(text);
        assert_eq!(delivery.reporting_mta.as_deref(), Some("mx.example"));
        let actions: Vec<_> = delivery.outcomes.iter().map(|o| o.action).collect();
        assert_eq!(
            actions,
            [Action::Delivered, Action::Delayed, Action::Failed]
        );
        assert_eq!(delivery.gravest(), Action::Failed);
    }

    #[test]
    fn an_outcome_is_told_without_its_types() {
        let text = b"Reporting-MTA: dns; mx.example\n\nOriginal-Recipient: rfc822;a@b.example\nFinal-Recipient: RFC822; c@d.example\nAction: failed\nStatus: #5.1.1 (x)\nRemote-MTA: dns; r.example\nDiagnostic-Code: smtp; 550 no such user\n";
        let expected = Outcome {
            address: Some("c@d.example".to_owned()),
            original: Some("a@b.example".to_owned()),
            action: Action::Failed,
            status: Some("5.1.1".to_owned()),
            smtp_code: Some(550),
            stage: None,
            diagnostic: Some("550 no such user".to_owned()),
            remote_mta: Some("r.example".to_owned()),
        };
        assert_eq!(delivery(text).outcomes, [expected]);
    }

    #[test]
    fn a_status_without_recipients_is_a_failure() {
        assert_eq!(delivery(b"").gravest(), Action::Failed);
        assert_eq!(delivery(b"Action: relayed\n").gravest(), Action::Relayed);
    }
}
