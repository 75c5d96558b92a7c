//! TLS as server: the settings, and a certificate that is replaced while the server runs.
//!
//! TLS 1.2 and 1.3 (RFC 8996, RFC 9325 §3.1) with ECDHE and AEAD alone (RFC 9325 §4.2), which is
//! all that the provider offers. A client names whatever host it likes, or none: it gets the one
//! certificate there is (RFC 7672 §8). Client certificates are not asked for: some senders break
//! off when they are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ClientHello;

pub use super::handshakes::{HandshakeLimits, Handshakes};

use super::certificate::{self, CertificateError, Identity};
use super::challenge::Challenges;
use super::stop::Stop;
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;

/// What is negotiated inside the handshake (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// `h2` before `http/1.1` before `http/1.0`, which some clients offer alone.
    Http,
    /// Nothing, as for STARTTLS.
    Nothing,
}

/// A server's certificate and settings, replaced while it runs. Cheap to clone; clones are
/// replaced together.
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
    challenges: Option<Challenges>,
}

#[derive(Debug)]
struct Inner {
    chain: PathBuf,
    key: PathBuf,
    alpn: Alpn,
    current: ArcSwap<Current>,
    /// What the files held when they were last read, good or bad; `None` if they could not be
    /// read. What was judged once is not judged (and complained about) again.
    seen: Mutex<Option<Digest>>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
}

impl Tls {
    /// A certificate (with its chain) and its key from PEM files, which may be one file.
    pub fn from_files(chain: &Path, key: &Path, alpn: Alpn) -> Result<Self, CertificateError> {
        let (pem, digest) = Pem::read(chain, key)?;
        Self::serving((chain, key), alpn, &pem, Some(digest))
    }

    /// The certificate with its key in `file`, which need not be there yet: until then the one in
    /// `meanwhile`.
    pub fn awaited(file: &Path, meanwhile: &Path, alpn: Alpn) -> Result<Self, CertificateError> {
        Self::from_files(file, file, alpn).or_else(|_not_yet| {
            let (pem, _) = Pem::read(meanwhile, meanwhile)?;
            Self::serving((file, file), alpn, &pem, None)
        })
    }

    fn serving(
        (chain, key): (&Path, &Path),
        alpn: Alpn,
        pem: &Pem,
        seen: Option<Digest>,
    ) -> Result<Self, CertificateError> {
        let inner = Inner {
            chain: chain.to_owned(),
            key: key.to_owned(),
            alpn,
            current: ArcSwap::from_pointee(Current::new(pem, alpn)?),
            seen: Mutex::new(seen),
        };
        Ok(Self {
            inner: Arc::new(inner),
            challenges: None,
        })
    }

    /// Also answers certificate authorities that ask for a name at hand.
    #[must_use]
    pub fn answering(self, challenges: Challenges) -> Self {
        Self {
            challenges: Some(challenges),
            ..self
        }
    }

    /// What a client is shown instead of the certificate, if it is an authority that asks.
    pub(super) fn challenged(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        self.challenges.as_ref()?.shown_to(hello)
    }

    /// A self-made certificate for `names` and the loopback names, kept in `folder`.
    pub fn self_made(
        folder: &Path,
        names: &[String],
        alpn: Alpn,
    ) -> Result<Self, CertificateError> {
        let file = certificate::self_made(folder, names)?;
        Self::from_files(&file, &file, alpn)
    }

    /// The settings with the certificate of this moment.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.inner.current.load().config)
    }

    /// The file that the certificate is from.
    pub fn file(&self) -> &Path {
        &self.inner.chain
    }

    /// When the certificate of this moment ends to be valid, if that can be read.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.inner.current.load().not_after
    }

    /// Reads the files and, if they hold something new, serves it from the next handshake on;
    /// `true` then. A new certificate that cannot be used is an error once and the old one stays:
    /// chain and key are replaced one after the other, so a moment's mismatch is normal. Blocks
    /// on the disk.
    pub fn reload_if_changed(&self) -> Result<bool, CertificateError> {
        let inner = &*self.inner;
        let mut seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (pem, digest) = match Pem::read(&inner.chain, &inner.key) {
            Ok(read) => read,
            Err(error) => {
                return if seen.take().is_some() {
                    Err(error)
                } else {
                    Ok(false)
                };
            }
        };
        if seen.replace(digest) == Some(digest) {
            return Ok(false);
        }
        inner
            .current
            .store(Arc::new(Current::new(&pem, inner.alpn)?));
        Ok(true)
    }

    /// Calls [`Tls::reload_if_changed`] every so often until the soft stop.
    pub fn watch(&self, stop: &Stop, every: Duration) {
        self.watch_and(stop, every, |_| {});
    }

    /// [`Tls::watch`] that tells `seen` each time, and at once, when the certificate served ends
    /// to be valid.
    pub fn watch_and<F>(&self, stop: &Stop, every: Duration, seen: F)
    where
        F: Fn(Option<Timestamp>) + Send + 'static,
    {
        let tls = self.clone();
        let soft = stop.soft().clone();
        stop.spawn(async move {
            loop {
                seen(tls.not_after());
                tokio::select! {
                    () = soft.cancelled() => return,
                    () = tokio::time::sleep(every) => {}
                }
                let watched = tls.clone();
                let reloaded = tokio::task::spawn_blocking(move || watched.reload_if_changed());
                match reloaded.await {
                    Ok(Ok(false)) => {}
                    Ok(Ok(true)) => tls.tell_of_new(),
                    Ok(Err(error)) => tls.tell_of_unusable(&error),
                    // The runtime is going down.
                    Err(_) => return,
                }
            }
        });
    }

    fn tell_of_new(&self) {
        let not_after = self.not_after().map(|at| at.to_string());
        tracing::info!(file = %self.inner.chain.display(), not_after, "a new certificate is served");
    }

    fn tell_of_unusable(&self, error: &CertificateError) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let file = self.inner.chain.display();
        tracing::warn!(%file, %error, cause, "the certificate changed but is not usable; the old one stays");
    }
}

/// The two files' content.
struct Pem {
    chain: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

impl Pem {
    /// Reads both. They are compared by content, since neither times nor inode numbers tell every
    /// replacement; a few thousand bytes every few seconds cost nothing.
    fn read(chain: &Path, key: &Path) -> Result<(Self, Digest), CertificateError> {
        let chain = certificate::read(chain)?;
        let key = zeroize::Zeroizing::new(certificate::read(key)?);
        let both = [*Digest::of(&chain).as_bytes(), *Digest::of(&key).as_bytes()].concat();
        Ok((Self { chain, key }, Digest::of(&both)))
    }
}

impl Current {
    fn new(pem: &Pem, alpn: Alpn) -> Result<Self, CertificateError> {
        let Identity {
            chain,
            key,
            not_before: _,
            not_after,
        } = Identity::from_pem(&pem.chain, &pem.key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .and_then(|versions| versions.with_no_client_auth().with_single_cert(chain, key))
            .map_err(CertificateError::Unusable)?;
        config.alpn_protocols = match alpn {
            Alpn::Http => ["h2", "http/1.1", "http/1.0"].map(Vec::from).to_vec(),
            Alpn::Nothing => Vec::new(),
        };
        Ok(Self {
            config: Arc::new(config),
            not_after,
        })
    }
}
