//! Delivery status and disposition notifications (RFC 3464, RFC 6533, RFC 8098): recognised by
//! structure.

use super::header::{self, Header};
use super::mime::Entity;
use super::{dsn, ndr};
use crate::model::address::Address;
use crate::model::bounce::{Action, Stage};

/// Octets of a status part that are read.
pub const MAX_STATUS_PART: usize = 256 * 1024;

/// Octets of a returned mail that are read: its header.
const MAX_RETURNED: usize = 64 * 1024;

/// Recipients of one notification that are read.
pub const MAX_RECIPIENTS: usize = 1_000;

/// What a returned mail is labelled as, the registered forms and those that are seen.
const RETURNED: [&str; 6] = [
    "message/rfc822",
    "text/rfc822-headers",
    "message/global",
    "message/global-headers",
    "message/rfc822-headers",
    "text/rfc822",
];

/// What a notification says about a delivery.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// In which form it was told: `rfc3464`, or the name of another form.
    pub format: String,
    /// Reporting-MTA, without its type; of other forms the domain of the author.
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

/// The delivery status in `root`, outside nested messages; `subject` is its Subject, decoded, and
/// `author` its author.
pub fn delivery_in(root: &Entity<'_>, subject: &str, author: Option<&Address>) -> Option<Delivery> {
    let parts = root.walk();
    let part = parts.iter().find(|part| {
        matches!(
            part.media.essence(),
            "message/delivery-status"
                | "message/global-delivery-status"
                | "message/xdelivery-status"
                | "message/x-delivery-status"
        )
    });
    let Some(part) = part else {
        let declared = root.media.report_type().as_deref() == Some("delivery-status");
        let read = ndr::delivery_in(root, subject, author).filter(|_| declared);
        let bare = || Delivery {
            format: "rfc3464".to_owned(),
            returned: returned_in(root),
            ..Delivery::default()
        };
        return read.or_else(|| declared.then(bare));
    };
    let mut delivery = dsn::read(&part.content(MAX_STATUS_PART));
    delivery.returned = returned_in(root);
    ndr::complete(&mut delivery, root, subject, author);
    Some(delivery)
}

impl Outcome {
    /// Whom it is about: the final recipient, else whom the sender named.
    pub fn recipient(&self) -> Option<&str> {
        self.address.as_deref().or(self.original.as_deref())
    }
}

/// The header of the mail that `root` returns as a part; empty if it returns none.
pub(super) fn returned_in(root: &Entity<'_>) -> Header {
    let parts = root.walk();
    let labelled = parts
        .iter()
        .skip(1)
        .find(|part| RETURNED.contains(&part.media.essence()));
    let content = labelled.map(|part| part.content(MAX_RETURNED)).or_else(|| {
        parts
            .iter()
            .skip(2)
            .map(|part| part.content(MAX_RETURNED))
            .find(|content| header::begins_with_header(&header::repair_returned(content)))
    });
    content.map_or_else(Header::default, |content| {
        Header::scan(&header::repair_returned(&content)).0
    })
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
