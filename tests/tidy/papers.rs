//! Rules for the manifest, the change log, prose, fixtures, and words that belong nowhere.

use std::collections::BTreeSet;

use crate::source::{File, Finding, has_word, is_extension};

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    [
        manifest(files),
        locked(files),
        change_log(files),
        titles(files),
        fixtures(files),
        words(files),
    ]
    .concat()
}

/// Dependencies are sorted, and each says what it is for.
fn manifest(files: &[File]) -> Vec<Finding> {
    let Some(file) = files.iter().find(|file| file.path == "Cargo.toml") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let (mut inside, mut previous, mut commented) = (false, String::new(), false);
    for (line, text) in file.text_lines() {
        if let Some(section) = text.strip_prefix('[') {
            inside = section.trim_end_matches(']').ends_with("dependencies");
            previous.clear();
        } else if inside && let Some((name, _)) = text.split_once('=') {
            let name = name.trim();
            if !commented {
                let reason = format!("{name}: write one comment line above it, what it is for");
                found.push(file.finding(line, "manifest", reason));
            }
            if *name < *previous {
                found.push(file.finding(
                    line,
                    "manifest",
                    format!("{name} sorts before {previous}"),
                ));
            }
            name.clone_into(&mut previous);
        }
        commented = text.starts_with('#');
    }
    found
}

/// What fuzzes is a workspace of its own: its lock must have what the library needs by now, or
/// `scripts/fuzz` does not build.
fn locked(files: &[File]) -> Vec<Finding> {
    let of = |path: &str| files.iter().find(|file| file.path == path);
    let (Some(file), Some(lock)) = (of("Cargo.toml"), of("fuzz/Cargo.lock")) else {
        return Vec::new();
    };
    let packages: BTreeSet<&str> = lock
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("name = "))
        .map(|name| name.trim_matches('"'))
        .collect();
    let (mut inside, mut found) = (false, Vec::new());
    for (line, text) in file.text_lines() {
        if text.starts_with('[') {
            inside = text.trim_end() == "[dependencies]";
        } else if inside
            && let Some((name, value)) = text.split_once(" = ")
            && !value.contains("optional = true")
            && !packages.contains(name)
        {
            let reason = format!(
                "{name} is not in fuzz/Cargo.lock: cargo metadata --manifest-path fuzz/Cargo.toml \
                 writes it"
            );
            found.push(file.finding(line, "locked", reason));
        }
    }
    found
}

/// Operators find what changed in the version that they run.
fn change_log(files: &[File]) -> Vec<Finding> {
    let Some(manifest) = files.iter().find(|file| file.path == "Cargo.toml") else {
        return Vec::new();
    };
    let version = manifest
        .text
        .lines()
        .find_map(|line| line.strip_prefix("version = "));
    let version = version.unwrap_or_default().trim_matches('"');
    let log = files.iter().find(|file| file.path == "CHANGELOG.md");
    let heads = log
        .iter()
        .flat_map(|file| file.text.lines())
        .filter(|line| line.starts_with("## "));
    let mut words = heads.flat_map(str::split_whitespace);
    if words.any(|word| word.trim_matches(['[', ']', ',']) == version) {
        return Vec::new();
    }
    vec![Finding {
        file: "CHANGELOG.md".to_owned(),
        line: 1,
        rule: "change-log",
        reason: format!("has no entry for {version}"),
    }]
}

fn titles(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| is_extension(&file.path, "md"))
        .flat_map(more_titles)
        .collect()
}

fn more_titles(file: &File) -> Vec<Finding> {
    let mut fenced = false;
    let mut titles = Vec::new();
    for (line, text) in file.text_lines() {
        fenced ^= text.trim_start().starts_with("```");
        if !fenced && text.starts_with("# ") {
            titles.push(line);
        }
    }
    titles
        .into_iter()
        .skip(1)
        .map(|line| file.finding(line, "titles", "a second title: use ##"))
        .collect()
}

/// A fixture that nothing reads proves nothing. Read is what is named, or whose folder is.
fn fixtures(files: &[File]) -> Vec<Finding> {
    let readers: Vec<&str> = files
        .iter()
        .filter(|file| file.is_rust() || file.path.starts_with("scripts/"))
        .map(|file| file.text.as_str())
        .collect();
    let named = |text: &str| readers.iter().any(|reader| reader.contains(text));
    let fixtures = || {
        files
            .iter()
            .filter(|file| file.path.starts_with("fixtures/"))
    };
    let folders = |path| {
        str::match_indices(path, '/')
            .skip(1)
            .map(move |(at, _)| &path[..at])
    };
    let all: BTreeSet<&str> = fixtures().flat_map(|file| folders(&file.path)).collect();
    let read: BTreeSet<&str> = all.into_iter().filter(|folder| named(folder)).collect();
    fixtures()
        .filter(|file| !folders(&file.path).any(|folder| read.contains(folder)))
        .filter(|file| {
            !file
                .path
                .rsplit('/')
                .next()
                .is_some_and(|name| named(&format!("{name}\"")))
        })
        .map(|file| file.finding(1, "fixtures", "no test reads it, nor names its folder"))
        .collect()
}

/// Notes to oneself, and paths of somebody's own machine.
fn words(files: &[File]) -> Vec<Finding> {
    // In halves, so that this list is not found by itself.
    let notes =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]].map(|halves| halves.concat());
    let paths = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|halves| halves.concat());
    let prose = files
        .iter()
        .filter(|file| !file.path.starts_with("fixtures/") && file.path != "Cargo.lock");
    let mut found = Vec::new();
    for file in prose {
        for (line, text) in file.text_lines() {
            for word in notes.iter().filter(|word| has_word(text, word)) {
                found.push(file.finding(
                    line,
                    "words",
                    format!("{word}: do it, or write an issue"),
                ));
            }
            for path in paths.iter().filter(|path| begins_path(text, path)) {
                found.push(file.finding(
                    line,
                    "words",
                    format!("{path}… is a path of one machine"),
                ));
            }
        }
    }
    found
}

/// Whether an absolute path begins so; `net/work/a` and `https://a.example/home/b` do not.
fn begins_path(text: &str, start: &str) -> bool {
    text.match_indices(start)
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "./-_}$".contains(c)))
}

mod tests {
    use super::*;

    fn found(sources: &[(&str, &str)]) -> Vec<(&'static str, usize)> {
        let files: Vec<File> = sources
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        check(&files)
            .into_iter()
            .map(|found| (found.rule, found.line))
            .collect()
    }

    const LOG: (&str, &str) = ("CHANGELOG.md", "# Changes\n\n## 1.2.3, today\n");

    #[test]
    fn dependencies_are_sorted_and_explained() {
        let head = "version = \"1.2.3\"\n[dependencies]\n";
        let good = format!(
            "{head}# A.\na = \"1\"\n# B.\nb = \"1\"\n[dev-dependencies]\n# A.\na = \"1\"\n"
        );
        assert_eq!(found(&[LOG, ("Cargo.toml", &good)]), []);
        let bad = format!("{head}# B.\nb = \"1\"\na = \"1\"\n");
        assert_eq!(
            found(&[LOG, ("Cargo.toml", &bad)]),
            [("manifest", 5), ("manifest", 5)]
        );
    }

    #[test]
    fn what_fuzzes_has_what_the_library_needs() {
        let manifest = "version = \"1.2.3\"\n[dependencies]\n# A.\na = \"1\"\n# B.\n\
                        b = { version = \"1\", optional = true }\n[dev-dependencies]\n# C.\nc = \"1\"\n";
        let manifest = ("Cargo.toml", manifest);
        let good = ("fuzz/Cargo.lock", "[[package]]\nname = \"a\"\n");
        assert_eq!(found(&[LOG, manifest, good]), []);
        let stale = ("fuzz/Cargo.lock", "[[package]]\nname = \"aa\"\n");
        assert_eq!(found(&[LOG, manifest, stale]), [("locked", 4)]);
    }

    #[test]
    fn the_change_log_knows_the_version() {
        let manifest = ("Cargo.toml", "version = \"1.2.4\"\n");
        assert_eq!(found(&[LOG, manifest]), [("change-log", 1)]);
        assert_eq!(found(&[manifest]), [("change-log", 1)]);
    }

    #[test]
    fn prose_has_one_title() {
        assert_eq!(found(&[("a.md", "# A\n```\n# b\n```\n## C\n")]), []);
        assert_eq!(found(&[("a.md", "# A\n# B\n")]), [("titles", 2)]);
    }

    #[test]
    fn fixtures_are_read() {
        let fixture = ("fixtures/arf/a.eml", "x");
        assert_eq!(
            found(&[fixture, ("tests/a.rs", "//! A.")]),
            [("fixtures", 1)]
        );
        assert_eq!(
            found(&[fixture, ("tests/a.rs", "read(\"fixtures/arf\")")]),
            []
        );
        assert_eq!(found(&[fixture, ("tests/a.rs", "read(\"a.eml\")")]), []);
        assert_eq!(
            found(&[fixture, ("tests/a.rs", "read(\"fixtures\").join(\"dsn\")")]),
            [("fixtures", 1)]
        );
    }

    #[test]
    fn notes_and_paths_of_a_machine_are_found() {
        let note = format!("// {}{}: a\n", "TO", "DO");
        assert_eq!(found(&[("src/a.rs", &note)]), [("words", 1)]);
        let path = format!("cd {}{}a\n", "/wo", "rk/");
        assert_eq!(found(&[("scripts/a", &path)]), [("words", 1)]);
        assert_eq!(found(&[("scripts/a", "cd target/work/a\n")]), []);
    }
}
