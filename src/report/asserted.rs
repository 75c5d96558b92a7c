//! Addresses that a mail asserts. Reporters redact and hash them, so not everything with an `@` is
//! one (RFC 6590).

use super::header::Header;
use crate::model::address::Address;

/// Words that stand in an address where somebody removed it.
const REDACTED: [&str; 7] = [
    "redacted",
    "hashed",
    "undisclosed",
    "anonymous",
    "anonymized",
    "anonymised",
    "removed",
];

/// Octets of one value that are read.
const MAX_VALUE: usize = 2_048;

/// The address in a field's value: with or without angle brackets, comments, a type
/// (`rfc822;`, RFC 3464 §2.1.2) or a display name. `None` for redactions and hashes.
pub fn address(value: &str) -> Option<Address> {
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    let mut found = mailboxes(value);
    match (found.pop(), found.is_empty()) {
        (Some(single), true) => plausible(&single),
        _ => None,
    }
}

/// The author, if there is exactly one From field with exactly one mailbox.
pub fn author(header: &Header) -> Option<Address> {
    let mut fields = header.all("from");
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    address(&field.value())
}

/// All addresses of a list, in order; redactions and hashes are left out.
pub fn addresses(value: &str) -> Vec<Address> {
    let list = mailboxes(value);
    list.iter().filter_map(|text| plausible(text)).collect()
}

/// Splits an address list into the bare addresses: comments, quoted names and brackets removed.
fn mailboxes(value: &str) -> Vec<String> {
    let mut list = Vec::new();
    let mut current = Mailbox::default();
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' if current.quoted || current.comments > 0 => {
                current.push('\\');
                current.extend(chars.next());
            }
            '"' if current.comments == 0 => {
                current.quoted = !current.quoted;
                current.push('"');
            }
            '(' if !current.quoted => current.comments = current.comments.saturating_add(1),
            ')' if !current.quoted && current.comments > 0 => current.comments -= 1,
            '<' if !current.quoted && current.comments == 0 => current.open(),
            '>' if !current.quoted && current.comments == 0 => current.bracketed = Some(false),
            ',' | ';' if !current.quoted && current.comments == 0 && !current.is_open() => {
                list.extend(std::mem::take(&mut current).finish(char));
            }
            other => current.push(other),
        }
    }
    list.extend(current.finish(','));
    list
}

#[derive(Default)]
struct Mailbox {
    text: String,
    quoted: bool,
    comments: u32,
    /// Whether the brackets, once begun, are still open.
    bracketed: Option<bool>,
}

impl Mailbox {
    fn push(&mut self, char: char) {
        if self.comments == 0 && self.bracketed != Some(false) {
            self.text.push(char);
        }
    }

    fn extend(&mut self, char: Option<char>) {
        if let Some(char) = char {
            self.push(char);
        }
    }

    /// What stood before the bracket was a display name.
    fn open(&mut self) {
        self.text.clear();
        self.bracketed = Some(true);
    }

    fn is_open(&self) -> bool {
        self.bracketed == Some(true)
    }

    /// `rfc822;` before a semicolon is the type of what follows, not an address.
    fn finish(self, separator: char) -> Option<String> {
        let text = self.text.trim();
        let text = text.strip_prefix("mailto:").unwrap_or(text);
        let is_type = separator == ';'
            && self.bracketed.is_none()
            && ["rfc822", "rfc-822", "utf-8"]
                .iter()
                .any(|t| text.eq_ignore_ascii_case(t));
        (!text.is_empty() && !is_type).then(|| text.to_owned())
    }
}

/// Reads the address and refuses what only has the form of one.
fn plausible(text: &str) -> Option<Address> {
    let address = Address::parse(text).ok()?;
    let local = address.local();
    let hash = matches!(local.len(), 32 | 40 | 64) && local.bytes().all(|b| b.is_ascii_hexdigit());
    let redacted = |part: &str| {
        part.split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| REDACTED.contains(&word))
    };
    let masked = local.len() >= 3
        && local
            .bytes()
            .all(|b| matches!(b, b'x' | b'*' | b'.' | b'-' | b'_'));
    let removed = hash || masked || redacted(local) || redacted(address.domain());
    (!removed).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    // B-013, B-040
    #[test]
    fn addresses_are_told_from_redactions() {
        for given in [
            "<a@b.example>",
            "a@b.example (c)",
            "rfc822; a@b.example",
            "RFC822;<a@b.example>",
            "\"Doe, J.\" <A@b.Example>",
            "a@b.example;",
            "(x, y) a@b.example",
            "mailto:a@b.example",
        ] {
            assert_eq!(address(given).unwrap().as_str(), "a@b.example", "{given}");
        }
        for given in [
            "",
            "<>",
            "redacted@",
            "redacted",
            "redacted@b.example",
            "user-redacted@b.example",
            "a@redacted.invalid",
            "hashed@example.com",
            "undisclosed-recipients:;",
            "a@b.example, c@d.example",
            "xxxxx@b.example",
            "d41d8cd98f00b204e9800998ecf8427e@b.example",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709@b.example",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855@b.example",
        ] {
            assert_eq!(address(given), None, "{given}");
        }
    }

    #[test]
    fn an_author_is_one() {
        let author = |text: &str| author(&Header::scan(text.as_bytes()).0).map(|a| a.to_string());
        assert_eq!(
            author("From: =?utf-8?q?A?= <a@b.example>;\n"),
            Some("a@b.example".to_owned())
        );
        assert_eq!(author("From: a@b.example\nFrom: c@d.example\n"), None);
        assert_eq!(author("From: a@b.example, c@d.example\n"), None);
        assert_eq!(author("To: a@b.example\n"), None);
    }
}
