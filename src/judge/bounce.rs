//! What an outcome means for the address: its class, and how much it counts. The rules are data:
//! `rules.toml`.

mod candidates;
pub mod code;
pub mod explain;
mod local;
pub mod mapping;
mod phrase;
pub mod provider;
pub mod rules;

use crate::model::bounce::{Action, BounceClass, Severity};
use crate::report::status::{Delivery, Outcome};
use mapping::Mapped;
use rules::Rules;

/// What an outcome means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// Why the mail was not delivered.
    pub class: BounceClass,
    /// What it says about the address.
    pub severity: Severity,
    /// Whether it was given up; `None` where nothing failed.
    pub permanent: Option<bool>,
    /// The rule that decided.
    pub rule: String,
    /// Whose server refused it, if that is known: a name such as `google` or `docomo`.
    pub provider: Option<String>,
}

/// Assesses one outcome of a notification by the rules that desist comes with. Pure and total.
pub fn assess(outcome: &Outcome, delivery: &Delivery) -> Assessment {
    Rules::embedded().assess(outcome, delivery)
}

impl Rules {
    /// Assesses one outcome of a notification. Pure and total.
    pub fn assess(&self, outcome: &Outcome, delivery: &Delivery) -> Assessment {
        let decided = self.decide(outcome, delivery);
        let (class, severity, rule) = match decided.rule {
            Some(rule) => (rule.class, rule.severity, rule.id.as_str()),
            None => (BounceClass::Undetermined, Severity::Soft, "none"),
        };
        // An address is dead only by an answer that means to be final (D-010): trying a busy server
        // for days proves nothing about it.
        let temporary = decided.code.map_or_else(
            || {
                outcome
                    .smtp_code
                    .is_some_and(|code| (400..500).contains(&code))
            },
            |code| code.class == 4,
        );
        let severity = match outcome.action {
            Action::Failed if severity == Severity::Hard && temporary => Severity::Soft,
            Action::Failed => severity,
            _ => Severity::None,
        };
        let permanent = match outcome.action {
            Action::Failed => Some(true),
            Action::Delayed => Some(false),
            Action::Delivered | Action::Relayed | Action::Expanded => None,
        };
        Assessment {
            class,
            severity,
            permanent,
            rule: rule.to_owned(),
            provider: decided.provider.map(|provider| provider.id.clone()),
        }
    }
}

impl Assessment {
    /// The same in the words of other systems.
    pub fn mapped(&self) -> Mapped {
        mapping::of(self.class, self.permanent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(action: Action, status: &str) -> (BounceClass, Severity) {
        let outcome = Outcome {
            address: None,
            original: None,
            action,
            status: Some(status.to_owned()),
            smtp_code: None,
            stage: None,
            diagnostic: None,
            remote_mta: None,
        };
        let assessment = assess(&outcome, &Delivery::default());
        (assessment.class, assessment.severity)
    }

    // D-009, D-010
    #[test]
    fn action_and_status_count_together() {
        for (action, status, class, severity) in [
            (
                Action::Failed,
                "5.1.1",
                BounceClass::BadMailbox,
                Severity::Hard,
            ),
            (
                Action::Failed,
                "4.1.1",
                BounceClass::BadMailbox,
                Severity::Soft,
            ),
            (
                Action::Delayed,
                "5.1.1",
                BounceClass::BadMailbox,
                Severity::None,
            ),
            (
                Action::Failed,
                "4.4.7",
                BounceClass::Expired,
                Severity::Soft,
            ),
            (
                Action::Failed,
                "5.7.606",
                BounceClass::Reputation,
                Severity::None,
            ),
            (
                Action::Failed,
                "",
                BounceClass::Undetermined,
                Severity::Soft,
            ),
        ] {
            assert_eq!(of(action, status), (class, severity), "{action} {status}");
        }
    }
}
