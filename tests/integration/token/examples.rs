//! The minting examples for senders, run as they run them.

use std::path::Path;
use std::process::{Command, Output};

use data_encoding::HEXLOWER;
use desist::token::carriers::{self, Places, Sending};

use super::vectors::{Valid, Vectors};
use super::{address, sender, tenant};

/// An example and how it is run. `FILE` is its source, `FOLDER` one that is gone afterwards.
struct Example {
    file: &'static str,
    /// What makes a program of it, if it is not run as it is.
    build: &'static [&'static str],
    run: &'static [&'static str],
    letters: Letters,
}

/// What may stand before the `@`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    All,
    Ascii,
    /// All, if the interpreter has been given what that needs.
    AllOrAscii,
}

// H-006

#[test]
fn python() {
    needed(&Example {
        file: "mint.py",
        build: &[],
        run: &["python3", "FILE"],
        letters: Letters::All,
    });
}

#[test]
fn php() {
    needed(&Example {
        file: "mint.php",
        build: &[],
        run: &["php", "FILE"],
        letters: Letters::AllOrAscii,
    });
}

#[test]
fn ruby() {
    needed(&Example {
        file: "mint.rb",
        build: &[],
        run: &["ruby", "FILE"],
        letters: Letters::All,
    });
}

#[test]
fn lua() {
    needed(&Example {
        file: "mint.lua",
        build: &[],
        run: &["lua5.4", "FILE"],
        letters: Letters::Ascii,
    });
}

/// Takes `openssl` and `xxd`.
#[test]
fn shell() {
    needed(&Example {
        file: "mint.sh",
        build: &[],
        run: &["bash", "FILE"],
        letters: Letters::Ascii,
    });
}

#[test]
fn javascript() {
    if_at_hand(&Example {
        file: "mint.js",
        build: &[],
        run: &["node", "FILE"],
        letters: Letters::All,
    });
}

#[test]
fn go() {
    if_at_hand(&Example {
        file: "mint.go",
        build: &["go", "build", "-o", "FOLDER/mint", "FILE"],
        run: &["FOLDER/mint"],
        letters: Letters::Ascii,
    });
}

#[test]
fn java() {
    if_at_hand(&Example {
        file: "mint.java",
        build: &["javac", "-d", "FOLDER", "FILE"],
        run: &["java", "-cp", "FOLDER", "Mint"],
        letters: Letters::All,
    });
}

#[test]
fn c_sharp() {
    if_at_hand(&Example {
        file: "mint.cs",
        build: &["mcs", "-out:FOLDER/mint.exe", "FILE"],
        run: &["mono", "FOLDER/mint.exe"],
        letters: Letters::Ascii,
    });
}

/// For those whose interpreter is large; `scripts/test` says which of them were not run.
fn if_at_hand(example: &Example) {
    let program = example.build.first().unwrap_or(&example.run[0]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).exists()) {
        needed(example);
    } else {
        println!("not run: {} (no `{program}`)", example.file);
    }
}

/// Mints what is verified, and refuses what it does not know to write.
fn needed(example: &Example) {
    let folder = tempfile::tempdir().unwrap();
    let made = example.build.is_empty()
        || command(example.build, example, folder.path())
            .status
            .success();
    assert!(made, "{} does not compile", example.file);
    let vectors = Vectors::read();
    let (mut minted, mut refused) = (0, 0);
    for case in &vectors.valid {
        let output = run(&vectors, case, example, folder.path());
        let printed = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        let (local, domain) = case.address.rsplit_once('@').unwrap();
        let beyond = case.address.contains('"')
            || !domain.is_ascii()
            || !local.is_ascii() && example.letters == Letters::Ascii;
        let perhaps = !local.is_ascii() && example.letters == Letters::AllOrAscii;
        if beyond || case.reference.len() > 12 || perhaps && !output.status.success() {
            let named = complaint.starts_with(&format!("{}: ", example.file));
            assert!(!output.status.success() && named, "{complaint}");
            assert_eq!(printed, "", "{}", case.name);
            refused += 1;
            continue;
        }
        assert!(output.status.success(), "{}: {complaint}", case.name);
        assert_eq!(printed, wanted(&vectors, case), "{}", case.name);
        let feedback = format!("feedback token: {}\n", case.token);
        assert!(printed.contains(&feedback), "{}", case.name);
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
        minted >= 9 && refused >= 2,
        "{minted} minted, {refused} refused"
    );
    for text in &vectors.not_addresses {
        let mut case = vectors.valid[0].clone();
        case.address.clone_from(text);
        let output = run(&vectors, &case, example, folder.path());
        assert!(!output.status.success(), "{}: {text:?}", example.file);
        assert!(output.stdout.is_empty(), "{}: {text:?}", example.file);
    }
}

fn run(vectors: &Vectors, case: &Valid, example: &Example, folder: &Path) -> Output {
    let keys = vectors.keys(case.tenant, case.key);
    let (signing, address) = (
        HEXLOWER.encode(keys.signing.expose()),
        HEXLOWER.encode(keys.address.expose()),
    );
    let (serial, tenant, stream) = (
        case.key.to_string(),
        case.tenant.to_string(),
        case.stream.to_string(),
    );
    let given = [
        &signing,
        &serial,
        &address,
        &case.address,
        &tenant,
        &stream,
        &case.reference,
    ];
    let mut words = example.run.to_vec();
    words.extend(given.map(String::as_str));
    command(&words, example, folder)
}

fn command(words: &[&str], example: &Example, folder: &Path) -> Output {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/").to_owned() + example.file;
    let mut words = words.iter().map(|word| {
        word.replace("FILE", &source)
            .replace("FOLDER", folder.to_str().unwrap())
    });
    let program = words.next().unwrap();
    let output = Command::new(&program)
        .args(words)
        // Their text is UTF-8 whatever the machine's locale is.
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONUTF8", "1")
        .output();
    output.unwrap_or_else(|error| {
        panic!("{program}, which scripts/test installs, does not run: {error}")
    })
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
