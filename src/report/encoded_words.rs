//! Encoded words in header fields (RFC 2047), as programs really write them: with characters that are
//! split between two words, with spaces inside, in the middle of other text, and with raw bytes
//! beside them.

use super::mime::{decode, decode_base64, decode_quoted_printable};

/// Octets of one field that are read.
const MAX_FIELD: usize = 4 * 1024;

/// A field's value with its encoded words decoded, on one line, trimmed. Bytes that stand there raw
/// are read as UTF-8, as ISO-2022-JP if they have its escapes, else in `charset`, which is the
/// body's.
pub fn decode_words(raw: &[u8], charset: Option<&str>) -> String {
    let raw = raw.get(..MAX_FIELD).unwrap_or(raw);
    let line: Vec<u8> = raw
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut decoder = Decoder {
        charset,
        text: String::new(),
        open: None,
    };
    let mut rest: &[u8] = &line;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, word) = rest.split_at(at);
        match Word::at_beginning_of(word) {
            Some((word, behind)) => {
                decoder.literal(before, true);
                decoder.word(word);
                rest = behind;
            }
            None => {
                let (before, behind) = rest.split_at(at + 2);
                decoder.literal(before, false);
                rest = behind;
            }
        }
    }
    decoder.literal(rest, false);
    decoder.close();
    decoder.text.trim().to_owned()
}

/// One encoded word, its content decoded to bytes.
struct Word {
    charset: String,
    bytes: Vec<u8>,
}

impl Word {
    /// The word that `text` begins with, and what stands behind it.
    fn at_beginning_of(text: &[u8]) -> Option<(Self, &[u8])> {
        let inner = text.strip_prefix(b"=?")?;
        let end = memchr::memchr(b'?', inner)?;
        let (charset, inner) = inner.split_at_checked(end)?;
        // A language may stand behind the charset (RFC 2231 §5).
        let charset = charset.split(|byte| *byte == b'*').next()?;
        let [b'?', encoding, b'?', inner @ ..] = inner else {
            return None;
        };
        let end = memchr::memmem::find(inner, b"?=")?;
        let (content, behind) = inner.split_at_checked(end)?;
        let bytes = match encoding.to_ascii_lowercase() {
            b'b' => decode_base64(content),
            b'q' => {
                let spaced: Vec<u8> = content
                    .iter()
                    .map(|byte| if *byte == b'_' { b' ' } else { *byte })
                    .collect();
                decode_quoted_printable(&spaced)
            }
            _ => return None,
        };
        let charset = std::str::from_utf8(charset).ok()?.to_ascii_lowercase();
        Some((Self { charset, bytes }, behind.get(2..)?))
    }
}

struct Decoder<'a> {
    charset: Option<&'a str>,
    text: String,
    /// Words of one charset that stand beside each other: a character may begin in one and end in
    /// the next.
    open: Option<Word>,
}

impl Decoder<'_> {
    /// Text between words. White space alone between two words means nothing (RFC 2047 §6.2).
    fn literal(&mut self, bytes: &[u8], before_word: bool) {
        if before_word && self.open.is_some() && bytes.trim_ascii().is_empty() {
            return;
        }
        if !bytes.is_empty() {
            self.close();
            // A header is ASCII but for what somebody left raw, whatever the body is in.
            let charset = self.charset.filter(|_| !bytes.is_ascii());
            self.text.push_str(&decode(bytes, charset));
        }
    }

    fn word(&mut self, word: Word) {
        match &mut self.open {
            Some(open) if open.charset == word.charset => open.bytes.extend(word.bytes),
            _ => {
                self.close();
                self.open = Some(word);
            }
        }
    }

    fn close(&mut self) {
        if let Some(word) = self.open.take() {
            self.text
                .push_str(&decode(&word.bytes, Some(&word.charset)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_decoded() {
        for (raw, expected) in [
            (
                &b" =?UTF-8?B?6Ieq5YuV5b+c562U?=\r\n\t: x\r\n"[..],
                "自動応答\t: x",
            ),
            (b" plain\r\n text", "plain text"),
            (b" =?broken", "=?broken"),
            (b"=?utf-8?q?a_b=3D?= =?utf-8?q?c?=", "a b=c"),
            (b"=?utf-8*en?Q?a?= b =?x?z?c?=", "a b =?x?z?c?="),
            // A character of three bytes in two words.
            (b"=?utf-8?B?6Ic=?=\r\n =?utf-8?B?qg==?=", "自"),
            (b"=?cp932?B?jqmTrg==?=", "自動"),
            (b"=?ISO-2022-JP-MS?B?GyRCPCtGMBsoQg==?= x", "自動 x"),
            (b"[a =?iso-8859-2?Q?odpowied=BC?=] b", "[a odpowiedź] b"),
            (b"=?utf-8?Q?with spaces?=", "with spaces"),
            (b"", ""),
        ] {
            assert_eq!(decode_words(raw, None), expected, "{expected}");
        }
    }

    #[test]
    fn raw_bytes_are_read_in_the_charset_that_they_are() {
        assert_eq!(decode_words(b"\x1b$B<+F0\x1b(B: x", None), "自動: x");
        assert_eq!(
            decode_words("réponse".as_bytes(), Some("us-ascii")),
            "réponse"
        );
        assert_eq!(
            decode_words(b"odpowied\xbc", Some("iso-8859-2")),
            "odpowiedź"
        );
        assert_eq!(decode_words(b"\x8e\xa9\x93\xae", Some("Shift_JIS")), "自動");
    }

    #[test]
    fn a_flood_of_beginnings_costs_little() {
        let flood = b"=?a?b?".repeat(100_000);
        assert!(decode_words(&flood, None).len() <= MAX_FIELD);
    }
}
