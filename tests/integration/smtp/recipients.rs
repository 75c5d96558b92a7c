//! What a forward-path means: mailboxes, tokens in every wrapping, and no relaying.

use std::sync::Arc;

use desist::model::address::Address;
use desist::model::directory::{Directory, KeyState, SigningKey, TenantDomain};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::secret::Secret;
use desist::model::tenant::{Tenant, TenantId};
use desist::smtp::limits::Limits;
use desist::smtp::path::Path;
use desist::smtp::recipients::{Accepted, Refusal, Served};
use desist::token::keyring::{Keyring, Mint};
use desist::token::wire::{Token, Use};

fn served(current: bool) -> Served {
    let tenant = Tenant {
        id: TenantId::DEFAULT,
        name: "default".to_owned(),
        domain: None,
        title: None,
    };
    let signing_key = SigningKey {
        tenant: TenantId::DEFAULT,
        serial: 1,
        state: KeyState::Active,
        generation: 1,
    };
    let mailbox = |address: &str, role| Mailbox {
        address: address.to_owned(),
        role,
        tenant: Some(TenantId::DEFAULT),
        stream: Some(3),
    };
    let directory = Directory {
        root: Secret::new([7; 32]),
        tenants: vec![tenant],
        streams: Vec::new(),
        signing_keys: vec![signing_key],
        mailboxes: vec![
            mailbox("yahoo-fbl@fb.example.com", Role::Complaint),
            mailbox("abuse@fb.example.com", Role::Complaint),
        ]
        .into(),
        domains: vec![TenantDomain {
            domain: "fb.shop.example".to_owned(),
            tenant: TenantId::new(2).unwrap(),
        }]
        .into(),
        seq: 0,
    };
    Served {
        domains: vec![
            "fb.example.com".to_owned(),
            "xn--bcher-kva.example".to_owned(),
        ],
        keyring: Keyring::new(&directory),
        directory: Arc::new(directory),
        current,
    }
}

fn mint(served: &Served, purpose: Use, reference: &[u8]) -> Token {
    let address = Address::parse("alice@example.com").unwrap();
    let tenant = TenantId::DEFAULT;
    served
        .keyring
        .mint(&Mint {
            tenant,
            stream: 1,
            address: &address,
            reference,
            purpose,
        })
        .unwrap()
}

fn accept(served: &Served, path: &str) -> Result<Accepted, Refusal> {
    let text = format!("<{path}>");
    let (path, rest) =
        Path::parse(&text, &Limits::default()).unwrap_or_else(|| panic!("{path} is no path"));
    assert_eq!(rest, "");
    served.accept(&path.unwrap())
}

fn role(served: &Served, path: &str) -> Result<(String, Role, bool), Refusal> {
    accept(served, path).map(|found| {
        (
            found.mailbox.address,
            found.mailbox.role,
            found.token.is_some(),
        )
    })
}

#[test]
fn default_mailboxes_exist_in_every_domain_in_any_case() {
    //
    let served = served(true);
    for (local, expected) in [
        ("fbl", Role::Complaint),
        ("cfbl", Role::Cfbl),
        ("u", Role::Unsubscribe),
        ("unsubscribe", Role::Unsubscribe),
        ("b", Role::Bounce),
        ("dmarc", Role::Dmarc),
        ("tlsrpt", Role::TlsReport),
        ("postmaster", Role::Human),
        ("abuse", Role::Human),
    ] {
        for domain in [
            "xn--bcher-kva.example",
            "XN--Bcher-KVA.Example",
            "b\u{fc}cher.example",
            "B\u{dc}CHER.example",
            "xn--bcher-kva.example.",
        ] {
            let address = format!("{local}@xn--bcher-kva.example");
            for local in [
                local.to_owned(),
                local.to_uppercase(),
                format!("\"{local}\""),
            ] {
                let found = role(&served, &format!("{local}@{domain}"));
                assert_eq!(
                    found,
                    Ok((address.clone(), expected, false)),
                    "{local}@{domain}"
                );
            }
        }
    }
    for path in ["Postmaster", "POSTMASTER", "postmaster@FB.example.com"] {
        let found = role(&served, path);
        assert_eq!(
            found,
            Ok(("postmaster@fb.example.com".to_owned(), Role::Human, false))
        );
    }
}

#[test]
fn the_directory_adds_and_changes_mailboxes() {
    let served = served(true);
    let found = accept(&served, "Yahoo-FBL@fb.example.com").unwrap();
    assert_eq!(
        (found.mailbox.role, found.mailbox.stream),
        (Role::Complaint, Some(3))
    );
    let found = accept(&served, "abuse@fb.example.com").unwrap();
    assert_eq!(
        (found.mailbox.role, found.mailbox.tenant),
        (Role::Complaint, Some(TenantId::DEFAULT))
    );
    let elsewhere = role(&served, "yahoo-fbl@xn--bcher-kva.example");
    assert_eq!(elsewhere, Err(Refusal::UnknownMailbox));
}

#[test]
fn tokens_are_found_in_every_wrapping() {
    // H-007: nothing in a token says when it was made
    let served = served(true);
    for (purpose, reference) in [
        (Use::Bounce, &b""[..]),
        (Use::Feedback, b"123456"),
        (Use::Bounce, &[9; 16]),
    ] {
        let token = mint(&served, purpose, reference);
        let text = &token.text;
        for (local, mailbox, expected) in [
            (format!("b-{text}"), "b", Role::Bounce),
            (format!("B-{}", text.to_uppercase()), "b", Role::Bounce),
            (format!("u-{text}"), "u", Role::Unsubscribe),
            (
                format!("unsubscribe+{text}"),
                "unsubscribe",
                Role::Unsubscribe,
            ),
            (format!("fbl-{text}"), "fbl", Role::Complaint),
            (format!("fbl+{text}"), "fbl", Role::Complaint),
            (format!("cfbl={text}"), "cfbl", Role::Cfbl),
            (format!("\"b-{text}\""), "b", Role::Bounce),
            (
                format!("\"b-{}\\{}\"", &text[..10], &text[10..]),
                "b",
                Role::Bounce,
            ),
            (format!("b%2B{text}"), "b", Role::Bounce),
            (format!("b%2b{text}"), "b", Role::Bounce),
            (format!("prvs=0123456789=b-{text}"), "b", Role::Bounce),
            (
                format!("PRVS=0123456789=B-{}", text.to_uppercase()),
                "b",
                Role::Bounce,
            ),
            (format!("msprvs1=18500abcdef=b-{text}"), "b", Role::Bounce),
            (
                format!("SRS0=HHHH=TT=fb.example.com=b-{text}"),
                "b",
                Role::Bounce,
            ),
            (
                format!("SRS0+HHHH=TT=fb.example.com=b-{text}"),
                "b",
                Role::Bounce,
            ),
            (
                format!("SRS1=HHHH=forwarder.example==HHHH=TT=fb.example.com=b-{text}"),
                "b",
                Role::Bounce,
            ),
            (format!("prvs=b-{text}/0123456789"), "b", Role::Bounce),
            (format!("b-{text}+tag"), "b", Role::Bounce),
            (format!("list+b-{text}"), "b", Role::Bounce),
            (format!("yahoo-fbl+{text}"), "yahoo-fbl", Role::Complaint),
        ] {
            let found = accept(&served, &format!("{local}@FB.example.com"));
            let found = found.unwrap_or_else(|refusal| panic!("{local}: {refusal}"));
            assert_eq!(
                found.mailbox.address,
                format!("{mailbox}@fb.example.com"),
                "{local}"
            );
            assert_eq!(found.mailbox.role, expected, "{local}");
            assert_eq!(found.token.as_ref(), Some(&token), "{local}");
        }
    }
}

#[test]
fn any_valid_candidate_wins() {
    let served = served(true);
    let token = mint(&served, Use::Bounce, b"");
    let wrong = flipped(&token.text);
    for local in [
        format!("b-{wrong}-b-{}", token.text),
        format!("b-{}-b-{wrong}", token.text),
    ] {
        let found = accept(&served, &format!("{local}@fb.example.com")).unwrap();
        assert_eq!(found.token.as_ref(), Some(&token), "{local}");
    }
}

#[test]
fn a_wrong_token_is_an_unknown_mailbox() {
    //
    let (stale, served) = (served(false), served(true));
    let token = mint(&served, Use::Bounce, b"").text;
    let unknown = Err(Refusal::UnknownMailbox);
    for local in [
        format!("b-{}", flipped(&token)),
        format!("b-{}", &token[..51]),
        format!("b-{token}a"),
        format!("b-a{token}"),
        format!("b{token}"),
        token.clone(),
        format!("-{token}"),
        format!("nobody-{token}"),
        format!("dmarc-{token}"),
        format!("postmaster-{token}"),
        "nobody".to_owned(),
        "b-".to_owned(),
        "u-x".to_owned(),
        "fbl2".to_owned(),
        format!("b-{}", "a".repeat(52)),
    ] {
        let path = format!("{local}@fb.example.com");
        assert_eq!(role(&served, &path), unknown, "{path}");
        assert_eq!(role(&stale, &path), unknown, "{path}");
    }
    assert_eq!(role(&served, "fbl"), unknown);
    // A key that is not known here is perhaps one that is only not known here yet.
    let mut other = token.into_bytes();
    other[1] = if other[1] == b'e' { b'i' } else { b'e' };
    let other = format!("b-{}@fb.example.com", String::from_utf8(other).unwrap());
    assert_eq!(role(&served, &other), unknown);
    assert_eq!(role(&stale, &other), Err(Refusal::KeysNotCurrent));
}

#[test]
fn default_mailboxes_of_a_tenants_domain_are_that_tenants() {
    let served = served(true);
    let owner = |path: &str| accept(&served, path).map(|accepted| accepted.mailbox.tenant);
    let second = TenantId::new(2);
    for (path, tenant) in [
        ("fbl@fb.shop.example", Ok(second)),
        ("Abuse@FB.Shop.Example.", Ok(second)),
        ("fbl@fb.example.com", Ok(None)),
        // What the directory says of an address is what counts.
        ("abuse@fb.example.com", Ok(Some(TenantId::DEFAULT))),
        ("fbl@shop.example", Err(Refusal::ForeignDomain)),
        ("nobody@fb.shop.example", Err(Refusal::UnknownMailbox)),
    ] {
        assert_eq!(owner(path), tenant, "{path}");
    }
    let token = mint(&served, Use::Bounce, b"").text;
    // Of another tenant: the token says whose it is, the mailbox only what it is for.
    assert_eq!(owner(&format!("b-{token}@fb.shop.example")), Ok(second));
    assert!(served.serves("fb.shop.example") && served.serves("fb.example.com"));
    assert!(!served.serves("example.com"));
}

#[test]
fn nothing_is_relayed() {
    // with and without a token.
    let served = served(true);
    let token = mint(&served, Use::Bounce, b"").text;
    for path in [
        "u@foreign.example".to_owned(),
        "u@sub.fb.example.com".to_owned(),
        "u@example.com".to_owned(),
        "u%foreign.example@fb.example.com".to_owned(),
        "foreign.example!u@fb.example.com".to_owned(),
        "\"u@foreign.example\"@fb.example.com".to_owned(),
        "u@[203.0.113.9]".to_owned(),
        "u@[IPv6:::1]".to_owned(),
        "u@foreign.example.".to_owned(),
        "@fb.example.com:u@foreign.example".to_owned(),
        format!("b-{token}@foreign.example"),
        format!("b-{token}%foreign.example@fb.example.com"),
        format!("foreign.example!b-{token}@fb.example.com"),
        format!("\"b-{token}@foreign.example\"@fb.example.com"),
        format!("u%foreign.example=b-{token}@fb.example.com"),
    ] {
        let found = role(&served, &path);
        assert!(
            matches!(found, Err(Refusal::ForeignDomain | Refusal::UnknownMailbox)),
            "{path}: {found:?}"
        );
    }
    // the route of a source route is ignored.
    let found = role(&served, "@evil.example:fbl@fb.example.com");
    assert_eq!(
        found,
        Ok(("fbl@fb.example.com".to_owned(), Role::Complaint, false))
    );
}

/// The token with another recipient.
fn flipped(token: &str) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[15] = if bytes[15] == b'a' { b'b' } else { b'a' };
    String::from_utf8(bytes).unwrap()
}
