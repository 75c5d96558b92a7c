//! The free room on the journal's disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;

/// How long a look at the disk is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Looks at the disk again and again.
pub(super) async fn watch(shared: Arc<Shared>, folder: PathBuf, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(BELIEVED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => check(&shared, folder.clone()).await,
        }
    }
}

/// Looks at the disk. Where it cannot be asked, it counts as having room: the write itself will
/// tell.
pub(super) async fn check(shared: &Shared, folder: PathBuf) {
    // The call can hang with a network file system, so it has a thread of its own.
    let free = tokio::task::spawn_blocking(move || {
        rustix::fs::statvfs(&folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    })
    .await;
    match free {
        Ok(Ok(free)) => shared.set_free(free),
        Ok(Err(error)) => {
            tracing::warn!(%error, "journal disk cannot be asked for its free room");
            shared.set_free(u64::MAX);
        }
        Err(_panicked) => shared.set_free(u64::MAX),
    }
}
