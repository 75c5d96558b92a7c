//! The same small request over and over, on connections that each wait for their answer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::connection;
use super::exchange::Prepared;
use super::measure::{Summary, now};
use crate::Result;
use crate::api::reader;

/// Requests of one connection take turns among so many.
const DIFFERENT: usize = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Constant {
    /// The server, HOST:PORT
    server: SocketAddr,
    /// What is asked for
    #[arg(long, default_value = "/")]
    path: String,
    /// Posts a check with this key instead, as to desist
    #[arg(long)]
    post_with_key: Option<PathBuf>,
    #[command(flatten)]
    pace: Pace,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The API, HOST:PORT
    server: SocketAddr,
    /// A file with an API key
    #[arg(long)]
    key_file: PathBuf,
    #[command(flatten)]
    pace: Pace,
}

#[derive(Debug, Clone, clap::Args)]
struct Pace {
    /// Connections, each kept
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// How long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Constant {
    pub(crate) async fn run(&self) -> Result<String> {
        let requests = match &self.post_with_key {
            None => vec![Prepared::get(&self.path)],
            Some(file) => checks(&crate::key(file)?),
        };
        self.pace.run(self.server, requests).await
    }
}

impl Check {
    pub(crate) async fn run(&self) -> Result<String> {
        let requests = checks(&crate::key(&self.key_file)?);
        self.pace.run(self.server, requests).await
    }
}

/// Of one address each.
pub(crate) fn checks(key: &str) -> Vec<Prepared> {
    (0..DIFFERENT)
        .map(|index| {
            let body = json!({"stream": 1, "addresses": [reader(index)]});
            Prepared::check(key, &body.to_string())
        })
        .collect()
}

impl Pace {
    async fn run(&self, server: SocketAddr, requests: Vec<Prepared>) -> Result<String> {
        let requests = Arc::new(requests);
        let connections = connection::plain(server, self.connections).await?;
        let begun = now();
        let until = begun + Duration::from_secs(self.seconds);
        let mut tasks = JoinSet::new();
        for mut connection in connections {
            let requests = Arc::clone(&requests);
            tasks.spawn(async move {
                let mut waits = Vec::new();
                let mut size = 0;
                for request in requests.iter().cycle() {
                    let sent = now();
                    if sent > until {
                        break;
                    }
                    size = connection.exchange(request.bytes()).await?.len();
                    waits.push(sent.elapsed());
                }
                Result::Ok((waits, size))
            });
        }
        let mut waits = Vec::new();
        let mut size = 0;
        while let Some(ended) = tasks.join_next().await {
            let (mut some, answered) = ended??;
            waits.append(&mut some);
            size = answered;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let summary = Summary::of(waits);
        Ok(format!(
            "answered={:.0} per_second={:.0} {} body={size}",
            summary.count(),
            summary.count() / seconds,
            summary.quantiles()
        ))
    }
}
