//! Sends complaints over kept SMTP sessions as fast as they are acknowledged, and says how fast that
//! was. With an API: mints a token for each, and waits until every recipient is suppressed.
//!
//! `cargo run --release --example burst -- 127.0.0.1:2525 --api http://127.0.0.1:8080 --key-file
//! data/admin.key`

#[path = "load/api.rs"]
mod api;
#[path = "load/measure.rs"]
mod measure;
#[path = "load/smtp.rs"]
mod smtp;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use clap::Parser as _;

use self::api::{Api, reader};
use self::measure::{Summary, now};
use self::smtp::Session;

#[derive(Debug, clap::Parser)]
struct Arguments {
    /// The MX
    server: SocketAddr,
    /// Sessions, each kept for all its messages
    #[arg(long, default_value_t = 50)]
    sessions: usize,
    /// Messages of all sessions together
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// The mailbox that gets them
    #[arg(long, default_value = "fbl@localhost")]
    to: String,
    /// The API to mint tokens and to ask; without it messages carry a text of the same length
    #[arg(long, requires = "key_file")]
    api: Option<String>,
    /// A file with an API key
    #[arg(long)]
    key_file: Option<PathBuf>,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let api = match (&arguments.api, &arguments.key_file) {
        (Some(url), Some(key_file)) => Some(Api::new(url, key_file)?),
        _ => None,
    };
    let tokens = match &api {
        Some(api) => api.mint(arguments.messages)?,
        None => vec!["a".repeat(52); arguments.messages],
    };
    let waits = Mutex::new(Vec::with_capacity(tokens.len()));
    let begun = now();
    thread::scope(|scope| -> Result<()> {
        let share = tokens.len().div_ceil(arguments.sessions.max(1)).max(1);
        let sessions: Vec<_> = tokens
            .chunks(share)
            .map(|tokens| scope.spawn(|| session(&arguments, tokens, &waits)))
            .collect();
        for session in sessions {
            session.join().map_err(|_panic| "a session panicked")??;
        }
        Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let summary = Summary::of(waits.into_inner()?);
    println!(
        "acknowledged={:.0} seconds={seconds:.2} per_second={:.0} {}",
        summary.count(),
        summary.count() / seconds,
        summary.quantiles(),
    );
    if let Some(api) = api {
        let suppressed = until_suppressed(&api, tokens.len())?;
        println!(
            "suppressed={suppressed} seconds={:.2}",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// One session: all its messages, each acknowledged before the next.
fn session(arguments: &Arguments, tokens: &[String], waits: &Mutex<Vec<Duration>>) -> Result<()> {
    let mut session = Session::open(arguments.server, &arguments.to)?;
    let mut taken = Vec::with_capacity(tokens.len());
    for token in tokens {
        let begun = now();
        session.complain(token)?;
        taken.push(begun.elapsed());
    }
    session.quit()?;
    waits
        .lock()
        .map_err(|_poisoned| "another session failed")?
        .append(&mut taken);
    Ok(())
}

/// How many of the recipients are suppressed: all, or as many as there are after two minutes.
#[expect(
    clippy::disallowed_methods,
    reason = "asking all the time would be load of its own"
)]
fn until_suppressed(api: &Api, count: usize) -> Result<usize> {
    let readers: Vec<String> = (0..count).map(reader).collect();
    let begun = now();
    loop {
        let found = api.suppressed(&readers)?.len();
        if found == count || begun.elapsed() > Duration::from_mins(2) {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(200));
    }
}
