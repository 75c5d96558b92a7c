//! A restore in two steps: what is brought back is written under names of its own, and gets its
//! places when all of it is there and fits together.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{BackupError, at};

/// What a name has at its end until everything is there.
const UNDER_WAY: &str = ".restoring";

/// What SQLite puts beside a file. It belongs to that file alone: read with another one it destroys
/// that one.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The files that SQLite may have put beside this one.
pub(super) fn beside(path: &Path) -> [PathBuf; 3] {
    BESIDE.map(|end| with_end(path, end))
}

/// Places that are not taken yet, in the order in which they will be. What was written for them is
/// removed when this is dropped before.
#[derive(Debug, Default)]
pub(super) struct Staged(Vec<PathBuf>);

impl Staged {
    /// Under which name to write what this place is for. Makes its folder; what a restore that was
    /// broken off has left under this name is removed.
    pub(super) fn add(&mut self, place: PathBuf) -> Result<PathBuf, BackupError> {
        let name = with_end(&place, UNDER_WAY);
        make(folder_of(&place))?;
        clear(&name).map_err(at(&name))?;
        self.0.push(place);
        Ok(name)
    }

    /// Takes the places, each durably before the next: where the last is taken, all are.
    ///
    /// # Errors
    /// A place is taken meanwhile, or a file is still in use. Those that were taken before stay
    /// so; the same restore again finds them as they must be.
    pub(super) fn settle(&self) -> Result<(), BackupError> {
        for place in &self.0 {
            let name = with_end(place, UNDER_WAY);
            for file in beside(&name) {
                if file.try_exists().map_err(at(&file))? {
                    return Err(at(&file)(io::ErrorKind::ResourceBusy.into()));
                }
            }
            if place.try_exists().map_err(at(place))? {
                return Err(BackupError::NotEmpty(vec![place.clone()]));
            }
            fs::rename(&name, place).map_err(at(place))?;
            sync(folder_of(place))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for place in &self.0 {
            // What cannot be removed is named as what it is, and removed by the next restore.
            clear(&with_end(place, UNDER_WAY)).ok();
        }
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Removes a file and what SQLite has put beside it, where there is any.
fn clear(path: &Path) -> io::Result<()> {
    let [wal, shm, journal] = beside(path);
    for file in [path, &wal, &shm, &journal] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

/// Makes a folder that only its owner may read, with those that it is in, durably.
fn make(folder: &Path) -> Result<(), BackupError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    if above != folder {
        make(above)?;
    }
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(at(folder))?;
    sync(above)
}

fn sync(folder: &Path) -> Result<(), BackupError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at(folder))
}
