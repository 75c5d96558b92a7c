//! `desist held`: review of what waits for an operator.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{ClientArgs, ClientError, cell, encoded, print_json, print_list, print_table};
use super::suppress::say_if_not_indexed;
use crate::model::suppression::Scope;

/// Review what waits for an operator.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HeldArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: HeldCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with holds.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum HeldCommand {
    /// List what waits, the oldest first: without --tenant of all tenants and of none
    List {
        /// Print at most so many
        #[arg(long, default_value_t = 1000, value_name = "N")]
        limit: usize,
        /// Only those of this batch
        #[arg(long, value_name = "BATCH")]
        batch: Option<String>,
    },
    /// Let a hold take effect
    Approve {
        /// Its id, as `held list` prints it
        #[arg(required_unless_present = "batch")]
        id: Option<String>,
        /// All of this batch instead
        #[arg(long, conflicts_with_all = ["id", "address", "scope"], value_name = "BATCH")]
        batch: Option<String>,
        /// Whom it is about, where the hold does not know
        #[arg(long)]
        address: Option<String>,
        /// How much to stop instead of what the hold proposes: all, marketing or stream:N
        #[arg(long)]
        scope: Option<Scope>,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// End a hold without effect
    Dismiss {
        /// Its id, as `held list` prints it
        #[arg(required_unless_present = "batch")]
        id: Option<String>,
        /// All of this batch instead
        #[arg(long, conflicts_with = "id", value_name = "BATCH")]
        batch: Option<String>,
    },
}

impl HeldArgs {
    /// Does it and prints what became of it.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?.everywhere();
        let answer = match &self.command {
            HeldCommand::List { limit, batch } => {
                let filter = batch.as_deref().map(encoded);
                let path = match filter {
                    Some(batch) => format!("/v1/held?batch={batch}"),
                    None => "/v1/held".to_owned(),
                };
                let found = client.pages(&path, *limit)?;
                if client.json {
                    return print_json(out, &json!({"items": found}));
                }
                return print_list(out, NAMES, &found, row);
            }
            HeldCommand::Approve {
                id,
                batch,
                address,
                scope,
                note,
            } => {
                let scope = &scope.map(|scope| scope.to_string());
                let given = [
                    ("batch", batch),
                    ("address", address),
                    ("scope", scope),
                    ("note", note),
                ];
                client.post(&path(id.as_deref(), "approve"), &body(&given))?
            }
            HeldCommand::Dismiss { id, batch } => {
                let given = [("batch", batch)];
                client.post(&path(id.as_deref(), "dismiss"), &body(&given))?
            }
        };
        if client.json {
            return print_json(out, &answer);
        }
        if answer.get("batch").is_some() {
            let names = ["/batch", "/decision", "/decided"];
            print_table(out, &[names.map(|name| cell(&answer, name)).to_vec()])?;
            return say_if_not_indexed(out, &answer);
        }
        let mut row = vec![cell(&answer, "/id"), cell(&answer, "/decision")];
        if answer.get("suppression").is_some_and(Value::is_object) {
            let parts = ["/recipient", "/scope", "/reason"];
            row.extend(parts.map(|part| cell(&answer, &format!("/suppression{part}"))));
        }
        print_table(out, &[row])?;
        say_if_not_indexed(out, &answer)
    }
}

/// Where one hold is decided, or a batch.
fn path(id: Option<&str>, decision: &str) -> String {
    match id {
        Some(id) => format!("/v1/held/{}/{decision}", encoded(id)),
        None => format!("/v1/held/{decision}"),
    }
}

fn body(given: &[(&str, &Option<String>)]) -> Value {
    let mut call = Map::new();
    for (name, value) in given {
        if let Some(value) = value {
            call.insert((*name).to_owned(), value.as_str().into());
        }
    }
    Value::Object(call)
}

const NAMES: [&str; 10] = [
    "ID",
    "AT",
    "TENANT",
    "KIND",
    "SCOPE",
    "BECAUSE",
    "RECIPIENT",
    "ADDRESS",
    "REPORTER",
    "BATCH",
];

fn row(item: &Value) -> [String; 10] {
    let effects = item.pointer("/event/effects").and_then(Value::as_array);
    let hold = effects
        .into_iter()
        .flatten()
        .find(|effect| cell(effect, "/effect") == "hold");
    let hold = hold.unwrap_or(&Value::Null);
    [
        cell(item, "/id"),
        cell(item, "/event/at"),
        cell(item, "/event/tenant"),
        cell(item, "/event/kind"),
        cell(hold, "/scope"),
        cell(hold, "/because"),
        cell(item, "/event/recipient"),
        cell(item, "/event/address"),
        reporter(item),
        cell(item, "/batch"),
    ]
}

/// What the report calls its maker, or who sent it.
fn reporter(item: &Value) -> String {
    match cell(item, "/event/detail/user_agent").as_str() {
        "-" => cell(item, "/event/detail/reporter"),
        named => named.to_owned(),
    }
}
