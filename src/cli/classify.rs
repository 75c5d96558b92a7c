//! `desist classify`: what messages and report files are, without a server, a store or keys.

mod plain;
mod source;
mod workers;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::progress::Progress;
use crate::judge::bounce::rules::Rules;
use crate::judge::summary::{self, Kind, Summary};
use crate::report;
use source::Source;

/// Says of messages and report files what each is, who it is about, and what desist would do with
/// it. Stores nothing and needs no config; of one it takes the bounce rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desist classify report.eml
  desist classify --json Maildir/ > kinds.jsonl
  desist classify --mbox archive.mbox
  cat report.eml | desist classify -

Exits with 0 whatever the messages are, with 1 if a file could not be read. Tokens are shown as they
stand: whether one is yours, `desist token inspect` says.")]
pub(super) struct ClassifyArgs {
    /// Files, folders with everything in them, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object a message, a line each
    #[arg(long)]
    json: bool,
    /// Every file is an mbox: messages behind lines that begin with `From `
    #[arg(long)]
    mbox: bool,
    /// How many messages are read at the same time; all processors if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

/// A message as it is printed: the members of the JSON form.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a str,
    #[serde(flatten)]
    summary: &'a Summary,
    /// What a DMARC or TLS report says; such reports are told, and not opened yet.
    report: (),
}

/// What became of one message, ready to be printed.
struct Printed {
    text: Vec<u8>,
    kind: Kind,
}

impl workers::Item for Result<Source, source::Failure> {
    fn weight(&self) -> usize {
        self.as_ref().map_or(0, Source::weight)
    }
}

/// How many messages of each kind there were, and what could not be read.
#[derive(Debug, Default)]
struct Totals {
    kinds: std::collections::BTreeMap<Kind, u64>,
    failures: u64,
}

impl ClassifyArgs {
    /// Reads everything and prints it in the order in which it was found.
    pub(super) fn run(&self, rules: &Rules, out: &mut (dyn Write + Send)) -> io::Result<ExitCode> {
        let progress = Progress::start("messages").unless_printed();
        let mut totals = Totals::default();
        let messages = source::messages(&self.paths, self.mbox);
        let jobs = self.jobs.map(usize::from);
        workers::run(
            messages,
            jobs,
            |room, source| self.print(rules, room, source),
            |printed| {
                progress.step();
                match printed {
                    Ok(Printed { text, kind }) => {
                        *totals.kinds.entry(kind).or_default() += 1;
                        out.write_all(&text)
                    }
                    Err(failure) => {
                        totals.failures += 1;
                        progress.say(&failure.to_string());
                        Ok(())
                    }
                }
            },
        )?;
        drop(progress);
        if !self.json {
            plain::totals(out, &totals)?;
        }
        out.flush()?;
        Ok(ExitCode::from(u8::from(totals.failures > 0)))
    }

    fn print(
        &self,
        rules: &Rules,
        room: &mut Vec<u8>,
        source: Result<Source, source::Failure>,
    ) -> Result<Printed, source::Failure> {
        let source = source?;
        let raw = source.read(room)?;
        let summary = summary::by_rules(&report::read(raw), rules);
        let mut text = Vec::new();
        if self.json {
            let told = Told {
                file: &source.name,
                summary: &summary,
                report: (),
            };
            // Texts and numbers alone: there is nothing that JSON cannot say.
            serde_json::to_writer(&mut text, &told).map_err(|error| source.failed(error.into()))?;
            text.push(b'\n');
        } else {
            plain::message(&mut text, &source.name, &summary);
        }
        Ok(Printed {
            text,
            kind: summary.kind,
        })
    }
}
