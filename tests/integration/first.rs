//! The way to the first suppressed complaint, typed as its page says, prints what its page shows.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::harness::Running;

const PAGE: &str = include_str!("../../docs/first-suppression.md");

/// The fenced blocks in order: language and content.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let fenced = PAGE.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// Each UUID as one: a group of it may have letters alone, like a word.
fn without_uuids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let (word, behind) = from.split_at(end.unwrap_or(from.len()));
        let groups = word.split('-').map(str::len);
        out.push_str(if groups.eq([8, 4, 4, 4, 12]) {
            "…"
        } else {
            word
        });
        rest = behind;
    }
    out + rest
}

/// What differs from run to run is made the same: keys, tokens, ids, times.
fn same(text: &str) -> String {
    let text = without_uuids(text);
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if is_id(c) {
            run.push(c);
            continue;
        }
        // Words hold no digit.
        let made = run.len() >= 16 || run.contains(|c: char| c.is_ascii_digit());
        let hexadecimal = run.chars().all(|c| c.is_ascii_hexdigit());
        out.push_str(if made && (run.len() >= 16 || hexadecimal) {
            "…"
        } else {
            &run
        });
        run.clear();
        out.push(c);
    }
    // Whether the last line ends is the shell's affair.
    out.trim_end().to_owned()
}

/// The shell of the page's second terminal, in which `desist` finds the server.
struct Terminal {
    shell: Child,
    printed: BufReader<ChildStdout>,
}

impl Terminal {
    fn open(folder: &Path, config: &Path) -> Self {
        let mut shell = Command::new("timeout")
            .args(["120", "sh"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = BufReader::new(shell.stdout.take().unwrap());
        let mut terminal = Self { shell, printed };
        let own = format!(
            "exec 2>&1\ndesist() {{ '{}' --config '{}' \"$@\" </dev/null; }}\n",
            env!("CARGO_BIN_EXE_desist"),
            config.display()
        );
        assert_eq!(terminal.type_in(&own), "");
        terminal
    }

    /// What these commands print, complaints too.
    fn type_in(&mut self, commands: &str) -> String {
        let mut input = self.shell.stdin.as_ref().unwrap();
        write!(input, "{commands}\necho {END}\n").unwrap();
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let octets = self.printed.read_line(&mut line).unwrap();
            assert!(octets > 0, "the shell ended: {text}");
            if line.trim_end() == END {
                return text;
            }
            text.push_str(&line);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

const END: &str = "== that was all ==";

#[test]
fn the_page_prints_what_it_shows() {
    let running = Running::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let key = running.place().data_dir().join("admin.key");
    let here = |text: &str| {
        text.replace("127.0.0.1:2525", &running.smtp.to_string())
            .replace(":8443", &format!(":{}", running.public.port()))
            .replace("127.0.0.1:8080", &running.api.to_string())
            .replace("data/admin.key", &key.display().to_string())
    };
    let config = running.place().folder.path().join("desist.toml");
    let mut terminal = Terminal::open(folder.path(), &config);
    let (mut printed, mut compared) = (String::new(), 0);
    for (language, block) in blocks() {
        if language == "text" {
            assert_eq!(same(&printed), same(&here(block)), "{printed}");
            printed.clear();
            compared += 1;
            continue;
        }
        assert_eq!((language, printed.as_str()), ("sh", ""), "before {block}");
        if block.contains("cargo build") {
            continue;
        }
        if block.contains("desist serve") {
            // The process under test was started like this, on other ports.
            let listening = running.place().data_dir().join("listening");
            printed = std::fs::read_to_string(listening).unwrap();
            continue;
        }
        printed = terminal.type_in(&here(block));
        // Reading takes the page's reader some seconds.
        running.drained();
    }
    assert!(compared >= 8, "{compared} outputs compared");
    assert_eq!(printed, "");
}
