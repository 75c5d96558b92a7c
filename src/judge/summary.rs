//! What one message is, told for people and programs that look at it by itself: without keys,
//! envelope and store, so nothing here proves anything.

use super::bounce::Assessment;
use super::bounce::mapping::Mapped;
use super::bounce::rules::Rules;
use crate::model::address::Address;
use crate::model::bounce::{Action, BounceClass, Severity};
use crate::model::words::words;
use crate::report::arf::{Feedback, FeedbackType};
use crate::report::automatic::Automatic;
use crate::report::encoded_words::decode_words;
use crate::report::header::{Field, Header};
use crate::report::status::{Delivery, Outcome};
use crate::report::{Note, Reading, What};
use crate::token::wire::{self, Fields};

words! {
    /// What a message is.
    pub enum Kind as "kind" {
        /// A recipient calls a mail spam, or fraud, or a virus.
        Complaint = "complaint",
        /// A recipient says that a mail is no spam.
        NotSpam = "not-spam",
        /// Somebody wants no more mail.
        Unsubscribe = "unsubscribe",
        /// A mail could not be delivered.
        Bounce = "bounce",
        /// A mail is delayed.
        Delay = "delay",
        /// A mail was delivered.
        Delivered = "delivered",
        /// A DMARC aggregate report.
        DmarcAggregate = "dmarc-aggregate",
        /// A report of failed authentication.
        DmarcFailure = "dmarc-failure",
        /// An SMTP TLS report.
        TlsReport = "tls-report",
        /// An automatic reply or notice.
        AutoReply = "auto-reply",
        /// Somebody wants a person to prove that he is one.
        Challenge = "challenge",
        /// A message disposition notification.
        ReadReceipt = "read-receipt",
        /// Any other mail.
        NotFeedback = "not-feedback",
        /// Nothing that could be a mail.
        Unreadable = "unreadable",
    }
}

/// All that one message says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// What it is.
    pub kind: Kind,
    /// Whom it is about: of a bounce one a recipient, of a complaint the addresses that it asserts,
    /// of an opt-out its author.
    pub recipients: Vec<Recipient>,
    /// The Feedback-Type of a complaint, lower-case.
    pub feedback_type: Option<String>,
    /// Who wrote it.
    pub reporter: Reporter,
    /// The mail that it is about.
    pub original: Original,
    /// The first text that has the form of a token where one may stand. Nobody has verified it.
    pub token: Option<Claim>,
    /// Whether a part is missing.
    pub partial: bool,
    /// What was odd.
    pub notes: Vec<String>,
    /// What tells that it is of that kind, for people.
    #[serde(skip)]
    pub signs: Vec<&'static str>,
}

/// One whom a message is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Recipient {
    /// The address, or what stands in its place.
    pub address: Option<String>,
    /// What became of the mail.
    pub action: Option<Action>,
    /// The status code (RFC 3463).
    pub status: Option<String>,
    /// The reply code of the SMTP server.
    pub smtp_code: Option<u16>,
    /// Why it was not delivered.
    pub class: Option<BounceClass>,
    /// What that means for the address.
    pub severity: Option<Severity>,
    /// Whether it was given up.
    pub permanent: Option<bool>,
    /// The server's text.
    pub diagnostic: Option<String>,
    /// The server that refused it.
    pub remote_mta: Option<String>,
    /// Whose server that is: a name such as `google`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The rule that decided about a bounce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The class in the words of other systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Mapped>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reporter {
    /// The domain of its From.
    pub name: Option<String>,
    /// User-Agent of a report.
    pub user_agent: Option<String>,
    /// Reporting-MTA.
    pub mta: Option<String>,
}

/// The mail that a message is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Original {
    /// Its Message-ID, as it stands.
    pub message_id: Option<String>,
    /// Its From, decoded.
    pub from: Option<String>,
    /// Its To, decoded.
    pub to: Option<String>,
    /// Its Subject, decoded.
    pub subject: Option<String>,
    /// Its Date, as it stands.
    pub date: Option<String>,
}

/// A text with the form of a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Claim {
    /// The text, lower-case.
    pub text: String,
    /// The number of the tenant that it names.
    pub tenant: u32,
    /// The stream that it names; 0 for none.
    pub stream: u16,
    /// The recipient key that it names, in hexadecimal.
    pub recipient: String,
    /// The sender's reference, in hexadecimal.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Always false: there are no keys here.
    pub verified: bool,
}

/// Tells what a reading says.
pub fn of(reading: &Reading) -> Summary {
    by_rules(reading, Rules::embedded())
}

/// The same, with these rules for bounces.
pub fn by_rules(reading: &Reading, rules: &Rules) -> Summary {
    let nobody = Header::default();
    let (reports, delivery): (&[Feedback], _) = match &reading.what {
        What::Feedback(reports) => (reports, None),
        What::Delivery(delivery) => (&[], Some(delivery)),
        _ => (&[], None),
    };
    let first = reports.first();
    let returned = match (first, delivery) {
        (Some(report), _) => &report.returned,
        (None, Some(delivery)) => &delivery.returned,
        (None, None) => &nobody,
    };
    Summary {
        kind: kind(reading),
        recipients: recipients(reading, rules),
        feedback_type: first.and_then(|report| report.given_type.clone()),
        reporter: reporter(reading, first, delivery),
        original: original(returned),
        token: claim(reading, reports, returned),
        partial: reading.notes.contains(&Note::Partial),
        notes: notes(reading),
        signs: reading.signs.clone(),
    }
}

fn kind(reading: &Reading) -> Kind {
    match &reading.what {
        What::Feedback(reports) => {
            reports
                .first()
                .map_or(Kind::Complaint, |report| match report.feedback_type {
                    FeedbackType::NotSpam => Kind::NotSpam,
                    FeedbackType::AuthFailure => Kind::DmarcFailure,
                    FeedbackType::OptOut => Kind::Unsubscribe,
                    FeedbackType::Abuse
                    | FeedbackType::Fraud
                    | FeedbackType::Virus
                    | FeedbackType::Other
                    | FeedbackType::Xarf
                    | FeedbackType::Unknown => Kind::Complaint,
                })
        }
        What::Delivery(delivery) => match delivery.gravest() {
            Action::Failed => Kind::Bounce,
            Action::Delayed => Kind::Delay,
            Action::Delivered | Action::Relayed | Action::Expanded => Kind::Delivered,
        },
        What::Disposition => Kind::ReadReceipt,
        What::DmarcAggregate => Kind::DmarcAggregate,
        What::DmarcFailure => Kind::DmarcFailure,
        What::TlsReport => Kind::TlsReport,
        What::OptOut(_) => Kind::Unsubscribe,
        What::AutoReply(_) | What::Automatic(Automatic::Ticket | Automatic::ListNotice) => {
            Kind::AutoReply
        }
        What::Automatic(Automatic::Challenge) => Kind::Challenge,
        What::Automatic(
            Automatic::Calendar | Automatic::Newsletter | Automatic::SuppressionNotice,
        )
        | What::OtherReport
        | What::Notice(_)
        | What::Mail => Kind::NotFeedback,
        What::Unreadable => Kind::Unreadable,
    }
}

fn recipients(reading: &Reading, rules: &Rules) -> Vec<Recipient> {
    let named = |address: &Address| Recipient {
        address: Some(address.as_str().to_owned()),
        ..Recipient::default()
    };
    match &reading.what {
        What::Feedback(reports) => {
            let mut all: Vec<Address> = Vec::new();
            for address in reports.iter().flat_map(Feedback::recipients) {
                if !all.contains(&address) && all.len() < super::MAX_EVENTS {
                    all.push(address);
                }
            }
            all.iter().map(named).collect()
        }
        What::Delivery(delivery) => {
            let outcomes = delivery.outcomes.iter();
            let told = |outcome| Recipient::of(outcome, &rules.assess(outcome, delivery));
            outcomes.map(told).collect()
        }
        What::OptOut(_) => reading.from.iter().map(named).collect(),
        _ => Vec::new(),
    }
}

impl Recipient {
    fn of(outcome: &Outcome, assessment: &Assessment) -> Self {
        Self {
            address: outcome.recipient().map(str::to_owned),
            action: Some(outcome.action),
            status: outcome.status.clone(),
            smtp_code: outcome.smtp_code,
            class: Some(assessment.class),
            severity: Some(assessment.severity),
            permanent: assessment.permanent,
            diagnostic: outcome.diagnostic.clone(),
            remote_mta: outcome.remote_mta.clone(),
            provider: assessment.provider.clone(),
            rule: Some(assessment.rule.clone()),
            mapped: Some(assessment.mapped()),
        }
    }
}

fn reporter(reading: &Reading, report: Option<&Feedback>, delivery: Option<&Delivery>) -> Reporter {
    let field = |name| report.and_then(|report| report.fields.first(name));
    let mta = field("reporting-mta").map(|mta| {
        let name = mta.split_once(';').map_or(mta.as_str(), |(_, name)| name);
        name.trim().to_owned()
    });
    Reporter {
        name: reading.from.as_ref().map(|from| from.domain().to_owned()),
        user_agent: field("user-agent"),
        mta: mta.or_else(|| delivery.and_then(|delivery| delivery.reporting_mta.clone())),
    }
}

fn original(returned: &Header) -> Original {
    let text = |name| {
        let field = returned.all(name).next()?;
        Some(decode_words(field.raw(), None)).filter(|text| !text.is_empty())
    };
    Original {
        message_id: returned.first("message-id"),
        from: text("from"),
        to: text("to"),
        subject: text("subject"),
        date: returned.first("date"),
    }
}

/// Looked for where a token may stand, in the order of trust; of the mail's own fields in those
/// that say where it was delivered to.
fn claim(reading: &Reading, reports: &[Feedback], returned: &Header) -> Option<Claim> {
    let own = [
        "delivered-to",
        "x-original-to",
        "envelope-to",
        "to",
        "subject",
    ];
    let own = own.iter().flat_map(|name| reading.header.all(name));
    let places = reports
        .iter()
        .flat_map(Feedback::token_fields)
        .chain(returned.fields().map(Field::raw))
        .chain(own.map(Field::raw));
    let (text, fields) = places.into_iter().find_map(wire::claimed_in)?;
    Some(told(text, &fields))
}

fn told(text: String, fields: &Fields) -> Claim {
    Claim {
        text,
        tenant: fields.tenant.get(),
        stream: fields.stream,
        recipient: fields.recipient.to_string(),
        reference: data_encoding::HEXLOWER.encode(&fields.reference),
        verified: false,
    }
}

fn notes(reading: &Reading) -> Vec<String> {
    let kind = match &reading.what {
        What::Automatic(kind) => Some(kind.as_str()),
        _ => None,
    };
    let notes = reading.notes.iter().map(|note| note.as_str());
    notes.chain(kind).map(str::to_owned).collect()
}
