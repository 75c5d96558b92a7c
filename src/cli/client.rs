//! The API as the command line sees it: where it is, with which key, and what it answers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use data_encoding::HEXUPPER;
use serde_json::Value;
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, SendBody};

use crate::model::hidden::harmless;
use crate::trust;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// The detail of a problem whose cause the server keeps to itself.
const SAYS_NOTHING: &str = "the server's log says more";

/// The tenant of calls for all of them and for what belongs to none.
const EVERY_TENANT: &str = "*";

/// How every client subcommand finds the API.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ClientArgs {
    /// Base of the API, for instance `http://127.0.0.1:8080`; without it the running server is
    /// looked up in the data folder
    #[arg(long, global = true, env = "DESIST_URL", value_name = "URL")]
    pub(super) url: Option<String>,
    /// API key; without it the one in the data folder, for its own server and this machine alone
    #[arg(
        long,
        global = true,
        env = "DESIST_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub(super) api_key: Option<String>,
    /// Name of the tenant, with a key of the installation
    #[arg(long, global = true, env = "DESIST_TENANT", value_name = "NAME")]
    pub(super) tenant: Option<String>,
    /// Certificates (PEM) that an https URL is trusted by
    #[arg(long, global = true, env = "DESIST_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Print the API's answer as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What kept a client subcommand from doing its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nothing could be asked: nothing is known.
    #[error("whether these may be mailed is unknown, do not send: {0}")]
    NotAsked(Box<Self>),
    /// Nothing says where the server is.
    #[error(
        "no server found: {path} cannot be read ({cause}); start `desist serve`, say by --config FILE \
         or DESIST_DATA_DIR where its data is, or give --url"
    )]
    NoListening {
        /// Where its address was looked for.
        path: PathBuf,
        /// What kept it from being read.
        cause: io::Error,
    },
    /// The file names no API.
    #[error("{0} names no API listener; give --url")]
    NoApiListener(PathBuf),
    /// There is no key.
    #[error("no API key: {path} cannot be read ({cause}); give --api-key")]
    NoKey {
        /// Where it was looked for.
        path: PathBuf,
        /// What kept it from being read.
        cause: io::Error,
    },
    /// The key at hand is another server's.
    #[error(
        "{0} is not the server of this data folder, whose key is not sent there; give --api-key"
    )]
    KeyOfAnother(String),
    /// The certificates cannot be used.
    #[error("--ca-file {path}: {cause}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Nobody says which certificate to trust.
    #[error("an https URL needs --ca-file FILE with the certificates to trust")]
    NoCaFile,
    /// The server cannot be reached, or broke off.
    #[error("no answer from {url}: {cause}; is the server running?")]
    Unreachable {
        /// Where it was called.
        url: String,
        /// What happened.
        cause: ureq::Error,
    },
    /// The URL does not say how to call.
    #[error("--url {0}: it has to begin with http:// or https://")]
    NoScheme(String),
    /// A hold without tenant is approved for one.
    #[error("the hold belongs to no tenant; say with --tenant NAME for which one it is approved")]
    NoTenant,
    /// The server refuses.
    #[error("{} ({code}, {status} from {url})", what_is_wrong(.title, .detail))]
    Refused {
        /// Where it was called.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The stable word.
        code: String,
        /// The sentence that belongs to it.
        title: String,
        /// What exactly is wrong.
        detail: String,
    },
    /// What answers is no desist, or of another version.
    #[error("{url} answers {status} with something that is no answer of desist's API")]
    Stranger {
        /// Where it was called.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The only item was refused.
    #[error("{0}")]
    Item(String),
    /// Some items were refused; each was printed.
    #[error("{refused} of {all} items {} refused", was(*.refused))]
    Items {
        /// How many.
        refused: usize,
        /// Of how many.
        all: usize,
    },
    /// Some addresses are none; each was printed.
    #[error("{unknown} of {all} addresses could not be checked: do not mail them")]
    Unchecked {
        /// How many.
        unknown: usize,
        /// Of how many.
        all: usize,
    },
    /// The list to ask about cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Input {
        /// Which file.
        path: PathBuf,
        /// What kept it from being read.
        cause: io::Error,
    },
    /// The answer to a list broke off, or whoever read it did.
    #[error("the answer broke off before its end: what was printed says nothing, do not send")]
    Void,
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What a script learns from the exit code of a call that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done, or the answer is yes: 0.
    Yes,
    /// The answer is no: 3.
    No,
}

impl Outcome {
    /// The exit code. 1 is a failure, 2 a mistake on the command line.
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self::Yes => ExitCode::SUCCESS,
            Self::No => ExitCode::from(3),
        }
    }
}

/// The title says what the detail says, in general; inside the server nothing more is told.
fn what_is_wrong(title: &str, detail: &str) -> String {
    if detail.is_empty() {
        title.to_owned()
    } else if detail == SAYS_NOTHING {
        format!("{title}: {detail}")
    } else {
        detail.to_owned()
    }
}

const fn was(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// A caller of the API.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    key: String,
    tenant: Option<String>,
    /// Whether a call that names no tenant is for all of them, where the key may do that.
    everywhere: bool,
    /// Whether answers are printed as they are.
    pub(super) json: bool,
}

impl ClientArgs {
    /// Finds server and key; what is not given is taken from the data folder.
    pub(super) fn connect(&self, data_dir: &Path) -> Result<Client, ClientError> {
        let base = match &self.url {
            Some(url) => with_scheme(url)?.trim_end_matches('/').to_owned(),
            None => listening(&data_dir.join("listening"))?,
        };
        let key = match &self.api_key {
            Some(key) => key.clone(),
            None if self.url.is_none() || is_here(&base, data_dir) => {
                key_file(&data_dir.join("admin.key"))?
            }
            // Whoever answers there would be given everything.
            None => return Err(ClientError::KeyOfAnother(base)),
        };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE));
        if base.starts_with("https:") {
            let path = self.ca_file.as_deref().ok_or(ClientError::NoCaFile)?;
            config = config.tls_config(trusting(path)?);
        }
        let agent = config.build().new_agent();
        let tenant = self.tenant.clone();
        Ok(Client {
            agent,
            base,
            key: key.trim().to_owned(),
            tenant,
            everywhere: false,
            json: self.json,
        })
    }
}

impl Client {
    /// The same for all tenants and for what belongs to none, unless one was named.
    pub(super) fn everywhere(self) -> Self {
        Self {
            everywhere: true,
            ..self
        }
    }

    /// `GET`, with path and query already encoded.
    pub(super) fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(&http::Method::GET, path, None)
    }

    /// `GET` of what is no JSON.
    pub(super) fn text(&self, path: &str) -> Result<String, ClientError> {
        self.asked(&http::Method::GET, path, None, Self::read_text)
    }

    /// `GET` of how something is, ready (200) or not (503): both answers have members that say more.
    pub(super) fn state(&self, path: &str) -> Result<Value, ClientError> {
        self.asked(&http::Method::GET, path, None, Self::read_state)
    }

    /// `GET` of bytes: at most `limit` of them from the beginning.
    pub(super) fn beginning(&self, path: &str, limit: usize) -> Result<Vec<u8>, ClientError> {
        let body = self.asked(&http::Method::GET, path, None, Self::open)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        body.into_reader()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|cause| ClientError::Unreachable {
                url: self.base.clone(),
                cause: ureq::Error::Io(cause),
            })?;
        Ok(bytes)
    }

    fn open(&self, response: http::Response<Body>) -> Result<Body, ClientError> {
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        self.read(response)?;
        Err(self.stranger())
    }

    /// `POST` of JSON.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(&http::Method::POST, path, Some(body))
    }

    /// `DELETE`.
    pub(super) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        self.call(&http::Method::DELETE, path, None)
    }

    fn call(
        &self,
        method: &http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        self.asked(method, path, body, Self::read)
    }

    /// Asks for the tenant of this client and reads the answer.
    fn asked<T>(
        &self,
        method: &http::Method,
        path: &str,
        body: Option<&Value>,
        read: fn(&Self, http::Response<Body>) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        if self.everywhere && self.tenant.is_none() {
            let response = self.call_for(Some(EVERY_TENANT), method, path, body)?;
            let done = read(self, response);
            // A tenant's own key is for that tenant alone.
            if !matches!(&done, Err(ClientError::Refused { code, .. }) if code == "foreign-tenant")
            {
                return done;
            }
        }
        read(
            self,
            self.call_for(self.tenant.as_deref(), method, path, body)?,
        )
    }

    fn call_for(
        &self,
        tenant: Option<&str>,
        method: &http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<http::Response<Body>, ClientError> {
        let url = format!("{}{path}", self.base);
        let unreachable = |cause| ClientError::Unreachable {
            url: self.base.clone(),
            cause,
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(&url)
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Accept", "application/json");
        if let Some(tenant) = tenant {
            request = request.header("Desist-Tenant", tenant);
        }
        let sent = match body {
            None => request.body(SendBody::none()),
            Some(json) => request.header("Content-Type", "application/json").body(
                SendBody::from_owned_reader(io::Cursor::new(json.to_string())),
            ),
        };
        let request = sent.map_err(|error| unreachable(ureq::Error::Http(error)))?;
        self.agent.run(request).map_err(unreachable)
    }

    /// `POST` of lines that are read while they are sent; the lines of the answer.
    pub(super) fn post_lines(
        &self,
        path: &str,
        lines: &mut dyn Read,
    ) -> Result<impl Read + use<>, ClientError> {
        let unreachable = |cause| ClientError::Unreachable {
            url: self.base.clone(),
            cause,
        };
        let media_type = if self.json {
            "application/x-ndjson"
        } else {
            "text/plain"
        };
        let mut request = http::Request::builder()
            .method(http::Method::POST)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Content-Type", media_type);
        if let Some(tenant) = &self.tenant {
            request = request.header("Desist-Tenant", tenant);
        }
        let request = request
            .body(SendBody::from_reader(lines))
            .map_err(|error| unreachable(ureq::Error::Http(error)))?;
        // However long the list is: what does not go on is ended by the server.
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(None)
            .build();
        let response = self.agent.run(request).map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        match self.read(response) {
            Err(error) => Err(error),
            Ok(_answer) => Err(self.stranger()),
        }
    }

    fn bytes(&self, response: &mut http::Response<Body>) -> Result<Vec<u8>, ClientError> {
        response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()
            .map_err(|cause| ClientError::Unreachable {
                url: self.base.clone(),
                cause,
            })
    }

    fn read_state(&self, mut response: http::Response<Body>) -> Result<Value, ClientError> {
        if response.status() != http::StatusCode::SERVICE_UNAVAILABLE {
            return self.read(response);
        }
        let text = self.bytes(&mut response)?;
        serde_json::from_slice(&text).map_err(|_no_json| self.stranger())
    }

    fn read_text(&self, mut response: http::Response<Body>) -> Result<String, ClientError> {
        if !response.status().is_success() {
            self.read(response)?;
            return Err(self.stranger());
        }
        String::from_utf8(self.bytes(&mut response)?).map_err(|_no_text| self.stranger())
    }

    fn read(&self, mut response: http::Response<Body>) -> Result<Value, ClientError> {
        let status = response.status();
        if status == http::StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let text = self.bytes(&mut response)?;
        let stranger = || ClientError::Stranger {
            url: self.base.clone(),
            status: status.as_u16(),
        };
        let answer: Value = serde_json::from_slice(&text).map_err(|_no_json| stranger())?;
        if status.is_success() {
            return Ok(answer);
        }
        let member = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        if member("code").as_deref() == Some("no-tenant") {
            return Err(ClientError::NoTenant);
        }
        Err(ClientError::Refused {
            url: self.base.clone(),
            status: status.as_u16(),
            code: member("code").ok_or_else(stranger)?,
            title: member("title").unwrap_or_default(),
            detail: member("detail").unwrap_or_default(),
        })
    }

    /// What answers with success, but not what was asked.
    pub(super) fn stranger(&self) -> ClientError {
        ClientError::Stranger {
            url: self.base.clone(),
            status: http::StatusCode::OK.as_u16(),
        }
    }

    /// All items of a list, page by page, at most `most`.
    pub(super) fn pages(&self, path: &str, most: usize) -> Result<Vec<Value>, ClientError> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let limit = most.saturating_sub(items.len()).min(1000);
            if limit == 0 {
                return Ok(items);
            }
            let page = self.get(&format!("{path}{join}limit={limit}{after}"))?;
            if let Some(Value::Array(found)) = page.get("items") {
                items.extend(found.iter().cloned());
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = format!("&after={}", encoded(next)),
                None => return Ok(items),
            }
        }
    }
}

/// No error if whoever reads has read enough, for instance `head`.
pub(super) fn if_read(printed: Result<(), ClientError>) -> Result<(), ClientError> {
    match printed {
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints JSON, readable.
pub(super) fn print_json(out: &mut dyn Write, value: &Value) -> Result<(), ClientError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a list: a row of names, then one row an item. Nothing is printed for an empty list.
pub(super) fn print_list<const N: usize>(
    out: &mut dyn Write,
    names: [&str; N],
    items: &[Value],
    row: impl Fn(&Value) -> [String; N],
) -> Result<(), ClientError> {
    if items.is_empty() {
        return Ok(());
    }
    let rows = items.iter().map(|item| row(item).to_vec());
    let header = names.map(str::to_owned).to_vec();
    let all: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    print_table(out, &all)
}

/// Prints rows in columns. Nothing that came from outside can steer the terminal.
pub(super) fn print_table(out: &mut dyn Write, rows: &[Vec<String>]) -> Result<(), ClientError> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // The last cell of a row ends it, however long it is.
    let width = |column: usize| {
        let rows = rows
            .iter()
            .filter(|row| row.len() > column.saturating_add(1));
        rows.filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line: Vec<String> = cells.collect();
        let line = harmless(&line.join("  "));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A member as a cell: text as it is, nothing as a dash.
pub(super) fn cell(item: &Value, pointer: &str) -> String {
    match item.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The items of an answer.
pub(super) fn items(answer: &Value) -> &[Value] {
    answer
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Percent-encodes a path segment or a query value (RFC 3986 §2.1, §2.3).
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&HEXUPPER.encode(&[byte]));
        }
    }
    encoded
}

/// Reads the number of a stream on the command line.
pub(super) fn stream_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_no_number| {
        "a stream is named by its number, up to 65535; `desist stream list` shows them".to_owned()
    })
}

fn with_scheme(url: &str) -> Result<&str, ClientError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        Ok(url)
    } else {
        Err(ClientError::NoScheme(url.to_owned()))
    }
}

/// Whether the API of this base can only be that of the data folder, or of somebody on this machine.
fn is_here(base: &str, data_dir: &Path) -> bool {
    if listening(&data_dir.join("listening")).is_ok_and(|own| own == base) {
        return true;
    }
    let uri: Option<http::Uri> = base.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// The API's base from the file that the server writes: its first line `listening api HOST:PORT`.
fn listening(path: &Path) -> Result<String, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ClientError::NoListening {
        path: path.to_owned(),
        cause,
    })?;
    base_of(&text).ok_or_else(|| ClientError::NoApiListener(path.to_owned()))
}

fn base_of(text: &str) -> Option<String> {
    let place = text
        .lines()
        .find_map(|line| line.strip_prefix("listening api "))?;
    let mut place: SocketAddr = place.parse().ok()?;
    // A server that listens on every address is reached on this machine's own.
    if place.ip().is_unspecified() {
        place.set_ip(match place {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(format!("http://{place}"))
}

fn key_file(path: &Path) -> Result<String, ClientError> {
    std::fs::read_to_string(path).map_err(|cause| ClientError::NoKey {
        path: path.to_owned(),
        cause,
    })
}

fn trusting(path: &Path) -> Result<TlsConfig, ClientError> {
    let roots = trust::in_file(path).map_err(|cause| ClientError::CaFile {
        path: path.to_owned(),
        cause,
    })?;
    Ok(trust::believing(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_at_hand_goes_to_its_own_server_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("listening"), "listening api 192.0.2.1:8080\n").unwrap();
        for (base, here) in [
            ("http://192.0.2.1:8080", true),
            ("http://127.0.0.1:9191", true),
            ("https://[::1]:8443", true),
            ("http://LocalHost:8080", true),
            ("http://192.0.2.1:8081", false),
            ("https://192.0.2.1:8080", false),
            ("http://desist.example.com", false),
            ("http://localhost.example.com:8080", false),
            ("http://127.0.0.1@desist.example.com:8080", false),
            ("http://", false),
        ] {
            assert_eq!(is_here(base, folder), here, "{base}");
        }
    }

    #[test]
    fn the_listening_file_has_one_form() {
        for (text, base) in [
            (
                "listening smtp 127.0.0.1:25\nlistening api 127.0.0.1:8080\n",
                Some("http://127.0.0.1:8080"),
            ),
            (
                "listening api 0.0.0.0:8080\n",
                Some("http://127.0.0.1:8080"),
            ),
            ("listening api [::]:8080\n", Some("http://[::1]:8080")),
            (
                "listening api 192.0.2.1:1\nlistening api 192.0.2.2:2\n",
                Some("http://192.0.2.1:1"),
            ),
            ("listening smtp 127.0.0.1:25\n", None),
            ("api 127.0.0.1:8080\n", None),
            ("listening api http://127.0.0.1:8080\n", None),
        ] {
            assert_eq!(base_of(text).as_deref(), base, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        assert_eq!(
            what_is_wrong(
                "The tenant has no such stream",
                "the tenant has no stream 9"
            ),
            "the tenant has no stream 9"
        );
        assert_eq!(
            what_is_wrong("Something is wrong", SAYS_NOTHING),
            "Something is wrong: the server's log says more"
        );
        assert_eq!(what_is_wrong("A title", ""), "A title");
    }

    #[test]
    fn addresses_are_encoded_for_a_path() {
        assert_eq!(encoded("a+b/ü@example.com"), "a%2Bb%2F%C3%BC%40example.com");
    }

    #[test]
    fn a_table_cannot_steer_the_terminal() {
        let mut out = Vec::new();
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: [Vec<String>; 3] = [
            row(&["a\u{1b}[2J", "b"]),
            row(&["ab", "c"]),
            row(&["longer cell"]),
        ];
        print_table(&mut out, &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\u{fffd}[2J  b\nab     c\nlonger cell\n"
        );
    }
}
