//! Finding tokens in what mail systems have made of them.

use desist::model::directory::KeyState;
use desist::model::event::FoundIn;
use desist::token::finder::{Finder, Found, MAX_MACS, Verdict, find_any};
use desist::token::keyring::Keyring;
use desist::token::wire::{Token, TokenError, Use};
use proptest::prelude::*;

use super::{directory, keyring, mint};

fn search(keyring: &Keyring, places: &[(FoundIn, &str)]) -> Found {
    let mut finder = Finder::new(keyring);
    for (place, text) in places {
        finder.search(*place, text.as_bytes());
    }
    finder.finish()
}

fn in_header(keyring: &Keyring, text: &str) -> Verdict {
    search(keyring, &[(FoundIn::ReturnedHeader, text)]).verdict
}

fn found(token: &Token) -> Verdict {
    Verdict::Token {
        found_in: FoundIn::ReturnedHeader,
        token: token.clone(),
    }
}

#[test]
fn a_token_broken_at_any_offset_is_found() {
    // B-034, H-002
    let keyring = keyring();
    for reference in [&b""[..], b"abcdef", &[3; 16]] {
        let token = mint(&keyring, "alice@example.com", reference, Use::Feedback);
        for at in 0..=token.text.len() {
            let (one, other) = token.text.split_at(at);
            for fold in [
                "\r\n\t",
                "\n ",
                "\r\n   \t",
                "=\r\n",
                "=\n",
                "= \r\n",
                "\r\n\r\n",
            ] {
                let text = format!("X-Desist: <{one}{fold}{other}.x@example.com>\r\n");
                assert_eq!(
                    in_header(&keyring, &text),
                    found(&token),
                    "{fold:?} at {at}"
                );
                let text = text.to_uppercase();
                assert_eq!(
                    in_header(&keyring, &text),
                    found(&token),
                    "{fold:?} at {at}"
                );
            }
        }
    }
}

#[test]
fn a_token_is_found_behind_whatever_is_put_around_it() {
    // B-043, C-031, C-036
    let keyring = keyring();
    let token = mint(&keyring, "alice@example.com", b"", Use::Bounce);
    let text = &token.text;
    for around in [
        format!("b-{text}@fb.example.com"),
        format!("<b-{text}@fb.example.com>"),
        format!("prvs=1234abcdef=b-{text}@fb.example.com"),
        format!("msprvs1=19a2b=b-{text}@fb.example.com"),
        format!("SRS0=hH4x=TT=fb.example.com=b-{text}@forwarder.example"),
        format!("SRS1=aBcD=other.example==hH4x=TT=fb.example.com=b-{text}@forwarder.example"),
        format!("b-{text}-alice=example.com@list.example"),
        format!("b+{text}@fb.example.com"),
        format!("b={text}@fb.example.com"),
        format!("b%2B{text}@fb.example.com"),
        format!("\"b-{text}\"@fb.example.com"),
        format!("unsub{text}@fb.example.com"),
        format!("{text}abc@fb.example.com"),
        format!("Message-ID: {text}.q@example.com (added by postmaster@relay.example)"),
        format!("=3D{text}=3D"),
        format!("https://u.example.com/u/{text}?utm=1"),
    ] {
        for given in [around.clone(), around.to_uppercase()] {
            assert_eq!(in_header(&keyring, &given), found(&token), "{given}");
            assert_eq!(
                find_any(&keyring, given.as_bytes()).as_ref(),
                Ok(&token),
                "{given}"
            );
        }
    }
    // C-015: percent-encoded whole, as mail software re-writes URLs
    let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = encoded.concat();
    assert_eq!(find_any(&keyring, encoded.as_bytes()), Ok(token));
}

#[test]
fn bytes_that_are_no_text_do_not_hide_a_token() {
    let keyring = keyring();
    let token = mint(&keyring, "alice@example.com", b"", Use::Feedback);
    let mut bytes = vec![0xff, 0xfe, 0x00, 0xe3];
    bytes.extend(token.text.as_bytes());
    bytes.extend([0x80, 0x1b]);
    let mut finder = Finder::new(&keyring);
    finder.search(FoundIn::ReturnedHeader, &bytes);
    assert_eq!(finder.finish().verdict, found(&token));
}

#[test]
fn the_first_class_with_a_token_decides() {
    // B-033
    let keyring = keyring();
    let alice = mint(&keyring, "alice@example.com", b"", Use::Feedback);
    let bob = mint(&keyring, "bob@example.com", b"", Use::Feedback);
    for (i, place) in FoundIn::ALL.iter().enumerate() {
        for later in &FoundIn::ALL[i + 1..] {
            let result = search(&keyring, &[(*place, &alice.text), (*later, &bob.text)]);
            let wanted = Verdict::Token {
                found_in: *place,
                token: alice.clone(),
            };
            assert_eq!(result.verdict, wanted, "{place} before {later}");
            let all = [(*place, alice.clone()), (*later, bob.clone())];
            assert_eq!(result.tokens, all, "{place} before {later}");
        }
    }
    let unproven = search(&keyring, &[(FoundIn::Unproven, &alice.text)]);
    assert_eq!(unproven.verdict, Verdict::Nothing);
    assert_eq!(unproven.tokens.len(), 1, "evidence");
}

#[test]
fn two_recipients_in_one_class_are_a_conflict() {
    let keyring = keyring();
    let alice = mint(&keyring, "alice@example.com", b"", Use::Feedback).text;
    let bob = mint(&keyring, "bob@example.com", b"", Use::Feedback).text;
    let conflict = Verdict::Conflict(FoundIn::ReturnedHeader);
    assert_eq!(in_header(&keyring, &format!("{alice} {bob}")), conflict);
    assert_eq!(
        in_header(&keyring, &format!("{alice}{bob}")),
        conflict,
        "without a gap"
    );
    let places = [
        (FoundIn::ReturnedHeader, &*alice),
        (FoundIn::ReturnedHeader, &*bob),
    ];
    assert_eq!(search(&keyring, &places).verdict, conflict);
}

#[test]
fn of_one_recipient_the_bounce_token_is_chosen_and_any_ref_is_taken() {
    let keyring = keyring();
    let feedback = mint(&keyring, "alice@example.com", b"campaign", Use::Feedback);
    let bounce = mint(&keyring, "alice@example.com", b"", Use::Bounce);
    let text = format!("{} {}", feedback.text, bounce.text);
    let result = search(&keyring, &[(FoundIn::ReturnedHeader, &text)]);
    assert_eq!(result.verdict, found(&bounce));
    assert_eq!(result.reference, b"campaign");
    let places = [
        (FoundIn::Envelope, &*bounce.text),
        (
            FoundIn::Unproven,
            &mint(&keyring, "bob@example.com", b"bob", Use::Feedback).text,
        ),
        (FoundIn::Unproven, &feedback.text),
    ];
    assert_eq!(
        search(&keyring, &places).reference,
        b"campaign",
        "of this recipient alone"
    );
}

#[test]
fn a_token_that_is_not_revoked_is_chosen() {
    let both = [(1, KeyState::Revoked), (2, KeyState::Active)];
    let old = Keyring::new(&directory(&[1], &[(1, KeyState::Active)]));
    let keyring = Keyring::new(&directory(&[1], &both));
    let revoked = mint(&old, "alice@example.com", b"", Use::Bounce);
    let good = mint(&keyring, "alice@example.com", b"", Use::Feedback);
    let text = format!("{} {}", revoked.text, good.text);
    assert_eq!(in_header(&keyring, &text), found(&good));
    let Verdict::Token { token, .. } = in_header(&keyring, &revoked.text) else {
        unreachable!("a revoked token is found")
    };
    assert!(token.revoked);
}

#[test]
fn equal_texts_cost_their_macs_once() {
    let keyring = keyring();
    let token = mint(&keyring, "alice@example.com", b"", Use::Bounce).text;
    let text = format!("{token} ").repeat(1000) + &token.to_uppercase();
    let places = [
        (FoundIn::ReportField, &*text),
        (FoundIn::ReturnedHeader, &text),
    ];
    let result = search(&keyring, &places);
    assert_eq!(result.macs, 2);
    assert_eq!(result.tokens.len(), 2, "once a class");
    assert_eq!(result.exhausted, None);
}

/// A text that names a known tenant and key and carries no right MAC.
fn look_alike(number: u32) -> String {
    let digits: String = (0..6)
        .map(|i| char::from(b"efghijkl"[digit(number, i)]))
        .collect();
    format!("ceaaaaiaag{}{digits}a", "e".repeat(35))
}

fn digit(number: u32, place: u32) -> usize {
    usize::try_from(number >> (3 * place) & 7).unwrap()
}

#[test]
fn a_flood_of_look_alikes_is_bounded() {
    let keyring = keyring();
    let flood: String = (0..20_000).map(|number| look_alike(number) + " ").collect();
    let token = mint(&keyring, "alice@example.com", b"", Use::Feedback);
    for text in [flood.clone(), flood.replace(' ', "")] {
        let places = [
            (FoundIn::ReturnedHeader, &*text),
            (FoundIn::Subject, &token.text),
        ];
        let result = search(&keyring, &places);
        assert_eq!(result.macs, MAX_MACS);
        assert_eq!(result.verdict, Verdict::Exhausted(FoundIn::ReturnedHeader));
        assert_eq!(result.exhausted, Some(FoundIn::ReturnedHeader));
        let places = [
            (FoundIn::Envelope, &*token.text),
            (FoundIn::ReturnedHeader, &text),
        ];
        let result = search(&keyring, &places);
        assert_eq!(
            result.verdict,
            Verdict::Token {
                found_in: FoundIn::Envelope,
                token: token.clone()
            },
            "what was found before the flood stands"
        );
        assert_eq!(result.exhausted, Some(FoundIn::ReturnedHeader));
        assert!(result.bad_macs > 0);
    }
    // The same look-alike again and again costs its MACs once, with or without gaps.
    let same = look_alike(0).repeat(100_000);
    let result = search(&keyring, &[(FoundIn::ReturnedHeader, &same)]);
    assert!(result.macs < MAX_MACS && result.macs > 0, "{}", result.macs);
    assert_eq!(result.verdict, Verdict::Nothing);
    // Tenants and keys that do not exist cost nothing.
    let unknown = look_alike(0).replace("ceaaaa", "d4aaaa").repeat(100_000);
    let result = search(&keyring, &[(FoundIn::ReturnedHeader, &unknown)]);
    assert_eq!((result.macs, result.bad_macs), (0, 0));
}

#[test]
fn a_door_says_why_there_is_no_token() {
    let keyring = keyring();
    let token = mint(&keyring, "alice@example.com", b"", Use::Feedback).text;
    let last = if token.ends_with('a') { "q" } else { "a" };
    let wrong = format!("u-{}{last}", token.split_at(51).0);
    let elsewhere = Keyring::new(&directory(&[9], &[(1, KeyState::Active)]));
    for (keyring, text, wanted) in [
        (&keyring, "", TokenError::Malformed),
        (&keyring, "unsubscribe", TokenError::Malformed),
        (&keyring, "u%2Bnothing", TokenError::Malformed),
        (&keyring, &wrong, TokenError::BadMac),
        (&keyring, &wrong.replace('-', "%2B"), TokenError::BadMac),
        (&elsewhere, &wrong, TokenError::UnknownKey),
    ] {
        assert_eq!(find_any(keyring, text.as_bytes()), Err(wanted), "{text}");
    }
}

proptest! {
    #[test]
    fn random_folds_and_case_hide_nothing(
        reference in prop::collection::vec(any::<u8>(), 0..=16),
        folds in prop::collection::vec((0_usize..100, "(=[ \t]{0,2})?(\r\n|\n)[ \t]{0,3}"), 0..6),
        upper in any::<u128>(),
        before in "[^\r\n]{0,40}",
    ) {
        // H-002
        let keyring = keyring();
        let token = mint(&keyring, "alice@example.com", &reference, Use::Feedback);
        let mut text = String::new();
        for (i, c) in token.text.chars().enumerate() {
            text.extend(folds.iter().filter(|(at, _)| *at == i).map(|(_, fold)| fold.as_str()));
            text.push(if upper >> i & 1 == 1 { c.to_ascii_uppercase() } else { c });
        }
        let text = format!("{before}-{text}@fb.example.com");
        prop_assert_eq!(in_header(&keyring, &text), found(&token));
    }

    #[test]
    fn anything_is_searched_within_the_budget(
        pieces in prop::collection::vec(("[a-z2-7]{0,90}", "[ \r\n=\t-]{0,3}", any::<Vec<u8>>()), 0..20),
    ) {
        let keyring = keyring();
        let mut text = Vec::new();
        for (run, gap, bytes) in pieces {
            text.extend(format!("{run}{gap}ceaaaaiaag").bytes());
            text.extend(bytes);
        }
        let mut finder = Finder::new(&keyring);
        finder.search(FoundIn::Text, &text);
        let result = finder.finish();
        prop_assert!(result.macs <= MAX_MACS);
        prop_assert_eq!(result.tokens, []);
        prop_assert!(find_any(&keyring, &text).is_err());
    }
}
