//! What an outcome means for the address: its class, and how much it counts.

use crate::model::bounce::{Action, BounceClass, Severity};
use crate::report::status::{Delivery, Outcome};

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

/// Assesses one outcome of a notification. Pure and total.
pub fn assess(outcome: &Outcome, _delivery: &Delivery) -> Assessment {
    let (class, severity) = by_status(outcome.status.as_deref().unwrap_or_default());
    let (severity, permanent) = match outcome.action {
        Action::Failed => (severity, Some(true)),
        Action::Delayed => (Severity::None, Some(false)),
        Action::Delivered | Action::Relayed | Action::Expanded => (Severity::None, None),
    };
    Assessment {
        class,
        severity,
        permanent,
        rule: "status".to_owned(),
        provider: None,
    }
}

/// By the status code alone (RFC 3463 and its registry). A code that is misused too often to be
/// believed counts softly or not at all.
fn by_status(code: &str) -> (BounceClass, Severity) {
    let mut numbers = code.split('.').map(|text| text.parse().unwrap_or(0_u16));
    let mut next = || numbers.next().unwrap_or(0);
    let (class, subject, detail) = (next(), next(), next());
    let hard = if class == 5 {
        Severity::Hard
    } else {
        Severity::Soft
    };
    match (subject, detail) {
        (1, 1 | 3) => (BounceClass::BadMailbox, hard),
        (1, 2) => (BounceClass::BadDomain, Severity::Soft),
        (1, 6) | (7, 17 | 18) => (BounceClass::Moved, hard),
        (1, 10) => (BounceClass::NullMx, Severity::Soft),
        (2, 1) | (7, 13) => (BounceClass::Inactive, Severity::Soft),
        (2, 2) => (BounceClass::MailboxFull, Severity::Soft),
        (2, 0) => (BounceClass::Filtered, Severity::Soft),
        (2 | 3, 3 | 4) => (BounceClass::MessageTooBig, Severity::None),
        (3, _) => (BounceClass::System, Severity::Soft),
        (4, 7) => (BounceClass::Expired, Severity::Soft),
        (4, _) => (BounceClass::Network, Severity::Soft),
        (5, 3) => (BounceClass::RateLimited, Severity::None),
        (5 | 6, _) => (BounceClass::Content, Severity::None),
        (7, 20..=27 | 30) => (BounceClass::Authentication, Severity::None),
        (7, _) | (1, 7 | 8) => (BounceClass::Reputation, Severity::None),
        _ => (BounceClass::Undetermined, Severity::Soft),
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
