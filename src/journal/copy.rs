//! A copy of the journal of a server that does not run.

use std::fs::File;
use std::io;
use std::path::Path;

use super::JournalError;
use super::file::{prepare, unusable};

/// The files that a journal is made of: itself, and its log.
pub const COPIED: [&str; 2] = ["journal.sqlite", "journal.sqlite-wal"];

/// Copies the journal of one data folder into another folder, where nothing of these names is; gives
/// the names of the files. While it is copied no server can start.
///
/// # Errors
/// [`JournalError::Open`] while a server runs: only it knows what is in there.
pub fn copy_to(data_dir: &Path, to: &Path) -> Result<Vec<&'static str>, JournalError> {
    let [journal, _] = COPIED;
    let journal = data_dir.join(journal);
    if !journal.try_exists().map_err(unusable)? {
        return Ok(Vec::new());
    }
    let _lock: File = prepare(&journal)?;
    let mut copied = Vec::new();
    for name in COPIED {
        match std::fs::copy(data_dir.join(name), to.join(name)) {
            Ok(_octets) => copied.push(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(JournalError::File(format!("{name}: {error}"))),
        }
    }
    Ok(copied)
}
