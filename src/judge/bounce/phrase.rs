//! Texts as rules compare them.

use std::ops::Range;

/// Octets of an answer that are compared.
const MAX_TEXT: usize = 2 * 1024;

/// A text that an answer may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    text: String,
    /// Whether a word may go on before and behind it.
    open: (bool, bool),
}

impl Phrase {
    /// Adds the phrases of one entry, `a & b`, and says where they stand.
    pub(super) fn add_all(entry: &str, phrases: &mut Vec<Self>) -> Result<Vec<usize>, String> {
        let mut all = Vec::new();
        for piece in entry.split(" & ") {
            let begins = piece.starts_with('*');
            let ends = piece.ends_with('*');
            let text = piece.trim_matches('*').trim();
            if text.is_empty() {
                return Err(format!("{entry:?} has an empty text"));
            }
            if text != text.to_lowercase() {
                return Err(format!("{entry:?} is not in lower case"));
            }
            let phrase = Self {
                text: text.to_owned(),
                open: (begins, ends),
            };
            all.push(phrases.len());
            phrases.push(phrase);
        }
        Ok(all)
    }

    /// Adds a text that may be a piece of a word, and says where it stands.
    pub(super) fn add_part(text: &str, phrases: &mut Vec<Self>) -> usize {
        phrases.push(Self {
            text: text.to_lowercase(),
            open: (true, true),
        });
        phrases.len() - 1
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether what was found at `range` of `text` is no piece of a longer word.
    pub(super) fn stands_alone(&self, text: &str, range: Range<usize>) -> bool {
        let word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let own = self.text.as_bytes();
        let before = range.start.checked_sub(1).and_then(|at| bytes.get(at));
        let begins = self.open.0 || !word(own.first()) || !word(before);
        let ends = self.open.1 || !word(own.last()) || !word(bytes.get(range.end));
        begins && ends
    }
}

/// An answer as it is compared: lower-case, white space as one space, and every address as `<@>`,
/// because an address may have any word in it.
pub(super) fn normal(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    // Words of the reporter, not of the server: "in reply to MAIL FROM" refuses no sender.
    let (text, rest) = match text.split_once("(in reply to ") {
        Some((before, after)) => (before, after.split_once(')').map_or("", |(_, rest)| rest)),
        None => (text, ""),
    };
    let mut normal = String::with_capacity(end);
    let mut before = "";
    for word in text.split_whitespace().chain(rest.split_whitespace()) {
        // A server may be called anything.
        let name = before.eq_ignore_ascii_case("host") && word.contains('.');
        before = word;
        if name {
            continue;
        }
        if !normal.is_empty() {
            normal.push(' ');
        }
        match word.find('@') {
            Some(at) if !word.contains("://") => push_without_address(&mut normal, word, at),
            _ => push_lower(&mut normal, word),
        }
    }
    normal
}

fn push_lower(normal: &mut String, word: &str) {
    if word.is_ascii() {
        let at = normal.len();
        normal.push_str(word);
        if let Some(word) = normal.get_mut(at..) {
            word.make_ascii_lowercase();
        }
    } else {
        normal.push_str(&word.to_lowercase());
    }
}

fn push_without_address(normal: &mut String, word: &str, at: usize) {
    let (local, domain) = word.split_at_checked(at).unwrap_or((word, ""));
    let domain = domain.get(1..).unwrap_or_default();
    let of_address = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let start = local
        .char_indices()
        .rev()
        .take_while(|(_, c)| of_address(*c))
        .last()
        .map_or(local.len(), |(at, _)| at);
    let end = domain
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .unwrap_or(domain.len());
    let bare = domain.get(..end).unwrap_or_default().trim_end_matches('.');
    let before = local.get(..start).unwrap_or_default();
    let after = domain.get(bare.len()..).unwrap_or_default();
    push_lower(normal, before.strip_suffix('<').unwrap_or(before));
    normal.push_str("<@>");
    push_lower(normal, after.strip_prefix('>').unwrap_or(after));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_without_their_addresses() {
        for (text, expected) in [
            (
                "550  <Spam@B.example>: User\tUnknown",
                "550 <@>: user unknown",
            ),
            ("550 a@b.example... No such user", "550 <@>... no such user"),
            ("rcpt=<blocked@b.example>", "rcpt=<@>"),
            ("see https://b.example/@spam", "see https://b.example/@spam"),
            ("550 : User unknown", "550 : user unknown"),
            ("550 no (in reply to MAIL FROM command)", "550 no"),
            (
                "host spam.b.example[192.0.2.1] said: 550 no",
                "host said: 550 no",
            ),
            ("@", "<@>"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }

    #[test]
    fn whole_words_count_unless_a_phrase_is_open() {
        let has = |phrase: &str, text: &str| {
            let mut phrases = Vec::new();
            Phrase::add_all(phrase, &mut phrases).unwrap();
            let at = text.find(phrases[0].text()).unwrap();
            phrases[0].stands_alone(text, at..at + phrases[0].text().len())
        };
        assert!(has("spam", "this is spam."));
        assert!(!has("spam", "antispam"));
        assert!(!has("spam", "spammer"));
        assert!(has("spam*", "spammer"));
        assert!(has("*spam", "antispam"));
        assert!(has(": user unknown", "550 : user unknown"));
        assert!(Phrase::add_all("a & ", &mut Vec::new()).is_err());
        assert!(Phrase::add_all("Spam", &mut Vec::new()).is_err());
    }
}
