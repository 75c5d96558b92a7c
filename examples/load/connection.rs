//! Connections that are opened before the time runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::exchange::Kept;
use crate::Result;

pub(crate) async fn plain(server: SocketAddr, count: usize) -> Result<Vec<Kept<TcpStream>>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Kept::new(connect(server).await?));
    }
    Ok(connections)
}

/// HTTP/1.1 over TLS; the file holds the one certificate that is believed.
pub(crate) async fn tls(
    server: SocketAddr,
    certificate: &Path,
    count: usize,
) -> Result<Vec<Kept<TlsStream<TcpStream>>>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = connect(server).await?;
        let name = ServerName::try_from("localhost")?;
        connections.push(Kept::new(connector.connect(name, stream).await?));
    }
    Ok(connections)
}

async fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
