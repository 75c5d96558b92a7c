//! Octets until they are command lines or content: bounded, and only CRLF ends a line.

/// What has arrived and is not yet understood.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Octets of `buffer` that are consumed.
    start: usize,
    /// Octets behind `start` in which no CRLF begins.
    searched: usize,
    /// The front of the current line is thrown away: it is too long.
    skipping: bool,
}

/// Memory that is kept from one input to the next.
const KEPT: usize = 16 * 1024;

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its CRLF.
    Whole(Vec<u8>),
    /// Longer than the limit; nothing is kept of it.
    TooLong,
}

impl Input {
    /// Adds octets behind those that wait.
    pub(super) fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// What waits.
    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Takes `count` octets away from the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.buffer.len());
        self.searched = 0;
        if self.start == self.buffer.len() {
            self.clear();
        }
    }

    /// Forgets everything, and does not keep the memory that a burst has taken.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        self.start = 0;
        self.searched = 0;
    }

    /// The next line, if it is complete. Of a line longer than `limit` octets (CRLF counted)
    /// nothing is kept, however long it goes on (RFC 5321 §4.5.3.1.9).
    pub(super) fn line(&mut self, limit: usize) -> Option<Line> {
        let rest = self.rest();
        let fresh = rest.get(self.searched..).unwrap_or_default();
        let Some(at) = memchr::memmem::find(fresh, b"\r\n").map(|at| at + self.searched) else {
            self.keep_looking(limit);
            return None;
        };
        let too_long = self.skipping || at.saturating_add(2) > limit;
        let line = rest.get(..at).filter(|_| !too_long).map(<[u8]>::to_vec);
        self.skipping = false;
        self.consume(at.saturating_add(2));
        Some(line.map_or(Line::TooLong, Line::Whole))
    }

    fn keep_looking(&mut self, limit: usize) {
        let waiting = self.rest().len();
        let half_end = self.rest().ends_with(b"\r");
        if self.skipping || waiting >= limit {
            self.skipping = true;
            self.consume(waiting.saturating_sub(usize::from(half_end)));
        } else {
            self.searched = waiting.saturating_sub(usize::from(half_end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut input = Input::default();
        let mut lines = Vec::new();
        for piece in pieces {
            input.push(piece);
            while let Some(line) = input.line(limit) {
                lines.push(line);
            }
            assert!(input.rest().len() <= limit);
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line_however_it_arrives() {
        // A-020, A-021, A-061
        let text =
            b"ab\r\n\r\nc\nd\re\r\r\n12345678\r\n123456789\r\n1234567890123\r\r\nend\r\nrest";
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        let expected = [
            whole(b"ab"),
            whole(b""),
            whole(b"c\nd\re\r"),
            whole(b"12345678"),
            Line::TooLong,
            Line::TooLong,
            whole(b"end"),
        ];
        assert_eq!(lines(&[text], 10), expected);
        for at in 0..text.len() {
            assert_eq!(
                lines(&[&text[..at], &text[at..]], 10),
                expected,
                "split at {at}"
            );
        }
        assert_eq!(lines(&text.chunks(1).collect::<Vec<_>>(), 10), expected);
    }
}
