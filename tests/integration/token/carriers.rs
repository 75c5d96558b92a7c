//! What an outgoing mail carries, and what does not fit.

use desist::token::carriers::{self, CarrierError, Places, Sending};
use desist::token::keyring::MintError;
use desist::token::wire::Use;

use super::{address, keyring, mint, tenant};

const PLACES: Places<'_> = Places {
    domain: "fb.example.com",
    url: "https://u.example.com/",
};

#[test]
fn every_place_carries_the_token_of_its_use() {
    let keyring = keyring();
    let alice = address("alice@example.com");
    let sending = Sending {
        tenant: tenant(1),
        stream: 3,
        address: &alice,
        reference: b"abcdef",
        places: PLACES,
    };
    let made = carriers::compose(&keyring, &sending).unwrap();
    let token = mint(&keyring, "alice@example.com", b"abcdef", Use::Feedback).text;
    let bounce = mint(&keyring, "alice@example.com", b"", Use::Bounce).text;
    assert_eq!(made.return_path, format!("b-{bounce}@fb.example.com"));
    let unsubscribe = format!(
        "<https://u.example.com/u/{token}>, <mailto:u-{token}@fb.example.com?subject=unsubscribe>"
    );
    assert_eq!(
        made.headers,
        [
            ("List-Unsubscribe", unsubscribe),
            (
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned()
            ),
            ("CFBL-Address", "cfbl@fb.example.com; report=arf".to_owned()),
            ("CFBL-Feedback-ID", token.clone()),
            ("X-Desist", token.clone()),
        ]
    );
    let id = carriers::message_id(&made.token, [0, 1, 2, 3, 4, 5, 6, 255], "example.com").unwrap();
    assert_eq!(id, format!("<{token}.00010203040506ff@example.com>"));
}

#[test]
fn what_does_not_fit_is_refused() {
    // C-035: 64 octets of a local part
    let keyring = keyring();
    for length in 0..=16 {
        let reference = &vec![1; length];
        let bounce = mint(&keyring, "alice@example.com", reference, Use::Bounce);
        let feedback = mint(&keyring, "alice@example.com", reference, Use::Feedback);
        let path = carriers::return_path(&bounce, PLACES.domain);
        let list = carriers::list_unsubscribe(&feedback, PLACES);
        if length <= 6 {
            assert!(path.unwrap().find('@').unwrap() <= carriers::MAX_LOCAL_PART);
            assert!(list.is_ok());
        } else {
            let octets = bounce.text.len() + 2;
            let wanted = CarrierError::LongLocalPart {
                place: "MAIL FROM",
                octets,
            };
            assert_eq!(path, Err(wanted));
            let wanted = CarrierError::LongLocalPart {
                place: "List-Unsubscribe",
                octets,
            };
            assert_eq!(list, Err(wanted));
        }
        assert!(carriers::message_id(&feedback, [0; 8], "example.com").is_ok());
    }
    let long = "x".repeat(990);
    let token = mint(&keyring, "alice@example.com", b"", Use::Feedback);
    assert!(matches!(
        carriers::message_id(&token, [0; 8], &long),
        Err(CarrierError::LongLine {
            place: "Message-ID",
            ..
        })
    ));
}

#[test]
fn a_token_of_the_wrong_use_is_refused() {
    let keyring = keyring();
    let bounce = mint(&keyring, "alice@example.com", b"", Use::Bounce);
    let feedback = mint(&keyring, "alice@example.com", b"", Use::Feedback);
    let wrong = |place, given| Err(CarrierError::WrongUse { place, given });
    assert_eq!(
        carriers::return_path(&feedback, "x.example"),
        wrong("MAIL FROM", Use::Feedback)
    );
    assert_eq!(
        carriers::list_unsubscribe(&bounce, PLACES),
        wrong("List-Unsubscribe", Use::Bounce)
    );
    assert_eq!(
        carriers::message_id(&bounce, [0; 8], "x.example"),
        wrong("Message-ID", Use::Bounce)
    );
}

#[test]
fn a_tenant_that_cannot_mint_is_told_so() {
    let alice = address("alice@example.com");
    let sending = Sending {
        tenant: tenant(3),
        stream: 1,
        address: &alice,
        reference: &[],
        places: PLACES,
    };
    let wanted = CarrierError::Mint(MintError::NoActiveKey(tenant(3)));
    assert_eq!(carriers::compose(&keyring(), &sending), Err(wanted));
}
