//! `desist list`: what stands.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, cell, encoded, print_json, print_list};
use crate::model::suppression::{Reason, Scope};

/// List standing suppressions.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ListArgs {
    /// Only this scope: all, marketing or stream:N
    #[arg(long)]
    pub(super) scope: Option<Scope>,
    /// Only this reason: complaint, unsubscribe, bounce, manual or import
    #[arg(long)]
    pub(super) reason: Option<Reason>,
    /// Print at most so many
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(super) limit: usize,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

impl ListArgs {
    /// Lists and prints one line a suppression.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let filters = [
            ("scope", self.scope.map(|scope| scope.to_string())),
            ("reason", self.reason.map(|reason| reason.to_string())),
        ];
        let query: Vec<String> = filters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))))
            .collect();
        let path = match query.as_slice() {
            [] => "/v1/suppressions".to_owned(),
            some => format!("/v1/suppressions?{}", some.join("&")),
        };
        let found = client.pages(&path, self.limit)?;
        if client.json {
            return print_json(out, &json!({"items": found}));
        }
        let columns = ["/recipient", "/address", "/scope", "/reason", "/since"];
        let names = ["RECIPIENT", "ADDRESS", "SCOPE", "REASON", "SINCE"];
        let row = |item: &Value| columns.map(|column| cell(item, column));
        let nothing = match (self.scope, self.reason) {
            (None, None) => "nothing is suppressed",
            (Some(_), None) => "nothing is suppressed in that scope",
            (None, Some(_)) => "nothing is suppressed for that reason",
            (Some(_), Some(_)) => "nothing is suppressed in that scope for that reason",
        };
        print_list(out, nothing, names, &found, row)
    }
}
