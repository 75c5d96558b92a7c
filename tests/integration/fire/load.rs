//! Clients of all doors at once, which go on through whatever happens to the server and note what
//! they were promised.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use desist::model::clock::{Clock, Tick};
use serde_json::{Value, json};

use super::ledger::{Act, Item, Ledger};
use crate::harness::{PATIENCE, Running, Smtp, complaint, dotted, public_agent};

/// Clients that complain, each in a session of its own.
const COMPLAINERS: usize = 3;
/// Clients that click, each with connections of its own.
const CLICKERS: usize = 2;
/// Addresses that a client mints tokens for at a time.
const SUPPLY: usize = 200;
/// Addresses in one call of the client that suppresses and lifts.
const BY_HAND: usize = 5;
/// Addresses in one call of the client that checks.
const CHECKED: usize = 50;
/// How long a client whose server is away waits before it tries again.
const AGAIN: Duration = Duration::from_millis(20);

/// A load that runs until [`Load::end`].
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<Reading>>,
}

/// How far the clients have come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Complaints and clicks that were acknowledged.
    pub(super) doors: usize,
    /// Calls of the API that wrote and were answered so.
    pub(super) writes: usize,
    /// Checks that were answered.
    pub(super) checks: usize,
    /// The longest of them.
    pub(super) slowest_check: Duration,
    /// Checks that were not answered, or not with 200.
    pub(super) unchecked: usize,
    /// The `as_of` of the last check.
    pub(super) as_of: String,
    /// Complaints and clicks that were refused.
    pub(super) refused: usize,
    /// What was said to them, of the last thousand.
    pub(super) refusals: VecDeque<String>,
}

/// What one reader of a feed was given, in that order.
#[derive(Debug)]
pub(super) struct Reading {
    /// Who it was.
    pub(super) reader: String,
    /// `changes` or `events`.
    pub(super) feed: &'static str,
    /// What it was given.
    pub(super) items: Vec<Value>,
}

/// Everything that the clients know in the end.
pub(super) struct Known {
    pub(super) ledger: Ledger,
    pub(super) readings: Vec<Reading>,
    pub(super) progress: Progress,
}

/// Where the server is now.
#[derive(Debug, Clone)]
struct Target {
    smtp: SocketAddr,
    public: SocketAddr,
    api: SocketAddr,
    key: String,
    /// Another number for each process.
    process: u32,
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    progress: Progress,
    ledger: Ledger,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
    /// Nobody begins anything new.
    over: AtomicBool,
    /// Readers stop where there is nothing more.
    complete: AtomicBool,
}

/// What came of sending an item.
enum Outcome {
    /// The server has promised.
    Acknowledged,
    /// The server has said that it will not.
    Refused(String),
    /// It was sent and never answered.
    Unanswered,
    /// It cannot have arrived whole.
    Unsent,
}

impl Load {
    /// Begins against this server.
    pub(super) fn start(running: &Running) -> Self {
        Self::on_nodes(&[running])
    }

    /// Begins against these nodes of one store, each client on one of them.
    pub(super) fn on_nodes(nodes: &[&Running]) -> Self {
        let shared = Arc::new(Shared::default());
        shared.aim(nodes);
        let mut clients: Vec<JoinHandle<()>> = Vec::new();
        let mut client = |work: fn(&Shared, usize)| {
            let (shared, number) = (Arc::clone(&shared), clients.len());
            clients.push(std::thread::spawn(move || work(&shared, number)));
        };
        (0..COMPLAINERS).for_each(|_| client(complain));
        (0..CLICKERS).for_each(|_| client(click));
        client(write_by_hand);
        client(check);
        let readers = [("changes", 0), ("changes", 2), ("events", 2)];
        let readers = readers
            .into_iter()
            .enumerate()
            .map(|(number, (feed, wait))| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || read(&shared, number, feed, wait))
            });
        let readers = readers.collect();
        Self {
            shared,
            clients,
            readers,
        }
    }

    /// The server is here from now on.
    pub(super) fn aim(&self, nodes: &[&Running]) {
        self.shared.aim(nodes);
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        self.shared.state().progress.clone()
    }

    /// Waits until the clients are as far as that.
    pub(super) fn wait(&self, what: &str, mut enough: impl FnMut(&Progress) -> bool) -> Progress {
        let clock = Clock::system();
        let mut state = self.shared.state();
        while !enough(&state.progress) {
            let left = Tick::default().after(PATIENCE).since(clock.tick());
            assert!(!left.is_zero(), "{what}: {:?}", state.progress);
            state = self.shared.moved.wait_timeout(state, left).unwrap().0;
        }
        state.progress.clone()
    }

    /// Waits until so many more complaints and clicks are acknowledged, and checks answered.
    pub(super) fn goes_on(&self, what: &str, more: usize) -> Progress {
        let before = self.progress();
        self.wait(what, |now| {
            now.doors >= before.doors + more && now.checks >= before.checks + more / 10
        })
    }

    /// Somebody else has sent an item whole and will never know what came of it.
    pub(super) fn doubtful(&self, act: Act, item: &Item) {
        self.shared.state().ledger.doubtful(act, item);
    }

    /// Lets the clients come to an end at the server that runs now, and everything arrive; then
    /// says what they know.
    pub(super) fn end(self, running: &Running) -> Known {
        self.end_on(&[running])
    }

    /// [`Load::end`] at these nodes.
    pub(super) fn end_on(self, nodes: &[&Running]) -> Known {
        self.shared.over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        for node in nodes {
            node.drained();
        }
        self.shared.complete.store(true, Ordering::SeqCst);
        let readings = self.readers.into_iter();
        let readings = readings.map(|reader| reader.join().unwrap()).collect();
        let mut state = self.shared.state();
        let State {
            ledger, progress, ..
        } = std::mem::take(&mut *state);
        Known {
            ledger,
            readings,
            progress,
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn aim(&self, nodes: &[&Running]) {
        let targets = nodes.iter().map(|running| Target {
            smtp: running.smtp,
            public: running.public,
            api: running.api,
            key: running.key.clone(),
            process: running.pid(),
        });
        self.state().targets = targets.collect();
        self.moved.notify_all();
    }

    fn target(&self, client: usize) -> Target {
        let targets = &self.state().targets;
        targets[client % targets.len()].clone()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits until somebody has come further, a moment at most.
    fn pause(&self) {
        drop(self.moved.wait_timeout(self.state(), AGAIN).unwrap());
    }

    fn note(&self, outcome: &Outcome, act: Act, items: &[Item]) {
        let mut state = self.state();
        for item in items {
            match outcome {
                Outcome::Acknowledged => state.ledger.certain(act, item),
                Outcome::Unanswered => state.ledger.doubtful(act, item),
                Outcome::Refused(_) | Outcome::Unsent => {}
            }
        }
        let progress = &mut state.progress;
        match outcome {
            Outcome::Acknowledged if matches!(act, Act::Complaint | Act::Click) => {
                progress.doors += items.len();
            }
            Outcome::Acknowledged => progress.writes += 1,
            Outcome::Refused(reply) => {
                progress.refused += 1;
                progress.refusals.push_back(reply.clone());
                if progress.refusals.len() > 1000 {
                    progress.refusals.pop_front();
                }
            }
            Outcome::Unanswered | Outcome::Unsent => {}
        }
        drop(state);
        self.moved.notify_all();
    }
}

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
fn complain(shared: &Shared, client: usize) {
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
fn click(shared: &Shared, client: usize) {
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
fn write_by_hand(shared: &Shared, client: usize) {
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
fn check(shared: &Shared, client: usize) {
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
fn read(shared: &Shared, number: usize, feed: &'static str, wait: u32) -> Reading {
    let mut api = Api::new(number);
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let complete = shared.complete.load(Ordering::SeqCst);
        let wait = if complete { 0 } else { wait };
        let path = format!("/v1/{feed}?limit=300&wait={wait}{after}");
        match api.call(shared, &path, None) {
            Some((200, page)) => {
                let found = page["items"].as_array().unwrap();
                if complete && found.is_empty() {
                    let reader = format!("{feed} reader {number}");
                    return Reading {
                        reader,
                        feed,
                        items,
                    };
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
}
