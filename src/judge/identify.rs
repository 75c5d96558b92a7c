//! Who a mail is about: which places are searched for tokens, and what the search came to.

use super::table;
use crate::model::event::FoundIn;
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;
use crate::report::Reading;
use crate::report::arf::Feedback;
use crate::token::finder::{Finder, Found, Ledger, Sightings, Verdict};
use crate::token::keyring::Keyring;
use crate::token::wire::Token;

/// What a search for tokens came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it means for judgement.
    pub outcome: table::Token,
    /// The token that says whom it is about; also one whose key is revoked.
    pub token: Option<Token>,
    /// The class of the place where it was found. `Unproven` if tokens were only in such places.
    pub found_in: Option<FoundIn>,
    /// The sender's ref, from any token of that recipient.
    pub reference: Vec<u8>,
}

impl Identity {
    /// The tenant that the token names.
    pub fn tenant(&self) -> Option<TenantId> {
        self.token.as_ref().map(|token| token.fields.tenant)
    }

    /// The recipient that the token names.
    pub fn recipient(&self) -> Option<RecipientKey> {
        self.token.as_ref().map(|token| token.fields.recipient)
    }

    /// Whether nothing but the address that the mail was delivered to says whom it is about.
    pub fn is_by_envelope(&self) -> bool {
        self.found_in == Some(FoundIn::Envelope)
    }
}

/// The token that the door verified, and nothing else.
pub fn by_envelope(envelope: Option<&str>, keyring: &Keyring) -> Identity {
    finish(begin(envelope, keyring).finish())
}

/// What the search of one message has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// MACs that were computed.
    pub macs: usize,
    /// Octets that were searched.
    pub octets: usize,
}

/// The feedback reports of one mail, an identity for each: its fields, then the header that came
/// back. Threading fields and the body that came back are evidence only: they carry other people's
/// tokens.
///
/// All reports share one budget of MACs, and what belongs to no single report is searched once.
/// Class by class for all of them, so that what proves is searched before what does not.
pub fn in_reports(
    envelope: Option<&str>,
    reports: &[Feedback],
    hints: &[Vec<u8>],
    keyring: &Keyring,
) -> (Vec<Identity>, Cost) {
    let mut ledger = Ledger::new(keyring);
    let mut shared = Sightings::default();
    if let Some(text) = envelope {
        ledger.search(&mut shared, FoundIn::Envelope, text.as_bytes());
    }
    let mut found = vec![Sightings::default(); reports.len()];
    for (own, report) in found.iter_mut().zip(reports) {
        for value in report.token_fields() {
            ledger.search(own, FoundIn::ReportField, value);
        }
    }
    for (own, report) in found.iter_mut().zip(reports) {
        for value in report.returned_fields() {
            ledger.search(own, FoundIn::ReturnedHeader, &value);
        }
    }
    for hint in hints {
        ledger.search(&mut shared, FoundIn::Unproven, hint);
    }
    for (own, report) in found.iter_mut().zip(reports) {
        for hint in report.hints() {
            ledger.search(own, FoundIn::Unproven, hint);
        }
        own.add(&shared);
    }
    let cost = Cost {
        macs: ledger.macs(),
        octets: ledger.octets(),
    };
    let finished = found
        .into_iter()
        .map(|own| finish(own.finish(&ledger)))
        .collect();
    (finished, cost)
}

/// A mail at an unsubscribe mailbox: its Subject, then its text.
pub fn in_mail(envelope: Option<&str>, reading: &Reading, keyring: &Keyring) -> Identity {
    let mut finder = begin(envelope, keyring);
    finder.search(FoundIn::Subject, &reading.raw_subject);
    finder.search(FoundIn::Subject, reading.subject.as_bytes());
    finder.search(FoundIn::Text, reading.text.as_bytes());
    for hint in &reading.hints {
        finder.search(FoundIn::Unproven, hint);
    }
    finish(finder.finish())
}

fn begin<'a>(envelope: Option<&str>, keyring: &'a Keyring) -> Finder<'a> {
    let mut finder = Finder::new(keyring);
    if let Some(text) = envelope {
        finder.search(FoundIn::Envelope, text.as_bytes());
    }
    finder
}

fn finish(found: Found) -> Identity {
    let Found {
        verdict,
        reference,
        tokens,
        ..
    } = found;
    let (outcome, token, found_in) = match verdict {
        Verdict::Token { found_in, token } => {
            let outcome = if token.revoked {
                table::Token::Revoked
            } else {
                table::Token::Valid
            };
            (outcome, Some(token), Some(found_in))
        }
        Verdict::Conflict(found_in) => (table::Token::Conflicting, None, Some(found_in)),
        Verdict::Exhausted(_) => (table::Token::TooMany, None, None),
        Verdict::Nothing => (
            table::Token::Missing,
            None,
            tokens.first().map(|(found_in, _)| *found_in),
        ),
    };
    Identity {
        outcome,
        token,
        found_in,
        reference,
    }
}
