//! Delivery status and disposition notifications (RFC 3464, RFC 6533, RFC 8098): recognised by
//! structure.

use super::header::{self, Header};
use super::mime::Entity;
use crate::model::words::words;

/// Octets of a status part that are read.
const MAX_STATUS_PART: usize = 256 * 1024;

/// Recipients of one notification that are read.
const MAX_RECIPIENTS: usize = 1_000;

words! {
    /// What became of a recipient's mail (RFC 3464 §2.3.3).
    pub enum Action as "action" {
        /// It will not be delivered.
        Failed = "failed",
        /// It is still tried.
        Delayed = "delayed",
        /// It was delivered.
        Delivered = "delivered",
        /// It went on to where no notifications exist.
        Relayed = "relayed",
        /// It was delivered and went on to several.
        Expanded = "expanded",
    }
}

/// What a delivery status notification says.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Reporting-MTA, without its type.
    pub reporting_mta: Option<String>,
    /// One a recipient, in order.
    pub actions: Vec<Action>,
}

impl Delivery {
    /// The gravest action: failed before delayed before the others. A notification that names none
    /// is one of failure.
    pub fn gravest(&self) -> Action {
        self.actions.iter().copied().min().unwrap_or(Action::Failed)
    }
}

/// The delivery status in `root`, outside nested messages.
pub fn delivery_in(root: &Entity<'_>) -> Option<Delivery> {
    let part = root.walk().into_iter().find(|part| {
        matches!(
            part.media.essence(),
            "message/delivery-status" | "message/global-delivery-status"
        )
    });
    match part {
        Some(part) => Some(delivery(&part.content(MAX_STATUS_PART))),
        None => {
            (root.media.report_type().as_deref() == Some("delivery-status")).then(|| Delivery {
                reporting_mta: None,
                actions: Vec::new(),
            })
        }
    }
}

/// Whether `root` is a message disposition notification.
pub fn is_disposition(root: &Entity<'_>) -> bool {
    root.media.report_type().as_deref() == Some("disposition-notification")
        || root.walk().iter().any(|part| {
            matches!(
                part.media.essence(),
                "message/disposition-notification" | "message/global-disposition-notification"
            )
        })
}

fn delivery(content: &[u8]) -> Delivery {
    let content = header::repair(content);
    let mut delivery = Delivery {
        reporting_mta: None,
        actions: Vec::new(),
    };
    let mut rest: &[u8] = &content;
    while !rest.is_empty() && delivery.actions.len() < MAX_RECIPIENTS {
        let (group, length) = Header::scan(rest);
        rest = rest.get(length..).unwrap_or_default();
        if delivery.reporting_mta.is_none() {
            delivery.reporting_mta = group.first("reporting-mta").map(|mta| {
                mta.split_once(';')
                    .map_or(mta.as_str(), |(_, name)| name)
                    .trim()
                    .to_owned()
            });
        }
        if group.has("final-recipient") || group.has("action") || group.has("status") {
            delivery.actions.push(action(&group));
        }
    }
    delivery
}

/// The action as given, else what the status code's class says (RFC 3463 §2).
fn action(group: &Header) -> Action {
    let word = group.first("action").unwrap_or_default();
    let word = word
        .split([' ', '(', ';'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if let Ok(action) = word.parse() {
        return action;
    }
    match group.first("status").unwrap_or_default().bytes().next() {
        Some(b'2') => Action::Delivered,
        Some(b'4') => Action::Delayed,
        _ => Action::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Peers: `delayed` and `relayed` mixed with failed; several recipients stop early.
    #[test]
    fn the_gravest_action_counts() {
        let text = b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822;a@b\nAction: Delivered (x)\n\n\nFinal-Recipient: rfc822;c@d\nStatus: 4.4.1\n\nFinal-Recipient: rfc822;e@f\nAction: failed\n";
        let delivery = delivery(text);
        assert_eq!(delivery.reporting_mta.as_deref(), Some("mx.example"));
        assert_eq!(
            delivery.actions,
            [Action::Delivered, Action::Delayed, Action::Failed]
        );
        assert_eq!(delivery.gravest(), Action::Failed);
    }

    #[test]
    fn a_status_without_recipients_is_a_failure() {
        assert_eq!(delivery(b"").gravest(), Action::Failed);
        assert_eq!(delivery(b"Action: relayed\n").gravest(), Action::Relayed);
    }
}
