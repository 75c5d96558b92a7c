//! The config file: settings or mistakes, never anything else.

use desist::config::{Config, example};

/// Octets of a file that are tried: whoever writes it is trusted with time.
const TRIED: usize = 32 * 1024;

pub(crate) fn check(text: &[u8]) {
    // Files that a config names are read, devices too.
    let device = |part: &[u8]| part == b"/dev" || part == b"\\u00";
    if text.len() > TRIED || text.windows(4).any(device) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desist.toml");
    std::fs::write(&file, text).unwrap();
    match Config::load(Some(&file), std::iter::empty()) {
        Ok(config) => {
            let settings = config.smtp_settings();
            assert!(!settings.hostname.is_empty());
            assert!(!config.domains().is_empty());
            assert!(!config.tenants().is_empty());
            let all = (config.streams(), config.mailboxes(), config.warnings());
            drop((all, config.store_config(), config.journal_config()));
            let url = config.public_url(([127, 0, 0, 1], 443).into());
            assert!(url.starts_with("http") && !url.ends_with('/'), "{url}");
        }
        Err(mistakes) => {
            assert!(!mistakes.0.is_empty());
            for mistake in &mistakes.0 {
                assert!(!mistake.to_string().is_empty());
            }
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let example = example();
    // Every key set, as somebody would who takes the marks away.
    let set = |line| {
        let Some(rest) = str::strip_prefix(line, "#") else {
            return line;
        };
        let begins = |c: char| c.is_alphabetic() || c == '[';
        if rest.starts_with(begins) { rest } else { line }
    };
    let all: Vec<&str> = example.lines().map(set).collect();
    vec![example.as_bytes().to_vec(), all.join("\n").into_bytes()]
}
