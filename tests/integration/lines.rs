//! The line form of the check through the real door: any length, in order, in bounded memory, and
//! never an end that is not one.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use desist::model::clock::{Clock, Tick};
use serde_json::{Value, json};

use crate::harness::{Engine, PATIENCE, Place, Running};

/// A call of the line form whose body is written by hand.
struct Call(TcpStream);

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
    /// Whether the answer ended as HTTP says, rather than with the connection.
    is_whole: bool,
}

impl Call {
    fn begin(running: &Running, query: &str, head: &str) -> Self {
        let mut stream = TcpStream::connect(running.api).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_mins(2)))
            .unwrap();
        stream
            .set_write_timeout(Some(Duration::from_mins(2)))
            .unwrap();
        let key = &running.key;
        let text = format!(
            "POST /v1/check{query} HTTP/1.1\r\nHost: api\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{head}\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).unwrap();
        Self(stream)
    }

    /// A whole call.
    fn all(running: &Running, query: &str, media_type: &str, body: &[u8]) -> Answer {
        let head = format!(
            "Content-Type: {media_type}\r\nContent-Length: {}",
            body.len()
        );
        let mut call = Self::begin(running, query, &head);
        call.0.write_all(body).unwrap();
        call.answer()
    }

    fn chunk(&mut self, data: &[u8]) {
        write!(self.0, "{:x}\r\n", data.len()).unwrap();
        self.0.write_all(data).unwrap();
        self.0.write_all(b"\r\n").unwrap();
    }

    fn answer(self) -> Answer {
        let mut reader = BufReader::new(self.0);
        let head = head_of(&mut reader);
        let mut body = Vec::new();
        let is_whole = if let Some((_, length)) = head.split_once("content-length: ") {
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            body.resize(length, 0);
            reader.read_exact(&mut body).is_ok()
        } else {
            while let Some(chunk) = chunk_of(&mut reader) {
                body.extend(chunk);
            }
            body.ends_with(b"END OF CHUNKS")
        };
        let mut body = String::from_utf8_lossy(&body).into_owned();
        if let Some(rest) = body.strip_suffix("END OF CHUNKS") {
            body = rest.to_owned();
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body,
            is_whole,
        }
    }
}

fn head_of(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head.to_lowercase()
}

/// The next chunk; for the last one a mark, then `None`, as for a connection that broke off.
fn chunk_of(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    if size == 0 {
        let mut rest = String::new();
        reader.read_line(&mut rest).ok()?;
        return Some(b"END OF CHUNKS".to_vec());
    }
    let mut data = vec![0; size + 2];
    reader.read_exact(&mut data).ok()?;
    data.truncate(size);
    Some(data)
}

impl Answer {
    /// The lines before the end, and what the end says but for its time.
    fn lines(&self) -> (Vec<&str>, String) {
        assert_eq!((self.status, self.is_whole), (200, true), "{self:?}");
        let mut lines: Vec<&str> = self.body.split('\n').collect();
        assert_eq!(lines.pop(), Some(""), "the last line has an end");
        let end = lines.pop().unwrap();
        let (said, as_of) = end.split_once(" as_of=").unwrap();
        assert!(as_of.ends_with('Z'), "{end}");
        (lines, said.to_owned())
    }
}

fn suppress(running: &Running, addresses: &[String], scope: &str) {
    for some in addresses.chunks(10_000) {
        let items: Vec<Value> = some
            .iter()
            .map(|address| json!({"address": address, "scope": scope, "reason": "manual"}))
            .collect();
        let (status, answer) = running.post("/v1/suppressions", &json!({"suppressions": items}));
        assert_eq!(
            (status, &answer["indexed"]),
            (200, &json!(true)),
            "{answer}"
        );
    }
}

const LIST: &str = "ann@example.com\r\nBob@Example.com\n\nnobody\n# end checked=0 suppressed=0\n\
    cut@\u{0}example.com\ncarol@example.com";

#[test]
fn lines_come_back_as_they_were_sent_and_no_bad_one_is_allowed() {
    let running = Running::sqlite();
    suppress(&running, &["bob@example.com".to_owned()], "stream:1");
    let plain = |query: &str, body: &[u8]| Call::all(&running, query, "text/plain", body);
    for query in ["?stream=1", "?return=allowed&stream=1", ""] {
        let answer = plain(query, LIST.as_bytes());
        assert!(
            answer
                .head
                .contains("content-type: text/plain; charset=utf-8")
        );
        assert!(answer.head.contains("cache-control: no-store"));
        let (lines, end) = answer.lines();
        assert_eq!(lines, ["ann@example.com", "carol@example.com"], "{query}");
        assert_eq!(end, "# end checked=7 suppressed=1 errors=4", "{query}");
    }
    let answer = plain("?stream=1&return=suppressed", LIST.as_bytes());
    let expected = ["Bob@Example.com", "", "nobody", "cut@\u{0}example.com"];
    assert_eq!(answer.lines().0, expected);
    assert_eq!(
        plain("", b"").lines(),
        (vec![], "# end checked=0 suppressed=0 errors=0".to_owned())
    );
    // A mark of the text's encoding is no part of the first address.
    let marked = plain("?return=suppressed", b"\xef\xbb\xbfbob@example.com\n");
    assert_eq!(marked.lines().0, ["bob@example.com"]);
    let latin = plain("", b"j\xfcrgen@example.com\nbob@example.com\n");
    assert_eq!(
        latin.lines(),
        (vec![], "# end checked=2 suppressed=1 errors=1".to_owned())
    );
}

#[test]
fn lines_of_json_are_strings() {
    let running = Running::sqlite();
    suppress(&running, &["bob@example.com".to_owned()], "marketing");
    let body = "\"ann@example.com\"\n\"b\\u006Fb@example.com\"\nbob@example.com\n{}\n";
    let json = |query| Call::all(&running, query, "application/x-ndjson", body.as_bytes());
    let answer = json("");
    assert!(answer.head.contains("content-type: application/x-ndjson"));
    let (lines, end) = answer.lines();
    assert_eq!(lines, ["\"ann@example.com\""]);
    assert_eq!(end, "# end checked=4 suppressed=1 errors=2");
    let expected = ["\"b\\u006Fb@example.com\"", "bob@example.com", "{}"];
    assert_eq!(json("?return=suppressed").lines().0, expected);
}

// G-001, G-011: nothing that looks like an answer, when the question is wrong.
#[test]
fn what_cannot_be_answered_is_a_problem() {
    let running = Running::sqlite();
    let code = |answer: &Answer| {
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, problem["code"].as_str().unwrap().to_owned())
    };
    for (query, media_type, status, expected) in [
        ("?stream=9", "text/plain", 422, "unknown-stream"),
        ("?stream=x", "text/plain", 400, "invalid-request"),
        ("?return=both", "text/plain", 400, "invalid-request"),
        ("?streams=1", "text/plain", 400, "invalid-request"),
        ("", "text/csv", 415, "unsupported-media-type"),
    ] {
        let answer = Call::all(&running, query, media_type, b"ann@example.com\n");
        assert_eq!(
            code(&answer),
            (status, expected.to_owned()),
            "{query} {media_type}"
        );
    }
    let refused = "Accept: application/json\r\nContent-Type: text/plain\r\nContent-Length: 0";
    let answer = Call::begin(&running, "", refused).answer();
    assert_eq!(code(&answer), (406, "not-acceptable".to_owned()));
    let stranger = "Content-Type: text/plain\r\nContent-Length: 0";
    let mut call = TcpStream::connect(running.api).unwrap();
    write!(
        call,
        "POST /v1/check HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{stranger}\r\n\r\n"
    )
    .unwrap();
    assert_eq!(code(&Call(call).answer()).0, 401);
}

/// The most memory that the process has had, in KiB.
fn peak(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Lines of the long list; `DESIST_LINES=10000000` tries as many.
fn many() -> usize {
    let given = std::env::vars().find(|(name, _)| name == "DESIST_LINES");
    given.map_or(400_000, |(_, lines)| lines.parse().unwrap())
}

#[test]
fn a_client_that_writes_everything_before_it_reads_gets_everything() {
    let running = Running::sqlite();
    let many = many();
    let reader = |number: usize| format!("reader{number}@example.com");
    let stopped: Vec<String> = (0..many).step_by(1000).map(reader).collect();
    suppress(&running, &stopped, "all");
    let length: usize = (0..many).map(|number| reader(number).len() + 1).sum();
    let before = peak(&running);
    let head = format!("Content-Type: text/plain\r\nContent-Length: {length}");
    let mut call = Call::begin(&running, "?stream=1", &head);
    let mut lines = String::new();
    for number in 0..many {
        lines.push_str(&reader(number));
        lines.push('\n');
        if lines.len() > 1 << 20 || number + 1 == many {
            call.0.write_all(lines.as_bytes()).unwrap();
            lines.clear();
        }
    }
    // All is written, and nothing was read. What waits has no name on the disk.
    let names = std::fs::read_dir(running.place().data_dir()).unwrap();
    let mut names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.contains("spool")));
    let mut answer = BufReader::new(call.0);
    assert!(head_of(&mut answer).starts_with("http/1.1 200"));
    let mut expected = (0..many).filter(|number| number % 1000 != 0).map(reader);
    let (mut left, mut end) = (String::new(), None);
    while let Some(chunk) = chunk_of(&mut answer) {
        left.push_str(std::str::from_utf8(&chunk).unwrap());
        let whole = left.rfind('\n').map_or(0, |at| at + 1);
        for line in left.get(..whole).unwrap().lines() {
            assert!(end.is_none(), "{line}");
            if line.starts_with("# end ") {
                end = Some(line.to_owned());
            } else {
                assert_eq!(Some(line), expected.next().as_deref());
            }
        }
        left.drain(..whole);
    }
    assert_eq!(left, "END OF CHUNKS");
    assert_eq!(expected.next(), None);
    let stopped = stopped.len();
    let counted = format!("# end checked={many} suppressed={stopped} errors=0 as_of=");
    assert!(end.unwrap().starts_with(&counted));
    let more = peak(&running) - before;
    assert!(more < 96 * 1024, "{more} KiB more for {length} bytes");
    println!("{many} lines of {length} bytes: {more} KiB more at the most");
}

#[test]
fn answers_come_while_lines_are_sent() {
    let running = Running::sqlite();
    let head = "Content-Type: text/plain\r\nTransfer-Encoding: chunked";
    let mut call = Call::begin(&running, "", head);
    let lines = "ann@example.com\n".repeat(20_000);
    call.chunk(lines.as_bytes());
    let mut answer = BufReader::new(call.0.try_clone().unwrap());
    assert!(head_of(&mut answer).starts_with("http/1.1 200"));
    let first = chunk_of(&mut answer).unwrap();
    assert!(
        first.starts_with(b"ann@example.com\n"),
        "before the end was sent"
    );
    call.0.write_all(b"0\r\n\r\n").unwrap();
    let mut rest = first;
    while let Some(chunk) = chunk_of(&mut answer) {
        rest.extend(chunk);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("# end checked=20000 suppressed=0 errors=0 as_of="));
}

#[test]
fn what_breaks_off_has_no_end() {
    let running = Running::sqlite();
    let lines = "ann@example.com\n".repeat(20_000);
    // Less comes than was announced.
    let head = "Content-Type: text/plain\r\nContent-Length: 100000000";
    let mut call = Call::begin(&running, "", head);
    call.0.write_all(lines.as_bytes()).unwrap();
    call.0.shutdown(Shutdown::Write).unwrap();
    let answer = call.answer();
    assert!(
        !answer.is_whole && !answer.body.contains("# end"),
        "{}",
        answer.body.len()
    );
    // A chunk that is none.
    let head = "Content-Type: text/plain\r\nTransfer-Encoding: chunked";
    let mut call = Call::begin(&running, "", head);
    call.chunk(lines.as_bytes());
    call.0.write_all(b"no chunk\r\n").unwrap();
    let answer = call.answer();
    assert!(
        !answer.is_whole && !answer.body.contains("# end"),
        "{}",
        answer.body.len()
    );
    // Who goes away leaves nothing behind that works on.
    for _ in 0..100 {
        let mut call = Call::begin(&running, "", head);
        call.chunk(lines.as_bytes());
    }
    // Until it has seen that they are gone the memory is theirs, and says so.
    let clock = Clock::system();
    loop {
        let status = Call::all(&running, "", "text/plain", b"a@example.com\n").status;
        if status == 200 {
            break;
        }
        assert_eq!(status, 503);
        assert!(clock.tick() < Tick::default().after(PATIENCE), "{status}");
    }
}

#[test]
fn what_cannot_be_kept_for_a_client_breaks_off() {
    // Nothing may be written to the disk: a client that does not read is lost beyond the memory.
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place
        .config("[journal]\ndisk_floor = \"1000000 GiB\"\n")
        .start();
    let lines = "somebody.with.a.long.name@example.com\n".repeat(400_000);
    let head = format!(
        "Content-Type: text/plain\r\nContent-Length: {}",
        lines.len()
    );
    let mut call = Call::begin(&running, "", &head);
    // The server may have broken off before all is written.
    drop(call.0.write_all(lines.as_bytes()));
    let mut rest = Vec::new();
    drop(call.0.read_to_end(&mut rest));
    assert!(!String::from_utf8_lossy(&rest).contains("# end"));
    // One that reads gets all.
    let mut call = Call::begin(&running, "", &head);
    let mut writer = call.0.try_clone().unwrap();
    let answer = std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(lines.as_bytes()).unwrap());
        call.0.flush().unwrap();
        call.answer()
    });
    let (all, end) = answer.lines();
    assert_eq!(
        (all.len(), end.as_str()),
        (400_000, "# end checked=400000 suppressed=0 errors=0")
    );
}

#[test]
fn a_line_of_any_length_is_one_bad_line() {
    let running = Running::sqlite();
    let long = "x".repeat(5_000_000);
    let body = format!("ann@example.com\n{long}@example.com\nbob@example.com\n{long}");
    let answer = Call::all(&running, "", "text/plain", body.as_bytes());
    let (lines, end) = answer.lines();
    assert_eq!(lines, ["ann@example.com", "bob@example.com"]);
    assert_eq!(end, "# end checked=4 suppressed=0 errors=2");
    let answer = Call::all(
        &running,
        "?return=suppressed",
        "text/plain",
        body.as_bytes(),
    );
    assert_eq!(answer.lines().0.len(), 0, "nobody can be mailed by it");
}

/// `desist check` with these arguments and this input: exit code and what it prints.
fn check(running: &Running, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let data = running.place().data_dir();
    let list = data.join("list.txt");
    std::fs::write(&list, input).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_desist"))
        .arg("check")
        .args(arguments)
        .env("DESIST_DATA_DIR", &data)
        .stdin(Stdio::from(std::fs::File::open(&list).unwrap()))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_command_line_asks_about_files_and_pipes() {
    let running = Running::sqlite();
    suppress(&running, &["bob@example.com".to_owned()], "all");
    let list = running.place().data_dir().join("list.txt");
    let check = |arguments: &[&str], input: &str| check(&running, arguments, input);
    let file = list.to_str().unwrap();
    let (status, out, told) = check(&["--file", file], "ann@example.com\ncarol@example.com\n");
    assert_eq!(
        (status, out.as_str()),
        (Some(0), "ann@example.com\ncarol@example.com\n")
    );
    assert!(
        told.starts_with("checked=2 suppressed=0 errors=0 as_of="),
        "{told}"
    );
    let (status, out, _) = check(
        &["--file", "-", "--stream", "1"],
        "bob@example.com\nann@example.com",
    );
    assert_eq!((status, out.as_str()), (Some(3), "ann@example.com\n"));
    let (status, out, _) = check(
        &["--file", "-", "--suppressed"],
        "bob@example.com\nann@example.com",
    );
    assert_eq!((status, out.as_str()), (Some(3), "bob@example.com\n"));
    let (status, out, told) = check(&["--file", "-"], "bob\nann@example.com\n");
    assert_eq!((status, out.as_str()), (Some(1), "ann@example.com\n"));
    assert!(
        told.contains("1 of 2 addresses could not be checked"),
        "{told}"
    );
    let (status, out, told) = check(&["--file", "-", "--json"], "\"ann@example.com\"\n");
    assert_eq!((status, out.as_str()), (Some(0), "\"ann@example.com\"\n"));
    assert!(told.starts_with("{\"as_of\":"), "{told}");
}

#[test]
fn the_command_line_says_nothing_when_nothing_was_asked() {
    let running = Running::sqlite();
    for (arguments, status, said) in [
        (&["--file", "/nowhere"][..], 1, "/nowhere cannot be read"),
        (
            &["--file", "-", "--stream", "9"],
            1,
            "the tenant has no stream 9",
        ),
        (
            &["--file", "-", "ann@example.com"],
            2,
            "cannot be used with",
        ),
        (
            &["--suppressed", "ann@example.com"],
            2,
            "cannot be used with",
        ),
    ] {
        let (found, out, told) = check(&running, arguments, "ann@example.com\n");
        assert_eq!((found, out.as_str()), (Some(status), ""), "{told}");
        assert!(told.contains(said), "{told}");
    }
}
