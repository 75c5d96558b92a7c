//! Layer 2: by which certificates the servers that desist itself calls are believed.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The certificates of a file (PEM), as the only ones to believe. The error says what is wrong with
/// it: it cannot be read, is no PEM, or has none.
pub(crate) fn in_file(path: &Path) -> Result<RootCerts, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let certificates = in_pem(&pem)?;
    if certificates.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// All certificates of a PEM text; other items are passed over. The error says what is no PEM.
pub(crate) fn in_pem(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    Ok(certificates)
}

/// TLS that believes these alone, by the provider that everything here uses.
pub(crate) fn believing(roots: RootCerts) -> TlsConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(provider)
        .build()
}
