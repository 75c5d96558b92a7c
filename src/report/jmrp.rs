//! Complaints in the form that Microsoft's feedback loop (JMRP) used until 2026, which is no ARF: a
//! mail that holds the mail complained of, with `X-HmXmrOriginalRecipient` at the top of its header.
//! Relays have also passed it on with that header as their own.

use super::arf::{Feedback, FeedbackType};
use super::header::{self, Header};
use super::mime::Entity;

/// The field that says who complained; until 2026 nobody else wrote it.
const RECIPIENT: &str = "x-hmxmroriginalrecipient";

/// What stands before the network address in the mail's Subject.
const SUBJECT: &str = "complaint about message from";

/// The complaint, if the mail is one.
pub fn report_in(root: &Entity<'_>) -> Option<Feedback> {
    let attached = root.walk().into_iter().find_map(|part| {
        if !part.media.is("message/rfc822") {
            return None;
        }
        let content = part.content(super::MAX_RETURNED);
        let message = header::repair_returned(&content);
        let (returned, at) = Header::scan(&message);
        let body = message.get(at..).unwrap_or_default();
        returned.has(RECIPIENT).then(|| (returned, body.to_vec()))
    });
    let (returned, body) = match attached {
        Some(found) => found,
        None if root.header.has(RECIPIENT) => (root.header.clone(), root.body.to_vec()),
        None => return None,
    };
    let recipients = returned
        .all(RECIPIENT)
        .map(header::Field::value)
        .filter_map(|value| super::asserted::address(&value));
    let mut feedback = Feedback::in_other_form(
        FeedbackType::Abuse,
        "X-HmXmrOriginalRecipient in the returned header: Microsoft's form until 2026",
    );
    feedback.asserted = recipients.collect();
    feedback.source = source_in(&root.header);
    feedback.set_returned(returned, &body);
    Some(feedback)
}

/// The network address in ` complaint about message from 192.0.2.1`.
fn source_in(header: &Header) -> Option<std::net::IpAddr> {
    let subject = header.first("subject")?;
    let (_, address) = subject.split_once(SUBJECT)?;
    address.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::mime::{self, Limits};

    fn read(raw: &str) -> Option<Feedback> {
        report_in(&mime::open(raw.as_bytes(), Limits::default()).root)
    }

    #[test]
    fn both_places_of_the_header_are_known() {
        let attached = "Subject:  complaint about message from 192.0.2.9\n\
            Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n\
            X-HmXmrOriginalRecipient: <alice@example.com>\nSubject: News\n\nbody\n--x--\n";
        let top = "X-HmXmrOriginalRecipient: alice@example.com\nSubject: News\n\nbody";
        for (raw, source) in [(attached, Some("192.0.2.9")), (top, None)] {
            let feedback = read(raw).unwrap();
            assert_eq!(feedback.feedback_type, FeedbackType::Abuse);
            assert_eq!(feedback.recipients()[0].as_str(), "alice@example.com");
            assert_eq!(feedback.returned.first("subject").as_deref(), Some("News"));
            assert_eq!(feedback.returned_body, b"body");
            assert_eq!(feedback.source_ip(), source.map(|ip| ip.parse().unwrap()));
        }
    }

    // B-041: not by the Subject.
    #[test]
    fn the_subject_alone_tells_nothing() {
        let raw = "Subject: complaint about message from 192.0.2.9\n\nX-HmXmrOriginalRecipient: a@b.example\n";
        assert!(read(raw).is_none());
    }
}
