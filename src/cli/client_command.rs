//! The subcommands that are clients of the API.

use std::io::Write;
use std::path::Path;

use clap::Subcommand;

use super::check::CheckArgs;
use super::client::{ClientError, Outcome, if_read};
use super::erase::EraseArgs;
use super::events::EventsArgs;
use super::evidence::EvidenceArgs;
use super::held::HeldArgs;
use super::key::KeyArgs;
use super::lift::LiftArgs;
use super::list::ListArgs;
use super::mail::MailArgs;
use super::mailbox::MailboxArgs;
use super::replay::ReplayArgs;
use super::signing_key::SigningKeyArgs;
use super::stats::StatsArgs;
use super::stream::StreamArgs;
use super::suppress::SuppressArgs;
use super::tenant::TenantArgs;
use super::token::TokenArgs;

/// What can be asked of a running server.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum ClientCommand {
    /// Asks whether addresses may be mailed.
    Check(CheckArgs),
    /// Suppresses addresses: nothing is to be sent to them.
    Suppress(SuppressArgs),
    /// Lifts suppressions: they end and stay in the history.
    Lift(LiftArgs),
    /// Lists standing suppressions.
    List(ListArgs),
    /// Lists what was judged, by kind, proof, reporter or recipient.
    Events(EventsArgs),
    /// Shows all that is known of one recipient, and why.
    Evidence(EvidenceArgs),
    /// Forgets who a recipient is; what stands against it stays.
    Erase(EraseArgs),
    /// Reviews what waits for an operator.
    Held(HeldArgs),
    /// Reads the mail that is kept for people.
    Mail(MailArgs),
    /// Reads kept receipts again with today's reader and rules.
    Replay(ReplayArgs),
    /// Sums what came in, by time, stream, provider or reporter.
    Stats(StatsArgs),
    /// Manages tenants: sending organisations.
    Tenant(TenantArgs),
    /// Manages streams: kinds of mail.
    Stream(StreamArgs),
    /// Manages mailboxes beyond or instead of the defaults of a domain.
    Mailbox(MailboxArgs),
    /// Manages API keys.
    Key(KeyArgs),
    /// Manages the keys that tokens are signed with.
    SigningKey(SigningKeyArgs),
    /// Mints and explains tokens.
    Token(TokenArgs),
}

impl ClientCommand {
    /// Runs it; what is not given is taken from the data folder.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<Outcome, ClientError> {
        let done = match self {
            Self::Check(args) => return args.run(data_dir, out),
            Self::Token(args) => return args.run(data_dir, out),
            Self::Suppress(args) => args.run(data_dir, out),
            Self::Lift(args) => args.run(data_dir, out),
            Self::List(args) => args.run(data_dir, out),
            Self::Events(args) => args.run(data_dir, out),
            Self::Evidence(args) => args.run(data_dir, out),
            Self::Erase(args) => args.run(data_dir, out),
            Self::Held(args) => args.run(data_dir, out),
            Self::Mail(args) => args.run(data_dir, out),
            Self::Replay(args) => args.run(data_dir, out),
            Self::Stats(args) => args.run(data_dir, out),
            Self::Tenant(args) => args.run(data_dir, out),
            Self::Stream(args) => args.run(data_dir, out),
            Self::Mailbox(args) => args.run(data_dir, out),
            Self::Key(args) => args.run(data_dir, out),
            Self::SigningKey(args) => args.run(data_dir, out),
        };
        if_read(done).map(|()| Outcome::Yes)
    }
}
