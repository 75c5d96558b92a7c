//! What today's reading of a receipt changes against the one that was stored.
//!
//! The row of the table that decided, and whom it is about, say all that follows; what the store
//! settled at the time, by a count or the brake, is left as it is.

use crate::model::bounce::BounceClass;
use crate::model::event::{Effect, Event, EventKind, Proof};
use crate::model::recipient::RecipientKey;

/// What a receipt says otherwise today.
#[derive(Debug, Clone, Default)]
pub struct Difference {
    /// Events that would not be stored today.
    pub withdrawn: Vec<Event>,
    /// Events that were not stored, unsettled.
    pub new: Vec<Event>,
}

/// All by which two readings are told apart.
#[derive(PartialEq, Eq)]
struct Said<'a> {
    kind: EventKind,
    proof: Proof,
    recipient: Option<RecipientKey>,
    rule: Option<&'a str>,
    full: bool,
    effects: Vec<Effect>,
}

impl<'a> Said<'a> {
    fn by(event: &'a Event) -> Self {
        let rule = event.detail.rule.as_deref();
        let is_fate = rule.is_some_and(|rule| rule.starts_with("bounce-"))
            || matches!(event.kind, EventKind::Delivered | EventKind::Delay);
        Self {
            kind: event.kind,
            proof: event.proof,
            recipient: event.recipient,
            rule,
            full: event.detail.class == Some(BounceClass::MailboxFull),
            effects: if is_fate {
                Vec::new()
            } else {
                event.effects.clone()
            },
        }
    }
}

/// Whether `old` stands whatever `today` says: a wish that was proven once is not taken back because
/// a key has been revoked since, or a stream is of another class, or its tenant is gone.
fn is_proven_wish(old: &Event, today: &Event) -> bool {
    matches!(old.kind, EventKind::Complaint | EventKind::Unsubscribe)
        && old.proof != Proof::None
        && old.kind == today.kind
        && (old.recipient == today.recipient || today.recipient.is_none())
}

/// Compares two readings, in whatever order they say it; `None` if they say the same.
pub fn difference(stored: &[Event], today: &[Event]) -> Option<Difference> {
    let mut withdrawn: Vec<&Event> = stored.iter().collect();
    let mut new = Vec::new();
    for event in today {
        let said = Said::by(event);
        let same = |old: &&Event| Said::by(old) == said || is_proven_wish(old, event);
        match withdrawn.iter().position(same) {
            Some(at) => {
                withdrawn.remove(at);
            }
            None => new.push(event.clone()),
        }
    }
    if withdrawn.is_empty() && new.is_empty() {
        return None;
    }
    Some(Difference {
        withdrawn: withdrawn.into_iter().cloned().collect(),
        new,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::authentication::Authentication;
    use crate::model::event::{Detail, EventId};
    use crate::model::receipt::ReceiptId;
    use crate::model::suppression::{Reason, Scope};

    fn event(kind: EventKind, proof: Proof, rule: &str, effects: Vec<Effect>) -> Event {
        Event {
            id: EventId {
                receipt: ReceiptId::from_bytes([7; 16]),
                index: 0,
            },
            tenant: None,
            kind,
            proof,
            authentication: Authentication::Failed,
            recipient: Some(RecipientKey::from_bytes([1; 10])),
            address: None,
            stream: 1,
            reference: Vec::new(),
            found_in: None,
            effects,
            detail: Detail {
                rule: Some(rule.to_owned()),
                ..Detail::default()
            },
        }
    }

    fn opt_out(proof: Proof, rule: &str, scope: Scope) -> Event {
        let reason = Reason::Unsubscribe;
        let effect = Effect::Suppress { scope, reason };
        event(EventKind::Unsubscribe, proof, rule, vec![effect])
    }

    #[test]
    fn what_was_proven_stays_proven() {
        let old = opt_out(Proof::Token, "unsubscribe-token", Scope::Stream(1));
        let mut nobody = opt_out(Proof::None, "unsubscribe-unproven", Scope::Marketing);
        nobody.recipient = None;
        for today in [
            opt_out(Proof::None, "unsubscribe-revoked-key", Scope::Stream(1)),
            opt_out(
                Proof::Token,
                "unsubscribe-token-transactional",
                Scope::Marketing,
            ),
            nobody,
        ] {
            let stored = std::slice::from_ref(&old);
            let rule = today.detail.rule.clone();
            assert!(difference(stored, &[today]).is_none(), "{rule:?}");
        }
    }

    #[test]
    fn what_is_read_as_something_else_is_corrected() {
        let old = opt_out(Proof::Token, "unsubscribe-token", Scope::Stream(1));
        let away = event(EventKind::AutoReply, Proof::Token, "auto-reply", Vec::new());
        let found = difference(std::slice::from_ref(&old), std::slice::from_ref(&away)).unwrap();
        assert_eq!(
            (found.withdrawn, found.new),
            (vec![old], vec![away.clone()])
        );
        // And the other way round.
        let late = opt_out(Proof::Token, "unsubscribe-token", Scope::Stream(1));
        let found = difference(&[away], std::slice::from_ref(&late)).unwrap();
        assert_eq!(found.new, [late]);
    }

    #[test]
    fn what_the_store_settled_is_left_as_it_is() {
        let reason = Reason::Bounce;
        let scope = Scope::All;
        let effects = |effect| event(EventKind::Bounce, Proof::Token, "bounce-hard", vec![effect]);
        let stored = effects(Effect::Suppress { scope, reason });
        let today = effects(Effect::SuppressUnlessBraked { scope, reason });
        assert!(difference(&[stored], &[today]).is_none());
    }
}
