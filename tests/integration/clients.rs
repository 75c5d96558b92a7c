//! Real clients at the real doors: swaks, smtp-source, Python's smtplib, curl, a browser.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Running, complaint, other_than};

pub(crate) fn program(name: &str) -> Command {
    // No client may hang: the time-out ends it, and the test fails.
    let mut command = Command::new("timeout");
    command.args(["120", name]);
    command.env("PATH", path());
    command
}

/// Where programs are looked for: Debian keeps some servers where not every user's PATH looks.
pub(crate) fn path() -> String {
    let own = std::env::vars().find(|(key, _)| key == "PATH");
    format!(
        "{}:/usr/sbin:/sbin",
        own.map_or_else(String::new, |(_, path)| path)
    )
}

pub(crate) fn output(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (scripts/test installs it)"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

#[test]
fn swaks_unsubscribes_over_starttls() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["reader@example.net"])[0].0;
    let text = output(program("swaks").args([
        "--server",
        &running.smtp.to_string(),
        "--tls",
        "--from",
        "reader@example.net",
        "--to",
        &format!("u-{token}@fb.example.com"),
        "--header",
        "Subject: unsubscribe",
        "--body",
        "please",
    ]));
    assert!(text.contains("250 2.0.0"), "{text}");
    running.events(1);
    running.drained();
    let hit = running
        .check("reader@example.net", Some(1))
        .expect("suppressed");
    assert_eq!(
        (&hit["scope"], &hit["reason"]),
        (&json!("stream:1"), &json!("unsubscribe"))
    );
}

#[test]
fn a_084_smtp_source_every_message_is_found_again() {
    let running = Running::sqlite();
    output(program("smtp-source").args([
        "-s",
        "5",
        "-m",
        "50",
        "-l",
        "2048",
        "-f",
        "",
        "-t",
        "fbl@fb.example.com",
        &format!("inet:{}", running.smtp),
    ]));
    let events = running.events(50);
    assert!(
        events.iter().all(|event| event["kind"] == "unrecognised"),
        "{:?}",
        events[0]
    );
    let (status, page) = running.get("/v1/receipts?limit=1000&state=unrecognised");
    assert_eq!(status, 200);
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, feedback, other = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with smtplib.SMTP(host, port, timeout=30) as client:
    client.starttls(context=context)
    message = "From: Jos\u00e9 <jos\u00e9@example.org>\r\nSubject: unsubscribe\r\n\r\n.\r\n..\r\nbye\r\n"
    refused = client.sendmail(
        "jos\u00e9@example.org",
        [f"u-{feedback}@fb.example.com", f"U-{other.upper()}@FB.EXAMPLE.COM", "nobody@fb.example.com"],
        message.encode("utf-8"),
        mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    print(sorted(refused), [code for code, _ in refused.values()])
"#;

#[test]
fn smtplib_several_recipients_utf8_and_a_refusal() {
    let running = Running::sqlite();
    let tokens = running.mint(1, &["one@example.net", "two@example.net"]);
    let text = output(program("python3").args([
        "-c",
        SMTPLIB,
        "127.0.0.1",
        &running.smtp.port().to_string(),
        &tokens[0].0,
        &tokens[1].0,
    ]));
    assert_eq!(text.trim(), "['nobody@fb.example.com'] [550]");
    // One message, two recipients, two receipts, each for its own (A-026, A-044).
    running.events(2);
    running.drained();
    assert!(running.check("one@example.net", Some(1)).is_some());
    assert!(running.check("two@example.net", Some(1)).is_some());
    let (_, receipts) = running.get("/v1/receipts?limit=10");
    let id = receipts["items"][0]["id"].as_str().unwrap();
    let (status, raw) = running.get(&format!("/v1/receipts/{id}/raw"));
    assert_eq!(status, 200);
    let raw = raw.as_str().unwrap();
    // A-060, A-141: dots unstuffed, every other byte as sent.
    assert!(raw.ends_with("\r\n\r\n.\r\n..\r\nbye\r\n"), "{raw:?}");
    assert!(
        raw.starts_with("From: Jos\u{e9} <jos\u{e9}@example.org>\r\n"),
        "{raw:?}"
    );
}

// Peers 20, 21, 22: neither body nor type nor agent decides.
#[test]
fn c_001_to_c_019_curl_in_every_way() {
    let running = Running::sqlite();
    let form = "List-Unsubscribe=One-Click";
    let ways: &[(&str, &[&str])] = &[
        ("form", &["--data", form]),
        ("multipart", &["--form", form]),
        ("no-body", &["--request", "POST"]),
        ("empty", &["--data", ""]),
        ("no-type", &["--data", form, "--header", "Content-Type:"]),
        (
            "json",
            &["--data", "{}", "--header", "Content-Type: application/json"],
        ),
        (
            "odd-type",
            &[
                "--data",
                form,
                "--header",
                "Content-Type: application/x-www-form-urlencoded; charset=utf-8",
            ],
        ),
        ("http1", &["--http1.1", "--data", form]),
        ("http2", &["--http2", "--data", form]),
        ("tls12", &["--tls-max", "1.2", "--data", form]),
        ("no-agent", &["--user-agent", "", "--data", form]),
        ("cookie", &["--cookie", "a=b", "--data", form]),
        (
            "foreign-origin",
            &["--header", "Origin: https://evil.example", "--data", form],
        ),
    ];
    let addresses: Vec<String> = ways
        .iter()
        .map(|(name, _)| format!("{name}@example.net"))
        .collect();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let tokens = running.mint(1, &names);
    for ((name, arguments), (token, _)) in ways.iter().zip(&tokens) {
        let mut all = vec!["--include"];
        all.extend_from_slice(arguments);
        let (status, answer) = running.curl(&format!("/u/{token}"), &all);
        assert_eq!(status, 200, "{name}: {answer}");
        let lower = answer.to_lowercase();
        assert!(!lower.contains("set-cookie"), "{name}: {answer}");
        for header in [
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "x-robots-tag: noindex",
        ] {
            assert!(lower.contains(header), "{name}: {header} in {answer}");
        }
    }
    running.events(ways.len());
    running.drained();
    for address in &names {
        assert!(running.check(address, Some(1)).is_some(), "{address}");
    }
    assert!(
        tokens
            .iter()
            .all(|(token, _)| !running.log().contains(token.as_str())),
        "C-014"
    );
}

#[test]
fn c_003_the_malformed_multipart_example_of_rfc_8058() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["gmail@example.net"])[0].0;
    // RFC 8058 §8.3: the delimiters lack two hyphens, and Content-Length counts it so.
    let body = "---FormBoundaryjWmhtjORrn\r\nContent-Disposition: form-data; \
                name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n---FormBoundaryjWmhtjORrn--";
    assert_eq!(body.len(), 124);
    let (status, _) = running.curl(
        &format!("/u/{token}"),
        &[
            "--header",
            "Content-Type: multipart/form-data; boundary=---FormBoundaryjWmhtjORrn",
            "--data-binary",
            body,
        ],
    );
    assert_eq!(status, 200);
    running.events(1);
    running.drained();
    assert!(running.check("gmail@example.net", Some(1)).is_some());
}

#[test]
fn c_005_c_011_c_015_spellings_of_the_url() {
    let running = Running::sqlite();
    let token = running.mint(1, &["url@example.net"])[0].0.clone();
    let encoded: Vec<String> = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let encoded = encoded.concat();
    for path in [
        format!("/u/{token}"),
        format!("/u/{}", token.to_uppercase()),
        format!("/u/{token}/"),
        format!("/u/{token}?utm_source=x"),
        format!("/u/{encoded}"),
        format!("/u/{token}"),
    ] {
        let (status, body) = running.curl(&path, &["--data", "List-Unsubscribe=One-Click"]);
        assert_eq!(status, 200, "{path}: {body}");
    }
    running.events(6);
    running.drained();
    assert_eq!(running.changes().len(), 1, "one suppression");
}

// Peers 23, 24: a GET does nothing, a token is keyed.
#[test]
fn c_006_c_010_only_post_acts_and_wrong_tokens_look_alike() {
    let running = Running::sqlite();
    let token = running.mint(1, &["safe@example.net"])[0].0.clone();
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"] {
        let arguments: &[&str] = if method == "HEAD" {
            &["--head"]
        } else {
            &["--request", method]
        };
        let (status, _) = running.curl(&format!("/u/{token}"), arguments);
        let expected: &[u16] = if matches!(method, "GET" | "HEAD") {
            &[200]
        } else {
            &[200, 204, 405]
        };
        assert!(expected.contains(&status), "{method}: {status}");
    }
    let mut wrong = token.clone();
    wrong.replace_range(50..51, other_than(token.as_bytes()[50]));
    let foreign = "ceaaaaiaagsz7rly2tfun6vldu6jpcdqjxrbd4hozrf4gdkx7dsa";
    let answers: Vec<(u16, String)> = [
        wrong.as_str(),
        token.get(..51).unwrap(),
        foreign,
        "x",
        "ceab",
    ]
    .iter()
    .map(|token| {
        let (status, answer) = running.curl(&format!("/u/{token}"), &["--include", "--data", "x"]);
        let answer: Vec<&str> = answer
            .lines()
            .filter(|line| !line.to_lowercase().starts_with("date:"))
            .collect();
        (status, answer.join("\n"))
    })
    .collect();
    assert_eq!(answers[0].0, 404);
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:#?}"
    );
    running.drained();
    assert!(running.check("safe@example.net", None).is_none());
    assert_eq!(running.changes().len(), 0);
}

/// chromedriver on a port of its choice, ended when dropped.
pub(crate) struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed (scripts/test installs it)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port: u16 = loop {
            let line = lines.next().expect("chromedriver says its port").unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self {
            driver,
            session: base,
        };
        let options = json!({"capabilities": {"alwaysMatch": {
        "acceptInsecureCerts": true,
        "goog:chromeOptions": {"args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync"
        ]}}}});
        let id = browser.post("/session", &options)["sessionId"]
            .as_str()
            .unwrap()
            .to_owned();
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let mut response = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .new_agent()
            .post(format!("{}{path}", self.session))
            .send(body.to_string())
            .unwrap();
        let answer: Value =
            serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        assert_eq!(response.status().as_u16(), 200, "{answer}");
        answer["value"].clone()
    }

    pub(crate) fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// A command of the `DevTools` protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let call = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &call)
    }

    /// Prefers `light` or `dark`.
    pub(crate) fn scheme(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
    }

    /// A screen so wide, in CSS pixels.
    pub(crate) fn width(&self, width: u32) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1,
            "mobile": width < 1000});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Shows this markup.
    pub(crate) fn show(&self, html: &str) {
        let tree = self.devtools("Page.getFrameTree", &json!({}));
        let frame = &tree["frameTree"]["frame"]["id"];
        let content = json!({"frameId": frame, "html": html});
        self.devtools("Page.setDocumentContent", &content);
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post(
            "/element",
            &json!({"using": "css selector", "value": selector}),
        );
        let id = found.as_object().unwrap().values().next().unwrap();
        id.as_str().unwrap().to_owned()
    }

    pub(crate) fn click(&self, selector: &str) {
        let id = self.element(selector);
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    pub(crate) fn text_of(&self, selector: &str) -> String {
        let id = self.element(selector);
        self.get(&format!("/element/{id}/text"))
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until the page has this title.
    pub(crate) fn until_title(&self, title: &str) {
        while self.get("/title") != json!(title) {
            std::thread::yield_now();
        }
    }

    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let png = self.get("/screenshot");
        data_encoding::BASE64
            .decode(png.as_str().unwrap().as_bytes())
            .unwrap()
    }

    fn get(&self, path: &str) -> Value {
        let mut response = ureq::get(format!("{}{path}", self.session)).call().unwrap();
        let answer: Value =
            serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser as well; if that fails, ending the driver does.
        drop(ureq::delete(&self.session).call());
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

#[test]
fn c_006_c_007_a_browser_shows_one_button_and_only_the_click_acts() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["browser@example.net"])[0].0;
    let browser = Browser::start();
    let url = format!("https://127.0.0.1:{}/u/{token}", running.public.port());
    browser.post("/url", &json!({"url": url}));
    assert_eq!(browser.script("return document.forms.length"), json!(1));
    assert_eq!(
        browser.script("return document.forms[0].method"),
        json!("post")
    );
    assert_eq!(browser.script("return document.scripts.length"), json!(0));
    assert_eq!(
        browser.script("return document.querySelectorAll('button').length"),
        json!(1)
    );
    assert!(
        running.check("browser@example.net", None).is_none(),
        "showing the page does nothing"
    );
    browser.click("button");
    running.events(1);
    running.drained();
    assert!(
        running.check("browser@example.net", Some(1)).is_some(),
        "the click does"
    );
    assert_eq!(browser.script("return document.cookie"), json!(""));
}

#[test]
fn peers_18_many_recipients_of_one_message_each_have_their_own() {
    let running = Running::sqlite();
    let addresses: Vec<String> = (0..100).map(|i| format!("many{i}@example.net")).collect();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let paths: Vec<String> = running
        .mint(1, &names)
        .iter()
        .map(|(token, _)| format!("u-{token}@fb.example.com"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let reply = running
        .smtp()
        .deliver("", &paths, "Subject: unsubscribe\n\n");
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    running.events(100);
    running.drained();
    assert_eq!(running.changes().len(), 100);
}

#[test]
fn b_016_the_report_s_own_sender_is_untouched() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["right@example.net"])[0].0;
    let message = complaint(token).replace("staff@fbl.example", "bystander@example.net");
    running.deliver("bystander@example.net", "fbl@fb.example.com", &message);
    running.events(1);
    running.drained();
    assert!(running.check("right@example.net", Some(1)).is_some());
    assert!(running.check("bystander@example.net", None).is_none());
}
