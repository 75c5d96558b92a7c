//! Reverse-paths and forward-paths (RFC 5321 §4.1.2, RFC 6531 §3.3).

use super::limits::Limits;

/// A mailbox between angle brackets, source route removed (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    local: String,
    domain: String,
}

impl Path {
    /// As received, without angle brackets and source route: quotes and letter case are kept.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The content of the local part: without quotes and escapes.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain or address literal as received; empty if there is none.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether it needs `SMTPUTF8`.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// Splits `<path>` from the front of `text`. The path is `None` for `<>`; the whole is `None`
    /// if there is no well-formed path within the limits.
    pub fn parse<'a>(text: &'a str, limits: &Limits) -> Option<(Option<Self>, &'a str)> {
        let text = text.strip_prefix('<')?;
        if let Some(rest) = text.strip_prefix('>') {
            return Some((None, rest));
        }
        let mailbox = strip_route(text)?;
        let (local, rest) = split_local(mailbox)?;
        let (domain, rest) = match rest.strip_prefix('@') {
            Some(rest) => split_domain(rest)?,
            None => ("", rest),
        };
        let rest = rest.strip_prefix('>')?;
        let raw_local = mailbox.len() - rest.len() - 1 - domain.len();
        if raw_local > limits.local_part.saturating_add(1) || domain.len() > limits.domain {
            return None;
        }
        let text = mailbox.get(..mailbox.len() - rest.len() - 1)?.to_owned();
        Some((
            Some(Self {
                text,
                local,
                domain: domain.to_owned(),
            }),
            rest,
        ))
    }
}

/// Removes `@one,@two:`; what it names is ignored.
fn strip_route(text: &str) -> Option<&str> {
    if !text.starts_with('@') {
        return Some(text);
    }
    let (route, mailbox) = text.split_once(':')?;
    let hops = route.split(',').all(|hop| {
        hop.strip_prefix('@')
            .and_then(split_domain)
            .is_some_and(|(domain, rest)| !domain.is_empty() && rest.is_empty())
    });
    hops.then_some(mailbox)
}

/// The content of a local part, and what follows it.
fn split_local(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_local(c)).unwrap_or(text.len());
        let (local, rest) = text.split_at_checked(end)?;
        return (!local.is_empty()).then(|| (local.to_owned(), rest));
    };
    let mut content = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((content, chars.as_str())),
            '\\' => content.push(chars.next()?),
            other => content.push(other),
        }
    }
}

/// A domain or an address literal, and what follows it.
fn split_domain(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(|c: char| !is_domain(c)).unwrap_or(text.len())
    };
    let (domain, rest) = text.split_at_checked(end)?;
    let literal = domain.starts_with('[') && !domain.contains([' ', '<', '>', '"', '\\', '@']);
    let name = !domain.is_empty() && !domain.starts_with(['.', '[']) && !domain.contains("..");
    (literal || name).then_some((domain, rest))
}

/// Wider than RFC 5321's dot-string: `a..b` and `a.` are given out by carriers.
const fn is_local(c: char) -> bool {
    match c {
        '<' | '>' | '(' | ')' | '[' | ']' | '\\' | ',' | ';' | ':' | '@' | '"' => false,
        _ => !c.is_ascii() || c.is_ascii_graphic(),
    }
}

const fn is_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole path, its local part and its domain.
    fn parse(text: &str) -> (String, String, String) {
        let (path, rest) = Path::parse(text, &Limits::default()).unwrap();
        assert_eq!(rest, "");
        let path = path.unwrap();
        (path.text, path.local, path.domain)
    }

    fn own(text: &str, local: &str, domain: &str) -> (String, String, String) {
        (text.to_owned(), local.to_owned(), domain.to_owned())
    }

    #[test]
    fn reads_paths_as_received() {
        // A-010: case is kept.
        assert_eq!(parse("<A@B.example>"), own("A@B.example", "A", "B.example"));
        // A-035: a source route is dropped.
        assert_eq!(parse("<@evil.example:u@b.c>"), own("u@b.c", "u", "b.c"));
        assert_eq!(parse("<@a.b,@[192.0.2.1]:u@b.c>"), own("u@b.c", "u", "b.c"));
        assert_eq!(parse("<\"a@b\"@c.d>"), own("\"a@b\"@c.d", "a@b", "c.d"));
        assert_eq!(
            parse(r#"<"a\"\\ >"@c.d>"#),
            own(r#""a\"\\ >"@c.d"#, "a\"\\ >", "c.d")
        );
        assert_eq!(parse("<Postmaster>"), own("Postmaster", "Postmaster", ""));
        assert_eq!(
            parse("<u@[IPv6:2001:db8::1]>"),
            own("u@[IPv6:2001:db8::1]", "u", "[IPv6:2001:db8::1]")
        );
        assert_eq!(
            parse("<a..b@docomo.example>"),
            own("a..b@docomo.example", "a..b", "docomo.example")
        );
        assert_eq!(
            parse("<δ@b\u{fc}cher.example>"),
            own("δ@b\u{fc}cher.example", "δ", "b\u{fc}cher.example")
        );
        assert_eq!(Path::parse("<> X", &Limits::default()), Some((None, " X")));
    }

    #[test]
    fn refuses_what_is_no_path() {
        for text in [
            "",
            "a@b",
            "<a@b",
            "<a@>",
            "<@b>",
            "<@b:>",
            "<a b@c>",
            "<a@b c>",
            "<a@b@c>",
            "<a@@b>",
            "<\"a@b>",
            "<\"a\"b@c>",
            "<a@.b>",
            "<a@b..c>",
            "<a@[1.2.3.4>",
            "<a@[1 2]>",
            "<<a@b>>",
            "<@a;b:c@d>",
            "<a,b@c>",
            "<a(b)@c>",
            "<a\u{1}@c>",
            "<\"\\",
        ] {
            assert_eq!(Path::parse(text, &Limits::default()), None, "{text:?}");
        }
    }

    #[test]
    fn bounds_the_parts() {
        // A-022: 64 and 100 octets are fine; 256 is ours.
        for (length, fits) in [(64, true), (100, true), (256, true), (257, false)] {
            let path = format!("<{}@b.example>", "a".repeat(length));
            assert_eq!(
                Path::parse(&path, &Limits::default()).is_some(),
                fits,
                "{length}"
            );
        }
        for (length, fits) in [(255, true), (256, false)] {
            let path = format!("<a@{}>", "b".repeat(length));
            assert_eq!(
                Path::parse(&path, &Limits::default()).is_some(),
                fits,
                "{length}"
            );
        }
    }
}
