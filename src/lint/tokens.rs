//! The places that carry a token, whether it is ours, and whether they agree.

use serde::{Serialize, Serializer};

use super::mail::Outgoing;
use super::rules::{Code, Finding, Severity};
use super::unsubscribe::{bracketed, mailto_address};
use super::{Asked, Own, is_served};
use crate::model::recipient::RecipientKey;
use crate::model::stream::{Class, StreamNumber};
use crate::model::tenant::TenantId;
use crate::model::words::words;
use crate::report::asserted::address;
use crate::token::finder::find_any;
use crate::token::wire::{Fields, TokenError, Use, claimed_in};

words! {
    /// Where a token can stand, by how many reports keep it.
    pub enum Place as "place" {
        /// The sender of the envelope.
        ReturnPath = "Return-Path",
        /// The id of the mail.
        MessageId = "Message-ID",
        /// The link to unsubscribe.
        Link = "List-Unsubscribe (https)",
        /// The address to unsubscribe.
        Mailto = "List-Unsubscribe (mailto)",
        /// The id of RFC 9477.
        CfblFeedbackId = "CFBL-Feedback-ID",
        /// Gmail's id of a campaign.
        FeedbackId = "Feedback-ID",
        /// Our own field.
        XDesist = "X-Desist",
    }
}

impl Place {
    const fn header(self) -> &'static str {
        match self {
            Self::Link | Self::Mailto => "List-Unsubscribe",
            other => other.as_str(),
        }
    }

    const fn wants(self) -> Use {
        match self {
            Self::ReturnPath => Use::Bounce,
            _ => Use::Feedback,
        }
    }
}

words! {
    /// What a place carries.
    pub enum CarrierState as "state" {
        /// A token of this installation.
        Valid = "valid",
        /// A token whose key was revoked.
        Revoked = "revoked",
        /// What has the form of a token, but was not made here.
        Wrong = "wrong",
        /// What has the form of a token; no keys are at hand to tell more.
        Unverified = "unverified",
        /// No token.
        Empty = "empty",
        /// The place is not there.
        Absent = "absent",
    }
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carrier {
    /// Which.
    pub place: Place,
    /// The line where it begins; `None` if it is not in the mail.
    pub line: Option<usize>,
    /// What it carries.
    pub state: CarrierState,
    /// What the token says, unless it is wrong.
    pub token: Option<Carries>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carries {
    /// Whose it is.
    #[serde(serialize_with = "number")]
    pub tenant: TenantId,
    /// The stream; 0 for none.
    pub stream: StreamNumber,
    /// Whom it is for.
    #[serde(serialize_with = "text")]
    pub recipient: RecipientKey,
    /// What it was minted for, if that could be told.
    #[serde(rename = "use")]
    pub purpose: Option<Use>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde fixes it")]
fn number<S: Serializer>(tenant: &TenantId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(tenant.get())
}

fn text<S: Serializer>(key: &RecipientKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

/// What all places come to.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) carriers: Vec<Carrier>,
    /// The class of the token's stream, if it is known.
    pub(super) class: Option<Class>,
    pub(super) findings: Vec<Finding>,
}

/// Looks at every place.
pub(super) fn look(mail: &Outgoing<'_>, asked: &Asked<'_>) -> Tokens {
    let mut findings = Vec::new();
    let mut carriers = Vec::new();
    for place in Place::ALL.iter().copied() {
        let (line, text) = what_stands(mail, asked, place);
        let (state, token) = match &text {
            None => (CarrierState::Absent, None),
            Some(text) => carried(text, asked.own.as_ref()),
        };
        let carrier = Carrier {
            place,
            line,
            state,
            token,
        };
        findings.extend(wrong(&carrier));
        if let (Place::ReturnPath, Some(own), Some(text)) = (place, &asked.own, &text) {
            findings.extend(lost(own, &carrier, text));
        }
        carriers.push(carrier);
    }
    findings.extend(missing(&carriers, asked.own.is_some()));
    findings.extend(disagreeing(&carriers));
    let class = match (asked.own.as_ref(), first(&carriers)) {
        (Some(own), Some((carrier, token))) => {
            findings.extend(other_recipient(mail, asked, own, (carrier, token)));
            let known = own.directory.stream(token.tenant, token.stream);
            findings.extend(stream(carrier, token, known.is_some()));
            known.map(|stream| stream.class)
        }
        _ => None,
    };
    Tokens {
        carriers,
        class,
        findings,
    }
}

/// The line and the text of a place; several fields of one name are one text.
fn what_stands(
    mail: &Outgoing<'_>,
    asked: &Asked<'_>,
    place: Place,
) -> (Option<usize>, Option<Vec<u8>>) {
    if let (Place::ReturnPath, Some(given)) = (place, asked.mail_from) {
        return (None, Some(given.as_bytes().to_vec()));
    }
    let fields = mail.all(&place.header().to_ascii_lowercase());
    let line = fields.first().map(|field| field.number);
    let scheme = match place {
        Place::Link => Some("http"),
        Place::Mailto => Some("mailto:"),
        _ => None,
    };
    let Some(scheme) = scheme else {
        let texts: Vec<&[u8]> = fields.iter().map(|field| field.raw).collect();
        return (line, (!texts.is_empty()).then(|| texts.join(&b'\n')));
    };
    let uris = fields.iter().flat_map(|field| bracketed(&field.value).0);
    let uris = uris.filter(|uri| {
        let start = uri.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let texts = uris.map(|uri| match place {
        Place::Mailto => mailto_address(&uri).unwrap_or_default().to_owned(),
        _ => uri,
    });
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() {
        return (None, None);
    }
    (line, Some(texts.join("\n,").into_bytes()))
}

fn carried(text: &[u8], own: Option<&Own<'_>>) -> (CarrierState, Option<Carries>) {
    let claimed = claimed_in(text);
    let says = |fields: &Fields, purpose| Carries {
        tenant: fields.tenant,
        stream: fields.stream,
        recipient: fields.recipient,
        purpose,
    };
    let Some(own) = own else {
        return match claimed {
            Some((_, fields)) => (CarrierState::Unverified, Some(says(&fields, None))),
            None => (CarrierState::Empty, None),
        };
    };
    match find_any(own.keyring, text) {
        Ok(token) => {
            let state = if token.revoked {
                CarrierState::Revoked
            } else {
                CarrierState::Valid
            };
            (state, Some(says(&token.fields, Some(token.purpose))))
        }
        // Any long word may begin like a token; what stands by itself means to be one.
        Err(TokenError::BadMac | TokenError::UnknownKey | TokenError::Malformed) => {
            let state = if claimed.is_some() {
                CarrierState::Wrong
            } else {
                CarrierState::Empty
            };
            (state, None)
        }
    }
}

fn at(code: Code, carrier: &Carrier, says: impl Into<String>) -> Finding {
    Finding::new(code, Some(carrier.place.header()), carrier.line, says)
}

/// What is wrong with one place by itself.
fn wrong(carrier: &Carrier) -> Option<Finding> {
    let purpose = carrier.token.as_ref().and_then(|token| token.purpose);
    match carrier.state {
        CarrierState::Wrong => {
            let says = format!("the token in {} does not verify", carrier.place);
            Some(at(Code::WrongToken, carrier, says))
        }
        CarrierState::Revoked => {
            let says = format!("the token in {} was made with a revoked key", carrier.place);
            Some(at(Code::RevokedKey, carrier, says))
        }
        _ if purpose.is_some_and(|given| given != carrier.place.wants()) => {
            let given = if carrier.place.wants() == Use::Bounce {
                "feedback"
            } else {
                "bounce"
            };
            let says = format!("{} has a {given} token", carrier.place);
            Some(at(Code::WrongUse, carrier, says))
        }
        CarrierState::Valid | CarrierState::Unverified if carrier.place == Place::FeedbackId => {
            let says = "it has a value of its own for this recipient";
            Some(at(Code::PersonalFeedbackId, carrier, says))
        }
        _ => None,
    }
}

/// A return path that nobody here receives.
fn lost(own: &Own<'_>, carrier: &Carrier, text: &[u8]) -> Option<Finding> {
    let whom = address(&String::from_utf8_lossy(text))?;
    if is_served(own, whom.domain()) {
        return None;
    }
    let says = format!("bounces go to {}, which is not served here", whom.domain());
    Some(at(Code::NotServed, carrier, says))
}

/// Places that should carry a token.
fn missing(carriers: &[Carrier], with_keys: bool) -> Option<Finding> {
    if first(carriers).is_none() {
        let finding = Finding::new(Code::NoToken, None, None, "no place carries a token");
        // A token made elsewhere is found as such.
        let any = carriers.iter().any(|one| one.state == CarrierState::Wrong);
        let severity = if with_keys && !any {
            Severity::Error
        } else {
            Severity::Warning
        };
        return Some(finding.only(severity));
    }
    let lacks = |place: Place| {
        let of = |one: &&Carrier| one.place == place && one.token.is_some();
        carriers.iter().find(of).is_none()
    };
    // An envelope that is not known is said to be so elsewhere.
    let envelope = carriers
        .iter()
        .any(|one| one.place == Place::ReturnPath && one.state == CarrierState::Empty);
    let mut without: Vec<&str> = Vec::new();
    without.extend(envelope.then_some("the envelope"));
    without.extend(lacks(Place::MessageId).then_some("Message-ID"));
    let unsubscribe = lacks(Place::Link) && lacks(Place::Mailto);
    without.extend(unsubscribe.then_some("List-Unsubscribe"));
    if without.is_empty() {
        return None;
    }
    let says = format!("no token in {}", without.join(", "));
    Some(Finding::new(Code::FewCarriers, None, None, says))
}

/// The first place with a token decides.
fn first(carriers: &[Carrier]) -> Option<(&Carrier, &Carries)> {
    carriers
        .iter()
        .find_map(|carrier| Some((carrier, carrier.token.as_ref()?)))
}

fn disagreeing(carriers: &[Carrier]) -> Vec<Finding> {
    let Some((leader, leading)) = first(carriers) else {
        return Vec::new();
    };
    let of = |token: &Carries| (token.tenant, token.recipient, token.stream);
    let others = carriers.iter().filter_map(|carrier| {
        let token = carrier.token.as_ref()?;
        let what = match (of(token), of(leading)) {
            (own, other) if own == other => return None,
            ((own, ..), (other, ..)) if own != other => "tenant",
            ((_, own, _), (_, other, _)) if own != other => "recipient",
            _ => "stream",
        };
        let says = format!(
            "the {what} is another one in {} than in {}",
            carrier.place, leader.place
        );
        Some(at(Code::TokensDisagree, carrier, says))
    });
    others.collect()
}

/// Whether the token is for one of those whom the mail is for.
fn other_recipient(
    mail: &Outgoing<'_>,
    asked: &Asked<'_>,
    own: &Own<'_>,
    (carrier, token): (&Carrier, &Carries),
) -> Option<Finding> {
    let keys = own.keyring.address_keys(token.tenant);
    let is_for = |address| {
        keys.recipient_keys(address)
            .any(|key| key == token.recipient)
    };
    let (found, says) = match asked.recipient {
        Some(recipient) => (is_for(recipient), "the token is for another address"),
        None => {
            let addressed = mail.addressed();
            // A list or a group is no recipient: there is nothing to compare with.
            let found = addressed.is_empty() || addressed.iter().any(is_for);
            (
                found,
                "the token is for none of the addresses in To, Cc and Bcc",
            )
        }
    };
    (!found).then(|| at(Code::OtherRecipient, carrier, says))
}

fn stream(carrier: &Carrier, token: &Carries, known: bool) -> Option<Finding> {
    match token.stream {
        0 => Some(at(Code::NoStream, carrier, "the token names no stream")),
        _ if known => None,
        number => {
            let says = format!("the tenant has no stream {number}");
            Some(at(Code::UnknownStream, carrier, says))
        }
    }
}
