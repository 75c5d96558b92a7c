//! `desist check`: may these addresses be mailed?

mod file;

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::client::{
    Client, ClientArgs, ClientError, Outcome, cell, if_read, print_json, print_table, stream_number,
};

/// Ask whether addresses may be mailed.
///
/// Exit codes: 0, every address may be mailed; 3, at least one is suppressed; 1, at least one could
/// not be checked, or nothing could: what is unknown is never allowed; 2, a mistake on the command
/// line.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CheckArgs {
    /// Addresses to ask about
    #[arg(required_unless_present = "file", value_name = "ADDRESS")]
    pub(super) addresses: Vec<String>,
    /// A list of any length, an address a line (- is standard input): prints those that may be
    /// mailed, and on standard error what it came to
    #[arg(long, value_name = "FILE", conflicts_with = "addresses")]
    pub(super) file: Option<PathBuf>,
    /// Of --file print those that must not be mailed, what is no address among them
    #[arg(long, requires = "file", conflicts_with = "addresses")]
    pub(super) suppressed: bool,
    /// The stream to be mailed; without it any scope counts
    #[arg(long, value_name = "N", value_parser = stream_number)]
    pub(super) stream: Option<u16>,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

impl CheckArgs {
    /// Asks and prints one line an address.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<Outcome, ClientError> {
        let unknown = |cause| ClientError::NotAsked(Box::new(cause));
        let client = self.client.connect(data_dir).map_err(unknown)?;
        if let Some(file) = &self.file {
            let mut out = BufWriter::with_capacity(64 * 1024, out);
            return file::run(self, file, &client, (&mut out, &mut io::stderr().lock()));
        }
        let mut call = json!({"addresses": self.addresses});
        if let (Some(stream), Some(members)) = (self.stream, call.as_object_mut()) {
            members.insert("stream".to_owned(), stream.into());
        }
        let answer = client.post("/v1/check", &call).map_err(unknown)?;
        let outcome = self.outcome(&client, &answer);
        let printed = if client.json {
            print_json(out, &answer)
        } else {
            self.print(out, &answer)
        };
        // A reader who has read enough does not change the answer.
        if_read(printed)?;
        outcome
    }

    /// What the answer comes to. One that does not speak of every address allows nothing.
    fn outcome(&self, client: &Client, answer: &Value) -> Result<Outcome, ClientError> {
        let all = self.addresses.len();
        let length = |list| answer.get(list).and_then(Value::as_array).map(Vec::len);
        let checked = answer.get("checked").and_then(Value::as_u64);
        match (length("errors"), length("suppressed")) {
            _ if checked != u64::try_from(all).ok() => Err(client.stranger()),
            (Some(0), Some(0)) => Ok(Outcome::Yes),
            (Some(0), Some(_)) => Ok(Outcome::No),
            (Some(unknown), Some(_)) => Err(ClientError::Unchecked { unknown, all }),
            (None, _) | (_, None) => Err(client.stranger()),
        }
    }

    fn print(&self, out: &mut dyn Write, answer: &Value) -> Result<(), ClientError> {
        let suppressed = by_index(answer, "suppressed");
        let errors = by_index(answer, "errors");
        let rows: Vec<Vec<String>> = (0_u64..)
            .zip(&self.addresses)
            .map(|(index, address)| {
                let mut row = vec![address.clone()];
                if let Some(hit) = suppressed.get(&index) {
                    row.push("suppressed".to_owned());
                    row.extend(["/scope", "/reason", "/since"].map(|part| cell(hit, part)));
                } else if let Some(error) = errors.get(&index) {
                    row.push("error".to_owned());
                    row.push(cell(error, "/error"));
                } else {
                    row.push("allowed".to_owned());
                }
                row
            })
            .collect();
        print_table(out, &rows)
    }
}

fn by_index<'a>(answer: &'a Value, list: &str) -> HashMap<u64, &'a Value> {
    let items = answer.get(list).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(|item| Some((item.get("index")?.as_u64()?, item)))
        .collect()
}
