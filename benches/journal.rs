//! How many arrivals a second the journal makes durable, and how long each waits, while a reader
//! takes them and reports them done. `cargo bench --bench journal [-- SECONDS APPENDERS BYTES]`
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a measurement: it reads the clock, prints, and may stop at any surprise"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use desist::journal::{Journal, JournalConfig};
use desist::model::clock::{Clock, Timestamp};
use desist::model::digest::Digest;
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Arrival, Door, Envelope, Receipt, ReceiptId};

fn arrival(size: usize, number: u64) -> Arrival {
    let mut raw = vec![b'x'; size.max(8)];
    for (place, byte) in raw.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    let at = Timestamp::from_millis(1_795_000_000_000);
    let token = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst";
    let envelope = Envelope {
        peer: "192.0.2.1".parse().ok(),
        hello: "mx1.provider.example".to_owned(),
        protocol: "ESMTPS".to_owned(),
        mail_from: Some(String::new()),
        recipient: format!("b-{token}@fb.example.com"),
        mailbox: Mailbox {
            address: "b@fb.example.com".to_owned(),
            role: Role::Bounce,
            tenant: None,
            stream: None,
        },
        token: Some(token.to_owned()),
        content_type: None,
    };
    let receipt = Receipt {
        id: ReceiptId::from_parts(at, &random),
        at,
        door: Door::Smtp,
        envelope,
        digest: Digest::of(&raw),
    };
    Arrival {
        receipts: vec![receipt],
        raw: raw.into(),
    }
}

async fn append_until(
    journal: Journal,
    until: Instant,
    size: usize,
    next: Arc<AtomicU64>,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    while Instant::now() < until {
        let arrival = arrival(size, next.fetch_add(1, Ordering::Relaxed));
        let began = Instant::now();
        journal.append(arrival).await.unwrap();
        waits.push(began.elapsed());
    }
    waits
}

async fn measure(seconds: u64, appenders: usize, size: usize, reading: bool) {
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::open(&path, JournalConfig::default(), Clock::system())
        .await
        .unwrap();
    let reader = journal.clone();
    let read = tokio::spawn(async move {
        let mut shipped = 0_u64;
        if !reading {
            return 0;
        }
        loop {
            let Ok(entries) = reader.take(500, 8 << 20).await else {
                break;
            };
            let ids: Vec<_> = entries.iter().map(|entry| entry.receipt.id).collect();
            if reader.done(&ids).await.is_err() {
                break;
            }
            shipped += ids.len() as u64;
        }
        shipped
    });
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..appenders)
        .map(|_| {
            tokio::spawn(append_until(
                journal.clone(),
                until,
                size,
                Arc::clone(&next),
            ))
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    let took = began.elapsed().as_secs_f64();
    let status = journal.status();
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() * share / 1000).min(waits.len() - 1)];
    println!(
        "{appenders:>4} appenders, {size} bytes, reader {reading:>5}: {:>7.0}/s, {:>5.0} commits/s, \
         p50 {:.1?} p99 {:.1?} p99.9 {:.1?} max {:.1?}, left {}",
        waits.len() as f64 / took,
        status.commits as f64 / took,
        at(500),
        at(990),
        at(999),
        at(1000),
        status.unshipped,
    );
    journal.close().await;
    read.await.unwrap();
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let seconds = numbers.first().copied().unwrap_or(5);
    let appenders = numbers.get(1).map_or(vec![10, 50, 100], |n| vec![*n]);
    let size = numbers
        .get(2)
        .map_or(2_600, |n| usize::try_from(*n).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for appenders in appenders {
        let appenders = usize::try_from(appenders).unwrap();
        for reading in [false, true] {
            runtime.block_on(measure(seconds, appenders, size, reading));
        }
    }
}
