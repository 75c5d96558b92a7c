//! The table's rows about what became of a mail: bounces, delays, deliveries.
//!
//! A hard bounce stops all mail to a person, so only what stands in the envelope alone proves one,
//! or the tenant's own systems. What is our own fault never touches the recipient.

use super::table::{Case, Decision, Fate, Token, Verdict, Witness};
use crate::model::authentication::Authentication;
use crate::model::event::{Effect, EventKind, HoldReason, Proof, SoftFailure};
use crate::model::suppression::{Reason, Scope};

/// Decides what follows from what became of a mail.
pub(super) fn decide(case: &Case, fate: Fate) -> Decision {
    match standing(case) {
        Standing::Proven(proof) => proven(fate, proof),
        Standing::Revoked => revoked(fate),
        Standing::Authenticated if is_hard(fate) => {
            let hold = hold(HoldReason::Unproven);
            let rule = "bounce-hard-authenticated";
            verdict(EventKind::Bounce, Proof::Authenticated, vec![hold], rule)
        }
        Standing::NotAsked if is_hard(fate) => Decision::NeedsAuthentication {
            kind: EventKind::Bounce,
            rule: "bounce-hard-not-asked",
        },
        Standing::Authenticated | Standing::NotAsked | Standing::Nobody => unproven(fate),
    }
}

/// What follows from what became of a mail, if a bounce token proves it.
pub(super) fn if_proven(fate: Fate) -> Vec<Effect> {
    match proven(fate, Proof::Token) {
        Decision::Verdict(verdict) => verdict.effects,
        Decision::NeedsAuthentication { .. } => Vec::new(),
    }
}

/// How far the receipt is to be believed.
enum Standing {
    Proven(Proof),
    Revoked,
    Authenticated,
    NotAsked,
    Nobody,
}

fn standing(case: &Case) -> Standing {
    match (case.witness, case.token) {
        (Witness::Operator, _) => return Standing::Proven(Proof::Operator),
        (Witness::BounceToken, Token::Valid) => return Standing::Proven(Proof::Token),
        (Witness::BounceToken, Token::Revoked) => return Standing::Revoked,
        (Witness::BounceToken | Witness::Nobody, _) => {}
    }
    if !case.names_somebody || case.token != Token::Missing {
        return Standing::Nobody;
    }
    match case.authentication {
        Authentication::NotAsked => Standing::NotAsked,
        Authentication::Passed => Standing::Authenticated,
        Authentication::Failed => Standing::Nobody,
    }
}

const fn is_hard(fate: Fate) -> bool {
    matches!(fate, Fate::Hard | Fate::HardElsewhere)
}

fn proven(fate: Fate, proof: Proof) -> Decision {
    let (kind, effects, rule) = match fate {
        Fate::Hard => (
            EventKind::Bounce,
            vec![Effect::SuppressUnlessBraked {
                scope: Scope::All,
                reason: Reason::Bounce,
            }],
            "bounce-hard",
        ),
        Fate::HardElsewhere => (
            EventKind::Bounce,
            vec![Effect::CountSoft(SoftFailure::Failed)],
            "bounce-hard-elsewhere",
        ),
        Fate::Soft(failure) => (
            EventKind::Bounce,
            vec![Effect::CountSoft(failure)],
            "bounce-soft",
        ),
        Fate::Unread => (
            EventKind::Bounce,
            vec![Effect::CountSoft(SoftFailure::Unread)],
            "bounce-unread",
        ),
        Fate::Ours => (EventKind::Bounce, vec![Effect::Signal], "bounce-ours"),
        Fate::Aside => (EventKind::Bounce, Vec::new(), "bounce-aside"),
        Fate::Delayed => (EventKind::Delay, Vec::new(), "delay"),
        Fate::Delivered => (EventKind::Delivered, vec![Effect::ResetSoft], "delivered"),
        Fate::Relayed => (EventKind::Delivered, Vec::new(), "relayed"),
    };
    verdict(kind, proof, effects, rule)
}

/// A token whose key was revoked proves nothing; what it would have stopped is for an operator.
fn revoked(fate: Fate) -> Decision {
    match fate {
        Fate::Hard => verdict(
            EventKind::Bounce,
            Proof::None,
            vec![hold(HoldReason::RevokedKey)],
            "bounce-hard-revoked-key",
        ),
        _ => unproven(fate),
    }
}

fn unproven(fate: Fate) -> Decision {
    let (kind, rule) = match fate {
        Fate::Hard | Fate::HardElsewhere => (EventKind::Bounce, "bounce-hard-unproven"),
        Fate::Soft(_) => (EventKind::Bounce, "bounce-soft-unproven"),
        Fate::Ours => (EventKind::Bounce, "bounce-ours-unproven"),
        Fate::Aside => (EventKind::Bounce, "bounce-aside"),
        Fate::Unread => (EventKind::Unrecognised, "bounce-unread-unproven"),
        Fate::Delayed => (EventKind::Delay, "delay"),
        Fate::Delivered => (EventKind::Delivered, "delivered-unproven"),
        Fate::Relayed => (EventKind::Delivered, "relayed"),
    };
    verdict(kind, Proof::None, Vec::new(), rule)
}

const fn hold(because: HoldReason) -> Effect {
    Effect::Hold {
        scope: Scope::All,
        reason: Reason::Bounce,
        because,
    }
}

const fn verdict(
    kind: EventKind,
    proof: Proof,
    effects: Vec<Effect>,
    rule: &'static str,
) -> Decision {
    Decision::Verdict(Verdict {
        kind,
        proof,
        effects,
        rule,
    })
}
