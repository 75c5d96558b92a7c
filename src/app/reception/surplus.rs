//! What is not kept of a token that comes in too often, because one more changes nothing.
//!
//! What a mail is decides what it changes, not the mailbox it came to, so it is read first. An
//! opt-out changes nothing only if what stands cannot be taken back without it: a visit of the page
//! may have begun it, and its undo leaves it in place for the sake of another opt-out alone that was
//! stored since. So one that did not come from the page is kept after each beginning.

use std::sync::Arc;
use std::time::Duration;

use super::{Click, Reception};
use crate::judge::{self, Context, judge};
use crate::model::authentication::Authentication;
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, Event};
use crate::model::mailbox::Role;
use crate::model::receipt::Receipt;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::report::page::{Pressed, pressed};
use crate::token::wire::{Fields, Token};

/// What becomes of a mail beyond its token's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surplus {
    /// It changes nothing: it is counted and not kept.
    Dropped,
    /// It is kept, and is an opt-out.
    OptsOut,
    /// It is kept.
    Kept,
}

/// From the acceptance of an opt-out until it is stored, as a rule. One more is kept if it takes
/// longer.
const ON_ITS_WAY: Duration = Duration::from_mins(1);

/// The body of a click that did not come from the page (RFC 8058 section 3.2).
const PLAIN: &[u8] = b"List-Unsubscribe=One-Click";

impl Click {
    /// Whether no visit of the page made it, so that no undo takes it back.
    pub(super) fn is_plain(&self) -> bool {
        matches!(pressed(&self.body), Pressed::Unsubscribe { visit: None })
    }
}

impl Reception {
    /// The click as it is to be kept; `None` if it is beyond its token's share and changes nothing.
    pub(super) fn share_of_click(&self, mut click: Click, at: Timestamp) -> Option<Click> {
        let role = Role::Unsubscribe;
        if !self.0.rate.exceeded(&click.token.text, role, at) {
            return Some(click);
        }
        let key = self.begins(&click.token.fields, role);
        let Some(since) = key.and_then(|key| self.0.index.stands_since(&key)) else {
            return Some(click);
        };
        if self.is_secured(&click.token, role, since) {
            return None;
        }
        // Beyond the share nobody can take back what was pressed: visits without end would have to be
        // kept, or one of them would be taken back for those that were not.
        if !click.is_plain() {
            click.body = PLAIN.to_vec();
        }
        Some(click)
    }

    /// What becomes of a mail at a mailbox with this token, which has had its share.
    pub(super) async fn surplus_mail(
        &self,
        token: &Token,
        receipt: &Receipt,
        raw: &Arc<[u8]>,
    ) -> Surplus {
        let role = receipt.envelope.mailbox.role;
        if !self.stands(&token.fields, role) {
            return Surplus::Kept;
        }
        let Some(events) = self.read(receipt, raw).await else {
            return Surplus::Kept;
        };
        let effects = events
            .iter()
            .flat_map(|event| event.effects.iter().map(move |effect| (event, *effect)));
        if effects
            .clone()
            .all(|(event, effect)| self.stands_already(token, role, event, effect))
        {
            return Surplus::Dropped;
        }
        let opts_out = |(_, effect): (&Event, Effect)| {
            matches!(
                effect,
                Effect::Suppress {
                    reason: Reason::Unsubscribe,
                    ..
                }
            )
        };
        if effects.clone().any(opts_out) {
            Surplus::OptsOut
        } else {
            Surplus::Kept
        }
    }

    /// What a mail says, as the pipeline will read it; `None` if it cannot be read.
    async fn read(&self, receipt: &Receipt, raw: &Arc<[u8]>) -> Option<Vec<Event>> {
        let (served, policy) = (self.served(), Arc::clone(&self.0.policy));
        let (receipt, raw) = (receipt.clone(), Arc::clone(raw));
        let read = tokio::task::spawn_blocking(move || {
            let context = Context {
                keyring: &served.keyring,
                directory: &served.directory,
                policy: &policy,
            };
            judge(&receipt, &raw, Authentication::Failed, &context).events
        });
        // One that the reader fails on is kept: the pipeline knows what to do with it.
        read.await.ok()
    }

    /// Whether an effect is there already, and nothing but another one as good can end it.
    fn stands_already(&self, token: &Token, role: Role, event: &Event, effect: Effect) -> bool {
        let (scope, reason) = match effect {
            Effect::Signal => return true,
            Effect::Suppress { scope, reason } | Effect::SuppressUnlessBraked { scope, reason } => {
                (scope, reason)
            }
            Effect::Hold { .. } | Effect::CountSoft(_) | Effect::ResetSoft | Effect::Undo => {
                return false;
            }
        };
        let (Some(tenant), Some(recipient)) = (event.tenant, event.recipient) else {
            return false;
        };
        let key = SuppressionKey {
            tenant,
            recipient,
            scope,
            reason,
        };
        let since = self.0.index.stands_since(&key);
        since.is_some_and(|since| {
            reason != Reason::Unsubscribe || self.is_secured(token, role, since)
        })
    }

    /// Whether an opt-out by this token that nobody can take back was kept, which began what stands
    /// since then, or came to it: not one of a time before somebody lifted that.
    fn is_secured(&self, token: &Token, role: Role, since: Timestamp) -> bool {
        let kept = self.0.rate.last_kept(&token.text, role);
        // What begins later than it can be now began before the clock was set back.
        let is_told = since <= self.0.clock.now().after(ON_ITS_WAY);
        kept.is_some_and(|kept| !is_told || since <= kept.after(ON_ITS_WAY))
    }

    /// Whether what mail at a mailbox of that role begins stands already.
    pub(super) fn stands(&self, fields: &Fields, role: Role) -> bool {
        let key = self.begins(fields, role);
        key.is_some_and(|key| self.0.index.stands(&key))
    }

    /// The suppression that mail at a mailbox of that role begins, as a rule; `None` for roles whose
    /// mail says more than one thing.
    fn begins(&self, fields: &Fields, role: Role) -> Option<SuppressionKey> {
        let (scope, reason) = match role {
            Role::Unsubscribe => {
                let directory = self.directory();
                let scope = judge::opt_out_scope(&directory, fields);
                (scope, Reason::Unsubscribe)
            }
            Role::Complaint | Role::Cfbl => (Scope::Marketing, Reason::Complaint),
            Role::Bounce => (Scope::All, Reason::Bounce),
            Role::Dmarc | Role::TlsReport | Role::Human => return None,
        };
        Some(SuppressionKey {
            tenant: fields.tenant,
            recipient: fields.recipient,
            scope,
            reason,
        })
    }
}
