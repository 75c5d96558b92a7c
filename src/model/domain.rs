//! Domain names as this system serves them: lower-case A-labels.

use super::address::Address;

/// Longest name without trailing dot, in octets (RFC 1035 §2.3.4: 255 with lengths and root).
const LONGEST: usize = 253;
/// Longest label, in octets (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// A domain name in canonical form: lower-case A-labels without trailing dot. `None` if the text is
/// none: labels have 1 to 63 letters, digits and hyphens, no hyphen at either end, and the last one
/// is no number, for that is an IPv4 address (RFC 1123 §2.1).
pub fn canonical(text: &str) -> Option<String> {
    // More than one @ would mean that a part of the text was taken for a local part.
    if text.contains('@') || text != text.trim() {
        return None;
    }
    let address = Address::parse(&format!("postmaster@{text}")).ok()?;
    let name = address.domain();
    let is_name = name.len() <= LONGEST
        && name.split('.').all(is_label)
        && name
            .rsplit('.')
            .next()
            .is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    is_name.then(|| name.to_owned())
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (given, form) in [
            ("fb.example.com", "fb.example.com"),
            ("FB.Example.COM.", "fb.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("4.example", "4.example"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(form), "{given}");
        }
        let label = "x".repeat(LONGEST_LABEL + 1);
        let name = "abc.".repeat(64);
        for none in [
            "",
            ".",
            "a..example",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a b.example",
            " a.example",
            "a@b.example",
            "192.0.2.1",
            "[192.0.2.1]",
            "*.example",
            "a/b",
            &format!("{label}.example"),
            &format!("{name}example"),
        ] {
            assert_eq!(canonical(none), None, "{none:?}");
        }
    }
}
