//! What a suppression costs in the index: memory, entering, looking up, changing.
//! `cargo bench --bench index [-- ENTRIES]`
//!
//! Times are the processor's, so that neighbours on the machine change them little.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a measurement: it prints, and may stop at any surprise"
)]

use std::hint::black_box;

use desist::index::{Asked, Batch, Filling, Index};
use desist::model::clock::Timestamp;
use desist::model::recipient::RecipientKey;
use desist::model::stream::Class;
use desist::model::suppression::{Change, ChangeOp, Reason, Scope, SuppressionKey};
use desist::model::tenant::TenantId;
use mimalloc::MiMalloc;

/// As in the program: what an entry costs in memory is what its allocator makes of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Look-ups and changes of one measurement.
const TURNS: u64 = 2_000_000;
/// Questions looked up together, as a long check does.
const BATCH: usize = 4096;
const SINCE: Timestamp = Timestamp::from_seconds(1_795_000_000);
const STREAM: Asked = Asked::Stream {
    number: 3,
    class: Class::Marketing,
};

/// Numbers as good as random, the same in each run (the finaliser of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn recipient(number: u64) -> RecipientKey {
    let mut bytes = [0; 10];
    for (to, from) in bytes.iter_mut().zip(mixed(number).to_be_bytes()) {
        *to = from;
    }
    RecipientKey::from_bytes(bytes)
}

fn key(number: u64) -> SuppressionKey {
    let (scope, reason) = match number % 10 {
        0..6 => (Scope::Marketing, Reason::Complaint),
        6..8 => (Scope::Stream(3), Reason::Unsubscribe),
        _ => (Scope::All, Reason::Bounce),
    };
    SuppressionKey {
        tenant: TenantId::DEFAULT,
        recipient: recipient(number),
        scope,
        reason,
    }
}

/// Resident memory of this process in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<f64>().unwrap() * 1024.0
}

fn change(op: ChangeOp, number: u64) -> Change {
    Change {
        seq: 1,
        op,
        key: key(number),
        address: None,
        at: SINCE,
    }
}

/// Look-ups a second, in millions, of recipients from `first` on, one by one.
fn single(index: &Index, first: u64, entries: u64) -> f64 {
    let began = seconds();
    let mut found = 0;
    for turn in 0..TURNS {
        let who = recipient(first + mixed(turn) % entries);
        let hit = index.look_up(TenantId::DEFAULT, &[who], STREAM);
        found += u64::from(black_box(hit).is_some());
    }
    assert_eq!(found, if first == 0 { TURNS } else { 0 });
    TURNS as f64 / (seconds() - began) / 1e6
}

/// The same in batches.
fn batched(index: &Index, first: u64, entries: u64) -> f64 {
    let began = seconds();
    let (mut found, mut batch) = (0, Batch::default());
    let mut turn = 0;
    while turn < TURNS {
        for question in 0..BATCH {
            batch.ask(question, recipient(first + mixed(turn) % entries));
            turn += 1;
        }
        let hits = index.look_up_batch(TenantId::DEFAULT, &mut batch, STREAM);
        found += black_box(hits).len() as u64;
    }
    assert_eq!(found, if first == 0 { turn } else { 0 });
    turn as f64 / (seconds() - began) / 1e6
}

/// Seconds that this process has been on a processor.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn main() {
    let entries = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(1_000_000_u64);
    let before = resident();
    let began = seconds();
    let filling = Filling::default();
    filling.insert((0..entries).map(|number| (key(number), SINCE)));
    let index = filling.finish();
    let filled = seconds() - began;
    let each = |bytes: f64| bytes / entries as f64;
    println!("entries              {entries:>12}");
    println!("bytes/entry resident {:>12.2}", each(resident() - before));
    println!("bytes/entry counted  {:>12.2}", each(index.bytes() as f64));
    println!("fill                 {filled:>12.2} s");
    println!(
        "hits                 {:>12.2} M/s",
        single(&index, 0, entries)
    );
    println!(
        "misses               {:>12.2} M/s",
        single(&index, entries, entries)
    );
    println!(
        "hits, batched        {:>12.2} M/s",
        batched(&index, 0, entries)
    );
    println!(
        "misses, batched      {:>12.2} M/s",
        batched(&index, entries, entries)
    );
    // A burst of changes that come and go, at a size that stays the same.
    let turns = TURNS.min(entries) / 10;
    let began = seconds();
    for turn in 0..turns {
        index.apply(&change(ChangeOp::Suppress, entries + turn));
        index.apply(&change(ChangeOp::Lift, mixed(turn) % entries));
    }
    println!(
        "change               {:>12.2} us",
        (seconds() - began) * 1e6 / (2 * turns) as f64
    );
}
