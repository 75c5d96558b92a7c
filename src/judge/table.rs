//! The one table of judgement: what happened, how it is proven, and what follows. Pure; every row
//! has a name, which the event keeps as its `rule`.

use super::delivery;
use crate::model::authentication::Authentication;
use crate::model::event::{Effect, EventKind, HoldReason, Proof, SoftFailure};
use crate::model::mailbox::Role;
use crate::model::stream::StreamNumber;
use crate::model::suppression::{Reason, Scope};

/// What happened, as far as it matters for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A recipient calls the mail spam.
    Abuse,
    /// A report of type `fraud`, `virus` or `other`.
    OtherComplaint,
    /// A report of a type that is not known, or none, or that is kept in another format.
    UnknownComplaint,
    /// A recipient says that it is no spam.
    NotSpam,
    /// A feedback report that asks for an opt-out.
    OptOutReport,
    /// Mail at an unsubscribe mailbox, or a mail program's opt-out.
    UnsubscribeMail,
    /// An RFC 8058 POST.
    OneClick,
    /// The landing page's button that takes an opt-out back.
    Undo {
        /// Whether its nonce says that the same visit may.
        is_proven: bool,
    },
    /// A report of failed authentication.
    AuthFailure,
    /// What became of a mail.
    Fate(Fate),
    /// A message disposition notification.
    Disposition,
    /// An automatic reply.
    AutoReply,
    /// Somebody wants a person to prove that he is one.
    Challenge,
    /// Mail of a program to many, an invitation: it says nothing about a recipient.
    OtherMail,
    /// A DMARC aggregate report.
    DmarcAggregate,
    /// An SMTP TLS report.
    TlsReport,
    /// Mail for people.
    Human,
    /// Nobody can read it.
    Unrecognised,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It could not be delivered: the address is dead.
    Hard,
    /// It could not be delivered. The address that is dead, if one is named, is not the one that
    /// the token was made for: an alias or a forwarder stands between.
    HardElsewhere,
    /// It could not be delivered, which counts against the address.
    Soft(SoftFailure),
    /// It could not be delivered, and we are to blame.
    Ours,
    /// It could not be delivered to this address, in a notification that says of the token's own
    /// address what became of it.
    Aside,
    /// It came to a bounce address with the null sender, and nobody can read it.
    Unread,
    /// It is still tried.
    Delayed,
    /// It was delivered.
    Delivered,
    /// It went on to where nobody tells what becomes of it, or was delivered beside a failure.
    Relayed,
}

/// What the search for tokens came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Valid, in an allowed place.
    Valid,
    /// Valid, but its key is revoked.
    Revoked,
    /// Two of different recipients in one class of place.
    Conflicting,
    /// More look-alikes than are checked.
    TooMany,
    /// None.
    Missing,
}

/// The stream that the token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// None, or one that the directory does not know.
    Unknown,
    /// A marketing stream.
    Marketing(StreamNumber),
    /// A transactional stream.
    Transactional {
        /// Its number.
        number: StreamNumber,
        /// Whether an opt-out ends the stream itself.
        unsubscribe: bool,
    },
}

/// All that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What happened.
    pub what: What,
    /// What the search for tokens came to.
    pub token: Token,
    /// Whether who sent it is authenticated and may speak for the recipient.
    pub authentication: Authentication,
    /// Whether the mail names anybody whom authentication could prove: an asserted recipient, the
    /// author of an opt-out.
    pub names_somebody: bool,
    /// What the mailbox is for.
    pub role: Role,
    /// The stream of a valid token.
    pub stream: Stream,
    /// The mailbox's stream: what an opt-out without token means.
    pub mailbox_stream: Option<StreamNumber>,
    /// Policy: `fraud`, `virus` and `other` count like `abuse`.
    pub raise_other_complaints: bool,
    /// Who can speak of a delivery.
    pub witness: Witness,
}

/// Whether the receipt may speak of what became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// It came by a token of use `bounce`, which stands in the envelope alone.
    BounceToken,
    /// The tenant's own systems say so.
    Operator,
    /// Anybody could have sent it: a feedback token is known to whoever got a copy of the mail.
    Nobody,
}

/// What follows from a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The kind of event.
    pub kind: EventKind,
    /// Why it is believed.
    pub proof: Proof,
    /// What it changes.
    pub effects: Vec<Effect>,
    /// The row's name.
    pub rule: &'static str,
}

/// What the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Authentication would change the verdict and has not been asked.
    NeedsAuthentication {
        /// The kind of event that it will be.
        kind: EventKind,
        /// The row's name.
        rule: &'static str,
    },
    /// This follows.
    Verdict(Verdict),
}

/// Decides a case. Total: every combination has a row.
pub fn decide(case: &Case) -> Decision {
    let record = |kind, rule| {
        Decision::Verdict(Verdict {
            kind,
            proof: if case.token == Token::Valid {
                Proof::Token
            } else {
                Proof::None
            },
            effects: Vec::new(),
            rule,
        })
    };
    match case.what {
        What::Abuse => complaint(case),
        What::OtherComplaint if case.raise_other_complaints => complaint(case),
        What::OtherComplaint => other_complaint(case),
        What::UnknownComplaint => record(EventKind::Complaint, "complaint-unknown-type"),
        What::NotSpam => record(EventKind::NotSpam, "not-spam"),
        What::OptOutReport | What::UnsubscribeMail | What::OneClick => opt_out(case),
        What::Undo { is_proven: true } => Decision::Verdict(Verdict {
            kind: EventKind::Undo,
            proof: Proof::Token,
            effects: vec![Effect::Undo],
            rule: "undo",
        }),
        What::Undo { is_proven: false } => record(EventKind::Undo, "undo-unproven"),
        What::AuthFailure => record(EventKind::DmarcFailure, "auth-failure"),
        What::Fate(fate) => delivery::decide(case, fate),
        What::Disposition => record(EventKind::ReadReceipt, "disposition"),
        What::AutoReply => record(EventKind::AutoReply, "auto-reply"),
        What::Challenge => record(EventKind::Challenge, "challenge"),
        What::OtherMail => record(EventKind::NotFeedback, "other-mail"),
        What::DmarcAggregate => record(EventKind::DmarcAggregate, "dmarc-aggregate"),
        What::TlsReport => record(EventKind::TlsReport, "tls-report"),
        What::Human => record(EventKind::NotFeedback, "human"),
        What::Unrecognised => record(EventKind::Unrecognised, "unrecognised"),
    }
}

/// How a case that would suppress is proven.
enum Proven {
    ByToken,
    ByAuthentication,
    NotAsked,
    Not(HoldReason),
}

/// A report at a `cfbl` mailbox must be authenticated, whatever token it carries (RFC 9477 §3.5).
fn proven(case: &Case) -> Proven {
    match case.token {
        Token::Revoked => return Proven::Not(HoldReason::RevokedKey),
        Token::Conflicting => return Proven::Not(HoldReason::ConflictingTokens),
        Token::TooMany => return Proven::Not(HoldReason::TooManyCandidates),
        Token::Valid if case.role != Role::Cfbl => return Proven::ByToken,
        // A POST carries nothing that could be authenticated.
        Token::Missing if case.what == What::OneClick || !case.names_somebody => {
            return Proven::Not(HoldReason::Unproven);
        }
        Token::Valid | Token::Missing => {}
    }
    match case.authentication {
        Authentication::NotAsked => Proven::NotAsked,
        Authentication::Failed => Proven::Not(HoldReason::Unproven),
        Authentication::Passed if case.token == Token::Valid => Proven::ByToken,
        Authentication::Passed => Proven::ByAuthentication,
    }
}

fn complaint(case: &Case) -> Decision {
    let kind = EventKind::Complaint;
    let reason = Reason::Complaint;
    let suppress = Effect::Suppress {
        scope: Scope::Marketing,
        reason,
    };
    let (proof, effects, rule) = match (proven(case), case.stream) {
        (Proven::ByToken, Stream::Transactional { number, .. }) => {
            let scope = Scope::Stream(number);
            let hold = Effect::Hold {
                scope,
                reason,
                because: HoldReason::Transactional,
            };
            (
                Proof::Token,
                vec![suppress, hold],
                "complaint-token-transactional",
            )
        }
        (Proven::ByToken, Stream::Unknown | Stream::Marketing(_)) => {
            (Proof::Token, vec![suppress], "complaint-token")
        }
        (Proven::ByAuthentication, _) => (
            Proof::Authenticated,
            vec![suppress],
            "complaint-authenticated",
        ),
        (Proven::NotAsked, _) => {
            return Decision::NeedsAuthentication {
                kind,
                rule: "complaint-not-asked",
            };
        }
        (Proven::Not(because), _) => {
            let hold = Effect::Hold {
                scope: Scope::Marketing,
                reason,
                because,
            };
            let rule = match because {
                HoldReason::RevokedKey => "complaint-revoked-key",
                HoldReason::ConflictingTokens => "complaint-conflicting-tokens",
                HoldReason::TooManyCandidates => "complaint-too-many-candidates",
                HoldReason::Unproven
                | HoldReason::Transactional
                | HoldReason::NoTenant
                | HoldReason::Braked
                | HoldReason::NoDeliveries
                | HoldReason::UnreadBounces => {
                    if case.role == Role::Cfbl {
                        "complaint-cfbl-unauthenticated"
                    } else {
                        "complaint-unproven"
                    }
                }
            };
            (Proof::None, vec![hold], rule)
        }
    };
    Decision::Verdict(Verdict {
        kind,
        proof,
        effects,
        rule,
    })
}

/// Said about our mail by somebody who got it, but not that he wants no more of it: a signal.
fn other_complaint(case: &Case) -> Decision {
    let kind = EventKind::Complaint;
    let (proof, effects, rule) = match proven(case) {
        Proven::ByToken => (Proof::Token, vec![Effect::Signal], "complaint-other-token"),
        Proven::ByAuthentication => (
            Proof::Authenticated,
            vec![Effect::Signal],
            "complaint-other-authenticated",
        ),
        Proven::NotAsked => {
            return Decision::NeedsAuthentication {
                kind,
                rule: "complaint-other-not-asked",
            };
        }
        Proven::Not(_) => (Proof::None, Vec::new(), "complaint-other-unproven"),
    };
    Decision::Verdict(Verdict {
        kind,
        proof,
        effects,
        rule,
    })
}

fn opt_out(case: &Case) -> Decision {
    let kind = EventKind::Unsubscribe;
    let reason = Reason::Unsubscribe;
    let (proof, effects, rule) = match proven(case) {
        Proven::ByToken => {
            let (scope, rule) = opt_out_scope(case.stream);
            (Proof::Token, vec![Effect::Suppress { scope, reason }], rule)
        }
        Proven::ByAuthentication => {
            let scope = mailbox_scope(case);
            (
                Proof::Authenticated,
                vec![Effect::Suppress { scope, reason }],
                "unsubscribe-authenticated",
            )
        }
        Proven::NotAsked => {
            return Decision::NeedsAuthentication {
                kind,
                rule: "unsubscribe-not-asked",
            };
        }
        Proven::Not(because) => {
            let (scope, rule) = match because {
                HoldReason::RevokedKey => (opt_out_scope(case.stream).0, "unsubscribe-revoked-key"),
                HoldReason::ConflictingTokens => {
                    (mailbox_scope(case), "unsubscribe-conflicting-tokens")
                }
                HoldReason::TooManyCandidates => {
                    (mailbox_scope(case), "unsubscribe-too-many-candidates")
                }
                HoldReason::Unproven
                | HoldReason::Transactional
                | HoldReason::NoTenant
                | HoldReason::Braked
                | HoldReason::NoDeliveries
                | HoldReason::UnreadBounces => {
                    let rule = if case.role == Role::Cfbl {
                        "unsubscribe-cfbl-unauthenticated"
                    } else {
                        "unsubscribe-unproven"
                    };
                    (mailbox_scope(case), rule)
                }
            };
            (
                Proof::None,
                vec![Effect::Hold {
                    scope,
                    reason,
                    because,
                }],
                rule,
            )
        }
    };
    Decision::Verdict(Verdict {
        kind,
        proof,
        effects,
        rule,
    })
}

/// An opt-out ends the token's stream; where there is none to end, or one that an opt-out may not
/// end, it ends marketing.
pub(super) const fn opt_out_scope(stream: Stream) -> (Scope, &'static str) {
    match stream {
        Stream::Marketing(number) => (Scope::Stream(number), "unsubscribe-token"),
        Stream::Transactional {
            number,
            unsubscribe: true,
        } => (
            Scope::Stream(number),
            "unsubscribe-token-transactional-stream",
        ),
        Stream::Transactional {
            unsubscribe: false, ..
        } => (Scope::Marketing, "unsubscribe-token-transactional"),
        Stream::Unknown => (Scope::Marketing, "unsubscribe-token-no-stream"),
    }
}

fn mailbox_scope(case: &Case) -> Scope {
    case.mailbox_stream
        .filter(|number| *number != 0)
        .map_or(Scope::Marketing, Scope::Stream)
}
