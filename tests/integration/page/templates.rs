//! An operator's own page: used when it is right, refused at start and by `config check` when not.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::path_for;
use crate::harness::{Engine, Place};

#[test]
fn an_operator_s_page_style_and_texts_are_shown_under_the_same_policy() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "page.html",
        "<!DOCTYPE html>\n<html lang=\"{{lang}}\"><head><title>{{title}} – Shop</title>{{style}}</head>\
         <body><main>{{content}}</main><footer>Imprint</footer></body></html>",
    );
    write("style.css", "body{color:#222;background:#fff}");
    write("de.toml", "ask_title = \"Keine <Post> mehr?\"\n");
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place.templates(folder.path()).start();
    let path = path_for(&running, 1, "reader@example.net");
    let arguments = ["--include", "--header", "Accept-Language: de"];
    let (status, text) = running.curl(&path, &arguments);
    assert_eq!(status, 200);
    assert!(
        text.contains("<title>Keine &lt;Post&gt; mehr? – Shop</title>"),
        "{text}"
    );
    assert!(text.contains("<style>body{color:#222;background:#fff}</style>"));
    assert!(text.contains("<footer>Imprint</footer>") && text.contains(">Abmelden</button>"));
    let head = text.split_once("\r\n\r\n").unwrap().0.to_lowercase();
    assert!(
        head.contains("default-src 'none'; style-src 'sha256-"),
        "{head}"
    );
    let (_, english) = running.curl(&path, &[]);
    assert!(english.contains("<h1>Unsubscribe?</h1>"), "{english}");
}

#[test]
fn a_wrong_template_is_found_by_config_check_and_at_start() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("page.html"),
        "<html>\n<script>\n{{body}}",
    )
    .unwrap();
    fs::write(folder.path().join("ja.toml"), "\nundo_botton = \"x\"\n").unwrap();
    let elsewhere = TempDir::new().unwrap();
    let config = elsewhere.path().join("desist.toml");
    fs::write(
        &config,
        format!("[public]\ntemplates = \"{}\"\n", folder.path().display()),
    )
    .unwrap();
    for arguments in [&["config", "check"][..], &["serve"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_desist"));
        let output = command
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .current_dir(elsewhere.path())
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success(), "{said}");
        for expected in [
            "desist.toml:2: public.templates: ",
            "ja.toml:2: there is no text",
        ] {
            assert!(said.contains(expected), "{arguments:?}: {said}");
        }
    }
    fs::remove_file(folder.path().join("ja.toml")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_desist"));
    let output = command
        .args(["config", "check", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "page.html:2: <script is not possible here",
        "page.html:3: {{body}} means nothing here: only {{lang}}, {{title}}, {{style}} and \
         {{content}} do",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}
