//! The structure of a message (RFC 2045, RFC 2046) and the decoding of its parts: the one file that
//! names the MIME parser.
//!
//! The structure is read here, line by line and bounded in depth and count, because the parser's
//! own tree grows as deep as the sender likes, and freeing a tree of a million levels overflows the
//! stack of a worker thread. The parser decodes: base64 and charsets.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;

use super::header::Header;
use super::media::Media;

/// How much of a structure is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of multiparts that are opened; what lies deeper stays closed (20).
    pub depth: usize,
    /// Parts of one message that are read (1,000).
    pub parts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 20,
            parts: 1_000,
        }
    }
}

/// A message or a part of one.
#[derive(Debug)]
pub struct Entity<'a> {
    /// All fields of a message; of a part those that describe its content.
    pub header: Header,
    /// What it says it is.
    pub media: Media,
    /// The bytes of the body as received, transfer encoding included.
    pub body: &'a [u8],
    /// The parts, if it is a multipart that could be opened.
    pub parts: Vec<Self>,
}

/// A message with what was odd about its structure.
#[derive(Debug)]
pub struct Structure<'a> {
    /// The message itself.
    pub root: Entity<'a>,
    /// What was odd about it.
    pub oddities: Oddities,
}

/// What was odd about a structure: it was read as far as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// More levels or more parts than are read.
    pub beyond_limits: bool,
    /// A multipart without closing delimiter: the end of the message is missing.
    pub unclosed: bool,
}

/// Reads the structure. Never fails: what cannot be opened is one part.
pub fn open(message: &[u8], limits: Limits) -> Structure<'_> {
    let (header, at) = Header::scan(message);
    let media = Media::of(&header, "text/plain");
    let body = message.get(at..).unwrap_or_default();
    let mut opener = Opener {
        depth: limits.depth,
        parts_left: limits.parts,
        oddities: Oddities::default(),
    };
    let parts = opener.parts_of(&media, body, 1);
    Structure {
        root: Entity {
            header,
            media,
            body,
            parts,
        },
        oddities: opener.oddities,
    }
}

struct Opener {
    depth: usize,
    parts_left: usize,
    oddities: Oddities,
}

impl Opener {
    fn parts_of<'a>(&mut self, media: &Media, body: &'a [u8], depth: usize) -> Vec<Entity<'a>> {
        if !media.is_multipart() {
            return Vec::new();
        }
        let Some(boundary) = media.parameter("boundary").filter(|b| !b.is_empty()) else {
            return Vec::new();
        };
        if depth > self.depth {
            self.oddities.beyond_limits = true;
            return Vec::new();
        }
        let default = if media.is("multipart/digest") {
            "message/rfc822"
        } else {
            "text/plain"
        };
        let mut parts = Vec::new();
        for slice in self.slices(body, boundary) {
            if self.parts_left == 0 {
                self.oddities.beyond_limits = true;
                break;
            }
            self.parts_left -= 1;
            let (header, at) = Header::scan(slice);
            let header = header.describing_content();
            let media = Media::of(&header, default);
            let body = slice.get(at..).unwrap_or_default();
            let inner = self.parts_of(&media, body, depth + 1);
            parts.push(Entity {
                header,
                media,
                body,
                parts: inner,
            });
        }
        parts
    }

    /// What stands between the delimiter lines (RFC 2046 §5.1.1).
    fn slices<'a>(&mut self, body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
        let delimiter = [b"--", boundary.as_bytes()].concat();
        let mut slices = Vec::new();
        let mut open: Option<usize> = None;
        for at in memmem::find_iter(body, &delimiter) {
            let (before, rest) = body.split_at(at);
            if !(before.is_empty() || before.ends_with(b"\n")) {
                continue;
            }
            let rest = rest.get(delimiter.len()..).unwrap_or_default();
            let closes = rest.starts_with(b"--");
            let rest = if closes {
                rest.get(2..).unwrap_or_default()
            } else {
                rest
            };
            let padding = rest
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t' | b'\r'))
                .count();
            if rest.get(padding).is_some_and(|byte| *byte != b'\n') {
                continue;
            }
            if let Some(start) = open {
                slices.push(without_line_end(body.get(start..at).unwrap_or_default()));
            }
            open = (!closes).then_some((body.len() - rest.len() + padding + 1).min(body.len()));
            if closes || slices.len() > self.parts_left {
                break;
            }
        }
        if let Some(start) = open {
            self.oddities.unclosed = true;
            slices.push(body.get(start..).unwrap_or_default());
        }
        slices
    }
}

impl<'a> Entity<'a> {
    /// This entity and all parts below, in their order. Nested messages stay closed.
    pub fn walk(&self) -> Vec<&Self> {
        let mut found = Vec::with_capacity(1 + self.parts.len());
        self.walk_into(&mut found);
        found
    }

    fn walk_into<'b>(&'b self, found: &mut Vec<&'b Self>) {
        found.push(self);
        for part in &self.parts {
            part.walk_into(found);
        }
    }

    /// The content without its transfer encoding, at most `limit` octets. What is wrongly encoded
    /// is decoded as far as it goes.
    pub fn content(&self, limit: usize) -> Cow<'a, [u8]> {
        // Three octets for one is the widest that quoted-printable gets, line ends apart.
        let encoded = cut(self.body, limit.saturating_mul(4));
        match self.encoding().as_str() {
            "base64" => Cow::Owned(cut(&decode_base64(encoded), limit).to_vec()),
            "quoted-printable" => {
                Cow::Owned(cut(&decode_quoted_printable(encoded), limit).to_vec())
            }
            _ => Cow::Borrowed(cut(self.body, limit)),
        }
    }

    /// The content as text in its charset, of at most `limit` octets before conversion.
    pub fn text(&self, limit: usize) -> String {
        decode(&self.content(limit), self.media.parameter("charset"))
    }

    fn encoding(&self) -> String {
        let given = self
            .header
            .first("content-transfer-encoding")
            .unwrap_or_default();
        given
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }
}

/// Bytes as text. What is labelled as nothing, as ASCII or as UTF-8 and holds the escapes of
/// ISO-2022-JP is that: Japanese programs leave the label out. What is no UTF-8 although it says
/// so, and says no other, is read as Windows-1252, so that nothing gets lost.
pub(super) fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let charset = charset.unwrap_or_default().to_ascii_lowercase();
    let unlabelled = matches!(
        charset.as_str(),
        "" | "us-ascii" | "ascii" | "utf-8" | "utf8"
    );
    if unlabelled {
        if memmem::find(bytes, b"\x1b$").is_some() {
            return with(b"iso-2022-jp", bytes);
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            return text.to_owned();
        }
    }
    if charset == "us-ascii" || charset == "ascii" {
        return with(b"windows-1252", bytes);
    }
    with(known(&charset), bytes)
}

fn with(charset: &[u8], bytes: &[u8]) -> String {
    match charset_decoder(charset) {
        Some(decode) => decode(bytes),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The parser's name of a charset that it knows under another; `charset` is lower-case.
fn known(charset: &str) -> &[u8] {
    match charset {
        "cp932" | "ms932" | "windows-932" | "x-ms-cp932" | "shift-jis-2004" => b"shift_jis",
        "eucjp" | "eucjp-ms" | "eucjp-win" | "cp51932" | "euc-jp-ms" => b"euc-jp",
        "cp50220" | "cp50221" | "cp50222" | "iso-2022-jp-ms" | "iso-2022-jp-1"
        | "iso-2022-jp-2" | "iso-2022-jp-3" | "iso-2022-jp-2004" | "jis" => b"iso-2022-jp",
        "unicode-1-1-utf-7" | "unicode-2-0-utf-7" | "x-unicode-1-1-utf-7" | "csutf7" => b"utf-7",
        "euckr" | "uhc" | "cp949" | "ks_c_5601-1989" => b"euc-kr",
        "gb2312-80" | "x-gb18030" => b"gb18030",
        other => other.as_bytes(),
    }
}

/// Decodes what is of the alphabet and passes over everything else (RFC 2045 §6.8).
pub(super) fn decode_base64(bytes: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = bytes
        .iter()
        .copied()
        .take_while(|byte| *byte != b'=')
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .collect();
    // A text that was cut decodes up to its last whole group.
    let odd = text.len() % 4;
    match odd {
        0 => {}
        1 => {
            text.pop();
        }
        _ => text.extend(std::iter::repeat_n(b'=', 4 - odd)),
    }
    base64_decode(&text).unwrap_or_default()
}

/// Decodes escapes and joins soft-broken lines; an escape that is none stays as it stands
/// (RFC 2045 §6.7).
pub(super) fn decode_quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'=' {
            decoded.push(*byte);
            continue;
        }
        let padding = after
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t' | b'\r'))
            .count();
        match after {
            [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(nibble(*high) << 4 | nibble(*low));
                rest = tail;
            }
            _ if after.get(padding) == Some(&b'\n') => {
                rest = after.get(padding + 1..).unwrap_or_default();
            }
            _ => decoded.push(b'='),
        }
    }
    decoded
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(message: &[u8]) -> Structure<'_> {
        super::open(message, Limits::default())
    }

    fn bodies(message: &[u8]) -> (Vec<&[u8]>, Oddities) {
        let structure = open(message);
        (
            structure.root.parts.iter().map(|part| part.body).collect(),
            structure.oddities,
        )
    }

    #[test]
    fn delimiters_count_at_the_start_of_a_line_alone() {
        let (parts, oddities) = bodies(
            b"Content-Type: multipart/mixed; boundary=x\n\npreamble\n--x\n\none --x\n--xy\n--x \r\n\r\ntwo\r\n--x--\n--x\n\nno",
        );
        assert_eq!(parts, [&b"one --x\n--xy"[..], b"two"]);
        assert_eq!(oddities, Oddities::default());
    }

    // B-003
    #[test]
    fn a_missing_end_is_noticed() {
        let (parts, oddities) =
            bodies(b"Content-Type: multipart/mixed; boundary=\"x\"\n\n--x\n\none\n--x\nA: b");
        assert_eq!(parts, [&b"one"[..], b""]);
        assert!(oddities.unclosed);
        let (parts, _) = bodies(b"Content-Type: multipart/mixed\n\n--x\n\none\n");
        assert!(parts.is_empty());
    }

    #[test]
    fn a_digest_holds_messages() {
        let structure =
            open(b"Content-Type: multipart/digest; boundary=x\n\n--x\n\nA: b\n\nc\n--x--\n");
        assert!(structure.root.parts[0].media.is("message/rfc822"));
        assert_eq!(structure.root.parts[0].body, b"A: b\n\nc");
    }

    // A-027
    #[test]
    fn depth_and_count_are_bounded() {
        let level = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
        let nested: Vec<_> = (0..25).map(level).collect();
        let nested = nested.concat();
        let many = format!(
            "Content-Type: multipart/mixed; boundary=x\n\n{}",
            "--x\n\na\n".repeat(3_000)
        );
        for limits in [Limits::default(), Limits { depth: 3, parts: 7 }] {
            let structure = super::open(nested.as_bytes(), limits);
            assert!(structure.oddities.beyond_limits);
            assert_eq!(structure.root.walk().len(), limits.depth + 1);
            let structure = super::open(many.as_bytes(), limits);
            assert!(structure.oddities.beyond_limits);
            assert_eq!(structure.root.parts.len(), limits.parts);
        }
    }

    #[test]
    fn transfer_encodings_are_decoded_as_far_as_they_go() {
        assert_eq!(decode_base64(b"aGVs\r\nbG8=\r\n"), b"hello");
        assert_eq!(decode_base64(b"aGVsbG8"), b"hello");
        assert_eq!(decode_base64(b"aGVs!b"), b"hel");
        assert_eq!(
            decode_quoted_printable(b"a=3Db=\r\nc=\nd=  \r\ne=zz="),
            b"a=bcde=zz="
        );
    }

    #[test]
    fn charsets_are_known_by_their_aliases() {
        for charset in ["iso-2022-jp", "ISO-2022-JP-MS", "cp50221"] {
            let mut message =
                format!("Content-Type: text/plain; charset={charset}\n\n").into_bytes();
            message.extend_from_slice(b"\x1b$B<+F01~Ez\x1b(B");
            assert_eq!(open(&message).root.text(1_000), "自動応答", "{charset}");
        }
        for (charset, bytes, text) in [
            ("cp932", &b"\x8e\xa9\x93\xae"[..], "自動"),
            ("eucJP", b"\xbc\xab\xc6\xb0", "自動"),
            ("unicode-1-1-utf-7", b"+gepS1Q-", "自動"),
            ("\"us-ascii\"", b"\x1b$B<+F0\x1b(B", "自動"),
            ("us-ascii", b"\xe4", "ä"),
            ("unknown-8bit", b"\xe4x", "\u{fffd}x"),
            ("utf-8", "ä".as_bytes(), "ä"),
        ] {
            assert_eq!(
                decode(bytes, Some(charset.trim_matches('"'))),
                text,
                "{charset}"
            );
        }
        assert_eq!(open(b"A: b\n\n\xe4x").root.text(1_000), "\u{fffd}x");
    }
}
