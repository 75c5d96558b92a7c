//! What `docs/limits.md` names exists: settings, tests, constants.
//!
//! In the tables a name stands in backticks: `section.key` is a setting, `MAX_SOMETHING` a constant
//! of the source, and a name of small letters with underscores a test.

use std::collections::BTreeSet;

use crate::source::{File, Finding, has_word};

const PAPER: &str = "docs/limits.md";
const EXAMPLE: &str = "config/example.toml";

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let Some(paper) = files.iter().find(|file| file.path == PAPER) else {
        return Vec::new();
    };
    let settings = files
        .iter()
        .find(|file| file.path == EXAMPLE)
        .map(settings)
        .unwrap_or_default();
    let mut found = Vec::new();
    for (line, text) in paper.text_lines().filter(|(_, text)| text.starts_with('|')) {
        for name in text.split('`').skip(1).step_by(2) {
            let missing = match kind(name) {
                Kind::Setting => (!settings.contains(name)).then_some("a setting"),
                Kind::Test => (!is_tested(files, name)).then_some("a test"),
                Kind::Constant => (!is_declared(files, name)).then_some("a constant"),
                Kind::Other => None,
            };
            if let Some(what) = missing {
                found.push(paper.finding(line, "limits", format!("{name} is not {what} here")));
            }
        }
    }
    found
}

enum Kind {
    Setting,
    Test,
    Constant,
    Other,
}

fn kind(name: &str) -> Kind {
    let of = |extra: fn(char) -> bool| {
        name.chars()
            .all(|c| c == '_' || c.is_ascii_digit() || extra(c))
    };
    if of(|c| c.is_ascii_lowercase() || c == '.') && name.contains('.') {
        Kind::Setting
    } else if of(|c| c.is_ascii_lowercase()) && name.contains('_') {
        Kind::Test
    } else if of(|c| c.is_ascii_uppercase()) && name.contains('_') {
        Kind::Constant
    } else {
        Kind::Other
    }
}

/// The keys of the example file with their sections.
fn settings(example: &File) -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in example.text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line
            .strip_prefix('#')
            .and_then(|rest| rest.split_once(" = "))
            && !key.contains(' ')
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

fn is_tested(files: &[File], name: &str) -> bool {
    let start = format!("fn {name}(");
    let is_test = |file: &File, line| file.is_test(line) || file.path.ends_with("/tests.rs");
    let mut lines = files.iter().flat_map(|file| {
        file.code_lines()
            .map(move |(line, code)| (file, line, code))
    });
    lines.any(|(file, line, code)| code.contains(&start) && is_test(file, line))
}

fn is_declared(files: &[File], name: &str) -> bool {
    let mut lines = files
        .iter()
        .filter(|file| file.path.starts_with("src/"))
        .flat_map(File::code_lines);
    lines.any(|(_, code)| code.contains("const ") && has_word(code, name))
}

mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_exist_are_found() {
        let files = |row: &str| {
            [
                File::new(PAPER, &format!("# Limits\n\n{row}\n")),
                File::new(
                    EXAMPLE,
                    "[limits]\n\n#idle = \"5 min\"\n\n# Not so = this.\n",
                ),
                File::new("src/a.rs", "const MAX_A: u8 = 1;\nfn a_b() {}\n"),
                File::new("tests/a.rs", "fn all_ends() {}\n"),
            ]
        };
        let count = |row: &str| check(&files(row)).len();
        assert_eq!(
            count("| `limits.idle` `all_ends` `MAX_A` `EHLO` `a/b`, all_end |"),
            0
        );
        assert_eq!(count("| `limits.idler` `all_end` `MAX_B` `a_b` |"), 4);
        assert_eq!(count("Elsewhere `limits.idler` is prose."), 0);
    }
}
