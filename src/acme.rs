//! Layer 4: certificates by ACME (RFC 8555), ordered, kept and renewed while the server runs.
//!
//! One certificate for all names. The authority sees that a name is ours by TLS-ALPN-01 at the public
//! door (see [`crate::net::challenge`]), so each name must lead to this node. What is ordered is decided
//! from files alone: the certificate, and when the next attempt may be. That time is written before an
//! attempt begins, so that not even a server that crashes and starts again orders in a loop.

mod account;
mod attempts;
mod order;
mod schedule;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::metrics::Metrics;
use crate::model::clock::{Clock, Timestamp};
use crate::model::redacted::redacted;
use crate::net::certificate::{self, ACME_FILE, CertificateError, Identity};
use crate::net::challenge::Challenges;
use crate::net::tls::Tls;
use crate::store::{Alarm, AlarmKind};
use attempts::{ATTEMPTS_FILE, Attempts};
use schedule::Validity;

/// How long one order may take. An authority answers in seconds.
const ORDER_TIME: Duration = Duration::from_mins(5);
/// How often, and how many times, the store is looked for to keep an alarm.
const STORE_LOOK: Duration = Duration::from_secs(1);
const STORE_LOOKS: u32 = 60;
/// Characters of an error that are logged.
const MOST_SAID: usize = 500;
/// How often the time is looked at: a clock may be set.
const LOOK: Duration = Duration::from_mins(10);

/// With whom, and for which names.
#[derive(Debug, Clone)]
pub struct Settings {
    /// URL of the authority's directory (RFC 8555 §7.1.1).
    pub directory: String,
    /// Whom the authority may write to, as `mailto:` URLs.
    pub contacts: Vec<String>,
    /// What the certificate is for, canonical. At least one.
    pub names: Vec<String>,
    /// The root that the authority's own certificate is of, if not one of the system's.
    pub ca_file: Option<PathBuf>,
    /// An account that the operator has there already (RFC 8555 §7.3.4).
    pub external: Option<External>,
}

/// An account outside of ACME that ours belongs to.
#[derive(Debug, Clone)]
pub struct External {
    /// The key's name there.
    pub key_id: String,
    /// The key of the MAC.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

/// Keeps the certificate valid. See the module.
#[derive(Debug)]
pub struct Keeper {
    /// With whom, and for which names.
    pub settings: Settings,
    /// The data folder.
    pub folder: PathBuf,
    /// What the public door answers.
    pub challenges: Challenges,
    /// Who serves the certificate.
    pub served: Vec<Tls>,
    /// The time.
    pub clock: Clock,
    /// Where attempts are counted.
    pub metrics: Metrics,
    /// Where alarms are kept, once the store is there.
    pub app: Arc<OnceLock<App>>,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority refuses, or cannot be reached.
    #[error("the certificate authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It has not found that a name is ours.
    #[error("the name {name} was not found to be ours: {why}")]
    NotOurs {
        /// Which name.
        name: String,
        /// What it says of its look.
        why: String,
    },
    /// It does not offer the way that this program knows.
    #[error("the certificate authority does not offer tls-alpn-01 for {0}")]
    NoWay(String),
    /// It gave up the order without a word.
    #[error("the certificate authority made the order invalid")]
    Invalid,
    /// It took too long.
    #[error("the order was not done within 5 minutes")]
    TooLate,
    /// Key or request could not be made.
    #[error("no certificate request can be made")]
    Request(#[source] rcgen::Error),
    /// A file cannot be used, or the new certificate.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// A file's content cannot be used.
    #[error("{file} is not what this program writes: {cause}")]
    File {
        /// Its name in the data folder.
        file: &'static str,
        /// What is wrong.
        #[source]
        cause: serde_json::Error,
    },
    /// The runtime is going down.
    #[error("stopped")]
    Stopped,
}

/// The first line of the certificate's file: what it was ordered for. With other settings it is ordered
/// anew. Text outside the PEM blocks is a comment (RFC 7468 §2).
fn title(settings: &Settings) -> String {
    let names = settings.names.join(", ");
    format!(
        "desist: certificate of {} for {names}\n",
        settings.directory
    )
}

impl Keeper {
    /// Orders and renews until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        Box::pin(stop.run_until_cancelled(self.keep())).await;
    }

    async fn keep(self) {
        let mut told = None;
        loop {
            let held = self.held().await;
            let attempts = self.attempts().await;
            let now = self.clock.now();
            let due = schedule::due(now, held, attempts.as_ref());
            if due > now {
                if told.replace(due) != Some(due) {
                    tracing::info!(next = %due, "no certificate is to be ordered before");
                }
                tokio::time::sleep(wait(now, due)).await;
            } else if let Err(error) = self.attempt(attempts).await {
                self.tell_of_failure(held, &error).await;
                // Not even a disk that keeps nothing makes this a busy loop.
                tokio::time::sleep(schedule::LEAST).await;
            } else {
                let names = self.settings.names.join(", ");
                self.metrics.acme_order("issued");
                tracing::info!(names, "a certificate was issued");
            }
        }
    }

    /// Counts and logs it; an alarm if the certificate at hand ends soon. What an authority says may
    /// quote the contact's address.
    async fn tell_of_failure(&self, held: Option<Validity>, error: &AcmeError) {
        self.metrics.acme_order("failed");
        let error = said(error);
        let next = self.attempts().await.map(|attempts| attempts.next);
        let next = next.map(|at| at.to_string());
        let names = self.settings.names.join(", ");
        tracing::warn!(names, error, next, "no certificate was issued");
        self.alarm_if_late(held, &error).await;
    }

    /// One order, from the note that it is tried to the certificate that is served.
    async fn attempt(&self, before: Option<Attempts>) -> Result<(), AcmeError> {
        let begun = Attempts::one_more(before, title(&self.settings), self.clock.now());
        let file = self.file(ATTEMPTS_FILE);
        let text = begun.to_text();
        on_disk(move || Ok(certificate::keep(&file, &text)?)).await?;
        let ordered = tokio::time::timeout(ORDER_TIME, self.order()).await;
        let pem = match ordered {
            Ok(Ok(pem)) => pem,
            Ok(Err(error)) => {
                if schedule::is_refused_for_its_rate(&error) {
                    self.postpone(begun).await?;
                }
                return Err(error);
            }
            Err(_elapsed) => return Err(AcmeError::TooLate),
        };
        let (file, served) = (self.file(ACME_FILE), self.served.clone());
        let noted = self.file(ATTEMPTS_FILE);
        let done = begun.succeeded(self.clock.now()).to_text();
        let text = zeroize::Zeroizing::new(format!("{}{}", title(&self.settings), *pem));
        on_disk(move || {
            // What cannot be used must not take the place of what can.
            Identity::from_pem(text.as_bytes(), text.as_bytes())?.usable()?;
            certificate::keep(&file, &text)?;
            for tls in served {
                tls.reload_if_changed()?;
            }
            Ok(certificate::keep(&noted, &done)?)
        })
        .await
    }

    async fn postpone(&self, begun: Attempts) -> Result<(), AcmeError> {
        let (file, text) = (self.file(ATTEMPTS_FILE), begun.postponed().to_text());
        on_disk(move || Ok(certificate::keep(&file, &text)?)).await
    }

    /// The certificate at hand, if it was ordered with these settings.
    async fn held(&self) -> Option<Validity> {
        let (file, title) = (self.file(ACME_FILE), title(&self.settings));
        let read = on_disk(move || Ok(certificate::read(&file)?)).await.ok()?;
        if !read.starts_with(title.as_bytes()) {
            return None;
        }
        let identity = Identity::from_pem(&read, &read).ok()?;
        Some(Validity {
            from: identity.not_before?,
            until: identity.not_after?,
        })
    }

    /// What was tried in vain with these settings.
    async fn attempts(&self) -> Option<Attempts> {
        let file = self.file(ATTEMPTS_FILE);
        let read = on_disk(move || Ok(certificate::read(&file)?)).await.ok()?;
        Attempts::of_text(&read).filter(|attempts| attempts.wanted == title(&self.settings))
    }

    async fn alarm_if_late(&self, held: Option<Validity>, why: &str) {
        let now = self.clock.now();
        let Some(held) = held.filter(|held| schedule::is_late(now, *held)) else {
            return;
        };
        let alarm = Alarm {
            id: format!("certificate-{}", held.until.to_seconds_text()),
            at: now,
            tenant: None,
            kind: AlarmKind::Certificate,
            detail: serde_json::json!({
                "names": self.settings.names,
                "until": held.until.to_string(),
                "error": why,
            }),
        };
        alarm.tell(&self.metrics);
        for _ in 0..STORE_LOOKS {
            match self.app.get() {
                Some(app) => {
                    if let Err(error) = app.store.keep_alarm(&alarm).await {
                        tracing::error!(%error, "an alarm could not be kept");
                    }
                    return;
                }
                // The doors open before the store is there.
                None => tokio::time::sleep(STORE_LOOK).await,
            }
        }
        tracing::error!("an alarm could not be kept: the store is away");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// An error with its causes, without what is private.
fn said(error: &AcmeError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        // Some repeat what they are caused by.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    redacted(&text).chars().take(MOST_SAID).collect()
}

/// How long to sleep until `due`.
fn wait(now: Timestamp, due: Timestamp) -> Duration {
    let millis = due.as_millis().saturating_sub(now.as_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).clamp(Duration::from_secs(1), LOOK)
}

/// Does what blocks on the disk.
async fn on_disk<T, F>(work: F) -> Result<T, AcmeError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, AcmeError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_going_down) => Err(AcmeError::Stopped),
    }
}

/// What a file of the data folder holds; `None` if there is none.
async fn content(file: &Path) -> Result<Option<Vec<u8>>, AcmeError> {
    let file = file.to_owned();
    on_disk(move || match certificate::read(&file) {
        Ok(read) => Ok(Some(read)),
        Err(CertificateError::Unreadable { cause, .. })
            if cause.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    })
    .await
}
