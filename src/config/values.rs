//! Values that settings alone have: names, domains, URLs, secrets from files.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use super::given::Given;
use super::setting::{Setting, quoted, text};
use crate::model::address::Address;
use crate::model::domain;
use crate::model::secret::Secret;
use crate::model::tenant::{TenantId, is_name, is_title};
use crate::model::words::words;

words! {
    /// Where the public HTTPS door has its certificate from.
    pub enum TlsMode as "way of TLS" {
        /// `tls_cert` and `tls_key`.
        Files = "files",
        /// Ordered of a certificate authority, and renewed.
        Acme = "acme",
        /// Made at start; browsers and providers will not trust it.
        SelfMade = "self-made",
        /// Plain HTTP, for a reverse proxy on the same machine.
        Off = "off",
    }
}

words! {
    /// How log lines look.
    pub enum LogFormat as "log format" {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// How often something may happen in its period, or without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// So often in the period that the setting's name says; 0: no limit.
    pub const fn per_period(count: u32) -> Self {
        Self(count)
    }

    /// How often, if there is a limit.
    pub const fn limit(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0) }
    }
}

/// A domain in canonical form: lower-case A-labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// Brings a domain into canonical form.
    pub fn parse(text: &str) -> Option<Self> {
        domain::canonical(text).map(Self)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Domain {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        Self::parse(text).ok_or_else(|| format!("{text:?} is not a domain"))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// `local@domain` of a mailbox, canonical.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailboxAddress(Address);

impl MailboxAddress {
    /// The canonical address.
    pub const fn address(&self) -> &Address {
        &self.0
    }
}

impl Setting for MailboxAddress {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        Address::parse(text)
            .map(Self)
            .map_err(|error| format!("{text:?} is no address: {error}"))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(self.0.as_str()))
    }
}

/// The name of a tenant or stream: 1 to 64 characters of `a-z0-9._-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Name {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a name of 1 to 64 characters of a-z, 0-9, '.', '_', '-'"
            ))
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// What readers know a tenant or a stream by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Title {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        if is_title(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("wants 1 to 100 characters, none of them a control character".to_owned())
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A tenant, named as in `[[tenant]]` or by its number in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRef {
    /// By its name.
    Name(Name),
    /// By its number.
    Number(TenantId),
}

impl Setting for TenantRef {
    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Integer(_) => TenantId::read(given).map(Self::Number),
            _ => Name::read(given).map(Self::Name),
        }
    }

    fn written(&self) -> Option<String> {
        match self {
            Self::Name(name) => name.written(),
            Self::Number(number) => number.written(),
        }
    }
}

/// The base of links into the public door: `https://HOST[:PORT]`, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Its text, without trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `https:`.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl Setting for PublicUrl {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        let uri: Option<http::Uri> = text.parse().ok();
        let valid = uri.as_ref().is_some_and(|uri| {
            names_server(uri, &["https", "http"])
                && uri.path_and_query().is_none_or(|path| path == "/")
        });
        if valid && !text.contains('#') {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a base such as \"https://u.example.com\" (without a path)"
            ))
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Whether a URL has one of these schemes, and a host without a user before it.
pub(super) fn names_server(uri: &http::Uri, schemes: &[&str]) -> bool {
    uri.scheme_str().is_some_and(|one| schemes.contains(&one))
        && uri
            .authority()
            .is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'))
}

/// Where the store is. May hold a password: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// Checks the scheme.
    pub fn parse(text: &str) -> Option<Self> {
        ["sqlite:", "postgres://", "postgresql://"]
            .iter()
            .any(|scheme| {
                text.strip_prefix(scheme)
                    .is_some_and(|rest| !rest.is_empty())
            })
            .then(|| Self(text.to_owned()))
    }

    /// The embedded engine in that file.
    pub(super) fn sqlite(path: &Path) -> Self {
        Self(format!("sqlite:{}", path.display()))
    }

    /// Its text, which may hold a password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the embedded engine.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sqlite() {
            "StoreUrl(sqlite…)"
        } else {
            "StoreUrl(postgres…)"
        })
    }
}

impl Setting for StoreUrl {
    fn read(given: &Given) -> Result<Self, String> {
        Self::parse(text(given)?)
            .ok_or_else(|| "wants sqlite:PATH or postgres://USER@HOST/DATABASE".to_owned())
    }

    /// Never: it may hold a password.
    fn written(&self) -> Option<String> {
        None
    }
}

/// A store URL that was read from a file.
#[derive(Debug, Clone)]
pub struct StoreUrlFile(SecretFile<StoreUrl>);

/// The key that seals the root secret, read from a file: 32 bytes, or 64 hexadecimal digits.
#[derive(Debug, Clone)]
pub struct SealKeyFile(SecretFile<Secret<32>>);

#[derive(Debug, Clone)]
pub(super) struct SecretFile<T> {
    pub(super) path: PathBuf,
    pub(super) content: T,
    pub(super) open_to_others: bool,
}

impl StoreUrlFile {
    /// What the file says.
    pub const fn url(&self) -> &StoreUrl {
        &self.0.content
    }

    /// The file, if others than its owner can read it.
    pub fn open_to_others(&self) -> Option<&Path> {
        self.0.open_to_others.then_some(self.0.path.as_path())
    }
}

impl SealKeyFile {
    /// What the file holds.
    pub const fn key(&self) -> &Secret<32> {
        &self.0.content
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The file, if others than its owner can read it.
    pub fn open_to_others(&self) -> Option<&Path> {
        self.0.open_to_others.then_some(self.0.path.as_path())
    }
}

impl Setting for StoreUrlFile {
    fn read(given: &Given) -> Result<Self, String> {
        let wanted = "holds no sqlite:PATH or postgres://USER@HOST/DATABASE";
        SecretFile::read(given, wanted, |bytes| {
            StoreUrl::parse(str::from_utf8(bytes).ok()?.trim())
        })
        .map(Self)
    }

    fn written(&self) -> Option<String> {
        self.0.path.written()
    }
}

impl Setting for SealKeyFile {
    fn read(given: &Given) -> Result<Self, String> {
        SecretFile::read(
            given,
            "holds neither 32 bytes nor 64 hexadecimal digits",
            seal_key,
        )
        .map(Self)
    }

    fn written(&self) -> Option<String> {
        self.0.path.written()
    }
}

fn seal_key(bytes: &[u8]) -> Option<Secret<32>> {
    if let Ok(raw) = bytes.try_into() {
        return Some(Secret::new(raw));
    }
    let mut key = data_encoding::HEXLOWER_PERMISSIVE
        .decode(bytes.trim_ascii())
        .ok()?;
    let secret = <[u8; 32]>::try_from(key.as_slice()).ok().map(Secret::new);
    zeroize::Zeroize::zeroize(&mut key);
    secret
}

impl<T> SecretFile<T> {
    pub(super) fn read(
        given: &Given,
        wanted: &str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Self, String> {
        let path = PathBuf::read(given)?;
        let (mut bytes, mode) =
            Self::content(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let content = parse(&bytes).ok_or_else(|| format!("{} {wanted}", path.display()));
        zeroize::Zeroize::zeroize(&mut bytes);
        Ok(Self {
            content: content?,
            open_to_others: mode & 0o077 != 0,
            path,
        })
    }

    fn content(path: &Path) -> io::Result<(Vec<u8>, u32)> {
        let mode = fs::metadata(path)?.permissions().mode();
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_SECRET_FILE)
            .read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    }
}

/// What the log shows: a level, or levels by part of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// What a fresh installation logs.
    pub fn info() -> Self {
        Self("info".to_owned())
    }

    /// What telemetry filters by. A level alone is for desist's own parts: what others say when they
    /// are asked for more (frames of HTTP, for instance) has tokens and addresses in it.
    pub fn filter(&self) -> EnvFilter {
        let text = match self.0.as_str() {
            level @ ("debug" | "trace") => format!("info,desist={level}"),
            given => given.to_owned(),
        };
        EnvFilter::builder().parse_lossy(text)
    }
}

impl Setting for LogLevel {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        match EnvFilter::builder().parse(text) {
            Ok(_) if !text.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "{text:?} is not error, warn, info, debug, trace, or such as \"info,desist::smtp=debug\""
            )),
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// More than any URL or key needs.
const MAX_SECRET_FILE: u64 = 4096;
