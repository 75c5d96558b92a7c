//! The header `traceparent` of W3C Trace Context (Level 1).
//!
//! `tracestate` is not read: nothing is called on from here, and what stands in it is anybody's text.

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The span of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::traces) struct Remote {
    trace: TraceId,
    span: SpanId,
    kept: bool,
}

impl Remote {
    /// The one that the headers name; `None` if they name none, more than one, or not in this form
    /// (§4.3: then a new trace is begun).
    pub(in crate::traces) fn named_in(headers: &HeaderMap) -> Option<Self> {
        let mut named = headers.get_all("traceparent").iter();
        let first = named.next()?;
        if named.next().is_some() {
            return None;
        }
        Self::parse(first.as_bytes())
    }

    /// `VERSION-TRACE-SPAN-FLAGS` in lower-case hexadecimal (§3.2.2); a later version may go on
    /// behind it (§3.2.4).
    fn parse(text: &[u8]) -> Option<Self> {
        let (version, rest) = field::<1>(text)?;
        let (trace, rest) = field::<16>(rest.strip_prefix(b"-")?)?;
        let (span, rest) = field::<8>(rest.strip_prefix(b"-")?)?;
        let ([flags], rest) = field::<1>(rest.strip_prefix(b"-")?)?;
        let goes_on = rest.first() == Some(&b'-');
        match version {
            [0] if !rest.is_empty() => return None,
            [0xff] => return None,
            _ if !rest.is_empty() && !goes_on => return None,
            _ => {}
        }
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self {
            trace,
            span,
            kept: flags & SAMPLED != 0,
        })
    }

    /// Whether the caller keeps it.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// As the library has it.
    pub(super) fn context(&self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.kept);
        SpanContext::new(self.trace, self.span, flags, true, TraceState::default())
    }
}

/// `N` octets, two lower-case hexadecimal digits each, and what follows.
fn field<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let (digits, rest) = text.split_at_checked(2 * N)?;
    let octets = data_encoding::HEXLOWER.decode(digits).ok()?;
    Some((octets.try_into().ok()?, rest))
}

/// The one flag of §3.2.2.5.
const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_parent_has_one_form() {
        // G-033
        for (text, kept) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            (format!("00-{TRACE}-{SPAN}-03"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-fe"), Some(false)),
            (format!("cc-{TRACE}-{SPAN}-01"), Some(true)),
            (
                format!("cc-{TRACE}-{SPAN}-01-what-the-future-is"),
                Some(true),
            ),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("00-{TRACE}-{SPAN}-01-more"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("0-{TRACE}-{SPAN}-01"), None),
            (format!("00 {TRACE} {SPAN} 01"), None),
            (format!(" 00-{TRACE}-{SPAN}-01"), None),
            ("somebody@example.com".to_owned(), None),
            (String::new(), None),
        ] {
            let remote = Remote::parse(text.as_bytes());
            assert_eq!(remote.map(|remote| remote.is_kept()), kept, "{text}");
            if let Some(remote) = remote {
                let context = remote.context();
                assert_eq!(context.trace_id().to_string(), TRACE);
                assert_eq!(context.span_id().to_string(), SPAN);
                assert!(context.is_remote());
            }
        }
    }

    #[test]
    fn two_parents_are_none() {
        let value = HeaderValue::try_from(format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(Remote::named_in(&headers), None);
        headers.append("traceparent", value.clone());
        assert!(Remote::named_in(&headers).is_some());
        headers.append("traceparent", value);
        assert_eq!(Remote::named_in(&headers), None);
    }
}
