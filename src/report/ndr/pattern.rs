//! How a line names a recipient: a small language of literal text and places, without case, any
//! white space for a space.

/// What a line was found to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// An address.
    pub(super) address: Option<String>,
    /// A local part alone.
    pub(super) name: Option<String>,
    /// What the line says beside.
    pub(super) reason: Option<String>,
    /// Whether the line says more than whom it is about.
    pub(super) says: bool,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    says: bool,
    /// Whether an address is a piece of it, so that most lines are seen not to fit at a glance.
    address: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Lower-case, without white space at its ends.
    Text(String),
    Address,
    Name,
    Code,
    Any,
    Reason,
}

impl Pattern {
    /// Compiles a pattern; the error names the place that is unknown.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else {
                return Err(format!("{text:?}: a brace is not closed"));
            };
            push_text(&mut pieces, before);
            pieces.push(match place {
                "address" => Piece::Address,
                "name" => Piece::Name,
                "code" => Piece::Code,
                "reason" => Piece::Reason,
                "" => Piece::Any,
                other => return Err(format!("{text:?}: unknown place {{{other}}}")),
            });
            rest = after;
        }
        push_text(&mut pieces, rest);
        let has_words = |piece: &Piece| matches!(piece, Piece::Text(text) if text.chars().any(char::is_alphabetic));
        let says = pieces.iter().any(has_words);
        Ok(Self {
            address: pieces.contains(&Piece::Address),
            pieces,
            says,
        })
    }

    /// What `line`, without white space at its ends, says; `None` if it has another form.
    pub(super) fn matches(&self, line: &str) -> Option<Found> {
        if self.address && memchr::memchr(b'@', line.as_bytes()).is_none() {
            return None;
        }
        let mut found = Found {
            says: self.says,
            ..Found::default()
        };
        let mut rest = line;
        let mut open = false;
        for piece in &self.pieces {
            rest = rest.trim_start();
            rest = match piece {
                Piece::Text(text) if open => find_text(rest, text)?,
                Piece::Text(text) => after_text(rest, text)?,
                Piece::Any => {
                    open = true;
                    continue;
                }
                Piece::Address => {
                    let (address, after) = leading_address(rest)?;
                    found.address = Some(address);
                    after
                }
                Piece::Name => {
                    let name = rest.split_whitespace().next()?;
                    if name.contains(['@', '<', '>', ':', '"'])
                        || !name.starts_with(|c: char| c.is_alphanumeric())
                    {
                        return None;
                    }
                    found.name = Some(name.to_owned());
                    rest.get(name.len()..)?
                }
                Piece::Code => {
                    let digits = rest
                        .get(..3)
                        .filter(|code| code.bytes().all(|b| b.is_ascii_digit()))?;
                    rest.get(digits.len()..)?
                }
                Piece::Reason => {
                    found.reason = Some(rest.trim().to_owned());
                    ""
                }
            };
            open = false;
        }
        (open || rest.trim().is_empty()).then_some(found)
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    let text = text.trim().to_lowercase();
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// What stands behind `text`, lower-case, at the beginning of `rest`.
fn after_text<'a>(rest: &'a str, text: &str) -> Option<&'a str> {
    let mut left = rest;
    for wanted in text.chars() {
        let mut chars = left.chars();
        let given = chars.next()?;
        if wanted == ' ' {
            if !given.is_whitespace() {
                return None;
            }
            left = chars.as_str().trim_start();
        } else if given == wanted || given.to_lowercase().eq(std::iter::once(wanted)) {
            left = chars.as_str();
        } else {
            return None;
        }
    }
    Some(left)
}

/// The same anywhere in `rest`.
fn find_text<'a>(rest: &'a str, text: &str) -> Option<&'a str> {
    let starts = rest.char_indices().take(MAX_SEARCH).map(|(at, _)| at);
    starts
        .filter_map(|at| rest.get(at..))
        .find_map(|tail| after_text(tail, text))
}

/// Characters of one line in which a text behind `{}` is looked for.
const MAX_SEARCH: usize = 512;

/// An address at the beginning of a text, in brackets or quotes or bare, and what stands behind it.
fn leading_address(text: &str) -> Option<(String, &str)> {
    let inner = text.trim_start_matches(['<', '"', '\'']);
    let quoted = inner.len() < text.len();
    let end = inner
        .find(|c: char| {
            c.is_whitespace() || matches!(c, '<' | '>' | '"' | ',' | ';' | '(' | ')' | '[' | ']')
        })
        .unwrap_or(inner.len());
    let (word, after) = inner.split_at_checked(end)?;
    let bare = word.trim_end_matches([':', '.', ',', '\'']);
    let address = address(bare)?;
    let left = word.len() - bare.len();
    let after = if left > 0 {
        inner.get(bare.len()..)?
    } else if quoted {
        after.trim_start_matches(['>', '"'])
    } else {
        after
    };
    Some((address, after))
}

/// A word that can be an address, without brackets.
pub(super) fn address(word: &str) -> Option<String> {
    let bare = word.trim_matches(['<', '>', '"', '\'', ',', ';']);
    let (local, domain) = bare.rsplit_once('@')?;
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    let whole = !local.is_empty() && !domain.is_empty() && bare.len() <= 512;
    let plain = !local.contains(['<', '>', '(', ')', ',', ';', ':', '"', '@'])
        && domain.chars().all(good)
        && domain.starts_with(|c: char| c.is_alphanumeric() || c == '[');
    (whole && plain).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str, line: &str) -> Option<(Option<String>, Option<String>)> {
        let found = Pattern::parse(pattern).unwrap().matches(line)?;
        Some((found.address.or(found.name), found.reason))
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn a_line_is_read_by_its_pattern() {
        for (pattern, line, address, reason) in [
            ("{address}", "a@b.example", "a@b.example", None),
            ("{address}:", "a@b.example:", "a@b.example", None),
            ("\"{address}\":", "\"a@b.example\":", "a@b.example", None),
            (
                "<{address}>:{reason}",
                "<a..b@b.example>: gone",
                "a..b@b.example",
                Some("gone"),
            ),
            (
                "<{address}>:{reason}",
                "<a@b.example>:",
                "a@b.example",
                Some(""),
            ),
            (
                "<{address}> ({}):{reason}",
                "<a@b.example> (expanded): no",
                "a@b.example",
                Some("no"),
            ),
            (
                "{address} on {}",
                "a@b.example on Thu, 1 May",
                "a@b.example",
                None,
            ),
            (
                "delivery failed {} attempts: {address}",
                "Delivery  failed 20 attempts: a@b.example",
                "a@b.example",
                None,
            ),
            (
                "{code} <{address}>...{reason}",
                "550 <a@b.example>... User unknown",
                "a@b.example",
                Some("User unknown"),
            ),
            ("{name}", "someone", "someone", None),
            (
                "recipient: [smtp:{address}]",
                "Recipient: [SMTP:a@b.example]",
                "a@b.example",
                None,
            ),
            ("-- {address}", "-- a@b.example", "a@b.example", None),
            (
                "{address}. {reason}",
                "a@b.example. Not here",
                "a@b.example",
                Some("Not here"),
            ),
            ("{address}", "\u{3b4}@b.example", "\u{3b4}@b.example", None),
        ] {
            let expected = (Some(address.to_owned()), reason.map(str::to_owned));
            assert_eq!(of(pattern, line), Some(expected), "{pattern} {line}");
        }
        for (pattern, line) in [
            ("{address}", "a@b.example and more"),
            ("{address}", "no address"),
            ("<{address}>:{reason}", "a@b.example: gone"),
            (
                "{code} {address}...{reason}",
                "550 b.example (smtp)... gone",
            ),
            ("{name}", "two words"),
            ("{address}", "@b.example"),
            ("{address}", "a@"),
        ] {
            assert_eq!(of(pattern, line), None, "{pattern} {line}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        assert!(Pattern::parse("{adress}").is_err());
        assert!(Pattern::parse("{address").is_err());
    }
}
