//! What a one-click request says, read leniently.

use http::{HeaderMap, HeaderName};

use crate::token::finder::percent_decoded;

/// The text of the token in a path `/u/TOKEN`, with or without slash at its end. Mail software
/// encodes and decodes links as it likes, so what is percent-encoded is decoded (RFC 3986 §2.1).
/// `None` if that is no text.
///
/// The token is looked for in that text, and whatever else stands there is passed over: a mail
/// program glues a full stop, a bracket or the next word to a link, and an opt-out that is lost for
/// it is worse than a link that is read too kindly. It gives nobody more than the link itself: the
/// MAC must be right, and what counts is the token, not the text around it.
pub(super) fn token_text(path: &str) -> Option<String> {
    let decoded = percent_decoded(path.strip_prefix("/u/")?.as_bytes());
    Some(
        std::str::from_utf8(&decoded)
            .ok()?
            .trim_matches('/')
            .to_owned(),
    )
}

/// Whether the answer is to be shown to a reader: browsers name HTML, mail providers do not.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::ACCEPT).iter().any(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .windows(9)
            .any(|w| w == b"text/html")
    })
}

/// A field's first value, with what is no UTF-8 replaced.
pub(super) fn first_value(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_every_form_of_its_path() {
        // C-005, C-015
        for (path, text) in [
            ("/u/abc", Some("abc")),
            ("/u/abc/", Some("abc")),
            ("/u//abc//", Some("abc")),
            ("/u/ABC", Some("ABC")),
            ("/u/%61b%63", Some("abc")),
            ("/u/abc%2F", Some("abc")),
            ("/u/a%b%4", Some("a%b%4")),
            ("/u/%", Some("%")),
            ("/u/", Some("")),
            ("/u/%ff%fe", None),
            ("/v/abc", None),
        ] {
            assert_eq!(token_text(path).as_deref(), text, "{path}");
        }
    }

    #[test]
    fn browsers_and_machines_are_told_apart() {
        for (accept, page) in [
            ("text/html,application/xhtml+xml;q=0.9", true),
            ("Text/HTML", true),
            ("*/*", false),
        ] {
            let headers = HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_page(&headers), page, "{accept}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
