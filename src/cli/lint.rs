//! `desist lint`: whether what an outgoing mail carries brings feedback back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::client::print_table;
use crate::config::Config;
use crate::lint::rules::{Finding, Severity};
use crate::lint::{Asked, CarrierState, Lint, Own, lint};
use crate::model::address::Address;
use crate::model::directory::Directory;
use crate::model::stream::Class;
use crate::store;
use crate::token::keyring::Keyring;

/// Octets of a mail that is read.
const LARGEST: u64 = 100 << 20;

/// Checks outgoing mail from its final bytes, one mail a file.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Looks at List-Unsubscribe and its one-click form (RFC 8058), CFBL (RFC 9477), what DKIM signs, and
every place that can carry a token. No server need run, and no name server is asked. Where the store
of the config is at hand, tokens are verified and compared with the recipient and the stream.

Examples:
  desist lint newsletter.eml
  desist lint --mail-from b-TOKEN@fb.example.com --recipient bob@example.net newsletter.eml
  make-mail | desist lint --json -

Exits with 0 if there are no errors (there may be warnings), with 1 if there are, with 2 if a mail
could not be read or the command line is wrong."
)]
pub(super) struct LintArgs {
    /// Files, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// For whom the mail is, if not for one of those in To, Cc and Bcc
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<Address>,
    /// The sender of the envelope, if the mail has no Return-Path yet
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// marketing or transactional, if the stream of the token does not say it
    #[arg(long, value_name = "CLASS")]
    class: Option<Class>,
    /// Print JSON, one object a mail, a line each
    #[arg(long)]
    json: bool,
}

/// What tells own tokens from others.
#[derive(Debug)]
pub(super) struct Keys {
    found: Option<(Directory, Keyring)>,
    domains: Vec<String>,
    public_url: Option<String>,
}

impl Keys {
    /// What the store of the config holds, if there is one and it can be read.
    pub(super) async fn at_hand(config: &Config) -> Self {
        let directory = store::directory_of(&config.store_config()).await;
        let directory = directory.unwrap_or_else(|error| {
            super::complain(&format!("the keys are not at hand: {error}"));
            None
        });
        Self {
            found: directory.map(|directory| {
                let keyring = Keyring::new(&directory);
                (directory, keyring)
            }),
            domains: config.domains(),
            public_url: config
                .public
                .url
                .as_ref()
                .map(|url| url.as_str().to_owned()),
        }
    }

    /// Whether there is a store whose tokens are known.
    pub(super) const fn are_found(&self) -> bool {
        self.found.is_some()
    }

    fn own(&self) -> Option<Own<'_>> {
        let (directory, keyring) = self.found.as_ref()?;
        Some(Own {
            keyring,
            directory,
            domains: &self.domains,
            public_url: self.public_url.as_deref(),
        })
    }
}

/// A mail as it is printed: the members of the JSON form.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a str,
    errors: usize,
    warnings: usize,
    #[serde(flatten)]
    lint: &'a Lint,
}

impl LintArgs {
    /// Checks every mail and prints what was found.
    pub(super) fn run(&self, keys: &Keys, out: &mut dyn Write) -> io::Result<ExitCode> {
        let asked = Asked {
            own: keys.own(),
            class: self.class,
            recipient: self.recipient.as_ref(),
            mail_from: self.mail_from.as_deref(),
        };
        let (mut errors, mut unread) = (0, false);
        for (index, file) in self.files.iter().enumerate() {
            let name = file.to_string_lossy();
            let mail = match read(file) {
                Ok(mail) => mail,
                Err(error) => {
                    super::complain(&format!("{name}: {error}"));
                    unread = true;
                    continue;
                }
            };
            let lint = lint(&mail, &asked);
            errors += lint.count(Severity::Error);
            if self.json {
                let told = Told {
                    file: &name,
                    errors: lint.count(Severity::Error),
                    warnings: lint.count(Severity::Warning),
                    lint: &lint,
                };
                serde_json::to_writer(&mut *out, &told)?;
                writeln!(out)?;
            } else {
                if index > 0 {
                    writeln!(out)?;
                }
                print(out, &name, &lint)?;
            }
        }
        out.flush()?;
        Ok(ExitCode::from(match (unread, errors) {
            (true, _) => 2,
            (false, 0) => 0,
            (false, _) => 1,
        }))
    }
}

/// Looks at one mail, by what is known of it in itself.
pub(super) fn look(file: &Path, keys: &Keys) -> io::Result<Lint> {
    let own = keys.own();
    let asked = Asked {
        own,
        ..Asked::default()
    };
    Ok(lint(&read(file)?, &asked))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file)?)
    };
    let mut mail = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut mail)?;
    if u64::try_from(mail.len()).is_ok_and(|length| length <= LARGEST) {
        return Ok(mail);
    }
    let says = format!("it is longer than {} MiB", LARGEST >> 20);
    Err(io::Error::new(io::ErrorKind::FileTooLarge, says))
}

fn print(out: &mut dyn Write, name: &str, lint: &Lint) -> io::Result<()> {
    let (errors, warnings) = (lint.count(Severity::Error), lint.count(Severity::Warning));
    let mut rows = vec![vec![format!(
        "{name}: {} mail, {}, {}",
        lint.class,
        counted(errors, "error"),
        counted(warnings, "warning"),
    )]];
    for finding in &lint.findings {
        rows.push(vec![
            finding.severity.to_string(),
            finding.code.to_string(),
            place(finding),
            finding.says.clone(),
        ]);
        let advice = format!("-> {} ({})", finding.advice, finding.source);
        rows.push(vec![String::new(), String::new(), advice]);
    }
    table(out, &rows)?;
    let mut rows = Vec::new();
    for carrier in &lint.carriers {
        if carrier.state == CarrierState::Absent {
            continue;
        }
        let mut row = vec![carrier.place.to_string(), carrier.state.to_string()];
        row.extend(carrier.token.as_ref().map(|token| {
            let stream = format!("tenant {} stream {}", token.tenant, token.stream);
            format!("{stream} recipient {}", token.recipient)
        }));
        rows.push(row);
    }
    if !rows.is_empty() {
        writeln!(out, "tokens:")?;
        table(out, &rows)?;
    }
    for (label, all) in [("complaints to", &lint.cfbl), ("signed by", &lint.signers)] {
        if !all.is_empty() {
            table(out, &[vec![format!("{label}: {}", all.join(", "))]])?;
        }
    }
    for unchecked in &lint.unchecked {
        writeln!(out, "not checked: {unchecked}")?;
    }
    Ok(())
}

fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    print_table(out, rows).map_err(io::Error::other)
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

/// Where a finding is, for people.
pub(super) fn place(finding: &Finding) -> String {
    match (finding.header, finding.line) {
        (Some(header), Some(line)) => format!("{header}, line {line}"),
        (Some(header), None) => header.to_owned(),
        (None, Some(line)) => format!("line {line}"),
        (None, None) => "-".to_owned(),
    }
}
