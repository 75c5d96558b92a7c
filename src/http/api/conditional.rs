//! Answers that a caller has already: an entity tag, `If-None-Match` and `304` (RFC 9110 §13.1.2).
//!
//! The tag is made of the answer's own bytes. Two nodes that say the same give the same tag, and
//! none can be forgotten when something changes.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::header::{ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::problem::Problem;
use crate::model::digest::Digest;

/// What a caller says that it has.
#[derive(Debug)]
pub(super) struct Had(HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Had {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let mut had = HeaderMap::new();
        for value in parts.headers.get_all(IF_NONE_MATCH) {
            had.append(IF_NONE_MATCH, value.clone());
        }
        Ok(Self(had))
    }
}

impl Had {
    /// This answer with its tag, or that the caller has it.
    pub(super) fn or_else<T: Serialize>(&self, answer: &T) -> Response {
        match serde_json::to_vec(answer) {
            Ok(body) => self.or_bytes(body.into()),
            Err(error) => Problem::internal("an answer is no JSON", &error).into_response(),
        }
    }

    /// The same with bytes that are JSON already.
    pub(super) fn or_bytes(&self, body: Bytes) -> Response {
        let tag = tag(&body);
        if self.has(&tag) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
        }
        let mut response = super::wire::json(body);
        if let Ok(tag) = tag.try_into() {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }

    /// Whether one of the listed tags is this one; weak ones count (RFC 9110 §8.8.3.2).
    fn has(&self, tag: &str) -> bool {
        let values = self.0.get_all(IF_NONE_MATCH).iter();
        let listed = values.filter_map(|value| value.to_str().ok());
        listed.flat_map(|list| list.split(',')).any(|listed| {
            let listed = listed.trim();
            listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag
        })
    }
}

/// 18 of the digest's bytes are more than enough to tell answers apart.
fn tag(body: &[u8]) -> String {
    let digest = *Digest::of(body).as_bytes();
    let (first, _) = digest.split_at(18);
    format!("\"{}\"", BASE64URL_NOPAD.encode(first))
}

/// Whether an answer has a tag: then its caller may keep it, and asks each time.
pub(super) fn is_tagged(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn had(values: &[&str]) -> Had {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_NONE_MATCH, value.parse().unwrap());
        }
        Had(headers)
    }

    #[test]
    fn a_tag_is_found_in_any_form_of_the_list() {
        let own = tag(b"{}");
        let weak = format!("W/{own}");
        let listed = format!("\"a\", {weak} ,\"b\"");
        for values in [
            &[own.as_str()][..],
            &[&weak],
            &[&listed],
            &["\"a\"", &own],
            &["*"],
        ] {
            assert!(had(values).has(&own), "{values:?}");
        }
        let other = tag(b"{} ");
        for values in [&[][..], &[other.as_str()], &[own.trim_matches('"')], &[""]] {
            assert!(!had(values).has(&own), "{values:?}");
        }
    }
}
