//! Key states, serials of the same number, generations, and what must never verify or be printed.

use data_encoding::{BASE32_NOPAD_NOCASE, HEXLOWER};
use desist::model::directory::{Directory, KeyState, SigningKey};
use desist::model::tenant::TenantId;
use desist::token::keyring::{Keyring, Mint, MintError};
use desist::token::wire::{MAX_REFERENCE, TokenError, Use};
use proptest::prelude::*;

use super::{address, directory, keyring, mint, tenant};

const ALICE: &str = "alice@example.com";

#[test]
fn a_retired_key_verifies_and_a_revoked_one_proves_nothing() {
    // C-016, H-003
    let before = Keyring::new(&directory(&[1], &[(1, KeyState::Active)]));
    let token = mint(&before, ALICE, b"", Use::Feedback);
    for (state, revoked) in [(KeyState::Retired, false), (KeyState::Revoked, true)] {
        let after = Keyring::new(&directory(&[1], &[(1, state), (2, KeyState::Active)]));
        let verified = after.verify(&token.text).unwrap();
        assert_eq!(verified.revoked, revoked, "{state}");
        assert_eq!(verified.fields, token.fields, "{state}");
        assert_eq!(mint(&after, ALICE, b"", Use::Feedback).fields.key, 2);
        let alone = Keyring::new(&directory(&[1], &[(1, state)]));
        assert_eq!(
            alone.export(tenant(1)).unwrap_err(),
            MintError::NoActiveKey(tenant(1))
        );
    }
}

#[test]
fn all_serials_of_one_number_are_tried() {
    let serials = [
        (1, KeyState::Revoked),
        (17, KeyState::Retired),
        (33, KeyState::Active),
    ];
    let all = Keyring::new(&directory(&[1], &serials));
    for (serial, state) in serials {
        let one = Keyring::new(&directory(&[1], &[(serial, KeyState::Active)]));
        for purpose in [Use::Feedback, Use::Bounce] {
            let token = mint(&one, ALICE, b"ref", purpose);
            assert_eq!(token.fields.key, 1);
            let verified = all.verify(&token.text).unwrap();
            assert_eq!(verified.purpose, purpose);
            assert_eq!(verified.revoked, state == KeyState::Revoked);
        }
    }
    let newest = Keyring::new(&directory(&[1], &[(33, KeyState::Active)]));
    let both = [
        mint(&all, ALICE, b"", Use::Bounce),
        mint(&newest, ALICE, b"", Use::Bounce),
    ];
    assert_eq!(both[0], both[1]);
    assert!(all.knows(tenant(1), 1));
    assert!(!all.knows(tenant(1), 2));
    assert!(!all.knows(tenant(2), 1));
}

#[test]
fn keys_of_a_tenant_that_does_not_exist_count_for_nothing() {
    let mut without = directory(&[1, 2], &[(1, KeyState::Active)]);
    let token = mint(&Keyring::new(&without), ALICE, b"", Use::Feedback);
    without.tenants.remove(0);
    let keyring = Keyring::new(&without);
    assert_eq!(keyring.verify(&token.text), Err(TokenError::UnknownKey));
    assert_eq!(keyring.recipient_keys(tenant(1), &address(ALICE)), []);
    assert!(!keyring.knows(tenant(1), 1));
}

#[test]
fn every_generation_in_use_has_its_recipient_key() {
    let mut two = directory(&[1, 2], &[(1, KeyState::Retired), (2, KeyState::Active)]);
    for key in &mut two.signing_keys {
        key.generation = key.serial;
    }
    let keyring = Keyring::new(&two);
    let keys = keyring.recipient_keys(tenant(1), &address(ALICE));
    assert_eq!(keys.len(), 2);
    let token = mint(&keyring, ALICE, b"", Use::Feedback);
    assert_eq!(keys[0], token.fields.recipient, "the newest first");
    let first = directory(&[1], &[(1, KeyState::Active)]);
    let token = mint(&Keyring::new(&first), ALICE, b"", Use::Feedback);
    assert_eq!(keys[1], token.fields.recipient);
    assert_ne!(
        keyring.recipient_keys(tenant(2), &address(ALICE)),
        keys,
        "a tenant's own"
    );
    let many: Vec<_> = keyring
        .address_keys(tenant(1))
        .recipient_keys(&address(ALICE))
        .collect();
    assert_eq!(many, keys);
}

#[test]
fn a_tenant_without_keys_can_suppress_but_not_mint() {
    let bare = Keyring::new(&directory(&[1], &[]));
    let keyed = keyring();
    let alice = address(ALICE);
    assert_eq!(
        bare.recipient_keys(tenant(1), &alice),
        keyed.recipient_keys(tenant(1), &alice)
    );
    assert_eq!(
        bare.export(tenant(1)).unwrap_err(),
        MintError::NoActiveKey(tenant(1))
    );
}

#[test]
fn a_long_reference_is_refused() {
    let alice = address(ALICE);
    let reference = &[0; MAX_REFERENCE + 1];
    let what = Mint {
        tenant: tenant(1),
        stream: 1,
        address: &alice,
        reference,
        purpose: Use::Feedback,
    };
    assert_eq!(keyring().mint(&what), Err(MintError::LongReference(17)));
}

#[test]
fn nothing_secret_is_printed() {
    let directory = directory(&[1], &[(1, KeyState::Active)]);
    let keyring = Keyring::new(&directory);
    let exported = keyring.export(tenant(1)).unwrap();
    let address_keys = keyring.address_keys(tenant(1));
    let printed = format!("{keyring:?} {exported:?} {address_keys:?}");
    assert!(
        printed.contains("Keyring { tenants: 1, keys: 1"),
        "{printed}"
    );
    for key in [&exported.signing, &exported.address, &directory.root] {
        let hex = HEXLOWER.encode(key.expose());
        let decimal = format!("{:?}", &key.expose()[..4]);
        let decimal = decimal.trim_matches(['[', ']']);
        assert!(
            !printed.contains(&hex) && !printed.contains(decimal),
            "{printed}"
        );
    }
}

#[test]
fn many_tenants_are_looked_up_by_number() {
    let key = |tenant| SigningKey {
        tenant,
        serial: 1,
        state: KeyState::Active,
        generation: 1,
    };
    let one = directory(&[1], &[]);
    let tenants = (1..=100_000).map(tenant);
    let many = Directory {
        tenants: tenants
            .clone()
            .map(|id| desist::model::tenant::Tenant {
                id,
                ..one.tenants[0].clone()
            })
            .collect(),
        // The order must not matter.
        signing_keys: tenants.rev().map(key).collect(),
        ..one
    };
    let keyring = Keyring::new(&many);
    for number in [1, 2, 77_777, 100_000] {
        let alice = address(ALICE);
        let what = Mint {
            tenant: tenant(number),
            stream: 1,
            address: &alice,
            reference: &[],
            purpose: Use::Bounce,
        };
        let token = keyring.mint(&what).unwrap();
        assert_eq!(keyring.verify(&token.text), Ok(token));
    }
    assert!(!keyring.knows(tenant(TenantId::MAX), 1));
}

#[test]
fn every_single_flipped_bit_is_refused() {
    let keyring = keyring();
    for reference in [&b""[..], b"\x00\x01\x02\x03\x04\x05", &[9; MAX_REFERENCE]] {
        let token = mint(&keyring, ALICE, reference, Use::Feedback);
        let bytes = BASE32_NOPAD_NOCASE.decode(token.text.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let verified = keyring.verify(&BASE32_NOPAD_NOCASE.encode(&flipped));
            assert!(verified.is_err(), "bit {bit} of {token:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_minted_verifies_in_any_case(
        local in "[a-z0-9.+]{1,20}",
        stream in any::<u16>(),
        reference in prop::collection::vec(any::<u8>(), 0..=MAX_REFERENCE),
        bounce in any::<bool>(),
        upper in any::<u128>(),
    ) {
        // H-002, C-035
        let keyring = keyring();
        let address = &address(&format!("{local}@example.com"));
        let purpose = if bounce { Use::Bounce } else { Use::Feedback };
        let what = Mint { tenant: tenant(2), stream, address, reference: &reference, purpose };
        let token = keyring.mint(&what).unwrap();
        let mixed: String = token.text.chars().enumerate().map(|(i, c)| {
            if upper >> i & 1 == 1 { c.to_ascii_uppercase() } else { c }
        }).collect();
        prop_assert_eq!(&token.fields.reference, &reference);
        prop_assert_eq!((token.fields.stream, token.purpose), (stream, purpose));
        prop_assert_eq!(keyring.verify(&mixed), Ok(token));
    }

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,90}", base32 in "[cd][a-zA-Z2-7]{40,90}") {
        let keyring = keyring();
        prop_assert!(keyring.verify(&text).is_err());
        prop_assert!(keyring.verify(&base32).is_err());
    }
}
