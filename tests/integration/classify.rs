//! `desist classify` as people and scripts call it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use desist::model::hidden::is_hidden;
use serde_json::Value;
use tempfile::tempdir;

use crate::harness::complaint;
use crate::world;

const UNSUBSCRIBE: &str = "From: alice@example.com\nSubject: unsubscribe\n\nplease\n";
const PLAIN: &str = "From: bob@example.com\nSubject: Hello\n\nFrom here on\n";

fn classify(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_desist"))
        .arg("classify")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn told(path: &Path) -> &str {
    path.to_str().unwrap()
}

// The members of design and scripts: none is missing, whatever the message is.
#[test]
fn every_line_has_every_member() {
    let folder = world::root().join("fixtures/report");
    let output = classify(&["--json", told(&folder)], "");
    assert!(output.status.success());
    let all = lines(&output);
    let names: Vec<&str> = all.iter().map(|v| v["file"].as_str().unwrap()).collect();
    let mut files: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| told(&entry.unwrap().path()).to_owned())
        .collect();
    files.sort();
    assert_eq!(names, files, "in the order of the names");
    for line in &all {
        let members = [
            "file",
            "kind",
            "recipients",
            "feedback_type",
            "reporter",
            "original",
            "token",
            "report",
            "partial",
            "notes",
        ];
        for member in members {
            assert!(line.get(member).is_some(), "{member} in {line}");
        }
    }
    // As many at the same time as there are: the same.
    let alone = classify(&["--json", "--jobs", "1", told(&folder)], "");
    assert_eq!(alone.stdout, output.stdout);
}

#[test]
fn folders_files_and_standard_input_are_read_in_their_order() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("inner")).unwrap();
    fs::write(path("inner/b.eml"), UNSUBSCRIBE).unwrap();
    fs::write(path("a.eml"), PLAIN).unwrap();
    fs::write(path(".hidden"), UNSUBSCRIBE).unwrap();
    let (whole, single) = (folder.path(), path("inner/b.eml"));
    let output = classify(&["--json", told(whole), "-", told(&single)], UNSUBSCRIBE);
    let kinds: Vec<_> = lines(&output)
        .iter()
        .map(|line| line["kind"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["not-feedback", "unsubscribe", "unsubscribe", "unsubscribe"];
    assert_eq!(kinds, expected);
    assert_eq!(lines(&output)[2]["file"], "-");
}

#[test]
fn an_mbox_has_its_messages_numbered() {
    // Who writes an mbox marks such lines (RFC 4155).
    let marked = PLAIN.replace("\nFrom here", "\n>From here");
    let mbox = format!("From x\n{UNSUBSCRIBE}\nFrom y\n{marked}");
    let output = classify(&["--json", "--mbox", "-"], &mbox);
    let told: Vec<_> = lines(&output)
        .iter()
        .map(|line| format!("{} {}", line["file"], line["kind"]))
        .collect();
    assert_eq!(
        told,
        ["\"-:1\" \"unsubscribe\"", "\"-:2\" \"not-feedback\""]
    );
    // Without --mbox a file is one message, and the line before it is skipped.
    let one = classify(&["--json", "-"], &mbox);
    assert_eq!(lines(&one).len(), 1);
}

#[test]
fn people_are_told_what_it_is_and_why_and_what_follows() {
    let output = classify(&["-"], UNSUBSCRIBE);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "-: unsubscribe\n  \
         about       alice@example.com\n  \
         from        example.com\n  \
         because of  a Subject that is just the word\n  \
         desist      ends the token's stream if a token of yours proves it, else holds it for you \
         to decide\n\n"
    );
    // Nothing in a mail steers the terminal.
    let steering = "From: \u{1b}[31m@example.com\nSubject: unsubscribe\n\nx";
    let output = classify(&["-"], steering);
    assert!(!output.stdout.contains(&0x1b));
    let subject = "Subject: =?utf-8?Q?News=E2=80=AEgpj.exe=1B[2J=C2=9B2J=E2=81=A7?=";
    let steering = complaint("x").replace("Subject: News", subject);
    let text = String::from_utf8(classify(&["-"], &steering).stdout).unwrap();
    assert!(text.contains("News\u{fffd}gpj.exe\u{fffd}[2J"), "{text:?}");
    let steers = |c: char| c != '\n' && is_hidden(c);
    assert!(!text.contains(steers), "{text:?}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("a.eml");
    fs::write(&file, PLAIN).unwrap();
    let output = classify(&["--json", "no-such-file", told(&file)], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(&output).len(), 1);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot read no-such-file"), "{said}");
}
