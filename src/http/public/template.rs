//! A text with places to fill in, written `{{name}}`.

/// A text that was parsed once and is filled in for every page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Slot(&'static str),
}

/// A text that is no template, with the line of it that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// From 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) text: String,
}

impl Template {
    /// Parses markup, which stays as it is.
    pub(super) fn markup(text: &str, slots: &[&'static str]) -> Result<Self, Wrong> {
        Self::parse(text, slots, str::to_owned)
    }

    /// Parses plain text: whatever stands in it is shown, and nothing of it is markup.
    pub(super) fn plain(text: &str, slots: &[&'static str]) -> Result<Self, Wrong> {
        Self::parse(text, slots, escaped)
    }

    fn parse(
        text: &str,
        slots: &[&'static str],
        literal: impl Fn(&str) -> String,
    ) -> Result<Self, Wrong> {
        let mut pieces = Vec::new();
        let mut line = 1;
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            line += before.matches('\n').count();
            let known = |name: &str| slots.iter().copied().find(|slot| *slot == name.trim());
            let Some((name, after)) = behind.split_once("}}") else {
                let text = "{{ without }} behind it".to_owned();
                return Err(Wrong { line, text });
            };
            let Some(slot) = known(name) else {
                let name: String = name.chars().take(40).collect();
                let text = format!("{{{{{name}}}}} means nothing here: {}", known_ones(slots));
                return Err(Wrong { line, text });
            };
            line += name.matches('\n').count();
            pieces.extend([Piece::Literal(literal(before)), Piece::Slot(slot)]);
            rest = after;
        }
        pieces.push(Piece::Literal(literal(rest)));
        Ok(Self(pieces))
    }

    /// Whether it has this place.
    pub(super) fn has(&self, slot: &'static str) -> bool {
        self.0.contains(&Piece::Slot(slot))
    }

    /// Appends it to `out` with the places filled in by markup.
    pub(super) fn fill<'a>(&self, out: &mut String, value: impl Fn(&str) -> &'a str) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Slot(name) => out.push_str(value(name)),
            }
        }
    }
}

fn known_ones(slots: &[&'static str]) -> String {
    let mut all: Vec<String> = slots.iter().map(|slot| format!("{{{{{slot}}}}}")).collect();
    match all.pop() {
        None => "nothing is filled in here".to_owned(),
        Some(last) if all.is_empty() => format!("only {last} does"),
        Some(last) => format!("only {} and {last} do", all.join(", ")),
    }
}

/// A text as it is written in markup and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &Template) -> String {
        let mut out = String::new();
        template.fill(&mut out, |name| match name {
            "one" => "1",
            _ => "2",
        });
        out
    }

    #[test]
    fn places_are_filled_in_and_plain_text_is_no_markup() {
        for (text, markup, plain) in [
            ("", "", ""),
            ("<b>&", "<b>&", "&lt;b&gt;&amp;"),
            ("a {{one}}{{ two }}.", "a 12.", "a 12."),
            ("{ {one} } }}", "{ {one} } }}", "{ {one} } }}"),
            ("'\"", "'\"", "&#39;&quot;"),
        ] {
            let slots = &["one", "two"];
            let as_markup = Template::markup(text, slots).unwrap();
            let as_plain = Template::plain(text, slots).unwrap();
            assert_eq!(
                (filled(&as_markup), filled(&as_plain)),
                (markup.into(), plain.into())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, says) in [
            ("{{", 1, "{{ without }} behind it"),
            ("a\n\n {{one", 3, "{{ without }} behind it"),
            (
                "{{one}}\n{{three}}",
                2,
                "{{three}} means nothing here: only {{one}} and {{two}} do",
            ),
        ] {
            let wrong = Template::markup(text, &["one", "two"]).unwrap_err();
            assert_eq!((wrong.line, wrong.text.as_str()), (line, says));
        }
        let none = Template::plain("{{x}}", &[]).unwrap_err().text;
        assert_eq!(none, "{{x}} means nothing here: nothing is filled in here");
    }
}
