//! The image of the index in the data folder: when it is believed, and when it is written.
//!
//! It is believed if it is whole, of this store's epoch, and of the same past: its last change must
//! be the store's last at that place, unless the feed keeps it no more. One that is not believed is removed, so that no later start
//! finds the store grown to where it would be believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::Position;
use crate::index::{ImageError, Index, LastChange, Origin, remove_image};
use crate::model::clock::Tick;
use crate::model::suppression::Change;
use crate::store::{Store, StoreError};

/// Least time from one writing to the next while the server runs.
const PAUSE: Duration = Duration::from_mins(5);
/// The part of the entries that must have changed before.
const PART: u64 = 16;
/// Changes that are not worth a writing: a start follows them in less than a second.
const FEW: u64 = 10_000;

/// What is known of the image.
#[derive(Debug)]
pub(super) struct Image {
    path: Option<PathBuf>,
    /// The last change that the index has had, if it is known.
    last: Option<LastChange>,
    /// Changes of the index that are not in the file.
    unsaved: u64,
    /// When the last writing began.
    began: Option<Tick>,
    saving: Option<Saving>,
}

/// A writing at hand; it ends soon after this is dropped.
#[derive(Debug)]
struct Saving {
    cancelled: Arc<AtomicBool>,
    task: JoinHandle<io::Result<bool>>,
    changes: u64,
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Image {
    /// `None`: there is none and will be none.
    pub(super) const fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            last: None,
            unsaved: 0,
            began: None,
            saving: None,
        }
    }

    /// Fills `index` from the file and gives the place of the feed to go on from; `None`, and
    /// there is no file any more, if it is not to be believed.
    pub(super) async fn restore(
        &mut self,
        store: &Store,
        index: &Index,
        now: Tick,
    ) -> Result<Option<u64>, StoreError> {
        let Some(path) = self.path.clone() else {
            return Ok(None);
        };
        let loaded = match believed(&path, store).await {
            Ok(loaded) => loaded,
            Err(Disbelief::Store(error)) => return Err(error),
            Err(Disbelief::Image(ImageError::Missing)) => return Ok(None),
            Err(disbelief) => {
                tracing::warn!(%disbelief, "the image of the index is not used");
                self.discard().await;
                return Ok(None);
            }
        };
        let (fresh, origin) = loaded;
        index.replace(fresh);
        self.last = origin.last;
        self.unsaved = 0;
        self.began = Some(now);
        tracing::info!(
            suppressions = index.len(),
            as_of = %origin.as_of,
            "index loaded from its image"
        );
        Ok(Some(origin.seq))
    }

    /// The index was filled by a scan, at this place of the feed.
    pub(super) async fn scanned(
        &mut self,
        store: &Store,
        index: &Index,
        seq: u64,
    ) -> Result<(), StoreError> {
        let (last, _) = store.last_change(seq).await?;
        self.last = last.as_ref().map(LastChange::of);
        self.unsaved = u64::try_from(index.len()).unwrap_or(u64::MAX).max(1);
        Ok(())
    }

    /// The index has had these.
    pub(super) fn changed(&mut self, changes: &[Change]) {
        if let Some(last) = changes.last() {
            self.last = Some(LastChange::of(last));
        }
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        self.unsaved = self.unsaved.saturating_add(count);
    }

    /// Begins to write if enough has changed.
    pub(super) async fn look(
        &mut self,
        index: &Arc<Index>,
        epoch: &str,
        position: Position,
        now: Tick,
    ) {
        if self
            .saving
            .as_ref()
            .is_some_and(|saving| saving.task.is_finished())
        {
            self.wait().await;
        }
        let entries = u64::try_from(index.len()).unwrap_or(u64::MAX);
        let enough = self.unsaved >= FEW.max(entries / PART);
        let pause = self.began.is_none_or(|began| now.since(began) >= PAUSE);
        if enough && pause && self.saving.is_none() {
            self.begin(index, epoch, position);
            self.began = Some(now);
        }
    }

    /// Writes what is not in the file yet, at a stop.
    pub(super) async fn finish(&mut self, index: &Arc<Index>, epoch: &str, position: Position) {
        if self.unsaved > 0
            && let Some(saving) = &self.saving
        {
            saving.cancelled.store(true, Ordering::Relaxed);
        }
        self.wait().await;
        if self.unsaved > 0 {
            self.begin(index, epoch, position);
            self.wait().await;
        }
    }

    /// Removes the file: it is not to be believed.
    pub(super) async fn discard(&mut self) {
        if let Some(saving) = &self.saving {
            saving.cancelled.store(true, Ordering::Relaxed);
        }
        self.wait().await;
        self.last = None;
        let Some(path) = self.path.clone() else {
            return;
        };
        let removed = spawn_blocking(move || remove_image(&path)).await;
        if let Ok(Err(error)) = removed {
            tracing::error!(%error, "cannot remove an image of the index that is not true");
        }
    }

    fn begin(&mut self, index: &Arc<Index>, epoch: &str, position: Position) {
        let (Some(path), Some(as_of)) = (self.path.clone(), position.as_of) else {
            return;
        };
        let origin = Origin {
            epoch: epoch.to_owned(),
            seq: position.seq,
            as_of,
            last: self.last,
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        let (index, stop) = (Arc::clone(index), Arc::clone(&cancelled));
        self.saving = Some(Saving {
            cancelled,
            task: spawn_blocking(move || index.save(&path, &origin, &stop)),
            changes: std::mem::take(&mut self.unsaved),
        });
    }

    /// Waits for the end of a writing.
    async fn wait(&mut self) {
        let Some(mut saving) = self.saving.take() else {
            return;
        };
        match (&mut saving.task).await {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot write the image of the index"),
            Err(error) => tracing::error!(%error, "the writing of the image ended by itself"),
        }
        self.unsaved = self.unsaved.saturating_add(saving.changes);
    }
}

/// Why an image is not used.
#[derive(Debug, thiserror::Error)]
enum Disbelief {
    /// The file alone tells.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It belongs to another store, or to one before a failover.
    #[error("it is of another store")]
    Epoch,
    /// The store has had other changes than the index has, for instance because an older copy of
    /// it was put in its place.
    #[error("the store has another past")]
    Past,
    /// The feed begins behind it.
    #[error("the feed does not reach back to it")]
    Gone,
    /// The store cannot tell now.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for Disbelief {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Gone(_) => Self::Gone,
            error => Self::Store(error),
        }
    }
}

async fn believed(path: &Path, store: &Store) -> Result<(Index, Origin), Disbelief> {
    let ended = |error: tokio::task::JoinError| ImageError::from(io::Error::other(error));
    // The beginning first: what it says is asked of the store before all is read.
    let file = path.to_owned();
    let origin = spawn_blocking(move || Origin::read(&file)).await;
    let origin = origin.map_err(ended)??;
    if origin.epoch != store.epoch() {
        return Err(Disbelief::Epoch);
    }
    same_past(&origin, store).await?;
    let file = path.to_owned();
    let loaded = spawn_blocking(move || Index::load(&file)).await;
    let loaded = loaded.map_err(ended)??;
    if loaded.1 != origin {
        return Err(ImageError::Damaged("it changed while it was read").into());
    }
    Ok(loaded)
}

async fn same_past(origin: &Origin, store: &Store) -> Result<(), Disbelief> {
    if store.head().await?.seq < origin.seq {
        return Err(Disbelief::Past);
    }
    // Whether all changes behind it are kept.
    store.changes(None, origin.seq, 1).await?;
    let (found, trimmed) = store.last_change(origin.seq).await?;
    // One that is kept no more cannot be compared: the feed goes on from it, and that is all that
    // can be known. Without a last change there must be none in the store either.
    let expected = origin.last.filter(|last| last.seq > trimmed);
    if found.as_ref().map(LastChange::of) == expected {
        Ok(())
    } else {
        Err(Disbelief::Past)
    }
}
