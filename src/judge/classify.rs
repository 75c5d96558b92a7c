//! What a mail is decides first, then the mailbox that it came to: from a reading to the questions
//! that the table answers.

use super::Context;
use super::bounce_case;
use super::identify::{self, Identity};
use super::table::{Fate, Token, What};
use crate::model::address::Address;
use crate::model::event::Detail;
use crate::model::mailbox::Role;
use crate::model::receipt::Envelope;
use crate::report::arf::{Feedback, FeedbackType};
use crate::report::automatic::Automatic;
use crate::report::autoreply::Certainty;
use crate::report::{self, Reading};
use crate::token::keyring::Keyring;
use crate::token::wire::Use;

/// Octets of one text that is kept as evidence.
const MAX_DETAIL: usize = 512;

/// One thing that a receipt says.
#[derive(Debug, Clone)]
pub struct Matter {
    /// What it is.
    pub what: What,
    /// Whom the tokens name.
    pub identity: Identity,
    /// Whom it asserts to be about.
    pub asserted: Vec<Address>,
    /// Extracts for people.
    pub detail: Detail,
}

/// All that a reading says. Never empty.
pub fn matters(reading: &Reading, envelope: &Envelope, context: &Context<'_>) -> Vec<Matter> {
    let keyring = context.keyring;
    match &reading.what {
        report::What::Feedback(reports) => {
            let token = envelope.token.as_deref();
            let (identities, _) = identify::in_reports(token, reports, &reading.hints, keyring);
            let each = reports.iter().zip(identities);
            each.map(|(report, identity)| of_report(report, identity, reading))
                .collect()
        }
        report::What::Delivery(delivery) => {
            let identity = identify::by_envelope(envelope.token.as_deref(), keyring);
            bounce_case::of_delivery(delivery, &identity, (reading, envelope), context)
        }
        _ => vec![of_mail(reading, envelope, keyring)],
    }
}

fn of_report(report: &Feedback, identity: Identity, reading: &Reading) -> Matter {
    let what = match report.feedback_type {
        FeedbackType::Abuse => What::Abuse,
        FeedbackType::Fraud | FeedbackType::Virus | FeedbackType::Other => What::OtherComplaint,
        FeedbackType::NotSpam => What::NotSpam,
        FeedbackType::AuthFailure => What::AuthFailure,
        FeedbackType::OptOut => What::OptOutReport,
        FeedbackType::Xarf | FeedbackType::Unknown => What::UnknownComplaint,
    };
    let given = report.given_type.as_deref();
    let detail = Detail {
        feedback_type: given.and_then(extract),
        user_agent: report
            .fields
            .first("user-agent")
            .and_then(|text| extract(&text)),
        reporter: report
            .fields
            .first("reporting-mta")
            .map(|mta| {
                mta.split_once(';')
                    .map_or(mta.as_str(), |(_, name)| name)
                    .to_owned()
            })
            .and_then(|name| extract(&name))
            .or_else(|| author_domain(reading)),
        original_message_id: report.original_message_id().and_then(|id| extract(&id)),
        source_ip: report.source_ip(),
        source_port: report.source_port(),
        incidents: report.incidents(),
        notes: notes(reading),
        ..Detail::default()
    };
    Matter {
        what,
        identity,
        asserted: report.recipients(),
        detail,
    }
}

fn of_mail(reading: &Reading, envelope: &Envelope, keyring: &Keyring) -> Matter {
    let token = envelope.token.as_deref();
    let by_envelope = || identify::by_envelope(token, keyring);
    let in_mail = || identify::in_mail(token, reading, keyring);
    let at_unsubscribe = envelope.mailbox.role == Role::Unsubscribe;
    let (what, identity) = match &reading.what {
        report::What::Disposition => (What::Disposition, by_envelope()),
        report::What::DmarcAggregate => (What::DmarcAggregate, by_envelope()),
        report::What::TlsReport => (What::TlsReport, by_envelope()),
        report::What::DmarcFailure => (What::AuthFailure, by_envelope()),
        report::What::Automatic(kind) => (of_automatic(*kind), by_envelope()),
        report::What::OptOut(_) | report::What::Mail if at_unsubscribe => {
            (What::UnsubscribeMail, in_mail())
        }
        // Somebody moved the mail of a mail program to another mailbox: its address must prove it.
        report::What::OptOut(_) => told_by_envelope(What::Unrecognised, by_envelope()),
        // An empty mail to an address with a token is enough.
        report::What::Unreadable if at_unsubscribe => {
            told_by_envelope(What::Unrecognised, by_envelope())
        }
        // What only looks like an automatic reply is an opt-out where the address says whose; its
        // text is no help, because a reply quotes the footer.
        report::What::AutoReply(Certainty::Likely) if at_unsubscribe => {
            told_by_envelope(What::AutoReply, by_envelope())
        }
        report::What::AutoReply(_) => (What::AutoReply, by_envelope()),
        // Postmasters opt out too. A notice about delivery has the null sender (RFC 5321 §4.5.5).
        report::What::Notice(None | Some(Certainty::Likely))
            if at_unsubscribe && !envelope.has_null_sender() =>
        {
            told_by_envelope(What::Unrecognised, by_envelope())
        }
        // At a bounce address nothing else has the null sender.
        report::What::OtherReport
        | report::What::Notice(_)
        | report::What::Mail
        | report::What::Unreadable
            if is_unread_bounce(envelope, &by_envelope()) =>
        {
            (What::Fate(Fate::Unread), by_envelope())
        }
        report::What::Feedback(_)
        | report::What::Delivery(_)
        | report::What::OtherReport
        | report::What::Notice(_)
        | report::What::Mail
        | report::What::Unreadable => (What::Unrecognised, by_envelope()),
    };
    let asserted = match what {
        What::UnsubscribeMail => reading.from.iter().cloned().collect(),
        _ => Vec::new(),
    };
    let detail = match what {
        What::Fate(_) => bounce_case::unread_detail(reading, envelope),
        _ => Detail {
            reporter: author_domain(reading),
            notes: notes(reading),
            ..Detail::default()
        },
    };
    Matter {
        what,
        identity,
        asserted,
        detail,
    }
}

/// What a program wrote about nothing that is asked here.
const fn of_automatic(kind: Automatic) -> What {
    match kind {
        Automatic::Challenge => What::Challenge,
        Automatic::Ticket | Automatic::ListNotice => What::AutoReply,
        Automatic::Calendar | Automatic::Newsletter | Automatic::SuppressionNotice => {
            What::OtherMail
        }
    }
}

/// Whether a mail came to a bounce address with a token that proves bounces, as bounces do.
fn is_unread_bounce(envelope: &Envelope, identity: &Identity) -> bool {
    envelope.mailbox.role == Role::Bounce
        && envelope.has_null_sender()
        && identity.is_by_envelope()
        && identity
            .token
            .as_ref()
            .is_some_and(|token| token.purpose == Use::Bounce && !token.revoked)
}

/// An opt-out if the address that it was delivered to carries a token, else `otherwise`.
fn told_by_envelope(otherwise: What, identity: Identity) -> (What, Identity) {
    let told = identity.is_by_envelope() && identity.outcome != Token::Missing;
    (
        if told {
            What::UnsubscribeMail
        } else {
            otherwise
        },
        identity,
    )
}

pub(super) fn author_domain(reading: &Reading) -> Option<String> {
    reading
        .from
        .as_ref()
        .and_then(|from| extract(from.domain()))
}

pub(super) fn notes(reading: &Reading) -> Vec<String> {
    let kind = match &reading.what {
        report::What::Automatic(kind) => Some(kind.as_str()),
        _ => None,
    };
    let notes = reading.notes.iter().map(|note| note.as_str());
    notes.chain(kind).map(str::to_owned).collect()
}

/// A text as it is kept: without control characters, cut at [`MAX_DETAIL`] octets.
pub(super) fn extract(text: &str) -> Option<String> {
    let mut kept = String::new();
    for char in text.trim().chars().filter(|char| !char.is_control()) {
        if kept.len() + char.len_utf8() > MAX_DETAIL {
            break;
        }
        kept.push(char);
    }
    (!kept.is_empty()).then_some(kept)
}
