//! What spans are sent to, and which of them.

use std::path::Path;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};

use super::given::Given;
use super::setting::{Setting, kind, quoted, text};
use super::values::{SecretFile, names_server};
use crate::traces::Ratio;

/// The base of a collector's URLs: `http:` or `https:`, without trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(String);

impl CollectorUrl {
    /// Where it takes spans.
    pub fn for_spans(&self) -> String {
        format!("{}{SPANS}", self.0)
    }
}

impl Setting for CollectorUrl {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?.trim_end_matches('/');
        if text.ends_with(SPANS) {
            return Err(format!("wants the collector's base: {SPANS} is appended"));
        }
        let uri: Option<http::Uri> = text.parse().ok();
        let valid =
            uri.is_some_and(|uri| names_server(&uri, &["http", "https"]) && uri.query().is_none());
        if valid && !text.contains('#') {
            Ok(Self(text.to_owned()))
        } else {
            // Not repeated: a key may be part of it.
            Err("is not a URL such as \"http://127.0.0.1:4318\"".to_owned())
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Headers that a collector wants, from a file.
#[derive(Debug, Clone)]
pub struct HeadersFile(SecretFile<Vec<(HeaderName, HeaderValue)>>);

impl HeadersFile {
    /// What is sent.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.content
    }

    /// The file, if others than its owner can read it.
    pub fn open_to_others(&self) -> Option<&Path> {
        self.0.open_to_others.then_some(self.0.path.as_path())
    }
}

impl Setting for HeadersFile {
    fn read(given: &Given) -> Result<Self, String> {
        let wanted = "wants lines of NAME: VALUE, and none of the headers that say what is sent";
        SecretFile::read(given, wanted, |bytes| {
            let lines = str::from_utf8(bytes).ok()?.lines().map(str::trim);
            lines.filter(|line| !line.is_empty()).map(header).collect()
        })
        .map(Self)
    }

    fn written(&self) -> Option<String> {
        self.0.path.written()
    }
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let name: HeaderName = name.trim().parse().ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    let own = [CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING];
    (!own.contains(&name)).then_some((name, value))
}

impl Setting for Ratio {
    fn read(given: &Given) -> Result<Self, String> {
        let wanted = || "wants a number from 0 to 1, such as 0.05".to_owned();
        match given {
            Given::Integer(number) => ratio(&number.to_string()).ok_or_else(wanted),
            Given::Fraction(text) | Given::Variable(text) => ratio(text).ok_or_else(wanted),
            other => Err(format!("{}, not {}", wanted(), kind(other))),
        }
    }

    fn written(&self) -> Option<String> {
        let digits = format!("{:07}", self.millionths());
        let (whole, fraction) = digits.split_at_checked(1)?;
        let written = format!("{whole}.{fraction}");
        Some(
            written
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned(),
        )
    }
}

fn ratio(text: &str) -> Option<Ratio> {
    let number: f64 = text.trim().replace('_', "").parse().ok()?;
    if !(0.0..=1.0).contains(&number) {
        return None;
    }
    // In decimals rather than by a conversion that could lose something unseen.
    let millionths = format!("{:.6}", number.abs()).replace('.', "");
    Ratio::from_millionths(millionths.parse().ok()?)
}

const SPANS: &str = "/v1/traces";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_read_in_every_form_and_written_in_one() {
        for (text, millionths, written) in [
            ("0", 0, "0"),
            ("1", 1_000_000, "1"),
            ("1.0", 1_000_000, "1"),
            ("0.05", 50_000, "0.05"),
            ("5e-2", 50_000, "0.05"),
            ("0.000_001", 1, "0.000001"),
            ("0.0000001", 0, "0"),
            ("-0.0", 0, "0"),
        ] {
            for given in [
                Given::Fraction(text.to_owned()),
                Given::Variable(text.to_owned()),
            ] {
                let ratio = Ratio::read(&given).unwrap();
                assert_eq!(ratio.millionths(), millionths, "{text}");
                assert_eq!(ratio.written().as_deref(), Some(written), "{text}");
            }
        }
        for text in ["1.01", "-1", "-0.1", "nan", "inf", "all", ""] {
            assert!(
                Ratio::read(&Given::Variable(text.to_owned())).is_err(),
                "{text}"
            );
        }
        assert_eq!(Ratio::read(&Given::Integer(1)), Ok(Ratio::ONE));
        assert!(Ratio::read(&Given::Integer(2)).is_err());
        assert!(Ratio::read(&Given::Boolean(true)).is_err());
    }

    #[test]
    fn a_collector_is_a_base() {
        let read = |text: &str| CollectorUrl::read(&Given::Text(text.to_owned()));
        for (text, spans) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            (
                "https://otel.example.com/in",
                "https://otel.example.com/in/v1/traces",
            ),
        ] {
            assert_eq!(read(text).unwrap().for_spans(), spans);
        }
        for text in [
            "http://127.0.0.1:4318/v1/traces",
            "127.0.0.1:4318",
            "grpc://127.0.0.1:4317",
            "https://key@otel.example.com",
            "https://otel.example.com/?key=1",
            "https://otel.example.com/#a",
            "http://",
            "",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_lines() {
        let named = |line: &str| header(line).map(|(name, value)| (name.to_string(), value));
        let value = HeaderValue::from_static("a: b");
        assert_eq!(named("X-Key: a: b"), Some(("x-key".to_owned(), value)));
        let (_, value) = header("authorization: secret").unwrap();
        assert!(!format!("{value:?}").contains("secret"));
        for line in [
            "no colon",
            "two words: a",
            "Content-Type: text/plain",
            "a: \u{7}",
        ] {
            assert_eq!(named(line), None, "{line}");
        }
    }
}
