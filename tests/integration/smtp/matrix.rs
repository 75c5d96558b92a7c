//! Tables: smuggling at every split, line lengths, plaintext behind STARTTLS, time.

use std::sync::Arc;
use std::time::Duration;

use desist::model::clock::Tick;
use desist::smtp::session::{Output, Session};

use crate::runner::{Cut, Runner, TestGate, accepted, send_cut, settings};

const BEGIN: &[u8] =
    b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<fbl@fb.example.com>\r\nDATA\r\n";
const REPLIES_OF_BEGIN: usize = 1 + 9 + 3;

/// What stands between a dot and what follows it, and the one final reply.
const MATRIX: &[(&str, &str)] = &[
    ("\n.\n", "550 5.6.11"),
    ("\n.\r\n", "550 5.6.11"),
    ("\r\n.\n", "550 5.6.11"),
    ("\r.\r", "550 5.6.11"),
    ("\r.\r\n", "550 5.6.11"),
    ("\r\n.\r", "550 5.6.11"),
    ("\n.\r", "550 5.6.11"),
    ("\r.\n", "550 5.6.11"),
    ("\r\r\n.\r\r\n", "550 5.6.11"),
    ("\r\n.\0\r\n", "250 2.0.0"),
    ("\r\n\0.\r\n", "250 2.0.0"),
    ("\n\n.\r\n", "550 5.6.11"),
    ("\r\n..\r\n", "250 2.0.0"),
];

/// A-062, A-063: one final reply, at most one message, with and without pipelining, at every split.
#[test]
fn nothing_is_smuggled() {
    for (x, verdict) in MATRIX {
        let content = format!(
            "Subject: a\r\n\r\none{x}MAIL FROM:<evil@x.example>\r\n\
             RCPT TO:<fbl@fb.example.com>\r\nDATA\r\nsmuggled\r\n.\r\n"
        );
        let content = content.as_bytes();
        let pipelined = [BEGIN, content].concat();
        for at in 0..=content.len() {
            let (first, second) = content.split_at(at);
            check_matrix(x, verdict, &[BEGIN, first, second]);
        }
        for at in 0..=pipelined.len() {
            let (first, second) = pipelined.split_at(at);
            check_matrix(x, verdict, &[first, second]);
        }
        check_matrix(x, verdict, &pipelined.chunks(1).collect::<Vec<_>>());
    }
}

fn check_matrix(x: &str, verdict: &str, pieces: &[&[u8]]) {
    let mut runner = Runner::new(settings(), TestGate::default());
    for piece in pieces {
        runner.send(piece);
    }
    let replies = runner.replies();
    let last = replies.get(REPLIES_OF_BEGIN..).unwrap_or_default();
    assert_eq!(
        replies.len(),
        REPLIES_OF_BEGIN + 1,
        "{x:?} {pieces:?}: {last:?}"
    );
    assert!(
        last.iter().all(|reply| reply.starts_with(verdict)),
        "{x:?}: {last:?}"
    );
    assert_eq!(
        runner.messages.len(),
        usize::from(verdict.starts_with('2')),
        "{x:?}"
    );
    assert!(!runner.closed);
}

/// A-020, A-021: 512 octets always fit; what does not fit is refused once, and nothing is kept.
#[test]
fn long_lines_are_refused_once() {
    for (length, reply) in [
        (512, "250 2.0.0"),
        (4096, "250 2.0.0"),
        (4097, "500 5.5.6"),
        (100_000, "500 5.5.6"),
    ] {
        for cut in [Cut::Whole, Cut::Random(7)] {
            let mut runner = Runner::new(settings(), TestGate::default());
            let line = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(length - 7));
            send_cut(&mut runner, line.as_bytes(), cut);
            let replies = runner.replies();
            assert_eq!(replies.len(), 3, "{length}: {replies:?}");
            assert!(
                replies[1].starts_with(reply) && replies[2].starts_with("250"),
                "{length}"
            );
        }
    }
}

/// A-023, A-024, A-067, A-071: lines of any length and octets of any value are kept as they are.
#[test]
fn content_is_kept_exactly() {
    let long = "y".repeat(20_000);
    let text = format!("..{}\r\n{long}\r\n\u{7f}\u{fffd}\0\r\n", "x".repeat(997));
    let octets = [text.as_bytes(), &[0x80, 0xff, b'\r', b'\n']].concat();
    for cut in [Cut::Whole, Cut::Bytes, Cut::Random(3)] {
        let mut runner = Runner::new(settings(), TestGate::default());
        let begin = b"EHLO c\r\nMAIL FROM:<> SIZE=10\r\nRCPT TO:<b@fb.example.com>\r\nDATA\r\n";
        send_cut(&mut runner, &[&begin[..], &octets, b".\r\n"].concat(), cut);
        assert_eq!(runner.messages.len(), 1);
        assert_eq!(runner.messages[0].raw, octets[1..], "{cut:?}");
    }
}

/// A-065: a chunk is counted, not read.
#[test]
fn chunks_are_kept_exactly() {
    let octets: &[u8] = b"..a\r\n.\r\n\n.\nQUIT\r\n";
    for cut in [Cut::Whole, Cut::Bytes, Cut::Random(3)] {
        let mut runner = Runner::new(settings(), TestGate::default());
        let begin = "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@fb.example.com>\r\n";
        let begin = format!("{begin}BDAT {} LAST\r\n", octets.len());
        send_cut(&mut runner, &[begin.as_bytes(), octets].concat(), cut);
        assert_eq!(runner.messages.len(), 1);
        assert_eq!(runner.messages[0].raw, octets, "{cut:?}");
    }
}

/// A-123: what came with STARTTLS is answered by a close; nothing of it is obeyed.
#[test]
fn plaintext_behind_starttls_closes() {
    let mut runner = Runner::new(settings(), TestGate::default());
    runner.send(b"STARTTLS\r\nNOOP\r\nRSET\r\n");
    assert_eq!(
        runner.transcript[1..],
        ["S: 554 5.5.1 Input behind STARTTLS, closing", "X"].map(str::to_owned)
    );
    for at in [10, 11, 14, 16] {
        let mut runner = Runner::new(settings(), TestGate::default());
        let (first, second) = b"STARTTLS\r\nNOOP\r\nRSET\r\n".split_at(at);
        runner.send(first);
        runner.send(second);
        assert!(runner.closed, "split at {at}");
        assert!(
            !runner
                .replies()
                .iter()
                .any(|reply| reply.starts_with("250")),
            "split at {at}"
        );
    }
    // A-124: the handshake fails.
    let mut runner = Runner::new(settings(), TestGate::default());
    runner.send(b"STARTTLS\r\n");
    runner.session.handle_tls_failed(&runner.gate);
    assert!(matches!(runner.session.poll(), Some(Output::Close)));
}

/// A-015, A-100: a thousand recipients, one message.
#[test]
fn a_thousand_recipients_fit() {
    let mut runner = Runner::new(settings(), TestGate::default());
    runner.send(b"EHLO c\r\nMAIL FROM:<>\r\n");
    for number in 0..1000 {
        runner.send(format!("RCPT TO:<b{number}@fb.example.com>\r\n").as_bytes());
    }
    assert!(runner.replies().last().unwrap().starts_with("250"));
    // A-026
    runner.send(b"RCPT TO:<b1000@fb.example.com>\r\n");
    assert_eq!(
        runner.replies().last().unwrap(),
        &"452 4.5.3 Too many recipients, send the rest later"
    );
    runner.send(b"DATA\r\nx\r\n.\r\n");
    assert_eq!(runner.messages[0].recipients.len(), 1000);
}

/// What is declared costs nothing until it is sent.
#[test]
fn declared_octets_are_not_reserved() {
    let mut runner = Runner::new(settings(), TestGate::default());
    runner.send(b"EHLO c\r\nMAIL FROM:<> SIZE=50000000\r\nRCPT TO:<b@fb.example.com>\r\nDATA\r\n");
    assert_eq!(runner.gate.used(), 0);
    runner.send(b"x");
    assert!(
        (1..100_000).contains(&runner.gate.used()),
        "{}",
        runner.gate.used()
    );
}

/// Of a long name only the beginning is kept.
#[test]
fn a_long_hello_is_cut() {
    let mut runner = Runner::new(settings(), TestGate::default());
    let name = "\u{e9}".repeat(1000);
    runner
        .send(format!("EHLO x{name}\r\nMAIL FROM:<>\r\nRCPT TO:<b@fb.example.com>\r\n").as_bytes());
    runner.send(b"DATA\r\n.\r\n");
    let hello = &runner.messages[0].hello;
    assert!(
        name.contains(&hello[1..]) && hello.len() == 511,
        "{}",
        hello.len()
    );
}

/// While a message is being committed only so much is kept of what follows.
#[test]
fn input_during_a_commit_is_bounded() {
    let gate = TestGate::default();
    let now = Tick::from_millis(0);
    let mut session = Session::new(Arc::new(settings()), now);
    session.handle_bytes(&[BEGIN, b".\r\n"].concat(), now, &gate);
    let limit = settings().limits.pipelined;
    let closes = |session: &mut Session| {
        std::iter::from_fn(|| session.poll()).any(|output| matches!(output, Output::Close))
    };
    session.handle_bytes(&vec![b'x'; limit], now, &gate);
    assert!(!closes(&mut session) && !session.wants_input());
    session.handle_bytes(b"x", now, &gate);
    assert!(closes(&mut session));
    assert_eq!(gate.used(), 0);
    session.handle_outcome(accepted(), now, &gate);
    assert!(
        session.poll().is_none(),
        "the outcome comes too late to be told"
    );
}

/// A-151: a trickle is cut, a slow line is not.
#[test]
fn slow_content_is_cut_by_rate_and_not_before() {
    for (octets, every, survives) in [(1, 10, false), (1000, 1, true)] {
        let mut runner = Runner::new(settings(), TestGate::default());
        runner.send(BEGIN);
        for _ in 0..1000 / every {
            runner.wait(Duration::from_secs(every));
            if !runner.closed {
                runner.send(&b"x".repeat(octets));
            }
        }
        assert_eq!(!runner.closed, survives);
        if !survives {
            assert_eq!(
                runner.replies().last().unwrap(),
                &"421 4.4.2 Waited too long, closing"
            );
            assert_eq!(runner.gate.used(), 0);
        }
    }
}

/// A whole transaction ends after 30 minutes, whatever the peer does in it.
#[test]
fn a_transaction_ends_in_time() {
    let mut runner = Runner::new(settings(), TestGate::default());
    runner.send(b"EHLO c\r\nMAIL FROM:<>\r\n");
    for minute in 1..=31 {
        runner.wait(Duration::from_mins(1));
        assert_eq!(runner.closed, minute >= 30, "minute {minute}");
        runner.send(b"NOOP\r\n");
    }
}

/// A-150 and what a dribbled line cannot do: only whole commands count as a sign of life.
#[test]
fn a_dribbled_command_is_cut() {
    let mut runner = Runner::new(settings(), TestGate::default());
    for _ in 0..10 {
        runner.send(b"N");
        runner.wait(Duration::from_secs(29));
    }
    assert!(!runner.closed);
    runner.send(b"N");
    runner.wait(Duration::from_secs(10));
    assert!(runner.closed);
}

/// A-069: a connection that is lost takes its message with it.
#[test]
fn a_lost_connection_hands_nothing_over() {
    let mut runner = Runner::new(settings(), TestGate::default());
    runner.send(BEGIN);
    runner.send(b"half a message\r\n");
    assert!(runner.messages.is_empty());
    assert!(runner.gate.used() > 0);
}
