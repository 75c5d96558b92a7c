//! Peers that read or write slowly, or not at all, and many of them: memory stays bounded, others
//! are served, and who sends too slowly is cut.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use desist::model::clock::{Clock, Tick};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tokio::net::TcpSocket;

use super::ledger::judge;
use super::load::Load;
use crate::attack::resident;
use crate::harness::{Engine, PATIENCE, Place, Running, Smtp, complaint, dotted};

/// How much the server may grow by all that one kind of slow peer does.
const MEMORY: u64 = 96 << 20;
/// A peer that takes nothing more for so long has stopped reading.
const STALLED: Duration = Duration::from_millis(100);
/// Between two octets of a slow writer.
const PACE: Duration = Duration::from_millis(50);

/// Peers of one kind come, the load goes on beside them, and they go.
fn beside(name: &str, running: &Running, load: &Load, come: impl FnOnce() -> Vec<TcpStream>) {
    load.goes_on("before", 20);
    let before = resident(running);
    let peers = come();
    load.goes_on(name, 50);
    let grown = resident(running).saturating_sub(before);
    println!("{name}: {} peers, {} KiB", peers.len(), grown >> 10);
    assert!(grown < MEMORY, "{name}: grew by {grown}");
    drop(peers);
    load.goes_on("they are gone", 20);
}

/// A connection that has little room for what its reader leaves.
fn narrow(server: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(server).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Asks again and again and reads no answer, until the server takes nothing more.
fn ask_and_never_read(server: SocketAddr, first: &[u8], again: &[u8]) -> TcpStream {
    let mut stream = narrow(server);
    stream.set_write_timeout(Some(STALLED)).unwrap();
    stream.write_all(first).unwrap();
    let many = again.repeat(64 * 1024 / again.len());
    while stream.write_all(&many).is_ok() {}
    stream
}

fn get(running: &Running, path: &str) -> Vec<u8> {
    let (host, key) = ("Host: api.example.com", &running.key);
    format!("GET {path} HTTP/1.1\r\n{host}\r\nAuthorization: Bearer {key}\r\n\r\n").into_bytes()
}

/// Peers that come at the same time.
fn many(count: usize, come: impl Fn() -> TcpStream + Sync) -> Vec<TcpStream> {
    std::thread::scope(|scope| {
        let peers: Vec<_> = (0..count).map(|_| scope.spawn(&come)).collect();
        peers.into_iter().map(|peer| peer.join().unwrap()).collect()
    })
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A client of HTTP/2 that takes no octet of any body: thirty requests with windows of zero.
fn no_window(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal field, not indexed (RFC 7541 §6.2.2).
        block.push(0);
        for text in [name, value] {
            block.push(
                u8::try_from(text.len())
                    .ok()
                    .filter(|length| *length < 127)
                    .unwrap(),
            );
            block.extend(text.as_bytes());
        }
    }
    // SETTINGS_INITIAL_WINDOW_SIZE (4) = 0
    let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    octets.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for stream in (1..60).step_by(2) {
        // HEADERS with END_STREAM and END_HEADERS
        octets.extend(frame(1, 5, stream, &block));
    }
    octets
}

/// Receipts whose raw bytes are large.
fn large_receipt(running: &Running) -> String {
    let message = format!(
        "Subject: x\n\n{}",
        format!("{}\n", "x".repeat(98)).repeat(50_000)
    );
    let reply = running.deliver("", "postmaster@fb.example.com", &message);
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.drained();
    let (_, page) = running.get("/v1/receipts?mailbox=postmaster&limit=1");
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn who_never_reads_costs_bounded_memory_and_stops_nobody() {
    let running = Place::new(Engine::Sqlite).unwrap().start();
    let load = Load::start(&running);
    beside("greetings without end", &running, &load, || {
        many(30, || {
            ask_and_never_read(running.smtp, b"", b"EHLO slow.example\r\n")
        })
    });
    for path in ["/v1/changes?limit=1000", "/v1/events?limit=1000"] {
        beside(path, &running, &load, || {
            many(16, || {
                ask_and_never_read(running.api, b"", &get(&running, path))
            })
        });
    }
    let token = running.mint(1, &["slow@example.net"])[0].0.clone();
    let path = format!("/u/{token}");
    beside("no window for pages", &running, &load, || {
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", &*path),
            (":authority", "u"),
        ];
        let mut client = crate::net::tls::client();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let client = Arc::new(client);
        let connect = || {
            let name = ServerName::try_from("fb.example.com").unwrap();
            let tls = ClientConnection::new(Arc::clone(&client), name).unwrap();
            let mut stream = StreamOwned::new(tls, narrow(running.public));
            stream.write_all(&no_window(&fields)).unwrap();
            stream.flush().unwrap();
            stream.sock
        };
        many(60, connect)
    });
    beside("no window for the feed", &running, &load, || {
        let bearer = format!("Bearer {}", running.key);
        let path = "/v1/changes?limit=1000";
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", path),
            ("authorization", &*bearer),
        ];
        let connect = || {
            let mut stream = narrow(running.api);
            stream.write_all(&no_window(&fields)).unwrap();
            stream
        };
        many(8, connect)
    });
    let known = load.end(&running);
    assert_eq!(known.progress.unchecked, 0, "every check was answered");
    assert!(
        known.progress.refusals.is_empty(),
        "{:?}",
        known.progress.refusals
    );
    judge(&running, &known);
}

#[test]
fn who_never_reads_large_raw_bytes_costs_bounded_memory() {
    let limits = "[limits]\napi_body = \"1 MiB\"\napi_memory = \"32 MiB\"\n";
    let running = Place::new(Engine::Sqlite).unwrap().config(limits).start();
    let path = format!("/v1/receipts/{}/raw", large_receipt(&running));
    let load = Load::start(&running);
    beside("raw bytes", &running, &load, || {
        many(40, || {
            let mut stream = narrow(running.api);
            stream.write_all(&get(&running, &path)).unwrap();
            // It reads the beginning, whatever it says.
            assert!(stream.read(&mut [0; 16]).unwrap() > 0);
            stream
        })
    });
}

/// Sends a message by so many octets at a time, with a pace between; how long the server bore it,
/// and what it said.
fn send_slowly(running: &Running, at_once: usize, enough: Duration) -> (Duration, String) {
    let token = running.mint(1, &["slow@example.net"])[0].0.clone();
    let mut smtp = running.smtp();
    for command in ["MAIL FROM:<>", "RCPT TO:<fbl@fb.example.com>", "DATA"] {
        let reply = smtp.ask(command);
        assert!(
            reply.starts_with('2') || reply.starts_with("354"),
            "{reply}"
        );
    }
    let message = dotted(&complaint(&token).replace("This", &"x\n".repeat(10_000)));
    let clock = Clock::system();
    for octets in message.as_bytes().chunks(at_once) {
        if clock.tick() > Tick::default().after(enough) {
            return (clock.tick().since(Tick::default()), String::new());
        }
        let said = said_within(&smtp, PACE);
        if said.is_some() || !smtp.try_send(octets) {
            return (
                clock.tick().since(Tick::default()),
                said.unwrap_or_default(),
            );
        }
    }
    unreachable!()
}

/// What the server says without being asked, if it does.
fn said_within(smtp: &Smtp, pace: Duration) -> Option<String> {
    let stream = smtp.stream();
    stream.set_read_timeout(Some(pace)).unwrap();
    let mut octets = [0; 512];
    let read = { stream }.read(&mut octets);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match read {
        Ok(count) => Some(String::from_utf8_lossy(&octets[..count]).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn a_151_who_sends_too_slowly_is_cut_and_who_sends_slowly_is_not() {
    let limits = "[limits]\ndata_inactivity = \"2 s\"\n";
    let running = Place::new(Engine::Sqlite).unwrap().config(limits).start();
    let load = Load::start(&running);
    let slow = Duration::from_secs(8);
    std::thread::scope(|scope| {
        // 20 octets a second, and about a thousand.
        let cut = scope.spawn(|| send_slowly(&running, 1, slow));
        let borne = scope.spawn(|| send_slowly(&running, 50, slow / 2));
        let (after, said) = cut.join().unwrap();
        assert!(said.starts_with("421 "), "{said:?} after {after:?}");
        assert!(after >= Duration::from_secs(2), "{said} after {after:?}");
        let (_, said) = borne.join().unwrap();
        assert_eq!(said, "", "a thousand octets a second are enough");
    });
    let known = load.end(&running);
    assert!(
        known.progress.refusals.is_empty(),
        "{:?}",
        known.progress.refusals
    );
    judge(&running, &known);
}
