//! `desist signing-key`: the keys that tokens are signed with.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, cell, items, print_json, print_list, print_table};

/// Lists and exports the keys that tokens are signed with.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SigningKeyArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: SigningKeyCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with signing keys.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum SigningKeyCommand {
    /// Print what a sender needs to mint tokens by itself: secrets, handle them so
    Export,
    /// List serials and states
    List,
}

impl SigningKeyArgs {
    /// Does it and prints the keys.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let answer = match self.command {
            SigningKeyCommand::Export => client.post("/v1/signing-keys/export", &json!({}))?,
            SigningKeyCommand::List => client.get("/v1/signing-keys")?,
        };
        if client.json {
            return print_json(out, &answer);
        }
        match self.command {
            SigningKeyCommand::Export => {
                let names = [
                    "tenant",
                    "serial",
                    "signing_key",
                    "generation",
                    "address_key",
                ];
                let row = |name: &str| vec![name.to_owned(), cell(&answer, &format!("/{name}"))];
                print_table(out, &names.map(row))
            }
            SigningKeyCommand::List => {
                let columns = ["/serial", "/state", "/generation"];
                let names = ["SERIAL", "STATE", "GENERATION"];
                let row = |item: &Value| columns.map(|column| cell(item, column));
                print_list(out, names, items(&answer), row)
            }
        }
    }
}
