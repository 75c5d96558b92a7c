//! Tells where the server listens: a line a listener, and a file for the command line.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::{Listening, ServeError};

/// Where the lines `listening smtp 127.0.0.1:2525` go.
#[derive(Debug, Clone, Copy)]
pub struct Announcer(bool);

impl Announcer {
    /// To standard output, for whoever started the process.
    pub const fn standard_output() -> Self {
        Self(true)
    }

    /// Nowhere.
    pub const fn silent() -> Self {
        Self(false)
    }

    pub(super) fn doors(self, listening: &Listening) {
        self.say("smtp", &listening.smtp);
        self.say("public", &listening.public);
    }

    pub(super) fn api(self, listening: &Listening) {
        self.say("api", &listening.api);
        self.say("lookup", &listening.lookup);
    }

    fn say(self, listener: &str, addresses: &[SocketAddr]) {
        if !self.0 {
            return;
        }
        let mut out = std::io::stdout().lock();
        for address in addresses {
            // Nobody may be reading; the server serves all the same.
            drop(writeln!(out, "listening {listener} {address}"));
        }
        drop(out.flush());
    }
}

/// Writes the file by which the command line finds a server on any port.
pub(super) fn write_file(path: &Path, listening: &Listening) -> Result<(), ServeError> {
    let mut text = String::new();
    let listeners = [
        ("smtp", &listening.smtp),
        ("public", &listening.public),
        ("api", &listening.api),
        ("lookup", &listening.lookup),
    ];
    for (listener, addresses) in listeners {
        for address in addresses {
            for part in ["listening ", listener, " ", &address.to_string(), "\n"] {
                text.push_str(part);
            }
        }
    }
    replace_file(path, &text, 0o644).map_err(|source| ServeError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

/// Puts a file in the place of an older one: whoever reads meanwhile, and whatever happens
/// meanwhile, there is the old one or the new one, whole, and nobody else can read it before it
/// has its `mode`.
pub(super) fn replace_file(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(&fresh)?;
    writeln!(file, "{}", text.trim_end())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
