//! Judgement: the table, and single messages.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod cost;
mod hostile;
mod hostile_bounces;
mod rows;

use desist::judge::{MAX_EVENTS, Policy};
use desist::model::event::{Effect, EventKind, HoldReason, Proof};
use desist::model::mailbox::Role;
use desist::model::receipt::ReceiptState;

use crate::reading::tell_effect;
use crate::world::{At, World, fixtures};

/// Alice on stream 1 of tenant 1, of the published keys.
const ALICE: &str = "ceaaaaiaagsz7rly2tfun6vldu6jpcdqjxrbd4hozrf4gdkx7dsa";

#[test]
fn policy_raises_other_complaints() {
    let mut world = World::new(&[1]);
    world.policy = Policy {
        raise_other_complaints: true,
        ..Policy::default()
    };
    let fixture = fixtures()
        .into_iter()
        .find(|f| f.name == "type-fraud")
        .unwrap();
    let judged = world.judge(&fixture.at, &fixture.raw);
    assert_eq!(
        judged.events[0]
            .effects
            .iter()
            .copied()
            .map(tell_effect)
            .collect::<Vec<_>>(),
        ["suppress marketing complaint"]
    );
}

// C-046: the same token by mail and by POST is one suppression.
#[test]
fn mail_and_post_come_to_the_same() {
    let all = fixtures();
    let effects = |name: &str| {
        let fixture = all.iter().find(|f| f.name == name).unwrap();
        let judged = World::new(&[1]).judge(&fixture.at, &fixture.raw);
        let event = judged.events[0].clone();
        (event.recipient, event.tenant, event.effects)
    };
    assert_eq!(effects("unsubscribe-gmail"), effects("one-click"));
}

// Peers: two redacted reports of one provider with the same text are taken for one.
#[test]
fn reports_that_differ_in_the_token_alone_are_two() {
    let world = World::new(&[1]);
    let of = |token: &str| {
        let raw = arf(&format!("Subject: News\nX-Desist: {token}\n"));
        world.judge(&At::mailbox(Role::Complaint), &raw).events[0]
            .recipient
            .unwrap()
    };
    let bob = "ceaaaaiaahx3g3luylof42mqf7y3qvgvfsj257xxfaylhhtekvga";
    assert_ne!(of(ALICE), of(bob));
}

// B-034: token broken by a fold at every offset.
#[test]
fn a_token_may_be_folded_anywhere() {
    for fold in ["\r\n\t", "\n ", "\r\n \t "] {
        for at in 0..=ALICE.len() {
            let (head, tail) = ALICE.split_at(at);
            for field in ["CFBL-Feedback-ID", "X-Anything", "List-Unsubscribe"] {
                let raw = arf(&format!(
                    "{field}: x={head}{fold}{tail};\r\nSubject: News\r\n"
                ));
                let judged = World::new(&[1]).judge(&At::mailbox(Role::Complaint), &raw);
                assert_eq!(judged.events[0].proof, Proof::Token, "{field} at {at}");
            }
        }
    }
}

fn arf(returned: &str) -> Vec<u8> {
    format!(
        "From: a@b.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=q\n\n--q\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n\n--q\nContent-Type: text/rfc822-headers\n\n{returned}\n--q--\n"
    )
    .into_bytes()
}

#[test]
fn more_look_alikes_than_are_checked_are_held() {
    // The right beginning, another end each: every one costs a MAC.
    let look_alike = |number: u8| {
        let end = data_encoding::BASE32_NOPAD
            .encode(&[number; 25])
            .to_lowercase();
        format!("X-{number}: ceaaaaiaag{end}aa\n")
    };
    let returned: Vec<_> = (0..70).map(look_alike).collect();
    let returned = format!("Subject: News\n{}", returned.concat());
    let judged = World::new(&[1]).judge(&At::mailbox(Role::Complaint), &arf(&returned));
    assert_eq!(judged.state, ReceiptState::Held);
    let Effect::Hold { because, .. } = judged.events[0].effects[0] else {
        unreachable!()
    };
    assert_eq!(because, HoldReason::TooManyCandidates);
}

#[test]
fn asserted_recipients_are_bounded() {
    let field = |number| format!("Original-Rcpt-To: user{number}@example.com\n");
    let fields: Vec<_> = (0..300).map(field).collect();
    let fields = format!("Feedback-Type: abuse\n{}", fields.concat());
    let raw = format!("From: a@b.example\nContent-Type: message/feedback-report\n\n{fields}");
    let judged = World::new(&[1]).judge(&At::mailbox(Role::Complaint), raw.as_bytes());
    assert_eq!(judged.events.len(), MAX_EVENTS);
    assert!(
        judged.events[99]
            .detail
            .notes
            .contains(&"beyond-limits".to_owned())
    );
}

#[test]
fn extracts_are_short_and_free_of_control_characters() {
    let raw = format!(
        "From: a@b.example\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: a\u{7}\u{1b}[31m{}\n",
        "é".repeat(600)
    );
    let judged = World::new(&[1]).judge(&At::mailbox(Role::Complaint), raw.as_bytes());
    let agent = judged.events[0].detail.user_agent.clone().unwrap();
    assert!(agent.starts_with("a[31mé") && agent.len() <= 512 && agent.len() > 500);
}

// every kind of noise at every mailbox is found in some class, with an event.
#[test]
fn nothing_is_dropped_at_any_mailbox() {
    let noises: [&[u8]; 5] = [
        b"",
        b"random text",
        b"\x80\xff\xfe\0\n\n",
        b"Content-Type: multipart/mixed\n\n",
        b":\n",
    ];
    for role in Role::ALL {
        for noise in noises {
            let judged = World::new(&[1]).judge(&At::mailbox(*role), noise);
            assert_eq!(judged.events.len(), 1, "{role}");
            let kind = judged.events[0].kind;
            let expected = match role {
                Role::Human => kind == EventKind::NotFeedback,
                Role::Unsubscribe => {
                    matches!(kind, EventKind::Unrecognised | EventKind::Unsubscribe)
                }
                _ => kind == EventKind::Unrecognised,
            };
            assert!(expected, "{role} {kind}");
        }
    }
}
