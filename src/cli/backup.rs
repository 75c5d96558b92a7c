//! `desist backup` and `desist restore`: everything that cannot be made anew, in a folder, and back.
//!
//! A backup has all that was accepted before it began: a running server is waited for until that is
//! in the store; of a stopped one the journal is copied too.

mod manifest;
mod staged;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use manifest::Manifest;
pub(super) use manifest::ManifestError;
use staged::{Staged, beside};

use super::client::{ClientArgs, ClientError};
use super::progress::Progress;
use crate::config::Config;
use crate::journal::{self, JournalError};
use crate::model::clock::{Clock, Timestamp};
use crate::net::certificate::{ACME_ACCOUNT_FILE, ACME_FILE, SELF_MADE_FILE};
use crate::serve;
use crate::store::{self, StoreError};

/// The store, where it is a file of ours.
const STORE: &str = "desist.db";

/// The key that seals the root secret.
const SEAL_KEY: &str = "seal.key";

/// Other files of the data folder that cannot be made anew.
const OTHERS: [&str; 4] = ["admin.key", SELF_MADE_FILE, ACME_FILE, ACME_ACCOUNT_FILE];

/// Files of the data folder that are made anew, and belong to one store.
const OF_ONE_STORE: [&str; 2] = [serve::EPOCH_FILE, serve::IMAGE_FILE];

/// How long a running server may take to bring into the store what it had accepted.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(200);

/// Copies store, keys and certificates into a new folder, while the server runs or not.
///
/// All that was accepted before the command began is in it; of a stopped server the journal is
/// copied too. Not in it are the config and the files that it names, but for the seal key; nor a
/// PostgreSQL store (use `pg_dump`). Whoever has the folder has the keys: guard it like the server.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist backup /var/backups/desist-2026-11-28
  desist restore /var/backups/desist-2026-11-28      into an empty data folder")]
pub(super) struct BackupArgs {
    /// A folder that does not exist yet
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Leave out the key of `[store] seal_key_file`: the backup is then worth nothing without it
    #[arg(long)]
    without_seal_key: bool,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

/// Brings back what a backup holds, into a data folder that has none of it.
///
/// With PostgreSQL the database is restored first, then each node from its own backup. The store
/// gets a new name, so that cursors of feeds, indexes and nodes of the time after the backup begin
/// anew; tokens stay valid.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist restore /var/backups/desist-2026-11-28
  desist --config /etc/desist/desist.toml restore /mnt/desist-2026-11-28")]
pub(super) struct RestoreArgs {
    /// What `desist backup` has written
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Why there is no backup, or nothing was brought back.
#[derive(Debug, thiserror::Error)]
pub(super) enum BackupError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The backup would mix with what is there.
    #[error(
        "{} is there already: a backup is written into a folder that does not exist yet, name \
         another",
        .0.display()
    )]
    Exists(PathBuf),
    /// There is nothing to make the folder in.
    #[error("{} cannot be made: {} is no folder that exists", .0.display(), parent(.0))]
    Nowhere(PathBuf),
    /// Nothing to copy.
    #[error("there is no store yet: start `desist serve` once")]
    NoStore,
    /// The store cannot be copied or opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot be copied.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A server runs, but does not say what it has accepted.
    #[error("a server has the journal open; it must answer, or be stopped: {0}")]
    Server(#[from] ClientError),
    /// It does not get on.
    #[error("the server has not brought into the store what it had accepted within 10 minutes")]
    TooLate,
    /// What is in the folder is no backup.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It would be overwritten.
    #[error(
        "already there: {}; a backup is restored into an empty data folder: move all of them away",
        named(.0)
    )]
    NotEmpty(Vec<PathBuf>),
    /// The config names an engine that the backup is not of.
    #[error("the backup is of a store on {0}, and the config names another engine")]
    OtherEngine(String),
    /// The database is not the one of the backup.
    #[error(
        "the database is not the one that the backup belongs to: restore it first, from the dump \
         that was made with the backup"
    )]
    OtherStore,
}

fn named(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}

fn parent(folder: &Path) -> std::path::Display<'_> {
    let parent = folder.parent().filter(|path| *path != Path::new(""));
    parent.unwrap_or_else(|| Path::new(".")).display()
}

/// Why there is no new folder.
fn not_made(folder: &Path, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(folder.to_owned()),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            BackupError::Nowhere(folder.to_owned())
        }
        _ => at(folder)(error),
    }
}

/// Says which file an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File { path, error }
}

impl BackupArgs {
    /// Makes the backup and says what it holds.
    pub(super) async fn run(
        &self,
        config: &Config,
        out: &mut dyn Write,
    ) -> Result<(), BackupError> {
        let folder = &self.folder;
        let url = config.store_config().url;
        let id = store::store_id(&url).await?.ok_or(BackupError::NoStore)?;
        let clock = Clock::system();
        let began = clock.now().to_string();
        DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .map_err(|error| not_made(folder, error))?;

        let progress = Progress::of_octets();
        // First what leaves the journal when it comes into the store.
        progress.now("journal");
        let mut left = 0;
        let mut names = match journal::copy_to(&config.data_dir, folder) {
            Ok(names) => names,
            Err(JournalError::Open { .. }) => {
                left = self.shipped(config, &clock, &progress).await?;
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        progress.now(STORE);
        let copied = store::copy_to(&url, &folder.join(STORE)).await?;
        names.extend(copied.then_some(STORE));
        for name in OTHERS {
            let from = config.data_file(name);
            names.extend(copy(&from, (folder, name), &progress)?.then_some(name));
        }
        if let (Some(path), false) = (config.seal_key_path(), self.without_seal_key) {
            names.extend(copy(path, (folder, SEAL_KEY), &progress)?.then_some(SEAL_KEY));
        }
        let engine = if copied { "sqlite" } else { "postgres" };
        let mut manifest = Manifest::new(began, engine, Some(id));
        for name in names {
            progress.now(format!("reading {name} again"));
            manifest.add(folder, name).map_err(at(&folder.join(name)))?;
        }
        manifest.write(folder).map_err(at(folder))?;
        drop(progress);
        self.tell(&manifest, left, out).map_err(at(Path::new("-")))
    }

    /// Waits until a running server has in the store all that it has accepted by now; how many
    /// receipts no store takes.
    async fn shipped(
        &self,
        config: &Config,
        clock: &Clock,
        progress: &Progress,
    ) -> Result<u64, BackupError> {
        let client = self.client.connect(&config.data_dir)?;
        let (now, began) = (clock.now(), clock.tick());
        loop {
            let journal = client.state("/readyz/doors")?;
            let count = |name: &str| {
                let count = journal.get(name).and_then(Value::as_u64);
                count.ok_or_else(|| client.stranger())
            };
            let unshipped = count("unshipped")?;
            // What was acknowledged by then was durable, and stands before it in the journal.
            let oldest = journal.get("oldest").and_then(Value::as_str);
            let oldest = oldest.and_then(|at| at.parse().ok());
            if unshipped == 0 || oldest.is_some_and(|at: Timestamp| at > now) {
                return Ok(count("left")?);
            }
            progress.now(format!("waiting for {unshipped} receipts"));
            if clock.tick().since(began) > PATIENCE {
                return Err(BackupError::TooLate);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn tell(&self, manifest: &Manifest, left: u64, out: &mut dyn Write) -> io::Result<()> {
        for file in &manifest.files {
            writeln!(out, "{:>14} {}", file.bytes, file.name)?;
        }
        if left > 0 {
            writeln!(
                out,
                "not in it: {left} that no store takes (see `/v1/alarms`), which only the journal \
                 has; a backup of the stopped server has the journal"
            )?;
        }
        if manifest.engine == "postgres" {
            writeln!(
                out,
                "the store is on PostgreSQL: dump it now, with `pg_dump`"
            )?;
        }
        writeln!(
            out,
            "backup of {} in {}: it holds keys, guard it",
            manifest.began,
            self.folder.display()
        )
    }
}

impl RestoreArgs {
    /// Brings everything back and says what to do next.
    pub(super) async fn run(
        &self,
        config: &Config,
        out: &mut dyn Write,
    ) -> Result<(), BackupError> {
        let manifest = Manifest::read(&self.folder)?;
        let mut wanted = config.store_config();
        let store = store::sqlite_path(&wanted.url).map(Path::to_owned);
        if store.is_some() != (manifest.engine == "sqlite") {
            return Err(BackupError::OtherEngine(manifest.engine));
        }
        let data_dir = &config.data_dir;
        not_there(&manifest, data_dir, store.as_deref())?;
        let mut staged = Staged::default();
        let progress = Progress::of_octets();
        for file in &manifest.files {
            let from = self.folder.join(&file.name);
            let place = data_dir.join(&file.name);
            match file.name.as_str() {
                // Its place is the operator's: the config names it, and it has been read from
                // there. The store comes last.
                SEAL_KEY | STORE => {}
                // A restore that was broken off had come so far.
                name if manifest.has(name, &place) => {}
                _ => put(&from, &staged.add(place)?, &progress)?,
            }
        }
        if let Some(path) = store {
            let name = staged.add(path)?;
            put(&self.folder.join(STORE), &name, &progress)?;
            wanted.url = format!("sqlite:{}", name.display());
        }
        drop(progress);
        let from = manifest.store.as_deref().unwrap_or_default();
        if !store::rename(&wanted, from).await? {
            return Err(BackupError::OtherStore);
        }
        staged.settle()?;
        writeln!(
            out,
            "restored the backup of {} into {}; start `desist serve`",
            manifest.began,
            data_dir.display()
        )
        .map_err(at(Path::new("-")))
    }
}

/// Refuses a place that has anything which the server would take for a part of what is restored.
fn not_there(
    manifest: &Manifest,
    data_dir: &Path,
    store: Option<&Path>,
) -> Result<(), BackupError> {
    let [journal, _] = journal::COPIED;
    let journal = data_dir.join(journal);
    let store = store.map_or_else(|| data_dir.join(STORE), Path::to_owned);
    let mut places: Vec<PathBuf> = Vec::new();
    for path in [journal, store] {
        let near = beside(&path);
        places.push(path);
        places.extend(near);
    }
    let names = OTHERS.into_iter().chain(OF_ONE_STORE);
    places.extend(names.map(|name| data_dir.join(name)));
    let mut there = Vec::new();
    for path in places {
        let name = path.file_name().and_then(|name| name.to_str());
        let same = name.is_some_and(|name| name != STORE && manifest.has(name, &path));
        if path.try_exists().map_err(at(&path))? && !same {
            there.push(path);
        }
    }
    if there.is_empty() {
        Ok(())
    } else {
        Err(BackupError::NotEmpty(there))
    }
}

/// Copies a file into a folder, readable by its owner alone; `false` if there is none.
fn copy(
    from: &Path,
    (folder, name): (&Path, &str),
    progress: &Progress,
) -> Result<bool, BackupError> {
    match from.try_exists() {
        Ok(true) => put(from, &folder.join(name), progress).map(|()| true),
        Ok(false) => Ok(false),
        Err(error) => Err(at(from)(error)),
    }
}

/// Copies a file to where none is, durably.
fn put(from: &Path, to: &Path, progress: &Progress) -> Result<(), BackupError> {
    progress.now(from.display().to_string());
    let mut source = progress.reading(File::open(from).map_err(at(from))?);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(at(to))?;
    io::copy(&mut source, &mut target).map_err(at(to))?;
    target.sync_all().map_err(at(to))
}
