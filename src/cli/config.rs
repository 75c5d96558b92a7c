//! `desist config`: prints the manual of all settings, and finds every mistake in a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{Config, environment, example};

/// Prints or checks settings.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Prints a file with every key, its default and what it means
    Example,
    /// Says ok, or lists every mistake of a file and of the environment over it
    Check {
        /// The file; without it that of --config, else the defaults alone
        file: Option<PathBuf>,
    },
}

/// Runs the command; `file` is that of `--config`. What it finds goes to `out`.
pub(crate) fn run(
    args: &ConfigArgs,
    file: Option<&Path>,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    match &args.command {
        ConfigCommand::Example => {
            out.write_all(example().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Check { file: given } => check(given.as_deref().or(file), out),
    }
}

fn check(file: Option<&Path>, out: &mut dyn Write) -> io::Result<ExitCode> {
    match Config::load(file, environment()) {
        Ok(config) => {
            for warning in config.warnings() {
                writeln!(out, "warning: {warning}")?;
            }
            writeln!(out, "ok")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            writeln!(out, "{errors}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
