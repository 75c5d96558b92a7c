//! The forms in which mail servers ask, as values: octets in, questions out, answers written.
//!
//! | form | a question | an answer |
//! |---|---|---|
//! | socketmap | the netstring `LIST ADDRESS` | a netstring: `OK 550 …`, `NOTFOUND `, `TEMP …`, `PERM …` |
//! | policy | lines `name=value` and an empty one | `action=…` and an empty line |
//! | line | `check LIST ADDRESS` | one line: `allowed`, `suppressed …`, `invalid …`, `temporary …`, `unknown …` |
//!
//! The first two are Postfix's (`socketmap_table(5)`, `SMTPD_POLICY_README`), the third is for
//! Exim's `${readsocket}` and for people. The first octets of a connection tell which it speaks: a
//! digit, an attribute, or `check `.

use super::answer::Answer;
use crate::metrics::LookupForm as Form;

/// What somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question<'a> {
    /// How, and so how it is to be answered.
    pub(super) form: Form,
    /// Of which list: a stream, or all.
    pub(super) list: &'a [u8],
    /// Whom about. Empty if nobody in particular, as Postfix does after DATA.
    pub(super) key: &'a [u8],
}

/// It speaks none of the forms, or more than is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The first octets are none that are known.
    #[error("neither a netstring nor an attribute nor a line that begins with check")]
    Form,
    /// A netstring without length, comma or space.
    #[error("no netstring of a list and an address")]
    Netstring,
    /// A line that is no attribute, or no question.
    #[error("a line of another form")]
    Line,
    /// A question of more than [`MAX_QUESTION`] octets.
    #[error("a question of more than {MAX_QUESTION} octets")]
    Long,
}

/// Octets of one question. Addresses have up to 2,048 (as given); Postfix tells up to some forty
/// attributes beside them.
pub(super) const MAX_QUESTION: usize = 16 * 1024;

/// What has come and is not yet asked. Each octet is looked at once, however they come.
#[derive(Debug, Default)]
pub(super) struct Asker {
    octets: Vec<u8>,
    /// Up to here they have been asked.
    asked: usize,
    /// Up to here there is no end of the question that has begun.
    searched: usize,
    form: Option<Form>,
}

impl Asker {
    /// More octets.
    pub(super) fn take(&mut self, octets: &[u8]) {
        self.octets.drain(..self.asked.min(self.octets.len()));
        self.searched = self.searched.saturating_sub(self.asked);
        self.asked = 0;
        self.octets.extend_from_slice(octets);
    }

    /// The next question, once it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Question<'_>>, Malformed> {
        let rest = self.octets.get(self.asked..).unwrap_or_default();
        let Some(form) = self
            .form
            .map_or_else(|| form_of(rest), |form| Ok(Some(form)))?
        else {
            return Ok(None);
        };
        self.form = Some(form);
        let searched = self.searched.saturating_sub(self.asked);
        let length = match form {
            Form::Socketmap => netstring_length(rest)?,
            Form::Policy => end_of(rest, searched, b"\n\n"),
            Form::Line => end_of(rest, searched, b"\n"),
        };
        let length = match length {
            Some(length) if length <= MAX_QUESTION => length,
            None if rest.len() <= MAX_QUESTION => {
                self.searched = self.octets.len();
                return Ok(None);
            }
            _ => return Err(Malformed::Long),
        };
        let Some(octets) = rest.get(..length) else {
            return Ok(None);
        };
        self.asked = self.asked.saturating_add(length);
        self.searched = self.asked;
        let (list, key) = match form {
            Form::Socketmap => of_netstring(octets)?,
            Form::Policy => of_attributes(octets)?,
            Form::Line => of_line(octets)?,
        };
        Ok(Some(Question { form, list, key }))
    }
}

/// What a connection speaks; `None` until it can be told.
fn form_of(octets: &[u8]) -> Result<Option<Form>, Malformed> {
    match octets.first() {
        None => return Ok(None),
        Some(b'0'..=b'9') => return Ok(Some(Form::Socketmap)),
        Some(b'a'..=b'z') => {}
        Some(_) => return Err(Malformed::Form),
    }
    if octets.starts_with(CHECK) {
        Ok(Some(Form::Line))
    } else if CHECK.starts_with(octets) {
        Ok(None)
    } else {
        let name = octets
            .iter()
            .take_while(|octet| is_of_name(**octet))
            .count();
        match octets.get(name) {
            Some(b'=') => Ok(Some(Form::Policy)),
            None if name <= MAX_NAME => Ok(None),
            _ => Err(Malformed::Form),
        }
    }
}

/// Octets of a netstring with length and comma; `None` until its length is known.
fn netstring_length(octets: &[u8]) -> Result<Option<usize>, Malformed> {
    // No length that is allowed has more.
    const DIGITS: usize = 5;
    let digits = octets
        .iter()
        .take(DIGITS + 1)
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    match octets.get(digits) {
        _ if digits > DIGITS => return Err(Malformed::Long),
        None => return Ok(None),
        Some(b':') if digits > 0 => {}
        Some(_) => return Err(Malformed::Netstring),
    }
    let length = octets.get(..digits).and_then(|digits| {
        let text = std::str::from_utf8(digits).ok()?;
        text.parse::<usize>().ok()
    });
    length
        .map(|length| Some(digits.saturating_add(length).saturating_add(2)))
        .ok_or(Malformed::Netstring)
}

/// The first place behind `end`, of which nothing ends before `searched`.
fn end_of(octets: &[u8], searched: usize, end: &[u8]) -> Option<usize> {
    let from = searched.saturating_sub(end.len());
    let found = octets
        .get(from..)?
        .windows(end.len())
        .position(|window| window == end)?;
    Some(from.saturating_add(found).saturating_add(end.len()))
}

fn of_netstring(octets: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let colon = octets.iter().position(|octet| *octet == b':');
    let content = colon
        .and_then(|colon| octets.get(colon.saturating_add(1)..))
        .and_then(|content| content.strip_suffix(b","))
        .ok_or(Malformed::Netstring)?;
    split(content, b' ').ok_or(Malformed::Netstring)
}

/// `policy_context` is the list, all streams without it.
fn of_attributes(octets: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut list, mut key) = (&b""[..], &b""[..]);
    let lines = octets.strip_suffix(b"\n\n").unwrap_or_default();
    for line in lines.split(|octet| *octet == b'\n') {
        match split(line, b'=').ok_or(Malformed::Line)? {
            (b"policy_context", value) => list = value,
            (b"recipient", value) => key = value,
            _ => {}
        }
    }
    Ok((if list.is_empty() { ANY } else { list }, key))
}

fn of_line(octets: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let line = octets.strip_suffix(b"\n").unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(CHECK).ok_or(Malformed::Line)?;
    split(line, b' ').ok_or(Malformed::Line)
}

fn split(octets: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = octets.iter().position(|octet| *octet == at)?;
    let (before, behind) = octets.split_at_checked(place)?;
    Some((before, behind.get(1..)?))
}

const fn is_of_name(octet: u8) -> bool {
    octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_'
}

/// Writes an answer in the form in which was asked.
pub(super) fn write(form: Form, answer: &Answer, out: &mut Vec<u8>) {
    let text = match form {
        Form::Socketmap => {
            let content = match answer {
                Answer::Allowed => "NOTFOUND ".to_owned(),
                Answer::Suppressed(_) | Answer::NoAddress(_) => format!("OK {}", reply(answer)),
                Answer::Temporary(why) => format!("TEMP {why}"),
                Answer::UnknownList => format!("PERM {UNKNOWN}"),
            };
            format!("{}:{content},", content.len())
        }
        Form::Policy => format!("action={}\n\n", reply(answer)),
        Form::Line => match answer {
            Answer::Allowed => "allowed\n".to_owned(),
            Answer::Suppressed(hit) => format!(
                "suppressed {} {} {}\n",
                hit.reason,
                hit.scope,
                hit.since.to_seconds_text()
            ),
            Answer::NoAddress(error) => format!("invalid {error}\n"),
            Answer::Temporary(why) => format!("temporary {why}\n"),
            Answer::UnknownList => format!("unknown {UNKNOWN}\n"),
        },
    };
    out.extend_from_slice(text.as_bytes());
}

/// What Postfix is to do, as `access(5)` writes it (codes: RFC 3463 §3.2, §3.4, §3.8).
fn reply(answer: &Answer) -> String {
    match answer {
        Answer::Allowed => "DUNNO".to_owned(),
        Answer::Suppressed(hit) => format!(
            "550 5.7.1 not to be mailed: {}, {}, since {}",
            hit.reason,
            hit.scope,
            hit.since.to_seconds_text()
        ),
        Answer::NoAddress(error) => format!("550 5.1.3 {error}"),
        Answer::Temporary(why) => format!("451 4.3.0 {why}"),
        Answer::UnknownList => format!("451 4.3.5 {UNKNOWN}"),
    }
}

/// The list of every stream.
pub(super) const ANY: &[u8] = b"any";

/// How a question in a line begins.
const CHECK: &[u8] = b"check ";

/// Octets of the longest name of an attribute that a connection may begin with.
const MAX_NAME: usize = 64;

const UNKNOWN: &str = "no such list: give STREAM, TENANT/STREAM (numbers), any or TENANT/any";

#[cfg(test)]
mod tests;
