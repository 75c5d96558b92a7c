//! What a review would say twice about Rust files.

use crate::source::{File, Finding, block, has_word};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

/// A file with more lines of code is shown.
const LONG_FILE: usize = 400;

/// A function with more lines is shown.
const LONG_FUNCTION: usize = 70;

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let rules = [
        module_docs,
        names,
        left_code,
        attributes,
        sleeps,
        citations_form,
        mac_comparison,
    ];
    let rust = || files.iter().filter(|file| file.is_rust());
    rules
        .iter()
        .flat_map(|rule| rust().flat_map(rule))
        .collect()
}

fn module_docs(file: &File) -> Vec<Finding> {
    let first = file.text.lines().find(|line| !line.trim().is_empty());
    if first.is_some_and(|line| line.starts_with("//!")) {
        return Vec::new();
    }
    vec![file.finding(
        1,
        "module-docs",
        "begins without //!: say in a sentence what it is",
    )]
}

fn names(file: &File) -> Vec<Finding> {
    let of_file = file
        .path
        .trim_end_matches(".rs")
        .split('/')
        .find(|part| EMPTY_NAMES.contains(part));
    let reason = |name: &str| format!("{name} says nothing: name it after what it knows");
    let mut found: Vec<Finding> = of_file
        .map(|name| file.finding(1, "names", reason(name)))
        .into_iter()
        .collect();
    for (line, code) in file.code_lines() {
        let name = code
            .split("mod ")
            .nth(1)
            .and_then(|rest| rest.split([' ', ';', '{']).next());
        if let Some(name) = name.filter(|name| EMPTY_NAMES.contains(name)) {
            found.push(file.finding(line, "names", reason(name)));
        }
    }
    found
}

/// Comments are sentences; code that is not needed is in the history.
fn left_code(file: &File) -> Vec<Finding> {
    let begins = [
        "let ", "use ", "return ", "pub ", "fn ", "if let ", "assert", "} else",
    ];
    let statement = |text: &str| {
        let first = text.split_whitespace().next().unwrap_or_default();
        let code = begins.iter().any(|start| text.starts_with(start))
            || first.contains('(')
            || text.contains(" = ");
        let ends = text.ends_with(';') || text.ends_with('{');
        (code && ends) || text == "}" || (text.starts_with("#[") && text.ends_with(']'))
    };
    let comments = file
        .comments
        .iter()
        .filter(|comment| !comment.documentation);
    comments
        .filter(|comment| statement(&comment.text))
        .map(|comment| file.finding(comment.line, "left-code", "commented-out code: delete it"))
        .collect()
}

fn attributes(file: &File) -> Vec<Finding> {
    let rules = [
        ("#[ignore", "a test that does not run proves nothing"),
        ("#[should_panic", "assert the error itself"),
        ("#[allow(", "use #[expect(…, reason = …)]"),
        ("#![allow(", "use #![expect(…, reason = …)]"),
    ];
    let mut found = Vec::new();
    for (line, code) in file.code_lines() {
        for (text, reason) in rules {
            if code.contains(text) {
                found.push(file.finding(line, "attributes", reason));
            }
        }
    }
    found
}

fn sleeps(file: &File) -> Vec<Finding> {
    file.code_lines()
        .filter(|(line, code)| file.is_test(*line) && has_word(code, "sleep"))
        .map(|(line, _)| file.finding(line, "sleeps", "wait for the event itself, not for time"))
        .collect()
}

/// One form of citing, so that it can be searched for.
fn citations_form(file: &File) -> Vec<Finding> {
    let wrong = |text: &str| {
        let glued = text.match_indices("RFC").any(|(at, found)| {
            text[at + found.len()..].starts_with(|c: char| c.is_ascii_digit() || c == '-')
        });
        glued || text.contains("rfc ") || text.contains("Rfc ")
    };
    file.comments
        .iter()
        .filter(|comment| wrong(&comment.text))
        .map(|comment| file.finding(comment.line, "citations", "write RFC 5321 §4.5.2"))
        .collect()
}

fn mac_comparison(file: &File) -> Vec<Finding> {
    if !file.path.starts_with("src/token") {
        return Vec::new();
    }
    let compares = |code: &str| {
        let secret = ["mac", "macs", "tag", "expected_mac"]
            .iter()
            .any(|word| has_word(code, word));
        let length = code.contains(".len()");
        secret && !length && (code.contains("==") || code.contains("!="))
    };
    file.code_lines()
        .filter(|(line, code)| !file.is_test(*line) && compares(code))
        .map(|(line, _)| {
            file.finding(
                line,
                "mac",
                "compare MACs in constant time, in one function",
            )
        })
        .collect()
}

/// Files and functions to look at: no failure, a list.
pub(crate) fn long(files: &[File]) -> Vec<String> {
    let mut list = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines = file
            .code_lines()
            .filter(|(line, code)| {
                !code.trim().is_empty() && (file.path.starts_with("tests/") || !file.is_test(*line))
            })
            .count();
        if lines > LONG_FILE {
            list.push(format!("{}: {lines} lines of code", file.path));
        }
        list.extend(long_functions(file));
    }
    list
}

fn long_functions(file: &File) -> Vec<String> {
    let starts = file
        .code
        .match_indices("fn ")
        .filter(|(at, _)| !file.code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    starts
        .filter_map(|(at, _)| {
            let rest = &file.code[at..];
            let open = rest
                .find(['{', ';'])
                .filter(|open| rest[*open..].starts_with('{'))?;
            let lines = rest[..open + block(&rest[open..])?].matches('\n').count() + 1;
            let line = file.code[..at].matches('\n').count() + 1;
            (lines > LONG_FUNCTION)
                .then(|| format!("{}:{line}: a function of {lines} lines", file.path))
        })
        .collect()
}

mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&[File::new(path, text)])
            .into_iter()
            .map(|found| (found.rule, found.line))
            .collect()
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let cases = [
            ("src/a.rs", "fn a() {}\n", ("module-docs", 1)),
            ("src/http/utils.rs", "//! A.\n", ("names", 1)),
            (
                "src/a.rs",
                "//! A.\npub(crate) mod helpers;\n",
                ("names", 2),
            ),
            ("src/a.rs", "//! A.\n// let a = b();\n", ("left-code", 2)),
            ("src/a.rs", "//! A.\n// #[cfg(a)]\n", ("left-code", 2)),
            (
                "src/a.rs",
                "//! A.\n// if let Some(a) = b {\n",
                ("left-code", 2),
            ),
            (
                "tests/a.rs",
                "//! A.\n#[ignore = \"slow\"]\n",
                ("attributes", 2),
            ),
            ("tests/a.rs", "//! A.\n#[should_panic]\n", ("attributes", 2)),
            (
                "src/a.rs",
                "//! A.\n#![allow(dead_code)]\n",
                ("attributes", 2),
            ),
            (
                "tests/a.rs",
                "//! A.\ntokio::time::sleep(a).await;\n",
                ("sleeps", 2),
            ),
            (
                "src/a.rs",
                "//! A.\n#[cfg(test)]\nmod tests { fn a() { thread::sleep(b) } }\n",
                ("sleeps", 3),
            ),
            ("src/a.rs", "//! A.\n// See RFC5321.\n", ("citations", 2)),
            (
                "src/token/wire.rs",
                "//! A.\nif mac == expected {}\n",
                ("mac", 2),
            ),
        ];
        for (path, text, wanted) in cases {
            assert_eq!(rules(path, text), [wanted], "{text}");
        }
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let texts = [
            "//! A.\n// Only one waits (see below);\n// the others do not.\nfn a() {}\n",
            "//! A.\n/// let a = b();\n#[expect(dead_code, reason = \"b\")]\nfn a() {}\n",
            "//! A.\nasync fn a() { sleep(b).await } // Not #[ignore].\nconst C: &str = \"#[allow(d)]\";\n",
            "//! A. RFC 5321 §4.5.2\nfn a() { if mac.len() != 16 {} }\n",
        ];
        for text in texts {
            assert_eq!(rules("src/token/wire.rs", text), [], "{text}");
        }
    }

    #[test]
    fn long_files_and_functions_are_listed() {
        let lines = "a();\n".repeat(LONG_FUNCTION);
        let text = format!("//! A.\nfn short() {{ a() }}\nfn long() {{\n{lines}}}\n");
        assert_eq!(
            long(&[File::new("src/a.rs", &text)]),
            ["src/a.rs:3: a function of 72 lines"]
        );
        let text = "const A: B = b;\n".repeat(LONG_FILE + 1);
        assert_eq!(
            long(&[File::new("src/a.rs", &text)]),
            ["src/a.rs: 401 lines of code"]
        );
    }
}
