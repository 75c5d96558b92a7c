//! Runs dialogues against a session: the expected lines stand between the sent ones.
//!
//! A fixture is a text file; each line is one step:
//!
//! ```text
//! # a comment, with the ids of what is tested
//! SET message=1000      a limit, or starttls=no, refuse=yes, room=OCTETS, admits=no-room|failed
//! C: EHLO client        a line is sent, with CRLF
//! C+ partial            octets are sent, without CRLF
//! S: 250 2.0.0 OK       a line is expected
//! M: ESMTP <a@b> fbl@fb.example.com "raw"      a message is expected
//! O: no-room            the outcome of the next message is not `accepted` but no-room or failed
//! T: 300                so many seconds pass
//! TLS                   TLS is asked for, and established
//! STOP                  the server stops
//! X                     the connection is closed
//! ```
//!
//! Escapes: `\r \n \t \0 \\ \" \xNN`, and `\{100*ab}` repeats.

use std::time::Duration;

use desist::smtp::gate::Shortage;
use desist::smtp::session::Outcome;

use crate::runner::{Cut, Runner, TestGate, accepted, send_cut, settings};

#[derive(Debug)]
enum Step {
    Send(Vec<u8>),
    Expect(String),
    Outcome(Outcome),
    Wait(u64),
    Tls,
    Stop,
}

/// Checks one fixture in lockstep, whole, by octet and at random cuts.
pub(crate) fn check(name: &str, text: &str) {
    let (settings, steps) = parse(name, text);
    let expected: Vec<&str> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Expect(line) => Some(line.as_str()),
            Step::Tls => Some("TLS"),
            _ => None,
        })
        .collect();
    lockstep(name, &settings, &steps);
    let cuts = [Cut::Whole, Cut::Bytes]
        .into_iter()
        .chain((1..20).map(Cut::Random));
    for cut in cuts {
        let mut runner = runner(&settings, &steps);
        let mut pending = Vec::new();
        for step in &steps {
            if let Step::Send(octets) = step {
                pending.extend_from_slice(octets);
            } else if !matches!(step, Step::Expect(_)) {
                send_cut(&mut runner, &std::mem::take(&mut pending), cut);
                act(&mut runner, step);
            }
        }
        send_cut(&mut runner, &pending, cut);
        let expected = expected.join("\n");
        assert_eq!(runner.transcript.join("\n"), expected, "{name} {cut:?}");
        runner.wait(Duration::from_hours(24));
        assert!(runner.closed, "{name} {cut:?}: every session ends");
        assert_eq!(
            runner.gate.used(),
            0,
            "{name} {cut:?}: everything is given back"
        );
    }
}

/// Each reply comes before the next command is sent (A-092).
fn lockstep(name: &str, settings: &[String], steps: &[Step]) {
    let mut runner = runner(settings, steps);
    let mut seen = 0;
    for (index, step) in steps.iter().enumerate() {
        let expected = match step {
            Step::Expect(line) => line,
            Step::Tls => "TLS",
            Step::Outcome(_) => continue,
            _ => {
                let extra = runner.transcript.get(seen..).unwrap_or_default();
                assert!(
                    extra.is_empty(),
                    "{name}, step {index}: not expected: {extra:?}"
                );
                act(&mut runner, step);
                continue;
            }
        };
        let line = runner.transcript.get(seen).map(String::as_str);
        assert_eq!(line, Some(expected), "{name}, step {index}");
        seen += 1;
        act(&mut runner, step);
    }
    assert_eq!(
        runner.transcript.len(),
        seen,
        "{name}: {:?}",
        runner.transcript
    );
}

fn act(runner: &mut Runner, step: &Step) {
    match step {
        Step::Send(octets) => runner.send(octets),
        Step::Wait(seconds) => runner.wait(Duration::from_secs(*seconds)),
        Step::Tls => runner.establish_tls(),
        Step::Stop => runner.stop(),
        Step::Expect(_) | Step::Outcome(_) => {}
    }
}

fn runner(sets: &[String], steps: &[Step]) -> Runner {
    let mut settings = settings();
    let mut gate = TestGate::default();
    for set in sets {
        let (name, value) = set.split_once('=').unwrap();
        let number = || value.parse::<u64>().unwrap();
        let count = || value.parse::<usize>().unwrap();
        match name {
            "starttls" => settings.starttls = value == "yes",
            "refuse" => settings.refuse = value == "yes",
            "message" => settings.limits.message = number(),
            "report" => settings.limits.report = number(),
            "discard" => settings.limits.discard = number(),
            "line" => settings.limits.line = count(),
            "recipients" => settings.limits.recipients = count(),
            "received" => settings.limits.received = count(),
            "errors" => settings.limits.errors = value.parse().unwrap(),
            "junk_commands" => settings.limits.junk_commands = value.parse().unwrap(),
            "room" => gate.room = number(),
            "admits" => gate.admits = Err(shortage(value)),
            _ => panic!("unknown setting {name}"),
        }
    }
    let mut runner = Runner::new(settings, gate);
    runner.outcomes = steps
        .iter()
        .filter_map(|step| {
            if let Step::Outcome(outcome) = step {
                Some(*outcome)
            } else {
                None
            }
        })
        .collect();
    runner
}

fn shortage(word: &str) -> Shortage {
    match word {
        "no-room" => Shortage::NoRoom,
        "failed" => Shortage::Failed,
        _ => panic!("unknown shortage {word}"),
    }
}

fn parse(name: &str, text: &str) -> (Vec<String>, Vec<Step>) {
    let (mut settings, mut steps) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "" | "#" => {}
            "SET" => settings.extend(rest.split(' ').map(str::to_owned)),
            "C:" => {
                let mut octets = unescape(rest);
                octets.extend_from_slice(b"\r\n");
                steps.push(Step::Send(octets));
            }
            "C+" => steps.push(Step::Send(unescape(rest))),
            "S:" | "M:" | "X" => steps.push(Step::Expect(line.to_owned())),
            "O:" if rest == "accepted" => steps.push(Step::Outcome(accepted())),
            "O:" => steps.push(Step::Outcome(Outcome::Refused(shortage(rest)))),
            "T:" => steps.push(Step::Wait(rest.parse().unwrap())),
            "TLS" => steps.push(Step::Tls),
            "STOP" => steps.push(Step::Stop),
            _ => panic!("{name}: {line:?} is no step"),
        }
    }
    (settings, steps)
}

/// The octets of a sent line.
fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().unwrap();
        rest = &rest[at + 2..];
        match escape {
            'r' => octets.push(b'\r'),
            'n' => octets.push(b'\n'),
            't' => octets.push(b'\t'),
            '0' => octets.push(0),
            'x' => {
                octets.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            '{' => {
                let (repeat, after) = rest.split_once('}').unwrap();
                let (count, what) = repeat.split_once('*').unwrap();
                octets.extend(unescape(what).repeat(count.parse().unwrap()));
                rest = after;
            }
            other => octets.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}
