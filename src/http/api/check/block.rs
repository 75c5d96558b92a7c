//! Lines of a check: cut from what arrives, looked up block by block.

use std::borrow::Cow;

use crate::app::check::Check;

/// How addresses stand on the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An address a line.
    Plain,
    /// A JSON string a line.
    Json,
}

/// Which lines are given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that may be mailed.
    Allowed,
    /// Those that must not be: suppressed addresses, and what is no address.
    Suppressed,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) checked: u64,
    pub(super) suppressed: u64,
    pub(super) errors: u64,
}

impl Counts {
    pub(super) fn add(&mut self, more: Self) {
        self.checked = self.checked.saturating_add(more.checked);
        self.suppressed = self.suppressed.saturating_add(more.suppressed);
        self.errors = self.errors.saturating_add(more.errors);
    }
}

/// A block's answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The lines that were wanted, in order, as they were sent, each with a line feed.
    pub(super) lines: Vec<u8>,
    pub(super) counts: Counts,
}

/// Octets of a block, about: some thousand addresses, which take a few milliseconds.
pub(super) const BLOCK: usize = 128 * 1024;
/// Octets of a line, its end not counted. A longer one is no address in any form, and is not kept.
pub(super) const LONGEST: usize = 16 * 1024;

/// What some programs write before a text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// How the last line of an answer begins. Nothing else may.
pub(super) const END: &[u8] = b"# end ";

/// Cuts what arrives into blocks of whole lines.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    open: Vec<u8>,
    /// The line that arrives is too long, and its end has not come.
    skipping: bool,
    begun: bool,
}

impl Cutter {
    /// Takes in what arrived; gives a block when there is enough for one.
    pub(super) fn push(&mut self, mut data: &[u8]) -> Option<Vec<u8>> {
        if self.skipping {
            data = data.get(memchr::memchr(b'\n', data)?..)?;
            self.skipping = false;
        }
        self.open.extend_from_slice(data);
        if self.open.len() < BLOCK {
            return None;
        }
        let Some(end) = memchr::memrchr(b'\n', &self.open) else {
            self.open.truncate(LONGEST + 1);
            self.skipping = true;
            return None;
        };
        let mut next = Vec::with_capacity(2 * BLOCK);
        next.extend_from_slice(self.open.get(end + 1..).unwrap_or_default());
        self.open.truncate(end + 1);
        Some(self.block(next))
    }

    /// What is left at the end.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        let block = self.block(Vec::new());
        (!block.is_empty()).then_some(block)
    }

    fn block(&mut self, next: Vec<u8>) -> Vec<u8> {
        let mut block = std::mem::replace(&mut self.open, next);
        if !self.begun && block.starts_with(MARK) {
            block.drain(..MARK.len());
        }
        self.begun = true;
        block
    }
}

/// A line, and the address in it; an empty text where there can be none.
struct Line<'a> {
    sent: &'a [u8],
    text: Cow<'a, str>,
}

impl AsRef<str> for Line<'_> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// Looks up a block of lines.
pub(super) fn answer(check: &Check, form: Form, wanted: Wanted, block: &[u8]) -> Answered {
    let lines = lines(form, block);
    let found = check.addresses(&lines);
    let mut out = Vec::with_capacity(match wanted {
        Wanted::Allowed => block.len() + 1,
        Wanted::Suppressed => 0,
    });
    let mut suppressed = found.suppressed.iter().map(|(at, _)| *at).peekable();
    let mut errors = found.errors.iter().map(|(at, _)| *at).peekable();
    for (at, line) in lines.iter().enumerate() {
        let is_suppressed = suppressed.next_if_eq(&at).is_some();
        let is_error = errors.next_if_eq(&at).is_some();
        let is_given = match wanted {
            Wanted::Allowed => !is_suppressed && !is_error,
            Wanted::Suppressed => is_suppressed || is_error && is_shown(line.sent),
        };
        if is_given {
            out.extend_from_slice(line.sent);
            out.push(b'\n');
        }
    }
    let count = |length| u64::try_from(length).unwrap_or(u64::MAX);
    Answered {
        lines: out,
        counts: Counts {
            checked: count(lines.len()),
            suppressed: count(found.suppressed.len()),
            errors: count(found.errors.len()),
        },
    }
}

/// Whether a bad line is given back. One that is too long is cut, and one that looks like the end
/// would end the answer for its reader: nobody can be mailed by either.
fn is_shown(sent: &[u8]) -> bool {
    sent.len() <= LONGEST && !sent.starts_with(END)
}

fn lines(form: Form, block: &[u8]) -> Vec<Line<'_>> {
    let block = block.strip_suffix(b"\n").unwrap_or(block);
    let mut lines = Vec::with_capacity(block.len() / 16 + 1);
    // Mostly all of it is UTF-8, which is faster to see at once.
    let whole = std::str::from_utf8(block).ok();
    let mut begins = 0;
    for end in memchr::memchr_iter(b'\n', block).chain([block.len()]) {
        let sent = block.get(begins..end).unwrap_or_default();
        let length = sent.strip_suffix(b"\r").unwrap_or(sent).len();
        let sent = sent.get(..length).unwrap_or_default();
        let text = match (form, whole) {
            _ if length > LONGEST => Cow::Borrowed(""),
            (Form::Json, _) => json_text(sent),
            (Form::Plain, Some(whole)) => {
                Cow::Borrowed(whole.get(begins..begins + length).unwrap_or_default())
            }
            (Form::Plain, None) => Cow::Borrowed(std::str::from_utf8(sent).unwrap_or_default()),
        };
        lines.push(Line { sent, text });
        begins = end + 1;
    }
    lines
}

/// The text of a line that is a JSON string.
fn json_text(sent: &[u8]) -> Cow<'_, str> {
    serde_json::from_slice::<super::Text<'_>>(sent).map_or(Cow::Borrowed(""), |text| text.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::default();
        let mut blocks: Vec<_> = pieces.iter().filter_map(|data| cutter.push(data)).collect();
        blocks.extend(cutter.finish());
        blocks
    }

    #[test]
    fn blocks_are_whole_lines_however_they_arrive() {
        let line = b"somebody.with.a.name@example.com\n";
        let all = line.repeat(20_000);
        for size in [1, 7, 1000, 16 * 1024, 300_000, all.len()] {
            let pieces: Vec<&[u8]> = all.chunks(size).collect();
            let blocks = cut(&pieces);
            assert_eq!(blocks.concat(), all, "{size}");
            for block in &blocks {
                assert!(block.ends_with(b"\n"), "{size}");
                assert!(block.len() < BLOCK + size + line.len(), "{size}");
            }
        }
        assert_eq!(cut(&[b"a@b\nc", b"@d"]), [b"a@b\nc@d"]);
        assert_eq!(cut(&[b""]), Vec::<Vec<u8>>::new());
        assert_eq!(cut(&[MARK, b"a@b\n", MARK]), [b"a@b\n\xef\xbb\xbf"]);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let long = vec![b'x'; 10 * BLOCK];
        let before = b"a@example.com\n".to_vec();
        let behind = b"\nb@example.com\n".to_vec();
        let all = [before, long, behind].concat();
        for size in [999, 40_000, BLOCK] {
            let mut cutter = Cutter::default();
            let mut blocks = Vec::new();
            for piece in all.chunks(size) {
                blocks.extend(cutter.push(piece));
                assert!(cutter.open.len() <= BLOCK + size, "{}", cutter.open.len());
            }
            blocks.extend(cutter.finish());
            let kept = blocks.concat();
            assert!(kept.len() <= BLOCK + size + 100, "{}", kept.len());
            let texts: Vec<_> = lines(Form::Plain, &kept)
                .iter()
                .map(|line| line.text.to_string())
                .collect();
            assert_eq!(texts, ["a@example.com", "", "b@example.com"], "{size}");
        }
    }

    #[test]
    fn lines_end_as_on_any_system_and_hold_one_address() {
        let texts = |form, block: &[u8]| -> Vec<String> {
            let lines = lines(form, block);
            lines.iter().map(|line| line.text.to_string()).collect()
        };
        let plain = |block: &[u8]| texts(Form::Plain, block);
        assert_eq!(plain(b"a\r\nb\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(plain(b"\n"), [""]);
        assert_eq!(plain(b"\xff\na\n\xc3\xa9\n"), ["", "a", "\u{e9}"]);
        let long = [vec![b'x'; LONGEST], b"\n".to_vec(), vec![b'y'; LONGEST + 1]].concat();
        assert_eq!(plain(&long)[1], "");
        assert_eq!(plain(&long)[0].len(), LONGEST);
        let json = |block: &[u8]| texts(Form::Json, block);
        assert_eq!(
            json(b"\"a\"\n \"b\\u0040c\" \r\n{}\nd\n\"e\"x\n\"\xff\"\n\n1"),
            ["a", "b@c", "", "", "", "", "", ""]
        );
    }

    #[test]
    fn nothing_but_the_end_looks_like_it() {
        assert!(is_shown(b"nobody"));
        assert!(is_shown(b"# nobody"));
        assert!(!is_shown(b"# end checked=0"));
        assert!(!is_shown(&vec![b'x'; LONGEST + 1]));
        for text in ["# end a@example.com", "# end checked=1@example.com"] {
            assert!(crate::model::address::Address::parse(text).is_err());
        }
    }
}
