//! The clients of a load, one kind after the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use desist::model::clock::Clock;
use serde_json::{Value, json};

use super::ledger::{Act, Item};
use super::load::{Outcome, Reading, Shared, Target};
use crate::harness::{Smtp, complaint, dotted, public_agent};

/// Addresses that a client mints tokens for at a time.
const SUPPLY: usize = 200;
/// Addresses in one call of the client that suppresses and lifts.
const BY_HAND: usize = 5;
/// Addresses in one call of the client that checks.
const CHECKED: usize = 50;

/// One client's connections to the private listener of whatever process serves now.
struct Api {
    client: usize,
    agent: ureq::Agent,
    process: u32,
}

impl Api {
    fn new(client: usize) -> Self {
        Self {
            client,
            agent: public_agent(),
            process: 0,
        }
    }

    /// One call: status and body, `None` if no answer came.
    fn call(&mut self, shared: &Shared, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let target = shared.target(self.client);
        if self.process != target.process {
            // Connections of another process are of no use.
            self.agent = public_agent();
            self.process = target.process;
        }
        let url = format!("http://{}{path}", target.api);
        let bearer = format!("Bearer {}", target.key);
        let answer = match body {
            None => self.agent.get(&url).header("Authorization", bearer).call(),
            Some(body) => {
                let call = self.agent.post(&url).header("Authorization", bearer);
                let call = call.header("Content-Type", "application/json");
                call.send(body.to_string())
            }
        };
        let mut answer = answer.ok()?;
        let text = answer.body_mut().with_config().limit(1 << 30);
        let text = text.read_to_string().ok()?;
        Some((
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }
}

/// A client's next items, minted while the server answers.
struct Supply {
    name: String,
    minted: usize,
    items: VecDeque<Item>,
    api: Api,
}

impl Supply {
    fn new(name: &str, client: usize) -> Self {
        Self {
            name: format!("{name}{client}"),
            minted: 0,
            items: VecDeque::new(),
            api: Api::new(client),
        }
    }

    /// The next one; `None` when the load is over.
    fn next(&mut self, shared: &Shared) -> Option<Item> {
        loop {
            if shared.is_over() {
                return None;
            }
            if let Some(item) = self.items.pop_front() {
                return Some(item);
            }
            let numbers = self.minted..self.minted + SUPPLY;
            let recipients: Vec<Value> = numbers
                .map(|number| json!({"address": format!("{}n{number}@example.net", self.name)}))
                .collect();
            let body = json!({"stream": 1, "recipients": recipients});
            match self.api.call(shared, "/v1/tokens", Some(&body)) {
                Some((200, answer)) => {
                    self.items = Item::minted(&answer);
                    self.minted += SUPPLY;
                }
                Some((status, answer)) if status != 503 => panic!("{status}: {answer}"),
                _ => shared.pause(),
            }
        }
    }
}

/// Sends item after item by `send`; what was refused or has not left is sent again, and every
/// second of those that nobody answered.
fn send_all(
    shared: &Shared,
    act: Act,
    mut supply: Supply,
    mut send: impl FnMut(&Target, &Item) -> Outcome,
) {
    let client = supply.api.client;
    while let Some(item) = supply.next(shared) {
        let mut unanswered = 0;
        loop {
            let outcome = send(&shared.target(client), &item);
            shared.note(&outcome, act, std::slice::from_ref(&item));
            match outcome {
                Outcome::Acknowledged => break,
                Outcome::Unanswered if item.number.is_multiple_of(2) => break,
                Outcome::Unanswered => unanswered += 1,
                Outcome::Refused(_) | Outcome::Unsent => shared.pause(),
            }
            if shared.is_over() {
                return;
            }
            assert!(unanswered < 20, "never answered");
        }
    }
}

/// A client that complains by SMTP.
pub(super) fn complain(shared: &Shared, client: usize) {
    let mut session: Option<(u32, Smtp)> = None;
    send_all(
        shared,
        Act::Complaint,
        Supply::new("complains", client),
        |target, item| {
            let kept = session
                .take()
                .filter(|(process, _)| *process == target.process);
            let kept = kept.or_else(|| Some((target.process, greeted(target.smtp)?)));
            let Some((process, mut smtp)) = kept else {
                return Outcome::Unsent;
            };
            let outcome = complain_once(&mut smtp, &item.token);
            // After anything else the state of the session is not known.
            if matches!(outcome, Outcome::Acknowledged) {
                session = Some((process, smtp));
            }
            outcome
        },
    );
}

fn greeted(server: SocketAddr) -> Option<Smtp> {
    let mut smtp = Smtp::try_connect(server)?;
    let greeting = smtp.try_reply()?;
    let hello = smtp.try_send(b"EHLO load.example\r\n");
    let told = greeting.starts_with("220") && hello && smtp.try_reply()?.starts_with("250");
    told.then_some(smtp)
}

fn complain_once(smtp: &mut Smtp, token: &str) -> Outcome {
    if !smtp.try_send(b"MAIL FROM:<>\r\nRCPT TO:<fbl@fb.example.com>\r\nDATA\r\n") {
        return Outcome::Unsent;
    }
    for wanted in ["250", "250", "354"] {
        match smtp.try_reply() {
            Some(reply) if reply.starts_with(wanted) => {}
            Some(reply) => return Outcome::Refused(reply),
            None => return Outcome::Unsent,
        }
    }
    if !smtp.try_send(dotted(&complaint(token)).as_bytes()) {
        return Outcome::Unsent;
    }
    match smtp.try_reply() {
        Some(reply) if reply.starts_with("250 ") => Outcome::Acknowledged,
        Some(reply) => Outcome::Refused(reply),
        None => Outcome::Unanswered,
    }
}

/// A client that clicks the one-click link.
pub(super) fn click(shared: &Shared, client: usize) {
    let mut agent = (0, public_agent());
    send_all(
        shared,
        Act::Click,
        Supply::new("clicks", client),
        |target, item| {
            if agent.0 != target.process {
                agent = (target.process, public_agent());
            }
            let url = format!(
                "https://127.0.0.1:{}/u/{}",
                target.public.port(),
                item.token
            );
            match agent.1.post(&url).send("List-Unsubscribe=One-Click") {
                Ok(answer) if answer.status().as_u16() == 200 => Outcome::Acknowledged,
                Ok(answer) => Outcome::Refused(answer.status().to_string()),
                Err(ureq::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::ConnectionRefused =>
                {
                    Outcome::Unsent
                }
                Err(_) => Outcome::Unanswered,
            }
        },
    );
}

/// A client that suppresses by hand, sees that check says so, and lifts every second one.
pub(super) fn write_by_hand(shared: &Shared, client: usize) {
    let mut supply = Supply::new("by-hand", client);
    let mut api = Api::new(client);
    loop {
        let items: Option<Vec<Item>> = (0..BY_HAND).map(|_| supply.next(shared)).collect();
        let Some(items) = items else { return };
        let some: Vec<Value> = items
            .iter()
            .map(|item| json!({"address": item.address}))
            .collect();
        let body = json!({"suppressions": some});
        let Some(indexed) = write(shared, &mut api, Act::Manual, &items, &body) else {
            return;
        };
        if indexed {
            let addresses: Vec<&str> = items.iter().map(|item| item.address.as_str()).collect();
            let body = json!({"addresses": addresses});
            if let Some((200, answer)) = api.call(shared, "/v1/check", Some(&body)) {
                let found = answer["suppressed"].as_array().unwrap().len();
                assert_eq!(found, items.len(), "what is indexed is shown: {answer}");
            }
        }
        let lifted: Vec<Item> = items
            .into_iter()
            .filter(|item| item.number % 2 == 0)
            .collect();
        let some: Vec<Value> = lifted
            .iter()
            .map(|item| json!({"address": item.address}))
            .collect();
        let body = json!({"items": some, "note": "asked for it"});
        if write(shared, &mut api, Act::Lift, &lifted, &body).is_none() {
            return;
        }
    }
}

/// Writes until it is answered with 200; whether the answer was in the index. `None` when the load
/// is over first.
fn write(shared: &Shared, api: &mut Api, act: Act, items: &[Item], body: &Value) -> Option<bool> {
    let path = match act {
        Act::Lift => "/v1/suppressions/lift",
        Act::Manual | Act::Complaint | Act::Click => "/v1/suppressions",
    };
    while !items.is_empty() {
        let answer = api.call(shared, path, Some(body));
        let outcome = match &answer {
            Some((200, _)) => Outcome::Acknowledged,
            // The store may have committed and not been able to say so.
            Some((503, _)) | None => Outcome::Unanswered,
            Some((status, answer)) => panic!("{path}: {status} {answer}"),
        };
        shared.note(&outcome, act, items);
        match answer {
            Some((200, answer)) => return Some(answer["indexed"] == json!(true)),
            _ if shared.is_over() => return None,
            _ => shared.pause(),
        }
    }
    Some(false)
}

/// A client that checks what has been acknowledged so far.
pub(super) fn check(shared: &Shared, client: usize) {
    let mut api = Api::new(client);
    let clock = Clock::system();
    while !shared.is_over() {
        let addresses = shared.state().ledger.addresses(CHECKED);
        let began = clock.tick();
        let answer = api.call(shared, "/v1/check", Some(&json!({"addresses": addresses})));
        let took = clock.tick().since(began);
        let mut state = shared.state();
        let progress = &mut state.progress;
        if let Some((200, answer)) = answer {
            progress.checks += 1;
            progress.slowest_check = progress.slowest_check.max(took);
            answer["as_of"]
                .as_str()
                .unwrap()
                .clone_into(&mut progress.as_of);
        } else {
            progress.unchecked += 1;
        }
        drop(state);
        shared.moved.notify_all();
        shared.pause();
    }
}

/// A reader of a feed, by its cursor, from the beginning to the end of the load.
pub(super) fn read(shared: &Shared, number: usize, feed: &'static str, wait: u32) -> Reading {
    let mut api = Api::new(number);
    let (mut items, mut after) = (Vec::new(), String::new());
    while !shared.abandoned.load(Ordering::SeqCst) {
        let complete = shared.complete.load(Ordering::SeqCst);
        let wait = if complete { 0 } else { wait };
        let path = format!("/v1/{feed}?limit=300&wait={wait}{after}");
        match api.call(shared, &path, None) {
            Some((200, page)) => {
                let found = page["items"].as_array().unwrap();
                if complete && found.is_empty() {
                    break;
                }
                if found.is_empty() {
                    shared.pause();
                }
                items.extend(found.iter().cloned());
                after = format!("&after={}", page["next"].as_str().unwrap());
            }
            Some((503, _)) | None => shared.pause(),
            Some((status, page)) => panic!("{path}: {status} {page}"),
        }
    }
    Reading {
        reader: format!("{feed} reader {number}"),
        feed,
        items,
    }
}
