//! The query of a call: its parameters by name, with errors in the words of whoever wrote it.

use std::fmt::{self, Display};

use axum::extract::Query;
use http::Uri;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Characters of the caller's text that an error repeats.
const REPEATED: usize = 80;

/// What is wrong with a query.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct QueryError(String);

/// Reads the parameters. One that `T` does not know is refused.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, QueryError> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_unreadable| QueryError("the query is no list of NAME=VALUE".to_owned()))?;
    let pairs = pairs.into_iter().map(|(name, text)| {
        let value = Value {
            name: name.clone(),
            text,
        };
        (name, value)
    });
    T::deserialize(MapDeserializer::new(pairs))
}

impl serde::de::Error for QueryError {
    fn custom<T: Display>(msg: T) -> Self {
        Self(msg.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let field: String = field.chars().take(REPEATED).collect();
        let known = expected.join(", ");
        Self(format!("unknown parameter {field:?}; known are {known}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("the parameter {field} is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("the parameter {field} is given twice"))
    }
}

/// The text of one parameter, and its name for the errors.
struct Value {
    name: String,
    text: String,
}

impl Value {
    fn wanted(&self, what: impl Display) -> QueryError {
        let text: String = self.text.chars().take(REPEATED).collect();
        QueryError(format!("{}: {what} is wanted, not {text:?}", self.name))
    }
}

impl IntoDeserializer<'_, QueryError> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($( $method:ident $visit:ident $number:ty; )+) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
            match self.text.parse::<$number>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(self.wanted(format_args!(
                    "a whole number from 0 to {}", <$number>::MAX
                ))),
            }
        }
    )+ };
}

impl<'de> Deserializer<'de> for Value {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_string(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.text.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.wanted("true or false")),
        }
    }

    numbers! {
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 u8 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its text can be anything, an address too.
        f.debug_struct("Value")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        after: Option<String>,
        limit: Option<u32>,
        #[serde(default)]
        trace: bool,
        reason: Option<crate::model::suppression::Reason>,
    }

    fn of(query: &str) -> Result<Sample, String> {
        let uri = Uri::try_from(format!("/v1/x?{query}")).map_err(|error| error.to_string())?;
        read(&uri).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_read_by_name() {
        assert_eq!(
            of("limit=5&after=a%20b&trace=true&reason=manual").unwrap(),
            Sample {
                after: Some("a b".to_owned()),
                limit: Some(5),
                trace: true,
                reason: Some(crate::model::suppression::Reason::Manual),
            }
        );
        assert!(of("").unwrap().limit.is_none());
    }

    #[test]
    fn an_error_speaks_of_parameters() {
        for (query, error) in [
            (
                "limt=5",
                "unknown parameter \"limt\"; known are after, limit, trace, reason",
            ),
            (
                "limit=x",
                "limit: a whole number from 0 to 4294967295 is wanted, not \"x\"",
            ),
            ("limit=1&limit=2", "the parameter limit is given twice"),
            ("trace=1", "trace: true or false is wanted, not \"1\""),
        ] {
            assert_eq!(of(query).unwrap_err(), error);
        }
        let error = of("reason=x").unwrap_err();
        assert!(
            error.starts_with("unknown reason \"x\"; known are complaint"),
            "{error}"
        );
    }
}
