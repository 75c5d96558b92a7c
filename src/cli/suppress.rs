//! `desist suppress`: suppressions by hand.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, cell, items, note, print_json, print_table};
use crate::model::suppression::{Reason, Scope};

/// Suppress addresses: do not send to them.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SuppressArgs {
    /// Addresses to suppress
    #[arg(required = true, value_name = "ADDRESS")]
    pub(super) addresses: Vec<String>,
    /// How much to stop: all, marketing or stream:N; not given: all, no mail at all is sent then
    #[arg(long)]
    pub(super) scope: Option<Scope>,
    /// Why: manual, complaint, unsubscribe, bounce or import
    #[arg(long, default_value = "manual")]
    pub(super) reason: Reason,
    /// Why, in words
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(super) note: String,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

impl SuppressArgs {
    /// Suppresses and prints what became of each address.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let scope = self.scope.unwrap_or(Scope::All);
        let suppressions: Vec<Value> = self
            .addresses
            .iter()
            .map(|address| {
                json!({"address": address, "scope": scope.to_string(), "reason": self.reason,
                    "note": self.note})
            })
            .collect();
        let answer = client.post("/v1/suppressions", &json!({"suppressions": suppressions}))?;
        if client.json {
            print_json(out, &answer)?;
        } else {
            let rows = self
                .addresses
                .iter()
                .zip(items(&answer))
                .map(|(address, item)| {
                    let what = if item.get("error").is_some() {
                        "/error"
                    } else {
                        "/recipient"
                    };
                    let result = cell(item, "/result");
                    vec![address.clone(), result, scope.to_string(), cell(item, what)]
                });
            print_table(out, &rows.collect::<Vec<_>>())?;
            if self.scope.is_none() {
                note(
                    "scope all: no mail at all is to be sent, not even receipts or passwords; \
                     --scope marketing or stream:N stops less",
                )?;
            }
            say_if_not_indexed(out, &answer)?;
        }
        refused(&answer)
    }
}

/// Says that a check may not show a change yet.
pub(super) fn say_if_not_indexed(out: &mut dyn Write, answer: &Value) -> Result<(), ClientError> {
    if answer.get("indexed") == Some(&Value::Bool(false)) {
        writeln!(out, "stored, but this server's checks do not show it yet")?;
    }
    Ok(())
}

/// An error if any item was refused.
pub(super) fn refused(answer: &Value) -> Result<(), ClientError> {
    let all = items(answer);
    let wrong = all.iter().filter(|item| item.get("error").is_some());
    match wrong.count() {
        0 => Ok(()),
        refused => Err(ClientError::Items {
            refused,
            all: all.len(),
        }),
    }
}
