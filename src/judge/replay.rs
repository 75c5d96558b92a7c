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

/// Compares two readings, in whatever order they say it; `None` if they say the same.
pub fn difference(stored: &[Event], today: &[Event]) -> Option<Difference> {
    let mut withdrawn: Vec<&Event> = stored.iter().collect();
    let mut new = Vec::new();
    for event in today {
        let said = Said::by(event);
        match withdrawn.iter().position(|old| Said::by(old) == said) {
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
