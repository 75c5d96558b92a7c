//! Layer 5: the SMTP listener: the pump between sockets and [`crate::smtp`]'s session.

mod budget;
mod pump;

use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use self::budget::{Budget, Share};
use self::pump::{Delivered, World};
use crate::app::reception::{Mail, Reception, reason};
use crate::journal::AppendError;
use crate::metrics::{Metrics, Refusal as Reason};
use crate::model::clock::Clock;
use crate::model::receipt;
use crate::net::accept::{self, Sessions};
use crate::net::proxies::Entrance;
use crate::net::stop::Stop;
use crate::net::tls::{Handshakes, Tls};
use crate::smtp::gate::{Gate, Shortage};
use crate::smtp::path::Path;
use crate::smtp::recipients::{Accepted, Refusal};
use crate::smtp::session::{Message, Outcome, Session, Settings, TOO_MANY_SESSIONS};
use crate::token::finder;
use crate::token::wire::TokenError;
use crate::traces::Traces;

/// What the SMTP door is made of.
#[derive(Debug)]
pub struct Parts {
    /// What an operator has set.
    pub settings: Arc<Settings>,
    /// Where messages go.
    pub reception: Reception,
    /// For STARTTLS; used only if it is offered.
    pub tls: Tls,
    /// Bounds the handshakes of all listeners.
    pub handshakes: Handshakes,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Each message is a span.
    pub traces: Traces,
    /// Runs the sessions and ends them.
    pub stop: Stop,
}

/// Everything that a session needs. Cheap to clone; clones share the octets in flight.
#[derive(Debug, Clone)]
pub struct Context {
    parts: Arc<Parts>,
    budget: Budget,
}

impl Context {
    /// Nothing is in flight yet.
    pub fn new(parts: Parts) -> Self {
        let budget = Budget::new(&parts.settings.limits);
        Self {
            parts: Arc::new(parts),
            budget,
        }
    }

    /// Octets of messages in flight now.
    pub fn in_flight(&self) -> u64 {
        self.budget.in_flight()
    }
}

/// Accepts sessions until the soft stop. Those beyond the limits are told to come back later.
pub async fn serve(entrance: Entrance, context: Context, sessions: Sessions) {
    let stop = context.parts.stop.clone();
    let refuse = TOO_MANY_SESSIONS.as_bytes();
    accept::run(entrance, sessions, &stop, refuse, move |stream, peer| {
        let context = context.clone();
        async move { run_session(stream, peer.ip(), &context).await }
    })
    .await;
}

/// Holds one session from its greeting to its end. Says nothing above `debug` of peers that come
/// and go, as load balancers do.
pub async fn run_session<S>(stream: S, peer: IpAddr, context: &Context)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let parts = &*context.parts;
    let _open = parts.metrics.smtp_session();
    let door = Door {
        parts,
        share: context.budget.share(peer),
    };
    let world = World {
        clock: &parts.clock,
        tls: &parts.tls,
        handshakes: &parts.handshakes,
        peer,
        stop: parts.stop.soft(),
        limits: &parts.settings.limits,
        metrics: &parts.metrics,
    };
    let session = Session::new(Arc::clone(&parts.settings), parts.clock.tick());
    let deliver = |message| deliver(parts, peer, message);
    // On the heap: a session waits far more often than it runs.
    let dialogue = Box::pin(pump::converse(stream, session, world, &door, deliver));
    match dialogue.await {
        Ok(()) => tracing::debug!(%peer, "smtp session ended"),
        Err(error) => tracing::debug!(%peer, %error, "smtp session lost"),
    }
}

/// The application's side of one session.
struct Door<'a> {
    parts: &'a Parts,
    share: Share,
}

impl Gate for Door<'_> {
    fn recipient(&self, path: &Path) -> Result<Accepted, Refusal> {
        let decided = self.parts.reception.served().accept(path);
        if let Err(refusal) = decided {
            let reason = match refusal {
                Refusal::UnknownMailbox | Refusal::ForeignDomain => Reason::NoMailbox,
                Refusal::KeysNotCurrent => Reason::KeysNotCurrent,
            };
            self.parts.metrics.refusal(SMTP, reason);
            self.parts.count_token(path);
        }
        decided
    }

    fn admits(&self) -> Result<(), Shortage> {
        self.parts.reception.admits().map_err(|error| {
            self.parts.metrics.refusal(SMTP, reason(&error));
            shortage(&error)
        })
    }

    fn reserve(&self, bytes: u64) -> bool {
        let fits = self.share.reserve(bytes);
        if !fits {
            self.parts.metrics.refusal(SMTP, Reason::Memory);
        }
        fits
    }

    fn release(&self, bytes: u64) {
        self.share.release(bytes);
    }
}

/// Commits a message; only then is it acknowledged.
async fn deliver(parts: &Parts, peer: IpAddr, message: Message) -> Delivered {
    let (octets, recipients) = (message.raw.len(), message.recipients.len());
    let secured = message.protocol.ends_with('S');
    let took = || parts.clock.tick().since(message.begun);
    let span = parts.traces.message(octets, secured, took);
    if let [(_, only)] = message.recipients.as_slice() {
        let token = only.token.as_ref();
        span.tenant(token.map(|it| it.fields.tenant).or(only.mailbox.tenant));
    }
    let mail = Mail {
        peer,
        hello: message.hello,
        protocol: message.protocol,
        mail_from: message.mail_from,
        recipients: message.recipients,
        raw: message.raw,
    };
    let outcome = match parts.reception.receive_mail(mail, &span).await {
        Ok(receipt) => {
            tracing::debug!(%receipt, octets, recipients, "message received");
            span.receipt(receipt);
            Outcome::Accepted(receipt)
        }
        Err(error) => {
            tracing::warn!(%peer, octets, %error, "message refused for now");
            Outcome::Refused(shortage(&error))
        }
    };
    Delivered { outcome, span }
}

impl Parts {
    /// Counts what was wrong with the token of a refused recipient, if there was one.
    fn count_token(&self, path: &Path) {
        let keyring = self.reception.keyring();
        let found = finder::find_any(&keyring, path.local().as_bytes());
        // No token at all, or a good one at a mailbox that takes none, is no failure of a token.
        if let Err(error @ (TokenError::BadMac | TokenError::UnknownKey)) = found {
            self.metrics.token_failure(SMTP, error.into());
        }
    }
}

/// What the peer is told.
const fn shortage(error: &AppendError) -> Shortage {
    match error {
        AppendError::Full | AppendError::Overloaded => Shortage::NoRoom,
        AppendError::Failed(_) => Shortage::Failed,
    }
}

const SMTP: receipt::Door = receipt::Door::Smtp;
