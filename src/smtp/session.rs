//! The SMTP session as a value (RFC 5321): no socket, no clock, no store.
//!
//! In: octets in any chunking, TLS established or failed, the outcome of a message, a deadline that
//! passed, the order to stop; each with the time. Out, by [`Session::poll`] until it is empty: write
//! these octets, start TLS, here is a message whose outcome I wait for, close. Drain all outputs
//! before the next input.
//!
//! Invariants, tested as properties:
//! - the same octets in any chunking give the same outputs (only around STARTTLS does it matter
//!   what came together with it);
//! - memory is bounded by [`Limits`] and by what the gate lets be reserved; replies that wait to be
//!   written by a small multiple of one input;
//! - never two replies to one command; after a close nothing is written;
//! - nothing from before TLS survives TLS;
//! - a message is handed over at most once, and never after a reply that refuses it.

mod commands;
mod content;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::bdat::Chunk;
use super::data::Scanner;
use super::gate::{Gate, Shortage};
use super::input::Input;
use super::limits::Limits;
use super::recipients::Accepted;
use super::reply::{self, Reply};
use super::transaction::Transaction;
use crate::model::clock::Tick;
use crate::model::receipt::ReceiptId;

/// The only line that a connection gets for which there is no session.
pub const TOO_MANY_SESSIONS: &str = Reply::TooManySessions.line();

/// What an operator has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in greeting and hello, a domain name.
    pub hostname: String,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// Whether every session is refused with 554 (RFC 5321 §3.1), for instance on a host that was
    /// taken out of service.
    pub refuse: bool,
    /// The limits.
    pub limits: Limits,
}

/// What is to be done outside, in this order.
#[derive(Debug)]
pub enum Output {
    /// Write these octets.
    Write(Vec<u8>),
    /// Perform a TLS handshake; then [`Session::handle_tls`] or [`Session::handle_tls_failed`].
    StartTls,
    /// A message; answer with [`Session::handle_outcome`].
    Message(Box<Message>),
    /// Close the connection. Nothing follows.
    Close,
}

/// A message that was received whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The EHLO or HELO argument.
    pub hello: String,
    /// `SMTP`, `ESMTP`, `ESMTPS`, `UTF8SMTP`, `UTF8SMTPS` (RFC 3848, RFC 6531 §4.3).
    pub protocol: &'static str,
    /// The reverse-path, empty for `<>`.
    pub mail_from: String,
    /// The forward-paths as received, each mailbox and token once. At least one.
    pub recipients: Vec<(String, Accepted)>,
    /// Exactly the octets that were received (after dot-unstuffing).
    pub raw: Vec<u8>,
    /// When they began to be: DATA, or the first BDAT.
    pub begun: Tick,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Accepted(ReceiptId),
    /// It is not stored; the peer is to try again.
    Refused(Shortage),
}

/// One connection's dialogue.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    phase: Phase,
    hello: Option<Hello>,
    secured: bool,
    transaction: Option<Transaction>,
    errors: u32,
    /// Commands that moved no mail since the last message.
    junk: u32,
    stopping: bool,
    input: Input,
    outputs: VecDeque<Output>,
    times: Times,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has arrived yet.
    Fresh,
    /// Between commands.
    Command,
    /// Refused with 554: only QUIT works.
    Refused,
    /// Behind 354.
    Data(Scanner),
    /// Behind a BDAT line.
    Chunk(Chunk),
    /// A message was handed over, with so many octets reserved.
    Waiting { reserved: u64 },
    /// TLS is being established.
    Handshake,
    /// Nothing more is read or written.
    Closed,
}

/// Who the client says it is.
#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

/// What deadlines are counted from.
#[derive(Debug)]
struct Times {
    /// The last command that was answered.
    command: Tick,
    /// The last message, or the beginning: a peer that only talks does not keep its place.
    message: Tick,
    /// The last input.
    input: Tick,
    /// The beginning of the content that is being read.
    content: Tick,
    /// Octets of it that came.
    octets: u64,
}

impl Session {
    /// A session whose greeting waits to be written.
    pub fn new(settings: Arc<Settings>, now: Tick) -> Self {
        let mut session = Self {
            phase: if settings.refuse {
                Phase::Refused
            } else {
                Phase::Fresh
            },
            hello: None,
            secured: false,
            transaction: None,
            errors: 0,
            junk: 0,
            stopping: false,
            input: Input::default(),
            outputs: VecDeque::new(),
            times: Times {
                command: now,
                message: now,
                input: now,
                content: now,
                octets: 0,
            },
            settings,
        };
        if session.settings.refuse {
            session.write(Reply::DoorClosed.line());
        } else {
            session.write(&reply::greeting(&session.settings.hostname));
        }
        session
    }

    /// The next thing to do, if there is one.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Session::handle_deadline`] must be called, unless something else comes first.
    pub fn deadline(&self) -> Option<Tick> {
        let limits = &self.settings.limits;
        let own = match &self.phase {
            Phase::Fresh | Phase::Command | Phase::Refused => {
                let command = self.times.command.after(limits.idle);
                let silent = self.times.message.after(limits.transaction);
                // A transaction has its own end, below.
                if self.transaction.is_some() {
                    command
                } else {
                    command.min(silent)
                }
            }
            Phase::Data(_) | Phase::Chunk(_) => {
                let earned = self.times.octets.saturating_mul(1000) / limits.data_rate.max(1);
                let slow = limits
                    .data_idle
                    .saturating_add(Duration::from_millis(earned));
                let idle = self.times.input.after(limits.data_idle);
                idle.min(self.times.content.after(slow))
            }
            Phase::Waiting { .. } | Phase::Handshake | Phase::Closed => return None,
        };
        let whole = self
            .transaction
            .as_ref()
            .map(|begun| begun.since.after(limits.transaction));
        Some(whole.map_or(own, |whole| whole.min(own)))
    }

    /// Whether octets are wanted. While they are not, reading stops and the peer has to wait.
    pub const fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Fresh | Phase::Command | Phase::Refused | Phase::Data(_) | Phase::Chunk(_) => {
                true
            }
            Phase::Waiting { .. } | Phase::Handshake | Phase::Closed => false,
        }
    }

    /// Takes octets that arrived. A caller that ignores [`Session::wants_input`] loses the
    /// connection once `limits.pipelined` octets wait.
    pub fn handle_bytes(&mut self, octets: &[u8], now: Tick, gate: &dyn Gate) {
        match self.phase {
            Phase::Closed => return,
            // Plaintext that should have been a handshake.
            Phase::Handshake => return self.close(gate),
            Phase::Waiting { .. } => {
                let waiting = self.input.rest().len().saturating_add(octets.len());
                if waiting > self.settings.limits.pipelined {
                    return self.close(gate);
                }
            }
            Phase::Fresh | Phase::Command | Phase::Refused | Phase::Data(_) | Phase::Chunk(_) => {}
        }
        if !octets.is_empty() {
            self.times.input = now;
        }
        self.input.push(octets);
        self.run(now, gate);
    }

    /// TLS is established: all that was learnt before is forgotten (RFC 3207 §4.2).
    pub fn handle_tls(&mut self, now: Tick, gate: &dyn Gate) {
        if matches!(self.phase, Phase::Handshake) {
            self.input.clear();
            self.hello = None;
            self.secured = true;
            self.phase = Phase::Command;
            self.times.command = now;
            self.run(now, gate);
        }
    }

    /// The handshake failed: this connection ends (RFC 3207 §4.1).
    pub fn handle_tls_failed(&mut self, gate: &dyn Gate) {
        self.close(gate);
    }

    /// What became of the message that was handed over; then goes on with what was sent ahead.
    pub fn handle_outcome(&mut self, outcome: Outcome, now: Tick, gate: &dyn Gate) {
        let Phase::Waiting { reserved } = self.phase else {
            return;
        };
        gate.release(reserved);
        self.phase = Phase::Command;
        self.times.command = now;
        self.times.message = now;
        self.junk = 0;
        match outcome {
            Outcome::Accepted(id) => self.write(&reply::accepted(&id)),
            Outcome::Refused(shortage) => self.write(Reply::from(shortage).line()),
        }
        self.run(now, gate);
    }

    /// Ends a session whose deadline has passed (RFC 5321 §4.5.3.2).
    pub fn handle_deadline(&mut self, now: Tick, gate: &dyn Gate) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.end(Reply::TimedOut, gate);
        }
    }

    /// The server stops: the session ends between commands, a message that is arriving is finished
    /// first (RFC 5321 §3.8).
    pub fn handle_stop(&mut self, now: Tick, gate: &dyn Gate) {
        self.stopping = true;
        self.run(now, gate);
    }

    /// Reads until input or permission is missing.
    fn run(&mut self, now: Tick, gate: &dyn Gate) {
        loop {
            let progress = match self.phase {
                Phase::Fresh | Phase::Command | Phase::Refused if self.must_stop() => {
                    self.end(Reply::Stopping, gate);
                    false
                }
                Phase::Fresh | Phase::Command | Phase::Refused => self.read_command(now, gate),
                Phase::Data(_) => self.read_data(now, gate),
                Phase::Chunk(_) => self.read_chunk(now, gate),
                Phase::Waiting { .. } | Phase::Handshake | Phase::Closed => false,
            };
            if !progress {
                break;
            }
        }
    }

    /// Whether the stop need not wait for the rest of a chunked message.
    fn must_stop(&self) -> bool {
        let begun = self
            .transaction
            .as_ref()
            .is_some_and(|begun| begun.content.is_some());
        self.stopping && !begun
    }

    fn write(&mut self, text: &str) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if let Some(Output::Write(octets)) = self.outputs.back_mut() {
            octets.extend_from_slice(text.as_bytes());
        } else {
            self.outputs
                .push_back(Output::Write(text.as_bytes().to_vec()));
        }
    }

    /// Answers a command, or ends the session with its one error too many.
    fn answer(&mut self, reply: Reply, gate: &dyn Gate) {
        if !reply.is_error() || self.forgives(gate) {
            self.write(reply.line());
        }
    }

    /// Counts an error; `false` if it was one too many, and the session has ended.
    fn forgives(&mut self, gate: &dyn Gate) -> bool {
        self.errors = self.errors.saturating_add(1);
        let forgives = self.errors <= self.settings.limits.errors;
        if !forgives {
            self.end(Reply::TooManyErrors, gate);
        }
        forgives
    }

    /// Counts a command that moves no mail; `false` if it was one too many.
    fn bears_junk(&mut self, gate: &dyn Gate) -> bool {
        self.junk = self.junk.saturating_add(1);
        self.junk <= self.settings.limits.junk_commands || self.forgives(gate)
    }

    /// A last reply.
    fn end(&mut self, reply: Reply, gate: &dyn Gate) {
        self.write(reply.line());
        self.close(gate);
    }

    fn close(&mut self, gate: &dyn Gate) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if let Phase::Waiting { reserved } = self.phase {
            gate.release(reserved);
        }
        self.reset(gate);
        self.input.clear();
        self.phase = Phase::Closed;
        self.outputs.push_back(Output::Close);
    }

    /// Forgets the transaction (RFC 5321 §4.1.1.5).
    fn reset(&mut self, gate: &dyn Gate) {
        if let Some(mut content) = self.transaction.take().and_then(|begun| begun.content) {
            content.release(gate);
        }
    }
}
