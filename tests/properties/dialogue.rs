//! The SMTP session as a value: commands, content, and whole dialogues.

use std::sync::atomic::Ordering;
use std::time::Duration;

use desist::smtp::gate::Shortage;
use desist::smtp::limits::Limits;
use desist::smtp::path::Path;
use desist::smtp::session::Outcome;

use super::runner::{Cut, Runner, TestGate, send_cut, settings};

const BEGUN: [&str; 3] = [
    "EHLO client\r\n",
    "MAIL FROM:<a@b.example>\r\n",
    "RCPT TO:<fbl@fb.example.com>\r\n",
];

fn fresh() -> Runner {
    Runner::new(settings(), TestGate::default())
}

fn begun(commands: usize) -> Runner {
    let mut runner = fresh();
    for command in &BEGUN[..commands] {
        runner.send(command.as_bytes());
    }
    runner
}

/// Replies: the lines of one of several lines count once.
fn replies(runner: &Runner) -> usize {
    let last = |reply: &&&str| reply.as_bytes().get(3) == Some(&b' ');
    runner.replies().iter().filter(last).count()
}

/// A-010 to A-018, A-092: each line has exactly one reply, wherever the dialogue stands.
pub(crate) fn command(input: &[u8]) {
    for commands in 0..=BEGUN.len() {
        let mut runner = begun(commands);
        for line in input.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let before = replies(&runner);
            runner.send(&[line, b"\r\n"].concat());
            let chunk = line
                .get(..4)
                .is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"));
            let answered = replies(&runner) - before;
            assert!(
                answered == 1 || (chunk && answered == 0),
                "{answered} to {line:?}"
            );
            // The last chunk of all may be empty.
            assert!(chunk || runner.messages.is_empty());
            if runner.closed || chunk || runner.replies().last().unwrap().starts_with("354") {
                break;
            }
            if runner.wants_tls {
                runner.establish_tls();
            }
        }
    }
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(text) = std::str::from_utf8(line) {
            path(text);
        }
    }
}

/// A path is a part of what was sent.
fn path(text: &str) {
    let text = format!("<{text}>");
    if let Some((Some(path), rest)) = Path::parse(&text, &Limits::default()) {
        assert!(
            text.contains(path.as_str()) && text.ends_with(rest),
            "{text:?}"
        );
        assert!(path.as_str().ends_with(path.domain()));
        let quoted = path.as_str().starts_with("\"\"");
        assert!(!path.local().is_empty() || quoted, "{text:?}");
    }
}

pub(crate) fn command_seeds() -> Vec<Vec<u8>> {
    let lines = [
        "EHLO client.example",
        "HELO [192.0.2.1]",
        "MAIL FROM:<> SIZE=1000 BODY=8BITMIME SMTPUTF8",
        "MAIL FROM:<@a,@b:\"x y\"@c.example> SIZE=99999999999999999999",
        "MAIL FROM:<j\u{fc}rgen@b\u{fc}cher.example> SMTPUTF8\r\nRCPT TO:<fbl@b\u{fc}cher.example>",
        "RCPT TO:<Postmaster>\r\nRCPT TO:<u@[192.0.2.1]>\r\nRCPT TO:<fbl@fb.example.com> NOTIFY=NEVER",
        "RSET\r\nNOOP x\r\nVRFY x\r\nHELP\r\nEXPN x\r\nAUTH PLAIN AGE=\r\nQUIT",
        "STARTTLS\r\nEHLO again",
        "DATA",
        "BDAT 5 LAST",
        "GET / HTTP/1.1",
    ];
    let mut seeds: Vec<_> = lines.map(|text| text.as_bytes().to_vec()).to_vec();
    seeds.extend(dialogues());
    seeds
}

/// A-060 to A-066, A-100 to A-104: content is exactly what was sent, in any pieces, by DATA and by
/// BDAT; only a dot beside a bare line end and a loop are refused; and the session is in step.
pub(crate) fn data(input: &[u8]) {
    let stream = [input, b"\r\n.\r\n"].concat();
    let (content, used) = unstuffed(&stream);
    let announced = chunks(input);
    for cut in cuts(input) {
        let mut runner = begun(BEGUN.len());
        runner.send(b"DATA\r\n");
        send_cut(&mut runner, &stream[..used], cut);
        delivered(&runner, &content);
        in_step(runner);
        let mut runner = begun(BEGUN.len());
        send_cut(&mut runner, &announced, cut);
        let replied = runner.replies().last().unwrap().starts_with("250 2.0.0");
        assert!(replied || is_loop(input), "{:?}", runner.replies().last());
        delivered(&runner, input);
        in_step(runner);
    }
}

fn delivered(runner: &Runner, content: &[u8]) {
    let reply = *runner.replies().last().unwrap();
    if reply.starts_with("250 2.0.0 OK") {
        assert_eq!(runner.messages.len(), 1);
        assert!(
            runner.messages[0].raw == content,
            "{:?}",
            runner.messages[0].raw
        );
    } else {
        assert!(runner.messages.is_empty());
        assert!(has_bare_end(content) || is_loop(content), "{reply}");
    }
}

fn in_step(mut runner: Runner) {
    runner.send(b"NOOP\r\n");
    assert!(runner.replies().last().unwrap().starts_with("250 2.0.0"));
    assert_eq!(runner.gate.used(), 0);
}

/// What RFC 5321 §4.5.2 says, read a line at a time; and where it ends.
fn unstuffed(stream: &[u8]) -> (Vec<u8>, usize) {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let rest = &stream[at..];
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("an end");
        let line = &rest[..end];
        at += end + 2;
        if line == b"." {
            return (content, at);
        }
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        content.extend_from_slice(b"\r\n");
    }
}

/// The same octets in chunks, whose lengths the octets say.
fn chunks(input: &[u8]) -> Vec<u8> {
    let (mut stream, mut rest) = (Vec::new(), input);
    while let Some(first) = rest.first() {
        let length = (usize::from(*first) * 7 + 1).min(rest.len());
        let (chunk, after) = rest.split_at(length);
        stream.extend_from_slice(format!("BDAT {length}\r\n").as_bytes());
        stream.extend_from_slice(chunk);
        rest = after;
    }
    stream.extend_from_slice(b"BDAT 0 LAST\r\n");
    stream
}

/// Whether a CR or LF stands alone anywhere.
fn has_bare_end(content: &[u8]) -> bool {
    let (mut previous, mut bare) = (0, false);
    for byte in content.iter().copied().chain([0]) {
        bare |= (previous == b'\r') != (byte == b'\n');
        previous = byte;
    }
    bare
}

/// A-144
fn is_loop(content: &[u8]) -> bool {
    let received = |line: &&[u8]| {
        line.get(..8)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"received"))
    };
    content
        .split(|byte| *byte == b'\n')
        .filter(received)
        .count()
        >= Limits::default().received
}

/// Octet by octet is slow: only what is short.
fn cuts(input: &[u8]) -> Vec<Cut> {
    let seed = input.iter().fold(7, |seed: u64, byte| {
        seed.wrapping_mul(31) + u64::from(*byte)
    });
    let mut cuts = vec![Cut::Whole, Cut::Random(seed)];
    cuts.extend((input.len() < 4096).then_some(Cut::Bytes));
    cuts
}

pub(crate) fn data_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = [
        "Subject: x\r\n\r\ntext\r\n",
        ".\r\n..\r\n...\r\n.x\r\n",
        "a\n.\nb\r.\rc\r\n.\nd\n.\r\ne",
        "\r\r\n.\r\r\n\r\n\r",
        "x\r\n.\r\nMAIL FROM:<>\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    seeds.push(b"Received: x\r\n".repeat(101));
    seeds.extend(dialogues());
    seeds
}

/// Stands for an event within the octets of a dialogue.
const WAIT: u8 = 0x1e;
const STOP: u8 = 0x1c;
const TLS: u8 = 0x1d;

/// The invariants of the session's own documentation, and A-150: memory stays within its limits
/// and every session ends. The first octet says what the server is like.
pub(crate) fn session(input: &[u8]) {
    let (nature, octets) = input.split_first().unwrap_or((&0, b""));
    let whole = run(*nature, octets, Cut::Whole);
    // What comes together with STARTTLS matters.
    let split = if nature & 1 == 0 {
        cuts(octets)
    } else {
        vec![Cut::Random(1)]
    };
    for cut in split {
        let mut runner = run(*nature, octets, cut);
        if nature & 1 == 0 {
            assert_eq!(runner.transcript, whole.transcript, "{cut:?}");
            assert!(runner.messages == whole.messages, "{cut:?}");
        }
        counted(&runner, octets);
        // How long a handshake may take is not the session's business.
        if runner.wants_tls {
            runner.establish_tls();
        }
        runner.wait(Duration::from_hours(1));
        assert!(runner.closed, "every session ends");
        assert_eq!(runner.gate.used(), 0, "everything is given back");
        let before = runner.transcript.len();
        runner.send(b"EHLO x\r\n");
        runner.stop();
        runner.wait(Duration::from_hours(1));
        assert_eq!(
            runner.transcript.len(),
            before,
            "after the close nothing is written"
        );
    }
}

/// The largest message in these dialogues.
const LARGEST: u64 = 5000;

fn run(nature: u8, octets: &[u8], cut: Cut) -> Runner {
    let mut settings = settings();
    settings.starttls = nature & 1 != 0;
    settings.refuse = nature & 0b1110 == 0b1110;
    settings.limits.message = LARGEST;
    settings.limits.discard = 4000;
    let mut gate = TestGate::default();
    if nature & 0b1_0000 != 0 {
        gate.room = 3000;
    }
    if nature & 0b110_0000 == 0b110_0000 {
        gate.admits = Err(Shortage::NoRoom);
    }
    let mut runner = Runner::new(settings, gate);
    if nature & 0b1000_0000 != 0 {
        runner
            .outcomes
            .push_back(Outcome::Refused(Shortage::Failed));
    }
    let mut rest = octets;
    while let Some(at) = rest
        .iter()
        .position(|byte| [WAIT, STOP, TLS].contains(byte))
    {
        let (piece, behind) = rest.split_at(at);
        send_cut(&mut runner, piece, cut);
        match behind[0] {
            WAIT => runner.wait(Duration::from_secs(100)),
            STOP => runner.stop(),
            _ if runner.wants_tls => runner.establish_tls(),
            _ => {}
        }
        rest = &behind[1..];
    }
    send_cut(&mut runner, rest, cut);
    runner
}

fn counted(runner: &Runner, octets: &[u8]) {
    // Events may stand anywhere, within a line's end too.
    let is_event = |byte: &u8| [WAIT, STOP, TLS].contains(byte);
    let octets: Vec<u8> = octets
        .iter()
        .copied()
        .filter(|byte| !is_event(byte))
        .collect();
    let of = |text: &[u8]| {
        let same = |window: &&[u8]| window.eq_ignore_ascii_case(text);
        octets.windows(text.len()).filter(same).count()
    };
    // The greeting, one a line, and a last one: no command, a TLS record or time has ended it.
    assert!(replies(runner) <= of(b"\r\n") + 2);
    // Nothing is delivered without end of data.
    let ends = of(b"\r\n.\r\n") + of(b"LAST");
    assert!(
        runner.messages.len() <= ends,
        "{} messages",
        runner.messages.len()
    );
    // A message is answered once.
    let accepted = |reply: &&&str| reply.starts_with("250 2.0.0 OK 0");
    let refused = usize::from(runner.outcomes.is_empty());
    let accepted = runner.replies().iter().filter(accepted).count();
    assert!(runner.messages.len() <= accepted + refused);
    assert!(accepted <= runner.messages.len());
    for message in &runner.messages {
        assert!(u64::try_from(message.raw.len()).unwrap() <= LARGEST);
        assert!(!message.recipients.is_empty());
    }
    assert!(runner.gate.most.load(Ordering::SeqCst) <= LARGEST);
}

pub(crate) fn session_seeds() -> Vec<Vec<u8>> {
    let natures = [0, 1, 14, 16, 96, 128];
    let with = |sent: Vec<u8>| natures.map(|nature| [&[nature], sent.as_slice()].concat());
    let mut seeds: Vec<_> = dialogues().into_iter().flat_map(with).collect();
    seeds.push(
        b"\x01EHLO a\r\nSTARTTLS\r\n\x1dEHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<u1@fb.example.com>\r\n\
          DATA\r\n\x1eSubject: x\r\n\x1c\r\n.\r\nQUIT\r\n"
            .to_vec(),
    );
    seeds
}

/// What the dialogues of `fixtures/smtp` send. Repetitions are left as they are written.
fn dialogues() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(super::world::root().join("fixtures/smtp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let sent = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut octets = Vec::new();
        for line in text.lines() {
            let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest
                .replace("\\r", "\r")
                .replace("\\n", "\n")
                .replace("\\0", "\0");
            match key {
                "C:" => octets.extend([rest.as_bytes(), b"\r\n"].concat()),
                "C+" => octets.extend(rest.as_bytes()),
                "T:" => octets.push(WAIT),
                "TLS" => octets.push(TLS),
                "STOP" => octets.push(STOP),
                _ => {}
            }
        }
        octets
    };
    paths
        .iter()
        .map(sent)
        .filter(|octets| !octets.is_empty())
        .collect()
}
