//! What the README tells people to type, typed: against a real process, and it succeeds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Running, complaint};

const README: &str = include_str!("../../README.md");

/// The fenced blocks of that language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block = lines.by_ref().take_while(|line| *line != "```");
            blocks.push(block.flat_map(|line| [line, "\n"]).collect());
        }
    }
    assert!(!blocks.is_empty(), "a block of {language}");
    blocks
}

/// The commands of all shell blocks in order, and those between backquotes in the text.
fn commands() -> Vec<String> {
    let mut commands: Vec<String> = blocks("sh")
        .iter()
        .flat_map(|block| {
            let joined = block.replace("\\\n", " ");
            joined.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let text = README
        .split("```")
        .step_by(2)
        .collect::<String>()
        .replace('\n', " ");
    let quoted = text.split('`').skip(1).step_by(2);
    commands.extend(
        quoted
            .filter(|code| code.starts_with("desist "))
            .map(str::to_owned),
    );
    commands
}

/// A folder in which `desist` is the program under test, with that server's config file.
struct Desk<'a> {
    running: &'a Running,
    folder: tempfile::TempDir,
}

impl<'a> Desk<'a> {
    fn beside(running: &'a Running) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_desist");
        let (newsletter, _) = crate::lint::made(running, "alice@example.net", 1);
        std::fs::write(folder.path().join("newsletter.eml"), newsletter).unwrap();
        let config = running.place().config_file();
        let script = format!(
            "#!/bin/sh\nexec '{program}' --config '{}' \"$@\"\n",
            config.display()
        );
        let release = folder.path().join("target/release");
        std::fs::create_dir_all(&release).unwrap();
        let desist = release.join("desist");
        std::fs::write(&desist, script).unwrap();
        std::fs::set_permissions(&desist, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { running, folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command as the README has it, with this server in place of the one it names.
    fn type_in(&self, command: &str) -> Output {
        let command = command
            .replace("http://127.0.0.1:8080", &self.running.url(""))
            .replace("curl -s ", "curl -sS --fail-with-body ");
        let path = std::env::vars()
            .find(|(name, _)| name == "PATH")
            .map(|(_, path)| path)
            .unwrap_or_default();
        Command::new("timeout")
            .args(["60", "sh", "-c", &command])
            .current_dir(self.folder.path())
            .env(
                "PATH",
                format!("{}:{path}", self.path("target/release").display()),
            )
            .env("KEY", &self.running.key)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

/// A server for which one complaint about alice is proven and one about somebody else is not.
fn server() -> Running {
    let running = Running::sqlite();
    let token = &running.mint(1, &["alice@example.net"])[0].0;
    let forged = complaint("nothing").replace(
        "Version: 1\n",
        "Version: 1\nOriginal-Rcpt-To: carol@example.net\n",
    );
    for message in [complaint(token), forged] {
        let reply = running.deliver("", "fbl@fb.example.com", &message);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    running.events(2);
    running.drained();
    running
}

#[test]
fn every_command_of_the_readme_succeeds() {
    let running = server();
    let desk = Desk::beside(&running);
    let (_, page) = running.get("/v1/held");
    let hold = page["items"][0]["id"].as_str().unwrap();
    let (mut ran, mut failed) = (0, Vec::new());
    for command in commands() {
        let command = command.replace("approve ID", &format!("approve {hold}"));
        // A server, its demonstration, builds and the repository's scripts have tests of their own.
        let elsewhere = command.starts_with("cargo ")
            || command.starts_with("./scripts/")
            || command.contains("desist serve")
            || command == "desist demo"
            || command.contains("desist doctor")
            || command.contains("desist restore")
            // The form of a command, not one.
            || command.contains('…');
        if elsewhere || command.trim().is_empty() {
            continue;
        }
        let output = desk.type_in(&command);
        ran += 1;
        // What is suppressed is an answer of check as well.
        let answered = command.contains("desist check ") && output.status.code() == Some(3);
        if !answered && !output.status.success() {
            failed.push(format!(
                "{command}\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(ran > 10, "{ran} commands found");
}

#[test]
fn the_configuration_of_the_readme_is_valid() {
    let running = Running::sqlite();
    let desk = Desk::beside(&running);
    let pem = certificate(&running.place().data_dir());
    let given = |name: &str| format!("/etc/desist/{name}");
    let files = ["mx.pem", "mx.key", "u.pem", "u.key"];
    let all = blocks("toml");
    for name in files {
        let given = given(name);
        assert!(all.iter().any(|toml| toml.contains(&given)), "{given}");
        std::fs::copy(&pem, desk.path(name)).unwrap();
    }
    for mut toml in all {
        // Some need a feature that not every build has.
        let lacks_acme = toml.contains("[acme]") && cfg!(not(feature = "acme"));
        if lacks_acme || (toml.contains("[traces]") && cfg!(not(feature = "otel"))) {
            continue;
        }
        for name in files {
            toml = toml.replace(&given(name), &desk.path(name).display().to_string());
        }
        std::fs::write(desk.path("desist.toml"), toml).unwrap();
        let output = desk.type_in("desist config check desist.toml");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The certificate, with its key, that the server made for itself.
fn certificate(folder: &Path) -> std::path::PathBuf {
    let made = folder.join(desist::net::certificate::SELF_MADE_FILE);
    assert!(made.exists(), "{}", made.display());
    made
}

#[test]
fn the_answer_of_the_readme_is_what_check_answers() {
    let running = server();
    let desk = Desk::beside(&running);
    let call = commands()
        .into_iter()
        .find(|command| command.contains("/v1/check"))
        .unwrap();
    let output = desk.type_in(&call);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [told] = blocks("json").try_into().unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    // Every name and value, but for the times, which only have the same form.
    assert_eq!(without_times(told), without_times(answer));
}

fn without_times(mut value: Value) -> Value {
    for pointer in ["/as_of", "/suppressed/0/since"] {
        let time = value.pointer_mut(pointer).unwrap();
        let text = time.as_str().unwrap();
        text.parse::<desist::model::clock::Timestamp>().unwrap();
        if pointer.ends_with("since") {
            assert_eq!(text.len(), "2026-11-21T09:12:45Z".len(), "{text}");
        }
        *time = Value::Null;
    }
    value
}
