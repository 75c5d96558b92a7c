//! The same cheap thing again and again: it ends, or costs nothing that lasts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::attack::resident;
use crate::harness::{Engine, PATIENCE, Place, Running, other_than};

/// A server whose public door speaks in clear, HTTP/2 with prior knowledge too.
fn in_clear() -> Running {
    Place::new(Engine::Sqlite)
        .unwrap()
        .public_without_tls()
        .start()
}

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Of kind and flags, on a stream (RFC 9113 §4.1).
fn frame((kind, flags): (u8, u8), stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

const DATA_ENDS: u8 = 1;
const HEADERS_END: u8 = 4;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// `GET /u/x` of host `a` in HPACK.
const HEAD: &[u8] = b"\x82\x86\x41\x01a\x44\x04/u/x";

/// Sends frames until the server has had enough; how many went out, and whether it said why.
fn flood(running: &Running, frames: impl Iterator<Item = Vec<u8>>) -> (usize, bool) {
    let mut stream = connect(running);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&frame((SETTINGS, 0), 0, b"")).unwrap();
    let mut reading = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        // The end may come as a reset.
        drop(reading.read_to_end(&mut answer));
        answer
    });
    let sent = frames
        .take_while(|frame| stream.write_all(frame).is_ok())
        .count();
    let answer = reader.join().unwrap();
    (sent, says_go_away(&answer))
}

fn says_go_away(mut answer: &[u8]) -> bool {
    while let Some((head, rest)) = answer.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        if head[3] == GO_AWAY {
            return true;
        }
        let length = usize::try_from(length).unwrap();
        answer = rest.get(length..).unwrap_or_default();
    }
    false
}

/// That a reader is heard, whatever happened before.
fn hears(running: &Running, address: &str) {
    let token = &running.mint(1, &[address])[0].0;
    let mut stream = connect(running);
    let post = format!(
        "POST /u/{token} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(post.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_150_requests_that_are_reset_at_once_end_their_connection() {
    let running = in_clear();
    let before = resident(&running);
    let requests = (0..100_000_u32).map(|number| {
        let stream = 2 * number + 1;
        let head = frame((HEADERS, HEADERS_END | DATA_ENDS), stream, HEAD);
        [head, frame((RESET, 0), stream, &[0, 0, 0, 8])].concat()
    });
    let (sent, told) = flood(&running, requests);
    assert!(sent < 100_000, "all were taken");
    assert!(told || sent < 10_000, "{sent}");
    let grown = resident(&running).saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown}");
    hears(&running, "after-resets@example.net");
}

#[test]
fn a_150_a_head_that_is_always_continued_ends_its_connection() {
    let running = in_clear();
    let before = resident(&running);
    let field = [&b"\x40\x01a\x7f\x00"[..], &[b'b'; 127]].concat().repeat(8);
    let frames = (0..100_000_u32).map(|number| match number {
        0 => frame((HEADERS, 0), 1, HEAD),
        _ => frame((CONTINUATION, 0), 1, &field),
    });
    let (sent, _) = flood(&running, frames);
    assert!(sent < 10_000, "{sent} were taken");
    let grown = resident(&running).saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown}");
    hears(&running, "after-continuations@example.net");
}

/// Lines of the metrics: a label whose value came from outside would add some.
fn metrics(running: &Running) -> usize {
    let (_, text) = running.get("/metrics");
    text.as_str().unwrap().lines().count()
}

// A-157, G-032
#[test]
fn wrong_tokens_and_unknown_people_leave_nothing_behind() {
    let running = in_clear();
    let token = running.mint(1, &["known@example.net"])[0].0.clone();
    let round = |first: usize| {
        for number in first..first + 100 {
            let mut session = running.smtp();
            session.ask(&format!("MAIL FROM:<a{number}@b{number}.example>"));
            for local in 0..19 {
                let to = format!("RCPT TO:<x{number}-{local}@fb.example.com>");
                assert!(session.ask(&to).starts_with("550 5.1.1"));
            }
        }
        let mut stream = connect(&running);
        let mut wrong = token.clone();
        for number in first..first + 1000 {
            let at = 30 + number % 20;
            wrong.replace_range(at..=at, other_than(wrong.as_bytes()[at]));
            if wrong == token {
                continue;
            }
            let post = format!("POST /u/{wrong} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(post.as_bytes()).unwrap();
            let answer = until_end_of_head(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        }
    };
    round(0);
    // Asking is counted too.
    metrics(&running);
    let (lines, before) = (metrics(&running), resident(&running));
    round(1000);
    assert_eq!(metrics(&running), lines);
    let grown = resident(&running).saturating_sub(before);
    assert!(grown < 8 << 20, "grew by {grown}");
    let (_, receipts) = running.get("/v1/receipts?limit=10");
    assert_eq!(receipts["items"].as_array().unwrap().len(), 0);
}

/// An answer to its last octet, whose length its head says.
fn until_end_of_head(stream: &mut TcpStream) -> String {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return String::from_utf8_lossy(&answer).into_owned();
        }
    }
}
