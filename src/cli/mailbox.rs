//! `desist mailbox`: mailboxes beyond or instead of the defaults of a domain.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{
    ClientArgs, ClientError, cell, encoded, items, print_json, print_list, print_result,
    stream_number,
};
use crate::model::mailbox::Role;

/// Manage mailboxes beyond or instead of the defaults of a domain.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist mailbox create --tenant shop --address jmrp@fb.shop.example --role complaint
  desist mailbox create --tenant shop --address leave@fb.shop.example --role unsubscribe --stream 3
  desist mailbox create --tenant '*' --address yahoo@fb.example.com --role complaint
  desist mailbox remove --tenant shop jmrp@fb.shop.example

Every served domain has fbl, cfbl, u, unsubscribe, b, dmarc, tlsrpt, postmaster and abuse without
being told. A mailbox is the tenant's that --tenant names; with '*' it is no tenant's.")]
pub(super) struct MailboxArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: MailboxCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with mailboxes.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum MailboxCommand {
    /// Create a mailbox, or update the one of that address
    Create {
        /// Its address, in a domain of the tenant or in one that tenants share
        #[arg(long)]
        address: String,
        /// complaint, cfbl, unsubscribe, bounce, dmarc, tls-report or human
        #[arg(long)]
        role: Role,
        /// The stream that an opt-out without token means; not given: none
        #[arg(long, value_name = "N", value_parser = stream_number)]
        stream: Option<u16>,
    },
    /// List the mailboxes; without --tenant those of all tenants
    List {
        /// Print at most so many
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
    },
    /// Remove a mailbox; one that the config declares is there again after the next start
    Remove {
        /// Its address
        address: String,
    },
}

/// Names of the columns, and where they are in an item.
const COLUMNS: [(&str, &str); 5] = [
    ("ADDRESS", "/address"),
    ("ROLE", "/role"),
    ("TENANT", "/tenant"),
    ("STREAM", "/stream"),
    ("DECLARED", "/declared"),
];

/// What is said of an empty list.
const NONE: &str = "no mailboxes beside those that every served domain has";

impl MailboxArgs {
    /// Does it and prints the mailboxes.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let json = client.json;
        let answer = match &self.command {
            MailboxCommand::Create {
                address,
                role,
                stream,
            } => client.post(
                "/v1/mailboxes",
                &json!({"address": address, "role": role, "stream": stream}),
            )?,
            MailboxCommand::List { limit } => {
                let all = client.everywhere();
                json!({"items": all.pages("/v1/mailboxes", *limit)?})
            }
            MailboxCommand::Remove { address } => {
                client.delete(&format!("/v1/mailboxes/{}", encoded(address)))?
            }
        };
        if json {
            return print_json(out, &answer);
        }
        let row = |item: &Value| COLUMNS.map(|(_, place)| cell(item, place));
        let names = COLUMNS.map(|(name, _)| name);
        match answer.get("mailbox") {
            Some(mailbox) => print_result(out, cell(&answer, "/result"), names, row(mailbox)),
            None => print_list(out, NONE, names, items(&answer), row),
        }
    }
}
