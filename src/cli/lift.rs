//! `desist lift`: to end suppressions.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{Client, ClientArgs, ClientError, cell, items, print_json, print_table};
use super::suppress::{refused, say_if_not_indexed};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope};

/// Lift suppressions: they end and stay in the history.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LiftArgs {
    /// Addresses, or recipient keys of 20 hexadecimal digits
    #[arg(required_unless_present = "reason", value_name = "ADDRESS")]
    pub(super) addresses: Vec<String>,
    /// Only this scope: all, marketing or stream:N
    #[arg(long)]
    pub(super) scope: Option<Scope>,
    /// Only this reason: complaint, unsubscribe, bounce, manual or import
    #[arg(long)]
    pub(super) reason: Option<Reason>,
    /// Without addresses: only bounces of this class, for instance bad-mailbox
    #[arg(long, conflicts_with = "addresses")]
    pub(super) class: Option<BounceClass>,
    /// Without addresses: only bounces of this provider, the domain of its servers
    #[arg(long, conflicts_with = "addresses", value_name = "DOMAIN")]
    pub(super) provider: Option<String>,
    /// Without addresses: only what stands since then or later, RFC 3339
    #[arg(long, conflicts_with = "addresses", value_name = "TIME")]
    pub(super) since: Option<Timestamp>,
    /// Without addresses: only what stands since before then, RFC 3339
    #[arg(long, conflicts_with = "addresses", value_name = "TIME")]
    pub(super) until: Option<Timestamp>,
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
        if self.addresses.is_empty() {
            return self.run_filter(&client, out);
        }
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

    /// Lifts all that the filter finds.
    fn run_filter(&self, client: &Client, out: &mut dyn Write) -> Result<(), ClientError> {
        let mut filter = Map::new();
        let given = [
            ("reason", self.reason.map(|reason| reason.to_string())),
            ("scope", self.scope.map(|scope| scope.to_string())),
            ("class", self.class.map(|class| class.to_string())),
            ("provider", self.provider.clone()),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                filter.insert(name.to_owned(), value.into());
            }
        }
        let call = json!({"filter": filter, "note": self.note});
        let answer = client.post("/v1/suppressions/lift", &call)?;
        if client.json {
            return print_json(out, &answer);
        }
        writeln!(out, "lifted {}", cell(&answer, "/lifted"))?;
        say_if_not_indexed(out, &answer)
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
