//! The canonical address: the one form by which two spellings of an address are the same.
//!
//! White space around it is trimmed and it is split at the last `@`. The local part is unquoted
//! where it can be, else quoted with the fewest escapes (RFC 5321 §4.1.2); every code point is
//! lower-cased by itself, without rules of language or context, and the result is brought into NFC
//! (RFC 6532 §3.1). The domain loses its trailing dot and becomes lower-case A-labels (UTS #46,
//! non-transitional, neither STD3 rules nor hyphen checks). Tags and dots of the local part are
//! kept: what they mean is known to the provider alone.
//!
//! For an address in ASCII all this is "trim and lower-case". Addresses that strict parsers refuse
//! but carriers have given out (two dots in a row, a dot before the `@`) are addresses; quotes
//! around such a local part are dropped like those around any other that is readable without them.
//! Anything that is no address is an error, never a guess.

use std::borrow::Cow;
use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization as _;

/// A canonical address, from which the recipient key is made. Two values are equal exactly if they
/// mean the same recipient; look-alike letters of different scripts are different.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(String);

/// Why a text is no address. Says which rule was broken and never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AddressError {
    /// Nothing but white space.
    #[error("the address is empty")]
    Empty,
    /// The bytes are no UTF-8.
    #[error("the address is not UTF-8")]
    NotUtf8,
    /// More than [`Address::MAX_OCTETS`] in canonical form, or [`Address::MAX_GIVEN`] as given.
    #[error("an address has at most {} octets", Address::MAX_OCTETS)]
    TooLong,
    /// There is no `@`.
    #[error("an address needs an @")]
    NoAt,
    /// Nothing stands before the `@`, or nothing within its quotes.
    #[error("nothing stands before the @")]
    EmptyLocal,
    /// The local part has more than [`Address::MAX_LOCAL`] octets in canonical form.
    #[error("the part before the @ has at most {} octets", Address::MAX_LOCAL)]
    LocalTooLong,
    /// White space within the domain, or within a local part without quotes.
    #[error("white space in the address")]
    Space,
    /// A control character (C0, DEL or C1), quoted or not.
    #[error("a control character in the address")]
    Control,
    /// One of `"(),:;<>@[\]` in a local part without quotes.
    #[error("a character before the @ that needs quotes")]
    NeedsQuotes,
    /// The local part begins with a quote that does not end at the `@`.
    #[error("the quotes before the @ do not close")]
    OpenQuotes,
    /// Nothing stands behind the `@`.
    #[error("nothing stands behind the @")]
    EmptyDomain,
    /// The domain has an empty label: two dots in a row, or one at its beginning.
    #[error("the domain has an empty label")]
    EmptyLabel,
    /// An IP address in brackets instead of a domain (RFC 5321 §4.1.3).
    #[error("an address literal instead of a domain")]
    Literal,
    /// The domain has a character other than letters, digits, dot, hyphen and underscore.
    #[error("a character in the domain that no domain has")]
    DomainCharacter,
    /// The domain is not valid by UTS #46.
    #[error("the international domain is not valid")]
    InvalidDomain,
}

impl Address {
    /// Octets of a local part in canonical form, quotes and escapes included. Wider than the 64 of
    /// RFC 5321 §4.5.3.1.1, because longer ones are in use.
    pub const MAX_LOCAL: usize = 256;
    /// Octets of a whole canonical address.
    pub const MAX_OCTETS: usize = 512;
    /// Octets of a text that is read at all, white space around it not counted: bounds the work for
    /// texts that would shrink into an address.
    pub const MAX_GIVEN: usize = 2048;

    /// Reads an address and brings it into canonical form.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut reader = AddressReader::default();
        reader.read(text)?;
        Ok(reader.0)
    }

    /// All rules, for what is not [`plain`].
    fn parse_any(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > Self::MAX_GIVEN {
            return Err(AddressError::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(AddressError::Control);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        let local = canonical_local(local)?;
        let domain = canonical_domain(domain)?;
        if local.len() > Self::MAX_LOCAL {
            return Err(AddressError::LocalTooLong);
        }
        let whole = format!("{local}@{domain}");
        if whole.len() > Self::MAX_OCTETS {
            Err(AddressError::TooLong)
        } else {
            Ok(Self(whole))
        }
    }

    /// Like [`Address::parse`], for bytes as they come from a mail or a file.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        std::str::from_utf8(bytes)
            .map_err(|_error| AddressError::NotUtf8)
            .and_then(Self::parse)
    }

    /// The whole canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last `@`, quoted if it must be.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part behind the last `@`: lower-case A-labels.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Reads many addresses into the same room.
#[derive(Debug)]
pub struct AddressReader(Address);

impl Default for AddressReader {
    fn default() -> Self {
        Self(Address(String::new()))
    }
}

impl AddressReader {
    /// Reads an address, as [`Address::parse`] does.
    pub fn read(&mut self, text: &str) -> Result<&Address, AddressError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if plain(text, &mut self.0.0).is_none() {
            self.0 = Address::parse_any(text)?;
        }
        Ok(&self.0)
    }
}

/// The canonical form of an address that only needs lower-casing, as nearly all do; `None` if other
/// rules are needed to tell.
fn plain(text: &str, whole: &mut String) -> Option<()> {
    let (local, domain) = text.rsplit_once('@')?;
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let length = local.len() + 1 + domain.len();
    if local.is_empty() || local.len() > Address::MAX_LOCAL || length > Address::MAX_OCTETS {
        return None;
    }
    let mut begins = true;
    for byte in domain.bytes() {
        // A label may not be empty.
        if byte == b'.' && begins || !is_domain_byte(byte) {
            return None;
        }
        begins = byte == b'.';
    }
    if begins
        || !local
            .bytes()
            .all(|byte| stands_bare(char::from(byte)) && byte.is_ascii())
    {
        return None;
    }
    whole.clear();
    whole.reserve(length);
    whole.push_str(local);
    whole.push('@');
    whole.push_str(domain);
    whole.make_ascii_lowercase();
    Some(())
}

const fn is_domain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn canonical_local(given: &str) -> Result<String, AddressError> {
    let content = match given.strip_prefix('"') {
        Some(rest) => fold(&unquote(rest)?),
        None => {
            check_bare(given)?;
            let folded = fold(given);
            // NFC turns some characters beyond ASCII into ASCII specials (U+037E is `;`).
            check_bare(&folded)?;
            folded
        }
    };
    if content.is_empty() {
        Err(AddressError::EmptyLocal)
    } else if content.chars().all(stands_bare) {
        Ok(content)
    } else {
        Ok(quote(&content))
    }
}

/// The content of a quoted string whose opening quote is gone (RFC 5321 §4.1.2, `Quoted-string`).
fn unquote(rest: &str) -> Result<String, AddressError> {
    let mut content = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next() {
            Some('"') if chars.as_str().is_empty() => return Ok(content),
            Some('"') | None => return Err(AddressError::OpenQuotes),
            Some('\\') => content.push(chars.next().ok_or(AddressError::OpenQuotes)?),
            Some(other) => content.push(other),
        }
    }
}

fn quote(content: &str) -> String {
    let mut quoted = String::with_capacity(content.len() + 4);
    quoted.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Each code point lower-cased by itself, then NFC; never NFKC, so ligatures stay what they are.
fn fold(content: &str) -> String {
    content.chars().flat_map(char::to_lowercase).nfc().collect()
}

fn check_bare(local: &str) -> Result<(), AddressError> {
    if local.contains(char::is_whitespace) {
        Err(AddressError::Space)
    } else if local.chars().all(stands_bare) {
        Ok(())
    } else {
        Err(AddressError::NeedsQuotes)
    }
}

/// Whether a character needs no quotes: `atext`, a dot, or beyond ASCII no white space
/// (RFC 5322 §3.2.3, RFC 6532 §3.2).
fn stands_bare(c: char) -> bool {
    if c.is_ascii() {
        let special = matches!(
            c,
            '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '@' | '[' | '\\' | ']'
        );
        c.is_ascii_graphic() && !special
    } else {
        !c.is_whitespace()
    }
}

fn canonical_domain(given: &str) -> Result<String, AddressError> {
    if given.is_empty() {
        return Err(AddressError::EmptyDomain);
    }
    if given.contains(char::is_whitespace) {
        return Err(AddressError::Space);
    }
    if given.starts_with('[') {
        return Err(AddressError::Literal);
    }
    let ascii = if given.is_ascii() {
        Cow::Borrowed(given)
    } else {
        to_a_labels(given)?
    };
    let domain = ascii
        .strip_suffix('.')
        .unwrap_or(&ascii)
        .to_ascii_lowercase();
    if !domain.bytes().all(is_domain_byte) {
        Err(AddressError::DomainCharacter)
    } else if domain.is_empty() {
        Err(AddressError::EmptyDomain)
    } else if domain.split('.').any(str::is_empty) {
        Err(AddressError::EmptyLabel)
    } else {
        Ok(domain)
    }
}

fn to_a_labels(domain: &str) -> Result<Cow<'_, str>, AddressError> {
    Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::EMPTY,
            Hyphens::Allow,
            DnsLength::Ignore,
        )
        .map_err(|_error| AddressError::InvalidDomain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Result<String, AddressError> {
        Address::parse(text).map(|address| address.0)
    }

    #[test]
    fn spellings_of_one_address_are_the_same() {
        // F-002, F-003, F-004, F-006
        for (given, wanted) in [
            ("alice@example.com", "alice@example.com"),
            ("\t Alice@Example.COM \r\n", "alice@example.com"),
            ("alice@example.com.", "alice@example.com"),
            ("\"alice\"@example.com", "alice@example.com"),
            ("\"a\\l\\ice\"@example.com", "alice@example.com"),
            ("\"al ice\"@example.com", "\"al ice\"@example.com"),
            (
                "\"a\\ b\\\"c\\\\\"@example.com",
                "\"a b\\\"c\\\\\"@example.com",
            ),
            ("\"a@b\"@example.com", "\"a@b\"@example.com"),
            ("\"@\"@example.com", "\"@\"@example.com"),
            ("jose\u{301}@example.com", "jos\u{e9}@example.com"),
            ("JOSE\u{301}@example.com", "jos\u{e9}@example.com"),
            (
                "\u{39f}\u{394}\u{39f}\u{3a3}@example.com",
                "\u{3bf}\u{3b4}\u{3bf}\u{3c3}@example.com",
            ),
            ("I@x", "i@x"),
            ("\u{212a}elvin@x", "kelvin@x"),
            ("a..b@docomo.ne.jp", "a..b@docomo.ne.jp"),
            ("\"a..b\"@docomo.ne.jp", "a..b@docomo.ne.jp"),
            (".a.@ezweb.ne.jp", ".a.@ezweb.ne.jp"),
            ("alice+news@gmail.com", "alice+news@gmail.com"),
            ("a.l.i.c.e@gmail.com", "a.l.i.c.e@gmail.com"),
            ("o'brien{x}|y@example.com", "o'brien{x}|y@example.com"),
            ("u@B\u{fc}cher.example", "u@xn--bcher-kva.example"),
            ("u@xn--bcher-kva.example", "u@xn--bcher-kva.example"),
            (
                "u@b\u{fc}cher\u{3002}example\u{3002}",
                "u@xn--bcher-kva.example",
            ),
            ("u@stra\u{df}e.example", "u@xn--strae-oqa.example"),
            ("u@my_host.example", "u@my_host.example"),
            ("u@-a-.b--c", "u@-a-.b--c"),
            ("u@localhost", "u@localhost"),
            ("u@192.0.2.1", "u@192.0.2.1"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(wanted), "{given:?}");
        }
    }

    #[test]
    fn look_alikes_are_different() {
        // F-003, F-009
        for (one, other) in [
            ("a@example.com", "\u{430}@example.com"),
            ("\u{fb01}@example.com", "fi@example.com"),
            ("\u{131}@example.com", "i@example.com"),
            ("a@strasse.example", "a@stra\u{df}e.example"),
        ] {
            assert_ne!(canonical(one).unwrap(), canonical(other).unwrap());
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let long_local = format!("{}@x", "x".repeat(257));
        let long_domain = format!("x@{}", "y.".repeat(256));
        let endless = "x".repeat(3000);
        for (given, wanted) in [
            ("", AddressError::Empty),
            (" \t\r\n", AddressError::Empty),
            ("alice", AddressError::NoAt),
            ("@example.com", AddressError::EmptyLocal),
            ("\"\"@example.com", AddressError::EmptyLocal),
            ("alice@", AddressError::EmptyDomain),
            ("alice@.", AddressError::EmptyDomain),
            ("a b@example.com", AddressError::Space),
            ("a\u{3000}b@example.com", AddressError::Space),
            ("user@exa mple.com", AddressError::Space),
            ("user@ example.com", AddressError::Space),
            ("user@[192.0.2.1]", AddressError::Literal),
            ("user@[IPv6:2001:db8::1]", AddressError::Literal),
            ("user@ex[ample]", AddressError::DomainCharacter),
            ("user@exam!ple", AddressError::DomainCharacter),
            ("user@\u{ff3b}1\u{ff3d}", AddressError::DomainCharacter),
            ("user@a..b", AddressError::EmptyLabel),
            ("user@.b", AddressError::EmptyLabel),
            ("user@b..", AddressError::EmptyLabel),
            ("user@\u{301}x.example", AddressError::InvalidDomain),
            ("a@b@example.com", AddressError::NeedsQuotes),
            ("<a@example.com", AddressError::NeedsQuotes),
            ("a\u{37e}b@example.com", AddressError::NeedsQuotes),
            ("a\"b@example.com", AddressError::NeedsQuotes),
            ("\"a@example.com", AddressError::OpenQuotes),
            ("\"@example.com", AddressError::OpenQuotes),
            ("\"a\\\"@example.com", AddressError::OpenQuotes),
            ("\"a\"b\"@example.com", AddressError::OpenQuotes),
            ("\"a\".b@example.com", AddressError::OpenQuotes),
            ("a\r\nb@example.com", AddressError::Control),
            ("\"a\tb\"@example.com", AddressError::Control),
            ("a\u{85}b@example.com", AddressError::Control),
            ("a\u{7f}@example.com", AddressError::Control),
            ("a\0@example.com", AddressError::Control),
            (&long_local, AddressError::LocalTooLong),
            (&long_domain, AddressError::TooLong),
            (&endless, AddressError::TooLong),
        ] {
            assert_eq!(canonical(given), Err(wanted), "{given:?}");
        }
        assert_eq!(
            Address::parse_bytes(b"a\xff@example.com"),
            Err(AddressError::NotUtf8)
        );
    }

    #[test]
    fn lengths_are_octets_of_the_canonical_form() {
        // F-005: octets, not characters
        assert!(canonical(&format!("{}@x", "x".repeat(256))).is_ok());
        assert!(canonical(&format!("{}@x", "\u{e9}".repeat(128))).is_ok());
        let long = canonical(&format!("{}@x", "\u{e9}".repeat(129)));
        assert_eq!(long, Err(AddressError::LocalTooLong));
        let domain = format!("{}yy", "y.".repeat(254));
        assert_eq!(canonical(&format!("x@{domain}")).unwrap().len(), 512);
        assert_eq!(
            canonical(&format!("xx@{domain}")),
            Err(AddressError::TooLong)
        );
    }

    #[test]
    fn parts_are_those_around_the_last_at() {
        let address = Address::parse("\"a@b\"@Example.com").unwrap();
        assert_eq!(
            (address.local(), address.domain()),
            ("\"a@b\"", "example.com")
        );
        assert_eq!(address.to_string(), address.as_str());
        assert_eq!(
            Address::parse_bytes(address.as_str().as_bytes()),
            Ok(address)
        );
    }

    #[test]
    fn every_character_is_stable_once_canonical() {
        // Nothing beyond is lower-cased or composed.
        for c in '\0'..='\u{2ffff}' {
            for given in [format!("a{c}@x"), format!("\"{c}\"@x")] {
                if let Ok(once) = canonical(&given) {
                    assert_eq!(canonical(&once), Ok(once.clone()), "{given:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_short_way_says_what_all_rules_say(text in "[a-cA-C0.@_+\"\\- \\\\(]{0,12}|\\PC{0,12}") {
            prop_assert_eq!(Address::parse(&text), {
                let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
                Address::parse_any(text)
            });
        }

        #[test]
        fn never_panics_and_is_idempotent(text in "\\PC{0,20}@\\PC{1,20}", raw in any::<Vec<u8>>()) {
            if let Ok(once) = canonical(&text) {
                prop_assert_eq!(canonical(&once), Ok(once.clone()));
                prop_assert!(once.len() <= Address::MAX_OCTETS);
            }
            // Any bytes at all: an answer, whatever it is.
            prop_assert!(Address::parse_bytes(&raw).map_or(true, |a| a.as_str().contains('@')));
        }

        #[test]
        fn ascii_is_trimmed_and_lower_cased(
            text in "[ \t]{0,2}[a-zA-Z0-9.+_-]{1,20}@[a-zA-Z0-9_-]{1,9}(\\.[a-zA-Z0-9_-]{1,9}){0,3}[ \n]{0,2}",
        ) {
            prop_assert_eq!(canonical(&text), Ok(text.trim().to_ascii_lowercase()));
        }
    }
}
