//! Header fields as they stand in the bytes (RFC 5322 §2.2): unfolded, found by name in any case,
//! safe for text that is no UTF-8, and repaired where gateways damaged the beginning of a message.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// Fields read from one header; the rest is not looked at.
pub const MAX_FIELDS: usize = 1_000;

/// Octets read from one header; the rest is not looked at.
pub const MAX_BYTES: usize = 256 * 1024;

/// Fields that tell a mail's header from other text, lower-case.
const STANDARD: [&str; 12] = [
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "received",
    "return-path",
    "mime-version",
    "content-type",
    "reply-to",
    "sender",
    "dkim-signature",
];

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a str,
    raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// The name, lower-case.
    pub const fn name(self) -> &'a str {
        self.name
    }

    /// The bytes behind the colon, exactly as received, folding included.
    pub const fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// The value on one line: line breaks removed (RFC 5322 §2.2.3), trimmed, wrong UTF-8 replaced.
    pub fn value(self) -> String {
        let raw = self.raw.trim_ascii();
        let line: Cow<'_, [u8]> = if memchr::memchr2(b'\r', b'\n', raw).is_none() {
            Cow::Borrowed(raw)
        } else {
            let kept = raw.iter().copied();
            kept.filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
        };
        String::from_utf8_lossy(&line).trim().to_owned()
    }
}

/// The fields of one header in their order.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// The header as received, but for the fields' names, which are in lower case.
    text: Vec<u8>,
    places: Vec<Place>,
    truncated: bool,
}

/// Where a field stands in the text of its header.
#[derive(Debug, Clone)]
struct Place {
    name: Range<usize>,
    raw: Range<usize>,
}

impl Header {
    /// Reads the header at the beginning of `bytes` and says where the body begins. Lines end in
    /// LF, with any number of CR before it. What is no field is passed over; the header ends at the
    /// first empty line.
    pub fn scan(bytes: &[u8]) -> (Self, usize) {
        let mut places: Vec<Place> = Vec::new();
        let mut truncated = false;
        // Whether a folded line goes on with a field.
        let mut open = false;
        let (mut at, mut end) = (0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let line = rest.get(..length).unwrap_or_default();
            let start = at;
            at += length;
            if is_blank(line) {
                break;
            }
            if places.len() >= MAX_FIELDS + usize::from(open) || at > MAX_BYTES {
                truncated = true;
                if open {
                    places.pop();
                }
                at += end_of_header(bytes.get(at..).unwrap_or_default());
                break;
            }
            if matches!(line.first(), Some(b' ' | b'\t')) {
                if open && let Some(place) = places.last_mut() {
                    place.raw.end = at;
                    end = at;
                }
                continue;
            }
            open = false;
            if let Some((name, colon)) = name_of(line) {
                places.push(Place {
                    name: start..start + name,
                    raw: start + colon + 1..at,
                });
                open = true;
                end = at;
            }
        }
        let mut text = bytes.get(..end).unwrap_or_default().to_vec();
        for place in &places {
            if let Some(name) = text.get_mut(place.name.clone()) {
                name.make_ascii_lowercase();
            }
        }
        let header = Self {
            text,
            places,
            truncated,
        };
        (header, at)
    }

    /// The fields that another notation than that of mail gives, in order; at most [`MAX_FIELDS`].
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut header = Self::default();
        for (name, value) in pairs.into_iter().take(MAX_FIELDS) {
            let start = header.text.len();
            let name = name.trim().to_ascii_lowercase();
            header.text.extend_from_slice(name.as_bytes());
            let middle = header.text.len();
            header.text.extend_from_slice(value.as_bytes());
            header.places.push(Place {
                name: start..middle,
                raw: middle..header.text.len(),
            });
        }
        header
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.places.iter().map(|place| self.field(place))
    }

    /// All fields in order, each with the number of the line that it begins on, from 1.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, Field<'_>)> {
        let (mut at, mut line) = (0, 1);
        self.places.iter().map(move |place| {
            let before = self.text.get(at..place.name.start).unwrap_or_default();
            line += memchr::memchr_iter(b'\n', before).count();
            at = place.name.start;
            (line, self.field(place))
        })
    }

    fn field(&self, place: &Place) -> Field<'_> {
        let name = self.text.get(place.name.clone()).unwrap_or_default();
        Field {
            name: std::str::from_utf8(name).unwrap_or_default(),
            raw: self.text.get(place.raw.clone()).unwrap_or_default(),
        }
    }

    /// How many fields there are.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no field.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The fields that describe a part's content; a part's other fields mean nothing
    /// (RFC 2046 §5.1).
    #[must_use]
    pub fn describing_content(mut self) -> Self {
        let text = &self.text;
        self.places.retain(|place| {
            text.get(place.name.clone())
                .is_some_and(|name| name.starts_with(b"content-"))
        });
        self
    }

    /// Whether the header was longer than what is read.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The fields of that name, which is given in lower case, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Field<'a>> {
        self.places
            .iter()
            .filter(move |place| self.text.get(place.name.clone()) == Some(name.as_bytes()))
            .map(|place| self.field(place))
    }

    /// The value of the first field of that name, if it is not empty.
    pub fn first(&self, name: &str) -> Option<String> {
        self.all(name)
            .map(Field::value)
            .find(|value| !value.is_empty())
    }

    /// Whether there is a field of that name.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// How many fields of that name there are.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }
}

/// Brings the beginning of a message into the form that every reader expects: without a byte order
/// mark, blank lines and an mbox `From ` line in front, and with LF where lines end in CR alone.
pub fn repair(raw: &[u8]) -> Cow<'_, [u8]> {
    repaired(raw, true)
}

/// The same for a mail that came back, whose header may have been left out: there a blank line in
/// front ends the header, and what follows is the body.
pub fn repair_returned(raw: &[u8]) -> Cow<'_, [u8]> {
    repaired(raw, false)
}

fn repaired(raw: &[u8], blank_lines: bool) -> Cow<'_, [u8]> {
    let raw = skip_preamble(raw, blank_lines);
    match by_lf(raw) {
        Some(lines) => Cow::Owned(skip_preamble(&lines, blank_lines).to_vec()),
        None => Cow::Borrowed(raw),
    }
}

/// The same with LF where lines end in CR alone, if more of them end so than in LF: a gateway mixed
/// them, or the program that wrote the mail knows no other. A CR among proper lines is no end: it
/// may be an attempt to hide a field. Any number of CR before a LF are one end.
fn by_lf(raw: &[u8]) -> Option<Vec<u8>> {
    // Nearly every mail ends its lines properly: that is seen without a copy.
    let ends_a_line = |at: usize| matches!(raw.get(at + 1), Some(b'\n'));
    if memchr::memchr_iter(b'\r', raw).all(ends_a_line) {
        return None;
    }
    let mut lines = raw.to_vec();
    let (mut alone, mut proper, mut before_lf) = (0_usize, 0_usize, false);
    for byte in lines.iter_mut().rev() {
        match *byte {
            b'\n' => (proper, before_lf) = (proper + 1, true),
            b'\r' if before_lf => {}
            b'\r' => {
                *byte = b'\n';
                alone += 1;
            }
            _ => before_lf = false,
        }
    }
    (alone > proper).then_some(lines)
}

/// Whether the bytes begin with the header of a mail: nothing but fields and their folding up to
/// the first empty line, and at least two of those that mails have. Prose with a colon is none.
pub fn begins_with_header(bytes: &[u8]) -> bool {
    let mut seen = BTreeSet::new();
    let lines = bytes.split(|byte| *byte == b'\n');
    for (index, line) in lines.take_while(|line| !is_blank(line)).enumerate() {
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        match name_of(line) {
            _ if folded && index > 0 => {}
            Some((length, _)) => {
                let name = line.get(..length).unwrap_or_default();
                seen.extend(
                    STANDARD
                        .iter()
                        .position(|known| name.eq_ignore_ascii_case(known.as_bytes())),
                );
            }
            None => return false,
        }
    }
    seen.len() >= 2
}

fn skip_preamble(raw: &[u8], blank_lines: bool) -> &[u8] {
    let mut rest = raw.strip_prefix("\u{feff}".as_bytes()).unwrap_or(raw);
    loop {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return rest;
        };
        let (line, after) = rest.split_at(end + 1);
        if !(blank_lines && is_blank(line)
            || line.starts_with(b"From ")
            || line.starts_with(b">From "))
        {
            return rest;
        }
        rest = after;
    }
}

/// Octets up to and including the first empty line.
fn end_of_header(bytes: &[u8]) -> usize {
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        if is_blank(bytes.get(at..=end).unwrap_or_default()) {
            return end + 1;
        }
        at = end + 1;
    }
    bytes.len()
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// The octets of the name and the place of the colon in a line that begins a field: a name of
/// printable US-ASCII, white space that obsolete syntax allows (RFC 5322 §4.5), and a colon.
fn name_of(line: &[u8]) -> Option<(usize, usize)> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some((name.len(), colon))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bytes: &[u8]) -> Vec<(String, String)> {
        let (header, _) = Header::scan(bytes);
        header
            .fields()
            .map(|f| (f.name().to_owned(), f.value()))
            .collect()
    }

    // B-015; peers: folded fields of the report part missed, other casing, CRLF against LF.
    #[test]
    fn fields_are_unfolded_and_found_in_any_case() {
        for end in ["\r\n", "\n"] {
            let text = ["Original-Mail-FROM:", "\t<a@b>", "x : y", "", "Body: no"].join(end);
            let (header, body) = Header::scan(text.as_bytes());
            assert_eq!(header.first("original-mail-from").as_deref(), Some("<a@b>"));
            assert_eq!(header.first("x").as_deref(), Some("y"));
            assert_eq!(&text.as_bytes()[body..], b"Body: no");
        }
    }

    #[test]
    fn fields_know_their_lines() {
        let (header, _) = Header::scan(b"A: 1\r\n 2\r\nno field\r\nB: 3\r\nA: 4\r\n\r\nC: 5");
        let lines: Vec<_> = header.numbered().map(|(n, f)| (n, f.name())).collect();
        assert_eq!(lines, [(1, "a"), (4, "b"), (5, "a")]);
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        assert_eq!(
            values(b"A: 1\nno field here\n folded nowhere\nB: \xff2\n\nC: 3"),
            [
                ("a".to_owned(), "1".to_owned()),
                ("b".to_owned(), "\u{fffd}2".to_owned())
            ]
        );
        assert_eq!(values(b""), []);
        assert_eq!(values(b"\r\nA: 1"), []);
    }

    // A-027
    #[test]
    fn a_header_is_read_up_to_its_limits_and_the_body_still_found() {
        let many = format!("{}\nbody", "A: b\n".repeat(MAX_FIELDS + 5));
        let (header, body) = Header::scan(many.as_bytes());
        assert_eq!(header.len(), MAX_FIELDS);
        assert!(header.is_truncated());
        assert_eq!(&many.as_bytes()[body..], b"body");

        let long = format!("A: b\nB: c\n{}\n\nbody", " x\n".repeat(MAX_BYTES));
        let (header, body) = Header::scan(long.as_bytes());
        assert!(header.is_truncated());
        assert_eq!(header.len(), 1);
        assert_eq!(long.as_bytes()[body..].trim_ascii(), b"body");
    }

    #[test]
    fn the_beginning_is_repaired() {
        let wanted = b"A: 1\nB: 2\n\nbody";
        for given in [
            &b"A: 1\nB: 2\n\nbody"[..],
            b"\n\r\nA: 1\nB: 2\n\nbody",
            b"From someone@example.com Thu Jan  1 00:00:00 2026\nA: 1\nB: 2\n\nbody",
            b"\xef\xbb\xbf>From x\nA: 1\nB: 2\n\nbody",
            b"A: 1\rB: 2\r\rbody",
            b"From x\rA: 1\rB: 2\r\rbody",
            b"A: 1\rB: 2\n\rbody",
        ] {
            assert_eq!(
                &*repair(given),
                wanted,
                "{}",
                String::from_utf8_lossy(given)
            );
        }
    }

    #[test]
    fn a_cr_among_proper_lines_ends_none() {
        for given in [
            &b"A: 1\r\nB: 2\rX: 3\r\n\r\nbody"[..],
            b"A: 1\r\r\nB: 2\r\r\n\r\r\nbody",
        ] {
            assert_eq!(&*repair(given), given);
            assert_eq!(Header::scan(given).0.len(), 2);
        }
    }

    #[test]
    fn a_returned_mail_that_begins_with_a_blank_line_has_no_header() {
        for given in [
            &b"\nQuoted: x\n"[..],
            b"\r\nQuoted: x\r\n",
            b"\rQuoted: x\r",
            b"From x\n\nQuoted: x",
        ] {
            let (header, _) = Header::scan(&repair_returned(given));
            assert!(header.is_empty(), "{}", String::from_utf8_lossy(given));
        }
        assert_eq!(
            &*repair_returned(b"\xef\xbb\xbf>From x\rA: 1\r\rbody"),
            b"A: 1\n\nbody"
        );
    }

    #[test]
    fn a_header_is_told_from_prose() {
        for header in [
            "Message-ID: <a@b>\n\tc\nFrom: x\n\nHello: all",
            "X-Any: x\r\nReceived: a\r\nReturn-Path: <>\r\n",
            "Subject:\nDATE : x",
        ] {
            assert!(begins_with_header(header.as_bytes()), "{header}");
        }
        for prose in [
            "Message-ID: <a@b>\n\nHello",
            "Dear: abuse desk\nquote: he wrote https://u.example.com\n",
            "Subject: x\nSubject: y\n",
            "Subject: x\nFrom: y\nthis is prose\n",
            "\nSubject: x\nFrom: y\n",
            " Subject: x\nFrom: y\n",
            "",
        ] {
            assert!(!begins_with_header(prose.as_bytes()), "{prose}");
        }
    }
}
