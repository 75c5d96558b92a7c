//! `desist evidence`: all that is known of one recipient, and why.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, cell, encoded, items, print_json, print_list};
use super::events::{found, table};

/// Show all that is known of one recipient: what stands, what was lifted by whom and why, and every
/// event with where it came from.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist evidence bob@example.com
  desist evidence 0f1e2d3c4b5a69788796 --json
  desist mail show RECEIPT        the mail itself, as text")]
pub(super) struct EvidenceArgs {
    /// The address, or the recipient key of 20 hexadecimal digits
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

impl EvidenceArgs {
    /// Asks and prints.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let whom = encoded(&self.address);
        let about = client.get(&format!("/v1/suppressions/{whom}"))?;
        let (events, _) = found(&client, &format!("recipient={whom}"), usize::MAX)?;
        if client.json {
            return print_json(out, &json!({"about": about, "events": events}));
        }
        print(out, &about, &events)
    }
}

fn print(out: &mut dyn Write, about: &Value, events: &[Value]) -> Result<(), ClientError> {
    writeln!(out, "recipient {}", cell(about, "/recipient"))?;
    match about.get("suppressed") {
        None | Some(Value::Null) => writeln!(out, "nothing stands: mail may be sent")?,
        Some(stands) => writeln!(
            out,
            "suppressed: {} ({}) since {}",
            cell(stands, "/scope"),
            cell(stands, "/reason"),
            cell(stands, "/since")
        )?,
    }
    let all = items(about);
    let (lifted, stands): (Vec<Value>, Vec<Value>) = all
        .iter()
        .cloned()
        .partition(|item| !item["lifted"].is_null());
    if !stands.is_empty() {
        writeln!(out, "\nStands:")?;
        let columns = ["/scope", "/reason", "/since", "/event", "/note"];
        let names = ["SCOPE", "REASON", "SINCE", "EVENT", "NOTE"];
        print_list(out, "", names, &stands, |item| {
            columns.map(|column| cell(item, column))
        })?;
    }
    if !lifted.is_empty() {
        writeln!(out, "\nLifted:")?;
        let columns = ["/scope", "/reason", "/since", "/lifted/at", "/lifted/note"];
        let names = ["SCOPE", "REASON", "SINCE", "LIFTED", "WHY"];
        print_list(out, "", names, &lifted, |item| {
            columns.map(|column| cell(item, column))
        })?;
    }
    if events.is_empty() {
        writeln!(
            out,
            "no events: nothing that came in is about this recipient"
        )?;
    } else {
        writeln!(out, "\nEvents:")?;
        table(out, events)?;
        writeln!(out, "\n`desist mail show RECEIPT` shows the mail.")?;
    }
    Ok(())
}
