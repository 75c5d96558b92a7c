//! What a backup consists of: the file that is written last, without which it is none.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The name of the file.
pub(super) const MANIFEST: &str = "backup.json";

/// The form of backups that this program writes.
const FORMAT: u32 = 1;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// Why a backup is none.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ManifestError {
    /// The file is missing or cannot be read.
    #[error("{0} is no whole backup: backup.json: {1}")]
    Unreadable(String, String),
    /// It was written by another version.
    #[error("the backup has format {0}, and this program reads format {FORMAT}")]
    Format(u32),
    /// A file is not what it was.
    #[error("{name} of the backup is damaged: {reason}")]
    Damaged {
        /// Which file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a backup is of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The version of the program that wrote it.
    version: String,
    /// When it began, RFC 3339: all that was accepted before is in it.
    pub(super) began: String,
    /// `sqlite`: the store is among the files; `postgres`: it is not.
    pub(super) engine: String,
    /// What names the store.
    pub(super) store: Option<String>,
    pub(super) files: Vec<Copied>,
}

/// A file of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Copied {
    pub(super) name: String,
    pub(super) bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Without any file.
    pub(super) fn new(began: String, engine: &str, store: Option<String>) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began,
            engine: engine.to_owned(),
            store,
            files: Vec::new(),
        }
    }

    /// Adds a file that was copied into `folder`, once it is durable there.
    pub(super) fn add(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        let file = File::open(folder.join(name))?;
        file.sync_all()?;
        let (bytes, sha256) = digest(file)?;
        self.files.push(Copied {
            name: name.to_owned(),
            bytes,
            sha256,
        });
        Ok(())
    }

    /// Whether this file is, octet by octet, the one of that name.
    pub(super) fn has(&self, name: &str, path: &Path) -> bool {
        let known = self.files.iter().find(|file| file.name == name);
        let found = File::open(path).and_then(digest).ok();
        known
            .zip(found)
            .is_some_and(|(file, (bytes, sha256))| file.bytes == bytes && file.sha256 == sha256)
    }

    /// Writes it, which ends a backup.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(MANIFEST))?;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }

    /// Reads it and compares every file with it.
    pub(super) fn read(folder: &Path) -> Result<Self, ManifestError> {
        let unreadable = |error: &dyn std::fmt::Display| {
            ManifestError::Unreadable(folder.display().to_string(), error.to_string())
        };
        let text = std::fs::read(folder.join(MANIFEST)).map_err(|error| unreadable(&error))?;
        let read: Self = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        if read.format != FORMAT {
            return Err(ManifestError::Format(read.format));
        }
        for file in &read.files {
            let damaged = |reason: String| ManifestError::Damaged {
                name: file.name.clone(),
                reason,
            };
            // A name that leads elsewhere was not written by a backup.
            if file.name.contains('/') || file.name.starts_with('.') {
                return Err(damaged("its name is a path".to_owned()));
            }
            let found = File::open(folder.join(&file.name)).and_then(digest);
            let (bytes, sha256) = found.map_err(|error| damaged(error.to_string()))?;
            if bytes != file.bytes {
                let reason = format!("it has {bytes} bytes and had {}", file.bytes);
                return Err(damaged(reason));
            }
            if sha256 != file.sha256 {
                return Err(damaged("its SHA-256 is another".to_owned()));
            }
        }
        Ok(read)
    }
}

fn digest(mut file: File) -> io::Result<(u64, String)> {
    let mut sha256 = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut bytes = 0_u64;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok((bytes, HEXLOWER.encode(&sha256.finalize())));
        }
        sha256.update(piece.get(..count).unwrap_or_default());
        bytes += u64::try_from(count).unwrap_or(u64::MAX);
    }
}
