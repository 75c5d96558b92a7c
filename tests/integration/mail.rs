//! The mail that is kept for people, as the command line shows it; and what the command line says of
//! itself.

use std::process::{Command, Output};

use crate::harness::Running;

fn desist(running: &Running, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desist"));
    command
        .args(arguments)
        .env("DESIST_DATA_DIR", running.place().data_dir());
    command.output().unwrap()
}

fn prints(running: &Running, arguments: &[&str]) -> String {
    let output = desist(running, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A mail whose Subject is encoded, and whose text would clear a terminal.
const MAIL: &str = "From: Jos\u{e9} <jose@people.example>\r\nTo: abuse@fb.example.com\r\n\
    Subject: =?utf-8?q?Bitte_r=C3=BCckrufen?=\r\nMessage-ID: <1@people.example>\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\n\
    gr=C3=BC=C3=9Fe=1B[2J\r\n";

#[test]
fn people_read_their_mail() {
    let running = Running::sqlite();
    for to in ["abuse@fb.example.com", "postmaster@fb.example.com"] {
        let reply = running.deliver("jose@people.example", to, MAIL);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    running.drained();
    let list = prints(&running, &["mail", "list"]);
    let rows: Vec<&str> = list.lines().collect();
    assert_eq!(rows.len(), 3, "{list}");
    assert!(rows[0].starts_with("ID "), "{list}");
    assert!(
        rows[1].contains("postmaster@fb.example.com"),
        "newest first: {list}"
    );
    for row in &rows[1..] {
        assert!(row.contains("Bitte rückrufen"), "{list}");
        assert!(row.contains("jose@people.example"), "{list}");
    }
    let one = prints(&running, &["mail", "list", "--limit", "1"]);
    assert_eq!(one.lines().count(), 2, "{one}");
    let other = prints(
        &running,
        &["mail", "list", "--mailbox", "abuse@fb.example.com"],
    );
    assert!(
        other.contains("abuse@") && !other.contains("postmaster@"),
        "{other}"
    );

    let id = rows[2].split_whitespace().next().unwrap();
    let shown = prints(&running, &["mail", "show", id]);
    assert!(shown.contains("\nSubject: Bitte rückrufen\n\n"), "{shown}");
    assert!(shown.contains("grüße\u{fffd}[2J"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown}");
    let raw = prints(&running, &["mail", "show", id, "--raw"]);
    assert!(raw.ends_with(MAIL), "{raw}");
    let json = prints(&running, &["mail", "show", id, "--json"]);
    assert!(json.contains("\"role\": \"human\""), "{json}");

    let unknown = desist(
        &running,
        &["mail", "show", "019aa5f2-7c00-7000-8000-000000000001"],
    );
    assert_eq!(unknown.status.code(), Some(1));
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(error.contains("there is no receipt of that id"), "{error}");
}

#[test]
fn shells_and_manuals_know_every_command() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_desist"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = run(&["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 12, "{help}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let script = run(&["completions", "bash"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desist.bash");
    std::fs::write(&file, script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["man", "--folder", path]), "");
    for command in &commands {
        let page = folder.path().join(format!("desist-{command}.1"));
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(run(&["man"]).contains(".SH NAME"));
    let missing = Command::new(env!("CARGO_BIN_EXE_desist"))
        .args(["man", "--folder", "/nowhere/at/all"])
        .output()
        .unwrap();
    let error = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(
        error,
        "desist: no manual page was written: there is no folder /nowhere/at/all, make it first\n"
    );
}
