//! The tenant: one sending organisation.

use std::fmt;

use super::hidden::is_hidden;

/// Number of a tenant: 1 to 16,777,215 (three bytes in the token).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(u32);

/// A number outside 1 to 16,777,215.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant's number is from 1 to 16777215, not {0}")]
pub struct NoTenantId(pub i64);

impl TenantId {
    /// The tenant of a fresh installation, named `default`.
    pub const DEFAULT: Self = Self(1);
    /// The largest number that three bytes hold.
    pub const MAX: u32 = 0x00ff_ffff;

    /// Checks the range.
    pub const fn new(number: u32) -> Option<Self> {
        if number >= 1 && number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for TenantId {
    type Error = NoTenantId;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        u32::try_from(number)
            .ok()
            .and_then(Self::new)
            .ok_or(NoTenantId(number))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Longest name of a tenant or stream, in characters.
const LONGEST_NAME: usize = 64;

/// Whether a text can name a tenant or a stream: 1 to 64 characters of `a-z0-9._-`, so that it
/// fits a log field, a header and a command line.
pub fn is_name(text: &str) -> bool {
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(known)
}

/// Longest title of a tenant or stream, in characters.
const LONGEST_TITLE: usize = 100;

/// Whether a text can be the title of a tenant or a stream: 1 to 100 characters that show, not all
/// of them white space. It is for readers, in any script.
pub fn is_title(text: &str) -> bool {
    text.chars().count() <= LONGEST_TITLE && !text.trim().is_empty() && !text.chars().any(is_hidden)
}

/// One sending organisation; owns keys, streams, mailboxes and suppressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its number.
    pub id: TenantId,
    /// Its unique name, 1 to 64 characters of `a-z0-9._-`.
    pub name: String,
    /// The domain that its tokens are minted on; `None`: the first of `[smtp] domains`.
    pub domain: Option<String>,
    /// What readers know it by, 1 to 100 characters; `None`: its name. Put as `None` it stays as it
    /// is, put as an empty text it is forgotten.
    pub title: Option<String>,
}

impl Tenant {
    /// What readers know it by.
    pub fn shown(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_can_be_read() {
        let longest = "ä".repeat(LONGEST_TITLE);
        for good in ["A", "Bücher & mehr", "週刊ニュース", "<b>", &longest] {
            assert!(is_title(good), "{good:?}");
        }
        let long = "x".repeat(LONGEST_TITLE + 1);
        for bad in ["", " ", "a\nb", "a\u{202e}b", "\u{feff}", &long] {
            assert!(!is_title(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_fit_everywhere() {
        for good in ["a", "0", "mail.2026_q1-news", &"x".repeat(LONGEST_NAME)] {
            assert!(is_name(good), "{good:?}");
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for bad in ["", "A", "a b", "a/b", "\u{fc}", "a\n", "*", &long] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
