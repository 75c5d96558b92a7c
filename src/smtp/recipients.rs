//! What a recipient's address means to this MX: served mailbox, token, refusal. Pure.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::path::Path;
use crate::model::directory::Directory;
use crate::model::mailbox::{Mailbox, Role};
use crate::model::tenant::TenantId;
use crate::token::keyring::Keyring;
use crate::token::wire::{Token, TokenError};

/// What the MX serves: made anew when domains, mailboxes or keys change.
#[derive(Debug, Clone)]
pub struct Served {
    /// Domains that are served for everybody, canonical (lower-case A-labels); the first names
    /// `<Postmaster>`. Those of tenants are in the directory.
    pub domains: Vec<String>,
    /// Keys of all tenants.
    pub keyring: Keyring,
    /// Mailboxes beyond the defaults, tenants and streams.
    pub directory: std::sync::Arc<Directory>,
    /// Whether the key list is current: an unknown key is then a wrong one.
    pub current: bool,
}

/// A recipient that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// For which mailbox.
    pub mailbox: Mailbox,
    /// The verified token in the local part, if there is one.
    pub token: Option<Token>,
}

/// Why a recipient is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `550 5.1.1`: no such mailbox, or a wrong token; the two are the same to the peer.
    #[error("no such mailbox")]
    UnknownMailbox,
    /// `550 5.7.1`: not a domain of ours.
    #[error("domain not served")]
    ForeignDomain,
    /// `451 4.3.0`: a token whose tenant or key is unknown while the key list is not current.
    #[error("key list not current")]
    KeysNotCurrent,
}

/// A served domain.
#[derive(Clone, Copy)]
struct Domain<'a> {
    name: &'a str,
    /// Whose default mailboxes are in it, if it is one tenant's.
    owner: Option<TenantId>,
}

/// Mailboxes of every served domain, unless the directory says otherwise.
const DEFAULTS: &[(&str, Role)] = &[
    ("fbl", Role::Complaint),
    ("cfbl", Role::Cfbl),
    ("u", Role::Unsubscribe),
    ("unsubscribe", Role::Unsubscribe),
    ("b", Role::Bounce),
    ("dmarc", Role::Dmarc),
    ("tlsrpt", Role::TlsReport),
    (POSTMASTER, Role::Human),
    ("abuse", Role::Human),
];

/// Must be served, also without a domain (RFC 5321 §4.5.1).
const POSTMASTER: &str = "postmaster";

/// What stands between a mailbox and its token, and between the parts of a rewritten address.
const SEPARATORS: [char; 3] = ['-', '+', '='];

/// Lengths of a token's text, shortest and longest.
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 52..=77;

impl Served {
    /// Decides on a forward-path. Letter case never matters.
    pub fn accept(&self, path: &Path) -> Result<Accepted, Refusal> {
        let local = path.local().to_ascii_lowercase();
        let name = self.domain(&local, path.domain())?;
        let domain = Domain {
            name: &name,
            owner: self.directory.domains.owner(&name),
        };
        if let Some(mailbox) = self.mailbox(&local, domain) {
            return Ok(Accepted {
                mailbox,
                token: None,
            });
        }
        self.tokenised(&local, domain)
    }

    /// Whether a domain, written canonically, is served: for everybody or for one tenant.
    pub fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|served| served == domain)
            || self.directory.domains.owner(domain).is_some()
    }

    /// The served domain that is meant. U-labels and A-labels are the same (RFC 6531 §3.2).
    fn domain(&self, local: &str, named: &str) -> Result<String, Refusal> {
        if named.is_empty() {
            let first = self.domains.first().filter(|_| local == POSTMASTER);
            return first.cloned().ok_or(Refusal::UnknownMailbox);
        }
        let named = canonical_domain(named).ok_or(Refusal::ForeignDomain)?;
        if self.serves(&named) {
            Ok(named)
        } else {
            Err(Refusal::ForeignDomain)
        }
    }

    /// The mailbox with exactly this local part: the directory's, else the default one, which is
    /// the domain's owner's.
    fn mailbox(&self, local: &str, domain: Domain<'_>) -> Option<Mailbox> {
        let address = format!("{local}@{}", domain.name);
        let known = self.directory.mailboxes.get(&address);
        known.cloned().or_else(|| {
            let (_, role) = DEFAULTS.iter().find(|(name, _)| *name == local)?;
            Some(Mailbox {
                address,
                role: *role,
                tenant: domain.owner,
                stream: None,
            })
        })
    }

    /// The mailbox named in front of a token, if any token of the local part verifies. The mailbox
    /// gives the role, the token only proof.
    fn tokenised(&self, local: &str, domain: Domain<'_>) -> Result<Accepted, Refusal> {
        let local = local
            .replace("%2b", "+")
            .replace("%2d", "-")
            .replace("%3d", "=");
        let mut refusal = Refusal::UnknownMailbox;
        for (front, token) in candidates(&local) {
            let mailbox = || self.before_token(front, domain);
            match self.keyring.verify(token) {
                Ok(token) => {
                    if let Some(mailbox) = mailbox() {
                        return Ok(Accepted {
                            mailbox,
                            token: Some(token),
                        });
                    }
                }
                Err(TokenError::UnknownKey) if !self.current && mailbox().is_some() => {
                    refusal = Refusal::KeysNotCurrent;
                }
                Err(TokenError::UnknownKey | TokenError::BadMac | TokenError::Malformed) => {}
            }
        }
        Err(refusal)
    }

    /// The mailbox at the end of `front` whose mail a token proves something for.
    fn before_token(&self, front: &str, domain: Domain<'_>) -> Option<Mailbox> {
        names(front)
            .filter_map(|name| self.mailbox(name, domain))
            .find(|mailbox| takes_tokens(mailbox.role))
    }
}

/// Every text of a token's length in a lower-case local part, with what stands in front of it:
/// return paths come back signed or rewritten, as `prvs=…=b-TOKEN`, `SRS0=…=…=…=b-TOKEN` or
/// `b-TOKEN/…`. What looks like a route to elsewhere has none.
fn candidates(local: &str) -> impl Iterator<Item = (&str, &str)> {
    let relays = local.contains(['@', '%', '!']);
    let separators = local.match_indices(SEPARATORS).filter(move |_| !relays);
    separators.filter_map(|(at, separator)| {
        let (front, rest) = local.split_at_checked(at)?;
        let rest = rest.strip_prefix(separator)?;
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (token, behind) = rest.split_at_checked(end)?;
        let whole = behind.is_empty() || behind.starts_with(SEPARATORS) || behind.starts_with('/');
        (whole && TOKEN_LENGTHS.contains(&token.len())).then_some((front, token))
    })
}

/// The mailbox names that `front` may end with, longest first.
fn names(front: &str) -> impl Iterator<Item = &str> {
    let inner = front
        .match_indices(SEPARATORS)
        .filter_map(|(at, separator)| {
            front
                .get(at..)
                .and_then(|rest| rest.strip_prefix(separator))
        });
    std::iter::once(front)
        .chain(inner)
        .filter(|name| !name.is_empty())
}

/// Tokens stand behind the mailboxes whose mail they prove something for.
const fn takes_tokens(role: Role) -> bool {
    match role {
        Role::Complaint | Role::Cfbl | Role::Unsubscribe | Role::Bounce => true,
        Role::Dmarc | Role::TlsReport | Role::Human => false,
    }
}

/// Lower-case A-labels without a trailing dot, as served domains are written.
fn canonical_domain(domain: &str) -> Option<String> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_ascii() {
        return Some(domain.to_ascii_lowercase());
    }
    let (rules, bytes) = (Uts46::new(), domain.as_bytes());
    let canonical = rules.to_ascii(
        bytes,
        AsciiDenyList::EMPTY,
        Hyphens::Allow,
        DnsLength::Ignore,
    );
    canonical
        .ok()
        .map(|name| name.strip_suffix('.').unwrap_or(&name).to_owned())
}
