//! How many receipts a second the store takes, what one costs in processor time and in bytes
//! written, and what it costs to read the feed behind them; empty and with half a million inside.
//! `cargo bench --bench store [-- RECEIPTS GROWN URL BATCH…]`: 50000 receipts, GROWN 500000 (0:
//! only empty ones), and a file of its own below `STORE_FOLDER` (/var/tmp), unless URL names a
//! PostgreSQL server: there it makes a database of its own and removes it again.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a measurement: it reads the clock, prints, and may stop at any surprise"
)]

use std::fs::read_to_string;
use std::sync::Arc;
use std::time::{Duration, Instant};

use desist::model::authentication::Authentication;
use desist::model::clock::Timestamp;
use desist::model::digest::Digest;
use desist::model::event::{Detail, Effect, Event, EventId, EventKind, FoundIn, Proof};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Door, Envelope, Receipt, ReceiptId, ReceiptState};
use desist::model::recipient::RecipientKey;
use desist::model::secret::Secret;
use desist::model::suppression::{Reason, Scope};
use desist::model::tenant::TenantId;
use desist::store::{Addresses, Store, StoreConfig, Verdict};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

const BEGAN: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const BYTES: usize = 2_600;

/// The complaint of that number: one recipient of one report, of whom nothing is known yet.
fn complaint(number: u64) -> Verdict {
    // Twenty in a millisecond, each of another recipient.
    let at = Timestamp::from_millis(BEGAN.as_millis() + i64::try_from(number / 20).unwrap());
    let unique = Digest::of(&number.to_be_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&unique.as_bytes()[..10]);
    let id = ReceiptId::from_parts(at, &random);
    random.copy_from_slice(&unique.as_bytes()[10..20]);
    let recipient = RecipientKey::from_bytes(random);

    let mut raw = Vec::with_capacity(BYTES);
    while raw.len() < BYTES {
        raw.extend_from_slice(format!("Received: by mx{number}.provider.example\r\n").as_bytes());
    }
    raw.truncate(BYTES);
    let digest = Digest::of(&raw);
    let token = "cyaaaaibafzxilkpmnuw4zlsonuw63tbnrqxe5dfoj2gk3tufzrw63jomfzgk4tf";
    let event = Event {
        id: EventId {
            receipt: id,
            index: 0,
        },
        tenant: Some(TenantId::DEFAULT),
        kind: EventKind::Complaint,
        proof: Proof::Token,
        authentication: Authentication::NotAsked,
        recipient: Some(recipient),
        address: Some(format!("reader-{number}@mail.example")),
        stream: 1,
        reference: number.to_be_bytes().to_vec(),
        found_in: Some(FoundIn::ReturnedHeader),
        effects: vec![Effect::Suppress {
            scope: Scope::Marketing,
            reason: Reason::Complaint,
        }],
        detail: Detail {
            feedback_type: Some("abuse".to_owned()),
            user_agent: Some("Provider-FBL/1.0".to_owned()),
            reporter: Some("mx1.provider.example".to_owned()),
            original_message_id: Some(format!("<{token}.news-{number}@news.example>")),
            source_ip: "192.0.2.1".parse().ok(),
            rule: Some("complaint-token".to_owned()),
            ..Detail::default()
        },
    };
    let envelope = Envelope {
        peer: "192.0.2.1".parse().ok(),
        hello: "mx1.provider.example".to_owned(),
        protocol: "ESMTPS".to_owned(),
        mail_from: Some("complaints@provider.example".to_owned()),
        recipient: "fbl@fb.example.com".to_owned(),
        mailbox: Mailbox {
            address: "fbl@fb.example.com".to_owned(),
            role: Role::Complaint,
            tenant: None,
            stream: None,
        },
        token: None,
        content_type: None,
    };
    Verdict {
        receipt: Receipt {
            id,
            at,
            door: Door::Smtp,
            envelope,
            digest,
        },
        tenant: Some(TenantId::DEFAULT),
        state: ReceiptState::Done,
        raw: Arc::from(raw),
        events: vec![event],
    }
}

/// What processes have used so far.
#[derive(Clone, Copy, Default)]
struct Used {
    /// Processor time of this one.
    user: Duration,
    system: Duration,
    /// Processor time of the server's for this database.
    server: Duration,
    /// Bytes written: to files by this process, or to the server's log.
    written: u64,
}

/// User and system time of a process, in hundredths of a second (`proc_pid_stat(5)`).
fn cpu(pid: &str) -> (Duration, Duration) {
    let Ok(stat) = read_to_string(format!("/proc/{pid}/stat")) else {
        return Default::default();
    };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    let ticks = |index: usize| Duration::from_millis(10 * fields[index].parse::<u64>().unwrap());
    (ticks(12), ticks(13))
}

/// A store of its own, and a connection beside it.
struct Place {
    url: String,
    folder: Option<tempfile::TempDir>,
    server: Option<PgConnection>,
}

impl Place {
    async fn new(server: Option<&str>) -> Self {
        let Some(server) = server else {
            let below = std::env::var_os("STORE_FOLDER").unwrap_or("/var/tmp".into());
            let folder = tempfile::tempdir_in(below).unwrap();
            let url = format!("sqlite:{}", folder.path().join("store.db").display());
            return Self {
                url,
                folder: Some(folder),
                server: None,
            };
        };
        let mut admin = PgConnection::connect(server).await.unwrap();
        let name = database();
        let make = AssertSqlSafe(format!("create database {name}"));
        sqlx::query(make).execute(&mut admin).await.unwrap();
        let (before, _) = server.rsplit_once('/').unwrap();
        Self {
            url: format!("{before}/{name}"),
            folder: None,
            server: Some(admin),
        }
    }

    async fn open(&self) -> Store {
        let config = StoreConfig {
            url: self.url.clone(),
            addresses: Addresses::Keep,
            seal_key: None,
        };
        Store::open(&config, Secret::new([1; 32]), BEGAN)
            .await
            .unwrap()
    }

    async fn used(&mut self) -> Used {
        let (user, system) = cpu("self");
        let mut used = Used {
            user,
            system,
            ..Used::default()
        };
        let Some(server) = &mut self.server else {
            let io = read_to_string("/proc/self/io").unwrap();
            let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
            used.written = line.unwrap().parse().unwrap();
            return used;
        };
        let pids: Vec<i32> =
            sqlx::query_scalar("select pid from pg_stat_activity where datname = $1")
                .bind(database())
                .fetch_all(&mut *server)
                .await
                .unwrap();
        for pid in pids {
            let (user, system) = cpu(&pid.to_string());
            used.server += user + system;
        }
        let written: i64 =
            sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0')::bigint")
                .fetch_one(server)
                .await
                .unwrap();
        used.written = u64::try_from(written).unwrap();
        used
    }

    /// What lies on the disk now: the file and its log.
    fn sizes(&self) -> String {
        let Some(folder) = &self.folder else {
            return String::new();
        };
        let size = |name: &str| {
            let path = folder.path().join(name);
            path.metadata().map_or(0, |data| data.len()) >> 20
        };
        format!(
            ", file {} MiB, log {} MiB",
            size("store.db"),
            size("store.db-wal")
        )
    }

    async fn remove(self) {
        if let Some(mut server) = self.server {
            let remove = AssertSqlSafe(format!("drop database {} with (force)", database()));
            sqlx::query(remove).execute(&mut server).await.unwrap();
        }
    }
}

fn database() -> String {
    format!("desist_bench_{}", std::process::id())
}

/// Records the complaints of those numbers and prints what it took.
async fn record(place: &mut Place, store: &Store, from: u64, count: u64, batch: usize) {
    let verdicts: Vec<Verdict> = (from..from + count).map(complaint).collect();
    let before = place.used().await;
    let began = Instant::now();
    let mut waits = Vec::new();
    for batch in verdicts.chunks(batch) {
        let began = Instant::now();
        let recorded = store.record(batch, BEGAN).await.unwrap();
        waits.push(began.elapsed());
        assert_eq!(recorded.new.len(), batch.len());
    }
    let took = began.elapsed();
    let after = place.used().await;
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() * share / 100).min(waits.len() - 1)];
    let each = |after: Duration, before: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / count as f64
    };
    println!(
        "{from:>8} inside, batches of {batch:>4}: {:>6.0}/s, CPU {:>5.1} us ({:.1} user, {:.1} \
         system; server {:.1}), {:>6} bytes written; batch p50 {:.1?} p99 {:.1?} max {:.1?}{}",
        count as f64 / took.as_secs_f64(),
        each(after.user + after.system, before.user + before.system),
        each(after.user, before.user),
        each(after.system, before.system),
        each(after.server, before.server),
        (after.written - before.written) / count,
        at(50),
        at(99),
        at(100),
        place.sizes(),
    );
}

/// Reads the last part of the feed as a follower does, and prints what it took.
async fn follow(place: &mut Place, store: &Store, count: u64) {
    let mut after = store.head().await.unwrap().seq.saturating_sub(2 * count);
    let before = place.used().await;
    let began = Instant::now();
    let mut read = 0;
    loop {
        let head = store.head().await.unwrap();
        let (changes, upto) = store.changes(None, after, 1_000).await.unwrap();
        read += changes.len();
        after = upto;
        if after >= head.seq {
            break;
        }
    }
    let took = began.elapsed();
    let used = place.used().await;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / read as f64;
    println!(
        "{:>8} changes read: {:.2} us each, CPU {:.2} us (server {:.2})",
        read,
        each(took),
        each((used.user + used.system).saturating_sub(before.user + before.system)),
        each(used.server.saturating_sub(before.server)),
    );
}

async fn measure(server: Option<&str>, batch: usize, count: u64, grown: u64) {
    let mut place = Place::new(server).await;
    let store = place.open().await;
    let stop = CancellationToken::new();
    let (beside, end) = (store.clone(), stop.clone());
    let log = tokio::spawn(async move { beside.keep_log_short(&end).await });
    record(&mut place, &store, 0, count, batch).await;
    follow(&mut place, &store, count).await;
    if grown > count {
        for from in (count..grown).step_by(2_000) {
            let to = grown.min(from + 2_000);
            let verdicts: Vec<Verdict> = (from..to).map(complaint).collect();
            store.record(&verdicts, BEGAN).await.unwrap();
        }
        record(&mut place, &store, grown, count, batch).await;
        follow(&mut place, &store, count).await;
    }
    stop.cancel();
    log.await.unwrap();
    store.close().await;
    place.remove().await;
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let server = given.iter().find(|arg| arg.starts_with("postgres"));
    let numbers: Vec<u64> = given.iter().filter_map(|arg| arg.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(50_000).max(1);
    let grown = numbers.get(1).copied().unwrap_or(500_000);
    let batches = match numbers.get(2..) {
        Some(batches) if !batches.is_empty() => batches,
        _ => &[256, 1_024, 4_096],
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for batch in batches {
        let batch = usize::try_from(*batch).unwrap();
        runtime.block_on(measure(server.map(String::as_str), batch, count, grown));
    }
}
