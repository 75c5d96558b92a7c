//! One-click POSTs as mailbox providers send them: over kept connections, a token each.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::task::JoinSet;

use super::api::Api;
use super::connection;
use super::exchange::Prepared;
use super::measure::{Summary, now};
use crate::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct OneClick {
    /// The public door, HOST:PORT
    server: SocketAddr,
    /// The door's certificate, PEM
    #[arg(long)]
    certificate: PathBuf,
    /// The API to mint the tokens, http://HOST:PORT
    #[arg(long)]
    api: String,
    /// A file with an API key
    #[arg(long)]
    key_file: PathBuf,
    /// Connections, each kept
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// POSTs of all connections together
    #[arg(long, default_value_t = 100_000)]
    posts: usize,
}

impl OneClick {
    pub(crate) async fn run(&self) -> Result<String> {
        let requests: Vec<Prepared> = Api::new(&self.api, &self.key_file)?
            .mint(self.posts)?
            .iter()
            .map(|token| {
                let fields = "Content-Type: application/x-www-form-urlencoded\r\nUser-Agent: bench";
                Prepared::post(&format!("/u/{token}"), fields, "List-Unsubscribe=One-Click")
            })
            .collect();
        let connections = connection::tls(self.server, &self.certificate, self.connections).await?;
        let share = requests.len().div_ceil(self.connections.max(1)).max(1);
        let begun = now();
        let mut tasks = JoinSet::new();
        for (mut connection, requests) in connections.into_iter().zip(requests.chunks(share)) {
            let requests = requests.to_vec();
            tasks.spawn(async move {
                let mut waits = Vec::with_capacity(requests.len());
                for request in &requests {
                    let sent = now();
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
        let seconds = begun.elapsed().as_secs_f64();
        let summary = Summary::of(waits);
        Ok(format!(
            "acknowledged={:.0} seconds={seconds:.2} per_second={:.0} {}",
            summary.count(),
            summary.count() / seconds,
            summary.quantiles()
        ))
    }
}
