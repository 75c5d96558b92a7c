//! What a certificate authority is shown that asks whether a name is ours: TLS-ALPN-01 (RFC 8737).
//!
//! It connects to the public door's port 443, offers the one protocol `acme-tls/1`, and looks at the
//! certificate that it is given. Nothing else ever gets that certificate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::certificate::CertificateError;
use crate::model::digest::Digest;

/// The protocol by which such a handshake is known (RFC 8737 §6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The names that an authority asks about now. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<Mutex<BTreeMap<String, Arc<ServerConfig>>>>);

/// A name whose challenge is answered until this is dropped.
#[derive(Debug)]
#[must_use = "dropped, the challenge is not answered any more"]
pub struct Answered {
    name: String,
    challenges: Challenges,
}

impl Challenges {
    /// Answers the challenge for a name, whose key authorization has that digest (RFC 8737 §3).
    pub fn answer(
        &self,
        name: &str,
        key_authorization: &Digest,
    ) -> Result<Answered, CertificateError> {
        let name = name.to_ascii_lowercase();
        let config = shown(&name, key_authorization)?;
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.insert(name.clone(), Arc::new(config));
        drop(answered);
        Ok(Answered {
            name,
            challenges: self.clone(),
        })
    }

    /// What a client is shown, if it is an authority that asks for a name at hand: it offers this
    /// protocol alone.
    pub(super) fn shown_to(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(PROTOCOL) || offered.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(&name).cloned()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let answered = &self.challenges.0;
        let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.remove(&self.name);
    }
}

/// A self-signed certificate for that name alone, with the digest in a critical extension.
fn shown(name: &str, key_authorization: &Digest) -> Result<ServerConfig, CertificateError> {
    let make = || {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        let digest = key_authorization.as_bytes();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = make().map_err(CertificateError::Unmakable)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).map_err(CertificateError::Unusable)?;
    // Not looked at: the critical extension is one that only authorities know.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(CertificateError::Unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}
