//! TLS: what is negotiated, what is refused, and certificates that change.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use desist::metrics::Metrics;
use desist::model::clock::{Clock, Timestamp};
use desist::model::receipt::Door;
use desist::net::certificate::CertificateError;
use desist::net::stop::Stop;
use desist::net::tls::{Alpn, HandshakeLimits, Handshakes, Tls};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Takes any certificate: these tests look at which one it was.
#[derive(Debug)]
struct TakesAny;

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A client that takes any certificate.
pub(crate) fn client() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny))
        .with_no_client_auth()
}

/// Who shakes hands, where that does not matter.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn handshakes() -> Handshakes {
    Handshakes::new(HandshakeLimits::default(), Clock::system())
}

fn self_made(folder: &TempDir, alpn: Alpn) -> Tls {
    Tls::self_made(folder.path(), &["fb.example.com".to_owned()], alpn).unwrap()
}

/// Shakes hands with `tls` and passes a byte there and back.
async fn connect(tls: &Tls, config: ClientConfig, name: &str) -> TlsStream<DuplexStream> {
    let (client, server) = duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let handshakes = handshakes();
    let (client, server) = tokio::join!(
        connector.connect(name, client),
        handshakes.accept(tls, server, PEER)
    );
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(b"x").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    client
}

fn shown(stream: &TlsStream<DuplexStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Writes a new certificate and its key in PEM; gives the certificate in DER.
fn write_identity(chain: &Path, key: &Path) -> Vec<u8> {
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["fb.example.com".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap();
    fs::write(chain, certificate.pem()).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
    certificate.der().to_vec()
}

#[tokio::test]
async fn both_versions_are_spoken_with_strong_suites_alone() {
    //
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakesAny))
            .with_no_client_auth();
        let stream = connect(&tls, config, "fb.example.com").await;
        let connection = stream.get_ref().1;
        assert_eq!(connection.protocol_version(), Some(version.version));
        let suite = format!(
            "{:?}",
            connection.negotiated_cipher_suite().unwrap().suite()
        );
        let is_strong = version.version == ProtocolVersion::TLSv1_3 || suite.contains("ECDHE");
        assert!(
            is_strong && (suite.contains("GCM") || suite.contains("CHACHA20")),
            "{suite}"
        );
    }
}

#[tokio::test]
async fn older_versions_get_an_alert() {
    // a ClientHello of TLS 1.1 at most, with suites of its time.
    const HELLO_1_1: &[u8] = &[
        0x16, 0x03, 0x01, 0x00, 0x2f, // handshake record
        0x01, 0x00, 0x00, 0x2b, 0x03, 0x02, // ClientHello, TLS 1.1
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
        26, 27, 28, 29, 30, 31, 32,   // random
        0x00, // no session
        0x00, 0x04, 0xc0, 0x14, 0x00, 0x2f, // ECDHE-RSA-AES256-CBC-SHA, AES128-SHA
        0x01, 0x00, // no compression
    ];
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let (mut client, server) = duplex(1024);
    client.write_all(HELLO_1_1).await.unwrap();
    let error = handshakes().accept(&tls, server, PEER).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    // RFC 8446 §6: a fatal alert; 70 is protocol_version, 40 handshake_failure.
    assert!(
        answer.first() == Some(&0x15) && answer.contains(&2),
        "{answer:?}"
    );
    assert!(
        answer.ends_with(&[70]) || answer.ends_with(&[40]),
        "{answer:?}"
    );
}

#[tokio::test]
async fn any_name_or_none_gets_the_certificate() {
    //
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let expected = shown(&connect(&tls, client(), "fb.example.com").await);
    assert_eq!(
        shown(&connect(&tls, client(), "nonsense.example").await),
        expected
    );
    let mut nameless = client();
    nameless.enable_sni = false;
    assert_eq!(
        shown(&connect(&tls, nameless, "fb.example.com").await),
        expected
    );
}

#[tokio::test]
async fn a_client_that_has_a_certificate_is_not_asked_for_it() {
    //
    #[derive(Debug)]
    struct NeverAsked;
    impl rustls::client::ResolvesClientCert for NeverAsked {
        fn resolve(
            &self,
            _root_hint_subjects: &[&[u8]],
            _sigschemes: &[SignatureScheme],
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            panic!("the server asked for a client certificate")
        }

        fn has_certs(&self) -> bool {
            true
        }
    }
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny))
        .with_client_cert_resolver(Arc::new(NeverAsked));
    connect(&tls, config, "fb.example.com").await;
}

#[tokio::test]
async fn protocols_are_negotiated_for_http_alone() {
    let offers = |protocols: &[&[u8]]| {
        let mut config = client();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    };
    let folder = TempDir::new().unwrap();
    for (alpn, offered, negotiated) in [
        (
            Alpn::Http,
            offers(&[b"http/1.1", b"h2"]),
            Some(b"h2".as_slice()),
        ),
        (Alpn::Http, offers(&[b"http/1.1"]), Some(b"http/1.1")),
        (Alpn::Http, offers(&[]), None),
        (Alpn::Nothing, offers(&[b"h2"]), None),
    ] {
        let stream = connect(&self_made(&folder, alpn), offered, "localhost").await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), negotiated);
    }
}

#[tokio::test]
async fn garbage_ends_its_own_connection_alone() {
    //
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let (mut client_end, server) = duplex(1024);
    client_end
        .write_all(b"EHLO not.tls.example\r\n")
        .await
        .unwrap();
    let error = handshakes().accept(&tls, server, PEER).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    connect(&tls, client(), "fb.example.com").await;
}

#[tokio::test]
async fn a_silent_handshake_ends_in_time() {
    //
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let limits = HandshakeLimits {
        time: Duration::from_millis(20),
        ..HandshakeLimits::default()
    };
    let (_client, server) = duplex(1024);
    let handshakes = Handshakes::new(limits, Clock::system());
    let error = handshakes.accept(&tls, server, PEER).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(handshakes.running(), 0);
    assert_eq!(HandshakeLimits::default().time, Duration::from_secs(30));
}

#[tokio::test]
async fn a_thousand_half_open_handshakes_keep_nobody_out() {
    //
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let limits = HandshakeLimits {
        concurrent: 200,
        time: Duration::from_mins(10),
        ..HandshakeLimits::default()
    };
    let (handshakes, stop) = (Handshakes::new(limits, Clock::system()), Stop::new());
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut half_open = Vec::new();
    for number in 0..1000 {
        let (mut attacker, server) = duplex(1024);
        // The beginning of a record that never comes.
        attacker.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        half_open.push(attacker);
        let (handshakes, tls, ended) = (handshakes.clone(), tls.clone(), ended.clone());
        stop.spawn(async move {
            let error = handshakes.accept(&tls, server, PEER).await.unwrap_err();
            ended.send((number, error.kind())).unwrap();
        });
    }
    for expected in 0..800 {
        let (number, kind) = ends.recv().await.unwrap();
        assert_eq!(
            (number, kind),
            (expected, io::ErrorKind::TimedOut),
            "the oldest goes first"
        );
    }
    assert_eq!(handshakes.running(), 200);
    for _ in 0..10 {
        let (attempt, server) = duplex(64 * 1024);
        let connector = TlsConnector::from(Arc::new(client()));
        let name = ServerName::try_from("localhost").unwrap();
        let (client, server) = tokio::join!(
            connector.connect(name, attempt),
            handshakes.accept(&tls, server, PEER)
        );
        assert!(client.is_ok() && server.is_ok());
    }
    assert!(handshakes.running() <= 200);
    stop.finish(Duration::ZERO).await;
    assert_eq!(handshakes.running(), 0, "every place is given back");
}

/// Tries to shake hands as that peer; the error of the server, if any.
async fn shake(handshakes: &Handshakes, tls: &Tls, peer: &str) -> Option<io::ErrorKind> {
    let (attempt, server) = duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(client()));
    let name = ServerName::try_from("localhost").unwrap();
    let (client, server) = tokio::join!(
        connector.connect(name, attempt),
        handshakes.accept(tls, server, peer.parse().unwrap())
    );
    assert_eq!(client.is_ok(), server.is_ok());
    server.err().map(|error| error.kind())
}

#[tokio::test]
async fn the_handshakes_of_one_network_have_a_rate() {
    //
    let folder = TempDir::new().unwrap();
    let tls = self_made(&folder, Alpn::Nothing);
    let limits = HandshakeLimits {
        per_second: Some(2),
        ..HandshakeLimits::default()
    };
    let (clock, metrics) = (Clock::manual(Timestamp::default()), Metrics::default());
    let handshakes = Handshakes::new(limits, clock.clone());
    let handshakes = handshakes.counting(metrics.clone(), Door::Smtp);
    let too_often = Some(io::ErrorKind::QuotaExceeded);
    // Half open ones are not counted: they cost nothing.
    for _ in 0..20 {
        let (gone, server) = duplex(1024);
        drop(gone);
        handshakes.accept(&tls, server, PEER).await.unwrap_err();
    }
    for number in 0..10 {
        let peer = format!("192.0.2.{number}");
        assert_eq!(shake(&handshakes, &tls, &peer).await, None, "{number}");
    }
    assert_eq!(shake(&handshakes, &tls, "192.0.2.99").await, too_often);
    assert_eq!(shake(&handshakes, &tls, "192.0.3.1").await, None);
    clock.advance(Duration::from_millis(500));
    assert_eq!(shake(&handshakes, &tls, "192.0.2.99").await, None);
    assert_eq!(shake(&handshakes, &tls, "192.0.2.1").await, too_often);
    let sample = "desist_refusals_total{door=\"smtp\",reason=\"handshake-rate\"} 2\n";
    assert!(metrics.render().contains(sample), "{}", metrics.render());
}

#[tokio::test]
async fn a_replaced_certificate_is_served_and_open_connections_live_on() {
    //
    let folder = TempDir::new().unwrap();
    let (chain, key) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    let first = write_identity(&chain, &key);
    let tls = Tls::from_files(&chain, &key, Alpn::Nothing).unwrap();
    assert!(!tls.reload_if_changed().unwrap(), "nothing has changed");
    let (client_end, server) = duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(client()));
    let handshakes = handshakes();
    let (mut old, server) = tokio::join!(
        connector.connect(ServerName::try_from("localhost").unwrap(), client_end),
        handshakes.accept(&tls, server, PEER)
    );
    let (old, mut server) = (old.as_mut().unwrap(), server.unwrap());

    let second = write_identity(&chain, &key);
    assert!(tls.reload_if_changed().unwrap());
    let new = connect(&tls, client(), "localhost").await;
    assert_eq!((shown(old), shown(&new)), (first, second));
    server.write_all(b"y").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(old.read_u8().await.unwrap(), b'y');
}

#[tokio::test]
async fn a_bad_certificate_is_an_error_once_and_the_old_one_stays() {
    //
    let folder = TempDir::new().unwrap();
    let (chain, key) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    let served = write_identity(&chain, &key);
    let tls = Tls::from_files(&chain, &key, Alpn::Nothing).unwrap();

    fs::write(&chain, "no certificate").unwrap();
    assert!(matches!(
        tls.reload_if_changed(),
        Err(CertificateError::NoCertificate)
    ));
    assert!(
        !tls.reload_if_changed().unwrap(),
        "the same error is not told twice"
    );
    fs::remove_file(&chain).unwrap();
    assert!(matches!(
        tls.reload_if_changed(),
        Err(CertificateError::Unreadable { .. })
    ));
    assert!(!tls.reload_if_changed().unwrap());
    fs::write(&chain, vec![b'x'; 2 * 1024 * 1024]).unwrap();
    assert!(!tls.reload_if_changed().unwrap(), "still not readable");
    assert_eq!(shown(&connect(&tls, client(), "localhost").await), served);

    // A renewal that replaces the chain first: no mixture is ever served.
    let next_key = folder.path().join("next.pem");
    let next = write_identity(&chain, &next_key);
    assert!(matches!(
        tls.reload_if_changed(),
        Err(CertificateError::Unusable(_))
    ));
    assert_eq!(shown(&connect(&tls, client(), "localhost").await), served);
    fs::rename(&next_key, &key).unwrap();
    assert!(tls.reload_if_changed().unwrap());
    assert_eq!(shown(&connect(&tls, client(), "localhost").await), next);
}

#[tokio::test]
async fn a_watched_certificate_is_replaced_by_itself() {
    //
    let folder = TempDir::new().unwrap();
    let (chain, key) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    write_identity(&chain, &key);
    let tls = Tls::from_files(&chain, &key, Alpn::Nothing).unwrap();
    let stop = Stop::new();
    tls.watch(&stop, Duration::from_millis(1));
    let next = write_identity(&chain, &key);
    let served = async { while shown(&connect(&tls, client(), "localhost").await) != next {} };
    tokio::time::timeout(Duration::from_secs(30), served)
        .await
        .unwrap();
    assert!(
        stop.finish(Duration::from_secs(30)).await,
        "watching ends with the stop"
    );
}

#[tokio::test]
async fn a_self_made_certificate_survives_restarts_and_fits_its_names() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("self-made.pem");
    let tls = self_made(&folder, Alpn::Http);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(tls.not_after().unwrap() > "2100-01-01T00:00:00Z".parse().unwrap());

    let first = shown(&connect(&tls, client(), "localhost").await);
    let again = self_made(&folder, Alpn::Http);
    assert_eq!(shown(&connect(&again, client(), "localhost").await), first);

    // A client that trusts it accepts each of its names.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(first.clone())).unwrap();
    let strict = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for name in ["fb.example.com", "localhost", "127.0.0.1", "::1"] {
        connect(&tls, strict.clone(), name).await;
    }

    let others = ["other.example.com".to_owned()];
    let other = Tls::self_made(folder.path(), &others, Alpn::Http).unwrap();
    assert_ne!(shown(&connect(&other, client(), "localhost").await), first);
    fs::write(&file, "cut short").unwrap();
    self_made(&folder, Alpn::Http);
}
