//! Layer 1: reads what arrived. Never fails: what cannot be understood is said to be so.
//!
//! Structure decides first (a report, a delivery status, a disposition), because a report may carry
//! any Subject, `unsubscribe` among them (RFC 5965 §2). Only a mail without such structure is read
//! by its own header and text.

pub mod arf;
pub mod asserted;
pub mod autoreply;
mod dsn;
pub mod header;
pub mod media;
pub mod mime;
mod ndr;
pub mod optout;
pub mod periodic;
pub mod reply;
pub mod ses_bounce;
pub mod status;

use crate::model::address::Address;
use crate::model::words::words;
use arf::Feedback;
use autoreply::Certainty;
use header::{Field, Header};
use mime::{Entity, Structure};
use optout::Form;
use status::Delivery;

/// Octets of decoded text that are read.
pub const MAX_TEXT: usize = 64 * 1024;

/// Octets of a nested message that are opened to look for a forwarded report.
const MAX_NESTED: usize = 2 * 1024 * 1024;

/// Layers of `message/rfc822` around a forwarded report that are opened.
const MAX_LAYERS: usize = 3;

/// Words of field names that name other mails or a conversation of mails.
const THREADING: [&str; 2] = ["references", "thread"];

/// Words that say of a field with a Message-ID that it is another mail's.
const ANOTHERS: [&str; 6] = [
    "forwarded",
    "replied",
    "reply",
    "parent",
    "previous",
    "related",
];

words! {
    /// Something odd that a person should know.
    pub enum Note as "note" {
        /// A field that must appear once does not, or a value is none.
        Malformed = "malformed",
        /// The end is missing, or the returned mail is empty or unusable.
        Partial = "partial",
        /// More parts, levels or fields than are read.
        BeyondLimits = "beyond-limits",
        /// The report was wrapped into another mail by a forwarder.
        Forwarded = "forwarded",
        /// A `multipart/report` without the part that its type announces.
        ReportWithoutPart = "report-without-part",
        /// There is no header at all.
        NoHeader = "no-header",
    }
}

/// What a message is.
#[derive(Debug)]
pub enum What {
    /// One or more feedback reports (RFC 5965).
    Feedback(Vec<Feedback>),
    /// A delivery status notification (RFC 3464).
    Delivery(Delivery),
    /// A message disposition notification (RFC 8098).
    Disposition,
    /// A DMARC aggregate report (RFC 9990).
    DmarcAggregate,
    /// An SMTP TLS report (RFC 8460).
    TlsReport,
    /// A `multipart/report` of another kind, or without the part that it announces.
    OtherReport,
    /// A mail that says by itself that it is an opt-out.
    OptOut(Form),
    /// An automatic reply, for instance while out of office.
    AutoReply(Certainty),
    /// A mail server's notice about delivery that has not the form of a notification; by its author
    /// alone, so it may look like an automatic reply too.
    Notice(Option<Certainty>),
    /// A mail, and none of these.
    Mail,
    /// Nothing that could be a mail.
    Unreadable,
}

/// What was read from one message.
#[derive(Debug)]
pub struct Reading {
    /// What it is.
    pub what: What,
    /// The author, if the mail names exactly one whose address is one.
    pub from: Option<Address>,
    /// The mail's own Subject, decoded.
    pub subject: String,
    /// The mail's own Subject as received: a fold can stand in the middle of a token.
    pub raw_subject: Vec<u8>,
    /// The first [`MAX_TEXT`] octets of decoded text; empty for what structure decides.
    pub text: String,
    /// Text that may hold tokens but proves nothing: the mail's own threading fields. What came
    /// back with a report is with the report.
    pub hints: Vec<Vec<u8>>,
    /// What was odd.
    pub notes: Vec<Note>,
}

/// Reads one message. Never fails and never panics; takes time linear in its length.
pub fn read(raw: &[u8]) -> Reading {
    read_within(raw, mime::Limits::default())
}

/// [`read`], with limits of its own for the structure.
pub fn read_within(raw: &[u8], limits: mime::Limits) -> Reading {
    let message = header::repair(raw);
    let structure = mime::open(&message, limits);
    let header = &structure.root.header;
    let raw_subject = header
        .all("subject")
        .next()
        .map_or_else(Vec::new, |s| s.raw().to_vec());
    let mut reading = Reading {
        what: What::Unreadable,
        from: asserted::author(header),
        subject: mime::decode_words(&raw_subject),
        raw_subject,
        text: String::new(),
        hints: threading(header).map(<[u8]>::to_vec).collect(),
        notes: notes_of(&structure),
    };
    if header.fields().is_empty() {
        reading.notes.push(Note::NoHeader);
        return reading;
    }
    match by_structure(&structure, limits, &mut reading) {
        Some(what) => reading.what = what,
        None => by_own_words(&structure.root, &mut reading),
    }
    reading
}

/// What the structure alone says, the most specific first.
fn by_structure(
    structure: &Structure<'_>,
    limits: mime::Limits,
    reading: &mut Reading,
) -> Option<What> {
    let root = &structure.root;
    let reports = arf::reports_in(root);
    if !reports.is_empty() {
        return Some(feedback(reports, structure.oddities.unclosed, reading));
    }
    if let Some(delivery) = status::delivery_in(root, &reading.subject) {
        return Some(What::Delivery(delivery));
    }
    if let Some(delivery) = ses_bounce::delivery_in(root) {
        return Some(What::Delivery(delivery));
    }
    if status::is_disposition(root) {
        return Some(What::Disposition);
    }
    if periodic::is_tls_report(root) {
        return Some(What::TlsReport);
    }
    if periodic::is_dmarc_aggregate(root) {
        return Some(What::DmarcAggregate);
    }
    if root.media.is("multipart/report") {
        if let Some(delivery) = ndr::delivery_in(root, &reading.subject) {
            return Some(What::Delivery(delivery));
        }
        reading.notes.push(Note::ReportWithoutPart);
        return Some(What::OtherReport);
    }
    let reports = forwarded(root, (MAX_LAYERS, limits), reading);
    if reports.is_empty() {
        return None;
    }
    reading.notes.push(Note::Forwarded);
    Some(feedback(reports, false, reading))
}

fn feedback(reports: Vec<Feedback>, unclosed: bool, reading: &mut Reading) -> What {
    if reports.iter().any(Feedback::is_malformed) {
        reading.notes.push(Note::Malformed);
    }
    let returned_nothing = reports
        .iter()
        .any(|r| r.returned.fields().is_empty() && !r.is_xarf());
    if (unclosed || returned_nothing) && !reading.notes.contains(&Note::Partial) {
        reading.notes.push(Note::Partial);
    }
    What::Feedback(reports)
}

/// Reports inside nested messages, through at most `layers` of them.
fn forwarded(
    entity: &Entity<'_>,
    (layers, limits): (usize, mime::Limits),
    reading: &mut Reading,
) -> Vec<Feedback> {
    let mut found = Vec::new();
    for part in entity.walk() {
        if !matches!(part.media.essence(), "message/rfc822" | "message/global") {
            continue;
        }
        let Some(layers) = layers.checked_sub(1) else {
            reading.notes.push(Note::BeyondLimits);
            break;
        };
        let content = part.content(MAX_NESTED);
        let message = header::repair(&content);
        let inner = mime::open(&message, limits);
        let here = arf::reports_in(&inner.root);
        if here.is_empty() {
            found.extend(forwarded(&inner.root, (layers, limits), reading));
        } else {
            found.extend(here);
        }
        if found.len() >= arf::MAX_REPORTS {
            break;
        }
    }
    found.truncate(arf::MAX_REPORTS);
    found
}

/// What a mail without deciding structure says of itself.
fn by_own_words(root: &Entity<'_>, reading: &mut Reading) {
    reading.text = text_of(root);
    reading.what = if let Some(form) = optout::form(&root.header, &reading.subject, &reading.text) {
        What::OptOut(form)
    } else if let Some(delivery) = ndr::delivery_in(root, &reading.subject) {
        reading.text.clear();
        What::Delivery(delivery)
    } else if autoreply::is_delivery_notice(&root.header) {
        What::Notice(autoreply::certainty(&root.header, &reading.subject))
    } else {
        autoreply::certainty(&root.header, &reading.subject).map_or(What::Mail, What::AutoReply)
    };
}

/// The decoded text of all text parts outside nested messages, up to [`MAX_TEXT`].
fn text_of(root: &Entity<'_>) -> String {
    let mut text = String::new();
    for part in root.walk() {
        let left = MAX_TEXT.saturating_sub(text.len());
        if left == 0 {
            break;
        }
        if part.media.is_text() {
            text.push_str(&part.text(left));
            text.push('\n');
        }
    }
    text
}

fn threading(header: &Header) -> impl Iterator<Item = &[u8]> {
    let fields = header.fields().iter();
    fields
        .filter(|field| is_threading(field.name()))
        .map(Field::raw)
}

/// Whether a field, its name lower-case, names other mails than the one that it stands in, as
/// In-Reply-To, References, Thread-Index, X-Original-References and X-Forwarded-Message-Id do.
/// Whoever answered or quoted may stand in them.
fn is_threading(name: &str) -> bool {
    let has = |words: &[&str]| name.split('-').any(|word| words.contains(&word));
    has(&THREADING)
        || name.ends_with("in-reply-to")
        || (name.ends_with("message-id") && has(&ANOTHERS))
}

fn notes_of(structure: &Structure<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    if structure.oddities.beyond_limits || structure.root.header.is_truncated() {
        notes.push(Note::BeyondLimits);
    }
    if structure.oddities.unclosed {
        notes.push(Note::Partial);
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_name_other_mails_are_known() {
        for name in [
            "in-reply-to",
            "x-in-reply-to",
            "references",
            "x-original-references",
            "thread-index",
            "thread-topic",
            "x-forwarded-message-id",
            "x-reply-to-message-id",
        ] {
            assert!(is_threading(name), "{name}");
        }
        for name in [
            "message-id",
            "resent-message-id",
            "x-original-message-id",
            "reply-to",
            "x-preferences",
            "list-unsubscribe",
            "cfbl-feedback-id",
        ] {
            assert!(!is_threading(name), "{name}");
        }
    }
}
