//! The forms of bounces, read from `ndr.toml` once.

use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use serde::Deserialize;

use super::lower;
use super::pattern::Pattern;
use crate::report::header::Header;
use crate::report::phrases::Phrases;

/// The forms that desist knows.
const EMBEDDED: &str = include_str!("../ndr.toml");

/// From stands for any program that delivers mail.
const DAEMON: &str = "@daemon";

/// Signs that must agree where a form does not say.
const NEEDS: u8 = 2;

/// All forms, ready for use.
#[derive(Debug, Default)]
pub(super) struct Formats {
    all: Vec<Format>,
    phrases: Phrases,
    returned: Phrases,
    delayed: Phrases,
    daemons: Phrases,
    /// Signs of Subject and From, to pass over other mail quickly.
    outer: Phrases,
}

/// One form.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) name: String,
    subject: Vec<String>,
    from: Vec<String>,
    header: Vec<(String, String)>,
    /// Which of the phrases are its.
    text: Vec<usize>,
    needs: u8,
    pub(super) begin: Vec<String>,
    pub(super) recipient: Vec<Pattern>,
    pub(super) parent: Vec<Pattern>,
    pub(super) order: Order,
    pub(super) stop: Vec<String>,
    pub(super) to: bool,
    adds: Vec<String>,
}

/// Where the reason stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// Behind the recipient.
    #[default]
    After,
    /// In front of it.
    Before,
}

/// What a mail shows.
pub(super) struct Signs<'a> {
    /// Lower-case.
    pub(super) subject: &'a str,
    /// Lower-case.
    pub(super) from: &'a str,
    pub(super) header: &'a Header,
    /// Which phrases its text has.
    pub(super) text: Vec<bool>,
    /// Whether a program that delivers mail wrote it.
    pub(super) daemon: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[expect(dead_code, reason = "for people and for later forms of the file")]
    version: u32,
    returned: Vec<String>,
    delayed: Vec<String>,
    daemons: Vec<String>,
    format: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    subject: Vec<String>,
    #[serde(default)]
    from: Vec<String>,
    #[serde(default)]
    header: Vec<String>,
    #[serde(default)]
    text: Vec<String>,
    needs: Option<u8>,
    #[serde(default)]
    begin: Vec<String>,
    #[serde(default)]
    recipient: Vec<String>,
    #[serde(default)]
    parent: Vec<String>,
    #[serde(default)]
    reason: Order,
    #[serde(default)]
    stop: Vec<String>,
    #[serde(default)]
    to: bool,
    #[serde(default)]
    adds: Vec<String>,
}

impl Formats {
    /// The forms that desist knows.
    pub(super) fn embedded() -> &'static Self {
        static FORMATS: LazyLock<Formats> =
            LazyLock::new(|| Formats::parse(EMBEDDED).unwrap_or_default());
        &FORMATS
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut phrases: Vec<String> = Vec::new();
        let mut outer = Vec::new();
        let mut formats = Vec::new();
        for entry in file.format {
            outer.extend(entry.subject.iter().cloned());
            outer.extend(entry.from.iter().filter(|from| *from != DAEMON).cloned());
            let first = phrases.len();
            phrases.extend(entry.text.iter().cloned());
            let patterns = |texts: &[String]| {
                texts
                    .iter()
                    .map(|text| Pattern::parse(text))
                    .collect::<Result<Vec<_>, _>>()
            };
            let header = entry.header.iter().map(|sign| {
                let (name, value) = sign.split_once(':').unwrap_or((sign, ""));
                (name.trim().to_owned(), value.trim().to_owned())
            });
            formats.push(Format {
                header: header.collect(),
                text: (first..phrases.len()).collect(),
                needs: entry.needs.unwrap_or(NEEDS),
                recipient: patterns(&entry.recipient)?,
                parent: patterns(&entry.parent)?,
                name: entry.name,
                subject: entry.subject,
                from: entry.from,
                begin: entry.begin,
                order: entry.reason,
                stop: entry.stop,
                to: entry.to,
                adds: entry.adds,
            });
        }
        Ok(Self {
            all: formats,
            phrases: Phrases::new(phrases),
            returned: Phrases::new(file.returned),
            delayed: Phrases::new(file.delayed),
            daemons: Phrases::new(file.daemons),
            outer: Phrases::new(outer),
        })
    }

    /// Whether From, lower-case, is that of a program that delivers mail.
    pub(super) fn is_daemon(&self, from: &str) -> bool {
        self.daemons.any_in(from)
    }

    /// Whether anything in front of the text is a sign of some form.
    pub(super) fn may_be(&self, subject: &str, from: &str, header: &Header) -> bool {
        self.outer.any_in(subject)
            || self.outer.any_in(from)
            || self.all.iter().any(|format| format.in_header(header))
    }

    /// Whether a text, lower-case and on one line, is of a warning.
    pub(super) fn is_delay(&self, flat: &str) -> bool {
        self.delayed.any_in(flat)
    }

    /// Which phrases a text, lower-case and on one line, has.
    pub(super) fn phrases_in(&self, flat: &str) -> Vec<bool> {
        let mut has = vec![false; self.phrases.texts().len()];
        self.phrases.each_in(flat, |phrase, _| {
            if let Some(has) = has.get_mut(phrase) {
                *has = true;
            }
            ControlFlow::Continue(())
        });
        has
    }

    /// The forms whose signs agree, the more telling first.
    pub(super) fn agreeing<'a>(&'a self, signs: &'a Signs<'_>) -> impl Iterator<Item = &'a Format> {
        self.all.iter().filter(|format| format.agrees(signs))
    }

    /// The line, its end included, that ends what the program itself says.
    pub(super) fn end_of_own_text(&self, text: &str) -> Option<Range<usize>> {
        if !text.is_ascii() {
            if !self.returned.any_in(&text.to_lowercase()) {
                return None;
            }
            let mut at = 0;
            return text.split_inclusive('\n').find_map(|line| {
                let start = at;
                at += line.len();
                self.ends_own_text(line).then_some(start..at)
            });
        }
        let (mut end, mut tested) = (None, 0);
        self.returned.each_in(text, |_, place| {
            // A line is looked at once, however many phrases it has.
            if place.start < tested {
                return ControlFlow::Continue(());
            }
            let (before, rest) = text.split_at_checked(place.start).unwrap_or((text, ""));
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            tested = place.start + rest.find('\n').map_or(rest.len(), |at| at + 1);
            let line = start..tested;
            if !self.ends_own_text(text.get(line.clone()).unwrap_or_default()) {
                return ControlFlow::Continue(());
            }
            end = Some(line);
            ControlFlow::Break(())
        });
        end
    }

    fn ends_own_text(&self, line: &str) -> bool {
        let line = lower(line.trim());
        let words = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        self.returned.texts().iter().any(|text| {
            words.strip_prefix(text.as_str()).is_some_and(|rest| {
                text.len() >= LONG_PHRASE || !rest.contains(char::is_alphanumeric)
            })
        })
    }
}

/// Octets from which a phrase says enough although more stands behind it.
const LONG_PHRASE: usize = 24;

impl Format {
    /// Fields of the bounce's own header that belong to every reason.
    pub(super) fn marks(&self, header: &Header) -> Vec<String> {
        let mark = |name: &String| header.first(name).map(|value| format!("{name} {value}"));
        self.adds.iter().filter_map(mark).collect()
    }

    fn in_header(&self, header: &Header) -> bool {
        self.header.iter().any(|(name, part)| {
            header.all(name).any(|field| {
                part.is_empty() || field.value().to_lowercase().contains(part.as_str())
            })
        })
    }

    fn agrees(&self, signs: &Signs<'_>) -> bool {
        let text = self
            .text
            .iter()
            .any(|at| signs.text.get(*at).copied().unwrap_or(false));
        if !self.text.is_empty() && !text && self.needs > 1 {
            return false;
        }
        let from = |from: &String| {
            if from == DAEMON {
                signs.daemon
            } else {
                signs.from.contains(from.as_str())
            }
        };
        let agreed = [
            text,
            self.from.iter().any(from),
            self.subject
                .iter()
                .any(|subject| signs.subject.contains(subject.as_str())),
            self.in_header(signs.header),
        ];
        let agreed = agreed.iter().filter(|sign| **sign).count();
        agreed >= usize::from(self.needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_forms_can_be_read() {
        let formats = Formats::parse(EMBEDDED).unwrap();
        assert!(formats.all.len() > 40);
        let mut names: Vec<_> = formats.all.iter().map(|format| &format.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), formats.all.len(), "a name stands twice");
        for format in &formats.all {
            let signs = [&format.subject, &format.from].into_iter().flatten();
            let headers = format.header.iter().flat_map(|(name, part)| [name, part]);
            for sign in signs
                .chain(headers)
                .chain(&format.begin)
                .chain(&format.stop)
            {
                assert_eq!(*sign, sign.to_lowercase(), "{}", format.name);
            }
        }
        for phrases in [
            &formats.phrases,
            &formats.returned,
            &formats.delayed,
            &formats.daemons,
        ] {
            for text in phrases.texts() {
                assert_eq!(*text, text.to_lowercase());
            }
        }
    }
}
