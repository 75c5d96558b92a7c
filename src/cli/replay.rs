//! `desist replay`: reads kept receipts again with today's reader and rules.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{Client, ClientArgs, ClientError, print_json, print_list};
use super::progress::Progress;
use crate::model::clock::Timestamp;

/// Read kept receipts again with today's reader and rules, and correct what they changed.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReplayArgs {
    /// Only what was accepted then or later, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was accepted before then, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Change nothing, only print what would change
    #[arg(long)]
    dry_run: bool,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

/// What all pages came to.
#[derive(Debug, Default)]
struct Total {
    numbers: BTreeMap<&'static str, u64>,
    rules: BTreeMap<(String, String), u64>,
}

const NUMBERS: [&str; 7] = [
    "read", "not_kept", "changed", "unmade", "made", "lifted", "begun",
];

impl ReplayArgs {
    /// Prints the difference; then applies it, unless it is a dry run.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?.everywhere();
        let difference = self.pass(&client, true)?;
        if !client.json {
            difference.print(out)?;
        }
        let applied = if self.dry_run || difference.of("changed") == 0 {
            difference
        } else {
            self.pass(&client, false)?
        };
        if client.json {
            return print_json(out, &applied.json());
        }
        if !self.dry_run {
            let (lifted, begun) = (applied.of("lifted"), applied.of("begun"));
            writeln!(out, "{lifted} lifted, {begun} begun")?;
        }
        Ok(())
    }

    fn pass(&self, client: &Client, dry_run: bool) -> Result<Total, ClientError> {
        let progress = Progress::start("receipts read");
        let mut total = Total::default();
        let mut after = Value::Null;
        loop {
            let mut call = Map::new();
            call.insert("dry_run".to_owned(), dry_run.into());
            for (name, time) in [("since", self.since), ("until", self.until)] {
                if let Some(time) = time {
                    call.insert(name.to_owned(), time.to_string().into());
                }
            }
            if !after.is_null() {
                call.insert("after".to_owned(), after);
            }
            let answer = client.post("/v1/replay", &Value::Object(call))?;
            total.add(&answer);
            progress.at(total.of("read"));
            after = answer.get("next").cloned().unwrap_or_default();
            if after.is_null() {
                return Ok(total);
            }
        }
    }
}

impl Total {
    fn of(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    fn add(&mut self, answer: &Value) {
        for name in NUMBERS {
            let number = answer.get(name).and_then(Value::as_u64).unwrap_or(0);
            *self.numbers.entry(name).or_default() += number;
        }
        let rules = answer.get("rules").and_then(Value::as_array);
        for rule in rules.into_iter().flatten() {
            let text = |name: &str| {
                let text = rule.get(name).and_then(Value::as_str);
                text.unwrap_or("-").to_owned()
            };
            let events = rule.get("events").and_then(Value::as_u64).unwrap_or(0);
            *self
                .rules
                .entry((text("before"), text("today")))
                .or_default() += events;
        }
    }

    fn print(&self, out: &mut dyn Write) -> Result<(), ClientError> {
        let rules: Vec<Value> = self.rules_json();
        let names = ["BEFORE", "TODAY", "EVENTS"];
        print_list(out, "no rule says anything else", names, &rules, |rule| {
            ["before", "today", "events"].map(|name| match rule.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            })
        })?;
        writeln!(
            out,
            "{} receipts read, {} without raw bytes, {} say something else today: \
             {} suppressions would not have been made, {} new ones",
            self.of("read"),
            self.of("not_kept"),
            self.of("changed"),
            self.of("unmade"),
            self.of("made"),
        )?;
        Ok(())
    }

    fn rules_json(&self) -> Vec<Value> {
        let rules = self.rules.iter();
        rules
            .map(|((before, today), events)| {
                json!({"before": before, "today": today, "events": events})
            })
            .collect()
    }

    fn json(&self) -> Value {
        let mut all: Map<String, Value> = Map::new();
        for name in NUMBERS {
            all.insert(name.to_owned(), self.of(name).into());
        }
        all.insert("rules".to_owned(), self.rules_json().into());
        Value::Object(all)
    }
}
