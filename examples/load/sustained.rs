//! Complaints at a steady pace, and how long after its acknowledgement each is an answer of check.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::api::{Api, reader};
use super::measure::{Summary, now};
use super::smtp::Session;
use crate::Result;

/// One message in so many is looked for.
const SAMPLED: usize = 50;

/// How often it is looked for what was acknowledged: the least that can be told apart.
const LOOK: Duration = Duration::from_millis(5);

/// How long it is waited for the last.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Sustained {
    /// The MX, HOST:PORT
    server: SocketAddr,
    /// The API, http://HOST:PORT
    #[arg(long)]
    api: String,
    /// A file with an API key
    #[arg(long)]
    key_file: PathBuf,
    /// Messages a second
    #[arg(long)]
    rate: u32,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Sessions, each kept for all its messages
    #[arg(long, default_value_t = 50)]
    sessions: u32,
    /// The mailbox that gets them
    #[arg(long, default_value = "fbl@localhost")]
    to: String,
    /// The server's process, whose memory is told
    #[arg(long)]
    pid: u32,
}

/// A message and when it was acknowledged.
type Acknowledged = (usize, Instant);

impl Sustained {
    pub(crate) fn run(&self) -> Result<String> {
        let api = Api::new(&self.api, &self.key_file)?;
        let tokens = api.mint(usize::try_from(self.rate * self.seconds)?)?;
        let before = memory(self.pid, "VmRSS:")?;
        let (sampled, samples) = channel();
        let begun = now();
        let (waits, lags) = thread::scope(|scope| -> Result<_> {
            let api = &api;
            let looking = scope.spawn(move || look(api, &samples));
            let sessions: Vec<_> = (0..self.sessions)
                .map(|number| {
                    let sampled = sampled.clone();
                    let tokens = &tokens;
                    scope.spawn(move || self.session(number, tokens, begun, &sampled))
                })
                .collect();
            drop(sampled);
            let mut waits = Vec::with_capacity(tokens.len());
            for session in sessions {
                waits.append(&mut session.join().map_err(|_panic| "a session panicked")??);
            }
            let seconds = begun.elapsed().as_secs_f64();
            let lags = looking.join().map_err(|_panic| "the look-up panicked")??;
            Ok(((Summary::of(waits), seconds), Summary::of(lags)))
        })?;
        let (waits, seconds) = waits;
        let acknowledged = format!(
            "acknowledged={:.0} seconds={seconds:.2} per_second={:.0} {}",
            waits.count(),
            waits.count() / seconds,
            waits.quantiles()
        );
        let behind = format!("sampled={:.0} {}", lags.count(), lags.quantiles());
        let highest = memory(self.pid, "VmHWM:")?;
        Ok(format!(
            "{acknowledged}\nbehind: {behind}\nmemory: before_mib={before} highest_mib={highest}"
        ))
    }

    #[expect(clippy::disallowed_methods, reason = "a steady pace")]
    fn session(
        &self,
        number: u32,
        tokens: &[String],
        begun: Instant,
        sampled: &Sender<Acknowledged>,
    ) -> Result<Vec<Duration>> {
        let mut session = Session::open(self.server, &self.to)?;
        let step = usize::try_from(self.sessions)?;
        let first = usize::try_from(number)?;
        let mut waits = Vec::with_capacity(tokens.len() / step);
        for (message, token) in tokens.iter().enumerate().skip(first).step_by(step) {
            let due = begun + Duration::from_secs(1) * u32::try_from(message)? / self.rate.max(1);
            thread::sleep(due.saturating_duration_since(now()));
            session.complain(token)?;
            waits.push(due.elapsed());
            if message % SAMPLED == 0 {
                sampled.send((message, now()))?;
            }
        }
        session.quit()?;
        Ok(waits)
    }
}

/// Asks check again and again for what was acknowledged until all of it is suppressed.
#[expect(
    clippy::disallowed_methods,
    reason = "asking all the time would be load of its own"
)]
fn look(api: &Api, samples: &Receiver<Acknowledged>) -> Result<Vec<Duration>> {
    let mut waiting: Vec<Acknowledged> = Vec::new();
    let mut lags = Vec::new();
    let mut last = now();
    loop {
        let before = waiting.len();
        waiting.extend(samples.try_iter());
        if waiting.len() > before {
            last = now();
        }
        if waiting.is_empty() {
            // Blocks until there is something, or nothing will come any more.
            let Ok(next) = samples.recv() else {
                return Ok(lags);
            };
            waiting.push(next);
        }
        let readers: Vec<String> = waiting
            .iter()
            .map(|(message, _)| reader(*message))
            .collect();
        let found = api.suppressed(&readers)?;
        let seen = now();
        for index in found.into_iter().rev() {
            let (_, acknowledged) = waiting.swap_remove(index);
            lags.push(seen.saturating_duration_since(acknowledged));
        }
        if last.elapsed() > PATIENCE {
            return Err(format!("{} are not suppressed", waiting.len()).into());
        }
        thread::sleep(LOOK);
    }
}

/// A figure of a process, in MiB.
fn memory(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or("no such figure")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / 1024)
}
