//! A thousand idle and half-open sessions at each door: work goes on, one more is told so, memory
//! stays bounded, and everything comes back when they go.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use desist::model::clock::{Clock, Tick};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpSocket;

use super::ledger::judge;
use super::load::Load;
use super::rounds;
use crate::attack::resident;
use crate::harness::{Engine, PATIENCE, Place, Running};

/// Sessions that the MX may have.
const SESSIONS: usize = 1_000;
/// How much memory all of them may take.
const MEMORY: u64 = 128 << 20;

/// This process holds the other end of every session.
fn raise_open_files() {
    let before = getrlimit(Resource::Nofile);
    let wanted = before.maximum.unwrap_or(u64::MAX).min(16_384);
    if before.current.is_some_and(|current| current < wanted) {
        let current = Some(wanted);
        setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
    }
}

/// Many sources, because one address may hold a hundred sessions only.
struct Crowd {
    runtime: tokio::runtime::Runtime,
}

impl Crowd {
    fn connect(&self, number: usize, server: SocketAddr) -> TcpStream {
        let last = u8::try_from(2 + number / 90).unwrap();
        self.runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            let source = Ipv4Addr::new(127, 0, 0, last);
            socket.bind(SocketAddr::new(source.into(), 0)).unwrap();
            let stream = socket.connect(server).await.unwrap().into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        })
    }
}

/// The first line that the server says.
fn greeting(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut octet = [0];
        if !stream.read(&mut octet).is_ok_and(|count| count == 1) {
            break;
        }
        line.push(octet[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Sessions at the MX, left in every state, until one more is refused.
fn fill_mx(crowd: &Crowd, running: &Running) -> Vec<TcpStream> {
    const STATES: [&str; 6] = [
        "",
        "EHLO idle.example\r\n",
        "EHL",
        "EHLO idle.example\r\nMAIL FROM:<>\r\nRCPT TO:<fbl@fb.example.com>\r\n",
        "EHLO idle.example\r\nMAIL FROM:<>\r\nRCPT TO:<fbl@fb.example.com>\r\nDATA\r\nSubject: half",
        "EHLO idle.example\r\nSTARTTLS\r\n",
    ];
    let mut sessions = Vec::new();
    for number in 0..=SESSIONS {
        let mut stream = crowd.connect(number, running.smtp);
        let said = greeting(&mut stream);
        if said.starts_with("421 4.3.2") {
            break;
        }
        assert!(said.starts_with("220 "), "{said}");
        stream
            .write_all(STATES[number % STATES.len()].as_bytes())
            .unwrap();
        sessions.push(stream);
    }
    sessions
}

fn open_files(running: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", running.pid()))
        .unwrap()
        .count()
}

/// One crowd comes, stays while the load goes on, and goes; the memory that the server then has.
fn crowd_comes_and_goes(running: &Running, load: &Load, before: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let crowd = Crowd {
        runtime: runtime.unwrap(),
    };
    load.goes_on("before", 20);
    let files = open_files(running);
    let mut sessions = fill_mx(&crowd, running);
    assert!(
        (SESSIONS - 10..=SESSIONS).contains(&sessions.len()),
        "{}",
        sessions.len()
    );
    for number in 0..SESSIONS {
        let mut public = crowd.connect(number, running.public);
        // The beginning of a handshake record, or nothing.
        let hello: &[u8] = if number % 2 == 0 {
            b"\x16\x03\x01\x02\x00\x01"
        } else {
            b""
        };
        public.write_all(hello).unwrap();
        let mut api = crowd.connect(number, running.api);
        let head: &[u8] = if number % 2 == 0 {
            b"GET /v1/changes HTTP/1.1\r\nHost:"
        } else {
            b""
        };
        api.write_all(head).unwrap();
        sessions.extend([public, api]);
    }
    load.goes_on("a crowd is there", 50);
    let grown = resident(running).saturating_sub(before);
    assert!(grown < MEMORY, "grew by {grown}");
    drop(sessions);
    let clock = Clock::system();
    while open_files(running) > files + 20 {
        assert!(
            clock.tick() < Tick::default().after(PATIENCE),
            "{}",
            open_files(running)
        );
        std::thread::yield_now();
    }
    // The places are free again: a new session is served.
    let mut stream = crowd.connect(0, running.smtp);
    assert!(greeting(&mut stream).starts_with("220 "));
}

#[test]
fn a_152_a_thousand_idle_and_half_open_sessions_at_each_door() {
    raise_open_files();
    let running = Place::new(Engine::Sqlite).unwrap().start();
    let load = Load::start(&running);
    load.goes_on("before", 20);
    let before = resident(&running);
    for _ in 0..2 * rounds() {
        crowd_comes_and_goes(&running, &load, before);
    }
    let known = load.end(&running);
    assert_eq!(known.progress.unchecked, 0, "every check was answered");
    assert!(
        known.progress.refusals.is_empty(),
        "{:?}",
        known.progress.refusals
    );
    judge(&running, &known);
}
