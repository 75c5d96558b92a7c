//! Sends complaints over kept SMTP sessions as fast as they are acknowledged, and says how fast that
//! was. With an API: mints a token for each, and waits until every recipient is suppressed.
//!
//! `cargo run --release --example burst -- 127.0.0.1:2525 --api http://127.0.0.1:8080 --key-file
//! data/admin.key`

use std::error::Error;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser as _;
use serde_json::{Value, json};

#[derive(Debug, clap::Parser)]
struct Arguments {
    /// The MX
    server: SocketAddr,
    /// Sessions, each kept for all its messages
    #[arg(long, default_value_t = 50)]
    sessions: usize,
    /// Messages of all sessions together
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// The mailbox that gets them
    #[arg(long, default_value = "fbl@localhost")]
    to: String,
    /// The API to mint tokens and to ask; without it messages carry a text of the same length
    #[arg(long, requires = "key_file")]
    api: Option<String>,
    /// A file with an API key
    #[arg(long)]
    key_file: Option<PathBuf>,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let api = Api::from(&arguments)?;
    let tokens = match &api {
        Some(api) => api.mint(arguments.messages)?,
        None => vec!["a".repeat(52); arguments.messages],
    };
    let waits = Mutex::new(Vec::with_capacity(tokens.len()));
    let begun = now();
    thread::scope(|scope| -> Result<()> {
        let share = tokens.len().div_ceil(arguments.sessions.max(1)).max(1);
        let sessions: Vec<_> = tokens
            .chunks(share)
            .map(|tokens| scope.spawn(|| session(&arguments, tokens, &waits)))
            .collect();
        for session in sessions {
            session.join().map_err(|_panic| "a session panicked")??;
        }
        Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut waits = waits.into_inner()?;
    waits.sort_unstable();
    let count = u32::try_from(waits.len())?;
    println!(
        "acknowledged={count} seconds={seconds:.2} per_second={:.0} p50_ms={:.2} p99_ms={:.2}",
        f64::from(count) / seconds,
        quantile(&waits, 50),
        quantile(&waits, 99),
    );
    if let Some(api) = api {
        let suppressed = api.until_suppressed(tokens.len())?;
        println!(
            "suppressed={suppressed} seconds={:.2}",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// One session: all its messages, each acknowledged before the next.
fn session(arguments: &Arguments, tokens: &[String], waits: &Mutex<Vec<Duration>>) -> Result<()> {
    let stream = TcpStream::connect(arguments.server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    expect(&mut replies, '2')?;
    stream.write_all(b"EHLO burst.example\r\n")?;
    expect(&mut replies, '2')?;
    let envelope = format!(
        "MAIL FROM:<fbl@provider.example>\r\nRCPT TO:<{}>\r\nDATA\r\n",
        arguments.to
    );
    let mut taken = Vec::with_capacity(tokens.len());
    for token in tokens {
        let begun = now();
        stream.write_all(envelope.as_bytes())?;
        expect(&mut replies, '2')?;
        expect(&mut replies, '2')?;
        expect(&mut replies, '3')?;
        stream.write_all(complaint(token).as_bytes())?;
        expect(&mut replies, '2')?;
        taken.push(begun.elapsed());
    }
    stream.write_all(b"QUIT\r\n")?;
    waits
        .lock()
        .map_err(|_poisoned| "another session failed")?
        .append(&mut taken);
    Ok(())
}

/// Reads a reply of any number of lines.
fn expect(replies: &mut BufReader<TcpStream>, class: char) -> Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if replies.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    if line.starts_with(class) {
        Ok(())
    } else {
        Err(line.into())
    }
}

/// A feedback report of about 2.6 KB, as a mailbox provider sends it, with its final dot.
fn complaint(token: &str) -> String {
    let text = "We saw this on your list and thought of you: a line of an ordinary newsletter.\r\n";
    format!(
        "From: feedback@provider.example\r\nTo: fbl@localhost\r\nSubject: complaint\r\n\
         Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"part\"\r\n\r\n\
         --part\r\nContent-Type: text/plain\r\n\r\nThis is a complaint about a message.\r\n\
         --part\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\
         User-Agent: Provider/1.0\r\nVersion: 1\r\nSource-IP: 192.0.2.1\r\n\
         Arrival-Date: Sat, 21 Nov 2026 11:00:00 +0000\r\n\r\n\
         --part\r\nContent-Type: message/rfc822\r\n\r\nFrom: news@shop.example\r\n\
         To: undisclosed-recipients:;\r\nSubject: News\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{token}.1@shop.example>\r\nCFBL-Feedback-ID: {token}\r\n\
         Content-Type: text/plain\r\n\r\n{}\r\n--part--\r\n.\r\n",
        text.repeat(20)
    )
}

struct Api {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

impl Api {
    fn from(arguments: &Arguments) -> Result<Option<Self>> {
        let (Some(url), Some(file)) = (&arguments.api, &arguments.key_file) else {
            return Ok(None);
        };
        let key = fs::read_to_string(file)?;
        let authorization = format!("Bearer {}", key.trim());
        Ok(Some(Self {
            agent: ureq::agent(),
            url: url.clone(),
            authorization,
        }))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let mut answer = request
            .header("Authorization", &self.authorization)
            .send_json(body)?;
        Ok(answer.body_mut().with_config().limit(1 << 30).read_json()?)
    }

    fn mint(&self, count: usize) -> Result<Vec<String>> {
        let addresses: Vec<String> = (0..count).map(address).collect();
        let mut tokens = Vec::with_capacity(count);
        for some in addresses.chunks(1000) {
            let recipients: Vec<Value> = some.iter().map(|a| json!({"address": a})).collect();
            let answer = self.post(
                "/v1/tokens",
                &json!({"stream": 1, "recipients": recipients}),
            )?;
            let items = answer
                .get("items")
                .and_then(Value::as_array)
                .ok_or("no items")?;
            let minted = items.iter().filter_map(|item| item.get("token")?.as_str());
            tokens.extend(minted.map(str::to_owned));
        }
        if tokens.len() == count {
            Ok(tokens)
        } else {
            Err("not every token was minted".into())
        }
    }

    /// How many of the recipients are suppressed: all, or as many as there are after two minutes.
    #[expect(
        clippy::disallowed_methods,
        reason = "asking all the time would be load of its own"
    )]
    fn until_suppressed(&self, count: usize) -> Result<usize> {
        let addresses: Vec<String> = (0..count).map(address).collect();
        let begun = now();
        loop {
            let mut found = 0;
            for some in addresses.chunks(100_000) {
                let answer = self.post("/v1/check", &json!({"stream": 1, "addresses": some}))?;
                found += answer
                    .get("suppressed")
                    .and_then(Value::as_array)
                    .map_or(0, Vec::len);
            }
            if found == count || begun.elapsed() > Duration::from_mins(2) {
                return Ok(found);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

fn address(index: usize) -> String {
    format!("reader{index}@mail.example")
}

/// Milliseconds.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted
        .get(at)
        .map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
}

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> Instant {
    Instant::now()
}
