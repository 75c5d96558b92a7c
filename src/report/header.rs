//! Header fields as they stand in the bytes (RFC 5322 §2.2): unfolded, found by name in any case,
//! safe for text that is no UTF-8, and repaired where gateways damaged the beginning of a message.

use std::borrow::Cow;
use std::collections::BTreeSet;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    raw: Vec<u8>,
}

impl Field {
    /// The name, lower-case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes behind the colon, exactly as received, folding included.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The value on one line: line breaks removed (RFC 5322 §2.2.3), trimmed, wrong UTF-8 replaced.
    pub fn value(&self) -> String {
        let bytes: Vec<u8> = self
            .raw
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\r' | b'\n'))
            .collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// The fields of one header in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    fields: Vec<Field>,
    truncated: bool,
}

impl Header {
    /// Reads the header at the beginning of `bytes` and says where the body begins. Lines end in
    /// LF, with any number of CR before it. What is no field is passed over; the header ends at the
    /// first empty line.
    pub fn scan(bytes: &[u8]) -> (Self, usize) {
        let mut header = Self::default();
        let mut open: Option<Field> = None;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let line = rest.get(..length).unwrap_or_default();
            at += length;
            if is_blank(line) {
                break;
            }
            if header.fields.len() >= MAX_FIELDS || at > MAX_BYTES {
                header.truncated = true;
                open = None;
                at += end_of_header(bytes.get(at..).unwrap_or_default());
                break;
            }
            if line
                .first()
                .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
            {
                if let Some(field) = &mut open {
                    field.raw.extend_from_slice(line);
                }
                continue;
            }
            header.fields.extend(open.take());
            open = field_of(line);
        }
        header.fields.extend(open);
        (header, at)
    }

    /// The fields that another notation than that of mail gives, in order; at most [`MAX_FIELDS`].
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let field = |(name, value): (&str, &str)| Field {
            name: name.trim().to_ascii_lowercase(),
            raw: value.as_bytes().to_vec(),
        };
        Self {
            fields: pairs.into_iter().take(MAX_FIELDS).map(field).collect(),
            truncated: false,
        }
    }

    /// All fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The fields that describe a part's content; a part's other fields mean nothing
    /// (RFC 2046 §5.1).
    #[must_use]
    pub fn describing_content(mut self) -> Self {
        self.fields
            .retain(|field| field.name.starts_with("content-"));
        self
    }

    /// Whether the header was longer than what is read.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The fields of that name, which is given in lower case, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.name == name)
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
        match field_of(line) {
            _ if folded && index > 0 => {}
            Some(field) => seen.extend(STANDARD.iter().position(|name| *name == field.name)),
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

/// A line that begins a field: a name of printable US-ASCII, white space that obsolete syntax
/// allows (RFC 5322 §4.5), and a colon.
fn field_of(line: &[u8]) -> Option<Field> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at(colon);
    let name = name.trim_ascii_end();
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    Some(Field {
        name: String::from_utf8_lossy(name).to_ascii_lowercase(),
        raw: value.get(1..).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bytes: &[u8]) -> Vec<(String, String)> {
        let (header, _) = Header::scan(bytes);
        header
            .fields()
            .iter()
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
        assert_eq!(header.fields().len(), MAX_FIELDS);
        assert!(header.is_truncated());
        assert_eq!(&many.as_bytes()[body..], b"body");

        let long = format!("A: b\nB: c\n{}\n\nbody", " x\n".repeat(MAX_BYTES));
        let (header, body) = Header::scan(long.as_bytes());
        assert!(header.is_truncated());
        assert_eq!(header.fields().len(), 1);
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
            assert_eq!(Header::scan(given).0.fields().len(), 2);
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
            assert_eq!(header.fields(), [], "{}", String::from_utf8_lossy(given));
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
