//! The project's files as the rules see them: code apart from comments and texts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) reason: String,
}

/// A file of the project.
#[derive(Debug)]
pub(crate) struct File {
    /// From the project's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Of Rust: the text with comments and the content of literals blanked; else empty.
    pub(crate) code: String,
    /// Of Rust: comments with their lines, without the slashes; those of documentation apart.
    pub(crate) comments: Vec<Comment>,
    /// Of Rust: lines of `#[cfg(test)]` modules; in `tests/` all.
    tests: BTreeSet<usize>,
}

/// One line of a comment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) documentation: bool,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let rust = is_extension(path, "rs");
        let (code, comments) = if rust {
            split(text)
        } else {
            (String::new(), Vec::new())
        };
        let tests = if path.starts_with("tests/") {
            (1..=text.lines().count()).collect()
        } else {
            test_lines(&code)
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments,
            tests,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        is_extension(&self.path, "rs")
    }

    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests.contains(&line)
    }

    /// Lines of code, from 1, without comments and texts.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    pub(crate) fn text_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    pub(crate) fn finding(
        &self,
        line: usize,
        rule: &'static str,
        reason: impl Into<String>,
    ) -> Finding {
        Finding {
            file: self.path.clone(),
            line,
            rule,
            reason: reason.into(),
        }
    }
}

pub(crate) fn is_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// Every file of the project that is text, in order.
pub(crate) fn project(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let hidden = name.starts_with('.') && name != ".ci";
        let made = match folder.strip_prefix(root).unwrap().to_str() {
            Some("") => ["target", "data"].contains(&name.as_str()),
            Some("fuzz") => ["target", "corpus", "artifacts"].contains(&name.as_str()),
            _ => false,
        };
        if hidden || made {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else if path.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            files.push(File::new(&path, &text));
        }
    }
}

/// Blanks comments and the content of literals, keeping every line where it is.
fn split(text: &str) -> (String, Vec<Comment>) {
    let mut splitter = Splitter {
        rest: text,
        code: String::new(),
        comments: Vec::new(),
        line: 1,
    };
    while splitter.step() {}
    (splitter.code, splitter.comments)
}

struct Splitter<'a> {
    rest: &'a str,
    code: String,
    comments: Vec<Comment>,
    line: usize,
}

impl Splitter<'_> {
    fn step(&mut self) -> bool {
        let Some(next) = self.rest.chars().next() else {
            return false;
        };
        let word_before = self
            .code
            .ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if self.rest.starts_with("//") {
            self.comment(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.comment(block_comment(self.rest));
        } else if let Some(length) = raw_string(self.rest).filter(|_| !word_before) {
            self.blank(length);
        } else if next == '"' {
            self.blank(string(self.rest));
        } else if let Some(length) = character(self.rest) {
            self.blank(length);
        } else {
            self.keep(next);
        }
        true
    }

    fn keep(&mut self, next: char) {
        self.code.push(next);
        self.line += usize::from(next == '\n');
        self.rest = &self.rest[next.len_utf8()..];
    }

    /// Leaves the quotes, so that a literal is still seen as one.
    fn blank(&mut self, length: usize) {
        let (literal, rest) = self.rest.split_at(length);
        self.code.push('"');
        self.code.extend(literal.chars().filter(|c| *c == '\n'));
        self.code.push('"');
        self.line += literal.matches('\n').count();
        self.rest = rest;
    }

    fn comment(&mut self, length: usize) {
        let (comment, rest) = self.rest.split_at(length);
        let documentation = ["///", "//!", "/**", "/*!"]
            .iter()
            .any(|start| comment.starts_with(start));
        for (index, text) in comment.lines().enumerate() {
            let text = text
                .trim_start_matches(['/', '*', '!', ' '])
                .trim_end()
                .to_owned();
            self.comments.push(Comment {
                line: self.line + index,
                text,
                documentation,
            });
        }
        self.code.extend(comment.chars().filter(|c| *c == '\n'));
        self.line += comment.matches('\n').count();
        self.rest = rest;
    }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match text.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") if depth == 1 => return at + 2,
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let start = ["br", "cr", "r"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = start.bytes().take_while(|byte| *byte == b'#').count();
    start[hashes..].strip_prefix('"')?;
    let opened = text.len() - start.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(
        text[opened..]
            .find(&end)
            .map_or(text.len(), |found| opened + found + end.len()),
    )
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let mut chars = inner.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        let after = inner[1..].chars().next()?.len_utf8() + 1;
        return inner[after..].find('\'').map(|found| 1 + after + found + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 2)
}

/// The lines of modules and items behind `#[cfg(test)]`.
fn test_lines(code: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let rest = &code[start..];
        let end = rest
            .find('{')
            .and_then(|open| Some(open + block(&rest[open..])?));
        let first = code[..start].matches('\n').count() + 1;
        let lines = rest[..end.unwrap_or(rest.len())].matches('\n').count();
        found.extend(first..=first + lines);
    }
    found
}

/// The length of a block in braces.
pub(crate) fn block(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Whether a text contains a word that does not go on at either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
    })
}

mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_comments_and_texts() {
        let text = "let a = \"// no\"; // yes\n/* b /* c */\n d */ let e = r#\"\"f\"\"#; '\"'; '\\''; g::<'h>(b\"\\\"i\")";
        let (code, comments) = split(text);
        assert_eq!(
            code,
            "let a = \"\"; \n\n let e = \"\"; \"\"; \"\"; g::<'h>(b\"\")"
        );
        let found: Vec<(usize, &str)> =
            comments.iter().map(|c| (c.line, c.text.as_str())).collect();
        assert_eq!(found, [(1, "yes"), (2, "b /* c */"), (3, "d */")]);
    }

    #[test]
    fn documentation_is_told_from_comments() {
        let file = File::new("src/a.rs", "//! a\n/// b\n// c\n");
        let kinds: Vec<bool> = file
            .comments
            .iter()
            .map(|comment| comment.documentation)
            .collect();
        assert_eq!(kinds, [true, true, false]);
    }

    #[test]
    fn lines_of_tests_are_known() {
        let file = File::new(
            "src/a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n",
        );
        let tests: Vec<usize> = (1..=6).filter(|line| file.is_test(*line)).collect();
        assert_eq!(tests, [2, 3, 4, 5]);
        assert!(File::new("tests/a.rs", "fn a() {}").is_test(1));
    }

    #[test]
    fn words_end_at_their_ends() {
        assert!(has_word("a mac == b", "mac"));
        assert!(!has_word("machine", "mac") && !has_word("the_mac", "mac"));
    }
}
