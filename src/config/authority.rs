//! What a certificate authority is known by, and we to it.

use std::path::Path;

use zeroize::Zeroizing;

use super::given::Given;
use super::setting::{Setting, quoted, text};
use super::values::{SecretFile, names_server};

/// The URL of an authority's directory: `https:`, with its path (RFC 8555 §6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUrl(String);

impl DirectoryUrl {
    /// The authority that certifies for nothing, and is the best known.
    pub(super) fn lets_encrypt() -> Self {
        Self("https://acme-v02.api.letsencrypt.org/directory".to_owned())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for DirectoryUrl {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        let uri: Option<http::Uri> = text.parse().ok();
        let valid = uri.is_some_and(|uri| names_server(&uri, &["https"]));
        if valid && !text.contains('#') {
            Ok(Self(text.to_owned()))
        } else {
            let sample = Self::lets_encrypt().0;
            Err(format!("{text:?} is not a URL such as {sample:?}"))
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// The name of a key at an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId(String);

impl KeyId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for KeyId {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        if (1..=MAX_KEY_ID).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("wants 1 to {MAX_KEY_ID} visible ASCII characters"))
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// The key of an account that the operator has at an authority (RFC 8555 §7.3.4), from a file.
#[derive(Debug, Clone)]
pub struct EabKeyFile(SecretFile<Zeroizing<Vec<u8>>>);

impl EabKeyFile {
    /// The key.
    pub const fn key(&self) -> &Zeroizing<Vec<u8>> {
        &self.0.content
    }

    /// The file, if others than its owner can read it.
    pub fn open_to_others(&self) -> Option<&Path> {
        self.0.open_to_others.then_some(self.0.path.as_path())
    }
}

impl Setting for EabKeyFile {
    fn read(given: &Given) -> Result<Self, String> {
        SecretFile::read(given, "holds no key in base64url", |bytes| {
            let text = bytes.trim_ascii();
            let end = text.iter().rposition(|byte| *byte != b'=')?;
            let text = text.get(..=end)?;
            let key = data_encoding::BASE64URL_NOPAD.decode(text).ok()?;
            Some(Zeroizing::new(key))
        })
        .map(Self)
    }

    fn written(&self) -> Option<String> {
        self.0.path.written()
    }
}

/// Characters.
const MAX_KEY_ID: usize = 512;
