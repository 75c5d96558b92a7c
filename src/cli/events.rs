//! `desist events`: what was judged, in the order of the feed.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{
    Client, ClientArgs, ClientError, cell, encoded, items, print_json, print_list,
};
use super::held::reporter;
use crate::model::event::{EventKind, Proof};

/// Events of one page.
const PAGE: usize = 1000;

/// List events in the order in which they were stored, the oldest first.
///
/// Filters may be combined. The last line says where the next call goes on.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist events --kind complaint --proof none
  desist events --reporter example.com --json
  desist events --after head      nothing yet, but where what comes from now on will be")]
pub(super) struct EventsArgs {
    /// Only this kind, for instance complaint, unsubscribe or bounce
    #[arg(long)]
    kind: Option<EventKind>,
    /// Only this proof: token, authenticated, operator or none
    #[arg(long)]
    proof: Option<Proof>,
    /// Only this reporter: a domain or a program, as `desist stats --by reporter` or this list names it
    #[arg(long, value_name = "NAME")]
    reporter: Option<String>,
    /// Only about this address, or recipient key of 20 hexadecimal digits
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Only what follows this place: the `next` of a call before
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Print at most so many
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    limit: usize,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

impl EventsArgs {
    /// Asks and prints.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?;
        let parameters = [
            ("kind", self.kind.map(|kind| kind.to_string())),
            ("proof", self.proof.map(|proof| proof.to_string())),
            ("reporter", self.reporter.clone()),
            ("recipient", self.recipient.clone()),
            ("after", self.after.clone()),
        ];
        let query: Vec<String> = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))))
            .collect();
        let (events, next) = found(&client, &query.join("&"), self.limit)?;
        if client.json {
            return print_json(out, &json!({"items": events, "next": next}));
        }
        table(out, &events)?;
        Ok(writeln!(out, "next: --after {next}")?)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 on".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// The events that a query of the feed finds, at most `most`; and the place behind them.
pub(super) fn found(
    client: &Client,
    query: &str,
    most: usize,
) -> Result<(Vec<Value>, String), ClientError> {
    let mut events = Vec::new();
    let mut query = query.to_owned();
    loop {
        let limit = most.saturating_sub(events.len()).clamp(1, PAGE);
        let page = client.get(&format!("/v1/events?limit={limit}&{query}"))?;
        let found = items(&page);
        events.extend(found.iter().cloned());
        let next = cell(&page, "/next");
        if found.len() < limit || events.len() >= most {
            return Ok((events, next));
        }
        let mut kept: Vec<&str> = query.split('&').collect();
        kept.retain(|parameter| !parameter.starts_with("after="));
        query = format!("{}&after={}", kept.join("&"), encoded(&next));
    }
}

/// Events, one a line.
pub(super) fn table(out: &mut dyn Write, events: &[Value]) -> Result<(), ClientError> {
    let names = [
        "AT", "KIND", "DOOR", "PROOF", "FOUND IN", "REPORTER", "RULE", "EFFECT", "RECEIPT",
    ];
    print_list(out, "no events", names, events, |item| {
        [
            cell(item, "/at"),
            cell(item, "/kind"),
            cell(item, "/door"),
            cell(item, "/proof"),
            cell(item, "/found_in"),
            reporter(item),
            cell(item, "/detail/rule"),
            effects(item),
            cell(item, "/receipt"),
        ]
    })
}

/// What an event changed, in few words.
fn effects(item: &Value) -> String {
    let effects = item["effects"].as_array().map_or(&[][..], Vec::as_slice);
    let words = effects.iter().map(|effect| {
        let stops = ["/scope", "/reason", "/because", "/failure"]
            .iter()
            .filter(|member| effect.pointer(member).is_some())
            .map(|member| cell(effect, member));
        let stops: Vec<String> = stops.collect();
        match stops.as_slice() {
            [] => cell(effect, "/effect"),
            some => format!("{} {}", cell(effect, "/effect"), some.join(" ")),
        }
    });
    match words.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "-".to_owned(),
        some => some,
    }
}
