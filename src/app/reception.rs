//! What happens behind every door: receipts are drawn and committed to the journal.

mod rate;
mod surplus;
pub mod undo;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::pressure::Pressure;
use crate::index::Index;
use crate::journal::{AppendError, Journal};
use crate::judge::Policy;
use crate::metrics::{Metrics, Refusal, TokenFailure};
use crate::model::clock::{Clock, Timestamp};
use crate::model::digest::Digest;
use crate::model::directory::{Directory, DirectoryChange};
use crate::model::mailbox::{Mailbox, Role};
use crate::model::receipt::{Arrival, Door, Envelope, Receipt, ReceiptId};
use crate::report::page::{Pressed, pressed};
use crate::smtp::recipients::{Accepted, Served};
use crate::token::finder;
use crate::token::keyring::Keyring;
use crate::token::undo::Visit;
use crate::token::wire::{Token, TokenError};
use crate::traces::Span;
use rate::TokenRate;
use surplus::Surplus;

/// The inner side of all doors. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reception(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    index: Arc<Index>,
    clock: Clock,
    metrics: Metrics,
    served: ArcSwap<Served>,
    pressure: Pressure,
    rate: TokenRate,
    policy: Arc<Policy>,
}

/// What a reception is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where arrivals become durable.
    pub journal: Journal,
    /// Tells whether a recipient is suppressed already.
    pub index: Arc<Index>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// What is served at first.
    pub served: Served,
    /// Receipts that are kept of one token in an hour; more are counted only. 0: no limit.
    pub token_receipts_per_hour: u32,
    /// How the pipeline will judge.
    pub policy: Policy,
}

/// A mail that the SMTP door has received whole.
#[derive(Debug)]
pub struct Mail {
    /// Who connected.
    pub peer: IpAddr,
    /// The EHLO or HELO argument.
    pub hello: String,
    /// `SMTP`, `ESMTP`, `ESMTPS`, `UTF8SMTP`, `UTF8SMTPS`.
    pub protocol: &'static str,
    /// The reverse-path, empty for `<>`.
    pub mail_from: String,
    /// The forward-paths as received, each with what it was accepted as. At least one.
    pub recipients: Vec<(String, Accepted)>,
    /// Exactly the bytes that were received (after dot-unstuffing).
    pub raw: Vec<u8>,
}

/// A one-click POST whose token verified.
#[derive(Debug)]
pub struct Click {
    /// Who connected.
    pub peer: IpAddr,
    /// The `User-Agent`.
    pub user_agent: String,
    /// The `Content-Type`, if one was sent.
    pub content_type: Option<String>,
    /// The verified token.
    pub token: Token,
    /// The body, exactly as received.
    pub body: Vec<u8>,
}

/// Why a token at the one-click door is not acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClickRefusal {
    /// `404`: no valid token; the answer is the same whatever is wrong with it.
    #[error("no such page")]
    Unknown,
    /// `503`: tenant or key unknown while this node's key list is not current.
    #[error("key list not current")]
    KeysNotCurrent,
}

/// Bytes that are hashed without leaving the task: less than a millisecond.
const HASHED_AT_ONCE: usize = 1 << 20;
/// Longest EHLO argument or `User-Agent` that is kept, in octets.
const HELLO_KEPT: usize = 512;

impl Reception {
    /// Opens for business.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            journal: parts.journal,
            index: parts.index,
            clock: parts.clock,
            metrics: parts.metrics,
            served: ArcSwap::from_pointee(parts.served),
            pressure: Pressure::default(),
            rate: TokenRate::new(parts.token_receipts_per_hour),
            policy: Arc::new(parts.policy),
        }))
    }

    /// What the MX serves now.
    pub fn served(&self) -> Arc<Served> {
        self.0.served.load_full()
    }

    /// The keys of this moment.
    pub fn keyring(&self) -> Keyring {
        self.0.served.load().keyring.clone()
    }

    /// The directory of this moment.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.0.served.load().directory)
    }

    /// What the doors know of the pipeline, and it of them.
    pub fn pressure(&self) -> &Pressure {
        &self.0.pressure
    }

    /// Serves by another directory from now on.
    pub fn replace_directory(&self, directory: Directory) {
        let keyring = Keyring::new(&directory);
        let directory = Arc::new(directory);
        self.0.served.rcu(|before| Served {
            domains: before.domains.clone(),
            keyring: keyring.clone(),
            directory: Arc::clone(&directory),
            current: before.current,
        });
    }

    /// Serves by the directory with this change from now on.
    pub fn change_directory(&self, change: &DirectoryChange) {
        self.replace_directory(self.directory().after(change));
    }

    /// Says whether the key list is current: only then is an unknown key a wrong one.
    pub fn set_current(&self, current: bool) {
        if self.0.served.load().current != current {
            self.0.served.rcu(|before| Served {
                current,
                ..Served::clone(before)
            });
        }
    }

    /// Whether a mail would be accepted now; asked before its content is read.
    pub fn admits(&self) -> Result<(), AppendError> {
        self.0.journal.admits(Door::Smtp)
    }

    /// Commits a mail. Durable when it returns `Ok` with the first receipt's id.
    ///
    /// Recipients are unique by mailbox and token: each is one receipt. The wait for the journal is a
    /// part of `span`.
    pub async fn receive_mail(&self, mail: Mail, span: &Span) -> Result<ReceiptId, AppendError> {
        let at = self.0.clock.now();
        let (raw, digest) = sealed(mail.raw).await?;
        let first = draw(at)?;
        let mut seen = HashSet::new();
        let mut receipts = Vec::with_capacity(mail.recipients.len());
        let mut opt_outs = Vec::new();
        for (path, accepted) in mail.recipients {
            let token = accepted.token.as_ref();
            if !seen.insert((
                accepted.mailbox.address.clone(),
                token.map(|t| t.text.clone()),
            )) {
                continue;
            }
            let role = accepted.mailbox.role;
            if let Some(token) = token.filter(|token| token.revoked) {
                self.revoked(Door::Smtp, token);
            }
            let much = token.is_some_and(|token| self.0.rate.exceeded(&token.text, role, at));
            let token = accepted.token.clone().filter(|_| much);
            let id = if receipts.is_empty() {
                first
            } else {
                draw(at)?
            };
            let receipt = Receipt {
                id,
                at,
                door: Door::Smtp,
                envelope: Envelope {
                    peer: Some(mail.peer),
                    hello: cut(&mail.hello),
                    protocol: mail.protocol.to_owned(),
                    mail_from: Some(mail.mail_from.clone()),
                    recipient: path,
                    mailbox: accepted.mailbox,
                    token: accepted.token.map(|token| token.text),
                    content_type: None,
                },
                digest,
            };
            if let Some(token) = token {
                match self.surplus_mail(&token, &receipt, &raw).await {
                    Surplus::Dropped => {
                        self.0.metrics.refusal(Door::Smtp, Refusal::TokenRate);
                        continue;
                    }
                    Surplus::OptsOut => opt_outs.push((token.text, role)),
                    Surplus::Kept => {}
                }
            }
            receipts.push(receipt);
        }
        if !receipts.is_empty() {
            let arrival = Arrival { receipts, raw };
            self.append(arrival, Door::Smtp, span).await?;
            for (token, role) in opt_outs {
                self.0.rate.kept(&token, role, Some(at));
            }
        }
        Ok(first)
    }

    /// Verifies the token of a request's path, percent-decoded, in any case. Any valid candidate
    /// in it wins.
    pub fn click_token(&self, text: &str) -> Result<Token, ClickRefusal> {
        let served = self.0.served.load();
        match finder::find_any(&served.keyring, text.as_bytes()) {
            Ok(token) => Ok(token),
            Err(error) => {
                self.0.metrics.token_failure(Door::OneClick, error.into());
                if error == TokenError::UnknownKey && !served.current {
                    return Err(ClickRefusal::KeysNotCurrent);
                }
                Err(ClickRefusal::Unknown)
            }
        }
    }

    /// Commits a one-click POST. Durable when it returns `Ok`, with the visit of the page that was
    /// kept with it: beyond the token's share there is none, and nothing to take back. The wait for
    /// the journal is a part of `span`.
    pub async fn receive_click(
        &self,
        click: Click,
        span: &Span,
    ) -> Result<Option<Visit>, AppendError> {
        let at = self.0.clock.now();
        if click.token.revoked {
            self.revoked(Door::OneClick, &click.token);
        }
        let Some(kept) = self.share_of_click(click, at) else {
            self.0.metrics.refusal(Door::OneClick, Refusal::TokenRate);
            return Ok(None);
        };
        let token = kept.token.text.clone();
        let (is_plain, visit) = match pressed(&kept.body) {
            Pressed::Unsubscribe { visit } => (visit.is_none(), visit),
            Pressed::Undo { .. } => (false, None),
        };
        self.commit_click(kept, at, span).await?;
        self.0
            .rate
            .kept(&token, Role::Unsubscribe, is_plain.then_some(at));
        Ok(visit)
    }

    async fn commit_click(
        &self,
        click: Click,
        at: Timestamp,
        span: &Span,
    ) -> Result<(), AppendError> {
        let raw: Arc<[u8]> = click.body.into();
        let receipt = Receipt {
            id: draw(at)?,
            at,
            door: Door::OneClick,
            envelope: Envelope {
                peer: Some(click.peer),
                hello: cut(&click.user_agent),
                protocol: "HTTPS".to_owned(),
                mail_from: None,
                recipient: String::new(),
                mailbox: Mailbox {
                    address: String::new(),
                    role: Role::Unsubscribe,
                    tenant: Some(click.token.fields.tenant),
                    stream: None,
                },
                token: Some(click.token.text),
                content_type: click.content_type.as_deref().map(cut),
            },
            digest: Digest::of(&raw),
        };
        let receipts = vec![receipt];
        self.append(Arrival { receipts, raw }, Door::OneClick, span)
            .await
    }

    async fn append(&self, arrival: Arrival, door: Door, span: &Span) -> Result<(), AppendError> {
        let mut committed = Vec::with_capacity(arrival.receipts.len());
        committed.extend(
            arrival
                .receipts
                .iter()
                .map(|receipt| receipt.envelope.mailbox.role),
        );
        let waiting = span.journal();
        let result = self.0.journal.append(arrival).await;
        if let Err(error) = &result {
            waiting.failed_so(reason(error).as_str());
        }
        waiting.ended();
        match &result {
            Ok(()) => {
                for role in committed {
                    self.0.metrics.receipt(door, role);
                }
                let Inner {
                    pressure,
                    journal,
                    metrics,
                    ..
                } = &*self.0;
                pressure.yield_to_pipeline(journal, door, metrics).await;
            }
            Err(error) => self.0.metrics.refusal(door, reason(error)),
        }
        result
    }

    fn revoked(&self, door: Door, token: &Token) {
        self.0.metrics.token_failure(door, TokenFailure::Revoked);
        let tenant = token.fields.tenant;
        tracing::debug!(%tenant, "a token of a revoked key came in; its events will be held");
    }
}

/// How a refused arrival is counted.
pub const fn reason(error: &AppendError) -> Refusal {
    match error {
        AppendError::Full => Refusal::Full,
        AppendError::Overloaded => Refusal::Overloaded,
        AppendError::Failed(_) => Refusal::Failed,
    }
}

/// A body as it is kept, and its digest. A large one is hashed where it delays nobody else.
async fn sealed(raw: Vec<u8>) -> Result<(Arc<[u8]>, Digest), AppendError> {
    let large = raw.len() > HASHED_AT_ONCE;
    let seal = move || {
        let raw: Arc<[u8]> = raw.into();
        let digest = Digest::of(&raw);
        (raw, digest)
    };
    if large {
        let stopped = |_gone| AppendError::Failed("the server stops".into());
        tokio::task::spawn_blocking(seal).await.map_err(stopped)
    } else {
        Ok(seal())
    }
}

/// A fresh id. Without the system's randomness nothing may be accepted: ids would collide.
fn draw(at: Timestamp) -> Result<ReceiptId, AppendError> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)
        .map_err(|error| AppendError::Failed(format!("no randomness: {error}").into()))?;
    Ok(ReceiptId::from_parts(at, &random))
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(HELLO_KEPT))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
