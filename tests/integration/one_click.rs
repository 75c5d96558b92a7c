//! The public one-click door with real clients: a real journal behind it, curl in front.
#![expect(clippy::string_slice, clippy::expect_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use desist::app::reception::{Parts, Reception};
use desist::http::connection::{Limits, Server};
use desist::http::public::pages::Pages;
use desist::http::public::{self, ClickLimits, Public};
use desist::index::Index;
use desist::journal::{Entry, Journal, JournalConfig};
use desist::judge::Policy;
use desist::metrics::Metrics;
use desist::model::address::Address;
use desist::model::clock::Clock;
use desist::model::directory::{Directory, KeyState, SigningKey};
use desist::model::mailbox::Role;
use desist::model::receipt::Door as Entrance;
use desist::model::secret::Secret;
use desist::model::stream::{Class, Stream};
use desist::model::tenant::{Tenant, TenantId};
use desist::net::accept::AcceptLimits;
use desist::net::stop::Stop;
use desist::net::tls::{Alpn, HandshakeLimits, Handshakes, Tls};
use desist::smtp::recipients::Served;
use desist::token::keyring::{Keyring, Mint};
use desist::token::wire::Use;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// RFC 8058 §8.3: its boundary is not the one that its delimiters show.
const RFC_8058_MULTIPART: &str = "---FormBoundaryjWmhtjORrn\r\n\
    Content-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
    One-Click\r\n\
    ---FormBoundaryjWmhtjORrn--";

/// What a test wants to be unusual.
struct Setting {
    journal: JournalConfig,
    limits: ClickLimits,
    current: bool,
    key: KeyState,
}

impl Default for Setting {
    fn default() -> Self {
        let journal = JournalConfig {
            disk_floor: 0,
            ..JournalConfig::default()
        };
        Self {
            journal,
            limits: ClickLimits::default(),
            current: true,
            key: KeyState::Active,
        }
    }
}

/// A running door, over TLS and in clear.
struct Door {
    runtime: Runtime,
    journal: Journal,
    keyring: Keyring,
    metrics: Metrics,
    tls_port: u16,
    clear_port: u16,
    _folder: TempDir,
}

fn directory(root: u8) -> Directory {
    let tenant = TenantId::DEFAULT;
    let state = KeyState::Active;
    Directory {
        root: Secret::new([root; 32]),
        tenants: vec![Tenant {
            id: tenant,
            name: "default".to_owned(),
            domain: None,
            title: None,
        }],
        streams: [
            ("news", Class::Marketing, false),
            ("receipts", Class::Transactional, false),
            ("digest", Class::Transactional, true),
        ]
        .into_iter()
        .zip(1..)
        .map(|((name, class, unsubscribe), number)| Stream {
            tenant,
            number,
            name: name.to_owned(),
            class,
            unsubscribe,
            title: None,
        })
        .collect(),
        signing_keys: vec![SigningKey {
            tenant,
            serial: 1,
            state,
            generation: 1,
        }],
        mailboxes: Vec::new().into(),
        domains: desist::model::directory::Domains::default(),
        seq: 1,
    }
}

fn mint(keyring: &Keyring, address: &str) -> String {
    mint_for(keyring, 1, address)
}

fn mint_for(keyring: &Keyring, stream: u16, address: &str) -> String {
    let address = Address::parse(address).unwrap();
    let mint = Mint {
        tenant: TenantId::DEFAULT,
        stream,
        address: &address,
        reference: &[],
        purpose: Use::Feedback,
    };
    keyring.mint(&mint).unwrap().text
}

impl Door {
    fn open(setting: Setting) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = TempDir::new().unwrap();
        let (clock, metrics) = (Clock::system(), Metrics::default());
        let file = folder.path().join("journal.sqlite");
        let opening = Journal::open(&file, setting.journal, clock.clone());
        let journal = runtime.block_on(opening).unwrap();
        let mut directory = directory(7);
        directory.signing_keys[0].state = setting.key;
        let keyring = Keyring::new(&directory);
        let reception = Reception::new(Parts {
            journal: journal.clone(),
            index: Arc::new(Index::default()),
            clock: clock.clone(),
            metrics: metrics.clone(),
            served: Served {
                domains: vec!["fb.example.com".to_owned()],
                keyring: keyring.clone(),
                directory: Arc::new(directory),
                current: setting.current,
            },
            token_receipts_per_hour: 0,
            policy: Policy::default(),
        });
        let tls = Tls::self_made(folder.path(), &[], Alpn::Http).unwrap();
        let public = Public::new(reception, setting.limits, Pages::load(None).unwrap())
            .counting(metrics.clone(), clock);
        let mut server = Server {
            router: public::router(public).into(),
            limits: Limits::PUBLIC,
            tls: Some((
                tls,
                Handshakes::new(HandshakeLimits::default(), Clock::system()),
            )),
            stop: Stop::new(),
        };
        let tls_port = listen(&runtime, &server);
        server.tls = None;
        let clear_port = listen(&runtime, &server);
        Self {
            runtime,
            journal,
            keyring,
            metrics,
            tls_port,
            clear_port,
            _folder: folder,
        }
    }

    fn mint(&self, address: &str) -> String {
        mint(&self.keyring, address)
    }

    /// Runs curl over TLS; gives what it saw, which must be an answer.
    fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let output = self.run(path, arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} {text}{error}");
        Answer::read(&text)
    }

    fn run(&self, path: &str, arguments: &[&str]) -> Output {
        Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--insecure",
                "--include",
                "--max-time",
                "30",
            ])
            .args([
                "--path-as-is",
                "--write-out",
                "\n%{http_code} %{http_version}",
            ])
            .args(arguments)
            .arg(format!("https://localhost:{}{path}", self.tls_port))
            .output()
            .expect("curl is installed")
    }

    /// How many receipts are durable, and the first ten.
    fn received(&self) -> (u64, Vec<Entry>) {
        let unshipped = self.journal.status().unshipped;
        if unshipped == 0 {
            return (0, Vec::new());
        }
        let taken = self
            .runtime
            .block_on(self.journal.take(10, 1 << 20))
            .unwrap();
        (unshipped, taken)
    }

    fn assert_nothing_received(&self) {
        assert_eq!(self.received().0, 0);
    }
}

fn listen(runtime: &Runtime, server: &Server) -> u16 {
    // Both families: `localhost`, `127.0.0.1` and `[::1]` reach it.
    let listener = runtime
        .block_on(TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = server.stop.clone();
    let _inside = runtime.enter();
    stop.spawn(server.clone().listen(listener, AcceptLimits::default()));
    port
}

/// What curl saw.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    version: String,
    /// Without `Date`.
    fields: Vec<String>,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (answer, end) = text.rsplit_once('\n').unwrap();
        let (status, version) = end.split_once(' ').unwrap();
        // `100 Continue` has a head of its own.
        let begin = answer.rfind("HTTP/").unwrap();
        let (head, body) = answer[begin..].split_once("\r\n\r\n").unwrap();
        let mut fields: Vec<_> = head.lines().skip(1).map(str::to_lowercase).collect();
        fields.retain(|field| !field.starts_with("date:"));
        Self {
            status: status.parse().unwrap(),
            version: version.to_owned(),
            fields,
            body: body.to_owned(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find_map(|field| field.strip_prefix(name)?.strip_prefix(": "))
    }

    fn assert_acts_like_rfc_8058(&self, what: &str) {
        assert_eq!(self.status, 200, "{what}: {self:?}");
        for forbidden in ["set-cookie", "location", "strict-transport-security"] {
            assert_eq!(self.field(forbidden), None, "{what}");
        }
        assert_eq!(self.field("cache-control"), Some("no-store"), "{what}");
        assert_eq!(self.field("referrer-policy"), Some("no-referrer"), "{what}");
        assert_eq!(self.field("x-robots-tag"), Some("noindex"), "{what}");
    }
}

const FORM: &str = "List-Unsubscribe=One-Click";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=---FormBoundaryjWmhtjORrn";

/// Each a version of HTTP, as curl reports it, and arguments.
const WAYS: &[(&str, &[&str])] = &[
    ("1.1", &["--http1.1", "--data", FORM]),
    ("2", &["--http2", "--data", FORM]),
    ("2", &["--http2", "--tls-max", "1.2", "--data", FORM]),
    ("1.1", &["--http1.1", "--tls-max", "1.2", "--data", FORM]),
    ("2", &["--tlsv1.3", "--data", FORM]),
    ("1", &["--http1.0", "--data", FORM]),
    ("2", &["-4", "--data", FORM]),
    ("2", &["-6", "--data", FORM]),
    ("1.1", &["--no-alpn", "--data", FORM]),
    ("2", &["--form", FORM]),
    ("1.1", &["--http1.1", "--form", FORM]),
    (
        "2",
        &["--header", MULTIPART, "--data-binary", RFC_8058_MULTIPART],
    ),
    ("2", &["--request", "POST"]),
    ("1.1", &["--http1.1", "--request", "POST"]),
    ("2", &["--header", "Content-Type:", "--data", ""]),
    ("2", &["--header", "Content-Type: x/y; z", "--data", "{]"]),
    (
        "2",
        &["--header", "Content-Type: application/json", "--data", "{}"],
    ),
    (
        "2",
        &[
            "--header",
            "User-Agent:",
            "--header",
            "Accept:",
            "--data",
            FORM,
        ],
    ),
    (
        "2",
        &["--header", "Origin: https://evil.example", "--data", FORM],
    ),
    ("2", &["--header", "Cookie: a=b", "--data", FORM]),
    (
        "1.1",
        &[
            "--http1.1",
            "--header",
            "Transfer-Encoding: chunked",
            "--data",
            FORM,
        ],
    ),
    (
        "1.1",
        &[
            "--http1.1",
            "--header",
            "Expect: 100-continue",
            "--data",
            FORM,
        ],
    ),
];

#[test]
fn curl_unsubscribes_in_every_way() {
    // C-001, C-002, C-003, C-004, C-005, C-008, C-011, C-014, C-018, C-019
    let door = Door::open(Setting::default());
    let token = door.mint("reader@example.com");
    for (version, arguments) in WAYS {
        let answer = door.curl(&format!("/u/{token}"), arguments);
        let what = format!("{:?}", arguments.first());
        answer.assert_acts_like_rfc_8058(&what);
        assert_eq!(&answer.version, version, "{what}");
        assert_eq!(answer.body, "You are unsubscribed.\n");
    }
    let expected = u64::try_from(WAYS.len()).unwrap();
    assert_eq!(
        door.received().0,
        expected,
        "each is durable when it is answered"
    );
    let counted = "route=\"/u/{token}\",status=\"200\"";
    assert!(
        door.metrics.render().contains(counted),
        "{}",
        door.metrics.render()
    );
}

#[test]
fn the_request_is_kept_as_evidence_and_the_body_as_it_was() {
    // C-003, C-004
    let door = Door::open(Setting::default());
    let token = door.mint("reader@example.com");
    let multipart = "Content-Type: multipart/form-data; boundary=---FormBoundaryjWmhtjORrn";
    let arguments = [
        "--user-agent",
        "Provider/1",
        "--header",
        multipart,
        "--data-binary",
        RFC_8058_MULTIPART,
    ];
    assert_eq!(
        door.curl(&format!("/u/{}", token.to_uppercase()), &arguments)
            .status,
        200
    );
    let (count, entries) = door.received();
    assert_eq!(count, 1);
    let entry = &entries[0];
    assert_eq!(&*entry.raw, RFC_8058_MULTIPART.as_bytes());
    let envelope = &entry.receipt.envelope;
    assert_eq!(entry.receipt.door, Entrance::OneClick);
    assert_eq!(envelope.mailbox.role, Role::Unsubscribe);
    assert_eq!(envelope.token.as_deref(), Some(token.as_str()));
    assert_eq!(envelope.hello, "Provider/1");
    assert!(
        envelope
            .content_type
            .as_ref()
            .unwrap()
            .starts_with("multipart/form-data")
    );
    assert!(envelope.peer.unwrap().is_loopback());
}

#[test]
fn a_body_beyond_the_limit_is_cut_and_acted_on() {
    let door = Door::open(Setting::default());
    let path = format!("/u/{}", door.mint("reader@example.com"));
    let file = TempDir::new().unwrap();
    let body = file.path().join("body");
    for (length, version) in [
        (8 * 1024, "--http2"),
        // Read to its end.
        (70_000, "--http1.1"),
        (70_000, "--http2"),
    ] {
        std::fs::write(&body, "x".repeat(length)).unwrap();
        let data = format!("@{}", body.display());
        let answer = door.curl(&path, &[version, "--data-binary", &data]);
        answer.assert_acts_like_rfc_8058(version);
        let (_, entries) = door.received();
        assert_eq!(entries[0].raw.len(), 8 * 1024, "{length} {version}");
    }
}

#[test]
fn a_body_that_is_not_read_to_its_end_is_acted_on() {
    // The client may see the answer or only that nobody takes its body any more.
    let door = Door::open(Setting::default());
    let path = format!("/u/{}", door.mint("reader@example.com"));
    let file = TempDir::new().unwrap();
    let body = file.path().join("body");
    std::fs::write(&body, "x".repeat(20_000_000)).unwrap();
    let data = format!("@{}", body.display());
    for version in ["--http1.1", "--http2"] {
        door.run(&path, &[version, "--data-binary", &data]);
        let (_, entries) = door.received();
        assert_eq!(entries[0].raw.len(), 8 * 1024, "{version}");
    }
}

#[test]
fn every_spelling_of_the_address_acts() {
    // C-005, C-008, C-015
    let door = Door::open(Setting::default());
    let token = door.mint("reader@example.com");
    let encoded = token
        .bytes()
        .fold(String::new(), |path, byte| format!("{path}%{byte:02x}"));
    let paths = [
        format!("/u/{token}/"),
        format!("/u/{}", token.to_uppercase()),
        format!("/u/{encoded}"),
        format!("/u/{token}?utm_source=x&y"),
        format!("/u//{token}"),
        format!("/u/{token}%20"),
        // What mail programs glue to a link, or leave of what stood before it.
        format!("/u/{token}."),
        format!("/u/{token})"),
        format!("/u/{token}%3E"),
        format!("/u/{token}%3C/a%3E"),
        format!("/u/{token}xyz"),
        format!("/u/{token}Unsubscribe"),
        format!("/u/opaque={token}"),
    ];
    for path in &paths {
        door.curl(path, &["--data", "x"])
            .assert_acts_like_rfc_8058(path);
        door.curl(path, &[]).assert_acts_like_rfc_8058(path);
    }
    assert_eq!(
        door.received().0,
        u64::try_from(paths.len()).unwrap(),
        "POST alone acts"
    );
}

#[test]
fn only_post_acts() {
    // C-006
    let door = Door::open(Setting::default());
    let path = format!("/u/{}", door.mint("reader@example.com"));
    let page = door.curl(&path, &[]);
    page.assert_acts_like_rfc_8058("GET");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("<form method=\"post\">"));
    let prefetch = [
        "--header",
        "Sec-Purpose: prefetch",
        "--header",
        "Purpose: prefetch",
    ];
    assert_eq!(door.curl(&path, &prefetch).status, 200);
    let head = door.curl(&path, &["--head"]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let with_body = ["--request", "GET", "--data", "List-Unsubscribe=One-Click"];
    assert_eq!(door.curl(&path, &with_body).status, 200);
    for method in ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"] {
        let answer = door.curl(&path, &["--request", method]);
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, Some("get,head,post")),
            "{method}"
        );
    }
    door.assert_nothing_received();
}

#[test]
fn wrong_tokens_look_alike_and_like_any_unknown_address() {
    // C-009, C-010
    let door = Door::open(Setting::default());
    let token = door.mint("reader@example.com");
    let foreign = mint(&Keyring::new(&directory(8)), "reader@example.com");
    let last = if token.ends_with('a') { "b" } else { "a" };
    let flipped = format!("{}{last}{}", &token[..20], &token[21..]);
    let wrong = [
        format!("/u/{foreign}"),
        format!("/u/{flipped}"),
        format!("/u/{}", &token[..token.len() - 1]),
        format!("/u/a{token}a")
            .replace("/u/aa", "/u/zz")
            .replacen(&token[..4], "7777", 1),
        "/u/nonsense".to_owned(),
        "/u/".to_owned(),
        "/u".to_owned(),
        "/u/%ff%fe%00".to_owned(),
        "/".to_owned(),
        "/favicon.ico".to_owned(),
    ];
    for arguments in [
        &["--http1.1"][..],
        &["--http2"],
        &["--data", "x"],
        &["--head"],
    ] {
        let answers: Vec<_> = wrong
            .iter()
            .map(|path| door.curl(path, arguments))
            .collect();
        assert_eq!(answers[0].status, 404);
        for (path, answer) in wrong.iter().zip(&answers) {
            assert_eq!(answer, &answers[0], "{path} {arguments:?}");
        }
    }
    door.assert_nothing_received();
}

#[test]
fn an_unknown_key_is_no_wrong_one_while_keys_are_not_current() {
    // C-010
    let door = Door::open(Setting {
        current: false,
        ..Setting::default()
    });
    let mut other = directory(7);
    let tenant = TenantId::new(2).unwrap();
    other.tenants[0].id = tenant;
    other.signing_keys[0].tenant = tenant;
    let address = Address::parse("reader@example.com").unwrap();
    let mint = Mint {
        tenant,
        stream: 1,
        address: &address,
        reference: &[],
        purpose: Use::Feedback,
    };
    let unknown = Keyring::new(&other).mint(&mint).unwrap().text;
    for arguments in [&[][..], &["--data", "x"]] {
        let answer = door.curl(&format!("/u/{unknown}"), arguments);
        assert_eq!(
            (answer.status, answer.field("retry-after")),
            (503, Some("30"))
        );
        assert_eq!(door.curl("/u/nonsense", arguments).status, 404);
    }
    let known = door.mint("reader@example.com");
    assert_eq!(
        door.curl(&format!("/u/{known}"), &["--data", "x"]).status,
        200
    );
}

#[test]
fn what_cannot_be_committed_is_not_acknowledged() {
    // C-013
    let full = JournalConfig {
        disk_floor: u64::MAX,
        ..JournalConfig::default()
    };
    let no_memory = ClickLimits {
        in_flight: 1,
        ..ClickLimits::default()
    };
    for setting in [
        Setting {
            journal: full,
            ..Setting::default()
        },
        Setting {
            limits: no_memory,
            ..Setting::default()
        },
    ] {
        let door = Door::open(setting);
        let path = format!("/u/{}", door.mint("reader@example.com"));
        let answer = door.curl(&path, &["--data", "List-Unsubscribe=One-Click"]);
        assert_eq!(
            (answer.status, answer.field("retry-after")),
            (503, Some("30"))
        );
        door.assert_nothing_received();
        assert_eq!(door.curl(&path, &[]).status, 200, "the page needs no room");
    }
}

#[test]
fn a_browser_gets_a_page_for_its_answer() {
    // C-007
    let door = Door::open(Setting::default());
    let path = format!("/u/{}", door.mint("reader@example.com"));
    let accept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answer = door.curl(
        &path,
        &["--header", accept, "--data", "List-Unsubscribe=One-Click"],
    );
    answer.assert_acts_like_rfc_8058("a browser");
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.body.contains("You are unsubscribed"));
    let policy = answer.field("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"));
}

#[test]
fn a_reader_is_promised_what_the_opt_out_ends() {
    // C-007: the page's promise is the scope that the table of judgement gives to the token.
    let door = Door::open(Setting::default());
    let this_kind = "you will no longer receive “";
    let marketing = "<bdi>default</bdi> will send you no more marketing mail.";
    let still = "Messages about your orders or your account may still come.";
    for (stream, ends_itself) in [(1, true), (2, false), (3, true), (0, false), (9, false)] {
        let token = mint_for(&door.keyring, stream, "reader@example.com");
        let path = format!("/u/{token}");
        let question = door.curl(&path, &["--header", "Accept: text/html"]);
        let form = ["--header", "Accept: text/html", "--data", FORM];
        let done = door.curl(&path, &form);
        for page in [question, done] {
            let text = page.body.replace("You will", "you will");
            assert!(text.contains("<bdi>default</bdi>"), "{text}");
            assert_eq!(text.contains(this_kind), ends_itself, "{stream}: {text}");
            assert_eq!(text.contains(marketing), !ends_itself, "{stream}: {text}");
            assert_eq!(text.contains(still), !ends_itself, "{stream}: {text}");
        }
    }
}

#[test]
fn by_a_revoked_key_a_reader_is_promised_a_look_and_no_more() {
    let door = Door::open(Setting {
        key: KeyState::Revoked,
        ..Setting::default()
    });
    let active = Keyring::new(&directory(7));
    let path = format!("/u/{}", mint(&active, "reader@example.com"));
    let question = door.curl(&path, &["--header", "Accept: text/html"]);
    assert_eq!(question.status, 200);
    let promise = "<bdi>default</bdi> will receive your request and check it.";
    assert!(question.body.contains(promise), "{}", question.body);
    let visit = "visit=000102030405060708090a0b0c0d0e0f";
    let form = format!("{FORM}&{visit}");
    let done = door.curl(&path, &["--header", "Accept: text/html", "--data", &form]);
    done.assert_acts_like_rfc_8058("a revoked key");
    assert!(
        done.body.contains("Your request has been received"),
        "{}",
        done.body
    );
    assert!(
        !done.body.contains("<form"),
        "nothing has begun that could be undone"
    );
    assert_eq!(door.received().0, 1, "kept, to be looked at");
}

#[test]
fn a_thousand_readers_of_one_provider_are_all_heard() {
    // C-012: one address, no browser's header, no limit.
    const CONNECTIONS: usize = 8;
    const EACH: usize = 125;
    let door = Door::open(Setting::default());
    let answered: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let door = &door;
                scope.spawn(move || post_in_clear(door, number, EACH))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(answered, CONNECTIONS * EACH);
    assert_eq!(door.received().0, u64::try_from(answered).unwrap());
}

/// Posts with so many tokens over one connection, all sent before the first answer is read; gives
/// the number of answers `200`.
fn post_in_clear(door: &Door, number: usize, count: usize) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", door.clear_port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    for reader in 0..count {
        let token = door.mint(&format!("reader{number}.{reader}@example.com"));
        let close = if reader + 1 == count {
            "Connection: close\r\n"
        } else {
            ""
        };
        let body = "List-Unsubscribe=One-Click";
        let head = format!("POST /u/{token} HTTP/1.1\r\nHost: u\r\n{close}Content-Length: 26");
        stream
            .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
            .unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    answers.matches("HTTP/1.1 200 OK").count()
}
