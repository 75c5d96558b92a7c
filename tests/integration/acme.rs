//! Certificates by ACME, from a real authority through the real door (RFC 8555, RFC 8737).
#![expect(clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod authority;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use desist::model::clock::{Clock, Tick};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::harness::{Engine, PATIENCE, Place, Running, Smtp};
use crate::net::tls;
use authority::Authority;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A place whose certificate is this authority's.
fn place(authority: &Authority, more: &str) -> Place {
    let settings = format!(
        "[acme]\ndirectory = \"{}\"\nca_file = \"{}\"\nterms_agreed = true\n\
         contact = [\"hostmaster@example.com\"]\n{more}",
        authority.url,
        authority.root.display()
    );
    Place::new(Engine::Sqlite)
        .unwrap()
        .public_by_acme()
        .public("url = \"https://u.example.com\"\nmta_sts = \"testing\"\n")
        .config(&settings)
}

/// Trusts the authority alone.
fn strict(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&authority.root).unwrap())
        .unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn shake(stream: TcpStream, config: ClientConfig, name: &str) -> Result<Tls, std::io::Error> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn at_public(running: &Running, config: ClientConfig, name: &str) -> Result<Tls, std::io::Error> {
    shake(TcpStream::connect(running.public).unwrap(), config, name)
}

fn at_smtp(running: &Running, config: ClientConfig, name: &str) -> Result<Tls, std::io::Error> {
    let mut smtp = Smtp::connect(running.smtp);
    assert!(smtp.reply().starts_with("220"));
    smtp.send(b"EHLO client.example.org\r\n");
    assert!(smtp.reply().contains("STARTTLS"));
    smtp.send(b"STARTTLS\r\n");
    assert!(smtp.reply().starts_with("220"));
    shake(smtp.stream().try_clone().unwrap(), config, name)
}

/// The status line of an answer over a connection that stays.
fn asked(stream: &mut Tls) -> String {
    let request = b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.fb.example.com\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    while !answer.contains("max_age: ") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    answer.lines().next().unwrap().to_owned()
}

/// Waits until something is so.
fn until(running: &Running, what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !is_so() {
        let in_time = clock.tick() < Tick::default().after(PATIENCE);
        assert!(in_time, "never: {what}\n{}", running.log());
        std::thread::yield_now();
    }
}

/// Waits until one attempt has ended like that.
fn ended(running: &Running, result: &str) {
    let line = format!("desist_acme_orders_total{{result=\"{result}\"}} 1");
    until(running, &line, || {
        let (_, metrics) = running.get("/metrics");
        metrics.as_str().unwrap().contains(&line)
    });
}

/// Waits until the door that a port is free for is told to the authority, and starts.
fn start(place: Place, authority: &Authority) -> Running {
    let running = place.start();
    authority.names_lead_to(running.public);
    running
}

fn attempts(data: &Path) -> Value {
    let text = std::fs::read_to_string(data.join("acme-attempts.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// As if the last attempt were long ago.
fn forget_attempts(place: &Place) {
    std::fs::remove_file(place.data_dir().join("acme-attempts.json")).unwrap();
}

#[test]
fn a_certificate_is_ordered_while_the_doors_serve_and_then_served_at_both() {
    let authority = Authority::start();
    let running = place(&authority, "").start();
    // The authority cannot see the door yet: what is served is self-made.
    assert!(at_public(&running, strict(&authority), "u.example.com").is_err());
    let mut before = at_public(&running, tls::client(), "u.example.com").unwrap();
    assert!(asked(&mut before).ends_with("200 OK"));
    assert!(at_smtp(&running, tls::client(), "mx.example.com").is_ok());
    // Who only pretends to be an authority gets nothing for a name that is not at hand.
    let mut pretender = tls::client();
    pretender.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    assert!(at_public(&running, pretender, "fb.example.com").is_err());

    authority.names_lead_to(running.public);
    ended(&running, "issued");
    for name in ["u.example.com", "mx.example.com", "mta-sts.fb.example.com"] {
        let mut stream = at_public(&running, strict(&authority), name).unwrap();
        assert!(asked(&mut stream).ends_with("200 OK"), "{name}");
    }
    assert!(at_smtp(&running, strict(&authority), "mx.example.com").is_ok());
    assert!(asked(&mut before).ends_with("200 OK"), "it was not dropped");
    assert_eq!((authority.accounts(), authority.orders()), (1, 1));

    let data = running.place().data_dir();
    assert_eq!(attempts(&data)["failures"], 0);
    for file in ["acme.pem", "acme-account.json"] {
        let mode = std::fs::metadata(data.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let backup = running.place().folder.path().join("backup");
    let made = Command::new(env!("CARGO_BIN_EXE_desist"))
        .args(["backup", backup.to_str().unwrap(), "--config"])
        .arg(running.place().folder.path().join("desist.toml"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    for file in ["acme.pem", "acme-account.json"] {
        let copied = std::fs::read(backup.join(file)).unwrap();
        assert_eq!(copied, std::fs::read(data.join(file)).unwrap());
    }
    // A restart orders nothing.
    let running = running.kill().start();
    until(&running, "it says when the next is due", || {
        running
            .log()
            .contains("no certificate is to be ordered before")
    });
    assert!(at_public(&running, strict(&authority), "u.example.com").is_ok());
    assert_eq!((authority.accounts(), authority.orders()), (1, 1));
}

#[test]
fn what_was_refused_is_not_tried_again_at_once_not_even_after_a_restart() {
    let authority = Authority::start();
    authority.refuses(true);
    let running = start(place(&authority, ""), &authority);
    ended(&running, "failed");
    // It is counted, then told.
    until(&running, "it says why", || {
        running.log().contains("was not found to be ours")
    });
    let first = attempts(&running.place().data_dir());
    assert_eq!(first["failures"], 1);
    authority.refuses(false);
    // Killed without a word, as in a loop of crashes; what is logged has no address (G-034).
    let running = start(running.kill(), &authority);
    until(&running, "it says when the next is due", || {
        running
            .log()
            .contains("no certificate is to be ordered before")
    });
    assert_eq!(attempts(&running.place().data_dir()), first);
    assert_eq!(authority.orders(), 1);
    assert!(at_public(&running, tls::client(), "u.example.com").is_ok());
}

#[test]
fn at_two_thirds_of_its_lifetime_a_certificate_is_renewed_by_the_same_account() {
    let authority = Authority::start();
    authority.issues((-61, 29));
    let running = start(place(&authority, ""), &authority);
    ended(&running, "issued");
    let old = std::fs::read(running.place().data_dir().join("acme.pem")).unwrap();
    let place = running.kill();
    forget_attempts(&place);
    authority.names_lead_nowhere();
    authority.issues(authority::OF_90_DAYS);
    let running = start(place, &authority);
    ended(&running, "issued");
    let new = std::fs::read(running.place().data_dir().join("acme.pem")).unwrap();
    assert_ne!(old, new);
    assert_eq!((authority.accounts(), authority.orders()), (1, 2));
    let stream = at_public(&running, strict(&authority), "u.example.com").unwrap();
    let leaf = stream.conn.peer_certificates().unwrap()[0].to_vec();
    assert_eq!(leaf, CertificateDer::from_pem_slice(&new).unwrap().to_vec());
}

#[test]
fn a_certificate_that_ends_soon_and_cannot_be_renewed_raises_an_alarm_and_is_served_on() {
    let authority = Authority::start();
    authority.issues((-80, 10));
    let running = start(place(&authority, ""), &authority);
    ended(&running, "issued");
    let place = running.kill();
    forget_attempts(&place);
    authority.refuses(true);
    let running = start(place, &authority);
    until(&running, "an alarm", || {
        let (status, alarms) = running.get_all("/v1/alarms");
        assert_eq!(status, 200, "{alarms}");
        alarms["items"][0]["kind"] == "certificate"
    });
    assert!(at_public(&running, strict(&authority), "u.example.com").is_ok());
}

#[test]
fn an_account_is_bound_to_the_one_that_the_operator_has() {
    let authority = Authority::start();
    authority.wants_external("kid-1", b"a key of thirty-two bytes, say so");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("eab.key");
    let key = data_encoding::BASE64URL_NOPAD.encode(b"a key of thirty-two bytes, say so");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let more = format!(
        "eab_key_id = \"kid-1\"\neab_key_file = \"{}\"\n",
        file.display()
    );
    let running = start(place(&authority, &more), &authority);
    ended(&running, "issued");
    assert_eq!(authority.accounts(), 1);
}
