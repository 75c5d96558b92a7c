//! Enhanced status codes and reply codes, and the patterns that rules name them by.

use crate::report::reply;
use crate::report::status::Outcome;

/// An enhanced status code (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// 2, 4 or 5.
    pub class: u16,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl Code {
    /// Reads `class.subject.detail`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            class: next()?,
            subject: next()?,
            detail: next()?,
        })
    }

    /// The code that counts for an outcome: the one that the refusing server itself gave, else the
    /// notification's. The server knows; who reports it may only say that it gave up.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let said = outcome.diagnostic.as_deref().unwrap_or_default();
        let quoted = reply::codes(said)
            .enhanced
            .and_then(|code| Self::parse(&code));
        let given = outcome.status.as_deref().and_then(Self::parse);
        match (quoted, given) {
            (Some(quoted), Some(given)) if quoted.is_vague() && !given.is_vague() => Some(given),
            (Some(quoted), _) => Some(quoted),
            (None, given) => given,
        }
    }

    /// Whether it names nothing but its class.
    pub const fn is_vague(self) -> bool {
        self.subject == 0
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Codes that a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodePattern {
    class: Option<u16>,
    subject: Option<u16>,
    detail: (u16, u16),
}

impl CodePattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let mut parts = text.split('.');
            let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
            let any = |part: &str| matches!(part, "x" | "*");
            let number = |part: &str| part.parse::<u16>().ok().filter(|number| *number <= 999);
            let one = |part: &str| {
                if any(part) {
                    Some(None)
                } else {
                    number(part).map(Some)
                }
            };
            let detail = match detail.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None if any(detail) => (0, 999),
                None => (number(detail)?, number(detail)?),
            };
            parts.next().is_none().then_some(Self {
                class: one(class)?,
                subject: one(subject)?,
                detail,
            })
        };
        read().ok_or_else(|| {
            format!("{text:?} is no pattern of status codes such as 5.1.1, x.7.* or 5.7.600-649")
        })
    }

    pub(super) fn fits(&self, code: Code) -> bool {
        self.class.is_none_or(|class| class == code.class)
            && self.subject.is_none_or(|subject| subject == code.subject)
            && (self.detail.0..=self.detail.1).contains(&code.detail)
    }
}

/// Reply codes that a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReplyPattern(u16, u16);

impl ReplyPattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no pattern of reply codes such as 550 or 5xx");
        if let Some(class) = text.strip_suffix("xx") {
            let class: u16 = class.parse().map_err(|_| wrong())?;
            let known = (2..=5).contains(&class).then_some(class * 100);
            return known.map(|from| Self(from, from + 99)).ok_or_else(wrong);
        }
        let code = text.parse().map_err(|_| wrong())?;
        if (200..600).contains(&code) {
            Ok(Self(code, code))
        } else {
            Err(wrong())
        }
    }

    pub(super) fn fits(&self, code: u16) -> bool {
        (self.0..=self.1).contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D-011, D-060
    #[test]
    fn patterns_name_codes() {
        for (pattern, fits, misses) in [
            ("5.1.1", "5.1.1", "4.1.1"),
            ("x.1.1", "4.1.1", "4.1.2"),
            ("5.7.*", "5.7.606", "5.1.1"),
            ("x.7.600-649", "5.7.606", "5.7.650"),
        ] {
            let pattern = CodePattern::parse(pattern).unwrap();
            assert!(pattern.fits(Code::parse(fits).unwrap()));
            assert!(!pattern.fits(Code::parse(misses).unwrap()));
        }
        for wrong in ["5.1", "5.1.1.1", "a.b.c", "5.1.1000", ""] {
            assert!(CodePattern::parse(wrong).is_err(), "{wrong}");
        }
        assert!(ReplyPattern::parse("5xx").unwrap().fits(599));
        assert!(!ReplyPattern::parse("5xx").unwrap().fits(499));
        assert!(ReplyPattern::parse("550").unwrap().fits(550));
        for wrong in ["9xx", "xx", "600", "abc", ""] {
            assert!(ReplyPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
