//! `desist tenant`: sending organisations.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{
    Client, ClientArgs, ClientError, cell, encoded, items, print_json, print_list, print_result,
};

/// Manage tenants: sending organisations.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist tenant create --name shop --domain fb.shop.example --title \"Example Shop\"
  desist tenant update shop --domain bounces.shop.example
  desist tenant update shop --release fb.shop.example
  desist stream create --tenant shop --number 1 --name newsletter

The MX serves the domain of a tenant at once, and what comes to its mailboxes is that tenant's. A
domain of before is served until it is released. Tenants are made with a key of the installation.")]
pub(super) struct TenantArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: TenantCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with tenants.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant, or update the one of that name
    Create {
        /// Its name: 1 to 64 characters of a-z, 0-9, '.', '_' and '-'
        #[arg(long)]
        name: String,
        /// Its number, 1 to 16777215, as it stands in tokens; not given: the next free one
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_215))]
        number: Option<u32>,
        #[command(flatten)]
        properties: Properties,
    },
    /// Change a tenant; what is not given stays as it is
    Update {
        /// Its name
        name: String,
        /// Its name from now on
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        #[command(flatten)]
        properties: Properties,
        /// A domain of before that is served for it no longer, with the mailboxes in it
        #[arg(long = "release", value_name = "DOMAIN", value_delimiter = ',')]
        release: Vec<String>,
    },
    /// List all tenants
    List {
        /// Print at most so many
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
    },
}

/// What a tenant has.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Properties {
    /// The domain that its tokens are minted on; empty: the installation's first
    #[arg(long)]
    domain: Option<String>,
    /// What readers know it by, 1 to 100 characters; empty: its name
    #[arg(long)]
    title: Option<String>,
}

const NAMES: [&str; 5] = ["NUMBER", "NAME", "DOMAIN", "SERVED", "TITLE"];

impl TenantArgs {
    /// Does it and prints the tenants.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?.everywhere();
        let answer = match &self.command {
            TenantCommand::Create {
                name,
                number,
                properties: Properties { domain, title },
            } => client.post(
                "/v1/tenants",
                &json!({"number": number, "name": name, "domain": domain, "title": title}),
            )?,
            TenantCommand::Update {
                name,
                rename,
                properties: Properties { domain, title },
                release,
            } => client.post(
                "/v1/tenants",
                &json!({"number": number_of(&client, name)?,
                    "name": rename.as_ref().unwrap_or(name),
                    "domain": domain, "title": title, "release": release}),
            )?,
            TenantCommand::List { limit } => {
                json!({"items": client.pages("/v1/tenants", *limit)?})
            }
        };
        if client.json {
            return print_json(out, &answer);
        }
        match answer.get("tenant") {
            Some(tenant) => print_result(out, cell(&answer, "/result"), NAMES, row(tenant)),
            None => print_list(out, "no tenants", NAMES, items(&answer), row),
        }
    }
}

/// The number of a tenant that is there: an update must not create one.
fn number_of(client: &Client, name: &str) -> Result<Value, ClientError> {
    let found = client.get(&format!("/v1/tenants?name={}", encoded(name)))?;
    let number = items(&found)
        .first()
        .and_then(|tenant| tenant.get("number"));
    number
        .cloned()
        .ok_or_else(|| ClientError::Item(format!("there is no tenant {name:?}")))
}

fn row(tenant: &Value) -> [String; 5] {
    let domains = tenant.get("domains").and_then(Value::as_array);
    let domains: Vec<&str> = domains
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let served = if domains.is_empty() {
        "-".to_owned()
    } else {
        domains.join(",")
    };
    [
        cell(tenant, "/number"),
        cell(tenant, "/name"),
        cell(tenant, "/domain"),
        served,
        cell(tenant, "/title"),
    ]
}
