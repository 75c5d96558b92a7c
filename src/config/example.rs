//! Prints the manual of all settings: `config/example.toml`.

use super::section::{Part, PartKind, Section as _};
use super::sections::Config;

/// The whole file. It is valid as it stands, and changes nothing: every key is commented out.
pub fn example() -> String {
    let mut out = HEAD.to_owned();
    parts(&mut out, "", &Config::parts(), false);
    out
}

fn parts(out: &mut String, path: &str, parts: &[Part], commented: bool) {
    for part in parts {
        out.push('\n');
        for line in part.about {
            out.push('#');
            out.push_str(line);
            out.push('\n');
        }
        let below = join(path, part.name);
        match &part.kind {
            PartKind::Key(value) => line(out, &format!("{} = {value}", part.name), true),
            PartKind::Unset(sample) => line(out, &format!("{} = {sample}", part.name), true),
            PartKind::Section(inner) => {
                line(out, &format!("[{below}]"), commented);
                self::parts(out, &below, inner, commented);
            }
            PartKind::Tables(inner) => {
                line(out, &format!("[[{below}]]"), true);
                self::parts(out, &below, inner, true);
            }
        }
    }
}

fn line(out: &mut String, text: &str, commented: bool) {
    if commented {
        out.push('#');
    }
    out.push_str(text);
    out.push('\n');
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

const HEAD: &str = "\
# The settings of desist. Every key is shown with its default, or with a sample where it has none,
# and none needs to be set.
#
# Any key can also be set by an environment variable, which wins over this file: DESIST_, the
# section, two underscores, the key; for instance DESIST_SMTP__LISTEN=192.0.2.1:25 (lists: separated
# by commas), or DESIST_DATA_DIR. Sizes are written \"50 MiB\", durations \"5 min\".
#
# Printed by `desist config example`; `desist config check FILE` finds every mistake.
";
