//! Time, and what was waited for.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How often and how long something was waited for.
#[derive(Debug)]
pub(crate) struct Summary {
    sorted: Vec<Duration>,
}

impl Summary {
    pub(crate) fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        Self { sorted: waits }
    }

    pub(crate) fn count(&self) -> f64 {
        u32::try_from(self.sorted.len()).map_or(f64::INFINITY, f64::from)
    }

    /// `p50_ms=… p99_ms=… max_ms=…`
    pub(crate) fn quantiles(&self) -> String {
        let [p50, p99, max] = [50, 99, 100].map(|percent| self.quantile(percent));
        format!("p50_ms={p50:.2} p99_ms={p99:.2} max_ms={max:.2}")
    }

    /// Milliseconds.
    fn quantile(&self, percent: usize) -> f64 {
        let at = self.sorted.len().saturating_sub(1) * percent / 100;
        let wait = self.sorted.get(at).copied().unwrap_or_default();
        wait.as_secs_f64() * 1000.0
    }
}
