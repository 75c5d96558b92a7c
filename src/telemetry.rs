//! Layer 6: log events to standard error, as text for people or as JSON.

use std::io::{self, IsTerminal as _};
use std::panic;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Log events go to standard error from now on. Fails if they go somewhere already.
///
/// Of a panic only the place is told: what it says may quote what a peer sent.
pub fn start(log: &Log) -> Result<(), TryInitError> {
    tracing_subscriber::registry()
        .with(layer(log).with_filter(log.level.filter()))
        .try_init()?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, "a panic");
    }));
    Ok(())
}

fn layer(log: &Log) -> Box<dyn Layer<Registry> + Send + Sync> {
    match log.format {
        LogFormat::Text => fmt::layer()
            .with_writer(io::stderr)
            // What cannot be written cannot be complained about there: to try would end the task.
            .log_internal_errors(false)
            // Escape sequences in a file or in a collector are noise.
            .with_ansi(io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .log_internal_errors(false)
            .with_writer(io::stderr)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    }
}
