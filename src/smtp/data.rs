//! The end of DATA: finds `CRLF . CRLF`, removes stuffed dots, notices attempts at smuggling.
//!
//! Only CRLF ends a line and only `CRLF . CRLF` ends a message (RFC 5321 §2.3.8, §4.1.1.4): whoever
//! accepts less lets a peer hide a second message in the first one. A lone dot with a bare CR or LF
//! at its side is what such an attempt looks like; it is noted, and reading goes on to the true end,
//! since an early answer would itself put the two sides out of step. A bare CR or LF elsewhere is
//! data.

use memchr::memchr2;

/// Where the scanner stands between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// After CRLF, or at the beginning (the CRLF of the DATA line counts, RFC 5321 §4.1.1.4).
    Start,
    /// After a dot at the start; it is withheld.
    StartDot,
    /// After a dot and CR at the start; both are withheld.
    StartDotCr,
    /// After a CR that may be bare.
    Cr,
    /// After a bare LF.
    Lf,
    /// After a bare CR or LF and a dot.
    BareDot,
    /// Anywhere else.
    Inside,
}

/// Reads the octets behind `354`.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    state: State,
    bare: bool,
}

/// What a scan has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Octets read; all of them unless the end was found.
    pub(super) consumed: usize,
    /// Whether the end was found.
    pub(super) ended: bool,
}

impl Scanner {
    /// Before the first octet of a message.
    pub(super) const fn new() -> Self {
        Self {
            state: State::Start,
            bare: false,
        }
    }

    /// Whether a lone dot stood beside a bare CR or LF.
    pub(super) const fn saw_bare_line_end(&self) -> bool {
        self.bare
    }

    /// Reads `input`, gives the content to `sink` in order, and stops behind the end.
    pub(super) fn scan(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Scanned {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..).filter(|rest| !rest.is_empty()) {
            if self.state == State::Inside {
                let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                if let Some(run) = rest.get(..run).filter(|run| !run.is_empty()) {
                    sink(run);
                    consumed += run.len();
                    continue;
                }
            }
            let Some(&byte) = rest.first() else { break };
            consumed += 1;
            if self.step(byte, sink) {
                return Scanned {
                    consumed,
                    ended: true,
                };
            }
        }
        Scanned {
            consumed,
            ended: false,
        }
    }

    /// Takes one octet; `true` at the end of the message.
    fn step(&mut self, byte: u8, sink: &mut dyn FnMut(&[u8])) -> bool {
        match (self.state, byte) {
            (State::StartDotCr, b'\n') => return true,
            (State::Start, b'.') => {
                self.state = State::StartDot;
                return false;
            }
            (State::StartDot, b'\r') => {
                self.state = State::StartDotCr;
                return false;
            }
            (State::StartDotCr, _) => {
                self.bare = true;
                self.state = State::Cr;
                sink(b"\r");
            }
            (State::StartDot, b'\n') | (State::BareDot, b'\r' | b'\n') => self.bare = true,
            _ => {}
        }
        self.state = match (self.state, byte) {
            (State::Cr, b'\n') => State::Start,
            (State::Cr | State::Lf, b'.') => State::BareDot,
            (_, b'\r') => State::Cr,
            (_, b'\n') => State::Lf,
            _ => State::Inside,
        };
        sink(&[byte]);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans at every split into two and byte by byte; all must agree.
    fn scan(input: &[u8]) -> (Vec<u8>, Option<usize>, bool) {
        let run = |pieces: &[&[u8]]| {
            let mut scanner = Scanner::new();
            let mut content = Vec::new();
            let mut read = 0;
            for piece in pieces {
                let scanned = scanner.scan(piece, &mut |bytes| content.extend_from_slice(bytes));
                read += scanned.consumed;
                if scanned.ended {
                    return (content, Some(read), scanner.saw_bare_line_end());
                }
                assert_eq!(scanned.consumed, piece.len());
            }
            (content, None, scanner.saw_bare_line_end())
        };
        let whole = run(&[input]);
        for at in 0..=input.len() {
            assert_eq!(
                run(&[&input[..at], &input[at..]]),
                whole,
                "{input:?} split at {at}"
            );
        }
        assert_eq!(
            run(&input.chunks(1).collect::<Vec<_>>()),
            whole,
            "{input:?} by byte"
        );
        whole
    }

    #[test]
    fn unstuffs_and_ends() {
        // A-060, A-066, A-023: input, content, whether it ended with the last octet.
        let cases: &[(&[u8], &[u8])] = &[
            (b".\r\n", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.x\r\n..y\r\n.\r\n", b".\r\nx\r\n.y\r\n"),
            (b"...\r\n.\r\n", b"..\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b"a\r\n\r\n.\r\n", b"a\r\n\r\n"),
            // A-064, A-071: bare line ends away from a dot, NUL and 8-bit octets are data.
            (b"a\nb\r\n.\r\n", b"a\nb\r\n"),
            (b"a\rb\r\n.\r\n", b"a\rb\r\n"),
            (b"a\r\r\n.\r\n", b"a\r\r\n"),
            (b"a\n.b\r\n.\r\n", b"a\n.b\r\n"),
            (b"a\r..\r\n.\r\n", b"a\r..\r\n"),
            (b"a\n\n\r\n.\r\n", b"a\n\n\r\n"),
            (
                b"a\0\xff\r\n.\0\r\n\0.\r\n.\r\n",
                b"a\0\xff\r\n\0\r\n\0.\r\n",
            ),
        ];
        for (input, content) in cases {
            assert_eq!(
                scan(input),
                (content.to_vec(), Some(input.len()), false),
                "{input:?}"
            );
        }
    }

    #[test]
    fn notices_bare_line_ends_beside_a_lone_dot() {
        // A-061, A-062, A-063: none of them ends the data, each is remembered until the true end.
        for x in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\r",
            "\n.\r",
            "\r.\n",
            "\r\r\n.\r\r\n",
            "\n\n.\r\n",
            "\r\n.\rx",
            "\r\n.\r.\r\n",
            "\r\n.\r\r\r\n",
        ] {
            let input = format!("one{x}two\r\n.\r\n");
            let (_, end, bare) = scan(input.as_bytes());
            assert_eq!((end, bare), (Some(input.len()), true), "{x:?}");
        }
        for input in ["\n.\r\n.\r\n", ".\n.\r\n\r\n.\r\n", ".\r.\r\n.\r\n"] {
            let (_, end, bare) = scan(input.as_bytes());
            assert_eq!((end, bare), (Some(input.len()), true), "{input:?}");
        }
    }

    #[test]
    fn waits_for_the_end() {
        for input in [
            "", ".", ".\r", "a", "a\r\n", "a\r\n.", "a\r\n.\r", "a.\r\n", "..\r\n",
        ] {
            assert_eq!(scan(input.as_bytes()).1, None, "{input:?}");
        }
        let (content, end, _) = scan(b".\r\nQUIT\r\n");
        assert_eq!((content.as_slice(), end), (&b""[..], Some(3)));
    }
}
