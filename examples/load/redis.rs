//! The same questions to a set of Redis: SADD, SMISMEMBER.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::api::reader;
use super::bulk::Questions;
use super::measure::now;
use crate::Result;

/// Members of one command.
const ADDED: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Fill {
    /// Redis, HOST:PORT
    server: SocketAddr,
    /// How many addresses
    #[arg(long, default_value_t = 1_000_000)]
    suppressions: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bulk {
    /// Redis, HOST:PORT
    server: SocketAddr,
    #[command(flatten)]
    questions: Questions,
}

impl Fill {
    pub(crate) async fn run(&self) -> Result<String> {
        let mut redis = Redis::connect(self.server).await?;
        let begun = now();
        let mut first = 0;
        while first < self.suppressions {
            let next = self.suppressions.min(first + ADDED);
            let members: Vec<String> = (first..next).map(reader).collect();
            redis.exchange(&command("SADD", &members), 1).await?;
            first = next;
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(format!("filled={first} seconds={seconds:.1}"))
    }
}

impl Bulk {
    pub(crate) async fn run(&self) -> Result<String> {
        let questions = &self.questions;
        let commands: Vec<Vec<u8>> = questions
            .calls()
            .iter()
            .map(|addresses| command("SMISMEMBER", addresses))
            .collect();
        let lines = questions.addresses + 1;
        let mut connections = Vec::new();
        for _ in 0..questions.connections {
            let mut redis = Redis::connect(self.server).await?;
            for command in &commands {
                let answer = redis.exchange(command, lines).await?;
                let found = answer.windows(2).filter(|pair| pair == b":1").count();
                if found != questions.expected() {
                    let expected = questions.expected();
                    return Err(format!("{found} found instead of {expected}").into());
                }
            }
            connections.push(redis);
        }
        let begun = now();
        let until = begun + Duration::from_secs(questions.seconds);
        let mut tasks = JoinSet::new();
        for mut redis in connections {
            let commands = commands.clone();
            tasks.spawn(async move {
                let mut waits = Vec::new();
                for command in commands.iter().cycle() {
                    let sent = now();
                    if sent > until {
                        break;
                    }
                    redis.exchange(command, lines).await?;
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

/// A command on the one set, in the form of its protocol.
fn command(name: &str, members: &[String]) -> Vec<u8> {
    let words = [name, "suppressed"];
    let mut bytes = format!("*{}\r\n", words.len() + members.len()).into_bytes();
    for word in words.into_iter().chain(members.iter().map(String::as_str)) {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

struct Redis {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Redis {
    async fn connect(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// An answer of that many lines.
    async fn exchange(&mut self, command: &[u8], lines: usize) -> Result<&[u8]> {
        self.read.clear();
        self.stream.write_all(command).await?;
        let mut seen = 0;
        let mut counted = 0;
        while seen < lines {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the connection was closed".into());
            }
            let new = self.read.get(counted..).unwrap_or_default();
            seen += memchr::memchr_iter(b'\n', new).count();
            counted = self.read.len();
            if self.read.first() == Some(&b'-') {
                return Err(String::from_utf8_lossy(&self.read).into_owned().into());
            }
        }
        Ok(&self.read)
    }
}
