//! What a notification says about the token's recipient: its blocks matched by recipient key.
//!
//! A token stands for one recipient, but the notification names whomever the mail went on to. If a
//! block names the token's own address, that block tells, and the others are recorded only. If none
//! does, an alias or a forwarder stands between: a failure behind it counts, but kills nobody.

use super::Context;
use super::bounce::Assessment;
use super::classify::{Matter, author_domain, extract, notes};
use super::identify::Identity;
use super::table::{Fate, What};
use crate::model::address::Address;
use crate::model::bounce::{Action, BounceClass, Severity};
use crate::model::event::{Detail, SoftFailure};
use crate::model::provider::organisation;
use crate::model::receipt::Envelope;
use crate::report::Reading;
use crate::report::status::{Delivery, Outcome};

/// The provider of a bounce that names none.
const UNKNOWN_PROVIDER: &str = "unknown";

/// All that a notification says, the token's own address first. Never empty.
pub(super) fn of_delivery(
    delivery: &Delivery,
    identity: &Identity,
    (reading, envelope): (&Reading, &Envelope),
    context: &Context<'_>,
) -> Vec<Matter> {
    let keys = identity
        .tenant()
        .map(|tenant| context.keyring.address_keys(tenant));
    let is_own = |address: &Address| match (&keys, identity.recipient()) {
        (Some(keys), Some(recipient)) => keys.recipient_keys(address).any(|key| key == recipient),
        _ => false,
    };
    let (own, others): (Vec<_>, Vec<_>) = delivery
        .outcomes
        .iter()
        .map(Block::of)
        .partition(|block| block.named.iter().any(&is_own));
    let telling = if own.is_empty() { &others } else { &own };
    let failed = telling
        .iter()
        .any(|block| block.outcome.action == Action::Failed);
    let fate = |block: &Block<'_>, assessment: &Assessment| match (
        own.is_empty(),
        block.named.iter().any(&is_own),
    ) {
        (false, false) => beside(block.outcome.action),
        (_, is_own) => fate(block.outcome.action, assessment, (is_own, failed)),
    };
    let matters: Vec<Matter> = own
        .iter()
        .chain(&others)
        .map(|block| {
            let assessment = context.policy.rules().assess(block.outcome, delivery);
            let what = What::Fate(fate(block, &assessment));
            let provider = provider(block, delivery, envelope);
            let mut detail = detail(block.outcome, assessment, provider);
            detail.reporter = reporter(delivery, reading);
            detail.notes = notes(reading);
            Matter {
                what,
                identity: identity.clone(),
                asserted: block.named.clone(),
                detail,
            }
        })
        .collect();
    if matters.is_empty() {
        return vec![nobody_named(identity, (reading, envelope), delivery)];
    }
    matters
}

/// A notification without a single block says no more than the address that it came to.
fn nobody_named(
    identity: &Identity,
    (reading, envelope): (&Reading, &Envelope),
    delivery: &Delivery,
) -> Matter {
    let mut detail = unread_detail(reading, envelope);
    detail.reporter = reporter(delivery, reading);
    let fate = if envelope.has_null_sender() {
        Fate::Unread
    } else {
        Fate::Aside
    };
    Matter {
        what: What::Fate(fate),
        identity: identity.clone(),
        asserted: Vec::new(),
        detail,
    }
}

/// What is known of a mail at a bounce address that nobody can read (D-020).
pub(super) fn unread_detail(reading: &Reading, envelope: &Envelope) -> Detail {
    Detail {
        action: Some(Action::Failed),
        class: Some(BounceClass::Undetermined),
        severity: Some(Severity::Soft),
        provider: Some(
            author_domain(reading)
                .and_then(|host| organisation(&host))
                .filter(|domain| !is_ours(domain, envelope))
                .unwrap_or_else(|| UNKNOWN_PROVIDER.to_owned()),
        ),
        reporter: author_domain(reading),
        notes: notes(reading),
        ..Detail::default()
    }
}

/// What one block says, with the addresses that it names, the final one first.
struct Block<'a> {
    outcome: &'a Outcome,
    named: Vec<Address>,
}

impl<'a> Block<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let texts = [&outcome.address, &outcome.original];
        let mut named = Vec::new();
        for text in texts.into_iter().flatten() {
            let text = text.trim();
            let bare = text
                .strip_prefix('<')
                .and_then(|text| text.strip_suffix('>'))
                .unwrap_or(text);
            // Also pipes, X.400 names and local parts stand there (RFC 3464 §2.3.2).
            if let Ok(address) = Address::parse(bare)
                && !named.contains(&address)
            {
                named.push(address);
            }
        }
        Self { outcome, named }
    }
}

/// What a block means for the token's recipient, whose own address it names or not; and whether
/// one of those that tell about it has failed.
fn fate(action: Action, assessment: &Assessment, (is_own, failed): (bool, bool)) -> Fate {
    match action {
        Action::Failed => of_failure(assessment, is_own),
        Action::Delayed => Fate::Delayed,
        Action::Delivered if !failed => Fate::Delivered,
        Action::Delivered | Action::Relayed | Action::Expanded => Fate::Relayed,
    }
}

pub(super) fn of_failure(assessment: &Assessment, is_own: bool) -> Fate {
    match assessment.severity {
        Severity::Hard if is_own => Fate::Hard,
        Severity::Hard => Fate::HardElsewhere,
        Severity::Soft if assessment.class == BounceClass::MailboxFull => {
            Fate::Soft(SoftFailure::MailboxFull)
        }
        Severity::Soft => Fate::Soft(SoftFailure::Failed),
        Severity::None => Fate::Ours,
    }
}

const fn beside(action: Action) -> Fate {
    match action {
        Action::Failed => Fate::Aside,
        Action::Delayed => Fate::Delayed,
        Action::Delivered | Action::Relayed | Action::Expanded => Fate::Relayed,
    }
}

/// The extracts of an outcome.
pub(super) fn detail(outcome: &Outcome, assessment: Assessment, provider: String) -> Detail {
    let text = |text: &Option<String>| text.as_deref().and_then(extract);
    let failure = matches!(outcome.action, Action::Failed | Action::Delayed);
    Detail {
        action: Some(outcome.action),
        status: text(&outcome.status),
        smtp_code: outcome.smtp_code,
        stage: outcome.stage,
        class: failure.then_some(assessment.class),
        severity: failure.then_some(assessment.severity),
        permanent: assessment.permanent,
        diagnostic: text(&outcome.diagnostic),
        remote_mta: text(&outcome.remote_mta),
        provider: Some(provider),
        bounce_rule: failure.then_some(assessment.rule),
        ..Detail::default()
    }
}

/// Who refused: the remote server; else the reporting one, unless it is our own; else whoever has
/// the recipient's domain.
fn provider(block: &Block<'_>, delivery: &Delivery, envelope: &Envelope) -> String {
    let remote = block.outcome.remote_mta.as_deref();
    let reporting = delivery.reporting_mta.as_deref();
    let address = block.named.first().map(Address::domain);
    [remote, reporting, address]
        .into_iter()
        .flatten()
        .filter_map(organisation)
        .find(|domain| !is_ours(domain, envelope))
        .unwrap_or_else(|| UNKNOWN_PROVIDER.to_owned())
}

/// The same of what a tenant's own system tells.
pub(super) fn provider_told(remote: Option<&str>, address: Option<&Address>) -> String {
    let address = address.map(Address::domain);
    let mut known = [remote, address].into_iter().flatten();
    let first = known.find_map(organisation);
    first.unwrap_or_else(|| UNKNOWN_PROVIDER.to_owned())
}

/// Whether a domain is that of the mailbox which the bounce came to: the sender's own server
/// reports what other servers have refused.
fn is_ours(domain: &str, envelope: &Envelope) -> bool {
    let mailbox = envelope.mailbox.address.rsplit_once('@');
    mailbox.and_then(|(_, own)| organisation(own)).as_deref() == Some(domain)
}

fn reporter(delivery: &Delivery, reading: &Reading) -> Option<String> {
    let reporting = delivery.reporting_mta.as_deref().and_then(extract);
    reporting.or_else(|| author_domain(reading))
}
