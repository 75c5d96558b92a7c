//! Whose server an answer is from.

use serde::Deserialize;

use crate::report::status::{Delivery, Outcome};

/// A provider of mailboxes or of filters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// A short name, as rules and events use it.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// Domains of its servers and mailboxes.
    pub hosts: Vec<String>,
    /// Texts that only its answers have, lower-case.
    pub says: Vec<String>,
    /// Its own page for those whose mail it refuses.
    pub help: Option<String>,
}

impl Provider {
    fn has_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.hosts.iter().any(|own| {
            let tail = host
                .len()
                .checked_sub(own.len())
                .and_then(|at| host.get(at..));
            let before = host
                .len()
                .checked_sub(own.len() + 1)
                .and_then(|at| host.get(at..)?.chars().next());
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(own))
                && matches!(before, None | Some('.'))
        })
    }
}

/// The provider's place in `providers`: by the server that refused, by words that only one uses
/// (`says` knows whose), by the recipient's domain, and last by who reports.
pub(super) fn whose(
    providers: &[Provider],
    outcome: &Outcome,
    delivery: &Delivery,
    says: impl FnOnce() -> Option<usize>,
) -> Option<usize> {
    let by_host = |host: &str| {
        providers
            .iter()
            .position(|provider| provider.has_host(host))
    };
    let name = |host: &str| host.split([' ', '[', '(']).next().and_then(by_host);
    let remote = outcome.remote_mta.as_deref();
    let domain = || {
        outcome
            .recipient()?
            .rsplit_once('@')
            .and_then(|(_, domain)| by_host(domain))
    };
    let reporter = || delivery.reporting_mta.as_deref().and_then(name);
    remote
        .and_then(name)
        .or_else(says)
        .or_else(domain)
        .or_else(|| if remote.is_none() { reporter() } else { None })
}
