//! Failures that are counted, and the brake.

use std::collections::BTreeMap;
use std::time::Duration;

use desist::judge::history::BouncePolicy;
use desist::model::bounce::BounceClass;
use desist::model::clock::Timestamp;
use desist::model::event::{Effect, EventKind, HoldReason, SoftFailure};
use desist::model::receipt::{Door, ReceiptState};
use desist::model::suppression::{Reason, Scope};
use desist::store::{
    AlarmKind, BatchDecision, Decision, Paging, Recorded, Store, StoredHold, Verdict,
};
use tokio::task::JoinSet;

use super::world::{NOW, TENANT, World, all_changes, key, recipient_key, standing};

const FAILED: Effect = Effect::CountSoft(SoftFailure::Failed);
const FULL: Effect = Effect::CountSoft(SoftFailure::MailboxFull);
const UNREAD: Effect = Effect::CountSoft(SoftFailure::Unread);
const ARRIVED: Effect = Effect::ResetSoft;
const HARD: Effect = Effect::SuppressUnlessBraked {
    scope: Scope::All,
    reason: Reason::Bounce,
};
const SUPPRESSED: Effect = Effect::Suppress {
    scope: Scope::All,
    reason: Reason::Bounce,
};

const fn held(because: HoldReason) -> Effect {
    Effect::Hold {
        scope: Scope::All,
        reason: Reason::Bounce,
        because,
    }
}

const DAY: Duration = Duration::from_hours(24);

fn day(number: u32) -> Timestamp {
    NOW.after(DAY * number)
}

impl World {
    /// A bounce that came in at that time.
    fn bounce(&self, recipient: u64, at: Timestamp, effect: Effect) -> Verdict {
        let mut verdict = self.verdict(recipient, &[effect]);
        let id = self.id_at(at);
        verdict.receipt.id = id;
        verdict.receipt.at = at;
        verdict.events[0].id.receipt = id;
        verdict.events[0].kind = EventKind::Bounce;
        verdict.events[0].detail.provider = Some("provider.example".to_owned());
        verdict.events[0].detail.class = Some(BounceClass::BadMailbox);
        verdict
    }

    /// The tenant tells that mail to somebody has arrived.
    fn fed(&self, at: Timestamp) -> Verdict {
        let mut verdict = self.bounce(999_999, at, ARRIVED);
        verdict.receipt.door = Door::Api;
        verdict.events[0].kind = EventKind::Delivered;
        verdict
    }
}

async fn put(store: &Store, verdicts: &[Verdict], now: Timestamp) -> Recorded {
    store.record(verdicts, now).await.unwrap()
}

/// Records one effect a day, from `d0 f4 u8 a9 d15`: failed, full, unread, arrived. What each
/// event came to, but for the counting itself.
async fn tell(world: &World, store: &Store, recipient: u64, days: &str) -> Vec<Effect> {
    let mut came_to = Vec::new();
    for word in days.split_whitespace() {
        let (kind, number) = word.split_at(1);
        let effect = match kind {
            "d" => FAILED,
            "f" => FULL,
            "u" => UNREAD,
            "a" => ARRIVED,
            other => panic!("{other}"),
        };
        let at = day(number.parse().unwrap()).after(Duration::from_millis(1));
        let recorded = put(store, &[world.bounce(recipient, at, effect)], at).await;
        let others = recorded.effects.into_iter().filter(|e| *e != effect);
        came_to.extend(others);
    }
    came_to
}

async fn feed(world: &World, store: &Store, days: std::ops::Range<u32>) {
    for number in days.step_by(5) {
        put(store, &[world.fed(day(number))], day(number)).await;
    }
}

// D-020, D-074, D-075
pub(super) async fn soft_failures_of_many_days_suppress(world: &World) {
    let store = world.open().await;
    feed(world, &store, 0..100).await;
    let unread = held(HoldReason::UnreadBounces);
    for (recipient, (days, expected)) in (1..).zip([
        ("d0 d4 d8 d12 d15", vec![SUPPRESSED]),
        // The day counts, not the mail.
        ("d0 d0 d0 d4 d4 d8 d8 d15 d15", vec![]),
        ("d0 d4 d8 d12 d14", vec![]),
        // Mail has arrived between.
        ("d0 d4 d8 a9 d12 d15 d30", vec![]),
        ("d0 d4 d8 a9 d12 d15 d20 d24 d30", vec![SUPPRESSED]),
        ("f0 f1 f2 f3 f4", vec![SUPPRESSED]),
        ("f0 f1 f2 a3 f3 f4", vec![]),
        ("u0 u4 u8 u12 u15", vec![unread]),
        ("d0 u4 u8 u12 d15", vec![unread]),
        // What has led to something counts no more.
        ("d0 d4 d8 d12 d15 d16 d20 d24 d28", vec![SUPPRESSED]),
        (
            "d0 d4 d8 d12 d15 d16 d20 d24 d28 d33",
            vec![SUPPRESSED, SUPPRESSED],
        ),
        ("d0 d70 d80 d90 d91", vec![]),
    ]) {
        assert_eq!(
            tell(world, &store, recipient, days).await,
            expected,
            "{days}"
        );
    }
    let expected = key(1, Scope::All, Reason::Bounce);
    assert!(standing(&store).await.contains(&expected));
    assert!(
        !standing(&store)
            .await
            .contains(&key(2, Scope::All, Reason::Bounce))
    );
}

pub(super) async fn without_deliveries_soft_failures_hold(world: &World) {
    let store = world.open().await;
    let waits = held(HoldReason::NoDeliveries);
    assert_eq!(
        tell(world, &store, 1, "d0 d4 d8 d12 d15").await,
        [waits],
        "never fed"
    );
    assert_eq!(standing(&store).await, []);
    let page = store.held(Some(TENANT), None, &Paging::default()).await;
    let holds = page.unwrap().items;
    assert_eq!(holds.len(), 1);
    assert_eq!(holds[0].event.event.effects, [FAILED, waits]);
    let id = holds[0].event.event.id;
    let (receipt, _) = store.receipt(id.receipt).await.unwrap().unwrap();
    assert_eq!(receipt.state, ReceiptState::Held);
    // A notification from the mail system is no feed.
    put(&store, &[world.bounce(2, day(15), ARRIVED)], day(15)).await;
    assert_eq!(tell(world, &store, 3, "d0 d4 d8 d12 d15").await, [waits]);
    // Nor is one that has ended long ago.
    put(&store, &[world.fed(day(0))], day(0)).await;
    assert_eq!(tell(world, &store, 4, "d1 d4 d8 d12 d16").await, [waits]);
    put(&store, &[world.fed(day(14))], day(14)).await;
    assert_eq!(
        tell(world, &store, 5, "d1 d4 d8 d12 d16").await,
        [SUPPRESSED]
    );
}

pub(super) async fn the_order_within_a_batch_is_that_of_time(world: &World) {
    let store = world.open().await;
    feed(world, &store, 0..20).await;
    let at = |number| day(number).after(Duration::from_millis(1));
    let failures = |recipient: u64| -> Vec<Verdict> {
        [15, 0, 12, 4, 8]
            .map(|number| world.bounce(recipient, at(number), FAILED))
            .into()
    };
    let recorded = put(&store, &failures(1), day(20)).await;
    assert_eq!(recorded.effects.last(), Some(&SUPPRESSED));
    let mut batch = failures(2);
    batch.insert(0, world.bounce(2, at(9), ARRIVED));
    let recorded = put(&store, &batch, day(20)).await;
    assert!(!recorded.effects.contains(&SUPPRESSED));
    // A failure that comes late counts as little.
    let late = tell(world, &store, 2, "d1 d2 d3").await;
    assert_eq!(late, []);
    let days = "select count(*) from soft_days where tenant = 1";
    assert_eq!(world.number(days).await, 2);
}

// Many nodes, the same days, in any order: each recipient is dead once.
pub(super) async fn failures_are_counted_exactly_by_many_writers(world: &World) {
    const RECIPIENTS: u64 = 12;
    const WRITERS: u32 = 6;
    let store = world.open().await;
    feed(world, &store, 0..20).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = world.open().await;
        let batches: Vec<Vec<Verdict>> = (0..5_u32)
            .map(|n| {
                let number = ((n + writer) % 5) * 4;
                let at = day(number).after(Duration::from_millis(1));
                (0..RECIPIENTS)
                    .map(|recipient| world.bounce(recipient, at, FAILED))
                    .collect()
            })
            .collect();
        writers.spawn(async move {
            let mut effects = Vec::new();
            for batch in batches {
                effects.extend(store.record(&batch, day(20)).await.unwrap().effects);
            }
            effects
        });
    }
    let mut suppressed = 0;
    while let Some(effects) = writers.join_next().await {
        suppressed += effects
            .unwrap()
            .iter()
            .filter(|effect| **effect == SUPPRESSED)
            .count();
    }
    assert_eq!(u64::try_from(suppressed).unwrap(), RECIPIENTS);
    assert_eq!(standing(&store).await.len(), suppressed);
}

pub(super) async fn counts_are_forgotten_by_age(world: &World) {
    let store = world.open().await;
    tell(world, &store, 1, "d0 d1").await;
    tell(world, &store, 2, "d0 d50").await;
    put(&store, &[world.bounce(3, day(0), HARD)], day(0)).await;
    assert_eq!(store.forget_bounces(day(1)).await.unwrap(), 0);
    assert_eq!(store.forget_bounces(day(3)).await.unwrap(), 1);
    assert_eq!(store.forget_bounces(day(93)).await.unwrap(), 2);
    assert_eq!(store.forget_bounces(day(93)).await.unwrap(), 0);
    assert_eq!(world.number("select count(*) from soft_days").await, 2);
    assert_eq!(world.number("select count(*) from bounce_hours").await, 0);
}

fn small() -> BouncePolicy {
    BouncePolicy {
        brake_bounces: 20,
        ..BouncePolicy::default()
    }
}

async fn holds(store: &Store) -> Vec<StoredHold> {
    let paging = Paging {
        after: None,
        limit: 1000,
    };
    store.held(None, None, &paging).await.unwrap().items
}

fn minute(number: u32) -> Timestamp {
    NOW.after(Duration::from_mins(1) * number)
}

// D-062
pub(super) async fn a_provider_that_calls_everybody_dead_is_held(world: &World) {
    let store = world.open().await.with_bounce_policy(small());
    // Dead since long ago.
    let old = NOW.before(DAY);
    put(&store, &[world.bounce(3, old, HARD)], old).await;
    let mut alarms = Vec::new();
    for number in 0..30_u32 {
        let bounce = world.bounce(number.into(), minute(number), HARD);
        // Told twice, as notifications are.
        let again = world.bounce(number.into(), minute(number), HARD);
        let recorded = put(&store, &[bounce, again], minute(number)).await;
        alarms.extend(recorded.alarms);
        // Another provider's are believed.
        let mut other = world.bounce(u64::from(number) + 100, minute(number), HARD);
        other.events[0].detail.provider = Some("other.example".to_owned());
        if number < 15 {
            put(&store, &[other], minute(number)).await;
        }
    }
    let standing = standing(&store).await;
    assert_eq!(standing.len(), 15 + 1);
    assert!(standing.contains(&key(3, Scope::All, Reason::Bounce)));
    let [alarm] = alarms.as_slice() else {
        panic!("{alarms:?}")
    };
    assert_eq!(alarm.kind, AlarmKind::Brake);
    let batch = alarm.detail["batch"].as_str().unwrap().to_owned();
    assert_eq!(batch, "1-provider.example-20261121T12");
    let listed = store.alarms(Some(TENANT), &Paging::default()).await;
    assert_eq!(listed.unwrap().items, alarms);
    // All of the hour but who had been dead before, whatever came first.
    let waiting = holds(&store).await;
    assert_eq!(waiting.len(), 29);
    for hold in &waiting {
        assert_eq!(hold.batch.as_deref(), Some(batch.as_str()));
        let last = hold.event.event.effects.last();
        assert_eq!(last, Some(&held(HoldReason::Braked)));
        let id = hold.event.event.id.receipt;
        let (receipt, _) = store.receipt(id).await.unwrap().unwrap();
        assert_eq!(receipt.state, ReceiptState::Held);
    }
    // The history tells what had been begun.
    let history = store.suppressions_of(TENANT, &[recipient_key(5)]).await;
    let history = history.unwrap();
    assert_eq!(history.len(), 1);
    let (_, note) = history[0].lifted.clone().unwrap();
    assert!(note.contains("brake"), "{note}");
    let changes = all_changes(&store).await;
    let mut now: BTreeMap<_, i64> = BTreeMap::new();
    for change in &changes {
        *now.entry(change.key.recipient).or_default() += match change.op.as_str() {
            "suppress" => 1,
            _ => -1,
        };
    }
    assert_eq!(now.values().sum::<i64>(), 16);
    // The hour after goes on with the same batch, and tells nobody anew.
    let recorded = put(&store, &[world.bounce(50, minute(70), HARD)], minute(70)).await;
    assert_eq!(recorded.effects, [held(HoldReason::Braked)]);
    assert_eq!(recorded.alarms, []);
    // The one behind it does not.
    let recorded = put(&store, &[world.bounce(51, minute(130), HARD)], minute(130)).await;
    assert_eq!(recorded.effects, [SUPPRESSED]);
}

pub(super) async fn a_batch_is_decided_at_once(world: &World) {
    for (decision, expected) in [(Decision::Approved, 30), (Decision::Dismissed, 0)] {
        let provider = format!("{decision}.example");
        let store = world.open().await.with_bounce_policy(small());
        let first = match decision {
            Decision::Approved => 1_000,
            Decision::Dismissed => 2_000,
        };
        let bounce = |recipient: u64, at| {
            let mut bounce = world.bounce(first + recipient, at, HARD);
            bounce.events[0].detail.provider = Some(provider.clone());
            bounce
        };
        for number in 0..30_u32 {
            put(
                &store,
                &[bounce(number.into(), minute(number))],
                minute(number),
            )
            .await;
        }
        let batch = format!("1-{provider}-20261121T12");
        let what = BatchDecision {
            tenant: Some(TENANT),
            batch: &batch,
            decision,
            note: "the provider says so",
        };
        let before = standing(&store).await.len();
        let together = store.decide_batch(what, minute(40)).await.unwrap();
        assert_eq!(together.decided, 30);
        assert_eq!(together.seq.is_some(), decision == Decision::Approved);
        let again = store.decide_batch(what, minute(40)).await.unwrap();
        assert_eq!((again.decided, again.seq), (0, None));
        assert_eq!(standing(&store).await.len() - before, expected);
        assert_eq!(holds(&store).await.len(), 0);
        // Approved: the provider was right, and is believed. Dismissed: it is not.
        let recorded = put(&store, &[bounce(77, minute(45))], minute(45)).await;
        let effect = match decision {
            Decision::Approved => SUPPRESSED,
            Decision::Dismissed => held(HoldReason::Braked),
        };
        assert_eq!(recorded.effects, [effect]);
        let rest = store.decide_batch(what, minute(50)).await.unwrap();
        assert_eq!(rest.decided > 0, decision == Decision::Dismissed);
    }
    let held = "select count(*) from receipts where state = 'held'";
    assert_eq!(world.number(held).await, 0);
}

// A large sender's day: its evening send brings three thousand dead addresses of one provider.
pub(super) async fn an_ordinary_large_send_is_not_braked(world: &World) {
    let store = world.open().await;
    let mut recipients = 0_u64..;
    for (days_before, hours) in [
        (13, [(9, 120), (10, 60), (19, 190)]),
        (10, [(9, 110), (10, 180), (19, 520)]),
        (7, [(9, 120), (10, 190), (19, 1_100)]),
        (0, [(9, 90), (10, 210), (19, 3_000)]),
    ] {
        for (hour, bounces) in hours {
            let begin = NOW
                .before(DAY * days_before)
                .after(Duration::from_hours(hour));
            let bounces: Vec<Verdict> = recipients
                .by_ref()
                .take(bounces)
                .map(|recipient| world.bounce(recipient, begin, HARD))
                .collect();
            for batch in bounces.chunks(700) {
                let recorded = put(&store, batch, begin).await;
                assert_eq!(recorded.alarms, [], "{days_before} days before at {hour}");
            }
        }
    }
    assert_eq!(holds(&store).await.len(), 0);
    assert_eq!(standing(&store).await.len(), 5_890);
}

pub(super) async fn the_brake_is_exact_with_many_writers(world: &World) {
    let store = world.open().await;
    let mut writers = JoinSet::new();
    for writer in 0..6_u64 {
        let store = world.open().await.with_bounce_policy(small());
        let batches: Vec<Vec<Verdict>> = (0..8)
            .map(|batch| {
                let first = writer * 40 + batch * 5;
                (first..first + 5)
                    .map(|recipient| world.bounce(recipient, minute(1), HARD))
                    .collect()
            })
            .collect();
        writers.spawn(async move {
            let mut alarms = 0;
            for batch in batches {
                alarms += store.record(&batch, minute(1)).await.unwrap().alarms.len();
            }
            alarms
        });
    }
    let mut alarms = 0;
    while let Some(raised) = writers.join_next().await {
        alarms += raised.unwrap();
    }
    assert_eq!(alarms, 1);
    assert_eq!(standing(&store).await, []);
    assert_eq!(holds(&store).await.len(), 240);
    let counted = "select bounces from bounce_hours where tenant = 1";
    assert_eq!(world.number(counted).await, 240);
}

// D-061
pub(super) async fn our_own_problem_raises_one_alarm_and_suppresses_nobody(world: &World) {
    let store = world.open().await;
    let mut alarms = Vec::new();
    for first in (0..1_000).step_by(100) {
        let batch: Vec<Verdict> = (first..first + 100)
            .map(|recipient| {
                let mut bounce = world.bounce(recipient, minute(1), Effect::Signal);
                bounce.events[0].detail.class = Some(BounceClass::Reputation);
                bounce
            })
            .collect();
        alarms.extend(put(&store, &batch, minute(1)).await.alarms);
    }
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0].kind, AlarmKind::Signal);
    assert_eq!(alarms[0].detail["class"], "reputation");
    assert_eq!(standing(&store).await, []);
    assert_eq!(holds(&store).await.len(), 0);
}
