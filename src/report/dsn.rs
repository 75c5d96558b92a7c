//! The fields of a delivery status notification (RFC 3464, RFC 6533), read tolerantly: without
//! types, without blank lines between recipients or with too many, with fields left out.

use memchr::{memchr_iter, memmem};

use super::header::{self, Header};
use super::status::{Delivery, MAX_RECIPIENTS, Outcome};
use super::{mime, reply};
use crate::model::bounce::Action;

/// Fields that a recipient's block has at most once: where one comes again, another begins.
const ONCE: [&str; 3] = ["final-recipient", "original-recipient", "action"];

/// Fields of one recipient that are kept.
const MAX_BLOCK: usize = 64;

/// Fields that only a recipient's block has.
const OF_RECIPIENT: [&str; 8] = [
    "final-recipient",
    "original-recipient",
    "action",
    "status",
    "diagnostic-code",
    "remote-mta",
    "last-attempt-date",
    "will-retry-until",
];

/// What every text in ISO-2022-JP has.
const ESCAPE: &[u8] = b"\x1b$";

/// Reads the content of a status part.
pub(super) fn read(content: &[u8]) -> Delivery {
    let decoded = memmem::find(content, ESCAPE).map(|_| in_fields(content));
    let content = decoded.as_deref().map_or(content, str::as_bytes);
    let content = header::repair(content);
    let mut delivery = Delivery {
        format: "rfc3464".to_owned(),
        ..Delivery::default()
    };
    let mut blocks: Vec<Block> = Vec::new();
    let mut rest: &[u8] = &content;
    while !rest.is_empty() && blocks.len() <= MAX_RECIPIENTS {
        let (group, length) = Header::scan(rest);
        rest = rest.get(length..).unwrap_or_default();
        if delivery.reporting_mta.is_none() {
            delivery.reporting_mta = group.first("reporting-mta").and_then(|v| without_type(&v));
        }
        if delivery.envelope_id.is_none() {
            delivery.envelope_id = group.first("original-envelope-id");
        }
        sort_into(&mut blocks, &group);
    }
    blocks.truncate(MAX_RECIPIENTS);
    delivery.outcomes = blocks.iter().map(Block::outcome).collect();
    delivery
}

/// The content as text, each field for itself: Japanese programs write their diagnostics in
/// ISO-2022-JP and say so nowhere, and one who does not shift back to ASCII must not make the next
/// recipient's fields Japanese too.
fn in_fields(content: &[u8]) -> String {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while !rest.is_empty() {
        let end = memchr_iter(b'\n', rest)
            .map(|line_end| line_end + 1)
            .find(|next| !matches!(rest.get(*next), Some(b' ' | b'\t')))
            .unwrap_or(rest.len());
        let (field, others) = rest.split_at_checked(end).unwrap_or((rest, b""));
        // A line end within Japanese would become a part of it.
        let said = field.strip_suffix(b"\n").unwrap_or(field);
        let said = said.strip_suffix(b"\r").unwrap_or(said);
        text.push_str(&mime::decode(said, None));
        if said.len() < field.len() {
            text.push('\n');
        }
        rest = others;
    }
    text
}

/// The fields of one recipient.
#[derive(Debug, Default)]
struct Block {
    /// Names as they stand in [`OF_RECIPIENT`], with their values.
    fields: Vec<(&'static str, String)>,
}

/// Puts the recipients' fields of a group into blocks.
fn sort_into(blocks: &mut Vec<Block>, group: &Header) {
    let named = group.has("final-recipient") || group.has("original-recipient");
    // Some put a blank line between the fields of one recipient.
    let goes_on = !named
        && blocks.last().is_some_and(|block| {
            block.names_someone() && !(block.has("action") && group.has("action"))
        });
    let mut open = goes_on;
    for field in group.fields() {
        let Some(name) = OF_RECIPIENT.iter().find(|name| **name == field.name()) else {
            continue;
        };
        let again = ONCE.contains(name) && blocks.last().is_some_and(|block| block.has(name));
        if !open || again {
            blocks.push(Block::default());
            open = true;
        }
        if let Some(block) = blocks.last_mut()
            && block.fields.len() < MAX_BLOCK
        {
            block.fields.push((name, field.value()));
        }
        if blocks.len() > MAX_RECIPIENTS {
            return;
        }
    }
}

impl Block {
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| *known == name)
    }

    fn names_someone(&self) -> bool {
        self.has("final-recipient") || self.has("original-recipient")
    }

    fn first(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| *known == name);
        let first = values.find(|(_, value)| !value.is_empty());
        first.map(|(_, value)| value.as_str())
    }

    fn outcome(&self) -> Outcome {
        let diagnostic = self.first("diagnostic-code").map(Diagnostic::of);
        let given = self
            .first("status")
            .and_then(|text| text.split_whitespace().find_map(reply::enhanced));
        let text = diagnostic
            .as_ref()
            .map(|d| d.text.as_str())
            .unwrap_or_default();
        let codes = match &diagnostic {
            Some(diagnostic) if diagnostic.quotes_smtp => reply::codes(text),
            _ => reply::Codes::default(),
        };
        Outcome {
            address: self.first("final-recipient").and_then(recipient),
            original: self.first("original-recipient").and_then(recipient),
            action: self.action(given.as_deref()),
            status: more_telling(given, codes.enhanced),
            smtp_code: codes.reply,
            stage: reply::stage(text),
            remote_mta: self
                .first("remote-mta")
                .and_then(without_type)
                .or_else(|| reply::host(text)),
            diagnostic: diagnostic.map(|d| d.text).filter(|text| !text.is_empty()),
        }
    }

    /// The action as given, else what the status code's class says (RFC 3463 §2).
    fn action(&self, status: Option<&str>) -> Action {
        let word = self
            .first("action")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let beginnings = [
            ("fail", Action::Failed),
            ("delay", Action::Delayed),
            ("deliver", Action::Delivered),
            ("relay", Action::Relayed),
            ("expand", Action::Expanded),
        ];
        let given = beginnings
            .iter()
            .find(|(begins, _)| word.starts_with(begins));
        match (given, status.unwrap_or_default().bytes().next()) {
            (Some((_, action)), _) => *action,
            (None, Some(b'2')) => Action::Delivered,
            (None, Some(b'4')) => Action::Delayed,
            (None, _) => Action::Failed,
        }
    }
}

/// A Diagnostic-Code (RFC 3464 §2.3.6).
struct Diagnostic {
    text: String,
    /// Whether the text is an SMTP server's: only such a one has reply codes.
    quotes_smtp: bool,
}

impl Diagnostic {
    fn of(value: &str) -> Self {
        let (kind, text) = split_type(value);
        let text: String = reply::cut(text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let quotes_smtp = match kind.to_ascii_lowercase().as_str() {
            "" | "smtp" => true,
            // What a program printed is no answer of a server, unless it tells one.
            _ => text.contains(" said: ") || reply::codes(&text).enhanced.is_some(),
        };
        // A bare number is how a program ended (sysexits).
        let ended = kind.eq_ignore_ascii_case("x-unix")
            && !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit());
        let text = if ended {
            format!("exit status {text}")
        } else {
            text
        };
        Self { text, quotes_smtp }
    }
}

/// The given code, unless it says nothing and the other server's does: a reporter that knows no
/// better writes 5.0.0.
pub(super) fn more_telling(given: Option<String>, quoted: Option<String>) -> Option<String> {
    let vague = |code: &str| code.ends_with(".0.0") || code.split('.').nth(1) == Some("0");
    match (given, quoted) {
        (Some(given), Some(quoted)) if vague(&given) && !vague(&quoted) => Some(quoted),
        (Some(given), _) => Some(given),
        (None, quoted) => quoted,
    }
}

/// The value behind the type (RFC 3464 §2.1.2); some leave the type out.
fn split_type(value: &str) -> (&str, &str) {
    match value.split_once(';') {
        Some((kind, text)) if is_type(kind.trim()) => (kind.trim(), text.trim()),
        _ => ("", value.trim()),
    }
}

fn is_type(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

pub(super) fn without_type(value: &str) -> Option<String> {
    let (_, text) = split_type(value);
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whom a Final- or Original-Recipient names: without type, comment and brackets, an
/// internationalised address decoded (RFC 6533 §3).
fn recipient(value: &str) -> Option<String> {
    let (kind, text) = split_type(value);
    let text = text.trim();
    let bare = match (text.strip_prefix('<'), text.find('>')) {
        (Some(inner), Some(end)) => inner.get(..end - 1).unwrap_or(inner),
        _ => text.strip_suffix('>').unwrap_or(text),
    };
    // A comment behind an address is none of it.
    let bare = match bare.split_once(" (") {
        Some((address, _)) if address.contains('@') => address,
        _ => bare,
    };
    let bare = bare.trim();
    let decoded = if kind.eq_ignore_ascii_case("utf-8") {
        unescaped(bare)
    } else {
        bare.to_owned()
    };
    let bare = decoded.trim_matches('\'');
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Decodes `\x{HEX}` and xtext's `+HH` (RFC 6533 §3, RFC 3461 §4). What is no escape stays.
fn unescaped(text: &str) -> String {
    let mut decoded: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '+']) {
        let (before, escape) = rest.split_at_checked(at).unwrap_or((rest, ""));
        decoded.extend_from_slice(before.as_bytes());
        let (octets, length) = unicode_escape(escape)
            .or_else(|| xtext_escape(escape))
            .unwrap_or_else(|| (escape.bytes().take(1).collect(), 1));
        decoded.extend(octets);
        rest = escape.get(length..).unwrap_or_default();
    }
    decoded.extend_from_slice(rest.as_bytes());
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

fn unicode_escape(text: &str) -> Option<(Vec<u8>, usize)> {
    let hex = text.strip_prefix("\\x{")?;
    let end = hex.find('}').filter(|end| (2..=6).contains(end))?;
    let code = u32::from_str_radix(hex.get(..end)?, 16).ok()?;
    let char = char::from_u32(code).filter(|c| !c.is_control())?;
    Some((char.to_string().into_bytes(), end + 4))
}

fn xtext_escape(text: &str) -> Option<(Vec<u8>, usize)> {
    let hex = text.strip_prefix('+')?.get(..2)?;
    let upper = hex
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    let octet = u8::from_str_radix(hex, 16).ok().filter(|b| *b > b' ')?;
    upper.then_some((vec![octet], 3))
}
