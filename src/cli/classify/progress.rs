//! How far a long work is, on a terminal: nothing anywhere else.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error that counts.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins to count, unless the messages themselves are printed on the terminal.
    pub(super) fn start() -> Self {
        let target = if std::io::stdout().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} messages, {per_sec}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// One more is done.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// Prints a line without disturbing the count.
    pub(super) fn say(&self, line: &str) {
        self.0.suspend(|| super::super::complain(line));
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
