//! Connections cut at every point: in a command, in DATA and BDAT, in a TLS handshake, in a request,
//! before and in the answer. Nothing half is accepted, and nothing twice.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;

use super::killed::random;
use super::ledger::{Act, Item, judge};
use super::load::Load;
use super::rounds;
use crate::harness::{Engine, PATIENCE, Place, Running, complaint, dotted};

/// A connection that is cut after so many octets were written to it.
struct Cut {
    stream: TcpStream,
    left: usize,
    written: usize,
}

impl Read for Cut {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl Write for Cut {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = buf.len().min(self.left);
        if count == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.stream.write_all(&buf[..count])?;
        self.left -= count;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One way for something to come in. `Ok` with what was written says that enough was sent to be
/// accepted.
struct Way {
    name: &'static str,
    act: Act,
    send: fn(&Running, &Item, usize) -> io::Result<usize>,
}

const WAYS: [Way; 6] = [
    Way {
        name: "DATA",
        act: Act::Complaint,
        send: |running, item, left| {
            let mut smtp = connect(running.smtp, left)?;
            replies(&mut smtp, 1)?;
            data(&mut smtp, item)?;
            Ok(smtp.written)
        },
    },
    Way {
        name: "BDAT",
        act: Act::Complaint,
        send: |running, item, left| {
            let mut smtp = connect(running.smtp, left)?;
            replies(&mut smtp, 1)?;
            bdat(&mut smtp, item)?;
            Ok(smtp.written)
        },
    },
    Way {
        name: "DATA behind STARTTLS",
        act: Act::Complaint,
        send: |running, item, left| {
            let mut smtp = connect(running.smtp, left)?;
            replies(&mut smtp, 1)?;
            smtp.write_all(b"EHLO cut.example\r\nSTARTTLS\r\n")?;
            replies(&mut smtp, 2)?;
            let mut smtp = secured(smtp)?;
            data(&mut smtp, item)?;
            Ok(smtp.sock.written)
        },
    },
    Way {
        name: "a click",
        act: Act::Click,
        send: |running, item, left| {
            let length = "Content-Length: 26";
            click(
                running,
                item,
                left,
                length,
                &["List-Unsubscribe=", "One-Click"],
            )
        },
    },
    Way {
        name: "a click in chunks",
        act: Act::Click,
        send: |running, item, left| {
            let chunks = [
                "10\r\nList-Unsubscribe\r\n",
                "a\r\n=One-Click\r\n",
                "0\r\n\r\n",
            ];
            click(running, item, left, "Transfer-Encoding: chunked", &chunks)
        },
    },
    Way {
        name: "a suppression by hand",
        act: Act::Manual,
        send: |running, item, left| {
            let mut http = connect(running.api, left)?;
            let body = json!({"suppressions": [{"address": item.address}]}).to_string();
            let head = format!(
                "POST /v1/suppressions HTTP/1.1\r\nHost: api.example.com\r\n\
                 Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n",
                running.key,
                body.len()
            );
            http.write_all(head.as_bytes())?;
            http.write_all(body.as_bytes())?;
            Ok(http.written)
        },
    },
];

/// The token in the head says all: a click acts from the end of its head on, and what comes of its
/// body is kept.
fn click(
    running: &Running,
    item: &Item,
    left: usize,
    length: &str,
    body: &[&str],
) -> io::Result<usize> {
    let mut https = secured(connect(running.public, left)?)?;
    let head = format!(
        "POST /u/{} HTTP/1.1\r\nHost: u.example.com\r\n{length}\r\n\r\n",
        item.token
    );
    https.write_all(head.as_bytes())?;
    https.flush()?;
    for part in body {
        if https
            .write_all(part.as_bytes())
            .and_then(|()| https.flush())
            .is_err()
        {
            break;
        }
    }
    Ok(https.sock.written)
}

fn connect(server: std::net::SocketAddr, left: usize) -> io::Result<Cut> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(Cut {
        stream,
        left,
        written: 0,
    })
}

/// TLS that has not begun yet.
fn tls() -> ClientConnection {
    let name = ServerName::try_from("fb.example.com").unwrap();
    ClientConnection::new(Arc::new(crate::net::tls::client()), name).unwrap()
}

fn secured(cut: Cut) -> io::Result<StreamOwned<ClientConnection, Cut>> {
    let mut tls = StreamOwned::new(tls(), cut);
    tls.conn.complete_io(&mut tls.sock)?;
    Ok(tls)
}

/// Reads so many replies, octet by octet so that nothing behind them is taken.
fn replies(smtp: &mut impl Read, count: usize) -> io::Result<()> {
    let mut ended = 0;
    while ended < count {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut octet = [0];
            smtp.read_exact(&mut octet)?;
            line.push(octet[0]);
        }
        let line = String::from_utf8_lossy(&line);
        if line.starts_with("421 4.3.2") {
            // Those that were cut before are still being noticed.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        assert!(line.starts_with(['2', '3']), "{line}");
        ended += usize::from(line.as_bytes()[3] == b' ');
    }
    Ok(())
}

const ENVELOPE: &str = "EHLO cut.example\r\nMAIL FROM:<>\r\nRCPT TO:<fbl@fb.example.com>\r\n";

fn data(smtp: &mut (impl Read + Write), item: &Item) -> io::Result<()> {
    smtp.write_all(format!("{ENVELOPE}DATA\r\n").as_bytes())?;
    smtp.flush()?;
    replies(smtp, 4)?;
    smtp.write_all(dotted(&complaint(&item.token)).as_bytes())?;
    smtp.flush()
}

fn bdat(smtp: &mut (impl Read + Write), item: &Item) -> io::Result<()> {
    smtp.write_all(ENVELOPE.as_bytes())?;
    let message = complaint(&item.token).replace('\n', "\r\n");
    let (first, last) = message.split_at(message.len() / 2);
    for (chunk, is_last) in [(first, ""), (last, " LAST")] {
        smtp.write_all(format!("BDAT {}{is_last}\r\n{chunk}", chunk.len()).as_bytes())?;
    }
    smtp.flush()
}

/// Sends one item by each way and cuts it, at a random point or short before its end.
fn cut_each(running: &Running, load: &Load, mut items: Vec<Item>, lengths: &[usize]) {
    for (way, length) in WAYS.iter().zip(lengths) {
        let item = items.pop().unwrap();
        // What is encrypted may be a few octets longer or shorter each time.
        let left = match random(3) {
            0 => random(length + 1),
            1 => length - random(8),
            _ => usize::MAX,
        };
        let sent = (way.send)(running, &item, left);
        if sent.is_ok() {
            load.doubtful(way.act, &item);
        }
    }
}

fn connections_are_cut(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let load = Load::start(&running);
    let cuts = 60 * rounds();
    let names: Vec<String> = (0..(cuts + 1) * WAYS.len())
        .map(|number| format!("cut{number}@example.net"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tokens = running.mint(1, &names);
    let mut items = names
        .iter()
        .zip(tokens)
        .enumerate()
        .map(|(number, (name, (token, _)))| Item::new(number, (*name).to_owned(), token));
    let lengths: Vec<usize> = WAYS
        .iter()
        .map(|way| {
            let item = items.next().unwrap();
            load.doubtful(way.act, &item);
            let sent = (way.send)(&running, &item, usize::MAX);
            sent.unwrap_or_else(|error| panic!("{}: {error}", way.name))
        })
        .collect();
    for _ in 0..cuts {
        let some = items.by_ref().take(WAYS.len()).collect();
        cut_each(&running, &load, some, &lengths);
    }
    let known = load.end(&running);
    assert!(
        known.progress.refusals.is_empty(),
        "{:?}",
        known.progress.refusals
    );
    judge(&running, &known);
}

#[test]
fn a_069_connections_are_cut_sqlite() {
    connections_are_cut(Engine::Sqlite);
}

#[test]
fn a_069_connections_are_cut_postgres() {
    connections_are_cut(Engine::Postgres);
}
