//! The journal, through its file.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use desist::journal::{AppendError, Entry, Journal, JournalConfig, JournalError};
use desist::model::clock::{Clock, Timestamp};
use desist::model::digest::Digest;
use desist::model::directory::{Directory, DirectoryChange, KeyState, SigningKey, TenantDomain};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Arrival, Door, Envelope, Receipt, ReceiptId};
use desist::model::secret::Secret;
use desist::model::stream::{Class, Stream};
use desist::model::tenant::{Tenant, TenantId};
use proptest::prelude::*;
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;

const MIB: usize = 1 << 20;
const ALL: usize = 1_000_000;
const ANY: u64 = 1 << 40;

fn config() -> JournalConfig {
    JournalConfig {
        disk_floor: 0,
        ..JournalConfig::default()
    }
}

async fn open(folder: &Path) -> Journal {
    open_as(folder, config()).await.unwrap()
}

async fn open_as(folder: &Path, config: JournalConfig) -> Result<Journal, JournalError> {
    Journal::open(&file(folder), config, Clock::system()).await
}

fn file(folder: &Path) -> PathBuf {
    folder.join("journal.db")
}

fn receipt(number: u64, raw: &[u8]) -> Receipt {
    let at = Timestamp::from_millis(1_795_000_000_000);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let envelope = Envelope {
        peer: "192.0.2.1".parse().ok(),
        hello: "mx.provider.example".to_owned(),
        protocol: "ESMTPS".to_owned(),
        mail_from: Some(String::new()),
        recipient: format!("b-{number}@fb.example.com"),
        mailbox: Mailbox {
            address: "b@fb.example.com".to_owned(),
            role: Role::Bounce,
            tenant: TenantId::new(7),
            stream: Some(3),
        },
        token: None,
        content_type: None,
    };
    let digest = Digest::of(raw);
    Receipt {
        id: ReceiptId::from_parts(at, &random),
        at,
        door: Door::Smtp,
        envelope,
        digest,
    }
}

fn arrival(numbers: &[u64], raw: &[u8]) -> Arrival {
    let receipts = numbers.iter().map(|number| receipt(*number, raw)).collect();
    Arrival {
        receipts,
        raw: raw.into(),
    }
}

/// One receipt with bytes of its own.
fn single(number: u64) -> Arrival {
    arrival(&[number], format!("message {number}\r\n").as_bytes())
}

fn big(number: u64, size: usize) -> Arrival {
    let mut raw = vec![b'x'; size];
    raw[..8].copy_from_slice(&number.to_be_bytes());
    arrival(&[number], &raw)
}

fn number(entry: &Entry) -> u64 {
    let low = entry.receipt.id.as_bytes()[12..].try_into().unwrap();
    u32::from_be_bytes(low).into()
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(number).collect()
}

fn ids(entries: &[Entry]) -> Vec<ReceiptId> {
    entries.iter().map(|entry| entry.receipt.id).collect()
}

async fn drain(journal: &Journal) -> Vec<Entry> {
    let mut all = Vec::new();
    while journal.status().unshipped > 0 {
        let entries = journal.take(ALL, ANY).await.unwrap();
        journal.done(&ids(&entries)).await.unwrap();
        all.extend(entries);
    }
    all
}

/// Counts rows of the closed file.
async fn rows(folder: &Path, table: &'static str) -> i64 {
    let url = format!("sqlite:{}", file(folder).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let query = match table {
        "groups" => "select count(*) from groups",
        "partly" => "select count(*) from partly",
        "deaths" => "select count(*) from deaths",
        "shipped" => "select count(*) from shipped",
        _ => "select count(*) from taken",
    };
    let count = sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    count
}

//
#[tokio::test]
async fn what_is_durable_is_waited_for_until_it_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    assert_eq!(journal.shipped(Duration::ZERO).await, (0, 0));
    for number in 1..=3 {
        journal.append(single(number)).await.unwrap();
    }
    assert_eq!(
        journal.shipped(Duration::ZERO).await,
        (3, 0),
        "not for long"
    );
    let entries = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(
        journal.shipped(Duration::ZERO).await,
        (3, 0),
        "taken is not shipped"
    );
    let ids = ids(&entries);
    let ship = async {
        // What comes later is not waited for.
        journal.append(single(4)).await.unwrap();
        journal.done(&ids[..1]).await.unwrap();
        assert_eq!(journal.shipped(Duration::ZERO).await, (3, 0));
        journal.leave(&ids[1..2]).await.unwrap();
        journal.done(&ids[2..]).await.unwrap();
    };
    // It begins to wait first.
    let (late, ()) = tokio::join!(biased; journal.shipped(Duration::from_mins(1)), ship);
    assert_eq!(late, (0, 1), "one is left");
    journal.close().await;

    // On file alone, after a start.
    let journal = open(folder.path()).await;
    assert!(journal.shipped(Duration::ZERO).await.0 >= 2);
    let ship = async {
        let mut shipped = 0;
        while shipped < 2 {
            let entries = journal.take(ALL, ANY).await.unwrap();
            shipped += entries.len();
            journal.done(&self::ids(&entries)).await.unwrap();
        }
    };
    let (late, ()) = tokio::join!(biased; journal.shipped(Duration::from_mins(1)), ship);
    assert_eq!(late, (0, 0));
    journal.close().await;
}

#[tokio::test]
async fn what_is_appended_is_taken_in_order_and_gone_when_done() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for n in 0..10 {
        journal.append(single(n)).await.unwrap();
    }
    let entries = journal.take(4, ANY).await.unwrap();
    assert_eq!(numbers(&entries), [0, 1, 2, 3]);
    assert_eq!(entries[2].receipt, single(2).receipts[0]);
    assert_eq!(&*entries[2].raw, b"message 2\r\n");
    assert_eq!(entries[2].attempts, 1);
    let rest = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&rest), [4, 5, 6, 7, 8, 9]);
    journal.done(&ids(&rest)).await.unwrap();
    journal.done(&ids(&entries)).await.unwrap();
    assert_eq!(journal.status().unshipped, 0);
    journal.close().await;
    for table in ["groups", "partly", "deaths", "shipped", "taken"] {
        assert_eq!(rows(folder.path(), table).await, 0, "{table}");
    }
}

//
#[tokio::test]
async fn what_is_appended_can_be_read_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    journal
        .append(arrival(&[1, 2, 3], b"bytes \x00\xff\r\n"))
        .await
        .unwrap();
    journal.close().await;
    let journal = open(folder.path()).await;
    let entries = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&entries), [1, 2, 3]);
    assert_eq!(entries[1].receipt, receipt(2, b"bytes \x00\xff\r\n"));
    assert_eq!(&*entries[1].raw, b"bytes \x00\xff\r\n");
    assert!(
        Arc::ptr_eq(&entries[0].raw, &entries[2].raw),
        "bytes are in memory once"
    );
}

// waiting callers share a sync
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let mut tasks = JoinSet::new();
    for n in 0..500 {
        let journal = journal.clone();
        tasks.spawn(async move { journal.append(single(n)).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let status = journal.status();
    assert_eq!(status.unshipped, 500);
    assert!(status.commits <= 100, "{} commits", status.commits);
}

//
#[tokio::test]
async fn restart_recovers_exactly_what_was_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for n in 0..6 {
        journal.append(single(n)).await.unwrap();
    }
    let entries = journal.take(4, ANY).await.unwrap();
    journal.done(&ids(&entries)[1..3]).await.unwrap();
    journal.close().await;
    assert!(matches!(
        journal.append(single(9)).await,
        Err(AppendError::Failed(_))
    ));
    assert!(journal.take(1, ANY).await.is_err());

    let journal = open(folder.path()).await;
    assert_eq!(journal.status().unshipped, 4);
    let entries = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&entries), [0, 3, 4, 5]);
    assert!(
        entries.iter().all(|entry| entry.attempts == 1),
        "an orderly end is no attempt"
    );
}

#[tokio::test]
async fn put_back_is_taken_again_in_order_and_is_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for n in 0..5 {
        journal.append(single(n)).await.unwrap();
    }
    let entries = journal.take(3, ANY).await.unwrap();
    journal.put_back(&ids(&entries)[..2]).await.unwrap();
    let again = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&again), [0, 1, 3, 4]);
    assert!(again.iter().all(|entry| entry.attempts == 1));
    journal.done(&ids(&entries)).await.unwrap();
    journal.done(&ids(&entries)).await.unwrap();
    assert_eq!(journal.status().unshipped, 2, "done twice counts once");
}

#[tokio::test]
async fn take_is_bounded_by_bytes_but_gives_at_least_one() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for n in 0..4 {
        journal.append(big(n, 100_000)).await.unwrap();
    }
    assert_eq!(numbers(&journal.take(ALL, 1).await.unwrap()), [0]);
    assert_eq!(numbers(&journal.take(0, ANY).await.unwrap()), [1]);
    assert_eq!(numbers(&journal.take(ALL, 210_000).await.unwrap()), [2, 3]);
}

#[tokio::test]
async fn take_waits_and_loses_nothing_when_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let waiting = {
        let journal = journal.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { journal.take(1, ANY).await.unwrap() });
        tasks
    };
    journal.append(single(1)).await.unwrap();
    assert_eq!(numbers(&waiting.join_all().await[0]), [1]);

    journal.append(single(2)).await.unwrap();
    // Dropped after its first poll, at which it has picked the entry.
    tokio::select! {
        biased;
        taken = journal.take(1, ANY) => assert!(taken.is_ok()),
        () = std::future::ready(()) => {}
    }
    assert_eq!(numbers(&journal.take(1, ANY).await.unwrap()), [2]);
    journal.close().await;
    assert!(
        journal.take(1, ANY).await.is_err(),
        "nothing will ever come"
    );
}

// the same bytes twice are two receipts; those of one message are kept once
#[tokio::test]
async fn the_bytes_of_one_message_are_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let raw = vec![b'x'; MIB];
    journal
        .append(arrival(&(0..100).collect::<Vec<_>>(), &raw))
        .await
        .unwrap();
    journal.append(arrival(&[100], &raw)).await.unwrap();
    journal.close().await;
    let size = std::fs::metadata(file(folder.path())).unwrap().len();
    assert!(size < 3 << 20, "{size}");

    let journal = open(folder.path()).await;
    let entries = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&entries), (0..=100).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| *entry.raw == *raw));
    journal.done(&ids(&entries)[..100]).await.unwrap();
    journal.close().await;
    assert_eq!(rows(folder.path(), "groups").await, 1);
}

// of what was committed together a part can be done; a restart offers the others alone
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_can_be_done_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    journal
        .append(arrival(&[0, 1, 2, 3], b"four"))
        .await
        .unwrap();
    let entries = journal.take(ALL, ANY).await.unwrap();
    journal.done(&ids(&entries)[1..3]).await.unwrap();
    journal.close().await;
    assert_eq!(rows(folder.path(), "partly").await, 1);

    let journal = open(folder.path()).await;
    assert_eq!(journal.status().unshipped, 2);
    let entries = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&entries), [0, 3]);
    journal.done(&ids(&entries)).await.unwrap();
    assert_eq!(journal.offer_again().await.unwrap(), 0, "none is kept");
    journal.close().await;
    for table in ["groups", "partly"] {
        assert_eq!(rows(folder.path(), table).await, 0, "{table}");
    }
}

// Limit: a message of 50 MiB
#[tokio::test]
async fn fifty_mebibytes_for_many_recipients_go_through() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let raw: Vec<u8> = (0..50 * MIB).map(|n| n.to_le_bytes()[1]).collect();
    journal.append(arrival(&[1, 2, 3], &raw)).await.unwrap();
    journal.close().await;
    let journal = open(folder.path()).await;
    let entries = journal.take(ALL, ANY).await.unwrap();
    assert_eq!(numbers(&entries), [1, 2, 3]);
    assert!(entries.iter().all(|entry| *entry.raw == *raw));
}

// Limit: bytes kept in memory; what does not fit is read back, and the file shrinks afterwards
#[tokio::test]
async fn a_backlog_beyond_memory_is_read_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for n in 0..90 {
        journal.append(big(n, MIB)).await.unwrap();
    }
    let first = journal.take(30, ANY).await.unwrap();
    journal.append(single(90)).await.unwrap();
    journal.put_back(&ids(&first)).await.unwrap();
    // Before it begins to shrink, which it does from the first that is done on.
    let size = |path: PathBuf| std::fs::metadata(path).unwrap().len();
    let large = size(file(folder.path())) + size(file(folder.path()).with_extension("db-wal"));
    assert!(large > 64 << 20, "{large}");
    let entries = drain(&journal).await;
    assert_eq!(numbers(&entries), (0..=90).collect::<Vec<_>>());
    assert!(
        entries
            .iter()
            .take(90)
            .all(|entry| Digest::of(&entry.raw) == entry.receipt.digest)
    );
    journal.close().await;

    let journal = open(folder.path()).await;
    let shrunk = async {
        while std::fs::metadata(file(folder.path())).unwrap().len() > 20 << 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shrunk)
        .await
        .unwrap();
    journal.close().await;
}

// Overloaded, limits `queue` and `queue_bytes`
#[tokio::test]
async fn more_than_may_wait_is_refused_at_once() {
    for config in [
        JournalConfig {
            queue: 3,
            ..config()
        },
        JournalConfig {
            queue_bytes: 4_000,
            ..config()
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let journal = open_as(folder.path(), config).await.unwrap();
        let mut tasks = JoinSet::new();
        for n in 0..50 {
            let journal = journal.clone();
            tasks.spawn(async move { journal.append(single(n)).await });
        }
        let outcomes = tasks.join_all().await;
        let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let refused = outcomes
            .iter()
            .filter(|it| **it == Err(AppendError::Overloaded))
            .count();
        assert_eq!(accepted + refused, 50);
        assert!(accepted >= 1 && refused >= 1, "{accepted} accepted");
        assert_eq!(journal.admits(Door::Smtp), Ok(()), "what waited has gone");
        assert_eq!(drain(&journal).await.len(), accepted);
    }
}

// A-083, C-013: mail is refused first, clicks last
#[tokio::test]
async fn half_of_the_disk_floor_is_for_clicks() {
    let folder = tempfile::tempdir().unwrap();
    let free = rustix::fs::statvfs(folder.path()).unwrap();
    let free = free.f_bavail * free.f_frsize;
    let config = JournalConfig {
        disk_floor: free / 2 * 3,
        ..config()
    };
    let journal = open_as(folder.path(), config).await.unwrap();
    assert_eq!(journal.admits(Door::Smtp), Err(AppendError::Full));
    assert_eq!(journal.append(single(1)).await, Err(AppendError::Full));
    assert_eq!(journal.admits(Door::OneClick), Ok(()));
    let mut click = single(2);
    click.receipts[0].door = Door::OneClick;
    journal.append(click).await.unwrap();
    assert_eq!(numbers(&drain(&journal).await), [2]);
    journal.close().await;
}

// the disk floor is known before anything is read
#[tokio::test]
async fn below_the_disk_floor_nothing_is_admitted() {
    let folder = tempfile::tempdir().unwrap();
    let below = JournalConfig {
        disk_floor: u64::MAX,
        ..config()
    };
    let journal = open_as(folder.path(), below).await.unwrap();
    assert_eq!(journal.admits(Door::Smtp), Err(AppendError::Full));
    assert_eq!(journal.append(single(1)).await, Err(AppendError::Full));
    assert_eq!(journal.status().refusing, Some(AppendError::Full));
    journal.close().await;
    assert_eq!(rows(folder.path(), "receipts").await, 0);
}

#[tokio::test]
async fn the_files_are_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| {
        let path = folder.path().join(name);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    let before = std::fs::metadata(folder.path())
        .unwrap()
        .permissions()
        .mode();
    let journal = open(folder.path()).await;
    for name in ["journal.db", "journal.db-wal", "journal.lock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert!(!folder.path().join("journal.db-shm").exists());
    journal.close().await;
    let careless = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(file(folder.path()), careless).unwrap();
    let journal = open(folder.path()).await;
    assert_eq!(mode("journal.db"), 0o600);
    assert_eq!(mode("journal.db-wal"), 0o600);
    assert_eq!(
        std::fs::metadata(folder.path())
            .unwrap()
            .permissions()
            .mode(),
        before
    );
    journal.close().await;
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let error = open_as(folder.path(), config())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is in use by another desist, process "),
        "{error}"
    );
    journal.append(single(1)).await.unwrap();
    journal.close().await;
    assert_eq!(open(folder.path()).await.status().unshipped, 1);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.close().await;
    let url = format!("sqlite:{}", file(folder.path()).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let newer = "update meta set value = value + 1 where key = 'format'";
    sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let outcome = open_as(folder.path(), config()).await;
    assert!(matches!(outcome, Err(JournalError::Inconsistent(_))));
}

#[tokio::test]
async fn a_damaged_row_stops_nobody_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    // Appended at once they are committed together.
    let all = [single(1), single(2), single(3)];
    let mut tasks = JoinSet::new();
    for it in all {
        let journal = journal.clone();
        tasks.spawn(async move { journal.append(it).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(journal.status().commits, 1);
    journal.close().await;
    let url = format!("sqlite:{}", file(folder.path()).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let body: Vec<u8> = sqlx::query_scalar("select body from groups")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let place = body
        .windows(9)
        .position(|bytes| bytes == b"message 2")
        .unwrap();
    let mut damaged = body;
    damaged[place] ^= 1;
    sqlx::query("update groups set body = ?")
        .bind(damaged)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    for expected in [vec![1, 3], vec![]] {
        let journal = open(folder.path()).await;
        if !expected.is_empty() {
            let entries = journal.take(ALL, ANY).await.unwrap();
            assert_eq!(numbers(&entries), expected);
            journal.done(&ids(&entries)).await.unwrap();
        }
        assert_eq!(journal.status().unshipped, 1);
        journal.close().await;
        assert_eq!(rows(folder.path(), "groups").await, 1);
    }
}

#[tokio::test]
async fn the_shipped_is_kept_for_its_time_and_can_be_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_seconds(1_795_000_000));
    let config = JournalConfig {
        keep: Duration::from_mins(15),
        ..config()
    };
    let path = file(folder.path());
    let journal = Journal::open(&path, config.clone(), clock.clone())
        .await
        .unwrap();
    for n in 0..5 {
        journal.append(single(n)).await.unwrap();
    }
    let entries = journal.take(3, ANY).await.unwrap();
    journal.done(&ids(&entries)).await.unwrap();
    assert_eq!(journal.offer_again().await.unwrap(), 3);
    assert_eq!(journal.status().unshipped, 5);
    assert_eq!(numbers(&drain(&journal).await), [0, 1, 2, 3, 4]);
    journal.close().await;
    assert_eq!(rows(folder.path(), "groups").await, 5);

    clock.advance(Duration::from_mins(16));
    let journal = Journal::open(&path, config, clock).await.unwrap();
    assert_eq!(journal.status().unshipped, 0, "shipped is shipped");
    journal.close().await;
    assert_eq!(rows(folder.path(), "groups").await, 0);
    assert_eq!(rows(folder.path(), "shipped").await, 0);
}

#[tokio::test]
async fn the_directory_is_mirrored() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    assert!(journal.directory().await.unwrap().is_none());
    let tenant = TenantId::DEFAULT;
    let mut directory = Directory {
        root: Secret::new([42; 32]),
        tenants: vec![Tenant {
            id: tenant,
            name: "default".to_owned(),
            domain: None,
            title: None,
        }],
        streams: vec![Stream {
            tenant,
            number: 65_535,
            name: "receipts".to_owned(),
            class: Class::Transactional,
            unsubscribe: true,
            title: None,
        }],
        signing_keys: vec![SigningKey {
            tenant,
            serial: 17,
            state: KeyState::Revoked,
            generation: 2,
        }],
        mailboxes: vec![receipt(1, b"").envelope.mailbox].into(),
        domains: desist::model::directory::Domains::default(),
        seq: 5,
    };
    journal.save_directory(&directory).await.unwrap();
    directory.seq = 6;
    journal.save_directory(&directory).await.unwrap();
    journal.close().await;
    let read = open(folder.path())
        .await
        .directory()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.root, directory.root);
    assert_eq!(read.tenants, directory.tenants);
    assert_eq!(read.streams, directory.streams);
    assert_eq!(read.signing_keys, directory.signing_keys);
    assert_eq!(read.mailboxes, directory.mailboxes);
    assert_eq!(read.seq, 6);
}

fn tenant(number: u32, name: &str) -> Tenant {
    Tenant {
        id: TenantId::new(number).unwrap(),
        name: name.to_owned(),
        domain: None,
        title: None,
    }
}

fn mailbox(address: &str, of: Option<u32>) -> Mailbox {
    let mut mailbox = receipt(1, b"").envelope.mailbox;
    address.clone_into(&mut mailbox.address);
    mailbox.tenant = of.map(|number| TenantId::new(number).unwrap());
    mailbox
}

#[tokio::test]
async fn what_changes_of_the_directory_is_mirrored_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let mut known = Directory {
        root: Secret::new([42; 32]),
        tenants: vec![tenant(1, "a"), tenant(2, "b")],
        streams: Vec::new(),
        signing_keys: Vec::new(),
        mailboxes: vec![
            mailbox("all@x.example", None),
            mailbox("b@x.example", Some(2)),
        ]
        .into(),
        domains: desist::model::directory::Domains::default(),
        seq: 5,
    };
    journal.save_directory(&known).await.unwrap();
    let change = |tenants, mailboxes, shared, seq| DirectoryChange {
        tenants,
        streams: Vec::new(),
        signing_keys: Vec::new(),
        mailboxes,
        domains: vec![TenantDomain {
            domain: format!("d{seq}.example"),
            tenant: TenantId::new(2).unwrap(),
        }],
        shared,
        seq,
    };
    for change in [
        change(vec![tenant(2, "renamed")], Vec::new(), None, 6),
        change(
            vec![tenant(2, "again"), tenant(3, "new")],
            vec![mailbox("c@x.example", Some(3))],
            None,
            7,
        ),
        change(
            vec![tenant(2, "again")],
            Vec::new(),
            Some(vec![mailbox("other@x.example", None)]),
            8,
        ),
    ] {
        journal.save_directory_change(&change).await.unwrap();
        known = known.after(&change);
        let read = journal.directory().await.unwrap().unwrap();
        assert_eq!(read.tenants, known.tenants, "{}", change.seq);
        assert_eq!(read.mailboxes, known.mailboxes, "{}", change.seq);
        assert_eq!(read.domains, known.domains, "{}", change.seq);
        assert_eq!(read.seq, change.seq);
    }
    journal.close().await;
    let journal = open(folder.path()).await;
    let read = journal.directory().await.unwrap().unwrap();
    assert_eq!(read.tenants, known.tenants);
    assert_eq!((read.mailboxes, read.seq), (known.mailboxes.clone(), 8));
    // Mirrored whole again: what had changed beside it is in it, or gone.
    known.tenants.truncate(1);
    journal.save_directory(&known).await.unwrap();
    let read = journal.directory().await.unwrap().unwrap();
    assert_eq!(read.tenants, known.tenants);
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Take(u8),
    Done(u8),
    PutBack(u8),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u8..5).prop_map(Step::Append),
        4 => (1_u8..6).prop_map(Step::Take),
        3 => any::<u8>().prop_map(Step::Done),
        2 => any::<u8>().prop_map(Step::PutBack),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What must be there: by number, whether it is taken.
type Expected = BTreeMap<u64, bool>;

fn pick(expected: &Expected, which: u8) -> Vec<u64> {
    let taken = expected
        .iter()
        .filter(|(_, taken)| **taken)
        .map(|(number, _)| *number);
    taken
        .filter(|number| (number + u64::from(which)) % 3 != 0)
        .collect()
}

async fn step(
    journal: &mut Journal,
    folder: &Path,
    expected: &mut Expected,
    next: &mut u64,
    step: Step,
) {
    match step {
        Step::Append(count) => {
            let fresh: Vec<u64> = (*next..*next + u64::from(count)).collect();
            *next += u64::from(count);
            journal.append(arrival(&fresh, &[count])).await.unwrap();
            expected.extend(fresh.into_iter().map(|number| (number, false)));
        }
        Step::Take(count) => {
            let ready = expected.iter_mut().filter(|(_, taken)| !**taken);
            let wanted: Vec<_> = ready.take(usize::from(count)).collect();
            if wanted.is_empty() {
                return;
            }
            let mut got = Vec::new();
            while got.len() < wanted.len() {
                let left = wanted.len() - got.len();
                got.extend(numbers(&journal.take(left, ANY).await.unwrap()));
            }
            let wanted = wanted.into_iter().map(|(number, taken)| {
                *taken = true;
                *number
            });
            assert_eq!(got, wanted.collect::<Vec<_>>());
        }
        Step::Done(which) => {
            let done = pick(expected, which);
            expected.retain(|number, _| !done.contains(number));
            let ids: Vec<_> = done.iter().map(|number| receipt(*number, b"").id).collect();
            journal.done(&ids).await.unwrap();
        }
        Step::PutBack(which) => {
            let back = pick(expected, which);
            expected.extend(back.iter().map(|number| (*number, false)));
            let ids: Vec<_> = back.iter().map(|number| receipt(*number, b"").id).collect();
            journal.put_back(&ids).await.unwrap();
        }
        Step::Reopen => {
            journal.close().await;
            *journal = open(folder).await;
            for taken in expected.values_mut() {
                *taken = false;
            }
        }
    }
    assert_eq!(
        journal.status().unshipped,
        u64::try_from(expected.len()).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    // nothing is lost, nothing that is done comes again, and the order stays
    #[test]
    fn any_interleaving_keeps_what_is_not_done(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut journal = open(folder.path()).await;
            let (mut expected, mut next) = (Expected::new(), 1);
            for it in steps {
                step(&mut journal, folder.path(), &mut expected, &mut next, it).await;
            }
            step(&mut journal, folder.path(), &mut expected, &mut next, Step::Reopen).await;
            let all = numbers(&drain(&journal).await);
            assert_eq!(all, expected.into_keys().collect::<Vec<_>>());
        });
    }
}

/// Environment variable by which a test tells the child it starts what to do and where.
const CHILD: &str = "DESIST_TEST_JOURNAL_CHILD";

/// Starts this program again as `role` on `folder`, below `wrapper`.
fn child(role: &str, folder: &Path, wrapper: &str) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{wrapper} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "journal::child_process", "--nocapture"])
        .env(CHILD, format!("{role}:{}", folder.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the child says. Its output is to be kept open for as long as it is to live.
fn said(child: &mut Child) -> (String, Lines<BufReader<ChildStdout>>) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("said: ").map(|(_, said)| said.to_owned()));
    (said.expect("the child has said nothing"), lines)
}

/// The children's side; as a test of its own it does nothing.
#[test]
#[expect(clippy::disallowed_methods, reason = "how a child is told its role")]
fn child_process() {
    let Ok(role) = std::env::var(CHILD) else {
        return;
    };
    let (role, folder) = role.split_once(':').unwrap();
    let folder = Path::new(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let said = runtime.block_on(async {
        match role {
            "take" => take_as_child(folder).await,
            "append" => append_as_child(folder).await,
            "fail" => fail_as_child(folder).await,
            "fill" => fill_as_child(folder).await,
            _ => unreachable!(),
        }
    });
    println!("said: {said}");
}

#[expect(clippy::print_stdout, reason = "how a child speaks")]
async fn take_as_child(folder: &Path) -> String {
    let journal = open(folder).await;
    let taken = journal.take(ALL, ANY).await.unwrap();
    let attempts: Vec<_> = taken
        .iter()
        .map(|entry| (number(entry), entry.attempts))
        .collect();
    println!("said: {attempts:?}");
    // Until it is killed.
    std::future::pending::<()>().await;
    String::new()
}

#[expect(clippy::print_stdout, reason = "how a child speaks")]
/// Appends for ever, and says what was acknowledged.
async fn append_as_child(folder: &Path) -> String {
    let journal = open(folder).await;
    let mut tasks = JoinSet::new();
    for start in 0..20_u64 {
        let journal = journal.clone();
        tasks.spawn(async move {
            for n in 0.. {
                journal
                    .append(big(start * 1_000_000 + n, 3_000))
                    .await
                    .unwrap();
                println!("acknowledged: {}", start * 1_000_000 + n);
            }
        });
    }
    tasks.join_all().await;
    String::new()
}

async fn fail_as_child(folder: &Path) -> String {
    let journal = open(folder).await;
    let mut accepted = 0;
    let why = loop {
        match journal.append(big(accepted, 100_000)).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(why, AppendError::Failed(_)), "{why}");
    assert_eq!(journal.append(single(accepted)).await, Err(why.clone()));
    assert_eq!(journal.admits(Door::Smtp), Err(why.clone()));
    assert_eq!(journal.status().refusing, Some(why));
    let entries = drain(&journal).await;
    assert_eq!(numbers(&entries), (0..accepted).collect::<Vec<_>>());
    journal.close().await;
    accepted.to_string()
}

async fn fill_as_child(folder: &Path) -> String {
    let journal = open(folder).await;
    // What somebody else has put on the same disk, and takes away later.
    let foreign = folder.join("foreign");
    std::fs::write(&foreign, vec![0; 16 * MIB]).unwrap();
    let mut accepted = 0;
    let why = loop {
        match journal.append(big(accepted, MIB)).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(why, AppendError::Full);
    assert_eq!(journal.admits(Door::Smtp), Err(AppendError::Full));
    std::fs::remove_file(&foreign).unwrap();
    // Tried again when the disk has been looked at again.
    let again = async {
        while let Err(error) = journal.append(single(accepted)).await {
            assert_eq!(error, AppendError::Full);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .unwrap();
    journal.close().await;
    let journal = open(folder).await;
    assert_eq!(
        numbers(&drain(&journal).await),
        (0..=accepted).collect::<Vec<_>>()
    );
    journal.close().await;
    "recovered".to_owned()
}

// What kills its reader is known by its attempts, and is given out alone
#[test]
fn attempts_survive_kill() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let journal = open(folder.path()).await;
        for n in 0..3 {
            journal.append(single(n)).await.unwrap();
        }
        journal.close().await;
    });
    for expected in ["[(0, 1), (1, 1), (2, 1)]", "[(0, 2)]", "[(0, 3)]"] {
        let mut child = child("take", folder.path(), "");
        let (said, _output) = said(&mut child);
        assert_eq!(said, expected);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    runtime.block_on(async {
        let journal = open(folder.path()).await;
        for expected in [(0, 4), (1, 2), (2, 2)] {
            let taken = journal.take(ALL, ANY).await.unwrap();
            assert_eq!(taken.len(), 1);
            assert_eq!((number(&taken[0]), taken[0].attempts), expected);
            journal.done(&ids(&taken)).await.unwrap();
        }
        journal.close().await;
    });
}

// everything acknowledged is there after kill -9
#[test]
fn the_acknowledged_survives_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = child("append", folder.path(), "");
    let mut acknowledged = HashSet::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if let Some((_, number)) = line.split_once("acknowledged: ") {
            // The last line can be cut.
            acknowledged.extend(number.parse::<u64>());
        }
        if acknowledged.len() >= 300 && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let journal = open(folder.path()).await;
        let found: HashSet<u64> = numbers(&drain(&journal).await).into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty() && acknowledged.len() >= 300, "{lost:?}");
        journal.close().await;
    });
}

// after a failed write all are refused, and nothing that was refused appears later
#[test]
fn a_failed_write_ends_acceptance_until_restart() {
    let folder = tempfile::tempdir().unwrap();
    // The log cannot grow beyond this: EFBIG, an I/O error like any other.
    let mut child = child("fail", folder.path(), "trap '' XFSZ; ulimit -f 4000;");
    let (accepted, _output) = said(&mut child);
    let accepted: u64 = accepted.parse().unwrap();
    assert!(child.wait().unwrap().success());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let journal = open(folder.path()).await;
        let entries = drain(&journal).await;
        assert_eq!(numbers(&entries), (0..accepted).collect::<Vec<_>>());
        assert_eq!(
            journal.append(single(accepted)).await,
            Ok(()),
            "accepted after restart"
        );
        journal.close().await;
    });
}

// a full disk refuses, and accepts again when there is room
#[test]
fn a_full_disk_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64m none {}",
        folder.path().display()
    );
    let allowed = Command::new("unshare")
        .args(["-rm", "sh", "-c", &mount])
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        println!("no small disk can be mounted here");
        return;
    }
    let wrapper = format!("exec unshare -rm sh -c '{mount} && exec \"$0\" \"$@\"' \"$0\" \"$@\" #");
    let mut child = child("fill", folder.path(), &wrapper);
    let (said, _output) = said(&mut child);
    assert_eq!(said, "recovered");
    assert!(child.wait().unwrap().success());
}
