//! Where messages come from: files, folders, mboxes, standard input. Found one after the other, so
//! that memory does not depend on how many there are.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The largest message that is read, in bytes; of a larger one the beginning.
const LARGEST: u64 = 64 * 1024 * 1024;

/// One message.
#[derive(Debug)]
pub(super) struct Source {
    /// The path as it was found; of a message in an mbox with its number behind a colon.
    pub(super) name: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Read(Vec<u8>),
}

/// What could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {cause}")]
pub(super) struct Failure {
    path: String,
    cause: io::Error,
}

impl Source {
    /// Octets of it that are in memory already.
    pub(super) const fn weight(&self) -> usize {
        match &self.content {
            Content::File(_) => 0,
            Content::Read(bytes) => bytes.len(),
        }
    }

    /// The raw bytes, in `room` if they have to be fetched.
    pub(super) fn read<'a>(&'a self, room: &'a mut Vec<u8>) -> Result<&'a [u8], Failure> {
        match &self.content {
            Content::Read(bytes) => Ok(bytes),
            Content::File(path) => {
                room.clear();
                File::open(path)
                    .and_then(|file| file.take(LARGEST).read_to_end(room))
                    .map_err(|cause| self.failed(cause))?;
                Ok(room)
            }
        }
    }

    /// Why this message could not be read.
    pub(super) fn failed(&self, cause: io::Error) -> Failure {
        Failure {
            path: self.name.clone(),
            cause,
        }
    }
}

/// All messages at `paths`, in the order of the paths and within a folder in that of the names.
pub(super) fn messages(
    paths: &[PathBuf],
    mbox: bool,
) -> impl Iterator<Item = Result<Source, Failure>> + Send + '_ {
    paths.iter().flat_map(move |path| {
        let messages: Box<dyn Iterator<Item = Result<Source, Failure>> + Send> =
            match (path.as_os_str() == "-", mbox) {
                (true, true) => Box::new(Mbox::new("-", Box::new(BufReader::new(io::stdin())))),
                (true, false) => Box::new(std::iter::once(standard_input())),
                (false, _) => Box::new(Walk::new(path).flat_map(move |found| in_file(found, mbox))),
            };
        messages
    })
}

fn standard_input() -> Result<Source, Failure> {
    let mut bytes = Vec::new();
    match io::stdin().lock().take(LARGEST).read_to_end(&mut bytes) {
        Ok(_) => Ok(Source {
            name: "-".to_owned(),
            content: Content::Read(bytes),
        }),
        Err(cause) => Err(failed(Path::new("-"), cause)),
    }
}

fn in_file(
    found: Result<PathBuf, Failure>,
    mbox: bool,
) -> Box<dyn Iterator<Item = Result<Source, Failure>> + Send> {
    let path = match found {
        Ok(path) => path,
        Err(failure) => return Box::new(std::iter::once(Err(failure))),
    };
    let name = path.to_string_lossy().into_owned();
    if !mbox {
        let content = Content::File(path);
        return Box::new(std::iter::once(Ok(Source { name, content })));
    }
    match File::open(&path) {
        Ok(file) => Box::new(Mbox::new(&name, Box::new(BufReader::new(file)))),
        Err(cause) => Box::new(std::iter::once(Err(failed(&path, cause)))),
    }
}

fn failed(path: &Path, cause: io::Error) -> Failure {
    Failure {
        path: path.to_string_lossy().into_owned(),
        cause,
    }
}

/// The files at and below a path, by name within a folder. Hidden files and links to folders are
/// passed over inside of folders: the first are no messages, the second could go round.
struct Walk {
    /// What is still to be looked at, the next one last.
    left: Vec<Found>,
}

struct Found {
    path: PathBuf,
    folder: bool,
}

impl Walk {
    fn new(path: &Path) -> Self {
        let found = Found {
            path: path.to_owned(),
            folder: path.is_dir(),
        };
        Self { left: vec![found] }
    }

    /// Adds what stands in a folder. What is neither a file nor a folder is passed over.
    fn open(&mut self, folder: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Known without asking the file itself.
            let kind = entry.file_type()?;
            let linked = kind.is_symlink() && entry.path().is_file();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && (kind.is_dir() || kind.is_file() || linked) {
                entries.push(Found {
                    path: entry.path(),
                    folder: kind.is_dir(),
                });
            }
        }
        entries.sort_by(|one, other| other.path.cmp(&one.path));
        self.left.extend(entries);
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<PathBuf, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(found) = self.left.pop() {
            if !found.folder {
                return Some(Ok(found.path));
            }
            if let Err(cause) = self.open(&found.path) {
                return Some(Err(failed(&found.path, cause)));
            }
        }
        None
    }
}

/// The messages of an mbox (RFC 4155): each begins behind a line `From …` that follows an empty line
/// or the beginning. `>From` lines lose their mark.
struct Mbox {
    name: String,
    lines: Box<dyn BufRead + Send>,
    number: u64,
    /// Whether a line `From …` was read that begins the next message.
    begun: bool,
    ended: bool,
}

impl Mbox {
    fn new(name: &str, lines: Box<dyn BufRead + Send>) -> Self {
        Self {
            name: name.to_owned(),
            lines,
            number: 0,
            begun: false,
            ended: false,
        }
    }

    /// The next message; `None` at the end.
    fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut line = Vec::new();
        let mut empty_before = true;
        loop {
            line.clear();
            // A line of any length is read in pieces of the largest message.
            let mut piece = io::Read::take(&mut self.lines, LARGEST);
            if piece.read_until(b'\n', &mut line)? == 0 {
                self.ended = true;
                return Ok((self.begun || !message.is_empty()).then_some(message));
            }
            if empty_before && line.starts_with(b"From ") {
                let complete = self.begun || !message.trim_ascii().is_empty();
                self.begun = true;
                if complete {
                    return Ok(Some(message));
                }
                message.clear();
                continue;
            }
            empty_before = line.trim_ascii().is_empty();
            let marks = line.iter().take_while(|byte| **byte == b'>').count();
            let quoted = marks > 0 && line.get(marks..).is_some_and(|l| l.starts_with(b"From "));
            let kept = line.get(usize::from(quoted)..).unwrap_or_default();
            let room = usize::try_from(LARGEST).unwrap_or(usize::MAX) - message.len();
            message.extend_from_slice(kept.get(..room).unwrap_or(kept));
        }
    }
}

impl Iterator for Mbox {
    type Item = Result<Source, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.message() {
            Ok(None) => None,
            Ok(Some(bytes)) => {
                self.number += 1;
                Some(Ok(Source {
                    name: format!("{}:{}", self.name, self.number),
                    content: Content::Read(bytes),
                }))
            }
            Err(cause) => {
                self.ended = true;
                Some(Err(failed(Path::new(&self.name), cause)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mbox = Mbox::new("m", Box::new(io::Cursor::new(text.to_owned().into_bytes())));
        mbox.map(|source| {
            String::from_utf8(source.unwrap().read(&mut Vec::new()).unwrap().to_vec()).unwrap()
        })
        .collect()
    }

    #[test]
    fn an_mbox_is_split_at_its_own_lines_alone() {
        assert_eq!(
            split("From a\nA: 1\n\nx\nFrom here on\n>From there\n\nFrom b\nA: 2\n\n>>From c\n"),
            [
                "A: 1\n\nx\nFrom here on\nFrom there\n\n",
                "A: 2\n\n>From c\n"
            ]
        );
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("A: 1\n\nx\n"), ["A: 1\n\nx\n"]);
        assert_eq!(split("\n\nFrom a\nA: 1\n"), ["A: 1\n"]);
        assert_eq!(split("From a\n\nFrom b\nA: 2\n"), ["\n", "A: 2\n"]);
    }
}
