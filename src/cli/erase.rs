//! `desist erase`: to forget who a recipient is.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::client::{ClientArgs, ClientError, cell, print_json};

/// Erase a recipient's address and all mail known to be of it; what stands against it stays.
///
/// The recipient key stays, so that mail goes on being stopped. What the server has accepted before is
/// waited for. This cannot be taken back.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist erase bob@example.com
  desist check bob@example.com    still suppressed, if it was")]
pub(super) struct EraseArgs {
    /// The address, or the recipient key of 20 hexadecimal digits
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

impl EraseArgs {
    /// Erases and prints what was found.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let answer = client.post("/v1/erase", &json!({"address": self.address}))?;
        if client.json {
            return print_json(out, &answer);
        }
        let counts = ["suppressions", "changes", "events", "receipts", "messages"];
        let counts = counts.map(|name| format!("{} {name}", cell(&answer, &format!("/{name}"))));
        writeln!(out, "erased from {}", counts.join(", "))?;
        let unshipped = cell(&answer, "/unshipped");
        if unshipped != "0" {
            writeln!(
                out,
                "not looked at: {unshipped} receipts that are accepted and not yet stored; erase \
                 again, `/readyz/doors` says when there are none"
            )?;
        }
        let left = cell(&answer, "/left");
        if left != "0" {
            writeln!(
                out,
                "not looked at: {left} receipts that no store takes, of which the server's log says \
                 why; they are tried again when it starts"
            )?;
        }
        let until = cell(&answer, "/journal_until");
        if until != "-" {
            writeln!(out, "the journal keeps what it has shipped until {until}")?;
        }
        writeln!(
            out,
            "the journal's file may hold octets of the mail until other mail is written over them"
        )?;
        Ok(())
    }
}
