//! How the public door answers: the same protection on every answer, and constant headers, so that
//! an answer tells nothing but what it says.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use super::pages::{Page, Pages};

/// Seconds after which a client may try again.
const RETRY_SECONDS: &str = "30";

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// Confirms to a machine.
pub(super) fn line(pages: &Pages) -> Response {
    answer(
        pages,
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Body::from("You are unsubscribed.\n"),
    )
}

/// Gives a machine what it asked for.
pub(super) fn text(pages: &Pages, text: String) -> Response {
    answer(
        pages,
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Body::from(text),
    )
}

/// Shows a page to a reader.
pub(super) fn page(pages: &Pages, status: StatusCode, page: Page) -> Response {
    let Page { html, language } = page;
    let mut response = answer(pages, status, "text/html; charset=utf-8", Body::from(html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Language"));
    response
}

/// Nothing was done, and the same request may succeed soon; the router adds `Allow` to others.
pub(super) fn unavailable(pages: &Pages, said: Page) -> Response {
    let mut response = page(pages, StatusCode::SERVICE_UNAVAILABLE, said);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    response
}

fn answer(pages: &Pages, status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, pages.policy());
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_ROBOTS_TAG, "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn every_answer_has_the_same_protection() {
        // C-014
        let pages = Pages::load(None).unwrap();
        let nobody = HeaderMap::new();
        let said = || pages.for_reader(&nobody).missing();
        for response in [
            line(&pages),
            page(&pages, StatusCode::NOT_FOUND, said()),
            unavailable(&pages, said()),
        ] {
            let value = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(value("cache-control"), "no-store");
            assert_eq!(value("referrer-policy"), "no-referrer");
            assert_eq!(value("x-robots-tag"), "noindex");
            assert_eq!(value("x-content-type-options"), "nosniff");
            let policy = value("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; style-src 'sha256-"),
                "{policy}"
            );
            assert!(
                policy.ends_with("base-uri 'none'; frame-ancestors 'none'"),
                "{policy}"
            );
            assert!(
                !policy.contains("unsafe") && !policy.contains("http"),
                "{policy}"
            );
            assert!(!response.headers().contains_key("set-cookie"));
            assert!(!response.status().is_redirection());
        }
        let later = unavailable(&pages, said());
        assert_eq!(later.headers()["retry-after"], RETRY_SECONDS);
        assert_eq!(later.headers()["content-language"], "en");
        assert_eq!(later.headers()["vary"], "Accept, Accept-Language");
    }
}
