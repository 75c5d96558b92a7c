//! Single checks at a steady pace, each timed from when it was due.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::exchange::Prepared;
use super::measure::{Summary, now};
use super::steady::checks;
use crate::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Probe {
    /// The API, HOST:PORT
    server: SocketAddr,
    /// A file with an API key
    #[arg(long)]
    key_file: PathBuf,
    /// Connections, each kept
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Checks a second, over all connections
    #[arg(long, default_value_t = 400)]
    rate: u32,
    /// How long
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

impl Probe {
    pub(crate) fn run(&self) -> Result<String> {
        let requests = checks(&crate::key(&self.key_file)?);
        let mut waits = Vec::new();
        thread::scope(|scope| -> Result<()> {
            let probing: Vec<_> = (0..self.connections.max(1))
                .map(|number| {
                    let requests = &requests;
                    scope.spawn(move || self.connection(number, requests))
                })
                .collect();
            for one in probing {
                waits.append(&mut one.join().map_err(|_panic| "a connection panicked")??);
            }
            Ok(())
        })?;
        let summary = Summary::of(waits);
        Ok(format!(
            "answered={:.0} {}",
            summary.count(),
            summary.quantiles()
        ))
    }

    #[expect(clippy::disallowed_methods, reason = "a steady pace")]
    fn connection(&self, number: u32, requests: &[Prepared]) -> Result<Vec<Duration>> {
        let mut stream = TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let every = Duration::from_secs(1) * self.connections.max(1) / self.rate.max(1);
        let count = self.rate * self.seconds / self.connections.max(1);
        // The connections take turns.
        let begun = now() + every * number / self.connections.max(1);
        let mut waits = Vec::new();
        let mut answer = [0; 4096];
        for (turn, request) in (0..count).zip(requests.iter().cycle()) {
            let due = begun + every * turn;
            thread::sleep(due.saturating_duration_since(now()));
            stream.write_all(request.bytes())?;
            // A small answer is one segment.
            let length = stream.read(&mut answer)?;
            if !answer
                .get(..length)
                .unwrap_or_default()
                .starts_with(b"HTTP/1.1 200")
            {
                let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
                return Err(text.into_owned().into());
            }
            waits.push(due.elapsed());
        }
        Ok(waits)
    }
}
