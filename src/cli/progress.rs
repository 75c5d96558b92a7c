//! How far a long work is, on a terminal: nothing anywhere else.

use std::io::{IsTerminal as _, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error that counts; gone with this.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress {
    /// Begins to count things of that name, for instance `messages`.
    pub(super) fn start(what: &str) -> Self {
        Self::styled(&format!("{{spinner}} {{human_pos}} {what}, {{per_sec}}"))
    }

    /// Begins to count octets that are copied, and to say what is done.
    pub(super) fn of_octets() -> Self {
        Self::styled("{spinner} {msg} {binary_bytes} {elapsed}")
    }

    fn styled(template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// The same, unless what is counted is printed on the terminal itself.
    pub(super) fn unless_printed(self) -> Self {
        if std::io::stdout().is_terminal() {
            self.0.set_draw_target(ProgressDrawTarget::hidden());
        }
        self
    }

    /// One more is done.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// So many are done.
    pub(super) fn at(&self, number: u64) {
        self.0.set_position(number);
    }

    /// What is done now; counting begins anew.
    pub(super) fn now(&self, what: impl Into<String>) {
        self.0.set_position(0);
        self.0.set_message(what.into());
    }

    /// Counts what is read.
    pub(super) fn reading<R: Read>(&self, source: R) -> impl Read {
        self.0.wrap_read(source)
    }

    /// Prints a line without disturbing the count.
    pub(super) fn say(&self, line: &str) {
        self.0.suspend(|| super::complain(line));
    }
}
