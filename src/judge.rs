//! Layer 1: what a reading means: identification by token, and the one table of judgement.

pub mod bounce;
mod bounce_case;
pub mod classify;
mod delivery;
pub mod fed;
pub mod history;
pub mod identify;
pub mod replay;
pub mod summary;
pub mod table;

use std::sync::Arc;

use crate::model::address::Address;
use crate::model::authentication::Authentication;
use crate::model::directory::Directory;
use crate::model::event::{Detail, Effect, Event, EventId, FoundIn, HoldReason, Proof};
use crate::model::mailbox::Role;
use crate::model::receipt::{Door, Receipt, ReceiptState};
use crate::model::recipient::RecipientKey;
use crate::model::stream::Class;
use crate::model::suppression::Scope;
use crate::model::tenant::TenantId;
use crate::report::mime::Limits;
use crate::report::optout::asks_one_click;
use crate::report::page::{self, Pressed};
use crate::report::{self, Circumstances};
use crate::token::keyring::Keyring;
use crate::token::wire::{Fields, Use};
use bounce::rules::Rules;
use classify::Matter;
use table::{Case, Decision, Verdict, What, Witness};

/// Events of one receipt. What a mail says beyond that is noted, not told one by one.
pub const MAX_EVENTS: usize = 100;

/// Octets of a one-click request's body that are read.
const MAX_ONE_CLICK: usize = 8 * 1024;

/// What may decide beside the mail itself: settings and the directory, as they stand now.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Keys of all tenants.
    pub keyring: &'a Keyring,
    /// Tenants and streams.
    pub directory: &'a Directory,
    /// What operators have set.
    pub policy: &'a Policy,
}

/// What operators may set about reading and judgement; each is a documented key of `[policy]` or
/// `[limits]`.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// `fraud`, `virus` and `other` reports count like `abuse`.
    pub raise_other_complaints: bool,
    /// How much of a mail's structure is read.
    pub reading: Limits,
    /// What bounces mean, if not by [`Rules::embedded`].
    pub bounce_rules: Option<Arc<Rules>>,
}

impl Policy {
    /// What bounces mean.
    pub fn rules(&self) -> &Rules {
        self.bounce_rules
            .as_deref()
            .unwrap_or_else(|| Rules::embedded())
    }
}

/// What is to be stored about a receipt.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Whose it is, if that is known.
    pub tenant: Option<TenantId>,
    /// What has become of it.
    pub state: ReceiptState,
    /// What it says, by index from 0. Never empty.
    pub events: Vec<Event>,
}

/// Reads, identifies and judges one receipt: the whole pure part of the pipeline.
///
/// Pure: the same input gives the same output. Never panics; takes time linear in `raw`.
pub fn judge(
    receipt: &Receipt,
    raw: &[u8],
    authentication: Authentication,
    context: &Context<'_>,
) -> Judged {
    let court = Court {
        receipt,
        authentication,
        context,
    };
    let matters = court.matters(raw);
    let mut events = Vec::new();
    let mut pending = false;
    for matter in &matters {
        let decision = table::decide(&court.case(matter));
        pending |= matches!(decision, Decision::NeedsAuthentication { .. });
        if events.len() <= MAX_EVENTS {
            events.extend(court.events(matter, decision));
        }
    }
    if events.len() > MAX_EVENTS {
        events.truncate(MAX_EVENTS);
        if let Some(last) = events.last_mut() {
            last.detail
                .notes
                .push(report::Note::BeyondLimits.as_str().to_owned());
        }
    }
    for (index, event) in (0..).zip(&mut events) {
        event.id.index = index;
        event.detail.synthetic = court.is_synthetic(event);
    }
    let first = matters.first();
    let tenant = first.and_then(|matter| court.tenant(matter));
    Judged {
        tenant,
        state: state(&events, pending),
        events,
    }
}

fn state(events: &[Event], pending: bool) -> ReceiptState {
    let holds = |event: &Event| {
        event
            .effects
            .iter()
            .any(|e| matches!(e, Effect::Hold { .. }))
    };
    let unread = |event: &Event| event.kind == crate::model::event::EventKind::Unrecognised;
    if pending {
        ReceiptState::Pending
    } else if events.iter().any(holds) {
        ReceiptState::Held
    } else if events.iter().any(unread) {
        ReceiptState::Unrecognised
    } else {
        ReceiptState::Done
    }
}

/// Whom an event is about.
#[derive(Default)]
struct Whom {
    recipient: Option<RecipientKey>,
    address: Option<String>,
}

/// All that is the same for every matter of a receipt.
struct Court<'a> {
    receipt: &'a Receipt,
    authentication: Authentication,
    context: &'a Context<'a>,
}

impl Court<'_> {
    /// What the receipt says. The door decides first: what did not come by mail is no mail.
    fn matters(&self, raw: &[u8]) -> Vec<Matter> {
        let role = self.receipt.envelope.mailbox.role;
        match self.receipt.door {
            Door::OneClick => vec![self.one_click(raw)],
            Door::TlsReport => vec![self.bare(What::TlsReport)],
            Door::Api => {
                vec![fed::matter(raw, &self.receipt.envelope, self.context)]
            }
            Door::Smtp if role == Role::Human => vec![self.bare(What::Human)],
            Door::Smtp => {
                let circumstances = Circumstances {
                    limits: self.context.policy.reading,
                    null_sender: self.receipt.envelope.has_null_sender(),
                };
                let reading = report::read_within(raw, circumstances);
                classify::matters(&reading, &self.receipt.envelope, self.context)
            }
        }
    }

    /// Whether it is about nobody, who was mailed to see whether the doors work. The key says so, which
    /// only this tenant's tokens have.
    fn is_synthetic(&self, event: &Event) -> bool {
        let (Some(tenant), Some(recipient)) = (event.tenant, event.recipient) else {
            return false;
        };
        let keys = self.context.keyring.address_keys(tenant);
        keys.is_synthetic(&recipient)
    }

    fn envelope_token(&self) -> Option<&str> {
        self.receipt.envelope.token.as_deref()
    }

    fn bare(&self, what: What) -> Matter {
        Matter {
            what,
            identity: identify::by_envelope(self.envelope_token(), self.context.keyring),
            asserted: Vec::new(),
            detail: Detail::default(),
        }
    }

    /// RFC 8058 §3.1. The address alone is enough: whatever stands in the body, the button was
    /// pressed. Only our own page's other button asks for something else.
    fn one_click(&self, body: &[u8]) -> Matter {
        let mut matter = self.bare(What::OneClick);
        let beginning = body.get(..MAX_ONE_CLICK).unwrap_or(body);
        if let Pressed::Undo { nonce } = page::pressed(beginning) {
            let (keyring, at) = (self.context.keyring, self.receipt.at);
            let token = matter.identity.token.as_ref();
            matter.what = What::Undo {
                is_proven: token.is_some_and(|token| keyring.undone(token, nonce, at).is_ok()),
            };
            return matter;
        }
        if !asks_one_click(beginning) {
            matter.detail.notes.push("body-not-one-click".to_owned());
        }
        matter
    }

    /// The token's tenant, else the mailbox's, else the only one.
    fn tenant(&self, matter: &Matter) -> Option<TenantId> {
        matter
            .identity
            .tenant()
            .or(self.receipt.envelope.mailbox.tenant)
            .or_else(|| self.context.directory.only_tenant())
    }

    fn case(&self, matter: &Matter) -> Case {
        Case {
            what: matter.what,
            token: matter.identity.outcome,
            authentication: self.authentication,
            names_somebody: !matter.asserted.is_empty(),
            role: self.receipt.envelope.mailbox.role,
            stream: self.stream(matter),
            mailbox_stream: self.receipt.envelope.mailbox.stream,
            raise_other_complaints: self.context.policy.raise_other_complaints,
            witness: self.witness(matter),
        }
    }

    fn witness(&self, matter: &Matter) -> Witness {
        let token = matter.identity.token.as_ref();
        match self.receipt.door {
            Door::Api => Witness::Operator,
            Door::Smtp | Door::OneClick | Door::TlsReport => {
                let is_secret = token.is_some_and(|token| token.purpose == Use::Bounce);
                if is_secret && matter.identity.is_by_envelope() {
                    Witness::BounceToken
                } else {
                    Witness::Nobody
                }
            }
        }
    }

    fn stream(&self, matter: &Matter) -> table::Stream {
        let Some(token) = &matter.identity.token else {
            return table::Stream::Unknown;
        };
        stream_of(self.context.directory, &token.fields)
    }

    fn events(&self, matter: &Matter, decision: Decision) -> Vec<Event> {
        let verdict = match decision {
            Decision::Verdict(verdict) => verdict,
            // What is known so far: its receipt is kept pending.
            Decision::NeedsAuthentication { kind, rule } => Verdict {
                kind,
                proof: Proof::None,
                effects: Vec::new(),
                rule,
            },
        };
        let tenant = self.tenant(matter);
        let named = self.named(matter, &verdict, tenant);
        named
            .into_iter()
            .map(|whom| self.event(matter, &verdict, tenant, whom))
            .collect()
    }

    /// Whom the verdict is about: the token's recipient, with the asserted address that has its
    /// key; without token everybody who is asserted, if anything follows for them.
    fn named(&self, matter: &Matter, verdict: &Verdict, tenant: Option<TenantId>) -> Vec<Whom> {
        let all = tenant.map(|tenant| self.context.keyring.address_keys(tenant));
        let keys = |address: &Address| -> Vec<RecipientKey> {
            let all = all.iter();
            all.flat_map(|keys| keys.recipient_keys(address)).collect()
        };
        if let Some(recipient) = matter.identity.recipient() {
            let own = matter
                .asserted
                .iter()
                .find(|address| keys(address).contains(&recipient));
            let address = own.map(|address| address.as_str().to_owned());
            return vec![Whom {
                recipient: Some(recipient),
                address,
            }];
        }
        let mut named = Vec::new();
        if !verdict.effects.is_empty() {
            for address in matter.asserted.iter().take(MAX_EVENTS + 1) {
                if let Some(key) = keys(address).first() {
                    let address = Some(address.as_str().to_owned());
                    named.push(Whom {
                        recipient: Some(*key),
                        address,
                    });
                }
            }
        }
        if named.is_empty() {
            named.push(Whom::default());
        }
        named
    }

    fn event(
        &self,
        matter: &Matter,
        verdict: &Verdict,
        tenant: Option<TenantId>,
        whom: Whom,
    ) -> Event {
        let Whom { recipient, address } = whom;
        let identity = &matter.identity;
        let mut detail = matter.detail.clone();
        detail.rule = Some(verdict.rule.to_owned());
        if identity.found_in == Some(FoundIn::Unproven) {
            detail.notes.push("token-in-unproven-place".to_owned());
        }
        Event {
            id: EventId {
                receipt: self.receipt.id,
                index: 0,
            },
            tenant,
            kind: verdict.kind,
            proof: verdict.proof,
            authentication: match self.receipt.door {
                Door::Smtp => self.authentication,
                // What is no mail has nothing that could be asked about.
                Door::OneClick | Door::TlsReport | Door::Api => Authentication::NotAsked,
            },
            recipient,
            address,
            stream: identity
                .token
                .as_ref()
                .map_or(0, |token| token.fields.stream),
            reference: identity.reference.clone(),
            found_in: identity.found_in,
            effects: verdict
                .effects
                .iter()
                .filter_map(|e| without_tenant(*e, tenant))
                .collect(),
            detail,
        }
    }
}

/// Without a tenant nobody can be suppressed: what would be, waits for an operator; and nothing is
/// counted.
const fn without_tenant(effect: Effect, tenant: Option<TenantId>) -> Option<Effect> {
    if tenant.is_some() {
        return Some(effect);
    }
    match effect {
        Effect::Suppress { scope, reason }
        | Effect::SuppressUnlessBraked { scope, reason }
        | Effect::Hold {
            scope,
            reason,
            because: HoldReason::Unproven,
        } => Some(Effect::Hold {
            scope,
            reason,
            because: HoldReason::NoTenant,
        }),
        Effect::Hold { .. } | Effect::Signal => Some(effect),
        Effect::CountSoft(_) | Effect::ResetSoft | Effect::Undo => None,
    }
}

/// What an opt-out by a token with these fields ends: its stream, or marketing where there is no
/// stream to end, or one that an opt-out may not end.
pub fn opt_out_scope(directory: &Directory, fields: &Fields) -> Scope {
    table::opt_out_scope(stream_of(directory, fields)).0
}

fn stream_of(directory: &Directory, fields: &Fields) -> table::Stream {
    let number = fields.stream;
    match directory.stream(fields.tenant, number) {
        None => table::Stream::Unknown,
        Some(stream) => match stream.class {
            Class::Marketing => table::Stream::Marketing(number),
            Class::Transactional => table::Stream::Transactional {
                number,
                unsubscribe: stream.unsubscribe,
            },
        },
    }
}
