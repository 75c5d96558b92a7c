//! `desist demo`: a throw-away instance, sample messages through its real doors, and what became
//! of each.

mod sample;
mod table;

use std::io::Write as _;
use std::process::ExitCode;

use super::client::{ClientArgs, cell};
use crate::config::Config;
use crate::serve::{ADMIN_KEY_FILE, Announcer, ServeError, Server};
use crate::store::StoredEvent;
use sample::{Sample, Sent};

/// Plays the bundled sample messages through a throw-away instance.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// End when the table is printed, instead of serving until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

/// The settings of a throw-away instance: free ports of this machine, nothing of the environment,
/// only warnings on standard error.
pub(super) fn settings() -> Result<Config, String> {
    let free = "127.0.0.1:0".to_owned();
    let variables = [
        ("DESIST_SMTP__LISTEN", free.clone()),
        ("DESIST_PUBLIC__LISTEN", free.clone()),
        ("DESIST_API__LISTEN", free),
        ("DESIST_JOURNAL__DISK_FLOOR", "16 MiB".to_owned()),
        ("DESIST_LOG__LEVEL", "warn".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    Config::load(None, variables.into_iter()).map_err(|errors| errors.to_string())
}

/// What went wrong in the demo itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// The throw-away folder could not be made.
    #[error("cannot make a throw-away folder: {0}")]
    Folder(std::io::Error),
    /// The instance did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A door did not answer as a door does.
    #[error("{sample}: {what}")]
    Door {
        /// Which sample.
        sample: &'static str,
        /// What happened instead.
        what: String,
    },
    /// Something inside failed.
    #[error("{0}")]
    Inside(String),
}

/// What became of one sample: one row of the table.
#[derive(Debug)]
struct Outcome {
    came_in: &'static str,
    answer: String,
    taken_for: String,
    proof: String,
    changed: String,
    check: String,
}

impl Demo {
    /// Runs the demo; prints to standard output.
    pub(super) async fn run(self, mut config: Config) -> Result<ExitCode, DemoError> {
        let folder = Folder::make().map_err(DemoError::Folder)?;
        config.data_dir.clone_from(&folder.0);
        let server = Server::start(config, Announcer::silent()).await?;
        if !server.ready().await {
            return Err(DemoError::Inside(
                "the server ended before it was ready".to_owned(),
            ));
        }
        let played = play(&server).await;
        let result = match played {
            Ok(outcomes) => {
                self.report(&server, &outcomes);
                if !self.exit {
                    crate::serve::interrupted().await;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Err(error),
        };
        server.stop().await;
        result
    }

    fn report(&self, server: &Server, outcomes: &[Outcome]) {
        let mut out = std::io::stdout().lock();
        let listening = server.listening();
        let table = table::render(outcomes);
        let said = if self.exit {
            write!(out, "{table}")
        } else {
            write!(
                out,
                "{table}\nsmtp {}   public https://{}   api http://{}\nadmin key: {}\n\
                 serving until Ctrl-C\n",
                first(&listening.smtp),
                first(&listening.public),
                first(&listening.api),
                server.data_dir().join(ADMIN_KEY_FILE).display(),
            )
        };
        // A reader that went away (a closed pipe) is no failure of the demo.
        drop(said.and_then(|()| out.flush()));
    }
}

/// A folder that is gone when the demo is.
struct Folder(std::path::PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let name = format!("desist-demo-{}", data_encoding::HEXLOWER.encode(&random));
        let path = std::env::temp_dir().join(name);
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "cannot remove the demo's folder");
        }
    }
}

async fn play(server: &Server) -> Result<Vec<Outcome>, DemoError> {
    let mut outcomes = Vec::new();
    for sample in Sample::all() {
        let sent = sample.send(server).await?;
        server.settled().await;
        outcomes.push(look(server, sample, sent).await?);
    }
    Ok(outcomes)
}

/// Looks up what a sample has become, as an operator would.
async fn look(server: &Server, sample: &Sample, sent: Sent) -> Result<Outcome, DemoError> {
    let inside = |error: &dyn std::fmt::Display| DemoError::Inside(error.to_string());
    let app = server
        .app()
        .ok_or_else(|| inside(&"the API is not ready"))?;
    let events: Vec<StoredEvent> = match &sent.receipt {
        Some(id) => {
            let receipt = app
                .store
                .receipt(*id)
                .await
                .map_err(|error| inside(&error))?;
            receipt.map(|(_, events)| events).unwrap_or_default()
        }
        None => Vec::new(),
    };
    let check = ask(server, sample.address).await?;
    Ok(Outcome {
        came_in: sample.name,
        answer: sent.answer,
        taken_for: table::taken_for(&events),
        proof: table::proof(&events),
        changed: table::changed(&events),
        check,
    })
}

/// What the real API answers about this address.
async fn ask(server: &Server, address: &'static str) -> Result<String, DemoError> {
    let client = ClientArgs {
        url: Some(format!("http://{}", first(&server.listening().api))),
        ..ClientArgs::default()
    };
    let data_dir = server.data_dir().to_owned();
    let call = move || {
        let body = serde_json::json!({"addresses": [address]});
        client.connect(&data_dir)?.post("/v1/check", &body)
    };
    let inside = |error: &dyn std::fmt::Display| DemoError::Inside(error.to_string());
    let answer = tokio::task::spawn_blocking(call)
        .await
        .map_err(|error| inside(&error))?
        .map_err(|error| inside(&error))?;
    let hit = answer.pointer("/suppressed/0");
    Ok(hit.map_or_else(
        || format!("{address}: free"),
        |hit| {
            format!(
                "{address}: {} ({})",
                cell(hit, "/scope"),
                cell(hit, "/reason")
            )
        },
    ))
}

fn first(addresses: &[std::net::SocketAddr]) -> String {
    addresses
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}
