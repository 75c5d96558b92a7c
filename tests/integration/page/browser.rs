//! The page in a browser: pressed with and without script, left alone, and audited by axe-core.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{TITLED, fields, path_for, press, show, titled};
use crate::clients::{Browser, output, program};
use crate::harness::{Engine, Place, Running};

/// Of every language its own reader.
const LANGUAGES: [&str; 12] = [
    "en", "de", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "zh-Hans", "zh-Hant",
];

/// Where scripts/test puts axe-core.
fn axe() -> String {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/package/axe.min.js");
    std::fs::read_to_string(&place).unwrap_or_else(|error| {
        panic!(
            "axe-core is missing: {}: {error} (scripts/test installs it)",
            place.display()
        )
    })
}

fn url(running: &Running, path: &str) -> String {
    format!("https://127.0.0.1:{}{path}", running.public.port())
}

// C-006, C-007
#[test]
fn the_button_and_its_undo_work_without_and_with_script() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let browser = Browser::start();
    for (address, is_disabled) in [("off@example.net", true), ("on@example.net", false)] {
        browser.devtools(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": is_disabled}),
        );
        let path = path_for(&running, 1, address);
        browser.post("/url", &json!({"url": url(&running, &path)}));
        assert_eq!(browser.text_of("h1"), "Unsubscribe?");
        browser.click("button");
        browser.until_title("You are unsubscribed");
        assert_eq!(browser.text_of("h1"), "You are unsubscribed");
        running.drained();
        assert!(running.check(address, Some(1)).is_some(), "the press acts");
        browser.click("button");
        browser.until_title("Undone");
        assert_eq!(browser.text_of("h1"), "Undone");
        running.drained();
        assert!(running.check(address, Some(1)).is_none(), "the undo acts");
    }
}

// The policy lets the style sheet through, and the keyboard reaches the button.
#[test]
fn the_style_applies_and_the_keyboard_suffices() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let browser = Browser::start();
    let path = path_for(&running, 1, "keys@example.net");
    browser.post("/url", &json!({"url": url(&running, &path)}));
    let colour = "return getComputedStyle(document.querySelector('button')).backgroundColor";
    for (scheme, expected) in [
        ("light", "rgb(11, 87, 208)"),
        ("dark", "rgb(168, 199, 250)"),
    ] {
        browser.scheme(scheme);
        assert_eq!(browser.script(colour), json!(expected), "{scheme}");
    }
    let keys = |keys: &[&str]| {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let source = json!({"type": "key", "id": "keyboard", "actions": actions});
        browser.post("/actions", &json!({"actions": [source]}));
    };
    // Tab reaches the only thing that can be pressed; Enter presses it.
    keys(&["\u{e004}"]);
    assert_eq!(
        browser.script("return document.activeElement.tagName"),
        json!("BUTTON")
    );
    keys(&["\u{e007}"]);
    browser.until_title("You are unsubscribed");
    running.drained();
    assert!(running.check("keys@example.net", Some(1)).is_some());
}

/// What a browser shows of a page after half a minute of its own time.
fn after_half_a_minute(url: &str) -> String {
    let profile = tempfile::TempDir::new().unwrap();
    output(
        program("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--ignore-certificate-errors",
            ])
            .args(["--virtual-time-budget=30000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url),
    )
}

// C-007
#[test]
fn a_browser_that_is_left_on_the_page_does_nothing() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let late = "data:text/html,<script>setTimeout(()=>document.write('it is late'),29000)</script>";
    assert!(
        after_half_a_minute(late).contains("it is late"),
        "time passes"
    );
    let path = path_for(&running, 1, "idle@example.net");
    let shown = after_half_a_minute(&url(&running, &path));
    assert!(shown.contains("Unsubscribe?"), "{shown}");
    running.drained();
    assert!(running.check("idle@example.net", None).is_none());
    assert_eq!(running.changes().len(), 0);
    assert_eq!(running.events(0).len(), 0);
}

/// Every page that readers of a language can get, by a name: GET, POST and all that goes wrong.
fn pages(running: &Running, full: &Running, tag: &str) -> Vec<(&'static str, String)> {
    let language = format!("Accept-Language: {tag}");
    let speak = ["--header", "Accept: text/html", "--header", &language];
    let get = |running: &Running, path: &str, more: &[&str]| {
        running.curl(path, &[&speak[..], more].concat()).1
    };
    let address = format!("{tag}@example.net");
    let path = path_for(running, 1, &address);
    let marketing = path_for(running, 2, &address);
    let question = get(running, &path, &[]);
    let done = get(running, &path, &["--data", &fields(&question)]);
    let undone = get(running, &path, &["--data", &fields(&done)]);
    let question_marketing = get(running, &marketing, &[]);
    let done_marketing = get(
        running,
        &marketing,
        &["--data", &fields(&question_marketing)],
    );
    vec![
        ("question", question),
        ("question-marketing", question_marketing),
        ("done", done),
        ("done-marketing", done_marketing),
        ("undone", undone),
        ("late", get(running, &path, &["--data", "undo=0"])),
        ("missing", get(running, "/u/x", &[])),
        ("refused", get(running, &path, &["--request", "PUT"])),
        (
            "later",
            get(full, &path_for(full, 1, &address), &["--data", "x"]),
        ),
    ]
}

// Issue 6: no violations of what axe-core checks, on every page, in every language, light and dark;
// DESIST_SCREENSHOTS=FOLDER keeps what they look like on a telephone and on a desk.
#[test]
fn axe_finds_nothing_on_any_page_in_any_language() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let full = format!("{TITLED}[journal]\ndisk_floor = \"1000000 GiB\"\n");
    let full = Place::new(Engine::Sqlite).unwrap().config(&full).start();
    let browser = Browser::start();
    let axe = axe();
    let screenshots = std::env::vars().find(|(name, _)| name == "DESIST_SCREENSHOTS");
    let screenshots = screenshots.map(|(_, folder)| PathBuf::from(folder));
    let mut audited = 0;
    for tag in LANGUAGES {
        for (name, html) in pages(&running, &full, tag) {
            assert!(
                html.contains(&format!("lang=\"{tag}\"")),
                "{tag} {name}: {html}"
            );
            browser.show(&html);
            browser.script(&axe);
            for scheme in ["light", "dark"] {
                browser.scheme(scheme);
                let violations = browser.post(
                    "/execute/async",
                    &json!({"args": [], "script": "const done = arguments[0];
                        axe.run(document).then(found => done(found.violations
                            .map(it => [it.id, it.help, it.nodes.map(node => node.html)])
                            .concat(found.passes.length > 10 ? [] : ['nothing was checked'])))
                            .catch(error => done(String(error)))"}),
                );
                assert_eq!(violations, json!([]), "{tag} {name} {scheme}");
                audited += 1;
                if let Some(folder) = &screenshots {
                    for width in [360, 1280] {
                        browser.width(width);
                        let file = folder.join(format!("{tag}-{name}-{scheme}-{width}.png"));
                        std::fs::write(file, browser.screenshot()).unwrap();
                    }
                }
            }
        }
    }
    assert_eq!(audited, 12 * 9 * 2);
    println!("axe-core: {audited} pages, no violation");
}

// Nothing is cut off on the smallest telephones, nor with text twice as large (WCAG 1.4.4, 1.4.10).
#[test]
fn nothing_is_cut_off_on_small_screens() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let browser = Browser::start();
    let path = path_for(&running, 1, "small@example.net");
    let (_, question) = show(&running, &path);
    let (_, done) = press(&running, &path, &fields(&question));
    for page in [question, done] {
        browser.show(&page);
        for width in [240, 320, 360] {
            browser.width(width);
            for size in ["100%", "200%"] {
                let script = format!(
                    "document.documentElement.style.fontSize = '{size}';
                     const root = document.documentElement;
                     return [root.scrollWidth <= root.clientWidth,
                        document.querySelector('button').offsetHeight >= 44]"
                );
                assert_eq!(
                    browser.script(&script),
                    json!([true, true]),
                    "{width} {size}"
                );
            }
        }
    }
}
