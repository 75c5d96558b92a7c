//! Damaged mails: whatever happens to a mail on its way, it suppresses nobody whom no token names.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use desist::model::authentication::Authentication;
use desist::model::event::{Effect, Event, EventKind, FoundIn, Proof};
use desist::model::mailbox::Role;
use desist::model::recipient::RecipientKey;
use desist::report::mime;
use desist::token::finder::Finder;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::Index;

use crate::world::{At, Fixture, World, fixtures};

/// Read once for all cases.
static FIXTURES: LazyLock<Vec<Fixture>> = LazyLock::new(fixtures);

/// How a mail is damaged on its way.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Drop(Index, usize),
    Repeat(Index, usize),
    Flip(Index, u8),
    Splice(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Damage::Cut),
        (index(), 1..200_usize).prop_map(|(at, length)| Damage::Drop(at, length)),
        (index(), 1..200_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (index(), 1..=255_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (index(), index()).prop_map(|(at, from)| Damage::Splice(at, from)),
    ]
}

/// `other` is what a splice takes its bytes from.
fn damaged(raw: &[u8], other: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut raw = raw.to_vec();
    for damage in damages {
        if raw.is_empty() {
            break;
        }
        let length = raw.len();
        match damage {
            Damage::Cut(at) => raw.truncate(at.index(length)),
            Damage::Drop(at, by) => {
                let at = at.index(length);
                drop(raw.drain(at..(at + by).min(length)));
            }
            Damage::Repeat(at, by) => {
                let at = at.index(length);
                let again = raw[at..(at + by).min(length)].to_vec();
                drop(raw.splice(at..at, again));
            }
            Damage::Flip(at, bits) => {
                let at = at.index(length);
                raw[at] ^= bits;
            }
            Damage::Splice(at, from) => {
                let at = at.index(length);
                if !other.is_empty() {
                    drop(raw.splice(at.., other[from.index(other.len())..].iter().copied()));
                }
            }
        }
    }
    raw
}

/// The events that suppress.
pub(super) fn suppressed(events: &[Event]) -> Vec<&Event> {
    let suppresses = |e: &&Event| {
        e.effects
            .iter()
            .any(|e| matches!(e, Effect::Suppress { .. }))
    };
    events.iter().filter(suppresses).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_or_suppress(raw in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for role in Role::ALL {
            let judged = World::new(&[1]).judge(&At::mailbox(*role), &raw);
            assert!(suppressed(&judged.events).is_empty());
            assert!(!judged.events.is_empty());
        }
    }

    #[test]
    fn no_header_like_text_panics(raw in "(From|To|Subject|Content-Type|--q|boundary=q|multipart/report;|message/rfc822|[ :;=\"(<>\r\n\t?@,-]){0,80}") {
        for role in Role::ALL {
            let judged = World::new(&[1]).judge(&At::mailbox(*role), raw.as_bytes());
            assert!(suppressed(&judged.events).is_empty());
        }
    }

    #[test]
    fn damaged_mails_suppress_nobody_else(
        which in any::<Index>(),
        other in any::<Index>(),
        damages in prop::collection::vec(damage(), 1..4),
        envelope in prop_oneof![Just(true), Just(false)],
    ) {
        let all = &*FIXTURES;
        let fixture = which.get(all);
        let other = other.get(all);
        let raw = damaged(&fixture.raw, &other.raw, &damages);
        let world = World::new(&fixture.tenants);
        let mut at = fixture.at.clone();
        at.authentication = Authentication::Failed;
        if !envelope {
            at.token = None;
        }
        let judged = world.judge(&at, &raw);
        // Without authentication only a token suppresses, and only whom it names: the recipients
        // that the undamaged mails name.
        let named: BTreeSet<_> = [fixture, other]
            .into_iter()
            .flat_map(|f| valid_tokens(&world, f))
            .collect();
        for event in suppressed(&judged.events) {
            assert_eq!(event.proof, Proof::Token);
            assert!(event.found_in.is_some());
            assert!(named.contains(&event.recipient.unwrap()), "{event:?}");
        }
        assert_ne!(at.role == Role::Human, judged.events[0].kind != EventKind::NotFeedback);
    }
}

/// Whom the tokens anywhere in a fixture name.
fn valid_tokens(world: &World, fixture: &Fixture) -> Vec<RecipientKey> {
    let mut finder = Finder::new(&world.keyring);
    if let Some(token) = &fixture.at.token {
        finder.search(FoundIn::Envelope, token.as_bytes());
    }
    finder.search(FoundIn::Text, &fixture.raw);
    // In some fields white space means nothing.
    let dense: Vec<u8> = fixture
        .raw
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    finder.search(FoundIn::Text, &dense);
    let structure = mime::open(&fixture.raw);
    for part in structure.root.walk() {
        finder.search(FoundIn::Text, &part.content(usize::MAX / 8));
    }
    let subject = structure.root.header.all("subject").next();
    if let Some(subject) = subject {
        finder.search(
            FoundIn::Subject,
            mime::decode_words(subject.raw()).as_bytes(),
        );
    }
    finder
        .finish()
        .tokens
        .into_iter()
        .map(|(_, token)| token.fields.recipient)
        .collect()
}
