//! The provider of a bounce: the organisational domain of whoever refused the mail.
//!
//! The rule is a small one, because nothing but grouping hangs on it: the last two labels of the
//! host's name, and one more where the last is a country's and the one before is one that such
//! countries sell below (`co.uk`, `ne.jp`). A list of public suffixes would be more exact for names
//! below which people and not companies register; those have no mail servers.

/// Labels below which the registries of countries register.
const BELOW_COUNTRIES: [&str; 22] = [
    "ac", "ad", "asn", "co", "com", "ed", "edu", "go", "gob", "gouv", "gov", "gr", "id", "lg",
    "ltd", "mil", "ne", "net", "nom", "or", "org", "sch",
];

/// Longest name of a host, in octets.
const LONGEST: usize = 253;

/// The organisational domain of a host or mail domain, lower-case; `None` if the text is no such
/// name: an address literal, a single label, prose.
pub fn organisation(host: &str) -> Option<String> {
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    if host.len() > LONGEST || !host.split('.').all(is_label) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let (top, second) = match labels.as_slice() {
        [.., second, top] => (*top, *second),
        [] | [_] => return None,
    };
    // The last label of a name is never a number: this is an address.
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_registry = top.len() == 2 && BELOW_COUNTRIES.contains(&second);
    let wanted = if is_registry { 3 } else { 2 };
    let kept = labels.get(labels.len().saturating_sub(wanted)..)?;
    Some(kept.join("."))
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_organisation_are_one_provider() {
        for (host, provider) in [
            ("mx1.mail.example.com", Some("example.com")),
            ("Example.COM.", Some("example.com")),
            ("mx.example.co.uk", Some("example.co.uk")),
            ("mfsmax.example.ne.jp", Some("example.ne.jp")),
            ("example.ne.jp", Some("example.ne.jp")),
            ("ne.jp", Some("ne.jp")),
            ("mx.example.de", Some("example.de")),
            ("co.example.com", Some("example.com")),
            ("[192.0.2.1]", None),
            ("192.0.2.1", None),
            ("2001:db8::1", None),
            ("localhost", None),
            ("", None),
            ("a host with words.example", None),
            ("mx..example", None),
        ] {
            assert_eq!(organisation(host).as_deref(), provider, "{host}");
        }
        assert_eq!(organisation(&"a.".repeat(200)), None);
    }
}
