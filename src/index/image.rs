//! The index as a file, so that a start need not read the whole store.
//!
//! All numbers are big-endian: 8 bytes of signature, the format's version (4), the length of the
//! store's epoch (4) and the epoch, the place of the feed (8), the store's clock then in
//! milliseconds (8), the place of the last change (8, 0 if none is known) and its digest (32); then
//! for each group of cells the number of its entries (4) and those, each with its cell (1) before
//! its 15 bytes; at the end the SHA-256 of everything before it.
//!
//! A file is believed only as a whole: to its last byte, with the right checksum. It is written
//! beside the old one and takes its place when it is on the disk.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};

use super::Index;
use super::entry::{Celled, Packed, Place};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::suppression::Change;

/// Of which store an image is, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The store's epoch, at most 255 bytes.
    pub epoch: String,
    /// The place of the feed up to which every change is in it. Later ones may be too.
    pub seq: u64,
    /// The store's clock when this place was the feed's head.
    pub as_of: Timestamp,
    /// The last change at or before this place, if it is known: a store that has another one
    /// there has another past.
    pub last: Option<LastChange>,
}

/// A change by which one past of a feed is told from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastChange {
    /// Its place in the feed.
    pub seq: u64,
    /// What was changed, and when.
    pub digest: Digest,
}

/// Why there is no index from a file.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no file.
    #[error("there is none")]
    Missing,
    /// It is of another kind or of another version of this program.
    #[error("it is of another format")]
    Format,
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LastChange {
    /// Of a change of the feed.
    pub fn of(change: &Change) -> Self {
        let key = &change.key;
        let text = format!(
            "{} {} {} {} {} {} {}",
            change.seq,
            change.op,
            change.at.as_millis(),
            key.tenant,
            key.recipient,
            key.scope,
            key.reason
        );
        Self {
            seq: change.seq,
            digest: Digest::of(text.as_bytes()),
        }
    }
}

impl Index {
    /// Writes it to a file, for its owner alone. Look-ups and changes go on meanwhile: what
    /// changes is in the file or not, and in the feed behind `origin.seq`. `false`, and no file,
    /// if `cancelled` became true before the end.
    pub fn save(&self, path: &Path, origin: &Origin, cancelled: &AtomicBool) -> io::Result<bool> {
        let fresh = path.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let options = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        let written = self.write_to(options, origin, cancelled);
        if !matches!(written, Ok(true)) {
            std::fs::remove_file(&fresh)?;
            return written;
        }
        std::fs::rename(&fresh, path)?;
        sync_folder(path)?;
        Ok(true)
    }

    fn write_to(&self, file: File, origin: &Origin, cancelled: &AtomicBool) -> io::Result<bool> {
        let mut to = Hashed::new(BufWriter::with_capacity(BUFFER, file));
        to.write_all(SIGNATURE)?;
        to.write_all(&VERSION.to_be_bytes())?;
        to.write_all(&length(origin.epoch.len())?.to_be_bytes())?;
        to.write_all(origin.epoch.as_bytes())?;
        to.write_all(&origin.seq.to_be_bytes())?;
        to.write_all(&origin.as_of.as_millis().to_be_bytes())?;
        let last = origin.last.map(|last| (last.seq, *last.digest.as_bytes()));
        let (seq, digest) = last.unwrap_or_default();
        to.write_all(&seq.to_be_bytes())?;
        to.write_all(&digest)?;
        let mut copy = Vec::new();
        for (shard, group) in places() {
            if cancelled.load(Ordering::Relaxed) {
                return Ok(false);
            }
            // Only copied under the lock: the disk may be slow.
            if let Some(shard) = self.read(shard) {
                shard.copy(group, &mut copy);
            }
            to.write_all(&length(copy.len())?.to_be_bytes())?;
            for entry in copy.drain(..) {
                to.write_all(&[u8::try_from(entry.cell()).map_err(io::Error::other)?])?;
                to.write_all(&entry.entry().pack().to_bytes())?;
            }
        }
        let (mut buffer, digest) = to.finish();
        buffer.write_all(&digest)?;
        buffer.into_inner()?.sync_all()?;
        Ok(true)
    }

    /// Reads what [`Index::save`] has written. Nothing is answered of a file that is not whole.
    pub fn load(path: &Path) -> Result<(Self, Origin), ImageError> {
        let mut from = Hashed::new(open(path)?);
        let loaded = Self::read_from(&mut from).map_err(cut_off)?;
        let (mut rest, computed) = from.finish();
        let written: [u8; 32] = read_array(&mut rest)
            .map_err(ImageError::Io)
            .map_err(cut_off)?;
        if written != computed {
            return Err(ImageError::Damaged("the checksum is another one"));
        }
        if rest.read(&mut [0])? > 0 {
            return Err(ImageError::Damaged("something follows its end"));
        }
        Ok(loaded)
    }

    fn read_from(from: &mut impl Read) -> Result<(Self, Origin), ImageError> {
        signature(from)?;
        let origin = Origin::read_from(from)?;
        let index = Self::default();
        let mut entries: Vec<Celled> = Vec::new();
        for (shard, group) in places() {
            entries.clear();
            for _ in 0..u32::from_be_bytes(read_array(from)?) {
                let [cell, packed @ ..] = read_array::<{ Packed::BYTES + 1 }>(from)?;
                let entry = Celled::new(usize::from(cell), Packed::from_bytes(packed).unpack());
                let last = entries.last();
                let ascends = last.is_none_or(|last| last.identity() < entry.identity());
                if !ascends || entry.cell() >= Place::GROUP || entry.entry().hit().is_none() {
                    return Err(ImageError::Damaged("an entry is not where it belongs"));
                }
                entries.push(entry);
            }
            index.counting(shard, |shard| {
                shard.rewrite(group, &entries, &mut Vec::new());
            });
        }
        Ok((index, origin))
    }
}

impl Origin {
    /// Reads only what an image says of itself; whether it is whole is not known then.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let mut file = open(path)?;
        signature(&mut file)
            .and_then(|()| Self::read_from(&mut file))
            .map_err(cut_off)
    }

    fn read_from(from: &mut impl Read) -> Result<Self, ImageError> {
        let length = u32::from_be_bytes(read_array(from)?);
        let length = u8::try_from(length).map_err(|_long| ImageError::Damaged("a long epoch"))?;
        let mut epoch = vec![0; usize::from(length)];
        from.read_exact(&mut epoch)?;
        let epoch = String::from_utf8(epoch).map_err(|_text| ImageError::Damaged("no epoch"))?;
        let seq = u64::from_be_bytes(read_array(from)?);
        let as_of = Timestamp::from_millis(i64::from_be_bytes(read_array(from)?));
        let last = LastChange {
            seq: u64::from_be_bytes(read_array(from)?),
            digest: Digest::from_bytes(read_array(from)?),
        };
        Ok(Self {
            epoch,
            seq,
            as_of,
            last: (last.seq > 0).then_some(last),
        })
    }
}

fn open(path: &Path) -> Result<BufReader<File>, ImageError> {
    match File::open(path) {
        Ok(file) => Ok(BufReader::with_capacity(BUFFER, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ImageError::Missing),
        Err(error) => Err(error.into()),
    }
}

fn signature(from: &mut impl Read) -> Result<(), ImageError> {
    if read_array(from)? != *SIGNATURE || u32::from_be_bytes(read_array(from)?) != VERSION {
        return Err(ImageError::Format);
    }
    Ok(())
}

fn cut_off(error: ImageError) -> ImageError {
    match error {
        ImageError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Damaged("it is cut off")
        }
        error => error,
    }
}

/// All shards and groups, in the order of the file.
fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..Place::SHARDS).flat_map(|shard| (0..Place::GROUPS).map(move |group| (shard, group)))
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(io::Error::other)
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What a rename or a removal has changed survives a power loss.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes an image that is not to be believed, so that no later start does.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(path),
    }
}

/// Reads or writes, and computes the checksum of what passed in pieces that are worth a call.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
    passed: Vec<u8>,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            passed: Vec::with_capacity(PIECE),
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        if self.passed.len() + bytes.len() > PIECE {
            self.hash.update(&self.passed);
            self.passed.clear();
        }
        if bytes.len() > PIECE {
            self.hash.update(bytes);
        } else {
            self.passed.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> (T, [u8; 32]) {
        self.hash.update(&self.passed);
        (self.inner, self.hash.finalize().into())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buf)?;
        self.pass(buf.get(..length).unwrap_or_default());
        Ok(length)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(buf)?;
        self.pass(buf.get(..length).unwrap_or_default());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

const SIGNATURE: &[u8; 8] = b"desistix";
/// Raised whenever the file or the meaning of an entry changes: another version is not read.
const VERSION: u32 = 1;
/// Bytes read and written at a time.
const BUFFER: usize = 1 << 20;
/// Bytes put into the checksum at a time.
const PIECE: usize = 4096;
