//! Layer 1: reads what arrived. Never fails: what cannot be understood is said to be so.
//!
//! Structure decides first (a report, a delivery status, a disposition), because a report may carry
//! any Subject, `unsubscribe` among them (RFC 5965 §2). Only a mail without such structure is read
//! by its own header and text.

pub mod arf;
pub mod asserted;
pub mod automatic;
pub mod autoreply;
pub mod bare;
mod dsn;
pub mod encoded_words;
pub mod header;
pub mod jmrp;
pub mod media;
pub mod mime;
mod ndr;
pub mod optout;
pub mod page;
pub mod periodic;
pub mod phrases;
pub mod reply;
pub mod ses;
pub mod ses_bounce;
pub mod status;
pub mod xarf;

use crate::model::address::Address;
use crate::model::words::words;
use arf::Feedback;
use automatic::Automatic;
use autoreply::Certainty;
use encoded_words::decode_words;
use header::{Field, Header};
use media::Media;
use mime::{Entity, Structure};
use optout::Form;
use status::Delivery;

/// Octets of decoded text that are read.
pub const MAX_TEXT: usize = 64 * 1024;

/// Octets of a returned mail that are read: its header and the beginning of its body.
const MAX_RETURNED: usize = 320 * 1024;

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
    /// A report of failed authentication that has not the form of RFC 6591.
    DmarcFailure,
    /// An SMTP TLS report (RFC 8460).
    TlsReport,
    /// A `multipart/report` of another kind, or without the part that it announces.
    OtherReport,
    /// A mail that says by itself that it is an opt-out.
    OptOut(Form),
    /// An automatic reply, for instance while out of office.
    AutoReply(Certainty),
    /// Mail of another program, about nothing that is asked here.
    Automatic(Automatic),
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
    /// What tells that, for people: at least one text, unless it is just a mail.
    pub signs: Vec<&'static str>,
    /// The mail's own header.
    pub header: Header,
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

/// What may be known of a mail beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    /// How much of its structure is read.
    pub limits: mime::Limits,
    /// Whether its envelope had the null sender.
    pub null_sender: bool,
}

/// Reads one message of which nothing is known but its bytes. Never fails and never panics; takes
/// time linear in its length.
pub fn read(raw: &[u8]) -> Reading {
    read_within(raw, Circumstances::default())
}

/// [`read`], of a message that came in known circumstances.
pub fn read_within(raw: &[u8], circumstances: Circumstances) -> Reading {
    if let Some(bare) = bare::kind(raw) {
        return of_bare(bare);
    }
    let message = header::repair(raw);
    let structure = mime::open(&message, circumstances.limits);
    let header = &structure.root.header;
    let raw_subject = header
        .all("subject")
        .next()
        .map_or_else(Vec::new, |s| s.raw().to_vec());
    let mut reading = Reading {
        what: What::Unreadable,
        signs: Vec::new(),
        header: Header::default(),
        from: asserted::author(header),
        subject: decode_words(&raw_subject, structure.root.media.parameter("charset")),
        raw_subject,
        text: String::new(),
        hints: threading(header).map(<[u8]>::to_vec).collect(),
        notes: notes_of(&structure),
    };
    if header.is_empty() {
        reading.notes.push(Note::NoHeader);
        return reading;
    }
    match by_structure(&structure, circumstances.limits, &mut reading) {
        Some(what) => reading.what = what,
        None => by_own_words(&structure.root, circumstances.null_sender, &mut reading),
    }
    reading.header = structure.root.header;
    reading
}

/// What is no mail has nothing but what it is.
fn of_bare(bare: bare::Bare) -> Reading {
    let (what, sign) = match bare {
        bare::Bare::DmarcAggregate => {
            (What::DmarcAggregate, "a file with a DMARC aggregate report")
        }
        bare::Bare::TlsReport => (What::TlsReport, "a file with an SMTP TLS report"),
        bare::Bare::Ses(notice) => of_notice(notice),
    };
    Reading {
        what,
        signs: vec![sign],
        header: Header::default(),
        from: None,
        subject: String::new(),
        raw_subject: Vec::new(),
        text: String::new(),
        hints: Vec::new(),
        notes: vec![Note::NoHeader],
    }
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
    if let Some(delivery) = status::delivery_in(root, &reading.subject, reading.from.as_ref()) {
        reading
            .signs
            .push("a message/delivery-status part (RFC 3464)");
        return Some(What::Delivery(delivery));
    }
    if let Some(delivery) = ses_bounce::delivery_in(root) {
        reading.signs.push("JSON of an Amazon SES notification");
        return Some(What::Delivery(delivery));
    }
    let periodic = if status::is_disposition(root) {
        Some((What::Disposition, "a disposition notification (RFC 8098)"))
    } else if periodic::is_tls_report(root) {
        Some((What::TlsReport, "an SMTP TLS report (RFC 8460)"))
    } else if periodic::is_dmarc_aggregate(root) {
        let sign = "a file named like a DMARC aggregate report (RFC 9990)";
        Some((What::DmarcAggregate, sign))
    } else {
        None
    };
    if let Some((what, sign)) = periodic {
        reading.signs.push(sign);
        return Some(what);
    }
    // What another kind of report returns is not forwarded.
    if root.media.is("multipart/report") {
        return None;
    }
    let reports = forwarded(root, (MAX_LAYERS, limits), reading);
    if !reports.is_empty() {
        reading.notes.push(Note::Forwarded);
        return Some(feedback(reports, false, reading));
    }
    None
}

fn feedback(reports: Vec<Feedback>, unclosed: bool, reading: &mut Reading) -> What {
    reading
        .signs
        .extend(reports.first().map(|report| report.sign));
    if reports.iter().any(Feedback::is_malformed) {
        reading.notes.push(Note::Malformed);
    }
    let returned_nothing = reports
        .iter()
        .any(|r| r.returned.is_empty() && !r.is_xarf());
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

/// What a mail without deciding structure says of itself: first the programs that say who they are,
/// then what only looks like something.
fn by_own_words(root: &Entity<'_>, null_sender: bool, reading: &mut Reading) {
    let header = &root.header;
    let text = &text_of(root);
    // Decoded once where nothing is attached, as in most mails.
    reading.text = if root.walk().into_iter().any(is_of_others) {
        own_text_of(root)
    } else {
        text.clone()
    };
    let certainty = || autoreply::certainty(header, &reading.subject, null_sender);
    let (what, sign) = if periodic::is_failure_in_words(text) {
        (What::DmarcFailure, "the words of a DMARC failure report")
    } else if let Some(form) = optout::form(header, &reading.subject, text) {
        (What::OptOut(form), form.sign())
    } else if let Some(notice) = ses::complaint_in(text) {
        of_notice(notice)
    } else if let Some(delivery) = ndr::delivery_in(root, &reading.subject, reading.from.as_ref()) {
        // Whose text says nothing of its author's wishes.
        reading.text.clear();
        let sign = "the form of a mail server that writes no RFC 3464";
        (What::Delivery(delivery), sign)
    } else if root.media.is("multipart/report") {
        reading.notes.push(Note::ReportWithoutPart);
        (What::OtherReport, "a multipart/report (RFC 6522)")
    } else if autoreply::is_delivery_notice(header) {
        (
            What::Notice(certainty()),
            "a mail server's program as author",
        )
    } else if let Some(Certainty::Clear) = certainty() {
        let sign = "Subject or fields of an automatic reply, and others that agree (RFC 3834)";
        (What::AutoReply(Certainty::Clear), sign)
    } else if optout::is_the_word(&reading.subject) {
        (What::OptOut(Form::Word), Form::Word.sign())
    } else if let Some(kind) = automatic::kind(root, &reading.subject, text, null_sender) {
        (What::Automatic(kind), kind.sign())
    } else if let Some(likely) = certainty() {
        let sign = "one sign of an automatic reply (RFC 3834)";
        (What::AutoReply(likely), sign)
    } else {
        reading.what = What::Mail;
        return;
    };
    reading.what = what;
    reading.signs.push(sign);
}

fn of_notice(notice: ses::Notice) -> (What, &'static str) {
    match notice {
        ses::Notice::Complaint(feedback) => {
            let sign = feedback.sign;
            (What::Feedback(vec![*feedback]), sign)
        }
        ses::Notice::OnSuppressionList => {
            let kind = Automatic::SuppressionNotice;
            (What::Automatic(kind), kind.sign())
        }
    }
}

/// A mail for people to read, whatever it is.
#[derive(Debug)]
pub struct Shown {
    /// Its own header.
    pub header: Header,
    /// Its own Subject, decoded.
    pub subject: String,
    /// Its decoded text, up to [`MAX_TEXT`] octets.
    pub text: String,
}

/// What people read of a mail. Nothing in it is made harmless yet.
pub fn shown(raw: &[u8]) -> Shown {
    let message = header::repair(raw);
    let root = mime::open(&message, mime::Limits::default()).root;
    let subject = root.header.all("subject").next().map(Field::raw);
    Shown {
        subject: decode_words(subject.unwrap_or_default(), root.media.parameter("charset")),
        text: text_of(&root),
        header: root.header,
    }
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

/// The text that the mail's author speaks or quotes, up to [`MAX_TEXT`]: what is attached, another
/// mail's header and an invitation are others' words, and prove nothing.
fn own_text_of(root: &Entity<'_>) -> String {
    let mut text = String::new();
    let mut ahead = vec![root];
    while let Some(part) = ahead.pop() {
        let left = MAX_TEXT.saturating_sub(text.len());
        if left == 0 {
            break;
        }
        if is_of_others(part) {
            continue;
        }
        if part.media.is_text() {
            text.push_str(&part.text(left));
            text.push('\n');
        }
        ahead.extend(part.parts.iter().rev());
    }
    text
}

/// Whether a part, with all in it, is attached, or is of a type that tells of another mail.
fn is_of_others(part: &Entity<'_>) -> bool {
    let disposition = part.header.first("content-disposition").unwrap_or_default();
    // A disposition has the form of a type without its first half.
    Media::parse(&format!("x/{disposition}")).is_some_and(|d| d.is("x/attachment"))
        || part.media.is("text/rfc822-headers")
        || part.media.is("text/calendar")
}

fn threading(header: &Header) -> impl Iterator<Item = &[u8]> {
    let fields = header.fields();
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
