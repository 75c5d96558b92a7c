//! Mail that a program wrote and that says nothing about a delivery or a wish: challenges, tickets,
//! notices of mailing lists, calendar mail, newsletters. Each needs a mark of its own and something
//! that agrees with it, since people write to unsubscribe mailboxes from the strangest systems.

use super::asserted;
use super::autoreply;
use super::header::Header;
use super::mime::Entity;
use crate::model::words::words;

words! {
    /// What kind of program wrote it.
    pub enum Automatic as "kind of automatic mail" {
        /// Somebody wants a person to prove that he is one.
        Challenge = "challenge",
        /// A ticket system confirms or reports.
        Ticket = "ticket",
        /// A mailing list's program speaks about the list.
        ListNotice = "list-notice",
        /// An invitation, or an answer to one.
        Calendar = "calendar",
        /// Mail to many, with the fields of such.
        Newsletter = "newsletter",
        /// A sending service says that its own list holds a recipient.
        SuppressionNotice = "suppression-notice",
    }
}

impl Automatic {
    /// What tells it, for people.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Challenge => "marks or words of a challenge, from a program",
            Self::Ticket => "fields of a ticket system, from a program",
            Self::ListNotice => "a mailing list's program as author, from a program",
            Self::Calendar => "a text/calendar part with a method (RFC 5546)",
            Self::Newsletter => "several fields of mail to many",
            Self::SuppressionNotice => "JSON of Amazon SES about its own suppression list",
        }
    }
}

/// Fields of programs that challenge: TMDA, ASK, Boxbe, `BoxTrapper`, Spam Arrest.
const CHALLENGE_FIELDS: [&str; 7] = [
    "x-tmda-confirm",
    "x-tmda-fingerprint",
    "x-ask-auth",
    "x-ask-version",
    "x-boxbe-message-id",
    "x-boxtrapper",
    "x-spamarrest-speedcode",
];

/// Domains of services that challenge.
const CHALLENGERS: [&str; 7] = [
    "boxbe.com",
    "spamarrest.com",
    "bluebottle.com",
    "sanebox.com",
    "mailinblack.com",
    "spamenmoins.com",
    "cleanmy.email",
];

/// Beginnings of a challenge's Subject, lower-case, also behind `Re:`.
const CHALLENGE_SUBJECTS: [&str; 12] = [
    "please confirm your message",
    "please confirm your email",
    "please confirm your e-mail",
    "please confirm that you",
    "confirm your message",
    "your email requires verification",
    "your message requires verification",
    "message delivery requires confirmation",
    "verification required",
    "please verify your",
    "action required to deliver",
    "[boxtrapper]",
];

/// What a challenge says in its text, lower-case.
const CHALLENGE_TEXTS: [&str; 10] = [
    "confirm that you are a person",
    "confirm that you are human",
    "verify that you are a human",
    "verify that you are human",
    "to deliver your message",
    "before your message is delivered",
    "before it will be delivered",
    "guest list",
    "this is a one-time",
    "added to my list of approved senders",
];

/// Fields of ticket systems, or beginnings of them: Request Tracker, OTRS and its heirs, Zendesk,
/// Freshdesk, Jira, Redmine, `ServiceNow`, osTicket, GLPI, Help Scout, Kayako, Zammad.
const TICKET_FIELDS: [&str; 14] = [
    "rt-ticket",
    "x-rt-",
    "x-otrs-",
    "x-zendesk-",
    "x-freshdesk-",
    "x-jira-",
    "x-redmine-",
    "x-servicenow-",
    "x-osticket-",
    "x-glpi-",
    "x-helpscout-",
    "x-kayako-",
    "x-zammad-",
    "x-fd-ticket",
];

/// Fields of programs that run mailing lists.
const LIST_FIELDS: [&str; 3] = [
    "x-list-administrivia",
    "x-mailman-approved-at",
    "x-loop-sympa",
];

/// Local parts of such programs.
const LIST_AUTHORS: [&str; 6] = [
    "majordomo",
    "listserv",
    "sympa",
    "mailman",
    "ezmlm",
    "mlmmj",
];

/// Ends of local parts of such programs.
const LIST_ENDS: [&str; 6] = [
    "-request", "-owner", "-bounces", "-help", "-confirm", "+owner",
];

/// The kind, if several signs agree. `null_sender`: whether the envelope has no sender.
pub fn kind(root: &Entity<'_>, subject: &str, text: &str, null_sender: bool) -> Option<Automatic> {
    let header = &root.header;
    if is_calendar(root) {
        return Some(Automatic::Calendar);
    }
    let automatic = null_sender || autoreply::is_automatic(header);
    let own = |fields: &[&str]| fields.iter().any(|name| begins_a_field(header, name));
    let author = asserted::author(header);
    if is_challenge(header, subject, text, automatic) {
        return Some(Automatic::Challenge);
    }
    if automatic && own(&TICKET_FIELDS) {
        return Some(Automatic::Ticket);
    }
    let by_list = author.is_some_and(|author| {
        let local = author.local();
        LIST_AUTHORS.contains(&local) || LIST_ENDS.iter().any(|end| local.ends_with(end))
    });
    if own(&LIST_FIELDS) || (by_list && (automatic || header.has("list-id"))) {
        return Some(Automatic::ListNotice);
    }
    is_newsletter(header).then_some(Automatic::Newsletter)
}

/// Whether a field has that name, or begins with it if it ends in a hyphen.
fn begins_a_field(header: &Header, name: &str) -> bool {
    header.fields().any(|field| {
        field.name() == name || (name.ends_with('-') && field.name().starts_with(name))
    })
}

/// A method says that a calendar program wrote the part for another one (RFC 5546 §1.4); a plain
/// attachment has none.
fn is_calendar(root: &Entity<'_>) -> bool {
    root.walk()
        .iter()
        .any(|part| part.media.is("text/calendar") && part.media.parameter("method").is_some())
}

/// The program's own mark and that it says so, or two of author, Subject and text with it.
fn is_challenge(header: &Header, subject: &str, text: &str, automatic: bool) -> bool {
    let own = CHALLENGE_FIELDS.iter().any(|name| header.has(name))
        || header
            .first("x-delivery-agent")
            .is_some_and(|agent| agent.starts_with("TMDA"));
    let author = asserted::author(header);
    let by_challenger = author.is_some_and(|author| {
        let domain = author.domain();
        CHALLENGERS.iter().any(|known| {
            let before = domain.strip_suffix(known);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    });
    let subject = subject.to_lowercase();
    let subject = subject.strip_prefix("re:").unwrap_or(&subject).trim_start();
    let by_subject = CHALLENGE_SUBJECTS
        .iter()
        .any(|beginning| subject.starts_with(beginning));
    // The longest part of the cost: asked only if something else speaks for it.
    if !own && !by_challenger && !by_subject {
        return false;
    }
    let text = text.to_lowercase();
    let by_text = CHALLENGE_TEXTS.iter().any(|words| text.contains(words));
    let signs = [own, by_challenger, by_subject, by_text, automatic];
    signs.into_iter().filter(|sign| *sign).count() >= 2
}

fn is_newsletter(header: &Header) -> bool {
    let precedence = header.first("precedence").unwrap_or_default();
    let many = precedence.eq_ignore_ascii_case("bulk") || precedence.eq_ignore_ascii_case("list");
    let names = [
        "list-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "list-post",
        "list-help",
        "list-archive",
        "feedback-id",
        "x-campaign-id",
        "x-csa-complaints",
    ];
    let signs = names.iter().filter(|name| header.has(name)).count() + usize::from(many);
    signs >= 2 && (header.has("list-id") || header.has("list-unsubscribe"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::mime::{self, Limits};

    fn of(raw: &str) -> Option<Automatic> {
        let structure = mime::open(raw.as_bytes(), Limits::default());
        let root = &structure.root;
        let subject = root.header.first("subject").unwrap_or_default();
        kind(root, &subject, &root.text(10_000), false)
    }

    // D-032
    #[test]
    fn each_kind_needs_signs_that_agree() {
        let person = "From: a@b.example\nSubject: unsubscribe\n";
        for (fields, expected) in [
            (
                "X-Delivery-Agent: TMDA/1.0\nPrecedence: bulk",
                Automatic::Challenge,
            ),
            (
                "X-ASK-Version: 2\nAuto-Submitted: auto-replied",
                Automatic::Challenge,
            ),
            (
                "X-RT-Loop-Prevention: x\nPrecedence: bulk",
                Automatic::Ticket,
            ),
            (
                "X-OTRS-Loop: y\nAuto-Submitted: auto-generated",
                Automatic::Ticket,
            ),
            (
                "X-Zendesk-Event-Id: y\nX-Auto-Response-Suppress: All",
                Automatic::Ticket,
            ),
            ("X-List-Administrivia: yes", Automatic::ListNotice),
            (
                "Content-Type: text/calendar; method=REPLY",
                Automatic::Calendar,
            ),
            (
                "List-Id: <a.b>\nList-Unsubscribe: <mailto:a@b>",
                Automatic::Newsletter,
            ),
            (
                "List-Unsubscribe: <mailto:a@b>\nPrecedence: bulk",
                Automatic::Newsletter,
            ),
        ] {
            assert_eq!(
                of(&format!("{person}{fields}\n\ntext")),
                Some(expected),
                "{fields}"
            );
        }
        for (raw, expected) in [
            (
                "From: a@boxbe.com\nSubject: Re: News\n\nEmail is screened by a Guest List",
                Automatic::Challenge,
            ),
            (
                "From: a@b.example\nSubject: Re: Please confirm your message\n\nClick to deliver your message.",
                Automatic::Challenge,
            ),
            (
                "From: majordomo@b.example\nPrecedence: bulk\n\nx",
                Automatic::ListNotice,
            ),
            (
                "From: news-bounces@b.example\nList-Id: <a.b>\n\nx",
                Automatic::ListNotice,
            ),
        ] {
            assert_eq!(of(raw), Some(expected), "{raw}");
        }
    }

    #[test]
    fn a_person_in_a_strange_system_is_none() {
        for fields in [
            "X-Zendesk-Event-Id: y",
            "X-OTRS-Loop: y\nAuto-Submitted: no",
            "Content-Type: text/calendar",
            "List-Id: <a.b>",
            "List-Post: <mailto:a@b>\nFeedback-ID: a:b",
            "Precedence: bulk",
            "X-ASK-Version: 2",
        ] {
            let raw = format!("From: a@b.example\nSubject: unsubscribe\n{fields}\n\nplease");
            assert_eq!(of(&raw), None, "{fields}");
        }
        for raw in [
            "From: news-request@b.example\nSubject: unsubscribe\n\nx",
            "From: a@notboxbe.com\nSubject: x\n\nguest list",
            "From: a@b.example\nSubject: Please confirm your message\n\nDid you get my last mail?",
        ] {
            assert_eq!(of(raw), None, "{raw}");
        }
    }
}
