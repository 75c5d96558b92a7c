//! `desist stream`: kinds of mail of a tenant.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{
    ClientArgs, ClientError, cell, items, print_json, print_list, print_result, stream_number,
};
use crate::model::stream::Class;

/// Manage streams: kinds of mail.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StreamArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: StreamCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with streams.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum StreamCommand {
    /// Create a stream, or update the one of that number
    Create {
        /// Its number, 1 to 65535
        #[arg(long, value_name = "N", value_parser = stream_number)]
        number: u16,
        /// Its name: 1 to 64 characters of a-z, 0-9, '.', '_' and '-'
        #[arg(long)]
        name: String,
        /// marketing or transactional; not given: as it was, marketing for a new stream
        #[arg(long)]
        class: Option<Class>,
        /// An opt-out ends this stream itself although it is transactional; not given: as it was,
        /// false for a new stream
        #[arg(
            long,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "true",
            value_name = "BOOL"
        )]
        unsubscribe: Option<bool>,
        /// What readers know it by, 1 to 100 characters; not given: as it was; empty: its name
        #[arg(long)]
        title: Option<String>,
    },
    /// List all streams
    List,
}

/// Names of the columns, and where they are in an item.
const COLUMNS: [(&str, &str); 5] = [
    ("NUMBER", "/number"),
    ("NAME", "/name"),
    ("CLASS", "/class"),
    ("UNSUBSCRIBE", "/unsubscribe"),
    ("TITLE", "/title"),
];

impl StreamArgs {
    /// Does it and prints the streams.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let answer = match &self.command {
            StreamCommand::Create {
                number,
                name,
                class,
                unsubscribe,
                title,
            } => client.post(
                "/v1/streams",
                &json!({"number": number, "name": name,
                    "class": class, "unsubscribe": unsubscribe, "title": title}),
            )?,
            StreamCommand::List => client.get("/v1/streams")?,
        };
        if client.json {
            return print_json(out, &answer);
        }
        let row = |item: &Value| COLUMNS.map(|(_, place)| cell(item, place));
        let names = COLUMNS.map(|(name, _)| name);
        match answer.get("stream") {
            Some(stream) => print_result(out, cell(&answer, "/result"), names, row(stream)),
            None => print_list(out, "no streams", names, items(&answer), row),
        }
    }
}
