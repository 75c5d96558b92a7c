//! What the pages are made of: what is built in, and what an operator's folder has otherwise.
//!
//! A folder may hold `page.html` (around the content of every page), `style.css`, and for any
//! language a file of texts, for instance `de.toml`. What is not there is as it was. The policy
//! under which browsers show the pages stays as strict, so what it forbids is refused here.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::pages::Spoken;
use super::template::{Template, Wrong};
use super::texts::{ALL, Texts};

/// Octets of a file of an operator's folder.
const MAX_FILE: u64 = 64 * 1024;

/// Where the built-in parts are, for what is said about them.
const BUILT_IN: &str = "built in";

/// What `page.html` is filled in with; each must stand in it.
const PARTS: [&str; 4] = ["lang", "title", "style", "content"];

/// What the policy would not let a browser load, run or follow, or would end the style sheet.
const FORBIDDEN_MARKUP: [&str; 15] = [
    " style=",
    "<script",
    "<link",
    "<img",
    "<iframe",
    "<frame",
    "<object",
    "<embed",
    "<video",
    "<audio",
    "<style",
    "<form",
    "<base",
    "http-equiv",
    "javascript:",
];
const FORBIDDEN_STYLE: [&str; 3] = ["</", "@import", "url("];

/// Something wrong in an operator's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMistake {
    /// In which file.
    pub file: PathBuf,
    /// In which line of it, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what is wanted.
    pub text: String,
}

impl fmt::Display for TemplateMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            0 => write!(f, "{file}: {}", self.text),
            line => write!(f, "{file}:{line}: {}", self.text),
        }
    }
}

/// The texts of a file, each with its name, and where both stand.
type Given = BTreeMap<toml::Spanned<String>, toml::Spanned<String>>;

/// A text with the place that it was read from.
#[derive(Debug, Clone)]
struct Source {
    file: PathBuf,
    /// Where it begins.
    line: usize,
    text: String,
}

impl Source {
    fn built_in(text: &str) -> Self {
        Self {
            file: BUILT_IN.into(),
            line: 1,
            text: text.to_owned(),
        }
    }

    fn mistake(&self, wrong: Wrong) -> TemplateMistake {
        TemplateMistake {
            file: self.file.clone(),
            line: self.line + wrong.line - 1,
            text: wrong.text,
        }
    }
}

/// All parts, unparsed.
#[derive(Debug)]
pub(super) struct Sources {
    layout: Source,
    style: Source,
    languages: Vec<(&'static str, Texts<Source>)>,
}

/// All parts, parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) layout: Template,
    pub(super) style: String,
    pub(super) first: Spoken,
    pub(super) others: Vec<Spoken>,
}

impl Default for Sources {
    fn default() -> Self {
        let written = |(tag, texts): (&'static str, Texts<&str>)| {
            let texts = texts.map(|_, text, _| Ok::<_, ()>(Source::built_in(text)));
            texts.ok().map(|texts| (tag, texts))
        };
        Self {
            layout: Source::built_in(include_str!("page.html")),
            style: Source::built_in(include_str!("style.css").trim_end()),
            languages: ALL.into_iter().filter_map(written).collect(),
        }
    }
}

impl Sources {
    /// What is built in, with what this folder has otherwise.
    pub(super) fn with_folder(folder: &Path) -> Result<Self, Vec<TemplateMistake>> {
        let mut sources = Self::default();
        let mut mistakes = Vec::new();
        for (name, part) in [
            ("page.html", &mut sources.layout),
            ("style.css", &mut sources.style),
        ] {
            match read(&folder.join(name)) {
                Ok(Some(source)) => *part = source,
                Ok(None) => {}
                Err(mistake) => mistakes.push(mistake),
            }
        }
        match texts_in(folder) {
            Ok(files) => {
                for file in files {
                    mistakes.extend(sources.read_texts(&file));
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
        if mistakes.is_empty() {
            Ok(sources)
        } else {
            Err(mistakes)
        }
    }

    /// Takes the texts of one file; gives what is wrong in it.
    fn read_texts(&mut self, file: &Path) -> Vec<TemplateMistake> {
        let mistake = |line, text| TemplateMistake {
            file: file.to_path_buf(),
            line,
            text,
        };
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        let is_named = |tag: &str| stem.is_some_and(|stem| stem.eq_ignore_ascii_case(tag));
        let tags: Vec<&str> = self.languages.iter().map(|(tag, _)| *tag).collect();
        let language = self.languages.iter_mut().find(|(tag, _)| is_named(tag));
        let Some((_, texts)) = language else {
            let known = tags.join(", ");
            return vec![mistake(0, format!("no such language; there are {known}"))];
        };
        let whole = match read(file) {
            Ok(Some(whole)) => whole.text,
            Ok(None) => return Vec::new(),
            Err(mistake) => return vec![mistake],
        };
        let line_of = |at: usize| {
            let before = whole.as_bytes().get(..at).unwrap_or_default();
            1 + memchr::memchr_iter(b'\n', before).count()
        };
        let given: Given = match toml::from_str(&whole) {
            Ok(given) => given,
            Err(error) => {
                let line = error.span().map_or(0, |span| line_of(span.start));
                return vec![mistake(line, error.message().to_owned())];
            }
        };
        let mut mistakes = Vec::new();
        for (name, text) in given {
            let line = line_of(name.span().start);
            match texts.named(name.as_ref()) {
                None => mistakes.push(mistake(
                    line,
                    format!("there is no text {:?}", name.as_ref()),
                )),
                Some(_) if text.as_ref().trim().is_empty() => {
                    mistakes.push(mistake(line, format!("{} is empty", name.as_ref())));
                }
                Some(place) => {
                    *place = Source {
                        file: file.to_path_buf(),
                        line,
                        text: text.into_inner(),
                    }
                }
            }
        }
        mistakes
    }

    /// Parses everything.
    pub(super) fn parse(self) -> Result<Parsed, Vec<TemplateMistake>> {
        let mut mistakes = Vec::new();
        mistakes.extend(forbidden(&self.layout, &FORBIDDEN_MARKUP));
        mistakes.extend(forbidden(&self.style, &FORBIDDEN_STYLE));
        let layout = match Template::markup(&self.layout.text, &PARTS) {
            Ok(layout) => {
                let missing = PARTS.iter().filter(|part| !layout.has(part));
                let missing = missing.map(|part| TemplateMistake {
                    file: self.layout.file.clone(),
                    line: 0,
                    text: format!("{{{{{part}}}}} is missing"),
                });
                mistakes.extend(missing);
                Some(layout)
            }
            Err(wrong) => {
                mistakes.push(self.layout.mistake(wrong));
                None
            }
        };
        let mut languages = Vec::new();
        for (tag, texts) in &self.languages {
            let texts = texts.map(|_, source, slots| {
                Template::plain(&source.text, slots).map_err(|wrong| source.mistake(wrong))
            });
            match texts {
                Ok(texts) => languages.push(Spoken { tag, texts }),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        let mut languages = languages.into_iter();
        match (layout, languages.next()) {
            (Some(layout), Some(first)) if mistakes.is_empty() => Ok(Parsed {
                layout,
                style: self.style.text,
                first,
                others: languages.collect(),
            }),
            _ => Err(mistakes),
        }
    }
}

/// Where a text has what it must not have.
fn forbidden(source: &Source, what: &[&str]) -> Vec<TemplateMistake> {
    let mut found = Vec::new();
    for (line, text) in (source.line..).zip(source.text.lines()) {
        let text = text.to_ascii_lowercase();
        for word in what.iter().filter(|word| text.contains(**word)) {
            found.push(TemplateMistake {
                file: source.file.clone(),
                line,
                text: format!("{word} is not possible here: the page loads and runs nothing"),
            });
        }
    }
    found
}

/// A file of the folder; `None` if there is none.
fn read(file: &Path) -> Result<Option<Source>, TemplateMistake> {
    let mistake = |text: String| TemplateMistake {
        file: file.to_path_buf(),
        line: 0,
        text,
    };
    match fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(mistake(error.to_string())),
        Ok(found) if found.len() > MAX_FILE => {
            return Err(mistake(format!("is longer than {} KiB", MAX_FILE / 1024)));
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(file).map_err(|error| mistake(error.to_string()))?;
    Ok(Some(Source {
        file: file.to_path_buf(),
        line: 1,
        text,
    }))
}

/// The files of texts in the folder, by name.
fn texts_in(folder: &Path) -> Result<Vec<PathBuf>, TemplateMistake> {
    let mistake = |error: std::io::Error| TemplateMistake {
        file: folder.to_path_buf(),
        line: 0,
        text: error.to_string(),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(mistake)? {
        let path = entry.map_err(mistake)?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::pages::Pages;
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn mistakes(files: &[(&str, &str)]) -> Vec<String> {
        let folder = folder(files);
        let begin = format!("{}/", folder.path().display());
        let found = Pages::load(Some(folder.path())).unwrap_err();
        let found = found.iter().map(ToString::to_string);
        found.map(|text| text.replace(&begin, "")).collect()
    }

    #[test]
    fn what_is_built_in_and_an_empty_folder_are_right() {
        assert!(Pages::load(None).is_ok());
        assert!(Pages::load(Some(folder(&[("notes.txt", "x")]).path())).is_ok());
    }

    #[test]
    fn every_mistake_is_named_with_file_and_line() {
        let page = "<html lang=\"{{lang}}\">\n<title>{{title}}</title>\n<style>{{style}}";
        for (files, expected) in [
            (
                vec![("page.html", "<p>\n{{contents}}")],
                vec![
                    "page.html:2: {{contents}} means nothing here: only {{lang}}, {{title}}, \
                      {{style}} and {{content}} do",
                ],
            ),
            (
                vec![("page.html", page)],
                vec![
                    "page.html:3: <style is not possible here: the page loads and runs nothing",
                    "page.html: {{content}} is missing",
                ],
            ),
            (
                vec![("style.css", "b{}\na{background:URL(x)}")],
                vec!["style.css:2: url( is not possible here: the page loads and runs nothing"],
            ),
            (
                vec![(
                    "de.toml",
                    "ask_title = \"Weg?\"\nask_titel = \"x\"\nundone = \" \"\n",
                )],
                vec![
                    "de.toml:2: there is no text \"ask_titel\"",
                    "de.toml:3: undone is empty",
                ],
            ),
            (
                vec![("de.toml", "\nundone = \"von {{sender}}\"")],
                vec!["de.toml:2: {{sender}} means nothing here: nothing is filled in here"],
            ),
            (
                vec![("tlh.toml", "")],
                vec![
                    "tlh.toml: no such language; there are en, de, es, fr, it, ja, ko, nl, pl, \
                      pt, zh-Hans, zh-Hant",
                ],
            ),
        ] {
            assert_eq!(mistakes(&files), expected);
        }
        let broken = mistakes(&[("fr.toml", "ask_title = \"a\"\nundone = 1\n")]);
        assert!(
            broken[0].starts_with("fr.toml:2: invalid type"),
            "{broken:?}"
        );
        let long = "x".repeat(70_000);
        assert_eq!(
            mistakes(&[("style.css", &long)]),
            ["style.css: is longer than 64 KiB"]
        );
        let gone = Pages::load(Some(Path::new("/nowhere/at/all"))).unwrap_err();
        assert_eq!(gone.len(), 1);
    }
}
