//! `desist check --file`: a list of any length, answered line by line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::CheckArgs;
use crate::cli::client::{Client, ClientError, Outcome, if_read};

/// How the last line of an answer begins.
const END: &[u8] = b"# end ";
/// The longest line of an answer: that of the longest address in its longest form, and more.
const LONGEST: u64 = 64 * 1024;

/// What the last line says.
struct End {
    suppressed: u64,
    errors: u64,
    checked: u64,
    /// Its members, as text.
    said: Vec<(String, String)>,
}

/// Sends the file, or standard input for `-`, and prints the lines that come back. What they come
/// to goes to `notes`.
pub(super) fn run(
    args: &CheckArgs,
    file: &Path,
    client: &Client,
    (out, notes): (&mut dyn Write, &mut dyn Write),
) -> Result<Outcome, ClientError> {
    let unknown = |cause| ClientError::NotAsked(Box::new(cause));
    let mut source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let opened = File::open(file).map_err(|cause| ClientError::Input {
            path: file.to_path_buf(),
            cause,
        });
        Box::new(opened.map_err(unknown)?)
    };
    let stream = args.stream.map(|stream| format!("&stream={stream}"));
    let wanted = if args.suppressed {
        "suppressed"
    } else {
        "allowed"
    };
    let path = format!("/v1/check?return={wanted}{}", stream.unwrap_or_default());
    let answer = client.post_lines(&path, &mut source).map_err(unknown)?;
    let end = print(BufReader::new(answer), client, out)?;
    let told = if client.json {
        let members = end.said.iter().map(|(name, value)| {
            let number = value.parse::<u64>().map(Value::from);
            (
                name.clone(),
                number.unwrap_or_else(|_text| value.as_str().into()),
            )
        });
        Value::Object(members.collect::<Map<_, _>>()).to_string()
    } else {
        let members = end
            .said
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        members.collect::<Vec<_>>().join(" ")
    };
    if_read(writeln!(notes, "{told}").map_err(ClientError::Output))?;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    match (end.errors, end.suppressed) {
        (0, 0) => Ok(Outcome::Yes),
        (0, _) => Ok(Outcome::No),
        (unknown, _) => Err(ClientError::Unchecked {
            unknown: count(unknown),
            all: count(end.checked),
        }),
    }
}

/// Prints all lines but the last, which must be the end: without it nothing was said.
fn print(
    mut answer: impl io::BufRead,
    client: &Client,
    out: &mut dyn Write,
) -> Result<End, ClientError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut answer).take(LONGEST).read_until(b'\n', &mut line);
        match read {
            Ok(0) | Err(_) => return Err(ClientError::Void),
            Ok(_) => {}
        }
        if let Some(end) = line.strip_prefix(END) {
            let end = std::str::from_utf8(end).ok().and_then(read_end);
            out.flush()?;
            return end.ok_or_else(|| client.stranger());
        }
        out.write_all(&line)?;
    }
}

fn read_end(text: &str) -> Option<End> {
    let pairs = text.strip_suffix('\n')?.split(' ');
    let said: Vec<(String, String)> = pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let number = |wanted: &str| {
        let value = said.iter().find(|(name, _)| name == wanted);
        value.and_then(|(_, value)| value.parse().ok())
    };
    Some(End {
        checked: number("checked")?,
        suppressed: number("suppressed")?,
        errors: number("errors")?,
        said,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read_and_any_other_is_no_end() {
        let end = read_end("checked=3 suppressed=1 errors=0 as_of=2026-11-21T12:00:05.123Z\n");
        let end = end.unwrap();
        assert_eq!((end.checked, end.suppressed, end.errors), (3, 1, 0));
        for text in [
            "",
            "\n",
            "checked=3 suppressed=1\n",
            "checked=3 suppressed=1 errors=0",
        ] {
            assert!(read_end(text).is_none(), "{text:?}");
        }
    }
}
