//! Every fixture of `fixtures/smtp`.

use std::path::Path;

use super::dialogue::check;

/// Name and text of every fixture.
fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/smtp");
    let mut fixtures: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    fixtures.sort();
    fixtures
}

#[test]
fn dialogues_hold_in_any_chunking() {
    let fixtures = fixtures();
    assert!(
        fixtures.len() >= 30,
        "only {} dialogues were found",
        fixtures.len()
    );
    for (name, text) in fixtures {
        check(&name, &text);
    }
}
