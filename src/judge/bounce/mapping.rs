//! The same verdict in the words of other systems, so that reports built on those go on working.

use serde::Serialize;

use crate::model::bounce::BounceClass;

/// What other systems call a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mapped {
    /// One of the seven categories of `SendGrid`.
    pub sendgrid: &'static str,
    /// A reason of Sisimai.
    pub sisimai: &'static str,
    /// A class of `KumoMTA`'s bounce classifier.
    pub kumomta: &'static str,
    /// A category of `PowerMTA`.
    pub powermta: &'static str,
}

/// The seven categories of `SendGrid`, exactly as it writes them.
pub const SENDGRID: [&str; 7] = [
    "Content",
    "Frequency or Volume Too High",
    "Invalid Address",
    "Mailbox Unavailable",
    "Reputation",
    "Technical Failure",
    "Unclassified",
];

/// The words for a class. Where one of the others tells a final failure from a temporary one,
/// `permanent` decides.
pub const fn of(class: BounceClass, permanent: Option<bool>) -> Mapped {
    let delayed = matches!(permanent, Some(false));
    let (sendgrid, sisimai, kumomta, powermta) = match class {
        BounceClass::BadMailbox => (
            "Invalid Address",
            "userunknown",
            "InvalidRecipient",
            "bad-mailbox",
        ),
        BounceClass::BadDomain if delayed => (
            "Technical Failure",
            "hostunknown",
            "DNSFailure",
            "bad-domain",
        ),
        BounceClass::BadDomain => ("Invalid Address", "hostunknown", "BadDomain", "bad-domain"),
        BounceClass::Moved => (
            "Invalid Address",
            "hasmoved",
            "InvalidRecipient",
            "inactive-mailbox",
        ),
        BounceClass::NullMx => ("Invalid Address", "notaccept", "BadDomain", "bad-domain"),
        BounceClass::Inactive => (
            "Mailbox Unavailable",
            "suspend",
            "InactiveMailbox",
            "inactive-mailbox",
        ),
        BounceClass::MailboxFull => (
            "Mailbox Unavailable",
            "mailboxfull",
            "QuotaIssues",
            "quota-issues",
        ),
        BounceClass::Filtered => (
            "Mailbox Unavailable",
            "filtered",
            "PolicyRelated",
            "policy-related",
        ),
        BounceClass::MessageTooBig => ("Technical Failure", "mesgtoobig", "QuotaIssues", "other"),
        BounceClass::Content => (
            "Content",
            "contenterror",
            "ContentRelated",
            "content-related",
        ),
        BounceClass::Reputation => ("Reputation", "badreputation", "SpamBlock", "spam-related"),
        BounceClass::Authentication => (
            "Reputation",
            "authfailure",
            "AuthenticationFailed",
            "policy-related",
        ),
        BounceClass::RateLimited => (
            "Frequency or Volume Too High",
            "speeding",
            "TransientFailure",
            "other",
        ),
        BounceClass::Virus => ("Content", "virusdetected", "VirusRelated", "virus-related"),
        BounceClass::Relaying => (
            "Technical Failure",
            "norelaying",
            "RelayDenied",
            "relaying-issues",
        ),
        BounceClass::Network => (
            "Technical Failure",
            "networkerror",
            "NoAnswerFromHost",
            "no-answer-from-host",
        ),
        BounceClass::Expired => (
            "Technical Failure",
            "expired",
            "MessageExpired",
            "message-expired",
        ),
        BounceClass::System => (
            "Technical Failure",
            "systemerror",
            "BadConfiguration",
            "bad-configuration",
        ),
        BounceClass::Undetermined => ("Unclassified", "undefined", "Uncategorized", "other"),
    };
    Mapped {
        sendgrid,
        sisimai,
        kumomta,
        powermta,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D-070
    #[test]
    fn every_class_has_a_word_of_each_system() {
        for class in BounceClass::ALL {
            for permanent in [None, Some(true), Some(false)] {
                let mapped = of(*class, permanent);
                assert!(SENDGRID.contains(&mapped.sendgrid), "{class}");
                assert!(
                    !mapped.sisimai.contains(|c: char| !c.is_ascii_lowercase()),
                    "{class}"
                );
                assert!(
                    !mapped
                        .powermta
                        .contains(|c: char| !(c.is_ascii_lowercase() || c == '-'))
                );
                assert!(
                    mapped.kumomta.starts_with(|c: char| c.is_ascii_uppercase()),
                    "{class}"
                );
            }
        }
    }
}
