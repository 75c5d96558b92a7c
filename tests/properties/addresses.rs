//! The canonical address: one form, reached in one step.

use desist::model::address::Address;

/// H-020: what is canonical stays what it is, however it is written.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(address) = Address::parse_bytes(bytes) else {
        return;
    };
    let text = address.as_str();
    assert!(text.len() <= Address::MAX_OCTETS);
    assert!(address.local().len() <= Address::MAX_LOCAL);
    assert_eq!(format!("{}@{}", address.local(), address.domain()), text);
    let again = Address::parse(text);
    assert_eq!(again.as_ref(), Ok(&address), "canonical twice");
    let domain = address.domain();
    assert!(
        domain
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)),
        "{domain}"
    );
    for spelling in [
        format!(" {text}\r\n"),
        format!("{text}."),
        format!("{}@{}", address.local(), domain.to_ascii_uppercase()),
    ] {
        if spelling.len() <= Address::MAX_OCTETS {
            assert_eq!(
                Address::parse(&spelling).as_ref(),
                Ok(&address),
                "{spelling:?}"
            );
        }
    }
    let given = std::str::from_utf8(bytes).unwrap().trim_ascii();
    if given.is_ascii() && !given.contains(['"', '\\']) {
        let lower = given.to_ascii_lowercase();
        assert_eq!(text, lower.strip_suffix('.').unwrap_or(&lower));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "Alice@Example.COM",
        " a..b@docomo.ne.jp\n",
        "a.@ezweb.ne.jp",
        "\"a b\"@example.com",
        "\"a\\\"b\\\\\"@example.com.",
        "prvs=1234abcdef=b-x@fb.example.com",
        "用户@例え.テスト",
        "J\u{fc}rgen@b\u{fc}cher.example",
        "ǅ\u{130}\u{3c2}K\u{301}@xn--bcher-kva.example",
        "a@faß.de",
        "x@[192.0.2.1]",
        "a@b@c.example",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
