//! Certificates with their keys: read from PEM files, or self-made for where there are none yet.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::model::clock::Timestamp;

/// The largest PEM file that is read, in bytes; a chain has a few thousand.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Names that every self-made certificate is good for.
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What a server shows and proves: its chain, leaf first, and the leaf's private key.
#[derive(Debug)]
pub struct Identity {
    /// The leaf and what leads to its root. Never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// From when the leaf is valid; `None` if its DER cannot be read that far.
    pub not_before: Option<Timestamp>,
    /// When the leaf ends to be valid; `None` if its DER cannot be read that far.
    pub not_after: Option<Timestamp>,
}

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is larger than 1 MiB.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("{file} cannot be written")]
    Unwritable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There is no certificate in the file, or one is broken.
    #[error("the certificate's file holds no certificate in PEM")]
    NoCertificate,
    /// There is no private key in the file, or it is broken or encrypted.
    #[error("the key's file holds no private key in PEM")]
    NoKey,
    /// Key and certificate do not belong together, or the key is of a kind that is not supported.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
    /// The self-made certificate could not be made, for instance for a name that is none.
    #[error("no certificate can be made for these names")]
    Unmakable(#[source] rcgen::Error),
}

impl Identity {
    /// Parses a chain and a key. Both may come from the same file.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or(CertificateError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .ok()
            .ok_or(CertificateError::NoKey)?;
        let (not_before, not_after) = chain
            .first()
            .and_then(|leaf| validity(leaf))
            .unwrap_or_default();
        Ok(Self {
            chain,
            key,
            not_before,
            not_after,
        })
    }

    /// Whether key and certificate belong together, and can be served.
    pub fn usable(self) -> Result<(), CertificateError> {
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|versions| {
                let unasked = versions.with_no_client_auth();
                unasked.with_single_cert(self.chain, self.key)
            })
            .map(drop)
            .map_err(CertificateError::Unusable)
    }
}

/// Reads a PEM file whole.
pub fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(file)?
            .take(FILE_LIMIT + 1)
            .read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_LIMIT) {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 1 MiB",
            ));
        }
        Ok(bytes)
    };
    read().map_err(|cause| CertificateError::Unreadable {
        file: file.to_owned(),
        cause,
    })
}

/// The name of the file that holds a certificate by ACME with its chain and key.
pub const ACME_FILE: &str = "acme.pem";

/// The name of the file that holds the account at the authority, and its key.
pub const ACME_ACCOUNT_FILE: &str = "acme-account.json";

/// The name of the file that holds a self-made certificate and its key.
pub const SELF_MADE_FILE: &str = "self-made.pem";

/// The file (mode 0600) with a self-made certificate and its key for `names` and this machine's
/// loopback names. It is made when there is none, or when the one there is for other names or
/// broken; otherwise it stays, so that those who pinned it are not surprised by a restart.
pub fn self_made(folder: &Path, names: &[String]) -> Result<PathBuf, CertificateError> {
    let file = folder.join(SELF_MADE_FILE);
    let mut names: Vec<String> = names
        .iter()
        .map(String::as_str)
        .chain(ALWAYS)
        .map(str::to_lowercase)
        .collect();
    names.sort();
    names.dedup();
    // Text outside the PEM blocks is a comment (RFC 7468 §2).
    let title = format!("desist: self-made certificate for {}\n", names.join(", "));
    if let Ok(present) = read(&file)
        && present.starts_with(title.as_bytes())
        && Identity::from_pem(&present, &present).is_ok()
    {
        return Ok(file);
    }
    let (certificate, key) = make(names).map_err(CertificateError::Unmakable)?;
    let text = zeroize::Zeroizing::new(format!("{title}{certificate}{}", key.as_str()));
    keep(&file, &text)?;
    Ok(file)
}

/// Keeps a secret text in a file (mode 0600) of which nobody ever reads half. Blocks on the disk.
pub fn keep(file: &Path, text: &str) -> Result<(), CertificateError> {
    write(file, text).map_err(|cause| CertificateError::Unwritable {
        file: file.to_owned(),
        cause,
    })
}

/// Certificate and key in PEM.
fn make(names: Vec<String>) -> Result<(String, zeroize::Zeroizing<String>), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "desist self-made certificate");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((
        certificate.pem(),
        zeroize::Zeroizing::new(key.serialize_pem()),
    ))
}

/// Writes beside the file and renames, so that nobody ever reads half of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut new = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

/// Beginning and end of a certificate's validity (RFC 5280 §4.1.2.5).
fn validity(certificate: &[u8]) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = der(certificate)?;
    let (_, mut fields, _) = der(certificate)?;
    if let (VERSION, _, rest) = der(fields)? {
        fields = rest;
    }
    // serialNumber, signature and issuer stand before validity.
    for _ in 0..3 {
        fields = der(fields)?.2;
    }
    let (SEQUENCE, validity, _) = der(fields)? else {
        return None;
    };
    let (first, before, after) = der(validity)?;
    let (second, after, _) = der(after)?;
    Some((time(first, before), time(second, after)))
}

/// `UTCTime` (`YYMMDDHHMMSSZ`, 1950 to 2049) or `GeneralizedTime` (`YYYYMMDDHHMMSSZ`).
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = std::str::from_utf8(text).ok()?;
    let full = match tag {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to);
    let (date, time) = (
        (part(0, 4)?, part(4, 6)?, part(6, 8)?),
        (part(8, 10)?, part(10, 12)?),
    );
    format!(
        "{}-{}-{}T{}:{}:{}",
        date.0,
        date.1,
        date.2,
        time.0,
        time.1,
        part(12, full.len())?
    )
    .parse()
    .ok()
}

/// Takes one DER element: its tag, its content and what follows it (X.690 §8.1).
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = octets.iter().try_fold(0_usize, |length, octet| {
            length
                .checked_mul(256)
                .map(|length| length | usize::from(*octet))
        })?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn the_end_of_validity_is_read_in_both_forms() {
        //
        for year in [2031, 2049, 2050, 4096] {
            let expected: Timestamp = format!("{year}-02-03T00:00:00Z").parse().unwrap();
            assert_eq!(
                validity(&certificate(year)).unwrap().1,
                Some(expected),
                "{year}"
            );
        }
        assert_eq!(
            time(0x17, b"991231235959Z"),
            "1999-12-31T23:59:59Z".parse().ok()
        );
    }

    #[test]
    fn a_certificate_cut_or_flipped_anywhere_is_read_without_a_panic() {
        let whole = certificate(2031);
        for at in 0..whole.len() {
            validity(&whole[..at]);
            for flip in [0x01, 0x80, 0xff] {
                let mut flipped = whole.clone();
                flipped[at] ^= flip;
                validity(&flipped);
            }
        }
    }

    #[test]
    fn what_is_no_certificate_or_key_is_said() {
        let make = || make(vec!["localhost".into()]).unwrap();
        let (chain, key) = make();
        let refused = |chain: &str, key: &str| {
            Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
        };
        assert!(matches!(refused("", &key), CertificateError::NoCertificate));
        assert!(matches!(
            refused(&key, &key),
            CertificateError::NoCertificate
        ));
        assert!(matches!(refused(&chain, &chain), CertificateError::NoKey));
        assert!(matches!(
            refused(chain.get(..200).unwrap(), &key),
            CertificateError::NoCertificate
        ));
    }
}
