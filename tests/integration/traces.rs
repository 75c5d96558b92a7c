//! Spans for OpenTelemetry, from a real server to a collector that speaks OTLP (G-033).

mod collector;

use std::io::{Cursor, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use desist::model::clock::{Clock, Tick};
use serde_json::{Value, json};

use crate::fire::syncs::Failing;
use crate::harness::{Engine, PATIENCE, Place, Running, complaint, public_agent};
use collector::{Collector, Does, Seen};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A place whose spans go there.
fn place(endpoint: &str, more: &str) -> Place {
    let settings = format!("[traces]\nendpoint = \"{endpoint}\"\n{more}");
    Place::new(Engine::Sqlite).unwrap().config(&settings)
}

fn traced(collector: &Collector, more: &str) -> Running {
    place(&collector.url, more).start()
}

/// A call of the API with these headers; the status.
fn call(running: &Running, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let mut request = http::Request::builder()
        .method(method)
        .uri(running.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = agent.run(request.body(()).unwrap()).unwrap();
    response.status().as_u16()
}

fn bearer(running: &Running) -> String {
    format!("Bearer {}", running.key)
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// The span of an answer of that route, or of none.
fn answered(collector: &Collector, name: &str, status: u16) -> Seen {
    collector.span(&format!("{name} {status}"), |span| {
        span.name == name && span.says("http.response.status_code") == json!(status)
    })
}

fn counted(running: &Running, result: &str) -> u64 {
    let (_, metrics) = running.get("/metrics");
    let start = format!("desist_spans_total{{result=\"{result}\"}} ");
    let metrics = metrics.as_str().unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |number| number.parse().unwrap())
}

fn until(running: &Running, what: &str, is_so: impl Fn() -> bool) {
    let clock = Clock::system();
    while !is_so() {
        let in_time = clock.tick() < Tick::default().after(PATIENCE);
        assert!(in_time, "never: {what}\n{}", running.log());
        std::thread::yield_now();
    }
}

/// Stops it, which must take no longer than this.
fn stopped_within(running: Running, long: Duration) -> Place {
    let clock = Clock::system();
    let begun = clock.tick();
    running.terminate();
    let (status, place) = running.ended();
    assert!(status.success(), "{status}");
    let took = clock.tick().since(begun);
    assert!(took < long, "it took {took:?}");
    place
}

#[test]
fn g_033_each_call_is_a_span_with_its_route() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    // By the short way, and past the router.
    assert_eq!(running.check("private@example.net", Some(1)), None);
    let quick = answered(&collector, "POST /v1/check", 200);
    let agent = ureq::Agent::new_with_defaults();
    let body = "{\"addresses\": [\"private@example.net\"]}";
    let routed = agent
        .post(running.url("/v1/check"))
        .header("Authorization", bearer(&running))
        .header("Content-Type", "application/json")
        .send(ureq::SendBody::from_owned_reader(Cursor::new(body)))
        .unwrap();
    let id = routed.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let routed = answered(&collector, "POST /v1/check", 200);
    assert_eq!(routed.says("desist.request_id"), json!(id));
    for span in [&quick, &routed] {
        assert!(span.is_server && !span.is_error && span.parent.is_empty());
        assert!(span.times.0 <= span.times.1);
        for (name, value) in [
            ("http.route", json!("/v1/check")),
            ("http.request.method", json!("POST")),
            ("url.scheme", json!("http")),
            ("network.protocol.version", json!("1.1")),
            ("desist.door", json!("api")),
            ("desist.tenant", json!(1)),
            ("error.type", Value::Null),
        ] {
            assert_eq!(span.says(name), value, "{name} of {span:?}");
        }
        assert_eq!(span.resource["service.name"], json!("desist"));
        assert_eq!(span.resource["host.name"], json!("mx.example.com"));
        assert_eq!(span.resource, quick.resource);
    }
    assert_ne!(
        quick.says("desist.request_id"),
        routed.says("desist.request_id")
    );
    assert_ne!(quick.trace, routed.trace);

    // What has an address in its path, what has no route, no key, no method of this name.
    running.get("/v1/suppressions/private@example.net?stream=1");
    let one = collector.span("one", |span| span.name == "GET /v1/suppressions/{address}");
    assert_eq!(one.says("http.route"), json!("/v1/suppressions/{address}"));
    running.get("/v1/nothing/private@example.net");
    let nothing = answered(&collector, "GET", 404);
    assert_eq!(nothing.says("http.route"), Value::Null);
    assert_eq!(call(&running, "GET", "/v1/streams", &[]), 401);
    let nobody = answered(&collector, "GET /v1/streams", 401);
    assert_eq!(nobody.says("desist.tenant"), Value::Null);
    assert!(!nobody.is_error);
    assert_eq!(call(&running, "SECRET", "/v1/streams", &[]), 405);
    let odd = answered(&collector, "HTTP /v1/streams", 405);
    assert_eq!(odd.says("http.request.method"), json!("_OTHER"));
    let (status, _) = running.post("/v1/check", &json!({"stream": 9, "addresses": []}));
    assert_eq!(status, 422);
    assert!(!answered(&collector, "POST /v1/check", 422).is_error);
}

#[test]
fn g_033_a_press_of_the_button_is_a_span_with_its_wait_for_the_disk() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    running.curl(&format!("/u/{token}"), &[]);
    let page = answered(&collector, "GET /u/{token}", 200);
    assert_eq!(page.says("desist.door"), json!("one-click"));
    let (status, _) = running.curl(
        &format!("/u/{token}"),
        &["--data", "List-Unsubscribe=One-Click"],
    );
    assert_eq!(status, 200);
    let press = answered(&collector, "POST /u/{token}", 200);
    assert_eq!(press.says("http.route"), json!("/u/{token}"));
    assert_eq!(press.says("url.scheme"), json!("https"));
    assert_eq!(press.says("network.protocol.version"), json!("2"));
    assert_eq!(press.says("desist.tenant"), json!(1));
    let journal = collector.span("journal", |span| span.is_part_of(&press));
    assert_eq!(
        (journal.name.as_str(), journal.is_server),
        ("journal", false)
    );
    assert!(press.times.0 <= journal.times.0 && journal.times.1 <= press.times.1);
    running.curl(&format!("/{token}"), &[]);
    assert_eq!(
        answered(&collector, "GET", 404).says("http.route"),
        Value::Null
    );
}

#[test]
fn g_033_what_fails_is_an_error() {
    let collector = Collector::start();
    let full = "[journal]\ndisk_floor = \"1000000 GiB\"\n";
    let running = traced(&collector, full);
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    let (status, _) = running.curl(&format!("/u/{token}"), &["--data", "a=b"]);
    assert_eq!(status, 503);
    let press = answered(&collector, "POST /u/{token}", 503);
    assert!(press.is_error);
    assert_eq!(press.says("error.type"), json!("503"));
    let journal = collector.span("journal", |span| span.is_part_of(&press));
    assert!(journal.is_error);
    assert_eq!(journal.says("error.type"), json!("full"));
}

#[test]
fn g_033_a_mail_that_is_not_acknowledged_is_an_error() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let journal = running.place().data_dir().join("journal.sqlite-wal");
    let failing = Failing::begin(&running, &[&journal], "1+");
    let reply = running.deliver("a@fbl.example", "fbl@fb.example.com", "Subject: a\n\nb\n");
    assert!(reply.starts_with("451"), "{reply}");
    failing.end();
    let mail = collector.span("a mail", |span| span.name == "smtp message");
    assert!(mail.is_error);
    assert_eq!(mail.says("desist.smtp.reply_code"), json!(451));
    assert_eq!(mail.says("error.type"), json!("451"));
    assert_eq!(mail.says("desist.receipt"), Value::Null);
    let journal = collector.span("journal", |span| span.is_part_of(&mail));
    assert_eq!(journal.says("error.type"), json!("failed"));
}

#[test]
fn g_033_callers_with_a_key_continue_their_traces() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let (key, kept) = (bearer(&running), parent("01"));
    let with_key = [("Authorization", key.as_str()), ("traceparent", &kept)];
    let private = ("tracestate", "a=private.example.net");
    for path in ["/v1/streams", "/v1/keys"] {
        call(&running, "GET", path, &[&with_key[..], &[private]].concat());
        let span = answered(&collector, &format!("GET {path}"), 200);
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, CALLER));
    }
    // By the short way too.
    let agent = ureq::Agent::new_with_defaults();
    let check = |flags: &str| {
        agent
            .post(running.url("/v1/check"))
            .header("Authorization", &key)
            .header("Content-Type", "application/json")
            .header("traceparent", parent(flags))
            .send("{\"addresses\": []}")
            .unwrap()
    };
    check("01");
    let span = answered(&collector, "POST /v1/check", 200);
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, CALLER));

    // Without a key, with a wrong one, and at the public door nobody decides anything.
    let wrong = ("Authorization", "Bearer desist_abcdefg2_x");
    for headers in [&[with_key[1]][..], &[wrong, with_key[1]]] {
        assert_eq!(call(&running, "GET", "/v1/streams", headers), 401);
        let span = answered(&collector, "GET /v1/streams", 401);
        assert!(span.trace != TRACE && span.parent.is_empty());
    }
    let header = format!("traceparent: {kept}");
    running.curl("/nothing", &["--header", &header]);
    let span = answered(&collector, "GET", 404);
    assert!(span.trace != TRACE && span.parent.is_empty());

    // What the caller does not keep is not kept here.
    let dropped = parent("00");
    let with_key = [("Authorization", key.as_str()), ("traceparent", &dropped)];
    call(&running, "GET", "/v1/tenants", &with_key);
    check("00");
    // One thread sends them in the order in which they end.
    call(&running, "GET", "/livez", &[]);
    answered(&collector, "GET /livez", 200);
    let spans = collector.spans();
    assert!(
        spans.iter().all(|span| span.name != "GET /v1/tenants"),
        "{spans:?}"
    );
    assert!(
        spans.iter().all(|span| span.name != "POST /v1/check"),
        "{spans:?}"
    );
    for body in collector.bodies() {
        assert!(!contains(&body, b"private"));
    }
}

#[test]
fn g_033_of_nothing_nothing_is_kept() {
    let collector = Collector::start();
    let running = traced(&collector, "sample = 0\n");
    running.check("private@example.net", None);
    running.curl(
        "/nothing",
        &["--header", &format!("traceparent: {}", parent("01"))],
    );
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    running.deliver("fbl@example.com", "fbl@fb.example.com", &complaint(&token));
    running.events(1);
    let (key, kept) = (bearer(&running), parent("01"));
    let with_key = [
        ("Authorization", key.as_str()),
        ("traceparent", kept.as_str()),
    ];
    call(&running, "GET", "/v1/streams", &with_key);
    let only = answered(&collector, "GET /v1/streams", 200);
    assert_eq!(only.trace, TRACE);
    stopped_within(running, PATIENCE);
    assert_eq!(collector.spans().len(), 0, "{:?}", collector.spans());
}

#[test]
fn g_033_a_mail_is_a_span_from_its_content_to_its_answer() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    let message = complaint(&token);
    // Nothing in a mail makes it a part of anything.
    let message = format!("traceparent: {}\n{message}", parent("01"));
    let reply = running.deliver("staff@fbl.example", "fbl@fb.example.com", &message);
    assert!(reply.starts_with("250"), "{reply}");
    let mail = collector.span("a mail", |span| span.name == "smtp message");
    assert!(mail.is_server && !mail.is_error && mail.parent.is_empty());
    assert_ne!(mail.trace, TRACE);
    let octets = message.lines().map(|line| line.len() + 2).sum::<usize>();
    for (name, value) in [
        ("desist.door", json!("smtp")),
        ("desist.smtp.reply_code", json!(250)),
        ("desist.message.size", json!(octets)),
        ("tls.established", json!(false)),
        ("network.protocol.name", json!("smtp")),
    ] {
        assert_eq!(mail.says(name), value, "{name} of {mail:?}");
    }
    let journal = collector.span("journal", |span| span.is_part_of(&mail));
    assert_eq!(journal.name, "journal");

    // What became of it: read, and recorded.
    let batch = collector.span("a batch", |span| span.name == "pipeline batch");
    assert!(!batch.is_server && !batch.is_error && batch.parent.is_empty());
    assert_eq!(batch.says("desist.items"), json!(1));
    for part in ["read", "store"] {
        let part = collector.span(part, |span| span.name == part && span.is_part_of(&batch));
        assert_eq!(part.says("desist.items"), json!(1));
        assert!(batch.times.0 <= part.times.0 && part.times.1 <= batch.times.1);
    }
    let events = running.events(1);
    assert_eq!(mail.says("desist.receipt"), events[0]["receipt"]);

    // In chunks, the first of which is its beginning, with an end of their own.
    let mut session = running.smtp();
    session.ask("MAIL FROM:<staff@fbl.example>");
    session.ask("RCPT TO:<fbl@fb.example.com>");
    session.send(b"BDAT 14\r\nSubject: one\r\n");
    assert!(session.reply().starts_with("250"));
    session.send(b"BDAT 7 LAST\r\n\r\ntwo\r\n");
    assert!(session.reply().starts_with("250"));
    let mail = collector.span("a mail in chunks", |span| span.name == "smtp message");
    assert_eq!(mail.says("desist.message.size"), json!(21));
}

#[test]
fn g_033_a_mail_over_tls_says_so() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    let sent = Command::new("swaks")
        .args(["--server", &running.smtp.to_string(), "--tls"])
        .args(["--from", "private@example.net"])
        .args(["--to", &format!("u-{token}@fb.example.com")])
        .output()
        .expect("swaks is installed (scripts/test installs it)");
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stdout)
    );
    let mail = collector.span("a mail", |span| span.name == "smtp message");
    assert_eq!(mail.says("tls.established"), json!(true));
    assert_eq!(mail.says("desist.tenant"), json!(1));
}

#[test]
fn g_033_a_store_that_is_away_is_an_error_of_each_attempt() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let collector = Collector::start();
    let settings = format!("[traces]\nendpoint = \"{}\"\n", collector.url);
    let running = place.config(&settings).start();
    let database = running.place().database.as_ref().unwrap();
    database.shut();
    running.deliver(
        "staff@fbl.example",
        "fbl@fb.example.com",
        "Subject: a\n\nb\n",
    );
    let attempt = collector.span("an attempt", |span| span.name == "store" && span.is_error);
    assert_eq!(attempt.says("error.type"), json!("unavailable"));
    database.open();
    let good = |span: &Seen| span.name == "store" && !span.is_error;
    let recorded = collector.span("the last attempt", good);
    let batch = collector.span("the batch", |span| span.name == "pipeline batch");
    assert!(!batch.is_error);
    assert!(recorded.is_part_of(&batch) && attempt.is_part_of(&batch));
}

/// Works as it does without a collector: accepts, answers, counts.
fn works(running: &Running) {
    assert_eq!(running.check("private@example.net", None), None);
    let token = running.mint(1, &["reader@example.net"])[0].0.clone();
    let mail = complaint(&token);
    let reply = running.deliver("staff@fbl.example", "fbl@fb.example.com", &mail);
    assert!(reply.starts_with("250"), "{reply}");
    running.drained();
    assert!(running.check("reader@example.net", None).is_some());
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    // Bound and closed again: nobody is there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let running = place(&format!("http://{}", nobody.unwrap()), "").start();
    works(&running);
    until(&running, "spans are counted", || {
        counted(&running, "failed") > 5
    });
    let before = counted(&running, "failed");
    works_again(&running);
    until(&running, "more are counted", || {
        counted(&running, "failed") > before
    });
    assert_eq!(counted(&running, "exported"), 0);
    let told = || running.log().matches("spans are dropped until").count();
    until(&running, "it is told", || told() > 0);
    assert_eq!(told(), 1, "{}", running.log());
    stopped_within(running, Duration::from_secs(15));
}

fn works_again(running: &Running) {
    for _ in 0..20 {
        assert_eq!(running.check("private@example.net", None), None);
    }
}

#[test]
fn a_collector_that_fails_and_comes_back_is_told_of_once_each() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    collector.does(Does::Answer(500));
    works(&running);
    // They are counted, then told of.
    until(&running, "spans are lost", || {
        counted(&running, "failed") > 0 && running.log().contains("it answers 500")
    });
    collector.does(Does::RejectOne);
    running.get("/v1/alarms");
    answered(&collector, "GET /v1/alarms", 200);
    until(&running, "one is rejected", || {
        counted(&running, "rejected") > 0
    });
    collector.does(Does::Take);
    let told = |text: &str| running.log().matches(text).count();
    until(&running, "it is told", || {
        told("the collector takes spans again") == 1
    });
    assert_eq!(told("spans are dropped until"), 1, "{}", running.log());
}

#[test]
fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Collector::start();
    let running = traced(&collector, "queue = 4\ntimeout = \"1 min\"\n");
    collector.does(Does::Hang);
    running.check("private@example.net", None);
    collector.asked(1);
    works(&running);
    until(&running, "the queue is full", || {
        counted(&running, "queue-full") > 20
    });
    let place = stopped_within(running, Duration::from_secs(15));
    let log = std::fs::read_to_string(place.folder.path().join("log")).unwrap();
    assert!(log.contains("did not take all that were left"), "{log}");
}

#[test]
fn a_collector_that_is_slow_is_given_up() {
    let collector = Collector::start();
    let running = traced(&collector, "timeout = \"200 ms\"\n");
    collector.does(Does::Hang);
    running.check("private@example.net", None);
    until(&running, "it is given up", || {
        counted(&running, "failed") > 0
    });
    collector.does(Does::Take);
    running.get("/v1/alarms");
    answered(&collector, "GET /v1/alarms", 200);
}

#[test]
fn what_waits_is_sent_before_the_end() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let reply = running.deliver("a@fbl.example", "fbl@fb.example.com", "Subject: a\n\nb\n");
    assert!(reply.starts_with("250"));
    stopped_within(running, PATIENCE);
    let spans = collector.spans();
    assert!(
        spans.iter().any(|span| span.name == "smtp message"),
        "{spans:?}"
    );
    assert!(
        spans.iter().any(|span| span.name == "pipeline batch"),
        "{spans:?}"
    );
}

#[test]
fn a_collector_that_wants_a_key_gets_it_over_tls() {
    let collector = Collector::secured();
    let folder = tempfile::tempdir().unwrap();
    let headers = folder.path().join("headers");
    let mut file = std::fs::File::create(&headers).unwrap();
    file.write_all(b"X-Key: open-sesame\n\nAuthorization: Basic b3Blbg==\n")
        .unwrap();
    let only_ours = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&headers, only_ours).unwrap();
    let settings = |more: &str| format!("headers_file = \"{}\"\n{more}", headers.display());
    let root = format!("ca_file = \"{}\"\n", collector.root().display());
    let running = traced(&collector, &settings(&root));
    running.check("private@example.net", None);
    answered(&collector, "POST /v1/check", 200);
    let got = collector.headers();
    assert_eq!(got["x-key"], "open-sesame");
    assert_eq!(got["authorization"], "Basic b3Blbg==");
    let log = running.log();
    assert!(!log.contains("sesame") && !log.contains("b3Blbg"));
    assert!(!log.contains("can be read by others"), "{log}");
    drop(running);

    // One that a public authority has not certified is not believed without that.
    let running = traced(&collector, &settings(""));
    running.check("private@example.net", None);
    until(&running, "nothing is sent", || {
        counted(&running, "failed") > 0
    });
    assert_eq!(counted(&running, "exported"), 0);
}

#[test]
fn nothing_that_is_sent_names_anybody() {
    let collector = Collector::start();
    let running = traced(&collector, "");
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    let private = "private@example.net";
    let mut session = running.smtp();
    for command in [
        "EHLO private.example.net",
        "MAIL FROM:<private@example.net>",
        &format!("RCPT TO:<u-{token}@fb.example.com>"),
        "DATA",
        "From: private@example.net\r\nSubject: private\r\n\r\nunsubscribe\r\n.",
    ] {
        session.ask(command);
    }
    for path in [
        format!("/v1/suppressions/{private}"),
        format!("/v1/receipts/{token}"),
        format!("/v1/{token}?address={private}"),
        format!("/v1/tokens/inspect?token={token}"),
    ] {
        running.get(&path);
        call(
            &running,
            "PUT",
            &path,
            &[("User-Agent", private), ("X-Request-Id", private)],
        );
    }
    running.post(
        "/v1/tokens/inspect",
        &json!({"token": token, "address": private}),
    );
    for path in [
        format!("/u/{token}"),
        format!("/u/{token}x"),
        format!("/{token}"),
    ] {
        let url = format!("https://{}{path}", running.public);
        for agent in [private, &token] {
            let sent = public_agent()
                .post(&url)
                .header("User-Agent", agent)
                .header("Host", "private.example.net")
                .send("List-Unsubscribe=One-Click");
            sent.unwrap();
        }
    }
    running.events(1);
    stopped_within(running, PATIENCE);
    // What has the form of an address or of a token is looked for when the collector ends.
    assert!(collector.spans().len() > 20);
    for body in collector.bodies() {
        assert!(!contains(&body, b"private"));
        assert!(!contains(&body, token.as_bytes()));
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    lower.windows(text.len()).any(|window| window == text)
}
