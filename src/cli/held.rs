//! `desist held`: review of what waits for an operator.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{
    Client, ClientArgs, ClientError, cell, encoded, print_json, print_list, print_table,
};
use super::progress::Progress;
use super::suppress::say_if_not_indexed;
use crate::model::clock::Timestamp;
use crate::model::event::{EventKind, HoldReason};
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
    /// Let a hold take effect, or all that a filter finds
    #[command(group = which())]
    Approve {
        /// Its id, as `held list` prints it
        #[arg(conflicts_with_all = TOGETHER)]
        id: Option<String>,
        /// All of this batch instead
        #[arg(long, conflicts_with_all = FILTER, value_name = "BATCH")]
        batch: Option<String>,
        /// Whom it is about, where the hold does not know
        #[arg(long, requires = "id")]
        address: Option<String>,
        /// How much to stop instead of what the hold proposes: all, marketing or stream:N
        #[arg(long, requires = "id")]
        scope: Option<Scope>,
        /// Why, in words; kept in the history, and required with a filter
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// All that it finds instead
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// End a hold without effect, or all that a filter finds
    #[command(group = which())]
    Dismiss {
        /// Its id, as `held list` prints it
        #[arg(conflicts_with_all = TOGETHER)]
        id: Option<String>,
        /// All of this batch instead
        #[arg(long, conflicts_with_all = FILTER, value_name = "BATCH")]
        batch: Option<String>,
        /// Why, in words; required with a filter
        #[arg(long, conflicts_with_all = ["id", "batch"], value_name = "TEXT")]
        note: Option<String>,
        /// All that it finds instead
        #[command(flatten)]
        filter: FilterArgs,
    },
}

/// What is decided together.
const TOGETHER: [&str; 6] = ["batch", "reporter", "kind", "because", "since", "until"];

/// One hold, or what is decided together: a mistake names them all.
fn which() -> clap::ArgGroup {
    let group = clap::ArgGroup::new("which").arg("id").args(TOGETHER);
    group.multiple(true).required(true)
}

/// What makes a filter.
const FILTER: [&str; 5] = ["reporter", "kind", "because", "since", "until"];

/// Which holds, instead of one.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct FilterArgs {
    /// All that this reporter sent, as `held list` shows it, or by its domain
    #[arg(long, value_name = "NAME")]
    reporter: Option<String>,
    /// All of this kind, for instance complaint
    #[arg(long, value_name = "KIND")]
    kind: Option<EventKind>,
    /// All that wait for this reason, for instance unproven
    #[arg(long, value_name = "REASON")]
    because: Option<HoldReason>,
    /// Only what was accepted then or later, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was accepted before then, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Decide nothing, only count what would be
    #[arg(long, conflicts_with_all = ["id", "batch"])]
    dry_run: bool,
}

impl FilterArgs {
    /// The members of the call's filter; none if no filter was given.
    fn members(&self) -> Map<String, Value> {
        let given = [
            ("reporter", self.reporter.clone()),
            ("kind", self.kind.map(|kind| kind.to_string())),
            ("because", self.because.map(|because| because.to_string())),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
            .collect()
    }
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
                let nothing = match batch {
                    Some(_) => "nothing is held in that batch",
                    None => "nothing is held",
                };
                return print_list(out, nothing, NAMES, &found, row);
            }
            HeldCommand::Approve { filter, note, .. } if !filter.members().is_empty() => {
                return together(&client, out, ("approve", filter, note.as_deref()));
            }
            HeldCommand::Dismiss { filter, note, .. } if !filter.members().is_empty() => {
                return together(&client, out, ("dismiss", filter, note.as_deref()));
            }
            HeldCommand::Approve {
                id,
                batch,
                address,
                scope,
                note,
                ..
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
            HeldCommand::Dismiss { id, batch, .. } => {
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

/// Decides all that a filter finds, page by page; broken off, it can be called again.
fn together(
    client: &Client,
    out: &mut dyn Write,
    (decision, filter, note): (&str, &FilterArgs, Option<&str>),
) -> Result<(), ClientError> {
    let progress = Progress::start("decided");
    let (mut decided, mut nameless, mut indexed) = (0, 0, true);
    let mut after = Value::Null;
    loop {
        let mut call = json!({"filter": filter.members(), "note": note.unwrap_or_default(),
            "dry_run": filter.dry_run});
        if let (false, Some(members)) = (after.is_null(), call.as_object_mut()) {
            members.insert("after".to_owned(), after);
        }
        let answer = client.post(&path(None, decision), &call)?;
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        decided += number("decided");
        nameless += number("nameless");
        indexed &= answer.get("indexed") == Some(&Value::Bool(true));
        progress.at(decided);
        after = answer.get("next").cloned().unwrap_or_default();
        if after.is_null() {
            break;
        }
    }
    drop(progress);
    let total = json!({"decision": decision, "dry_run": filter.dry_run, "decided": decided,
        "nameless": nameless, "indexed": indexed});
    if client.json {
        return print_json(out, &total);
    }
    let done = match (decision, filter.dry_run) {
        ("approve", true) => "would approve",
        ("approve", false) => "approved",
        (_, true) => "would dismiss",
        (_, false) => "dismissed",
    };
    writeln!(out, "{done} {decided}")?;
    if nameless > 0 {
        writeln!(
            out,
            "{nameless} name nobody and are left: approve each by its id with --address, or dismiss \
             them"
        )?;
    }
    say_if_not_indexed(out, &total)
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

const NAMES: [&str; 12] = [
    "ID",
    "AT",
    "TENANT",
    "KIND",
    "SCOPE",
    "BECAUSE",
    "FOUND IN",
    "RULE",
    "RECIPIENT",
    "ADDRESS",
    "REPORTER",
    "BATCH",
];

fn row(item: &Value) -> [String; 12] {
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
        cell(item, "/event/found_in"),
        cell(item, "/event/detail/rule"),
        cell(item, "/event/recipient"),
        cell(item, "/event/address"),
        reporter(item.pointer("/event").unwrap_or(&Value::Null)),
        cell(item, "/batch"),
    ]
}

/// What the report of an event calls its maker, or who sent it.
pub(super) fn reporter(event: &Value) -> String {
    match cell(event, "/detail/user_agent").as_str() {
        "-" => cell(event, "/detail/reporter"),
        named => named.to_owned(),
    }
}
