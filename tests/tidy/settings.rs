//! Every setting that operators can write is read by the code that builds the server.

use crate::source::{File, Finding, has_word};

/// Where keys are declared.
const SECTIONS: &str = "src/config/sections.rs";

/// Only these modules see the settings.
const READERS: [&str; 4] = ["src/config.rs", "src/serve", "src/telemetry", "src/cli"];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let Some(sections) = files.iter().find(|file| file.path == SECTIONS) else {
        return Vec::new();
    };
    let readers: Vec<&File> = files
        .iter()
        .filter(|file| READERS.iter().any(|start| file.path.starts_with(start)))
        .collect();
    let read = |key: &str| {
        let field = format!(".{key}");
        let named = |(line, code): (usize, &str), file: &File| {
            !file.is_test(line) && code.contains(&field) && has_word(code, key)
        };
        readers
            .iter()
            .any(|file| file.code_lines().any(|line| named(line, file)))
    };
    sections
        .code_lines()
        .filter_map(|(line, code)| Some((line, key(code)?)))
        .filter(|(_, key)| !read(key))
        .map(|(line, key)| {
            let reason =
                format!("{key} is declared, but nothing reads it: honour it, or leave it out");
            sections.finding(line, "settings", reason)
        })
        .collect()
}

/// The key of a line `key: Type = default(…);`.
fn key(code: &str) -> Option<&str> {
    let (key, rest) = code.trim().split_once(": ")?;
    let (_, kind) = rest.split_once(" = ")?;
    ["default(", "unset(", "required(", "section;", "tables;"]
        .iter()
        .any(|start| kind.starts_with(start))
        .then_some(key)
}

mod tests {
    use super::*;

    #[test]
    fn a_key_that_nothing_reads_is_found() {
        let sections =
            "section! {\n  idle: Duration = default(a());\n  url: Option<Url> = unset(\"\");\n}\n";
        let files = |reader: &str| {
            [
                File::new(SECTIONS, sections),
                File::new("src/serve.rs", reader),
            ]
        };
        let lines = |reader: &str| -> Vec<usize> {
            check(&files(reader))
                .into_iter()
                .map(|found| found.line)
                .collect()
        };
        assert_eq!(lines("fn a() { b(limits.idle, public.url) }"), [0; 0]);
        assert_eq!(
            lines("fn a() { b(limits.idle_time) } // public.url"),
            [2, 3]
        );
    }
}
