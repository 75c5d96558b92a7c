//! The minting example for senders, run as they run it.

use std::process::{Command, Output};

use data_encoding::HEXLOWER;
use desist::token::carriers::{self, Places, Sending};

use super::vectors::{Valid, Vectors};
use super::{address, sender, tenant};

fn run(vectors: &Vectors, case: &Valid) -> Output {
    let keys = vectors.keys(case.tenant, case.key);
    Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mint.py"))
        .arg(HEXLOWER.encode(keys.signing.expose()))
        .arg(case.key.to_string())
        .arg(HEXLOWER.encode(keys.address.expose()))
        .arg(&case.address)
        .arg(case.tenant.to_string())
        .arg(case.stream.to_string())
        .arg(&case.reference)
        // Its text is UTF-8 whatever the machine's locale is.
        .env("PYTHONUTF8", "1")
        .output()
        .expect("python3 is needed to run examples/mint.py; install it")
}

#[test]
fn the_example_mints_what_is_verified() {
    // H-006
    let vectors = Vectors::read();
    let (mut minted, mut refused) = (0, 0);
    for case in &vectors.valid {
        let output = run(&vectors, case);
        let printed = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        let (_, domain) = case.address.rsplit_once('@').unwrap();
        let beyond = case.address.contains('"') || !domain.is_ascii();
        if beyond || case.reference.len() > 12 {
            assert!(
                !output.status.success() && complaint.starts_with("mint.py: "),
                "{complaint}"
            );
            assert_eq!(printed, "", "{}", case.name);
            refused += 1;
            continue;
        }
        assert!(output.status.success(), "{}: {complaint}", case.name);
        assert_eq!(printed, wanted(&vectors, case), "{}", case.name);
        assert!(
            printed.contains(&format!("feedback token: {}\n", case.token)),
            "{}",
            case.name
        );
        let bounce = format!("bounce token: {}\n", case.bounce_token);
        assert_eq!(
            printed.contains(&bounce),
            case.reference.is_empty(),
            "{}",
            case.name
        );
        minted += 1;
    }
    assert!(
        minted >= 10 && refused >= 2,
        "{minted} minted, {refused} refused"
    );
}

/// The same, made here.
fn wanted(vectors: &Vectors, case: &Valid) -> String {
    let reference = HEXLOWER.decode(case.reference.as_bytes()).unwrap();
    let sending = Sending {
        tenant: tenant(case.tenant),
        stream: case.stream,
        address: &address(&case.address),
        reference: &reference,
        places: Places {
            domain: "fb.example.com",
            url: "https://u.example.com",
        },
    };
    let keyring = sender(vectors.keys(case.tenant, case.key));
    let made = carriers::compose(&keyring, &sending).unwrap();
    let mut lines = vec![
        format!("feedback token: {}\n", made.token.text),
        format!("bounce token: {}\n", made.bounce.text),
        format!("MAIL FROM: {}\n", made.return_path),
    ];
    lines.extend(
        made.headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n")),
    );
    lines.concat()
}
