//! Every RFC that the source cites has a row in the table of `src/lib.rs`, and every row that says
//! met is cited.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{File, Finding};

const TABLE: &str = "src/lib.rs";

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let rows = files
        .iter()
        .find(|file| file.path == TABLE)
        .map(table)
        .unwrap_or_default();
    let sources = files
        .iter()
        .filter(|file| file.path.starts_with("src/") && file.path != TABLE);
    let mut found = Vec::new();
    let mut cited = BTreeSet::new();
    for file in sources {
        for (line, text) in file.text_lines() {
            for number in numbers(text) {
                cited.insert(number);
                if !rows.contains_key(&number) {
                    let reason = format!("RFC {number} is not in the table of {TABLE}");
                    found.push(file.finding(line, "citations", reason));
                }
            }
        }
    }
    let uncited = rows
        .iter()
        .filter(|(number, row)| row.met && !cited.contains(*number));
    found.extend(uncited.map(|(number, row)| Finding {
        file: TABLE.to_owned(),
        line: row.line,
        rule: "citations",
        reason: format!("RFC {number} is said to be met, but no line cites it"),
    }));
    found
}

#[derive(Debug)]
struct Row {
    line: usize,
    met: bool,
}

/// Rows `| RFC 5321 | … | met |`: the number in the first cell, the status in the last.
fn table(file: &File) -> BTreeMap<u32, Row> {
    let rows = file
        .comments
        .iter()
        .filter(|comment| comment.text.starts_with('|'));
    rows.filter_map(|comment| {
        let cells: Vec<&str> = comment
            .text
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let number = numbers(cells.first()?).next()?;
        let met = cells.last()?.starts_with("met");
        Some((
            number,
            Row {
                line: comment.line,
                met,
            },
        ))
    })
    .collect()
}

/// The numbers behind `RFC `.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split("RFC ").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

mod tests {
    use super::*;

    fn reasons(sources: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = sources
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        check(&files)
            .into_iter()
            .map(|f| format!("{}:{}: {}", f.file, f.line, f.reason))
            .collect()
    }

    const LIB: (&str, &str) = (
        TABLE,
        "//! | RFC | is | status |\n//! |---|---|---|\n//! | [RFC 1](x) | a | met |\n//! | RFC 2 | b | partly |\n",
    );

    #[test]
    fn a_citation_needs_a_row() {
        let found = reasons(&[LIB, ("src/a.rs", "//! RFC 1 §2 and RFC 3.\n")]);
        assert_eq!(
            found,
            ["src/a.rs:1: RFC 3 is not in the table of src/lib.rs"]
        );
    }

    #[test]
    fn a_row_that_says_met_needs_a_citation() {
        let found = reasons(&[LIB, ("src/a.rs", "//! A.\n"), ("tests/a.rs", "//! RFC 1\n")]);
        assert_eq!(
            found,
            ["src/lib.rs:3: RFC 1 is said to be met, but no line cites it"]
        );
        assert_eq!(
            reasons(&[LIB, ("src/a.rs", "fn a() {} // RFC 1 §1\n")]),
            [""; 0]
        );
    }
}
