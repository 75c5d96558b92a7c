//! The pump over an in-memory pipe.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;
use crate::mail_server::budget::{Budget, Share};
use crate::model::clock::Timestamp;
use crate::model::mailbox::{Mailbox, Role};
use crate::model::receipt::ReceiptId;
use crate::net::tls::{Alpn, HandshakeLimits};
use crate::smtp::gate::Shortage;
use crate::smtp::path::Path;
use crate::smtp::recipients::{Accepted, Refusal};
use crate::smtp::session::Settings;

const HOST: &str = "mx.example.com";

/// Accepts every recipient within a budget.
struct Open(Share);

impl Gate for Open {
    fn recipient(&self, path: &Path) -> Result<Accepted, Refusal> {
        let (address, role) = (path.as_str().to_owned(), Role::Bounce);
        Ok(Accepted {
            mailbox: Mailbox {
                address,
                role,
                tenant: None,
                stream: None,
            },
            token: None,
        })
    }

    fn admits(&self) -> Result<(), Shortage> {
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> bool {
        self.0.reserve(bytes)
    }

    fn release(&self, bytes: u64) {
        self.0.release(bytes);
    }
}

/// Everything around one conversation.
struct Server {
    folder: TempDir,
    tls: Tls,
    handshakes: Handshakes,
    clock: Clock,
    stop: CancellationToken,
    limits: Limits,
    metrics: Metrics,
    budget: Budget,
    messages: Mutex<Vec<Message>>,
}

impl Server {
    fn new(limits: Limits) -> Self {
        let folder = TempDir::new().unwrap();
        let tls = Tls::self_made(folder.path(), &[HOST.to_owned()], Alpn::Nothing).unwrap();
        Self {
            folder,
            tls,
            handshakes: Handshakes::new(HandshakeLimits::default(), Clock::system()),
            clock: Clock::system(),
            stop: CancellationToken::new(),
            budget: Budget::new(&limits),
            limits,
            metrics: Metrics::default(),
            messages: Mutex::default(),
        }
    }

    /// Holds a conversation in which every message is accepted.
    async fn run(&self, stream: DuplexStream) -> io::Result<()> {
        let gate = Open(self.budget.share(IpAddr::from([192, 0, 2, 1])));
        let world = World {
            clock: &self.clock,
            tls: &self.tls,
            handshakes: &self.handshakes,
            peer: IpAddr::from([192, 0, 2, 1]),
            stop: &self.stop,
            limits: &self.limits,
            metrics: &self.metrics,
        };
        let settings = Settings {
            hostname: HOST.to_owned(),
            starttls: true,
            refuse: false,
            limits: self.limits.clone(),
        };
        let session = Session::new(Arc::new(settings), self.clock.tick());
        converse(stream, session, world, &gate, async |message| {
            self.messages.lock().unwrap().push(message);
            let id = ReceiptId::from_parts(Timestamp::from_millis(0), &[0; 10]);
            Delivered {
                outcome: Outcome::Accepted(id),
                span: Span::default(),
            }
        })
        .await
    }

    fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }
}

/// Reads until a line with this beginning has come; gives all that was read.
async fn read_until<S: AsyncRead + Unpin>(stream: &mut S, beginning: &str) -> String {
    let mut text = String::new();
    while !(text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(beginning))) {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}

async fn read_to_end<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

const MESSAGE: &[u8] = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@fb.example.com>\r\nDATA\r\n\
    Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n";

#[tokio::test]
async fn a_message_goes_through() {
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(64);
    let (ended, text) = tokio::join!(server.run(stream), async {
        client.write_all(MESSAGE).await.unwrap();
        let text = read_to_end(&mut client).await;
        drop(client);
        text
    });
    ended.unwrap();
    assert!(text.starts_with("220 mx.example.com ESMTP\r\n"), "{text}");
    assert!(
        text.ends_with(
            "250 2.0.0 OK 00000000-0000-7000-8000-000000000000\r\n221 2.0.0 Goodbye\r\n"
        ),
        "{text}"
    );
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].raw, b"Subject: x\r\n\r\n.\r\n");
    assert_eq!(messages[0].protocol, "ESMTP");
    assert_eq!(server.budget.in_flight(), 0);
    let counted = server.metrics.render();
    assert!(
        counted.contains("desist_smtp_replies_total{code=\"354\"} 1"),
        "{counted}"
    );
}

#[tokio::test]
async fn tls_is_started_inside_the_connection() {
    //
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(64 * 1024);
    let mut roots = RootCertStore::empty();
    let file = server.folder.path().join("self-made.pem");
    roots
        .add(CertificateDer::from_pem_file(file).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (ended, text) = tokio::join!(server.run(stream), async {
        client.write_all(b"STARTTLS\r\n").await.unwrap();
        read_until(&mut client, "220 2.0.0").await;
        let name = ServerName::try_from(HOST).unwrap();
        let mut secured = TlsConnector::from(Arc::new(config))
            .connect(name, client)
            .await
            .unwrap();
        secured.write_all(MESSAGE).await.unwrap();
        let text = read_to_end(&mut secured).await;
        secured.shutdown().await.unwrap();
        text
    });
    ended.unwrap();
    assert!(
        text.starts_with("250-mx.example.com\r\n") && !text.contains("STARTTLS"),
        "{text}"
    );
    assert_eq!(server.messages()[0].protocol, "ESMTPS");
}

#[tokio::test]
async fn plaintext_instead_of_a_handshake_ends_the_connection() {
    //
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(64 * 1024);
    let (ended, rest) = tokio::join!(server.run(stream), async {
        client.write_all(b"STARTTLS\r\n").await.unwrap();
        read_until(&mut client, "220 2.0.0").await;
        client.write_all(b"NOOP\r\nRSET\r\n").await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        rest
    });
    assert!(ended.is_err());
    assert!(!rest.windows(3).any(|code| code == b"250"), "{rest:?}");
}

#[tokio::test]
async fn silence_ends_a_session() {
    // the limit is moved here, the session's own tests have the real one.
    let server = Server::new(Limits {
        idle: Duration::from_millis(20),
        ..Limits::default()
    });
    let (mut client, stream) = duplex(1024);
    let (ended, text) = tokio::join!(server.run(stream), async {
        let text = read_to_end(&mut client).await;
        drop(client);
        text
    });
    ended.unwrap();
    assert!(
        text.ends_with("421 4.4.2 Waited too long, closing\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_left() {
    let server = Server::new(Limits {
        write: Duration::from_millis(20),
        ..Limits::default()
    });
    let (client, stream) = duplex(8);
    let ended = server.run(stream).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(client);
}

#[tokio::test]
async fn a_stop_finishes_the_message_that_is_arriving() {
    //
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(64 * 1024);
    let (ended, text) = tokio::join!(server.run(stream), async {
        client
            .write_all(&MESSAGE[..MESSAGE.len() - 12])
            .await
            .unwrap();
        read_until(&mut client, "354").await;
        server.stop.cancel();
        client.write_all(b"\r\n.\r\nNOOP\r\n").await.unwrap();
        let text = read_to_end(&mut client).await;
        drop(client);
        text
    });
    ended.unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_at(9).0).collect();
    assert_eq!(lines, ["250 2.0.0", "421 4.3.2"], "{text}");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_stop_ends_an_idle_session() {
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(1024);
    let (ended, text) = tokio::join!(server.run(stream), async {
        read_until(&mut client, "220").await;
        server.stop.cancel();
        let text = read_to_end(&mut client).await;
        drop(client);
        text
    });
    ended.unwrap();
    assert_eq!(text, "421 4.3.2 Service is closing, try again later\r\n");
}

#[tokio::test]
async fn a_lost_connection_takes_its_message_with_it() {
    //
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(64 * 1024);
    let (ended, ()) = tokio::join!(server.run(stream), async {
        client
            .write_all(&MESSAGE[..MESSAGE.len() - 9])
            .await
            .unwrap();
        read_until(&mut client, "354").await;
        drop(client);
    });
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(server.messages().is_empty());
    assert_eq!(server.budget.in_flight(), 0);
}

#[tokio::test]
async fn an_abandoned_session_gives_its_memory_back() {
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(64 * 1024);
    let held = tokio::select! {
        ended = server.run(stream) => panic!("{ended:?}"),
        held = async {
            client.write_all(&MESSAGE[..MESSAGE.len() - 9]).await.unwrap();
            read_until(&mut client, "354").await;
            while server.budget.in_flight() == 0 {
                tokio::task::yield_now().await;
            }
            server.budget.in_flight()
        } => held,
    };
    assert!(held > 0);
    assert_eq!(server.budget.in_flight(), 0);
}

#[tokio::test]
async fn the_last_reply_reaches_who_goes_on_sending() {
    //
    let server = Server::new(Limits::default());
    let (mut client, stream) = duplex(1024);
    let (ended, text) = tokio::join!(server.run(stream), async {
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        read_until(&mut client, "500").await;
        client.write_all(&[b'x'; 10_000]).await.unwrap();
        let text = read_to_end(&mut client).await;
        drop(client);
        text
    });
    ended.unwrap();
    assert_eq!(text, "", "nothing follows the one reply");
}

#[tokio::test]
async fn who_never_ends_a_closed_connection_is_left() {
    let server = Server::new(Limits {
        linger: Duration::from_millis(20),
        ..Limits::default()
    });
    let (mut client, stream) = duplex(1024);
    let (ended, sent) = tokio::join!(server.run(stream), client.write_all(b"QUIT\r\n"));
    sent.unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(client);
}
