//! `Content-Type` (RFC 2045 §5.1, continuations of RFC 2231 §3): read leniently, compared without
//! case.

use super::header::Header;

/// Characters of one field value that are read.
const MAX_VALUE: usize = 8 * 1024;

/// Parameters of one field that are read.
const MAX_PARAMETERS: usize = 64;

/// What a message or part says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    essence: String,
    parameters: Vec<(String, String)>,
}

impl Media {
    /// Reads the field of `header`; `default` if there is none or none that can be read.
    pub fn of(header: &Header, default: &str) -> Self {
        header
            .first("content-type")
            .and_then(|value| Self::parse(&value))
            .unwrap_or_else(|| Self {
                essence: default.to_owned(),
                parameters: Vec::new(),
            })
    }

    /// Reads one field value.
    pub fn parse(value: &str) -> Option<Self> {
        let mut pieces = pieces(value).into_iter();
        let essence: String = pieces
            .next()?
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .collect();
        if !essence.contains('/') {
            return None;
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        for piece in pieces.take(MAX_PARAMETERS) {
            let Some((name, value)) = piece.split_once('=') else {
                continue;
            };
            let name = name.trim().to_ascii_lowercase();
            let (base, continued) = match name.split_once('*') {
                Some((base, _)) => (base.to_owned(), true),
                None => (name, false),
            };
            let value = value.trim();
            match parameters.iter_mut().find(|(known, _)| *known == base) {
                Some((_, so_far)) if continued => so_far.push_str(value),
                Some(_) => {}
                None => parameters.push((base, value.to_owned())),
            }
        }
        Some(Self {
            essence: essence.to_ascii_lowercase(),
            parameters,
        })
    }

    /// `type/subtype`, lower-case.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Whether it is that `type/subtype`, given in lower case.
    pub fn is(&self, essence: &str) -> bool {
        self.essence == essence
    }

    /// Whether its type is `multipart`.
    pub fn is_multipart(&self) -> bool {
        self.essence.starts_with("multipart/")
    }

    /// Whether its type is `text`.
    pub fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
    }

    /// A parameter's value, without quotes. `name` is lower-case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The `report-type` of a `multipart/report` (RFC 6522 §3), lower-case.
    pub fn report_type(&self) -> Option<String> {
        self.is("multipart/report")
            .then(|| self.parameter("report-type").map(str::to_ascii_lowercase))
            .flatten()
    }
}

/// Splits at semicolons outside quotes; comments and the quotes themselves are removed, and so is what
/// stands behind the quoted value of a parameter, which belongs to nothing.
fn pieces(value: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut quoted = false;
    let mut ended = false;
    let mut comments = 0_u32;
    let mut chars = value.chars().take(MAX_VALUE);
    while let Some(char) = chars.next() {
        let literal = match char {
            '\\' if quoted || comments > 0 => chars.next(),
            '"' if comments == 0 && !ended => {
                ended = quoted && pieces.last().is_some_and(|piece| piece.contains('='));
                quoted = !quoted;
                None
            }
            '(' if !quoted => {
                comments = comments.saturating_add(1);
                None
            }
            ')' if !quoted && comments > 0 => {
                comments -= 1;
                None
            }
            ';' if !quoted && comments == 0 => {
                pieces.push(String::new());
                ended = false;
                None
            }
            other => Some(other),
        };
        if let (Some(char), 0, false, Some(piece)) = (literal, comments, ended, pieces.last_mut()) {
            piece.push(char);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    // B-001
    #[test]
    fn names_and_values_compare_without_case_in_any_order() {
        let (header, _) = Header::scan(
            b"Content-Type: Multipart/REPORT;\r\n\tBoundary=\"x;y\";\r\n (comment; here) Report-Type=\"Feedback-Report\"\r\n",
        );
        let media = Media::of(&header, "text/plain");
        assert_eq!(media.essence(), "multipart/report");
        assert_eq!(media.report_type().as_deref(), Some("feedback-report"));
        assert_eq!(media.parameter("boundary"), Some("x;y"));
    }

    #[test]
    fn continuations_are_joined_and_nonsense_is_the_default() {
        let media = Media::parse("text/plain; a*0=\"b\"; a*1=c; d; e=\"f\\\"g").unwrap();
        assert_eq!(media.parameter("a"), Some("bc"));
        assert_eq!(media.parameter("d"), None);
        assert_eq!(media.parameter("e"), Some("f\"g"));
        assert_eq!(Media::parse("nothing"), None);
        assert!(Media::of(&Header::default(), "text/plain").is_text());
    }

    #[test]
    fn what_stands_behind_a_quoted_value_belongs_to_nothing() {
        for junk in ["/mx.example", " x", "\"y\"", "=z", " (comment) w"] {
            let text = format!("multipart/report; boundary=\"b;1\"{junk}; report-type=x");
            let media = Media::parse(&text).unwrap();
            assert_eq!(media.parameter("boundary"), Some("b;1"), "{junk}");
            assert_eq!(media.parameter("report-type"), Some("x"), "{junk}");
        }
        // A quote within is a part of the value.
        let media = Media::parse("text/plain; a=b\"c\"").unwrap();
        assert_eq!(media.parameter("a"), Some("bc"));
    }
}
