//! Layer 1: checks one outgoing mail from its final bytes: whether what it carries brings feedback
//! back, and whether mailbox providers can act on it.
//!
//! - [`rules`]: what is looked for, each with its source and what to do.
//! - `unsubscribe`: List-Unsubscribe and its one-click form (RFC 2369, RFC 8058).
//! - `cfbl`: the address for complaints (RFC 9477).
//! - `dkim`: which fields are signed, and for whom (RFC 6376).
//! - `tokens`: the places that carry a token, and whether they agree.
//!
//! Nothing is asked of the network: what only the DNS can tell is in [`Lint::unchecked`].

mod cfbl;
mod dkim;
mod mail;
pub mod rules;
mod tokens;
mod unsubscribe;

use serde::Serialize;

use crate::model::address::Address;
use crate::model::directory::Directory;
use crate::model::stream::Class;
use crate::token::keyring::Keyring;
use mail::Outgoing;
use rules::{Finding, Severity};
pub use tokens::{Carrier, CarrierState, Carries, Place};

/// What is known beside the mail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Whose tokens these should be, if keys are at hand.
    pub own: Option<Own<'a>>,
    /// The class of the mail; without it that of the token's stream, else marketing.
    pub class: Option<Class>,
    /// For whom the mail is; without it those in To, Cc and Bcc.
    pub recipient: Option<&'a Address>,
    /// The sender of the envelope, as text; without it the Return-Path of the mail.
    pub mail_from: Option<&'a str>,
}

/// An installation, as far as outgoing mail depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// All keys.
    pub keyring: &'a Keyring,
    /// Tenants and streams.
    pub directory: &'a Directory,
    /// Domains that the MX serves, canonical.
    pub domains: &'a [String],
    /// What links begin with, without trailing slash, if that is known.
    pub public_url: Option<&'a str>,
}

/// What is known of a mail.
#[derive(Debug, Clone, Serialize)]
pub struct Lint {
    /// What kind of mail it was taken for.
    pub class: Class,
    /// The domain of the author; `None` if there is not exactly one.
    pub from: Option<String>,
    /// Every place that can carry a token, and what it does.
    pub carriers: Vec<Carrier>,
    /// Addresses that complaints are asked to go to, in order (RFC 9477 §3.2).
    pub cfbl: Vec<String>,
    /// The domains that sign, in order.
    pub signers: Vec<String>,
    /// What is wrong or could be better, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be looked at, in words.
    pub unchecked: Vec<&'static str>,
}

impl Lint {
    /// How many findings are of that severity.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }
}

/// Looks at one mail as it is handed to the world. Time is linear in its length, and at most two
/// hashes of its body are computed.
pub fn lint(mail: &[u8], asked: &Asked<'_>) -> Lint {
    let mail = Outgoing::read(mail);
    let mut findings = mail.oddities();
    let mut unchecked = Vec::new();

    let tokens = tokens::look(&mail, asked);
    let class = asked.class.or(tokens.class).unwrap_or_else(|| {
        unchecked.push(
            "the class of the mail, which no known stream tells: give --class, if it is not \
             marketing",
        );
        Class::Marketing
    });
    let signatures = dkim::look(&mail, &mut findings);
    unsubscribe::look(&mail, (class, asked.own), &signatures, &mut findings);
    let cfbl = cfbl::look(&mail, asked.own, &signatures, &mut findings);
    findings.extend(tokens.findings);

    if asked.own.is_none() {
        unchecked.push("whether the tokens are yours, and served here: no keys are at hand");
    }
    if asked.mail_from.is_none() && !mail.has("return-path") {
        unchecked.push("the sender of the envelope, where bounces go: give --mail-from");
    }
    if !signatures.is_empty() {
        unchecked.push("the signatures themselves: the keys that verify them are in the DNS");
    }
    // Stable: within one severity in the order of the lines.
    findings.sort_by_key(|finding| (finding.severity, finding.line.unwrap_or(usize::MAX)));
    Lint {
        class,
        from: mail.from_domain.clone(),
        carriers: tokens.carriers,
        cfbl,
        signers: signatures.into_iter().map(|one| one.domain).collect(),
        findings,
        unchecked,
    }
}

/// Whether a domain is served: for feedback, what goes elsewhere is lost.
fn is_served(own: &Own<'_>, domain: &str) -> bool {
    own.domains.iter().any(|served| served == domain)
        || own.directory.domains.owner(domain).is_some()
}

/// Whether `domain` is `parent` or below it.
fn is_within(domain: &str, parent: &str) -> bool {
    domain
        .strip_suffix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
