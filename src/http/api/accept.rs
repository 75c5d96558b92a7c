//! `Accept`: a caller that takes no JSON is told so before anything is done (RFC 9110 §12.5.1).

use axum::extract::Request;
use http::HeaderMap;
use http::header::ACCEPT;

use super::problem::{Kind, Problem};

/// What is wrong with a call whose answer the caller would not take.
pub(super) fn refusal(request: &Request) -> Option<Problem> {
    let path = request.uri().path();
    // Raw bytes are what they are; sums have a second form, and choose by themselves.
    let answers_json = path.starts_with("/v1/") && !path.ends_with("/raw") && path != "/v1/stats";
    (answers_json && !takes_json(request.headers()))
        .then(|| Problem::new(Kind::NotAcceptable, "this call answers application/json"))
}

/// No `Accept` takes everything; of several ranges that match the most specific decides.
fn takes_json(headers: &HeaderMap) -> bool {
    takes(headers, "application/json")
}

/// Whether an answer of this media type would be taken.
pub(super) fn takes(headers: &HeaderMap, media: &str) -> bool {
    let mut ranges = headers.get_all(ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| matching(range, media))
        .max_by_key(|(specific, _)| *specific)
        .is_some_and(|(_, taken)| taken)
}

/// How specifically a range means the media type, and whether its weight is above 0.
fn matching(range: &str, media: &str) -> Option<(u8, bool)> {
    let mut parts = range.split(';').map(str::trim);
    let range = parts.next()?.to_ascii_lowercase();
    let specific = match range.strip_suffix("/*") {
        None if range == media => 2,
        Some("*") => 0,
        Some(kind) if media.split('/').next() == Some(kind) => 1,
        _ => return None,
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
        let takes = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, text.parse().unwrap());
            takes_json(&headers)
        };
        assert!(takes_json(&HeaderMap::new()));
        assert!(takes("*/*"));
        assert!(takes("text/html, application/*;q=0.1"));
        assert!(takes("Application/JSON; q=0.5"));
        assert!(!takes("text/html"));
        assert!(!takes("application/json;q=0"));
        assert!(!takes("*/*, application/json;q=0.0"));
    }
}
