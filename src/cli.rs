//! Layer 6: the command line.

mod backup;
mod check;
mod classify;
mod client;
mod client_command;
pub mod config;
mod demo;
mod doctor;
mod door_client;
mod erase;
mod events;
mod evidence;
mod explain;
mod held;
mod key;
mod lift;
mod lint;
mod list;
mod mail;
mod mailbox;
mod manual;
mod progress;
mod replay;
mod signing_key;
mod stats;
mod stream;
mod suppress;
mod tenant;
mod token;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::Config;
use crate::judge::bounce::rules::Rules;
use crate::model::hidden::harmless;
use crate::{serve, telemetry};

/// The front door for what the world sends back to a mail sender.
#[derive(Debug, Parser)]
#[command(name = "desist", version, max_term_width = 100)]
struct Arguments {
    /// The config file; without one every setting has its default.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server (also without any command).
    Serve,
    /// Plays sample messages through a throw-away instance and shows what becomes of them.
    Demo(demo::Demo),
    /// Says of messages and report files what each is.
    Classify(classify::ClassifyArgs),
    /// Checks outgoing mail: whether what it carries brings feedback back.
    Lint(lint::LintArgs),
    /// Prints or checks the config.
    Config(config::ConfigArgs),
    /// Says what SMTP replies and status codes mean.
    Explain(explain::ExplainArgs),
    /// Prints what makes a shell complete commands.
    Completions(manual::CompletionsArgs),
    /// Prints the manual page.
    Man(manual::ManArgs),
    /// Copies store, keys and certificates into a folder.
    Backup(backup::BackupArgs),
    /// Brings back what a backup holds.
    Restore(backup::RestoreArgs),
    /// Looks whether everything around the server is as it must be.
    Doctor(doctor::DoctorArgs),
    #[command(flatten)]
    Client(client_command::ClientCommand),
}

/// Runs the command that the arguments of this process name.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; clap knows which.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let file = arguments.config.as_deref();
    let result = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve_until_stopped(file),
        Command::Demo(demo) => play(demo),
        Command::Classify(args) => classify(&args, file),
        Command::Lint(args) => lint(&args, file),
        Command::Config(args) => {
            config::run(&args, file, &mut io::stdout().lock()).map_err(|error| error.to_string())
        }
        Command::Explain(args) => tell(&args, file),
        Command::Completions(args) => {
            printed(args.run(Arguments::command(), &mut io::stdout().lock()))
        }
        Command::Man(args) => printed(args.run(Arguments::command(), &mut io::stdout().lock())),
        Command::Backup(args) => with_config(file, async |config| {
            args.run(config, &mut io::stdout().lock()).await
        }),
        Command::Restore(args) => with_config(file, async |config| {
            args.run(config, &mut io::stdout().lock()).await
        }),
        Command::Doctor(args) => look(&args, file),
        Command::Client(command) => call(&command, file),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn serve_until_stopped(file: Option<&std::path::Path>) -> Result<ExitCode, String> {
    let config = Config::load_here(file).map_err(|errors| errors.to_string())?;
    telemetry::start(&config.log).map_err(|error| error.to_string())?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let passed = serve::Passed::from_environment().map_err(|error| error.to_string())?;
    runtime()?
        .block_on(serve::run(config, passed))
        .map_err(|error| whole(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs what works on the files of this machine.
fn with_config(
    file: Option<&std::path::Path>,
    work: impl AsyncFnOnce(&Config) -> Result<(), backup::BackupError>,
) -> Result<ExitCode, String> {
    let config = Config::load_here(file).map_err(|errors| errors.to_string())?;
    runtime()?
        .block_on(work(&config))
        .map_err(|error| whole(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn look(args: &doctor::DoctorArgs, file: Option<&std::path::Path>) -> Result<ExitCode, String> {
    let config = Config::load_here(file).map_err(|errors| errors.to_string())?;
    runtime()?
        .block_on(args.run(&config, &mut io::stdout().lock()))
        .map(client::Outcome::exit_code)
        .map_err(|error| whole(&error))
}

fn call(
    command: &client_command::ClientCommand,
    file: Option<&std::path::Path>,
) -> Result<ExitCode, String> {
    let config = Config::load_here(file).map_err(|errors| errors.to_string())?;
    command
        .run(&config.data_dir, &mut io::stdout().lock())
        .map(client::Outcome::exit_code)
        .map_err(|error| whole(&error))
}

/// What bounces mean here: by the rules file that the config names, if it names one.
fn rules(file: Option<&std::path::Path>) -> Result<Arc<Rules>, String> {
    let config = Config::load_here(file).map_err(|errors| errors.to_string())?;
    Ok(config
        .bounce_rules()
        .unwrap_or_else(|| Arc::new(Rules::embedded().clone())))
}

fn tell(args: &explain::ExplainArgs, file: Option<&std::path::Path>) -> Result<ExitCode, String> {
    printed(args.run(&*rules(file)?, &mut io::stdout().lock()))
}

fn printed(done: io::Result<()>) -> Result<ExitCode, String> {
    match done {
        // A reader who has read enough is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn play(demo: demo::Demo) -> Result<ExitCode, String> {
    let config = demo::settings()?;
    telemetry::start(&config.log).map_err(|error| error.to_string())?;
    runtime()?
        .block_on(demo.run(config))
        .map_err(|error| whole(&error))
}

fn lint(args: &lint::LintArgs, file: Option<&std::path::Path>) -> Result<ExitCode, String> {
    let config = Config::load_here(file).map_err(|errors| errors.to_string())?;
    let keys = runtime()?.block_on(lint::Keys::at_hand(&config));
    if file.is_none() && keys.are_found() && config.domains() == ["localhost"] {
        complain(
            "without the server's config (--config FILE) mails are judged as if it served no \
             domains but localhost and those of tenants",
        );
    }
    let mut out = io::BufWriter::new(io::stdout());
    match args.run(&keys, &mut out) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => done.map_err(|error| format!("cannot print: {error}")),
    }
}

/// A reader that goes away, such as `head`, is no mistake.
fn classify(
    args: &classify::ClassifyArgs,
    file: Option<&std::path::Path>,
) -> Result<ExitCode, String> {
    let rules = rules(file)?;
    let mut out = io::BufWriter::new(io::stdout());
    match args.run(&rules, &mut out) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => done.map_err(|error| format!("cannot print: {error}")),
    }
}

/// For signals, and for the demo's clients: the server has threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))
}

/// An error with what caused it, from the outside in.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        inner = cause.source();
    }
    text
}

#[expect(
    clippy::print_stderr,
    reason = "what went wrong is for the person at the terminal"
)]
fn complain(message: &str) {
    // It may quote a server, a file or an address; its own lines stay lines.
    let lines: Vec<String> = message.lines().map(harmless).collect();
    eprintln!("desist: {}", lines.join("\n"));
}
