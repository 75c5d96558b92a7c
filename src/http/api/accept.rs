//! `Accept`: a caller that takes no JSON is told so before anything is done (RFC 9110 §12.5.1).

use axum::extract::Request;
use http::HeaderMap;
use http::header::ACCEPT;

use super::body::media_type;
use super::check::{JSON_LINES, LINES};
use super::problem::{Kind, Problem};

/// What is wrong with a call whose answer the caller would not take.
pub(super) fn refusal(request: &Request) -> Option<Problem> {
    let path = request.uri().path();
    // Raw bytes are what they are; sums have a second form, and choose by themselves.
    if !path.starts_with("/v1/") || path.ends_with("/raw") || path == "/v1/stats" {
        return None;
    }
    let answers = answers(path, request.headers());
    (!takes(request.headers(), answers)).then(|| {
        let detail = format!("this call answers {answers}");
        Problem::new(Kind::NotAcceptable, detail)
    })
}

/// The media type of the answer: JSON, or lines to lines.
fn answers(path: &str, headers: &HeaderMap) -> &'static str {
    let sent = media_type(headers);
    let lines = [LINES, JSON_LINES].into_iter();
    let mut lines = lines.filter(|lines| path == "/v1/check" && sent.as_deref() == Some(lines));
    lines.next().unwrap_or("application/json")
}

/// Whether an answer of this media type would be taken. No `Accept` takes everything; of several
/// ranges that match the most specific decides.
pub(super) fn takes(headers: &HeaderMap, answers: &str) -> bool {
    let mut ranges = headers.get_all(ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| matching(range, answers))
        .max_by_key(|(specific, _)| *specific)
        .is_some_and(|(_, taken)| taken)
}

/// How specifically a range means that media type, and whether its weight is above 0.
fn matching(range: &str, answers: &str) -> Option<(u8, bool)> {
    let mut parts = range.split(';').map(str::trim);
    let wanted = parts.next()?.to_ascii_lowercase();
    let specific = if wanted == answers {
        2
    } else if wanted == "*/*" {
        0
    } else {
        let all = wanted.strip_suffix("/*")?;
        answers.strip_prefix(all)?.strip_prefix('/').map(|_| 1)?
    };
    let refused = parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .any(|(_, weight)| {
            weight
                .trim()
                .parse::<f32>()
                .is_ok_and(|weight| weight <= 0.0)
        });
    Some((specific, !refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_read_with_weights_and_specificity() {
        // G-011
        let taken = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, text.parse().unwrap());
            takes(&headers, "application/json")
        };
        assert!(takes(&HeaderMap::new(), "application/json"));
        assert!(taken("*/*"));
        assert!(!taken("app/*"));
        assert!(taken("text/html, application/*;q=0.1"));
        assert!(taken("Application/JSON; q=0.5"));
        assert!(!taken("text/html"));
        assert!(!taken("application/json;q=0"));
        assert!(!taken("*/*, application/json;q=0.0"));
    }

    #[test]
    fn lines_are_answered_by_lines() {
        for (path, sent, expected) in [
            ("/v1/check", "text/plain; charset=utf-8", LINES),
            ("/v1/check", "application/x-ndjson", JSON_LINES),
            ("/v1/check", "application/json", "application/json"),
            ("/v1/tokens", "text/plain", "application/json"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::CONTENT_TYPE, sent.parse().unwrap());
            assert_eq!(answers(path, &headers), expected, "{path} {sent}");
            headers.insert(ACCEPT, expected.parse().unwrap());
            assert!(takes(&headers, expected));
            headers.insert(ACCEPT, "image/png".parse().unwrap());
            assert!(!takes(&headers, expected));
        }
    }
}
