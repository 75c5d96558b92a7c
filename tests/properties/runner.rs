//! Runs a session by hand: octets and time in, a line out for everything that comes out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use desist::model::clock::{Tick, Timestamp};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::ReceiptId;
use desist::smtp::gate::{Gate, Shortage};
use desist::smtp::limits::Limits;
use desist::smtp::path::Path;
use desist::smtp::recipients::{Accepted, Refusal};
use desist::smtp::session::{Message, Outcome, Output, Session, Settings};

/// Accepts some mailboxes of `fb.example.com`, and counts what is reserved.
#[derive(Debug)]
pub(crate) struct TestGate {
    pub(crate) room: u64,
    pub(crate) used: AtomicU64,
    pub(crate) most: AtomicU64,
    pub(crate) admits: Result<(), Shortage>,
}

impl Default for TestGate {
    fn default() -> Self {
        Self {
            room: u64::MAX,
            used: AtomicU64::new(0),
            most: AtomicU64::new(0),
            admits: Ok(()),
        }
    }
}

impl TestGate {
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }
}

impl Gate for TestGate {
    fn recipient(&self, path: &Path) -> Result<Accepted, Refusal> {
        let local = path.local().to_ascii_lowercase();
        let domain = path.domain().to_lowercase();
        let known = ["fb.example.com", "b\u{fc}cher.example"].contains(&domain.as_str());
        if !known && (!domain.is_empty() || local != "postmaster") {
            return Err(Refusal::ForeignDomain);
        }
        let role = match local.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "fbl" => Role::Complaint,
            "cfbl" => Role::Cfbl,
            "u" => Role::Unsubscribe,
            "b" => Role::Bounce,
            "dmarc" => Role::Dmarc,
            "postmaster" => Role::Human,
            "later" => return Err(Refusal::KeysNotCurrent),
            _ => return Err(Refusal::UnknownMailbox),
        };
        let mailbox = Mailbox {
            address: format!("{local}@{domain}"),
            role,
            tenant: None,
            stream: None,
        };
        Ok(Accepted {
            mailbox,
            token: None,
        })
    }

    fn admits(&self) -> Result<(), Shortage> {
        self.admits
    }

    fn reserve(&self, bytes: u64) -> bool {
        let used = self.used() + bytes;
        if used > self.room {
            return false;
        }
        self.used.store(used, Ordering::SeqCst);
        self.most.fetch_max(used, Ordering::SeqCst);
        true
    }

    fn release(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "released {bytes} of {before}");
    }
}

/// What a dialogue is held under.
pub(crate) fn settings() -> Settings {
    Settings {
        hostname: "mx.example.com".to_owned(),
        starttls: true,
        refuse: false,
        limits: Limits::default(),
    }
}

/// A session, its gate and what came out of it.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) session: Session,
    pub(crate) gate: TestGate,
    pub(crate) now: Tick,
    pub(crate) outcomes: VecDeque<Outcome>,
    pub(crate) messages: Vec<Message>,
    /// Everything that came out, a line each.
    pub(crate) transcript: Vec<String>,
    pub(crate) closed: bool,
    written: Vec<u8>,
    pub(crate) wants_tls: bool,
}

impl Runner {
    pub(crate) fn new(settings: Settings, gate: TestGate) -> Self {
        let now = Tick::from_millis(1_000_000);
        let mut runner = Self {
            session: Session::new(Arc::new(settings), now),
            gate,
            now,
            outcomes: VecDeque::new(),
            messages: Vec::new(),
            transcript: Vec::new(),
            closed: false,
            written: Vec::new(),
            wants_tls: false,
        };
        runner.drain();
        runner
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.session.handle_bytes(octets, self.now, &self.gate);
        self.drain();
    }

    pub(crate) fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.session.handle_deadline(self.now, &self.gate);
        self.drain();
    }

    pub(crate) fn stop(&mut self) {
        self.session.handle_stop(self.now, &self.gate);
        self.drain();
    }

    pub(crate) fn establish_tls(&mut self) {
        assert!(std::mem::take(&mut self.wants_tls), "TLS was not asked for");
        self.session.handle_tls(self.now, &self.gate);
        self.drain();
    }

    /// The final replies so far, without the first and the hello's lines.
    pub(crate) fn replies(&self) -> Vec<&str> {
        self.transcript
            .iter()
            .filter_map(|line| line.strip_prefix("S: "))
            .collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            assert!(!self.closed, "after the close came {output:?}");
            match output {
                Output::Write(octets) => self.written.extend_from_slice(&octets),
                Output::StartTls => {
                    self.read_lines();
                    self.wants_tls = true;
                    self.transcript.push("TLS".to_owned());
                }
                Output::Message(message) => {
                    self.read_lines();
                    self.transcript.push(format!("M: {}", describe(&message)));
                    self.messages.push(*message);
                    assert!(
                        !self.session.wants_input(),
                        "nothing is read before the outcome"
                    );
                    let outcome = self.outcomes.pop_front().unwrap_or_else(accepted);
                    self.session.handle_outcome(outcome, self.now, &self.gate);
                }
                Output::Close => {
                    self.read_lines();
                    self.closed = true;
                    self.transcript.push("X".to_owned());
                }
            }
        }
        self.read_lines();
    }

    /// Checks the form of every reply line.
    fn read_lines(&mut self) {
        while let Some(end) = self.written.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.written.drain(..end + 2).collect();
            let line = std::str::from_utf8(&line)
                .expect("replies are ASCII")
                .trim_end();
            check_reply(line);
            self.transcript.push(format!("S: {line}"));
        }
        assert!(self.written.is_empty(), "replies are whole lines");
    }
}

///
fn check_reply(line: &str) {
    assert!(line.len() <= 510 && line.is_ascii(), "{line:?}");
    assert!(!line.to_ascii_lowercase().contains("desist"), "{line:?}");
    let (code, text) = line.split_at(3);
    assert!(code.starts_with(['2', '3', '4', '5']), "{line:?}");
    let status: Vec<&str> = text[1..].split(' ').next().unwrap().split('.').collect();
    let enhanced = status.len() == 3
        && status[0] == &code[..1]
        && status
            .iter()
            .all(|part| part.parse::<u16>().is_ok_and(|n| n.to_string() == *part));
    let greeting = code == "220" && text.ends_with(" ESMTP");
    let hello = code == "250" && (text.starts_with('-') || !text.contains(". ") && !enhanced);
    assert!(enhanced || greeting || hello || code == "354", "{line:?}");
}

fn describe(message: &Message) -> String {
    let recipients: Vec<_> = message
        .recipients
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    format!(
        "{} <{}> {} \"{}\"",
        message.protocol,
        message.mail_from,
        recipients.join(","),
        message.raw.escape_ascii()
    )
}

/// The id under which every message of a dialogue is accepted.
pub(crate) fn accepted() -> Outcome {
    Outcome::Accepted(ReceiptId::from_parts(Timestamp::from_millis(0), &[0; 10]))
}

/// How the octets of a dialogue are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// All that is sent between two events in one piece.
    Whole,
    /// Single octets.
    Bytes,
    /// Pieces of random length, by this seed.
    Random(u64),
}

/// Sends octets cut into pieces.
pub(crate) fn send_cut(runner: &mut Runner, octets: &[u8], cut: Cut) {
    match cut {
        Cut::Whole => runner.send(octets),
        Cut::Bytes => octets.chunks(1).for_each(|octet| runner.send(octet)),
        Cut::Random(seed) => {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut rest = octets;
            while !rest.is_empty() {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let length = usize::try_from(state % 40).unwrap().clamp(1, rest.len());
                let (piece, after) = rest.split_at(length);
                runner.send(piece);
                rest = after;
            }
        }
    }
}
