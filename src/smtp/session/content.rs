//! The session while a message arrives: by DATA or in chunks, to its end and its verdict.

use super::{Message, Output, Phase, Session};
use crate::model::clock::Tick;
use crate::smtp::body::Excess;
use crate::smtp::gate::Gate;
use crate::smtp::reply::Reply;

impl Session {
    /// Reads content behind 354; `false` if all input is read.
    pub(super) fn read_data(&mut self, now: Tick, gate: &dyn Gate) -> bool {
        let (Phase::Data(scanner), Some(transaction)) = (&mut self.phase, &mut self.transaction)
        else {
            return false;
        };
        let limits = &self.settings.limits;
        let body = transaction.content(limits);
        let scanned = scanner.scan(self.input.rest(), &mut |octets| body.push(octets, gate));
        let bare = scanner.saw_bare_line_end();
        let endless = body.exceeds_by(limits.discard);
        self.count(scanned.consumed);
        if endless {
            self.end(Reply::MessageTooBig, gate);
        } else if scanned.ended {
            self.phase = Phase::Command;
            self.times.command = now;
            self.finish(bare, gate);
        }
        scanned.ended
    }

    /// Reads a chunk; `false` if all input is read.
    pub(super) fn read_chunk(&mut self, now: Tick, gate: &dyn Gate) -> bool {
        let Phase::Chunk(chunk) = &mut self.phase else {
            return false;
        };
        let limits = &self.settings.limits;
        let octets = chunk.take(self.input.rest());
        let taken = octets.len();
        let chunk = *chunk;
        let mut body = self
            .transaction
            .as_mut()
            .filter(|_| chunk.wanted)
            .map(|t| t.content(limits));
        let endless = if let Some(body) = &mut body {
            body.push(octets, gate);
            body.exceeds_by(limits.discard)
        } else {
            chunk.taken > limits.discard
        };
        let excess = body.as_ref().and_then(|body| body.excess());
        self.count(taken);
        if endless {
            self.end(Reply::MessageTooBig, gate);
            return true;
        }
        if chunk.remaining > 0 {
            return false;
        }
        self.phase = if self.settings.refuse {
            Phase::Refused
        } else {
            Phase::Command
        };
        self.times.command = now;
        match (chunk.wanted, chunk.last, excess) {
            (false, ..) => self.answer(Reply::WrongOrder, gate),
            (true, true, _) => self.finish(false, gate),
            (true, false, None) => self.write(Reply::ChunkTaken.line()),
            (true, false, Some(excess)) => self.write(Reply::from(excess).line()),
        }
        true
    }

    /// The message is complete: hands it over, or refuses it. Either way the transaction ends
    /// (RFC 5321 §4.1.1.4).
    fn finish(&mut self, bare_line_end: bool, gate: &dyn Gate) {
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        let protocol = self.protocol(transaction.utf8);
        let mut body = transaction.content.unwrap_or_default();
        let refusal = match body.excess() {
            Some(excess) => Some(excess.into()),
            None if bare_line_end => Some(Reply::BareLineEnd),
            None => body
                .loops(self.settings.limits.received)
                .then_some(Reply::Loop),
        };
        if let Some(refusal) = refusal {
            body.release(gate);
            return self.write(refusal.line());
        }
        let (raw, reserved) = body.into_parts();
        let begun = transaction.begun.unwrap_or(self.times.content);
        self.phase = Phase::Waiting { reserved };
        self.outputs.push_back(Output::Message(Box::new(Message {
            hello: self
                .hello
                .as_ref()
                .map_or_else(String::new, |hello| hello.name.clone()),
            protocol,
            mail_from: transaction.mail_from,
            recipients: transaction.recipients,
            raw,
            begun,
        })));
    }

    /// RFC 5321 §4.4, RFC 3848, RFC 6531 §4.3.
    fn protocol(&self, utf8: bool) -> &'static str {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        match (utf8, self.secured, extended) {
            (true, true, _) => "UTF8SMTPS",
            (true, false, _) => "UTF8SMTP",
            (false, true, true) => "ESMTPS",
            (false, false, true) => "ESMTP",
            (false, _, false) => "SMTP",
        }
    }

    fn count(&mut self, octets: usize) {
        self.input.consume(octets);
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.times.octets = self.times.octets.saturating_add(octets);
    }
}

impl From<Excess> for Reply {
    fn from(excess: Excess) -> Self {
        match excess {
            Excess::TooBig => Self::MessageTooBig,
            Excess::NoRoom => Self::NoRoom,
        }
    }
}
