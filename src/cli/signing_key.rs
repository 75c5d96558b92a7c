//! `desist signing-key`: the keys that tokens are signed with.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{
    Client, ClientArgs, ClientError, cell, items, print_json, print_list, print_result, print_table,
};

/// Manage the keys that tokens are signed with.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist signing-key rotate                 tokens minted by the server: one step
  desist signing-key create                 a sender that mints by itself: make the next key,
  desist signing-key export                 give it to the sender, and when the sender has
  desist signing-key retire 1               switched, retire the old one
  desist signing-key revoke 1 --replace     the key has leaked

What was signed with a retired key is good for ever. What was signed with a revoked key is answered
as before, but proves nothing: it is held for you to decide.")]
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
    /// Make the next key: the server mints with it from now on
    Create {
        /// Mint with a new address key too
        #[arg(long)]
        new_address_key: bool,
    },
    /// Make the next key and retire all that were active, in one step
    Rotate {
        /// Mint with a new address key too
        #[arg(long)]
        new_address_key: bool,
    },
    /// Print what a sender needs to mint tokens by itself: secrets, handle them so
    Export,
    /// List serials and states
    List,
    /// Let a key mint no longer; what it has signed is good for ever
    Retire {
        /// Its serial, as `signing-key list` prints it
        serial: u32,
    },
    /// Let a key prove nothing any longer, because it has leaked
    Revoke {
        /// Its serial
        serial: u32,
        /// Make the next key in the same step
        #[arg(long)]
        replace: bool,
    },
    /// Let a key mint again, or undo its retiring or revoking
    Activate {
        /// Its serial
        serial: u32,
    },
}

/// Names of the columns, and where they are in an item.
const COLUMNS: [(&str, &str); 3] = [
    ("SERIAL", "/serial"),
    ("STATE", "/state"),
    ("GENERATION", "/generation"),
];

impl SigningKeyArgs {
    /// Does it and prints the keys.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let answer = self.command.ask(&client)?;
        if client.json {
            return print_json(out, &answer);
        }
        let names = COLUMNS.map(|(name, _)| name);
        let row = |item: &Value| COLUMNS.map(|(_, place)| cell(item, place));
        if let Some(key) = answer.get("signing_key").filter(|key| key.is_object()) {
            return print_result(out, cell(&answer, "/result"), names, row(key));
        }
        match self.command {
            SigningKeyCommand::Export => {
                let members = [
                    "tenant",
                    "serial",
                    "signing_key",
                    "generation",
                    "address_key",
                ];
                let row = |name: &str| vec![name.to_owned(), cell(&answer, &format!("/{name}"))];
                print_table(out, &members.map(row))
            }
            _ => print_list(out, "no signing keys", names, items(&answer), row),
        }
    }
}

impl SigningKeyCommand {
    fn ask(&self, client: &Client) -> Result<Value, ClientError> {
        let set = |serial: u32, state: &str| {
            let path = format!("/v1/signing-keys/{serial}");
            client.post(&path, &json!({"state": state}))
        };
        match *self {
            Self::Create { new_address_key } => client.post(
                "/v1/signing-keys",
                &json!({"new_address_key": new_address_key}),
            ),
            Self::Rotate { new_address_key } => client.post(
                "/v1/signing-keys",
                &json!({"new_address_key": new_address_key, "retire": active(client)?}),
            ),
            Self::Export => client.post("/v1/signing-keys/export", &json!({})),
            Self::List => client.get("/v1/signing-keys"),
            Self::Retire { serial } => set(serial, "retired"),
            Self::Revoke {
                serial,
                replace: true,
            } => client.post("/v1/signing-keys", &json!({"revoke": [serial]})),
            Self::Revoke { serial, .. } => set(serial, "revoked"),
            Self::Activate { serial } => set(serial, "active"),
        }
    }
}

/// Serials of the keys that mint.
fn active(client: &Client) -> Result<Vec<Value>, ClientError> {
    let keys = client.get("/v1/signing-keys")?;
    let active = items(&keys)
        .iter()
        .filter(|key| key.get("state").and_then(Value::as_str) == Some("active"));
    Ok(active
        .filter_map(|key| key.get("serial"))
        .cloned()
        .collect())
}
