//! What a bounce itself says to people, apart from the mail that it returns.

use super::formats::Formats;
use super::lower;
use crate::report::header::{self, Header};
use crate::report::mime::Entity;
use crate::report::status::returned_in;

/// Octets of text that are read.
const MAX_OWN: usize = 32 * 1024;

/// Octets in which phrases are looked for.
const MAX_FLAT: usize = 16 * 1024;

/// Octets of a returned mail in the text that are read.
const MAX_RETURNED: usize = 64 * 1024;

/// A bounce's own text, and the header of the mail that came back.
pub(super) struct Said {
    pub(super) own: String,
    /// The same in lower case: as many lines.
    pub(super) lower: String,
    pub(super) returned: Header,
}

/// Takes the text apart from what was returned.
pub(super) fn own(root: &Entity<'_>, formats: &Formats) -> Said {
    let mut own = String::new();
    let mut inline = None;
    let (mut plain, mut after) = (false, false);
    for part in root.walk() {
        if after || !part.parts.is_empty() || inline.is_some() {
            continue;
        }
        let essence = part.media.essence();
        // A multipart that names no boundary cannot be opened: it is text too.
        match essence {
            _ if essence.starts_with("text/plain") || part.media.is_multipart() => {
                let text = part.text(MAX_RETURNED);
                if !own.is_empty() && header::begins_with_header(text.trim_start().as_bytes()) {
                    continue;
                }
                plain = true;
                inline = split(&text, formats, &mut own);
            }
            "text/html" if !plain => {
                let text = without_tags(&part.text(MAX_RETURNED));
                inline = split(&text, formats, &mut own);
            }
            _ => after = essence.starts_with("message/"),
        }
    }
    let mut returned = returned_in(root);
    if returned.is_empty()
        && let Some(inline) = inline
    {
        let unquoted = inline.trim_start();
        let unquoted = if unquoted.starts_with('>') {
            unquoted
                .lines()
                .map(|line| line.trim_start_matches('>'))
                .collect::<Vec<_>>()
                .join("\n")
        } else {
            unquoted.to_owned()
        };
        returned = Header::scan(&header::repair(unquoted.as_bytes())).0;
    }
    Said {
        lower: lower(&own),
        own,
        returned,
    }
}

/// Adds what stands before the returned mail to `own`, and gives the returned mail.
fn split(text: &str, formats: &Formats, own: &mut String) -> Option<String> {
    let room = MAX_OWN.saturating_sub(own.len());
    if let Some(line) = formats.end_of_own_text(text) {
        own.push_str(cut(text.get(..line.start)?, room));
        own.push('\n');
        return text.get(line.end..).map(str::to_owned);
    }
    own.push_str(cut(text, room));
    own.push('\n');
    None
}

/// The beginning of a text on one line.
pub(super) fn flat(text: &str) -> String {
    let text = cut(text, MAX_FLAT);
    let mut flat = String::with_capacity(text.len());
    let mut push = |word| {
        if !flat.is_empty() {
            flat.push(' ');
        }
        flat.push_str(word);
    };
    if text.is_ascii() {
        text.split_ascii_whitespace().for_each(&mut push);
    } else {
        text.split_whitespace().for_each(&mut push);
    }
    flat
}

/// The text of a page: tags are left out, those that break lines become line ends.
fn without_tags(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (name, after) = match tag.split_once('>') {
            // A bracket that begins no tag.
            Some((name, _)) if !begins_tag(name) => {
                text.push('<');
                rest = tag;
                continue;
            }
            Some((name, after)) => (name, after),
            None => {
                text.push('<');
                rest = tag;
                break;
            }
        };
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        let breaks = [
            "br", "p", "div", "tr", "li", "pre", "hr", "h1", "h2", "h3", "table",
        ];
        let word = name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        if breaks.contains(&word) {
            text.push('\n');
        }
        rest = match word {
            "style" | "script" if !tag.starts_with('/') => after
                .find("</")
                .and_then(|at| after.get(at..))
                .unwrap_or_default(),
            _ => after,
        };
    }
    text.push_str(rest);
    text.replace("&nbsp;", " ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// Whether what stands behind a bracket is a tag and no address.
fn begins_tag(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
        && !name
            .split([' ', '='])
            .next()
            .unwrap_or_default()
            .contains('@')
}

fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_text() {
        let page = "<html><style>p{}</style><BODY>Not&nbsp;to<br>&lt;a@b.example&gt;<P CLASS=x>a < b <c@d.example>";
        assert_eq!(
            without_tags(page).trim(),
            "Not to\n<a@b.example>\na < b <c@d.example>"
        );
    }
}
