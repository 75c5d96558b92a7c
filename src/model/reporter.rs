//! Who reports, by name: the organisational domain of whoever sends the report, and its program.

use super::event::Detail;
use super::provider::organisation;

/// Octets of a program's name.
const NAME: usize = 64;

/// Who an event was reported by, if it says so in a way that has a name.
pub fn of(detail: &Detail) -> Option<String> {
    names(detail).next()
}

/// All names of who reported it: that one, and behind a domain that of the program.
pub fn names(detail: &Detail) -> impl Iterator<Item = String> + use<'_> {
    let domain = detail.reporter.as_deref().and_then(organisation);
    let program = || program(detail.user_agent.as_deref()?);
    domain
        .into_iter()
        .chain(std::iter::once_with(program).flatten())
}

/// The one name that a host, a domain or a program has where reporters are looked for; `None` if the
/// text can be no name. A program that is called as hosts are counts as one.
pub fn meant(text: &str) -> Option<String> {
    organisation(text).or_else(|| {
        let name = program(text)?;
        Some(organisation(&name).unwrap_or(name))
    })
}

/// A program's name. What could be an address is none.
fn program(name: &str) -> Option<String> {
    let name = name
        .split(['/', ' ', ';', '('])
        .next()?
        .to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = !name.is_empty() && name.len() <= NAME && name.bytes().all(allowed);
    good.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_plain_names() {
        for (agent, name) in [
            ("SomeGenerator/1.0", Some("somegenerator")),
            ("Feedback-Loop 2 (x)", Some("feedback-loop")),
            ("jane@example.com", None),
            ("", None),
            ("\u{65e5}\u{672c}", None),
        ] {
            assert_eq!(program(agent).as_deref(), name, "{agent}");
        }
    }

    #[test]
    fn who_reports_has_names() {
        for (reporter, user_agent, all) in [
            (
                Some("mx1.Mail.example.com"),
                Some("Loop/2"),
                &["example.com", "loop"][..],
            ),
            (Some("example.com"), None, &["example.com"]),
            (None, Some("Loop/2"), &["loop"]),
            (Some("[192.0.2.1]"), Some("a.b.c/1"), &["a.b.c"]),
            (Some("localhost"), None, &[]),
        ] {
            let detail = Detail {
                reporter: reporter.map(str::to_owned),
                user_agent: user_agent.map(str::to_owned),
                ..Detail::default()
            };
            assert_eq!(names(&detail).collect::<Vec<_>>(), all);
            assert_eq!(of(&detail).as_deref(), all.first().copied());
        }
        for (text, name) in [
            ("MX1.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("a.b.c", Some("b.c")),
            ("a.b.c/1", Some("b.c")),
            ("b.c", Some("b.c")),
            ("Loop/2", Some("loop")),
            ("jane@example.com", None),
            ("", None),
        ] {
            assert_eq!(meant(text).as_deref(), name, "{text}");
        }
    }
}
