//! `BDAT`: chunks of a message, counted instead of terminated (RFC 3030 §2).

/// A chunk that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    /// Octets that follow the command line.
    pub(super) octets: u64,
    /// Whether it is the message's last.
    pub(super) last: bool,
}

impl Announced {
    /// Reads the argument of BDAT. `None` means that nobody knows how much to skip.
    pub(super) fn parse(argument: &str) -> Option<Self> {
        let mut words = argument.split(' ').filter(|word| !word.is_empty());
        let octets = words
            .next()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        let octets = octets.parse().ok()?;
        let last = match words.next() {
            Some(word) if word.eq_ignore_ascii_case("LAST") => true,
            Some(_) => return None,
            None => false,
        };
        words.next().is_none().then_some(Self { octets, last })
    }
}

/// A chunk while it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Octets still to come.
    pub(super) remaining: u64,
    /// Octets that came.
    pub(super) taken: u64,
    /// Whether it is the message's last.
    pub(super) last: bool,
    /// Whether there is a transaction that it may belong to; its octets are skipped otherwise.
    pub(super) wanted: bool,
}

impl Chunk {
    /// An announced chunk of which nothing has arrived.
    pub(super) const fn new(announced: Announced, wanted: bool) -> Self {
        Self {
            remaining: announced.octets,
            taken: 0,
            last: announced.last,
            wanted,
        }
    }

    /// Takes what belongs to the chunk from the front of `input`.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(input.len());
        let octets = input.get(..length).unwrap_or_default();
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        self.remaining = self.remaining.saturating_sub(length);
        self.taken = self.taken.saturating_add(length);
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_announced() {
        //
        let max = u64::MAX.to_string();
        for (argument, expected) in [
            ("5", Some((5, false))),
            ("0 LAST", Some((0, true))),
            ("7  last", Some((7, true))),
            (max.as_str(), Some((u64::MAX, false))),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("0x5", None),
            ("5 LATE", None),
            ("1 2 LAST", None),
            ("1 LAST 2", None),
        ] {
            let announced = Announced::parse(argument).map(|a| (a.octets, a.last));
            assert_eq!(announced, expected, "{argument:?}");
        }
    }

    #[test]
    fn takes_no_more_than_announced() {
        let mut chunk = Chunk::new(
            Announced {
                octets: 5,
                last: false,
            },
            true,
        );
        assert_eq!(chunk.take(b"abc"), b"abc");
        assert_eq!(chunk.take(b"defg"), b"de");
        assert_eq!((chunk.remaining, chunk.taken), (0, 5));
        assert_eq!(chunk.take(b"fg"), b"");
    }
}
