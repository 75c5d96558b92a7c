//! What an answer holds for a client that does not read yet: some in memory, the rest in a file
//! that has no name and is gone with its last user.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// Octets that are held in memory.
pub(super) const IN_MEMORY: usize = 1024 * 1024;
/// Octets that are read from the file at a time.
const PIECE: u64 = 128 * 1024;

/// Where spools are, and how much room they leave on that disk.
#[derive(Debug, Clone)]
pub struct SpoolPlace {
    /// The folder.
    pub folder: PathBuf,
    /// Octets that stay free; what would take more fails.
    pub floor: u64,
}

/// Pieces of an answer, in order.
#[derive(Debug)]
pub(super) struct Spool {
    place: SpoolPlace,
    front: VecDeque<Bytes>,
    /// Octets of `front`.
    held: usize,
    file: Option<Arc<File>>,
    /// Of the file: read up to here, written up to there.
    read: u64,
    written: u64,
}

impl Spool {
    pub(super) const fn new(place: SpoolPlace) -> Self {
        Self {
            place,
            front: VecDeque::new(),
            held: 0,
            file: None,
            read: 0,
            written: 0,
        }
    }

    /// Appends a piece.
    pub(super) async fn push(&mut self, piece: Bytes) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let fits = self.held.saturating_add(piece.len()) <= IN_MEMORY;
        // Nothing overtakes what is in the file.
        if self.read == self.written && fits {
            self.held += piece.len();
            self.front.push_back(piece);
            return Ok(());
        }
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let (place, file, at) = (self.place.clone(), self.file.clone(), self.written);
        let file = blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(nameless(&place.folder)?),
            };
            if free(&file)? < place.floor.saturating_add(length) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.write_all_at(&piece, at)?;
            Ok(file)
        })
        .await?;
        self.file = Some(file);
        self.written = at.saturating_add(length);
        Ok(())
    }

    /// Brings the next piece from the file into memory, if none is there.
    pub(super) async fn load(&mut self) -> io::Result<()> {
        let Some(file) = self.file.clone() else {
            return Ok(());
        };
        if !self.front.is_empty() || self.read == self.written {
            return Ok(());
        }
        let (from, length) = (self.read, (self.written - self.read).min(PIECE));
        let is_last = from + length == self.written;
        let piece = blocking(move || {
            let mut piece = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut piece, from)?;
            if is_last {
                // Its room on the disk is free again.
                file.set_len(0)?;
            }
            Ok(piece)
        })
        .await?;
        self.held += piece.len();
        self.front.push_back(piece.into());
        (self.read, self.written) = if is_last {
            (0, 0)
        } else {
            (from + length, self.written)
        };
        Ok(())
    }

    /// The next piece, of those in memory.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let piece = self.front.pop_front()?;
        self.held = self.held.saturating_sub(piece.len());
        Some(piece)
    }

    /// Whether there is a piece, in memory or in the file.
    pub(super) fn is_empty(&self) -> bool {
        self.front.is_empty() && self.read == self.written
    }
}

/// Runs what may wait for the disk on a thread that nobody waits for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

/// A new file that has no name any more.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let name = format!("check-{}.spool", data_encoding::HEXLOWER.encode(&random));
    let path = folder.join(name);
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Octets that are free on the file's disk.
fn free(file: &File) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(folder: &Path, floor: u64) -> Spool {
        Spool::new(SpoolPlace {
            folder: folder.to_path_buf(),
            floor,
        })
    }

    #[tokio::test]
    async fn pieces_come_back_in_order_from_memory_and_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut spool = spool(folder.path(), 0);
        let piece = |number: u32| Bytes::from(number.to_be_bytes().repeat(50_000));
        let mut back = Vec::new();
        for number in 0..40 {
            spool.push(piece(number)).await.unwrap();
            assert!(spool.held <= IN_MEMORY);
            if number % 10 == 9 {
                spool.load().await.unwrap();
                back.extend(spool.pop().unwrap());
            }
        }
        assert!(spool.written > 0, "some of it is in the file");
        let names = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 0, "which has no name");
        while !spool.is_empty() {
            spool.load().await.unwrap();
            back.extend(spool.pop().unwrap());
        }
        let all: Vec<u8> = (0..40).flat_map(|number| piece(number).to_vec()).collect();
        assert!(back == all);
        assert_eq!((spool.held, spool.read, spool.written), (0, 0, 0));
        assert_eq!(spool.file.as_ref().unwrap().metadata().unwrap().len(), 0);
        assert!(spool.pop().is_none());
        // It begins anew.
        spool.push(piece(7)).await.unwrap();
        assert_eq!(spool.pop().unwrap(), piece(7));
    }

    #[tokio::test]
    async fn the_disk_keeps_its_floor() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut spool = spool(folder.path(), u64::MAX);
        let piece = Bytes::from(vec![1; IN_MEMORY]);
        spool.push(piece.clone()).await.unwrap();
        let error = spool.push(piece).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(spool.pop().is_some(), "what is in memory is still there");
    }
}
