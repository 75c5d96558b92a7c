//! The pages that readers get, in their language: what stands on each.

use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::language::preferred;
pub use super::overrides::TemplateMistake;
use super::overrides::{self, Sources};
use super::template::{Template, escaped};
use super::texts::Texts;
use crate::model::digest::Digest;
use crate::report::page::{UNDO, VISIT};
use crate::token::undo::Visit;

/// All pages in all languages, parsed once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Template,
    style: String,
    policy: HeaderValue,
    tags: Vec<&'static str>,
    /// For readers of no other language.
    first: Spoken,
    others: Vec<Spoken>,
}

#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) tag: &'static str,
    pub(super) texts: Texts<Template>,
}

/// What an opt-out ends. A reader is promised no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The kind of mail that the link came in.
    ThisKind,
    /// All marketing mail, while the kind of mail that the link came in goes on.
    Marketing,
    /// Nothing yet: the link's key is revoked, and somebody looks at the request.
    NothingYet,
}

/// Who is speaking, by what readers know them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    sender: String,
    stream: String,
}

/// A page and its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) html: String,
    pub(super) language: &'static str,
}

/// Nothing may be loaded, run, framed or sent elsewhere; the one style sheet is named by its hash.
fn policy(style: &str) -> String {
    let digest = Digest::of(style.as_bytes());
    let hash = data_encoding::BASE64.encode(digest.as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

impl Pages {
    /// The pages, with what an operator's folder has otherwise; else everything wrong with it.
    pub fn load(folder: Option<&Path>) -> Result<Self, Vec<TemplateMistake>> {
        let sources = match folder {
            Some(folder) => Sources::with_folder(folder)?,
            None => Sources::default(),
        };
        let overrides::Parsed {
            layout,
            style,
            first,
            others,
        } = sources.parse()?;
        let policy = HeaderValue::from_str(&policy(&style)).map_err(|_never| Vec::new())?;
        let tags = std::iter::once(&first).chain(&others);
        Ok(Self(Arc::new(Inner {
            layout,
            tags: tags.map(|spoken| spoken.tag).collect(),
            style: format!("<style>{style}</style>"),
            policy,
            first,
            others,
        })))
    }

    /// What a browser may do with these pages.
    pub(super) fn policy(&self) -> HeaderValue {
        self.0.policy.clone()
    }

    /// The pages in the language that this request prefers.
    pub(super) fn for_reader(&self, headers: &HeaderMap) -> Reader<'_> {
        let Inner { first, others, .. } = &*self.0;
        let found = preferred(headers, &self.0.tags);
        let is_found = |spoken: &&Spoken| found == Some(spoken.tag);
        Reader {
            pages: &self.0,
            spoken: others.iter().find(is_found).unwrap_or(first),
        }
    }
}

impl Names {
    /// Isolated, so that their direction of writing does not disturb the sentence.
    pub(super) fn new(sender: &str, stream: &str) -> Self {
        let isolated = |name: &str| format!("<bdi>{}</bdi>", escaped(name));
        Self {
            sender: isolated(sender),
            stream: isolated(stream),
        }
    }
}

/// The pages in one language.
pub(super) struct Reader<'a> {
    pages: &'a Inner,
    spoken: &'a Spoken,
}

impl Reader<'_> {
    /// Asks the reader, who may be a scanner, to press the button; says what it will do.
    pub(super) fn question(&self, ends: Ends, names: &Names, visit: Option<Visit>) -> Page {
        let texts = &self.spoken.texts;
        let promise = match ends {
            Ends::ThisKind => &texts.ask_stream,
            Ends::Marketing => &texts.ask_marketing,
            Ends::NothingYet => &texts.ask_review,
        };
        // The fields that RFC 8058 wants, and the visit.
        let mut fields = field("List-Unsubscribe", "One-Click");
        if let Some(visit) = visit {
            fields.push_str(&field(VISIT, &visit.to_string()));
        }
        let form = form(&fields, "", &texts.ask_button);
        self.page(
            &texts.ask_title,
            &[promise, &texts.ask_nothing],
            names,
            &form,
        )
    }

    /// Confirms, and offers to take it back with that nonce.
    pub(super) fn done(&self, ends: Ends, names: &Names, nonce: Option<&str>) -> Page {
        let texts = &self.spoken.texts;
        let (title, said) = match ends {
            Ends::ThisKind => (&texts.done_title, &texts.done_stream),
            Ends::Marketing => (&texts.done_title, &texts.done_marketing),
            Ends::NothingYet => (&texts.review_title, &texts.review),
        };
        match nonce {
            Some(nonce) => {
                let form = form(&field(UNDO, nonce), " class=\"quiet\"", &texts.undo_button);
                self.page(title, &[said, &texts.undo_hint], names, &form)
            }
            None => self.page(title, &[said], names, ""),
        }
    }

    /// Says that it was taken back. Whether another opt-out stands all the same is settled in the
    /// store, behind the journal, which is not waited for here: so it is said to everybody.
    pub(super) fn undone(&self) -> Page {
        let texts = &self.spoken.texts;
        self.notice(&texts.undone_title, &texts.undone)
    }

    /// Says that it cannot be taken back any more.
    pub(super) fn late(&self) -> Page {
        let texts = &self.spoken.texts;
        self.notice(&texts.late_title, &texts.late)
    }

    /// For every wrong token and every unknown address.
    pub(super) fn missing(&self) -> Page {
        let texts = &self.spoken.texts;
        self.notice(&texts.missing_title, &texts.missing)
    }

    /// For methods that mean nothing here.
    pub(super) fn refused(&self) -> Page {
        let texts = &self.spoken.texts;
        self.notice(&texts.refused_title, &texts.refused)
    }

    /// Says that nothing was done, and that it may succeed soon.
    pub(super) fn later(&self) -> Page {
        let texts = &self.spoken.texts;
        self.notice(&texts.later_title, &texts.later)
    }

    fn notice(&self, title: &Template, text: &Template) -> Page {
        self.page(title, &[text], &Names::new("", ""), "")
    }

    fn page(&self, title: &Template, said: &[&Template], names: &Names, form: &str) -> Page {
        let mut heading = String::new();
        title.fill(&mut heading, |_| "");
        let mut content = format!("<h1>{heading}</h1>\n");
        for text in said {
            content.push_str("<p>");
            text.fill(&mut content, |slot| match slot {
                "stream" => &names.stream,
                _ => &names.sender,
            });
            content.push_str("</p>\n");
        }
        content.push_str(form);
        let Inner { layout, style, .. } = self.pages;
        let mut html = String::with_capacity(style.len() + content.len() + 1024);
        layout.fill(&mut html, |slot| match slot {
            "lang" => self.spoken.tag,
            "title" => &heading,
            "style" => style,
            _ => &content,
        });
        Page {
            html,
            language: self.spoken.tag,
        }
    }
}

/// The form has no `action`: it is sent to the page's own address, which names all (RFC 8058 §3.2).
fn form(fields: &str, class: &str, button: &Template) -> String {
    let mut form = format!("<form method=\"post\">\n{fields}<button type=\"submit\"{class}>");
    button.fill(&mut form, |_| "");
    form.push_str("</button>\n</form>\n");
    form
}

/// Browsers must not fill it in with what an earlier page had.
fn field(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\" autocomplete=\"off\">\n")
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_LANGUAGE;

    use super::super::texts::ALL;
    use super::*;

    fn reader_of(pages: &Pages, tag: &str) -> HeaderMap {
        let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, tag.parse().unwrap())]);
        assert_eq!(pages.for_reader(&headers).spoken.tag, tag);
        headers
    }

    fn all(reader: &Reader<'_>) -> Vec<Page> {
        let names = Names::new("Ann & Bob's <Shop>", "News \"weekly\"");
        let visit = Some(Visit::from_bytes([7; 16]));
        let mut pages = Vec::new();
        for ends in [Ends::ThisKind, Ends::Marketing, Ends::NothingYet] {
            pages.push(reader.question(ends, &names, visit));
            pages.push(reader.done(ends, &names, Some("00ff")));
            pages.push(reader.done(ends, &names, None));
        }
        pages.extend([
            reader.undone(),
            reader.late(),
            reader.missing(),
            reader.refused(),
            reader.later(),
        ]);
        pages
    }

    /// The tags of a page, without their text.
    fn markup(html: &str) -> String {
        let tags = html.split('>').filter_map(|piece| piece.split_once('<'));
        tags.flat_map(|(_, tag)| ["<", tag, ">"]).collect()
    }

    #[test]
    fn every_page_of_every_language_loads_and_runs_nothing() {
        // C-007
        let pages = Pages::load(None).unwrap();
        for (tag, _) in ALL {
            let headers = reader_of(&pages, tag);
            for page in all(&pages.for_reader(&headers)) {
                let tags = markup(&page.html);
                for forbidden in [
                    "<script",
                    "http:",
                    "https:",
                    "url(",
                    "src=",
                    "href",
                    " on",
                    "javascript",
                    "<shop",
                    "http-equiv",
                ] {
                    assert!(
                        !tags.to_lowercase().contains(forbidden),
                        "{forbidden}: {page:?}"
                    );
                }
                assert!(tags.starts_with(&format!("<!DOCTYPE html><html lang=\"{tag}\">")));
                assert_eq!(page.language, tag);
                assert!(!page.html.contains("{{"), "{page:?}");
            }
        }
    }

    #[test]
    fn names_are_shown_and_never_markup() {
        let pages = Pages::load(None).unwrap();
        for (tag, _) in ALL {
            let headers = reader_of(&pages, tag);
            let reader = pages.for_reader(&headers);
            let names = Names::new("<i>A&B</i>", "\"W'");
            for ends in [Ends::ThisKind, Ends::Marketing, Ends::NothingYet] {
                for page in [
                    reader.question(ends, &names, None),
                    reader.done(ends, &names, None),
                ] {
                    let sender = "<bdi>&lt;i&gt;A&amp;B&lt;/i&gt;</bdi>";
                    assert!(page.html.contains(sender), "{tag} {ends:?}");
                    let stream = page.html.contains("<bdi>&quot;W&#39;</bdi>");
                    assert_eq!(stream, ends == Ends::ThisKind, "{tag} {ends:?}");
                }
            }
        }
    }

    #[test]
    fn a_form_posts_to_its_own_address_and_only_where_there_is_something_to_press() {
        // C-006
        let pages = Pages::load(None).unwrap();
        let headers = HeaderMap::new();
        let reader = pages.for_reader(&headers);
        let forms: Vec<usize> = all(&reader)
            .iter()
            .map(|page| page.html.matches("<form method=\"post\">\n").count())
            .collect();
        assert_eq!(forms, [1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
        let question = reader
            .question(Ends::ThisKind, &Names::new("", ""), None)
            .html;
        assert!(question.contains("name=\"List-Unsubscribe\" value=\"One-Click\""));
    }

    #[test]
    fn no_two_texts_of_a_language_are_the_same_and_none_is_empty() {
        for (tag, texts) in ALL {
            let mut seen = std::collections::BTreeSet::new();
            let looked = texts.map(|name, text, slots| {
                assert!(
                    !text.trim().is_empty() && text.trim() == *text,
                    "{tag} {name}"
                );
                for slot in slots {
                    assert!(
                        text.contains(&format!("{{{{{slot}}}}}")),
                        "{tag} {name}: {slot}"
                    );
                }
                // A button may say what its title says.
                let is_new = seen.insert(*text);
                assert!(is_new || name.ends_with("_button"), "{tag} {name}");
                Ok::<_, ()>(())
            });
            looked.unwrap();
        }
    }

    #[test]
    fn no_language_has_a_text_of_another() {
        let mut seen = std::collections::BTreeMap::new();
        for (tag, texts) in ALL {
            let looked = texts.map(|name, text, _| {
                // Short words are shared by languages that are related.
                if text.chars().count() > 20 {
                    let before = seen.insert(*text, tag);
                    assert_eq!(before, None, "{tag} {name}");
                }
                Ok::<_, ()>(())
            });
            looked.unwrap();
        }
    }
}
