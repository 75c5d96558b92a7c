//! A real `desist` process on ports of the system's choice, and plain clients to talk to it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use desist::model::clock::{Clock, Tick};

use crate::postgres::Database;
use crate::privacy::assert_reveals_nothing;

/// Tests with a case on each engine.
#[macro_export]
macro_rules! on_both_engines {
    ($( $case:ident ),+ $(,)?) => {
        mod sqlite {
            $( #[test] fn $case() { super::$case($crate::harness::Engine::Sqlite); } )+
        }
        mod postgres {
            $( #[test] fn $case() { super::$case($crate::harness::Engine::Postgres); } )+
        }
    };
}

/// How long any answer may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Which engine the store uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A PostgreSQL database for a server process, dropped with this.
pub(crate) struct TestDatabase {
    runtime: tokio::runtime::Runtime,
    database: Option<Database>,
}

impl TestDatabase {
    fn create() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let database = runtime.block_on(Database::create())?;
        Some(Self {
            runtime,
            database: Some(database),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.database.as_ref().unwrap().url
    }

    /// As if the server were gone for this database.
    pub(crate) fn shut(&self) {
        self.runtime
            .block_on(self.database.as_ref().unwrap().shut());
    }

    /// Runs a statement inside it.
    pub(crate) fn run(&self, sql: &str) {
        self.runtime
            .block_on(self.database.as_ref().unwrap().run(sql));
    }

    /// It is there again.
    pub(crate) fn open(&self) {
        self.runtime
            .block_on(self.database.as_ref().unwrap().open());
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            self.runtime.block_on(database.remove());
        }
    }
}

/// A server process with its own folder (and database).
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    pub(crate) smtp: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) key: String,
    barriers: AtomicUsize,
    place: Place,
}

/// Runs a command of `desist` with a config file until it ends.
pub(crate) fn desist(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_desist"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap()
}

/// What outlives a process: data folder, config file, database.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) database: Option<TestDatabase>,
    store: Option<String>,
    extra: String,
    public_tls: &'static str,
    wrapper: Vec<String>,
    smtp: String,
    public: String,
}

impl Place {
    /// A fresh folder; `None` where the engine is not to be tested here.
    pub(crate) fn new(engine: Engine) -> Option<Self> {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(TestDatabase::create()?),
        };
        let store = database.as_ref().map(|database| database.url().to_owned());
        Some(Self {
            database,
            store,
            ..Self::nowhere()
        })
    }

    /// A fresh folder, with the store at that URL.
    pub(crate) fn at(store: &str) -> Self {
        Self::nowhere().stored_at(store)
    }

    /// Has the store at that URL.
    pub(crate) fn stored_at(mut self, url: &str) -> Self {
        self.store = Some(url.to_owned());
        self
    }

    /// Lines that are appended to the config file.
    pub(crate) fn config(mut self, lines: &str) -> Self {
        self.extra.push_str(lines);
        self
    }

    /// Serves the public door in clear, so that its answers can be seen from below.
    pub(crate) fn public_without_tls(mut self) -> Self {
        self.public_tls = "off";
        self
    }

    /// Has the certificate of an authority.
    #[cfg(feature = "acme")]
    pub(crate) fn public_by_acme(mut self) -> Self {
        self.public_tls = "acme";
        self
    }

    /// Serves the public door with this certificate.
    pub(crate) fn public_by_files(mut self, chain: &Path, key: &Path) -> Self {
        self.public_tls = "files";
        self.public(&format!(
            "tls_cert = \"{}\"\ntls_key = \"{}\"\n",
            chain.display(),
            key.display()
        ))
    }

    /// Shows the page by the templates of this folder.
    pub(crate) fn templates(self, folder: &Path) -> Self {
        self.public(&format!("templates = \"{}\"\n", folder.display()))
    }

    /// Lines of the section `[smtp]`.
    pub(crate) fn smtp(mut self, lines: &str) -> Self {
        self.smtp.push_str(lines);
        self
    }

    /// Lines of the section `[public]`.
    pub(crate) fn public(mut self, lines: &str) -> Self {
        self.public.push_str(lines);
        self
    }

    /// Runs the server under this command, for instance strace.
    pub(crate) fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Fails if the log of a server here has what no log may have.
    fn reveals_nothing(&self) {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        assert_reveals_nothing("the log", &String::from_utf8_lossy(&log));
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where its config file is.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("desist.toml")
    }

    /// Runs a command of `desist` with its config until it ends.
    pub(crate) fn desist(&self, arguments: &[&str]) -> Output {
        desist(&self.config_file(), arguments)
    }

    fn write_config(&self) -> PathBuf {
        let file = self.config_file();
        let store = self
            .store
            .as_ref()
            .map(|url| format!("[store]\nurl = \"{url}\"\n"))
            .unwrap_or_default();
        let text = format!(
            "data_dir = \"{}\"\n\
             [smtp]\nlisten = [\"127.0.0.1:0\"]\ndomains = [\"fb.example.com\"]\nhostname = \"mx.example.com\"\n{}\
             [public]\nlisten = [\"127.0.0.1:0\"]\ntls = \"{}\"\n{}\
             [api]\nlisten = [\"127.0.0.1:0\"]\n{store}{}",
            self.data_dir().display(),
            self.smtp,
            self.public_tls,
            self.public,
            self.extra
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Writes the config, without starting anything.
    pub(crate) fn configured(&self) {
        self.write_config();
    }

    /// Starts a process here and waits until every listener is ready.
    pub(crate) fn start(self) -> Running {
        self.start_doors().wait_for_api()
    }

    /// Starts a process here and waits until its doors are open; the API may not be.
    pub(crate) fn start_doors(self) -> Running {
        let config = self.write_config();
        let binary = env!("CARGO_BIN_EXE_desist");
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut child = command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            // Everything that it could ever say, so that what it must not say is found.
            .env("DESIST_LOG__LEVEL", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Running {
            child,
            lines,
            smtp: nowhere,
            public: nowhere,
            api: nowhere,
            key: String::new(),
            barriers: AtomicUsize::new(0),
            place: self,
        };
        running.smtp = running.listening("smtp");
        running.public = running.listening("public");
        running
    }
}

impl Running {
    /// Waits until the API is ready.
    pub(crate) fn wait_for_api(mut self) -> Self {
        self.api = self.listening("api");
        let key = std::fs::read_to_string(self.seen(&self.place.data_dir().join("admin.key")));
        let key = key.unwrap();
        key.trim().clone_into(&mut self.key);
        self
    }

    /// The address in the next line, which must be about that listener.
    pub(crate) fn listening(&mut self, listener: &str) -> SocketAddr {
        let Some(Ok(line)) = self.lines.next() else {
            panic!("the server ended before it was ready:\n{}", self.log());
        };
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["listening", name, at] if *name == listener => at.parse().unwrap(),
            other => panic!("unexpected line {other:?}"),
        }
    }

    /// A server with a fresh SQLite store.
    pub(crate) fn sqlite() -> Self {
        Place::new(Engine::Sqlite).unwrap().start()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where a path of the process is to be found, which may have mounts of its own.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        let seen = PathBuf::from(format!("/proc/{}/root{}", self.pid(), path.display()));
        if seen.exists() { seen } else { path.to_owned() }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Everything that the process has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.place.folder.path().join("log")).unwrap()
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(mut self) -> Place {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.place.reveals_nothing();
        std::mem::replace(&mut self.place, Place::nowhere())
    }

    /// Asks the process to stop (SIGTERM); under a wrapper it is the wrapper's child.
    pub(crate) fn terminate(&self) {
        let own = self.child.id();
        let pid = if self.place.wrapper.is_empty() {
            own.to_string()
        } else {
            let children = format!("/proc/{own}/task/{own}/children");
            std::fs::read_to_string(children).unwrap().trim().to_owned()
        };
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(mut self) -> (ExitStatus, Place) {
        let status = self.child.wait().unwrap();
        self.place.reveals_nothing();
        (status, std::mem::replace(&mut self.place, Place::nowhere()))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api)
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .into()
    }

    /// GET on the API: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let response = Self::agent()
            .get(self.url(path))
            .header("Authorization", format!("Bearer {}", self.key))
            .call()
            .unwrap();
        answer_of(response)
    }

    /// GET on the API for all tenants: status and body.
    pub(crate) fn get_all(&self, path: &str) -> (u16, Value) {
        let mut response = Self::agent()
            .get(self.url(path))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Desist-Tenant", "*")
            .call()
            .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (
            response.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// POST of JSON on the API: status and body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = Self::agent()
            .post(self.url(path))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .unwrap();
        answer_of(response)
    }

    /// Tokens for these addresses on a stream: (feedback token, return path).
    pub(crate) fn mint(&self, stream: u16, addresses: &[&str]) -> Vec<(String, String)> {
        let recipients: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"address": address}))
            .collect();
        let mut tokens = Vec::new();
        for some in recipients.chunks(1000) {
            let (status, body) =
                self.post("/v1/tokens", &json!({"stream": stream, "recipients": some}));
            assert_eq!(status, 200, "{body}");
            tokens.extend(body["items"].as_array().unwrap().iter().map(|item| {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                (text("token"), text("return_path"))
            }));
        }
        tokens
    }

    /// The check's answer for one address, `None` if it is free.
    pub(crate) fn check(&self, address: &str, stream: Option<u16>) -> Option<Value> {
        let mut body = json!({"addresses": [address]});
        if let Some(stream) = stream {
            body["stream"] = json!(stream);
        }
        let (status, answer) = self.post("/v1/check", &body);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["errors"], json!([]), "{answer}");
        answer["suppressed"].get(0).cloned()
    }

    /// Waits until so many events are stored in all, and gives them in feed order.
    pub(crate) fn events(&self, wanted: usize) -> Vec<Value> {
        let clock = Clock::system();
        let mut events = Vec::new();
        let mut after = String::new();
        while events.len() < wanted {
            assert!(
                clock.tick() < Tick::default().after(PATIENCE),
                "{} of {wanted} events\n{}",
                events.len(),
                self.log()
            );
            let cursor = if after.is_empty() {
                String::new()
            } else {
                format!("&after={after}")
            };
            let (status, page) = self.get(&format!("/v1/events?limit=1000&wait=5{cursor}"));
            assert_eq!(status, 200, "{page}");
            events.extend(page["items"].as_array().unwrap().iter().cloned());
            page["next"].as_str().unwrap().clone_into(&mut after);
        }
        events
    }

    /// Waits until all that was accepted so far is stored and in the index.
    pub(crate) fn drained(&self) {
        let clock = Clock::system();
        let unshipped = || {
            let (_, metrics) = self.get("/metrics");
            let metrics = metrics.as_str().unwrap();
            let line = metrics
                .lines()
                .find(|line| line.starts_with("desist_journal_unshipped "));
            line.unwrap()
                .rsplit(' ')
                .next()
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        while unshipped() > 0.0 {
            assert!(
                clock.tick() < Tick::default().after(PATIENCE),
                "the journal is not drained\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
        // A write of our own is in the index only after everything before it.
        let marker = self.barriers.fetch_add(1, Ordering::SeqCst);
        let address = format!("barrier{marker}.{}@example.invalid", self.pid());
        let item =
            json!({"address": address, "scope": "all", "reason": "manual", "note": "barrier"});
        let (status, answer) = self.post("/v1/suppressions", &json!({"suppressions": [item]}));
        assert_eq!(
            (status, &answer["indexed"]),
            (200, &json!(true)),
            "{answer}"
        );
    }

    /// All changes of the suppression feed, but for those that [`Running::drained`] made.
    pub(crate) fn changes(&self) -> Vec<Value> {
        let (mut changes, mut after) = (Vec::new(), String::new());
        loop {
            let cursor = if after.is_empty() {
                String::new()
            } else {
                format!("&after={after}")
            };
            let (status, page) = self.get(&format!("/v1/changes?limit=1000{cursor}"));
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            changes.extend(
                items
                    .iter()
                    .filter(|item| item["reason"] != "manual")
                    .cloned(),
            );
            page["next"].as_str().unwrap().clone_into(&mut after);
            if items.len() < 1000 {
                return changes;
            }
        }
    }

    /// A new SMTP session, greeting and EHLO done.
    pub(crate) fn smtp(&self) -> Smtp {
        let mut smtp = Smtp::connect(self.smtp);
        assert!(smtp.reply().starts_with("220 "));
        assert!(smtp.ask("EHLO mta.example.org").starts_with("250"));
        smtp
    }

    /// Delivers one message; the last reply (of the refused RCPT, or to the message).
    pub(crate) fn deliver(&self, from: &str, to: &str, message: &str) -> String {
        self.smtp().deliver(from, &[to], message)
    }

    /// Runs curl against the public door with its self-made certificate; (status, output).
    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let port = self.public.port();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--max-time", "30"])
            .args(["--write-out", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("https://127.0.0.1:{port}{path}"))
            .output()
            .expect("curl is installed (scripts/test installs it)");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

impl Running {
    /// Its metrics, unless it is in no state to tell them.
    fn last_metrics(&self) -> Option<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(2)))
            .build()
            .into();
        let mut response = agent.get(self.url("/metrics")).call().ok()?;
        response.body_mut().read_to_string().ok()
    }
}

/// Status and body; an error quotes no address and no token.
fn answer_of(mut response: http::Response<ureq::Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    if status >= 400 {
        assert_reveals_nothing("an error of the API", &text);
    }
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

impl Drop for Running {
    fn drop(&mut self) {
        let metrics = self.last_metrics();
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if !std::thread::panicking() {
            assert_reveals_nothing("metrics", &metrics.unwrap_or_default());
            self.place.reveals_nothing();
        }
    }
}

impl Place {
    fn nowhere() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: None,
            store: None,
            extra: String::new(),
            public_tls: "self-made",
            wrapper: Vec::new(),
            smtp: String::new(),
            public: String::new(),
        }
    }
}

/// A plain SMTP client that sees every reply.
pub(crate) struct Smtp {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Smtp {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        Self::over(TcpStream::connect(server).unwrap())
    }

    /// Connects; `None` if nobody is there.
    pub(crate) fn try_connect(server: SocketAddr) -> Option<Self> {
        Some(Self::over(TcpStream::connect(server).ok()?))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let replies = BufReader::new(stream.try_clone().unwrap());
        Self { stream, replies }
    }

    /// What it speaks over; nothing may be read from it that a reply is waited for.
    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Tries to send; `false` if the peer is gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// One whole reply, lines joined by `\n`; empty at the end of the connection.
    pub(crate) fn reply(&mut self) -> String {
        self.try_reply().unwrap_or_default()
    }

    /// One whole reply; `None` if the connection ended first.
    pub(crate) fn try_reply(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.replies.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line.trim_end().to_owned());
            if !more {
                return Some(lines.join("\n"));
            }
        }
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// One transaction; the last reply.
    pub(crate) fn deliver(&mut self, from: &str, to: &[&str], message: &str) -> String {
        let reply = self.ask(&format!("MAIL FROM:<{from}>"));
        if !reply.starts_with("250") {
            return reply;
        }
        let mut accepted = false;
        let mut last = String::new();
        for to in to {
            last = self.ask(&format!("RCPT TO:<{to}>"));
            accepted |= last.starts_with("250");
        }
        if !accepted {
            self.ask("RSET");
            return last;
        }
        let go = self.ask("DATA");
        if !go.starts_with("354") {
            return go;
        }
        self.send(dotted(message).as_bytes());
        self.reply()
    }
}

/// A client for the public door that takes its self-made certificate.
pub(crate) fn public_agent() -> ureq::Agent {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = ureq::tls::TlsConfig::builder()
        .disable_verification(true)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

/// A message as DATA carries it: CRLF, dots stuffed, the end.
pub(crate) fn dotted(message: &str) -> String {
    let mut data = String::new();
    for line in message.lines() {
        if line.starts_with('.') {
            data.push('.');
        }
        data.push_str(line);
        data.push_str("\r\n");
    }
    data.push_str(".\r\n");
    data
}

/// A complaint in the form of Microsoft's loop since June 2026: nobody is named but by the token.
pub(crate) fn complaint(token: &str) -> String {
    format!(
        "From: staff@fbl.example\nTo: fbl@fb.example.com\nSubject: complaint about message\n\
         MIME-Version: 1.0\nMessage-ID: <{token}-report@fbl.example>\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"b1\"\n\n\
         --b1\nContent-Type: text/plain\n\nThis is a report.\n\n\
         --b1\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nUser-Agent: JMRP/1.0\nVersion: 1\n\n\
         --b1\nContent-Type: text/rfc822-headers\n\n\
         From: news@example.com\nTo: anonymized@fbl.example\nSubject: News\nX-Desist: {token}\n\n\
         --b1--\n"
    )
}

/// A letter of the token's alphabet that is not this one.
pub(crate) fn other_than(letter: u8) -> &'static str {
    if letter == b'a' { "b" } else { "a" }
}
