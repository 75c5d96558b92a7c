//! The octets of a message while they arrive: kept within limits, or counted and thrown away.

use memchr::memchr;

use super::gate::Gate;

/// Memory is asked for in steps of at least this many octets.
const STEP: u64 = 16 * 1024;

/// Why the octets of a message are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// Larger than the mailbox takes.
    TooBig,
    /// No memory now.
    NoRoom,
}

/// A message's octets. What is held is what was reserved at the gate.
#[derive(Debug, Default)]
pub(super) struct Body {
    raw: Vec<u8>,
    limit: u64,
    reserved: u64,
    seen: u64,
    excess: Option<Excess>,
}

impl Body {
    /// Nothing yet, at most `limit` octets.
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            raw: Vec::new(),
            limit,
            reserved: 0,
            seen: 0,
            excess: None,
        }
    }

    /// Adds octets. What is reserved depends on the length alone, not on how the octets came.
    pub(super) fn push(&mut self, octets: &[u8], gate: &dyn Gate) {
        self.seen = self
            .seen
            .saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        if self.seen > self.limit {
            self.discard(Excess::TooBig, gate);
        } else if self.excess.is_none() {
            if self.grow(gate) {
                self.raw.extend_from_slice(octets);
            } else {
                self.discard(Excess::NoRoom, gate);
            }
        }
    }

    /// Why the message cannot be accepted, if so.
    pub(super) const fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Whether more than `discard` octets beyond the limit came.
    pub(super) const fn exceeds_by(&self, discard: u64) -> bool {
        self.seen > self.limit.saturating_add(discard)
    }

    /// Whether the header at the top has at least `limit` Received fields (RFC 5321 §6.3). Those
    /// of embedded messages do not count.
    pub(super) fn loops(&self, limit: usize) -> bool {
        let mut rest = self.raw.as_slice();
        let mut count = 0;
        while count < limit {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let Some((line, after)) = rest.split_at_checked(end) else {
                break;
            };
            if line.trim_ascii().is_empty() {
                break;
            }
            count += usize::from(is_received(line));
            rest = after;
        }
        count >= limit
    }

    /// Hands the octets over, with what is reserved for them.
    pub(super) fn into_parts(self) -> (Vec<u8>, u64) {
        (self.raw, self.reserved)
    }

    /// Throws the octets away.
    pub(super) fn release(&mut self, gate: &dyn Gate) {
        self.raw = Vec::new();
        if self.reserved > 0 {
            gate.release(self.reserved);
        }
        self.reserved = 0;
    }

    fn discard(&mut self, excess: Excess, gate: &dyn Gate) {
        self.excess = Some(excess);
        self.release(gate);
    }

    /// Makes room for `seen` octets.
    fn grow(&mut self, gate: &dyn Gate) -> bool {
        while self.reserved < self.seen {
            let step = STEP
                .max(self.reserved / 2)
                .min(self.limit.saturating_sub(self.reserved));
            if step == 0 || !gate.reserve(step) {
                return false;
            }
            self.reserved = self.reserved.saturating_add(step);
        }
        let capacity = usize::try_from(self.reserved).unwrap_or(usize::MAX);
        self.raw
            .try_reserve_exact(capacity.saturating_sub(self.raw.len()))
            .is_ok()
    }
}

fn is_received(line: &[u8]) -> bool {
    line.split_at_checked("received".len())
        .is_some_and(|(name, rest)| {
            name.eq_ignore_ascii_case(b"received") && rest.trim_ascii_start().starts_with(b":")
        })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::smtp::gate::Shortage;
    use crate::smtp::path::Path;
    use crate::smtp::recipients::{Accepted, Refusal};

    struct Room {
        limit: u64,
        used: AtomicU64,
    }

    impl Room {
        const fn of(limit: u64) -> Self {
            Self {
                limit,
                used: AtomicU64::new(0),
            }
        }

        fn used(&self) -> u64 {
            self.used.load(Ordering::SeqCst)
        }
    }

    impl Gate for Room {
        fn recipient(&self, _path: &Path) -> Result<Accepted, Refusal> {
            Err(Refusal::UnknownMailbox)
        }

        fn admits(&self) -> Result<(), Shortage> {
            Ok(())
        }

        fn reserve(&self, bytes: u64) -> bool {
            let fits = self.used() + bytes <= self.limit;
            if fits {
                self.used.fetch_add(bytes, Ordering::SeqCst);
            }
            fits
        }

        fn release(&self, bytes: u64) {
            self.used.fetch_sub(bytes, Ordering::SeqCst);
        }
    }

    #[test]
    fn reserves_as_it_grows_and_not_before() {
        let room = Room::of(u64::MAX);
        let mut body = Body::new(1_000_000);
        assert_eq!(room.used(), 0);
        body.push(b"x", &room);
        assert_eq!(room.used(), STEP);
        for _ in 0..999 {
            body.push(&[b'x'; 1000], &room);
        }
        assert!(
            room.used() >= 999_001 && room.used() <= 1_000_000,
            "{}",
            room.used()
        );
        assert!(u64::try_from(body.raw.capacity()).unwrap() <= room.used() + STEP);
        body.release(&room);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn gives_everything_back_when_it_is_refused() {
        let room = Room::of(STEP);
        let mut body = Body::new(100_000);
        body.push(&[0; 10_000], &room);
        assert_eq!(body.excess(), None);
        body.push(&[0; 10_000], &room);
        assert_eq!((body.excess(), room.used()), (Some(Excess::NoRoom), 0));
        body.push(&[0; 1000], &room);
        assert_eq!(body.excess(), Some(Excess::NoRoom));
        // What can never be accepted is said so, also when there was no room before.
        body.push(&vec![0; 80_000], &room);
        assert_eq!((body.excess(), room.used()), (Some(Excess::TooBig), 0));
        assert!(!body.exceeds_by(1000));
        assert!(body.exceeds_by(999));
    }

    #[test]
    fn counts_received_fields_of_the_top_header_alone() {
        //
        let room = Room::of(u64::MAX);
        for (top, inside, loops) in [
            (99, 200, false),
            (100, 0, true),
            (101, 0, true),
            (5, 200, false),
        ] {
            for end in ["\r\n", "\n"] {
                let field = format!("rEceived : from a by b{end}\tfolded Received: no{end}");
                let text = format!(
                    "{}Subject: x{end}{end}{}",
                    field.repeat(top),
                    field.repeat(inside)
                );
                let mut body = Body::new(1_000_000);
                body.push(text.as_bytes(), &room);
                assert_eq!(body.loops(100), loops, "{top} {inside}");
            }
        }
        assert!(!Body::new(10).loops(100));
    }
}
