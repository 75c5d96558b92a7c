//! Many suppressions, and checks of many addresses a call.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::api::reader;
use super::connection;
use super::exchange::Prepared;
use super::measure::{Summary, now};
use crate::Result;

/// Different calls that are sent in turn.
const DIFFERENT: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Bulk {
    /// The API, HOST:PORT
    server: SocketAddr,
    /// A file with an API key
    #[arg(long)]
    key_file: PathBuf,
    #[command(flatten)]
    questions: Questions,
}

/// What is asked, the same of each server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Questions {
    /// How many addresses are suppressed (or in the set)
    #[arg(long, default_value_t = 1_000_000)]
    suppressions: usize,
    /// Addresses of one call
    #[arg(long, default_value_t = 10_000)]
    pub(crate) addresses: usize,
    /// How many of a hundred are suppressed
    #[arg(long, default_value_t = 2)]
    hits: usize,
    /// Connections, each kept
    #[arg(long, default_value_t = 2)]
    pub(crate) connections: usize,
    /// How long
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

impl Questions {
    /// The addresses of some calls, scattered over all that there are.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        // Not even and not a divisor of anything: steps through all numbers before it repeats.
        const STEP: usize = 7_368_787;
        let all = self.suppressions.max(1);
        let mut next = 0_usize;
        let mut address = |place: usize| {
            next = (next + STEP) % all;
            // Beyond the suppressed ones are those who may be mailed.
            reader(if place % 100 < self.hits {
                next
            } else {
                all + next
            })
        };
        (0..DIFFERENT)
            .map(|_| (0..self.addresses).map(&mut address).collect())
            .collect()
    }

    /// Hits of one call.
    pub(crate) fn expected(&self) -> usize {
        (0..self.addresses)
            .filter(|place| place % 100 < self.hits)
            .count()
    }

    pub(crate) fn figures(&self, waits: Vec<Duration>, seconds: f64) -> Result<String> {
        let summary = Summary::of(waits);
        let addresses = f64::from(u32::try_from(self.addresses)?);
        Ok(format!(
            "calls={:.0} addresses_per_second={:.0} {}",
            summary.count(),
            summary.count() * addresses / seconds,
            summary.quantiles()
        ))
    }
}

impl Bulk {
    pub(crate) async fn run(&self) -> Result<String> {
        let key = crate::key(&self.key_file)?;
        let questions = &self.questions;
        let requests: Vec<Prepared> = questions
            .calls()
            .iter()
            .map(|addresses| {
                let body = json!({"stream": 1, "addresses": addresses});
                Prepared::check(&key, &body.to_string())
            })
            .collect();
        let expected = questions.expected();
        let mut connections = connection::plain(self.server, questions.connections).await?;
        for connection in &mut connections {
            for request in &requests {
                let answer: Value =
                    serde_json::from_slice(connection.exchange(request.bytes()).await?)?;
                let found = answer
                    .get("suppressed")
                    .and_then(Value::as_array)
                    .map(Vec::len);
                if found != Some(expected) {
                    return Err(format!("{found:?} found instead of {expected}").into());
                }
            }
        }
        let begun = now();
        let until = begun + Duration::from_secs(questions.seconds);
        let mut tasks = JoinSet::new();
        for mut connection in connections {
            let requests = requests.clone();
            tasks.spawn(async move {
                let mut waits = Vec::new();
                for request in requests.iter().cycle() {
                    let sent = now();
                    if sent > until {
                        break;
                    }
                    connection.exchange(request.bytes()).await?;
                    waits.push(sent.elapsed());
                }
                Result::Ok(waits)
            });
        }
        let mut waits = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            waits.append(&mut ended??);
        }
        questions.figures(waits, begun.elapsed().as_secs_f64())
    }
}
