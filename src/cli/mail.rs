//! `desist mail`: what people wrote to `postmaster`, `abuse` and other mailboxes that are kept for
//! people.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::client::{Client, ClientArgs, ClientError, cell, encoded, print_json, print_list};
use crate::model::hidden::harmless;
use crate::report;

/// The mailboxes that people read on every served domain.
const MAILBOXES: [&str; 2] = ["postmaster", "abuse"];

/// Octets of a mail that are read to show it.
const MAX_SHOWN: usize = 1024 * 1024;

/// Octets of a mail that are read to list it: its header.
const MAX_LISTED: usize = 64 * 1024;

/// Read the mail that is kept for people.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist mail list
  desist mail list --mailbox help@fb.example.com
  desist mail show 019aa5f2-7c00-7000-8000-000000000001
  desist mail show 019aa5f2-7c00-7000-8000-000000000001 --raw > mail.eml")]
pub(super) struct MailArgs {
    /// What to do
    #[command(subcommand)]
    command: MailCommand,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum MailCommand {
    /// List it, the newest first: without --tenant of all tenants and of none
    List {
        /// Of this mailbox, an address or a local part, instead of postmaster and abuse
        #[arg(long, value_name = "MAILBOX")]
        mailbox: Option<String>,
        /// Print at most so many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show one as text; nothing in it can reach the terminal as a command
    Show {
        /// Its id, as `mail list` prints it; any receipt's will do
        id: String,
        /// Print its bytes exactly as received instead
        #[arg(long)]
        raw: bool,
    },
}

impl MailArgs {
    /// Asks and prints.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<(), ClientError> {
        let client = self.client.connect(data_dir)?.everywhere();
        match &self.command {
            MailCommand::List { mailbox, limit } => {
                let one = mailbox.as_deref().map(|mailbox| [mailbox]);
                let mailboxes = one.as_ref().map_or(&MAILBOXES[..], |one| one);
                list(&client, mailboxes, *limit, out)
            }
            MailCommand::Show { id, raw: true } => {
                let bytes = client.beginning(&raw_path(id), usize::MAX)?;
                Ok(out.write_all(&bytes)?)
            }
            MailCommand::Show { id, raw: false } => show(&client, id, out),
        }
    }
}

fn list(
    client: &Client,
    mailboxes: &[&str],
    limit: usize,
    out: &mut dyn Write,
) -> Result<(), ClientError> {
    let mut found = Vec::new();
    for mailbox in mailboxes {
        let path = format!("/v1/receipts?mailbox={}", encoded(mailbox));
        found.extend(client.pages(&path, limit)?);
    }
    // An id begins with its time.
    found.sort_by_key(|item| std::cmp::Reverse(cell(item, "/id")));
    found.truncate(limit);
    if client.json {
        return print_json(out, &json!({"items": found}));
    }
    let mut rows = Vec::with_capacity(found.len());
    for item in &found {
        let (from, subject) = match client.beginning(&raw_path(&cell(item, "/id")), MAX_LISTED) {
            Ok(bytes) => {
                let mail = report::shown(&bytes);
                let from = mail.header.first("from").unwrap_or_default();
                (from, mail.subject)
            }
            // Its time is over; that there was one is still told.
            Err(ClientError::Refused { code, .. }) if code == "raw-not-kept" => (
                cell(item, "/envelope/mail_from"),
                "(no longer kept)".to_owned(),
            ),
            Err(error) => return Err(error),
        };
        rows.push([
            cell(item, "/id"),
            cell(item, "/at"),
            cell(item, "/envelope/mailbox"),
            harmless(&from),
            harmless(&subject),
        ]);
    }
    let names = ["ID", "AT", "MAILBOX", "FROM", "SUBJECT"];
    let rows: Vec<Value> = rows.into_iter().map(|row| json!(row)).collect();
    let nothing = format!("no mail at {}", mailboxes.join(" and "));
    print_list(out, &nothing, names, &rows, |row| {
        ["/0", "/1", "/2", "/3", "/4"].map(|column| cell(row, column))
    })
}

fn show(client: &Client, id: &str, out: &mut dyn Write) -> Result<(), ClientError> {
    if client.json {
        return print_json(out, &client.get(&format!("/v1/receipts/{}", encoded(id)))?);
    }
    let bytes = client.beginning(&raw_path(id), MAX_SHOWN)?;
    let mail = report::shown(&bytes);
    let mut has_header = false;
    for name in ["From", "To", "Cc", "Date", "Message-ID"] {
        for field in mail.header.all(&name.to_ascii_lowercase()) {
            let value = report::encoded_words::decode_words(field.raw(), None);
            writeln!(out, "{name}: {}", harmless(&one_line(&value)))?;
            has_header = true;
        }
    }
    if mail.header.first("subject").is_some() {
        writeln!(out, "Subject: {}", harmless(&one_line(&mail.subject)))?;
        has_header = true;
    }
    // What a click or a report file has brought is no mail: it is shown as it is.
    let text = if has_header {
        writeln!(out)?;
        mail.text
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    };
    for line in text.lines() {
        writeln!(out, "{}", harmless(line.trim_end()))?;
    }
    if bytes.len() >= MAX_SHOWN {
        writeln!(out, "\n(the rest is left out; --raw prints all of it)")?;
    }
    Ok(())
}

fn raw_path(id: &str) -> String {
    format!("/v1/receipts/{}/raw", encoded(id))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
