//! The index against a plain map, its order of strength, and its memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Asked, Batch, Filling, Hit, Index};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::stream::{Class, StreamNumber};
use crate::model::suppression::{Change, ChangeOp, Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

type Model = BTreeMap<SuppressionKey, Timestamp>;

fn tenant(number: u32) -> TenantId {
    TenantId::new(number).unwrap()
}

/// Spread over the buckets like real ones.
fn recipient(number: u64) -> RecipientKey {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mixed.to_be_bytes());
    RecipientKey::from_bytes(bytes)
}

fn key(number: u64, scope: Scope, reason: Reason) -> SuppressionKey {
    SuppressionKey {
        tenant: tenant(1),
        recipient: recipient(number),
        scope,
        reason,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn change(op: ChangeOp, key: SuppressionKey, at: Timestamp) -> Change {
    Change {
        seq: 1,
        op,
        key,
        address: None,
        at,
    }
}

fn stream(number: StreamNumber, class: Class) -> Asked {
    Asked::Stream { number, class }
}

#[test]
fn scopes_count_for_what_they_stop() {
    let index = Index::default();
    index.insert(key(1, Scope::All, Reason::Bounce), at(1));
    index.insert(key(2, Scope::Marketing, Reason::Complaint), at(2));
    index.insert(key(3, Scope::Stream(3), Reason::Unsubscribe), at(3));
    let (marketing, transactional) = (Class::Marketing, Class::Transactional);
    for (number, asked, wanted) in [
        (1, Asked::Any, Some(Scope::All)),
        (1, stream(3, transactional), Some(Scope::All)),
        (2, Asked::Any, Some(Scope::Marketing)),
        (2, stream(3, marketing), Some(Scope::Marketing)),
        (2, stream(3, transactional), None),
        (3, Asked::Any, Some(Scope::Stream(3))),
        (3, stream(3, transactional), Some(Scope::Stream(3))),
        (3, stream(4, marketing), None),
        (4, Asked::Any, None),
    ] {
        let hit = index.look_up(tenant(1), &[recipient(number)], asked);
        assert_eq!(hit.map(|hit| hit.scope), wanted, "{number} {asked:?}");
        assert_eq!(
            index.look_up(tenant(2), &[recipient(number)], asked),
            None,
            "another tenant"
        );
    }
}

#[test]
fn the_widest_scope_is_named_and_then_the_strongest_reason() {
    let index = Index::default();
    let entries = [
        (Scope::All, Reason::Import),
        (Scope::Marketing, Reason::Complaint),
        (Scope::Marketing, Reason::Manual),
        (Scope::Stream(1), Reason::Complaint),
        (Scope::Stream(9), Reason::Unsubscribe),
    ];
    let entries: Vec<_> = (1..).zip(entries).collect();
    for (seconds, (scope, reason)) in entries.iter().copied().rev() {
        index.insert(key(7, scope, reason), at(seconds));
    }
    for (seconds, (scope, reason)) in entries {
        let hit = index.look_up(tenant(1), &[recipient(7)], Asked::Any);
        assert_eq!(
            hit,
            Some(Hit {
                scope,
                reason,
                since: at(seconds)
            })
        );
        index.apply(&change(ChangeOp::Lift, key(7, scope, reason), at(99)));
    }
    assert_eq!(index.look_up(tenant(1), &[recipient(7)], Asked::Any), None);
    assert!(index.is_empty());
}

#[test]
fn keys_of_several_generations_are_one_recipient() {
    let index = Index::default();
    index.insert(key(1, Scope::Stream(1), Reason::Complaint), at(1));
    index.insert(key(2, Scope::Marketing, Reason::Import), at(2));
    let both = [recipient(1), recipient(2)];
    let hit = index.look_up(tenant(1), &both, Asked::Any).unwrap();
    assert_eq!((hit.scope, hit.since), (Scope::Marketing, at(2)));
    assert_eq!(index.look_up(tenant(1), &[], Asked::Any), None);
}

#[test]
fn a_change_applied_twice_is_applied_once() {
    let index = Index::default();
    let suppress = change(
        ChangeOp::Suppress,
        key(1, Scope::All, Reason::Manual),
        at(5),
    );
    let lift = change(ChangeOp::Lift, suppress.key, at(6));
    for len in [1, 1] {
        index.apply(&suppress);
        assert_eq!(index.len(), len);
    }
    index.apply(&change(
        ChangeOp::Lift,
        key(1, Scope::All, Reason::Import),
        at(6),
    ));
    assert_eq!(index.len(), 1, "another reason is another suppression");
    for len in [0, 0] {
        index.apply(&lift);
        assert_eq!(index.len(), len);
    }
    index.apply(&suppress);
    index.replace(Index::default());
    assert_eq!((index.len(), index.bytes()), (0, 0));
    index.apply(&suppress);
    assert_eq!(index.len(), 1, "usable after it was cleared");
}

#[test]
fn sixty_four_bits_of_the_recipient_are_compared() {
    let index = Index::default();
    let entered = key(1, Scope::All, Reason::Manual);
    index.insert(entered, at(1));
    for byte in 0..8 {
        let mut other = *entered.recipient.as_bytes();
        other[byte] ^= 1;
        let other = RecipientKey::from_bytes(other);
        assert_eq!(
            index.look_up(tenant(1), &[other], Asked::Any),
            None,
            "byte {byte}"
        );
    }
}

#[test]
fn memory_follows_the_number_of_entries() {
    const MANY: u64 = 200_000;
    let index = Index::default();
    let entry = |number| key(number, Scope::Marketing, Reason::Complaint);
    for number in 0..MANY {
        index.insert(entry(number), at(1));
    }
    assert_eq!(index.len(), 200_000);
    // Few entries in each of the 8,192 buckets: what these need themselves weighs most.
    let fixed = 8_192 * (64 * 4 + 56 * 15);
    let within = |entries: usize| entries * 16 + fixed;
    assert!(index.bytes() <= within(200_000), "{} bytes", index.bytes());
    for number in 0..MANY / 2 {
        index.apply(&change(ChangeOp::Lift, entry(number * 2), at(2)));
    }
    assert_eq!(index.len(), 100_000);
    assert!(index.bytes() <= within(100_000), "{} bytes", index.bytes());
    for number in 0..MANY {
        let hit = index.look_up(tenant(1), &[recipient(number)], Asked::Any);
        assert_eq!(hit.is_some(), number % 2 == 1, "{number}");
    }
    for number in 0..MANY {
        index.apply(&change(ChangeOp::Lift, entry(number), at(2)));
    }
    assert_eq!((index.len(), index.bytes()), (0, 0));
}

#[test]
fn a_full_bucket_grows_in_small_steps() {
    // All within one shard: the first two bytes are the same.
    let index = Index::default();
    let mut before = 0;
    for number in 0..20_000_u16 {
        let [high, low] = number.to_be_bytes();
        let recipient = RecipientKey::from_bytes([1, 1, high, low, 0, 0, 0, 0, 0, 0]);
        let entry = SuppressionKey {
            recipient,
            ..key(0, Scope::All, Reason::Import)
        };
        index.insert(entry, at(1));
        // A block of 765 bytes and a row of 128 pointers at most, but for the first one.
        let grown = index.bytes() - before;
        assert!(number == 0 || grown <= 765 + 1024, "{grown} at {number}");
        before = index.bytes();
    }
    // Blocks, and the rows and cells of a shard whose other buckets are empty.
    assert!(before <= 393 * (765 + 1024) + 128 * 256, "{before}");
}

#[test]
fn long_buckets_are_split() {
    // All within one shard: the first byte is the same. Twice as many as it holds unsplit.
    const MANY: u64 = 400_000;
    let entry = |number: u64| {
        let mut bytes = *recipient(number).as_bytes();
        bytes[0] = 1;
        let recipient = RecipientKey::from_bytes(bytes);
        SuppressionKey {
            recipient,
            ..key(0, Scope::All, Reason::Import)
        }
    };
    let filling = Filling::default();
    filling.insert((0..MANY - 100).map(|number| (entry(number), at(1))));
    let index = filling.finish();
    for number in MANY - 100..MANY {
        index.insert(entry(number), at(1));
    }
    assert_eq!(index.len(), 400_000);
    assert!(
        index.bytes() <= 400_000 * 16 + 512 * 765,
        "{} bytes",
        index.bytes()
    );
    for number in 0..MANY {
        assert!(index.stands(&entry(number)), "{number}");
        if number % 3 > 0 {
            index.apply(&change(ChangeOp::Lift, entry(number), at(2)));
        }
    }
    for number in 0..MANY {
        assert_eq!(index.stands(&entry(number)), number % 3 == 0, "{number}");
        index.apply(&change(ChangeOp::Lift, entry(number), at(2)));
    }
    assert_eq!((index.len(), index.bytes()), (0, 0));
}

#[test]
fn a_list_is_answered_like_one_by_one() {
    let index = Index::default();
    for number in 0..5_000 {
        let scope = match number % 3 {
            0 => Scope::All,
            1 => Scope::Marketing,
            _ => Scope::Stream(3),
        };
        index.insert(key(number * 2, scope, Reason::Complaint), at(7));
    }
    let mut batch = Batch::default();
    for asked in [
        Asked::Any,
        stream(3, Class::Transactional),
        stream(4, Class::Marketing),
    ] {
        // Each question about two recipients, as with two generations of keys.
        let both = |question: usize| {
            let number = u64::try_from(question).unwrap();
            [recipient(number), recipient(number + 1_000)]
        };
        for question in 0..9_000 {
            for recipient in both(question) {
                batch.ask(question, recipient);
            }
        }
        let found = index.look_up_batch(tenant(1), &mut batch, asked);
        let one_by_one: Vec<(usize, Hit)> = (0..9_000)
            .filter_map(|n| Some((n, index.look_up(tenant(1), &both(n), asked)?)))
            .collect();
        assert!(!found.is_empty());
        assert_eq!(found, one_by_one);
        assert_eq!(index.look_up_batch(tenant(1), &mut batch, asked), []);
    }
}

#[test]
fn many_threads_leave_the_sums_true() {
    let index = Index::default();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let index = &index;
            scope.spawn(move || {
                for number in 0..2_000 {
                    let entry = key(number * 4 + thread, Scope::All, Reason::Import);
                    index.insert(entry, at(1));
                    assert!(
                        index
                            .look_up(tenant(1), &[entry.recipient], Asked::Any)
                            .is_some()
                    );
                    if number % 2 == 0 {
                        index.apply(&change(ChangeOp::Lift, entry, at(2)));
                    }
                }
            });
        }
    });
    assert_eq!(index.len(), 4_000);
}

/// What the index must answer, computed the plain way.
fn expected(model: &Model, tenant: TenantId, who: RecipientKey, asked: Asked) -> Option<Hit> {
    let width = |scope: Scope| match scope {
        Scope::All => 0,
        Scope::Marketing => 1,
        Scope::Stream(_) => 2,
    };
    let counts = |scope: Scope| match (scope, asked) {
        (_, Asked::Any) | (Scope::All, _) => true,
        (Scope::Marketing, Asked::Stream { class, .. }) => class == Class::Marketing,
        (Scope::Stream(stopped), Asked::Stream { number, .. }) => stopped == number,
    };
    let of = model
        .iter()
        .filter(|(key, _)| key.tenant == tenant && key.recipient == who && counts(key.scope));
    of.min_by_key(|(key, _)| (width(key.scope), key.reason, key.scope))
        .map(|(key, since)| Hit {
            scope: key.scope,
            reason: key.reason,
            since: *since,
        })
}

fn any_key() -> impl Strategy<Value = SuppressionKey> {
    let scope = prop_oneof![
        Just(Scope::All),
        Just(Scope::Marketing),
        (1_u16..4).prop_map(Scope::Stream),
    ];
    let reason = prop::sample::select(Reason::ALL);
    // Few recipients in few buckets, so that they meet.
    let who = prop::array::uniform2(0_u8..3);
    (1_u32..3, who, scope, reason).prop_map(|(number, [a, b], scope, reason)| SuppressionKey {
        tenant: tenant(number),
        recipient: RecipientKey::from_bytes([a, 0, 0, b, 0, 0, 0, 0, 0, 0]),
        scope,
        reason,
    })
}

proptest! {
    #[test]
    fn filled_at_once_it_is_the_same(
        entries in prop::collection::vec((any_key(), 0_i64..1000), 0..400),
    ) {
        let (filling, index) = (Filling::default(), Index::default());
        let entries: Model = entries.into_iter().map(|(key, seconds)| (key, at(seconds))).collect();
        for (key, since) in &entries {
            filling.insert([(*key, *since)]);
            index.insert(*key, *since);
        }
        let filled = filling.finish();
        prop_assert_eq!((filled.len(), filled.bytes()), (index.len(), index.bytes()));
        for (key, since) in &entries {
            prop_assert!(filled.stands(key));
            let asked = Asked::Any;
            let found = |index: &Index| index.look_up(key.tenant, &[key.recipient], asked);
            prop_assert_eq!(found(&filled), found(&index), "{}", since);
        }
        for key in entries.keys() {
            filled.apply(&change(ChangeOp::Lift, *key, at(0)));
        }
        prop_assert_eq!((filled.len(), filled.bytes()), (0, 0));
    }

    #[test]
    fn it_answers_like_a_plain_map(
        changes in prop::collection::vec((any::<bool>(), any_key(), 0_i64..1000), 0..200),
    ) {
        let (index, mut model) = (Index::default(), Model::new());
        for (lift, key, seconds) in changes {
            if lift {
                index.apply(&change(ChangeOp::Lift, key, at(seconds)));
                model.remove(&key);
            } else {
                index.apply(&change(ChangeOp::Suppress, key, at(seconds)));
                model.insert(key, at(seconds));
            }
            prop_assert_eq!(index.len(), model.len());
        }
        for (a, b, number) in (0..3).flat_map(|a| (0..3).flat_map(move |b| [(a, b, 1), (a, b, 2)])) {
            let who = RecipientKey::from_bytes([a, 0, 0, b, 0, 0, 0, 0, 0, 0]);
            let asked = [Class::Marketing, Class::Transactional]
                .into_iter()
                .flat_map(|class| (0..5).map(move |number| stream(number, class)))
                .chain([Asked::Any]);
            for asked in asked {
                let wanted = expected(&model, tenant(number), who, asked);
                prop_assert_eq!(index.look_up(tenant(number), &[who], asked), wanted);
            }
        }
    }
}

#[test]
fn blocks_shift_into_each_other() {
    // Some thousand entries of one bucket, in an order as good as random, against a plain map.
    let (index, mut model) = (Index::default(), Model::new());
    let entry = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        let recipient = RecipientKey::from_bytes([1, 1, high, low, 0, 0, 0, 0, 0, 0]);
        SuppressionKey {
            recipient,
            ..key(0, Scope::All, Reason::Import)
        }
    };
    for step in 0..12_000_u32 {
        let entry = entry(step.wrapping_mul(2_654_435_761) >> 21);
        let seconds = at(i64::from(step));
        // Grows for a while, then shrinks to nothing.
        if step.wrapping_mul(40_503) >> 8 & 15 < step / 750 {
            index.apply(&change(ChangeOp::Lift, entry, seconds));
            model.remove(&entry);
        } else {
            index.insert(entry, seconds);
            model.insert(entry, seconds);
        }
        assert_eq!(index.len(), model.len());
    }
    for number in 0..2_048 {
        let who = [entry(number).recipient];
        let since = index
            .look_up(tenant(1), &who, Asked::Any)
            .map(|hit| hit.since);
        assert_eq!(since, model.get(&entry(number)).copied(), "{number}");
        index.apply(&change(ChangeOp::Lift, entry(number), at(0)));
    }
    assert_eq!((index.len(), index.bytes()), (0, 0));
}
