//! Properties of the session on random octets and on what is nearly SMTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use desist::smtp::limits::Limits;
use desist::smtp::path::Path;

use super::dialogue::{sent, unescape};
use super::dialogues::fixtures;
use crate::runner::{Cut, Runner, TestGate, send_cut, settings};

/// Pieces that together are often SMTP.
const PIECES: &[&str] = &[
    "EHLO client\\r\\n",
    "HELO client\\r\\n",
    "MAIL FROM:<a@b.example>\\r\\n",
    "MAIL FROM:<> SIZE=100 BODY=8BITMIME SMTPUTF8\\r\\n",
    "RCPT TO:<fbl@fb.example.com>\\r\\n",
    "RCPT TO:<b1@fb.example.com>\\r\\n",
    "RCPT TO:<nobody@fb.example.com>\\r\\n",
    "DATA\\r\\n",
    "DATA\\r\\nSubject: x\\r\\n\\r\\ntext\\r\\n.\\r\\n",
    "\\r\\n.\\r\\n",
    ".\\r\\n",
    "\\n.\\r\\n",
    "\\r\\n..\\r\\n",
    "BDAT 5\\r\\nhello",
    "BDAT 7 LAST\\r\\nQUIT\\r\\n\\0",
    "BDAT 300\\r\\n",
    "BDAT x\\r\\n",
    "RSET\\r\\n",
    "NOOP\\r\\n",
    "VRFY x\\r\\n",
    "QUIT\\r\\n",
    "GET / HTTP/1.1\\r\\n",
    "\\{3000*x}",
    "\\{40*Received: x\\r\\n}",
    "\\r",
    "\\n",
    "\\x16\\x03\\x01",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => proptest::sample::select(PIECES).prop_map(unescape),
        1 => vec(any::<u8>(), 0..20),
    ]
}

/// A stream of pieces, some of them cut, with an octet flipped here and there.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let mutations = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (vec(piece(), 0..40), mutations, any::<bool>()).prop_map(|(pieces, mutations, begun)| {
        let mut octets = Vec::new();
        if begun {
            octets.extend(unescape(PIECES[0]));
            octets.extend(unescape(PIECES[2]));
            octets.extend(unescape(PIECES[4]));
        }
        octets.extend(pieces.concat());
        for (at, value) in mutations {
            if !octets.is_empty() {
                let at = at.index(octets.len());
                octets[at] = value;
            }
        }
        octets
    })
}

/// What the dialogues send, cut, spliced, repeated and flipped.
fn mutated_dialogue() -> impl Strategy<Value = Vec<u8>> {
    let sent: Vec<Vec<u8>> = fixtures()
        .iter()
        .map(|(name, text)| sent(name, text))
        .filter(|s| !s.is_empty())
        .collect();
    let index = any::<prop::sample::Index>;
    let one = proptest::sample::select(sent.clone());
    let other = proptest::sample::select(sent);
    let change = (0..4_u8, index(), index(), any::<u8>());
    (one, other, vec(change, 0..5)).prop_map(|(mut octets, other, changes)| {
        for (kind, from, to, value) in changes {
            if octets.is_empty() {
                break;
            }
            let (at, end) = (from.index(octets.len()), to.index(octets.len()));
            let range = at.min(end)..at.max(end);
            match kind {
                0 => octets[at] = value,
                1 => drop(octets.drain(range)),
                2 if range.len() < 2000 => octets.extend_from_within(range),
                _ => drop(octets.splice(at..at, other.iter().copied().take(500))),
            }
        }
        octets
    })
}

fn run(octets: &[u8], cut: Cut, room: u64) -> Runner {
    let mut settings = settings();
    settings.starttls = false;
    settings.limits.message = 5000;
    settings.limits.discard = 4000;
    let mut runner = Runner::new(
        settings,
        TestGate {
            room,
            ..TestGate::default()
        },
    );
    send_cut(&mut runner, octets, cut);
    runner
}

/// Lines that end a reply: those of a multi-line reply count once.
fn final_lines(runner: &Runner) -> usize {
    runner
        .replies()
        .iter()
        .filter(|reply| reply.as_bytes().get(3) == Some(&b' '))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_chunking_gives_the_same(octets in stream(), seed in any::<u64>(), short in any::<bool>()) {
        let room = if short { 20_000 } else { u64::MAX };
        let whole = run(&octets, Cut::Whole, room);
        for cut in [Cut::Bytes, Cut::Random(seed)] {
            let cut = run(&octets, cut, room);
            prop_assert_eq!(&cut.transcript, &whole.transcript);
            prop_assert_eq!(&cut.messages, &whole.messages);
        }
    }

    #[test]
    fn replies_and_messages_are_counted(octets in stream(), seed in any::<u64>()) {
        let mut runner = run(&octets, Cut::Random(seed), u64::MAX);
        // Never two replies to one command: the greeting, one a line, one for a TLS record.
        let lines = octets.windows(2).filter(|pair| pair == b"\r\n").count();
        prop_assert!(final_lines(&runner) <= lines + 2);
        // A message is answered once, and there is one for each final acceptance.
        let accepted = runner.replies().iter().filter(|r| r.starts_with("250 2.0.0 OK 0")).count();
        prop_assert_eq!(accepted, runner.messages.len());
        for message in &runner.messages {
            prop_assert!(message.raw.len() <= 5000);
            prop_assert!(!message.recipients.is_empty());
        }
        // Memory is bounded by the limits, and is given back at the end.
        prop_assert!(runner.gate.most.load(Ordering::SeqCst) <= 5000);
        runner.wait(Duration::from_hours(1));
        prop_assert!(runner.closed);
        prop_assert_eq!(runner.gate.used(), 0);
        // After the close nothing is written, whatever comes.
        let before = runner.transcript.len();
        runner.send(b"EHLO x\r\n");
        runner.stop();
        runner.wait(Duration::from_hours(1));
        prop_assert_eq!(runner.transcript.len(), before);
    }

    #[test]
    fn mutated_dialogues_do_no_harm(octets in mutated_dialogue(), seed in any::<u64>()) {
        let whole = run(&octets, Cut::Whole, u64::MAX);
        for cut in [Cut::Bytes, Cut::Random(seed)] {
            let mut cut = run(&octets, cut, u64::MAX);
            prop_assert_eq!(&cut.transcript, &whole.transcript);
            prop_assert_eq!(&cut.messages, &whole.messages);
            cut.wait(Duration::from_hours(1));
            prop_assert!(cut.closed);
            prop_assert_eq!(cut.gate.used(), 0);
        }
    }

    #[test]
    fn paths_are_parts_of_what_was_sent(text in "[<>@\"\\\\,:.a-c \\[\\]\u{e9}]{0,30}") {
        let text = format!("<{text}>");
        if let Some((Some(path), rest)) = Path::parse(&text, &Limits::default()) {
            prop_assert!(text.contains(path.as_str()) && text.ends_with(rest));
            prop_assert!(path.as_str().ends_with(path.domain()));
            prop_assert!(!path.local().is_empty() || path.as_str().starts_with("\"\""));
        }
    }

    #[test]
    fn random_octets_do_no_harm(octets in vec(any::<u8>(), 0..3000), seed in any::<u64>()) {
        let whole = run(&octets, Cut::Whole, u64::MAX);
        let cut = run(&octets, Cut::Random(seed), u64::MAX);
        prop_assert_eq!(whole.transcript, cut.transcript);
        prop_assert!(whole.messages.is_empty());
    }
}
