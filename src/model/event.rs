//! The event: one judged fact.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::authentication::Authentication;
use super::bounce::{Action, BounceClass, Severity, Stage};
use super::receipt::ReceiptId;
use super::recipient::RecipientKey;
use super::stream::StreamNumber;
use super::suppression::{Reason, Scope};
use super::tenant::TenantId;
use super::words::words;

words! {
    /// What an event says.
    pub enum EventKind as "kind" {
        /// The recipient called the mail spam.
        Complaint = "complaint",
        /// The recipient opted out.
        Unsubscribe = "unsubscribe",
        /// The recipient took back, on the landing page, what the same visit had done there.
        Undo = "undo",
        /// The mail could not be delivered.
        Bounce = "bounce",
        /// The mail is still under way.
        Delay = "delay",
        /// The mail was delivered.
        Delivered = "delivered",
        /// The recipient said that it is no spam.
        NotSpam = "not-spam",
        /// An automatic reply, for instance while out of office.
        AutoReply = "auto-reply",
        /// Somebody wants a human to prove himself.
        Challenge = "challenge",
        /// A message disposition notification.
        ReadReceipt = "read-receipt",
        /// A DMARC aggregate report.
        DmarcAggregate = "dmarc-aggregate",
        /// A report of failed authentication.
        DmarcFailure = "dmarc-failure",
        /// An SMTP TLS report.
        TlsReport = "tls-report",
        /// Nothing that is about a recipient: kept for people.
        NotFeedback = "not-feedback",
        /// Nobody could read it.
        Unrecognised = "unrecognised",
    }
}

words! {
    /// Why an event is believed.
    pub enum Proof as "proof" {
        /// A valid token in an allowed place.
        Token = "token",
        /// The sender of the report is authenticated and known.
        Authenticated = "authenticated",
        /// An operator said so.
        Operator = "operator",
        /// It is not.
        None = "none",
    }
}

words! {
    /// In which class of place the token was found, in the order of trust.
    pub enum FoundIn as "place" {
        /// The address that the mail was delivered to, or the request's path.
        Envelope = "envelope",
        /// A field of the report (Original-Mail-From, Original-Envelope-Id, Original-Rcpt-To,
        /// Reported-URI).
        ReportField = "report-field",
        /// A header field of the returned mail.
        ReturnedHeader = "returned-header",
        /// The Subject of a mail at an unsubscribe mailbox.
        Subject = "subject",
        /// The text of a mail at an unsubscribe mailbox.
        Text = "text",
        /// A place that proves nothing: evidence only.
        Unproven = "unproven",
    }
}

/// Identifies an event: its receipt's id, a dot, and its index within the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The receipt that it was read from.
    pub receipt: ReceiptId,
    /// Counts from 0 within the receipt.
    pub index: u16,
}

/// A text was no event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event's id is a receipt's id, a dot and a number")]
pub struct NoEventId;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.receipt, self.index)
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (receipt, index) = text.split_once('.').ok_or(NoEventId)?;
        Ok(Self {
            receipt: receipt.parse().map_err(|_cause| NoEventId)?,
            index: index.parse().map_err(|_cause| NoEventId)?,
        })
    }
}

/// What an event changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A suppression of the event's recipient begins, if it does not stand already.
    Suppress {
        /// How much it stops.
        scope: Scope,
        /// Why.
        reason: Reason,
    },
    /// The same, but an operator decides. At most one an event.
    Hold {
        /// How much it would stop.
        scope: Scope,
        /// Why it would.
        reason: Reason,
        /// Why it waits.
        because: HoldReason,
    },
    /// Nothing for the recipient; counted as a signal about our own sending.
    Signal,
    /// The same as `Suppress`, unless a provider answers so for too many at once: then it is held.
    /// Settled when it is stored.
    SuppressUnlessBraked {
        /// How much it stops.
        scope: Scope,
        /// Why.
        reason: Reason,
    },
    /// A failure is counted against the recipient; what many of them mean is settled when it is
    /// stored.
    CountSoft(SoftFailure),
    /// Mail has arrived: the failures counted so far are forgotten.
    ResetSoft,
    /// What the same visit of the landing page has begun ends. Settled when it is stored.
    Undo,
}

impl Effect {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suppress { .. } => "suppress",
            Self::Hold { .. } => "hold",
            Self::Signal => "signal",
            Self::SuppressUnlessBraked { .. } => "suppress-unless-braked",
            Self::CountSoft(_) => "count-soft",
            Self::ResetSoft => "reset-soft",
            Self::Undo => "undo",
        }
    }

    /// How much it stops or would stop, and why.
    pub const fn stops(self) -> Option<(Scope, Reason)> {
        match self {
            Self::Suppress { scope, reason }
            | Self::SuppressUnlessBraked { scope, reason }
            | Self::Hold { scope, reason, .. } => Some((scope, reason)),
            Self::Signal | Self::CountSoft(_) | Self::ResetSoft | Self::Undo => None,
        }
    }

    /// Why it waits for an operator.
    pub const fn because(self) -> Option<HoldReason> {
        match self {
            Self::Hold { because, .. } => Some(because),
            _ => None,
        }
    }

    /// What is counted.
    pub const fn failure(self) -> Option<SoftFailure> {
        match self {
            Self::CountSoft(failure) => Some(failure),
            _ => None,
        }
    }
}

words! {
    /// What kind of failure is counted.
    pub enum SoftFailure as "failure" {
        /// A failure that was read.
        Failed = "failed",
        /// The mailbox holds no more.
        MailboxFull = "mailbox-full",
        /// A mail at a bounce address that nobody can read: alone it never suppresses.
        Unread = "unread",
    }
}

words! {
    /// Why an event waits for an operator.
    pub enum HoldReason as "hold reason" {
        /// No token that is enough for the mailbox, and no authentication.
        Unproven = "unproven",
        /// The token's key is revoked.
        RevokedKey = "revoked-key",
        /// Valid tokens of different recipients in one class of place.
        ConflictingTokens = "conflicting-tokens",
        /// More look-alike tokens than are checked in one message.
        TooManyCandidates = "too-many-candidates",
        /// A complaint about transactional mail.
        Transactional = "transactional",
        /// No tenant could be named.
        NoTenant = "no-tenant",
        /// A provider says of too many at once that they do not exist.
        Braked = "braked",
        /// Failures are counted, but the tenant does not tell what was delivered.
        NoDeliveries = "no-deliveries",
        /// The failures that were counted are mostly mails that nobody can read.
        UnreadBounces = "unread-bounces",
    }
}

/// Whom synthetic events are about, of every tenant: nobody can have this address.
pub const SYNTHETIC: &str = "round-trip@desist-doctor.invalid";

/// Extracts of what was read, for people and for `GET /v1/events`. Never used to decide.
///
/// Its JSON form is what the store keeps; fields may be added, never renamed. Every text is cut at
/// 512 octets by whoever fills it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Detail {
    /// The report's own Feedback-Type, lower-case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback_type: Option<String>,
    /// User-Agent of the reporting program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Reporting-MTA, or the domain of the mail's From.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporter: Option<String>,
    /// Message-ID of the mail that the report is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<String>,
    /// Source-IP: from where the reporter got that mail (RFC 5965 §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// Source-Port: from which port (RFC 6692 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Incidents: how many mails the report stands for, 1 to 1,000,000 (RFC 5965 §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incidents: Option<u32>,
    /// What became of the mail, as a bounce says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// The enhanced status code of a bounce (RFC 3463).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The reply code of the server that refused, 200 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_code: Option<u16>,
    /// At which step of the SMTP dialogue it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Why a mail was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<BounceClass>,
    /// What a bounce says about the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Whether the mail was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permanent: Option<bool>,
    /// The server's text, on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// The server that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_mta: Option<String>,
    /// The organisational domain of whoever refused it: see
    /// [`provider`](crate::model::provider).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The rule by which the bounce was classified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounce_rule: Option<String>,
    /// The rule of the judgement table that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// It is about [`SYNTHETIC`], by its key: a trial of the doors, which no sum counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// What else a person should know: why it could not be read, what was odd.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Detail {
    /// The same without the addresses that a server's text and the notes may name.
    #[must_use]
    pub fn without_addresses(&self) -> Self {
        let mask = |text: &String| without_addresses(text);
        Self {
            diagnostic: self.diagnostic.as_ref().map(mask),
            notes: self.notes.iter().map(mask).collect(),
            ..self.clone()
        }
    }
}

/// A text with … in the place of each word that may be an address.
pub fn without_addresses(text: &str) -> String {
    let words = text.split(' ');
    let masked = words.map(|word| if word.contains('@') { "…" } else { word });
    masked.collect::<Vec<_>>().join(" ")
}

/// One judged fact about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose it is, if that is known.
    pub tenant: Option<TenantId>,
    /// What it says.
    pub kind: EventKind,
    /// Why it is believed.
    pub proof: Proof,
    /// What authentication said when it was judged.
    pub authentication: Authentication,
    /// Whom it is about: the token's recipient, else the key of the asserted address.
    pub recipient: Option<RecipientKey>,
    /// The address that the report asserts, canonical, if its key is `recipient`.
    pub address: Option<String>,
    /// The token's stream; 0 if none is named.
    pub stream: StreamNumber,
    /// The token's ref, 0 to 16 bytes.
    pub reference: Vec<u8>,
    /// Where the token was found.
    pub found_in: Option<FoundIn>,
    /// What it changes.
    pub effects: Vec<Effect>,
    /// Extracts for people.
    pub detail: Detail,
}
