//! `desist key`: API keys.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, cell, encoded, items, print_json, print_list};
use crate::store::KeyScope;

/// Manage API keys.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: KeyCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with API keys.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and print it, this once
    Create {
        /// What it is for, in words
        #[arg(long)]
        name: String,
        /// What it may do: check, read, write, admin
        #[arg(
            long = "scope",
            required = true,
            value_delimiter = ',',
            value_name = "SCOPE"
        )]
        scopes: Vec<KeyScope>,
        /// Make a key of the installation, for every tenant
        #[arg(long)]
        installation: bool,
    },
    /// List the keys of the tenant
    List,
    /// Delete a key
    Delete {
        /// Its visible part, as `key list` prints it
        prefix: String,
    },
}

impl KeyArgs {
    /// Does it and prints what became of it.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        match &self.command {
            KeyCommand::Create {
                name,
                scopes,
                installation,
            } => {
                let call = json!({"name": name, "scopes": scopes, "installation": installation});
                let answer = client.post("/v1/keys", &call)?;
                if client.json {
                    return print_json(out, &answer);
                }
                // Alone on its line, so that a script can take it as it is.
                writeln!(out, "{}", cell(&answer, "/key"))?;
                Ok(())
            }
            KeyCommand::List => {
                let answer = client.get("/v1/keys")?;
                if client.json {
                    return print_json(out, &answer);
                }
                let names = ["PREFIX", "SCOPES", "TENANT", "CREATED", "NAME"];
                print_list(
                    out,
                    "no API keys of this tenant",
                    names,
                    items(&answer),
                    row,
                )
            }
            KeyCommand::Delete { prefix } => {
                client.delete(&format!("/v1/keys/{}", encoded(prefix)))?;
                writeln!(out, "deleted")?;
                Ok(())
            }
        }
    }
}

fn row(key: &Value) -> [String; 5] {
    let scopes = key.get("scopes").and_then(Value::as_array);
    let scopes: Vec<&str> = scopes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    [
        cell(key, "/prefix"),
        scopes.join(","),
        cell(key, "/tenant"),
        cell(key, "/created"),
        cell(key, "/name"),
    ]
}
