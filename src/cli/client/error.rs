//! What a client subcommand may come to: why it could not be done, and what a script learns.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The detail of a problem whose cause the server keeps to itself.
const SAYS_NOTHING: &str = "the server's log says more";

/// What kept a client subcommand from doing its work.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// Nothing could be asked: nothing is known.
    #[error("whether these may be mailed is unknown, do not send: {0}")]
    NotAsked(Box<Self>),
    /// Nothing says where the server is.
    #[error(
        "no server found: {path} cannot be read ({cause}); start `desist serve`, say by --config FILE \
         or DESIST_DATA_DIR where its data is, or give --url"
    )]
    NoListening {
        /// Where its address was looked for.
        path: PathBuf,
        /// What kept it from being read.
        cause: io::Error,
    },
    /// The file names no API.
    #[error("{0} names no API listener; give --url")]
    NoApiListener(PathBuf),
    /// There is no key.
    #[error("no API key: {path} cannot be read ({cause}); give --api-key")]
    NoKey {
        /// Where it was looked for.
        path: PathBuf,
        /// What kept it from being read.
        cause: io::Error,
    },
    /// The key at hand is another server's.
    #[error(
        "{0} is not the server of this data folder, whose key is not sent there; give --api-key"
    )]
    KeyOfAnother(String),
    /// The certificates cannot be used.
    #[error("--ca-file {path}: {cause}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Nobody says which certificate to trust.
    #[error("an https URL needs --ca-file FILE with the certificates to trust")]
    NoCaFile,
    /// The server cannot be reached, or broke off.
    #[error("no answer from {url}: {cause}; is the server running?")]
    Unreachable {
        /// Where it was called.
        url: String,
        /// What happened.
        cause: ureq::Error,
    },
    /// The URL does not say how to call.
    #[error("--url {0}: it has to begin with http:// or https://")]
    NoScheme(String),
    /// A hold without tenant is approved for one.
    #[error("the hold belongs to no tenant; say with --tenant NAME for which one it is approved")]
    NoTenant,
    /// The server refuses.
    #[error("{} ({code}, {status} from {url})", what_is_wrong(.title, .detail))]
    Refused {
        /// Where it was called.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The stable word.
        code: String,
        /// The sentence that belongs to it.
        title: String,
        /// What exactly is wrong.
        detail: String,
    },
    /// What answers is no desist, or of another version.
    #[error("{url} answers {status} with something that is no answer of desist's API")]
    Stranger {
        /// Where it was called.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The only item was refused.
    #[error("{0}")]
    Item(String),
    /// Some items were refused; each was printed.
    #[error("{refused} of {all} items {} refused", was(*.refused))]
    Items {
        /// How many.
        refused: usize,
        /// Of how many.
        all: usize,
    },
    /// Some addresses are none; each was printed.
    #[error("{unknown} of {all} addresses could not be checked: do not mail them")]
    Unchecked {
        /// How many.
        unknown: usize,
        /// Of how many.
        all: usize,
    },
    /// The list to ask about cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Input {
        /// Which file.
        path: PathBuf,
        /// What kept it from being read.
        cause: io::Error,
    },
    /// The answer to a list broke off, or whoever read it did.
    #[error("the answer broke off before its end: what was printed says nothing, do not send")]
    Void,
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What a script learns from the exit code of a call that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    /// It is done, or the answer is yes: 0.
    Yes,
    /// The answer is no: 3.
    No,
}

impl Outcome {
    /// The exit code. 1 is a failure, 2 a mistake on the command line.
    pub(in crate::cli) fn exit_code(self) -> ExitCode {
        match self {
            Self::Yes => ExitCode::SUCCESS,
            Self::No => ExitCode::from(3),
        }
    }
}

/// The title says what the detail says, in general; inside the server nothing more is told.
fn what_is_wrong(title: &str, detail: &str) -> String {
    if detail.is_empty() {
        title.to_owned()
    } else if detail == SAYS_NOTHING {
        format!("{title}: {detail}")
    } else {
        detail.to_owned()
    }
}

const fn was(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_once() {
        assert_eq!(
            what_is_wrong(
                "The tenant has no such stream",
                "the tenant has no stream 9"
            ),
            "the tenant has no stream 9"
        );
        assert_eq!(
            what_is_wrong("Something is wrong", SAYS_NOTHING),
            "Something is wrong: the server's log says more"
        );
        assert_eq!(what_is_wrong("A title", ""), "A title");
    }
}
