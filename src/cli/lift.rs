//! `desist lift`: to end suppressions.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{ClientArgs, ClientError, cell, items, print_json, print_table};
use super::suppress::{refused, say_if_not_indexed};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};

/// Lift suppressions: they end and stay in the history.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LiftArgs {
    /// Addresses, or recipient keys of 20 hexadecimal digits
    #[arg(required = true, value_name = "ADDRESS")]
    pub(super) addresses: Vec<String>,
    /// Only this scope: all, marketing or stream:N
    #[arg(long)]
    pub(super) scope: Option<Scope>,
    /// Only this reason: complaint, unsubscribe, bounce, manual or import
    #[arg(long)]
    pub(super) reason: Option<Reason>,
    /// Why, in words; kept in the history
    #[arg(long, value_name = "TEXT")]
    pub(super) note: String,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

impl LiftArgs {
    /// Lifts and prints what ended.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let named: Vec<Value> = self.addresses.iter().map(|text| self.item(text)).collect();
        let call = json!({"items": named, "note": self.note});
        let answer = client.post("/v1/suppressions/lift", &call)?;
        if client.json {
            print_json(out, &answer)?;
        } else {
            let rows = self.addresses.iter().zip(items(&answer));
            let rows = rows.map(|(address, item)| vec![address.clone(), outcome(item)]);
            print_table(out, &rows.collect::<Vec<_>>())?;
            say_if_not_indexed(out, &answer)?;
        }
        refused(&answer)
    }

    fn item(&self, text: &str) -> Value {
        let whom = if text.parse::<RecipientKey>().is_ok() {
            "recipient"
        } else {
            "address"
        };
        let mut item = Map::new();
        item.insert(whom.to_owned(), text.into());
        if let Some(scope) = self.scope {
            item.insert("scope".to_owned(), scope.to_string().into());
        }
        if let Some(reason) = self.reason {
            item.insert("reason".to_owned(), reason.as_str().into());
        }
        Value::Object(item)
    }
}

fn outcome(item: &Value) -> String {
    if item.get("error").is_some() {
        return format!("error: {}", cell(item, "/error"));
    }
    let ended = item.get("lifted").and_then(Value::as_array);
    let ended: Vec<String> = ended
        .into_iter()
        .flatten()
        .map(|one| format!("{} ({})", cell(one, "/scope"), cell(one, "/reason")))
        .collect();
    if ended.is_empty() {
        "nothing stood".to_owned()
    } else {
        format!("lifted {}", ended.join(", "))
    }
}
