//! Forms that several calls share: words as text, bounded lists, pages, path and query.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, Error, IgnoredAny, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::body::SMALL;
use super::problem::{Kind, Problem};
use super::query;
use crate::store::{Page, Paging};

/// Items of a page where `limit` is not given, and at most.
const DEFAULT_LIMIT: u32 = 100;
pub(super) const LARGEST_LIMIT: u32 = 1000;

/// A list or a page of a feed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listing<T> {
    /// What was asked for.
    pub(super) items: Vec<T>,
    /// To be sent as `after` for what follows; null at the end of a list, never null in a feed.
    #[schema(required = true)]
    pub(super) next: Option<String>,
}

impl<T> Listing<T> {
    /// A page of the store in the form of the wire.
    pub(super) fn of<S>(page: Page<S>, form: impl FnMut(S) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(form).collect(),
            next: page.next,
        }
    }
}

/// `limit` within its range, or the default.
pub(super) fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=LARGEST_LIMIT => Ok(limit),
        other => {
            let detail = format!("limit: from 1 to {LARGEST_LIMIT}, not {other}");
            Err(Problem::new(Kind::InvalidRequest, detail))
        }
    }
}

/// Where a page begins and how long it is.
pub(super) fn paging(after: Option<String>, limit: Option<u32>) -> Result<Paging, Problem> {
    Ok(Paging {
        after,
        limit: self::limit(limit)?,
    })
}

/// An answer in JSON.
#[derive(Debug)]
pub(super) struct Answer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => json(body),
            Err(error) => Problem::internal("an answer is no JSON", &error).into_response(),
        }
    }
}

/// Bytes that are JSON already.
pub(super) fn json(body: impl Into<Bytes>) -> Response {
    let body = body.into();
    let headers = [(CONTENT_TYPE, "application/json")];
    if body.len() <= SMALL {
        return (headers, body).into_response();
    }
    let mut response = headers.into_response();
    response.extensions_mut().insert(Long(body));
    response
}

/// The body of a long answer, which is sent when its memory has been counted; stands in the
/// extensions until then.
#[derive(Debug, Clone)]
pub(super) struct Long(pub(super) Bytes);

/// The query of a call; unknown parameters are refused.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        query::read(&parts.uri)
            .map(Self)
            .map_err(|error| Problem::new(Kind::InvalidRequest, error.to_string()))
    }
}

/// The variable part of a path, percent-decoded once.
#[derive(Debug)]
pub(super) struct Segment<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Segment<T>
where
    T: FromStr<Err: Display>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let wrong = |why: String| Problem::new(Kind::InvalidRequest, format!("path: {why}"));
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| wrong(error.body_text()))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| wrong(error.to_string()))
    }
}

/// Writes a word by its one name.
pub(super) fn text<T: Display, S: Serializer>(word: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(word)
}

/// Writes a word that may be absent.
#[expect(clippy::ref_option, reason = "serde fixes the signature")]
pub(super) fn optional_text<T: Display, S: Serializer>(
    word: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match word {
        Some(word) => serializer.collect_str(word),
        None => serializer.serialize_none(),
    }
}

/// Reads a word; the error names the words that exist.
pub(super) fn word<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(Error::custom)
}

/// Reads a word that may be absent.
pub(super) fn optional_word<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(Error::custom))
        .transpose()
}

/// Reads a number from JSON; the error says which numbers there are.
struct InRange {
    expected: &'static str,
}

impl Visitor<'_> for InRange {
    type Value = u16;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<u16, E> {
        // 0 is refused by whoever knows what it means there.
        u16::try_from(v).map_err(|_too_large| E::invalid_value(Unexpected::Unsigned(v), &self))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<u16, E> {
        Err(E::invalid_value(Unexpected::Signed(v), &self))
    }
}

const A_STREAM: InRange = InRange {
    expected: "a stream number from 1 to 65535",
};

const A_STREAM_OR_NONE: InRange = InRange {
    expected: "a stream number from 1 to 65535, or 0 for no stream",
};

/// Reads the number of a stream.
pub(super) fn stream_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    deserializer.deserialize_any(A_STREAM)
}

/// Reads the number of a stream, or 0.
pub(super) fn stream_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    deserializer.deserialize_any(A_STREAM_OR_NONE)
}

/// Reads the number of a stream that may be absent.
pub(super) fn optional_stream<'de, D>(deserializer: D) -> Result<Option<u16>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Number(#[serde(deserialize_with = "stream_number")] u16);
    let number = Option::<Number>::deserialize(deserializer)?;
    Ok(number.map(|Number(number)| number))
}

/// A list that is read no further than `MAX` items, so that a body cannot become a multiple of
/// itself in memory.
#[derive(Debug)]
pub(super) struct Bounded<T, const MAX: usize> {
    items: Vec<T>,
    /// How many came.
    given: usize,
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            given: 0,
        }
    }
}

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// The items, if there are not too many of them.
    pub(super) fn within(self) -> Result<Vec<T>, Problem> {
        let Self { items, given } = self;
        if given > MAX {
            let detail = format!("a call has at most {MAX} items, and {given} came");
            let problem = Problem::new(Kind::TooManyItems, detail);
            return Err(problem.with("limit", MAX).with("given", given));
        }
        Ok(items)
    }
}

impl<T, const MAX: usize> Bounded<Object<T>, MAX> {
    /// The objects, if there are not too many of them.
    pub(super) fn objects(self) -> Result<impl ExactSizeIterator<Item = T>, Problem> {
        Ok(self.within()?.into_iter().map(Object::into_inner))
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemVisitor(PhantomData))
    }
}

struct ItemVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ItemVisitor<T, MAX> {
    type Value = Bounded<T, MAX>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < MAX {
            match seq.next_element()? {
                Some(item) => items.push(item),
                None => {
                    let given = items.len();
                    return Ok(Bounded { items, given });
                }
            }
        }
        let mut given = items.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            given = given.saturating_add(1);
        }
        Ok(Bounded { items, given })
    }
}

/// A JSON object. A list of values in the order of its members would be read too, which nobody means.
#[derive(Debug)]
pub(super) struct Object<T>(T);

impl<T> Object<T> {
    /// What was read.
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }

    // What is neither is refused by the type itself, which says what it wants instead.

    fn visit_bool<E: Error>(self, v: bool) -> Result<Self::Value, E> {
        T::deserialize(v.into_deserializer()).map(Object)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Self::Value, E> {
        T::deserialize(v.into_deserializer()).map(Object)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
        T::deserialize(v.into_deserializer()).map(Object)
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Self::Value, E> {
        T::deserialize(v.into_deserializer()).map(Object)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        T::deserialize(v.into_deserializer()).map(Object)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        T::deserialize(().into_deserializer()).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_list_is_read_no_further() {
        let two: Bounded<u8, 2> = serde_json::from_str("[1,2]").unwrap();
        assert_eq!(two.within().unwrap(), [1, 2]);
        let three: Bounded<u8, 2> = serde_json::from_str("[1,2,\"no number\"]").unwrap();
        assert_eq!((three.items.len(), three.given), (2, 3));
        assert!(three.within().is_err());
    }

    #[test]
    fn an_object_is_no_list() {
        #[derive(Debug, Deserialize)]
        struct Pair {
            one: u8,
            two: u8,
        }
        let read = serde_json::from_str::<Object<Pair>>;
        let pair = read("{\"one\":1,\"two\":2}").unwrap().into_inner();
        assert_eq!((pair.one, pair.two), (1, 2));
        let error = read("[1,2]").unwrap_err().to_string();
        assert!(error.contains("expected an object"), "{error}");
    }

    #[test]
    fn a_limit_has_a_range() {
        assert_eq!(limit(None).unwrap(), 100);
        assert_eq!(limit(Some(1000)).unwrap(), 1000);
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(1001)).is_err());
    }
}
