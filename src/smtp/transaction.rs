//! A mail transaction: from MAIL to the end of its content (RFC 5321 §3.3).

use super::body::Body;
use super::limits::Limits;
use super::recipients::Accepted;
use crate::model::clock::Tick;

/// What a transaction has gathered.
#[derive(Debug)]
pub(super) struct Transaction {
    /// When MAIL was accepted.
    pub(super) since: Tick,
    /// The reverse-path, empty for `<>`.
    pub(super) mail_from: String,
    /// Whether `SMTPUTF8` was given.
    pub(super) utf8: bool,
    /// What `SIZE=` declared; never decides where content ends (RFC 1870 §6).
    pub(super) declared: u64,
    /// Accepted recipients, each mailbox and token once.
    pub(super) recipients: Vec<(String, Accepted)>,
    /// How often RCPT was accepted, repetitions counted.
    pub(super) accepted: usize,
    /// The content, once it has begun.
    pub(super) content: Option<Body>,
    /// When that was.
    pub(super) begun: Option<Tick>,
}

impl Transaction {
    /// Adds a recipient; naming it again changes nothing.
    pub(super) fn add(&mut self, path: String, accepted: Accepted) {
        self.accepted = self.accepted.saturating_add(1);
        if !self.recipients.iter().any(|(_, known)| *known == accepted) {
            self.recipients.push((path, accepted));
        }
    }

    /// The content, begun with the limit of the strictest recipient if it is new.
    pub(super) fn content(&mut self, limits: &Limits) -> &mut Body {
        let roles = self
            .recipients
            .iter()
            .map(|(_, accepted)| accepted.mailbox.role);
        let limit = roles
            .map(|role| limits.of_role(role))
            .min()
            .unwrap_or(limits.message);
        self.content.get_or_insert_with(|| Body::new(limit))
    }
}
