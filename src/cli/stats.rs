//! `desist stats`: sums of what came in, as a table with bars, JSON or CSV.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{
    Client, ClientArgs, ClientError, cell, encoded, note, print_json, print_table, stream_number,
};
use crate::model::clock::Timestamp;
use crate::store::Span;

/// Sums at most in one table.
const MOST: usize = 10_000;

/// Columns of the longest bar.
const BAR: usize = 30;

/// What the bars show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Plot {
    Complaints,
    UnmatchedComplaints,
    Unsubscribes,
    Bounces,
    Delivered,
    Held,
}

impl Plot {
    /// The member of a sum.
    const fn member(self) -> &'static str {
        match self {
            Self::Complaints => "complaints",
            Self::UnmatchedComplaints => "unmatched_complaints",
            Self::Unsubscribes => "unsubscribes",
            Self::Bounces => "bounces",
            Self::Delivered => "delivered",
            Self::Held => "held",
        }
    }
}

/// Sum complaints, opt-outs, bounces and what was delivered.
///
/// By day or hour, stream, provider or reporter. The rate is complaints against what was told to be
/// delivered (`POST /v1/events`).
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist stats
  desist stats --per hour --plot bounces
  desist stats --by provider,stream --since 2026-11-01T00:00:00Z
  desist stats --by reporter --plot unmatched_complaints
  desist stats --by time,provider --csv > stats.csv")]
pub(super) struct StatsArgs {
    /// What is told apart: time, tenant, stream, provider, reporter, separated by commas; or total
    #[arg(long, default_value = "time", value_name = "WHAT")]
    by: String,
    /// Of what time is made: hour or day
    #[arg(long, default_value = "day")]
    per: Span,
    /// Hours or days that begin then or later, RFC 3339; 30 days back, of hours one day
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Hours or days that begin before then, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only this stream, by its number
    #[arg(long, value_parser = stream_number, value_name = "NUMBER")]
    stream: Option<u16>,
    /// Only this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only this reporter
    #[arg(long, value_name = "NAME")]
    reporter: Option<String>,
    /// What the bars show
    #[arg(long, default_value = "complaints", value_name = "WHAT")]
    plot: Plot,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

impl StatsArgs {
    /// Asks and prints.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let client = if self.by.split(',').any(|word| word == "tenant") {
            client.everywhere()
        } else {
            client
        };
        let path = self.path();
        if self.csv {
            let text = client.text(&format!("{path}&format=csv"))?;
            return Ok(out.write_all(text.as_bytes())?);
        }
        let found = client.pages(&path, MOST)?;
        if client.json {
            return print_json(out, &json!({"items": found}));
        }
        self.print(&client, &found, out)
    }

    fn path(&self) -> String {
        let parameters = [
            ("since", self.since.map(|time| time.to_string())),
            ("until", self.until.map(|time| time.to_string())),
            ("stream", self.stream.map(|number| number.to_string())),
            ("provider", self.provider.clone()),
            ("reporter", self.reporter.clone()),
        ];
        let parameters = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("&{name}={}", encoded(&value?))));
        let parameters: String = parameters.collect();
        let by = encoded(&self.by);
        format!("/v1/stats?by={by}&per={}{parameters}", self.per)
    }

    fn print(
        &self,
        client: &Client,
        found: &[Value],
        out: &mut dyn Write,
    ) -> Result<(), ClientError> {
        let Some(first) = found.first().and_then(Value::as_object) else {
            return note("nothing came in, of what is asked for, within that time");
        };
        let apart: Vec<&str> = ["time", "tenant", "stream", "provider", "reporter"]
            .into_iter()
            .filter(|name| first.contains_key(*name))
            .collect();
        let plotted = |item: &Value| item.get(self.plot.member()).and_then(Value::as_u64);
        let most = found.iter().filter_map(plotted).max();
        let most = most.ok_or_else(|| client.stranger())?;
        let sums = [
            "/delivered",
            "/complaints",
            "/complaint_rate",
            "/unmatched_complaints",
        ];
        let more = ["/unsubscribes", "/bounces", "/held"];
        let mut header: Vec<String> = apart.iter().map(|name| name.to_uppercase()).collect();
        header.extend(
            [
                "DELIVERED",
                "COMPLAINTS",
                "RATE",
                "UNMATCHED",
                "UNSUBSCRIBES",
                "BOUNCES",
                "HELD",
            ]
            .map(str::to_owned),
        );
        header.push(self.plot.member().to_owned());
        let mut rows = vec![header];
        for item in found {
            let mut row: Vec<String> = apart
                .iter()
                .map(|name| cell(item, &format!("/{name}")))
                .collect();
            for name in sums.iter().chain(&more) {
                row.push(match *name {
                    "/complaint_rate" => percent(item.pointer(name)),
                    name => cell(item, name),
                });
            }
            row.push(bar(plotted(item).unwrap_or_default(), most));
            rows.push(row);
        }
        print_table(out, &rows)
    }
}

fn percent(rate: Option<&Value>) -> String {
    match rate.and_then(Value::as_f64) {
        Some(rate) => format!("{:.3} %", rate * 100.0),
        None => "-".to_owned(),
    }
}

/// A bar in eighths of a column; whatever is more than nothing is seen.
fn bar(value: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let whole = u128::try_from(BAR * 8).unwrap_or_default();
    let eighths = (u128::from(value) * whole).checked_div(u128::from(most));
    let eighths = usize::try_from(eighths.unwrap_or_default()).unwrap_or_default();
    let eighths = eighths.max(usize::from(value > 0));
    let last = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{last}", "█".repeat(eighths / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_what_they_show() {
        for (value, most, columns) in [
            (0, 0, 0),
            (0, 10, 0),
            (1, 1_000_000, 1),
            (5, 10, 15),
            (10, 10, 30),
            (u64::MAX, u64::MAX, 30),
        ] {
            assert_eq!(
                bar(value, most).chars().count(),
                columns,
                "{value} of {most}"
            );
        }
        assert_eq!(bar(1, 16), "█▉");
    }

    #[test]
    fn a_rate_is_told_in_percent() {
        assert_eq!(percent(Some(&json!(0.000_75))), "0.075 %");
        assert_eq!(percent(Some(&Value::Null)), "-");
    }
}
