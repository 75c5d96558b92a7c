//! Load for the doors and for the API, and what it is compared with. One kind a subcommand; each
//! prints its figures as `name=value` on one line. `scripts/bench` puts them side by side.
//!
//! `cargo run --release --example load -- check 127.0.0.1:8080 --key-file data/admin.key`

mod api;
mod bulk;
mod connection;
mod exchange;
mod lines;
mod measure;
mod one_click;
mod probe;
mod redis;
mod smtp;
mod steady;
mod sustained;

use std::error::Error;
use std::fs;
use std::path::Path;

use clap::Parser as _;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, clap::Parser)]
enum Load {
    /// GETs of a constant answer, one after the other on each kept connection
    Constant(steady::Constant),
    /// Checks of one address, one after the other on each kept connection
    Check(steady::Check),
    /// Checks of one address at a steady pace: how long each takes
    Probe(probe::Probe),
    /// One-click POSTs over TLS with a token each, on kept connections
    OneClick(one_click::OneClick),
    /// Complaints at a steady pace: how far behind the answers of check are
    Sustained(sustained::Sustained),
    /// Checks of many addresses a call
    Bulk(bulk::Bulk),
    /// One check of very many lines
    Lines(lines::Lines),
    /// Adds many addresses to a set of Redis
    RedisFill(redis::Fill),
    /// Asks a set of Redis for many addresses a call
    RedisBulk(redis::Bulk),
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn main() -> Result<()> {
    let load = Load::parse();
    let figures = match &load {
        Load::Sustained(sustained) => sustained.run()?,
        Load::Probe(probe) => probe.run()?,
        Load::Lines(lines) => lines.run()?,
        load => runtime()?.block_on(async {
            match load {
                Load::Constant(constant) => constant.run().await,
                Load::Check(check) => check.run().await,
                Load::OneClick(clicks) => clicks.run().await,
                Load::Bulk(bulk) => bulk.run().await,
                Load::RedisFill(fill) => fill.run().await,
                Load::RedisBulk(bulk) => bulk.run().await,
                Load::Sustained(_) | Load::Probe(_) | Load::Lines(_) => Ok(String::new()),
            }
        })?,
    };
    println!("{figures}");
    Ok(())
}

/// One thread: the sender must leave the processors to what it measures.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// The API key in a file.
fn key(file: &Path) -> Result<String> {
    Ok(fs::read_to_string(file)?.trim().to_owned())
}
