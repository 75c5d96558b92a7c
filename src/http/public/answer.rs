//! What the public door answers: constant pages with constant headers, so that an answer tells
//! nothing but what it says.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

/// Nothing may be loaded, run, framed or sent elsewhere; the one style sheet is named by its hash.
const POLICY: &str = "default-src 'none'; style-src 'sha256-bsI50L5s0MVnnsX17U07BXP0o/dirrQcXKErv4dC/Xw='; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Seconds after which a client may try again.
const RETRY_SECONDS: &str = "30";

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

macro_rules! style {
    () => {
        "\
:root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:grid;place-items:center;\
font:1.0625rem/1.5 system-ui,sans-serif}\
main{box-sizing:border-box;width:100%;max-width:34rem;padding:2rem 1.25rem}\
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}\
p{margin:0 0 1.25rem}\
button{width:100%;padding:.875rem 1.25rem;border:0;border-radius:.5rem;\
font:inherit;font-weight:600;background:#0b57d0;color:#fff;cursor:pointer}\
button:focus-visible{outline:3px solid;outline-offset:3px}"
    };
}

/// A page without script and without anything from elsewhere.
macro_rules! page {
    ($title:literal, $( $content:literal ),+) => {
        concat!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta name=\"robots\" content=\"noindex\">\n<title>",
            $title,
            "</title>\n<style>",
            style!(),
            "</style>\n</head>\n<body>\n<main>\n<h1>",
            $title,
            "</h1>\n",
            $( $content, )+
            "\n</main>\n</body>\n</html>\n"
        )
    };
}

/// What an opt-out ends. A reader is promised no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The kind of mail that the link came in.
    ThisKind,
    /// All marketing mail, while the kind of mail that the link came in goes on.
    Marketing,
}

/// The form has no `action`: it is sent to the page's own address, which names all (RFC 8058 §3.2).
macro_rules! question {
    ($promise:literal) => {
        page!(
            "Unsubscribe?",
            $promise,
            "<form method=\"post\">\n\
             <input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\n\
             <button type=\"submit\">Unsubscribe</button>\n\
             </form>"
        )
    };
}

const QUESTION: &str = question!(
    "<p>Press the button and you will no longer get this kind of mail. \
     Nothing happens until you do.</p>\n"
);
const QUESTION_MARKETING: &str = question!(
    "<p>Press the button and you will get no more marketing mail from us. \
     Mail about your orders or your account may still come. \
     Nothing happens until you do.</p>\n"
);
const UNSUBSCRIBED: &str = page!(
    "You are unsubscribed",
    "<p>You will no longer get this kind of mail. You can close this page.</p>"
);
const UNSUBSCRIBED_MARKETING: &str = page!(
    "You are unsubscribed",
    "<p>You will get no more marketing mail. \
     Mail about your orders or your account may still come. You can close this page.</p>"
);
const NOT_FOUND: &str = page!(
    "Page not found",
    "<p>There is nothing at this address. If you came from a link in a mail, \
     check that it was copied whole.</p>"
);
const NOT_ALLOWED: &str = page!(
    "Not possible",
    "<p>This address cannot be used this way.</p>"
);
const UNAVAILABLE: &str = page!(
    "Please try again in a minute",
    "<p>Your request could not be stored right now. Please try again.</p>"
);

/// Asks the reader, who may be a scanner, to press the button.
pub fn question(ends: Ends) -> Response {
    let text = match ends {
        Ends::ThisKind => QUESTION,
        Ends::Marketing => QUESTION_MARKETING,
    };
    page(StatusCode::OK, text)
}

/// Confirms to a reader.
pub fn unsubscribed_page(ends: Ends) -> Response {
    let text = match ends {
        Ends::ThisKind => UNSUBSCRIBED,
        Ends::Marketing => UNSUBSCRIBED_MARKETING,
    };
    page(StatusCode::OK, text)
}

/// Confirms to a machine.
pub fn unsubscribed_line() -> Response {
    answer(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        "You are unsubscribed.\n",
    )
}

/// The answer to every wrong token and every unknown address.
pub fn not_found() -> Response {
    page(StatusCode::NOT_FOUND, NOT_FOUND)
}

/// The answer to methods that mean nothing here; the router adds `Allow`.
pub fn not_allowed() -> Response {
    page(StatusCode::METHOD_NOT_ALLOWED, NOT_ALLOWED)
}

/// Nothing was done, and the same request may succeed soon.
pub fn unavailable() -> Response {
    let mut response = page(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    response
}

fn page(status: StatusCode, text: &'static str) -> Response {
    answer(status, "text/html; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
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
    use super::*;

    const ALL: [&str; 7] = [
        QUESTION,
        QUESTION_MARKETING,
        UNSUBSCRIBED,
        UNSUBSCRIBED_MARKETING,
        NOT_FOUND,
        NOT_ALLOWED,
        UNAVAILABLE,
    ];

    #[test]
    fn the_policy_names_the_style_sheet_by_its_hash() {
        let digest = crate::model::digest::Digest::of(style!().as_bytes());
        let hash = data_encoding::BASE64.encode(digest.as_bytes());
        assert!(
            POLICY.contains(&format!("'sha256-{hash}'")),
            "sha256-{hash}"
        );
    }

    #[test]
    fn pages_load_and_run_nothing() {
        // C-007
        for page in ALL {
            for forbidden in [
                "<script",
                "http:",
                "https:",
                "url(",
                "src=",
                " on",
                "javascript",
            ] {
                let markup: String = page
                    .split('>')
                    .filter_map(|p| p.split_once('<'))
                    .map(|(_, tag)| tag)
                    .collect();
                assert!(!markup.contains(forbidden), "{forbidden} in {page}");
            }
        }
    }

    #[test]
    fn only_the_question_has_a_form_and_it_posts_to_its_own_address() {
        // C-006
        assert_eq!(
            ALL.map(|page| page.matches("<form").count()),
            [1, 1, 0, 0, 0, 0, 0]
        );
        for question in [QUESTION, QUESTION_MARKETING] {
            assert!(question.contains("<form method=\"post\">"));
            assert!(question.contains("name=\"List-Unsubscribe\" value=\"One-Click\""));
        }
    }

    #[test]
    fn every_answer_has_the_same_protection() {
        // C-014
        for response in [
            question(Ends::ThisKind),
            question(Ends::Marketing),
            unsubscribed_page(Ends::ThisKind),
            unsubscribed_page(Ends::Marketing),
            unsubscribed_line(),
            not_found(),
            not_allowed(),
            unavailable(),
        ] {
            let value = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(value("cache-control"), "no-store");
            assert_eq!(value("referrer-policy"), "no-referrer");
            assert_eq!(value("x-robots-tag"), "noindex");
            assert_eq!(value("x-content-type-options"), "nosniff");
            assert!(value("content-security-policy").starts_with("default-src 'none'"));
            assert!(!response.headers().contains_key("set-cookie"));
            assert!(!response.status().is_redirection());
        }
        assert_eq!(unavailable().headers()["retry-after"], RETRY_SECONDS);
    }
}
