//! What a server's answer says, wherever it is quoted: reply code (RFC 5321 §4.2), enhanced status
//! code (RFC 3463 §2), step of the dialogue, and who said it.

use std::sync::LazyLock;

use super::phrases::Phrases;
use crate::model::bounce::Stage;

/// Octets of one text that are looked at.
pub const MAX_REPLY: usize = 4 * 1024;

/// How programs say at which step a server answered, lower-case, the more telling first.
const STAGES: [(&str, Stage); 76] = [
    ("in reply to end of data", Stage::EndOfData),
    ("in reply to bdat", Stage::EndOfData),
    ("in reply to data", Stage::Data),
    ("in reply to rcpt", Stage::Rcpt),
    ("in reply to mail", Stage::Mail),
    ("in reply to ehlo", Stage::Ehlo),
    ("in reply to helo", Stage::Ehlo),
    ("in reply to auth", Stage::Auth),
    ("in reply to starttls", Stage::Tls),
    ("after end of data", Stage::EndOfData),
    ("after sending data block", Stage::EndOfData),
    ("after data", Stage::Data),
    ("after rcpt", Stage::Rcpt),
    ("after pipelined rcpt", Stage::Rcpt),
    ("after mail from", Stage::Mail),
    ("after pipelined mail", Stage::Mail),
    ("after ehlo", Stage::Ehlo),
    ("after helo", Stage::Ehlo),
    ("after starttls", Stage::Tls),
    ("after auth", Stage::Auth),
    ("after initial connection", Stage::Connect),
    ("did not like our final data", Stage::EndOfData),
    ("did not like our data", Stage::Data),
    ("did not like our rcpt", Stage::Rcpt),
    ("did not like our mail", Stage::Mail),
    ("did not like our ehlo", Stage::Ehlo),
    ("did not like our helo", Stage::Ehlo),
    ("does not like recipient", Stage::Rcpt),
    ("failed after i sent the message", Stage::EndOfData),
    ("failed on data command", Stage::Data),
    ("but sender was rejected", Stage::Mail),
    ("but my name was rejected", Stage::Ehlo),
    ("but greeting failed", Stage::Connect),
    ("for text command", Stage::EndOfData),
    ("for rcpt command", Stage::Rcpt),
    ("for mail command", Stage::Mail),
    ("for data command", Stage::Data),
    ("refused to accept your message (data)", Stage::EndOfData),
    ("refused to talk to me", Stage::Connect),
    ("body of message generated response", Stage::EndOfData),
    ("body of message generated following", Stage::EndOfData),
    ("rcpt to generated", Stage::Rcpt),
    ("mail from generated", Stage::Mail),
    ("while sending end of data", Stage::EndOfData),
    ("while sending message body", Stage::EndOfData),
    ("while sending rcpt", Stage::Rcpt),
    ("while sending mail from", Stage::Mail),
    ("while sending data", Stage::Data),
    ("while performing the ehlo", Stage::Ehlo),
    ("while performing the helo", Stage::Ehlo),
    (
        "while receiving the initial server greeting",
        Stage::Connect,
    ),
    ("while reading the initial", Stage::Connect),
    ("smtp:rcpt host", Stage::Rcpt),
    ("smtp:mail host", Stage::Mail),
    ("smtp:data host", Stage::EndOfData),
    ("response to rcpt", Stage::Rcpt),
    ("response to mail", Stage::Mail),
    ("response to data", Stage::EndOfData),
    ("response to end of data", Stage::EndOfData),
    ("sent: rcpt to", Stage::Rcpt),
    ("sent: mail from", Stage::Mail),
    ("sent <<< rcpt to", Stage::Rcpt),
    ("sent <<< mail from", Stage::Mail),
    ("sent <<< data", Stage::Data),
    ("[rcpt_to]", Stage::Rcpt),
    ("[mail_from]", Stage::Mail),
    ("[data]", Stage::Data),
    (">>> rcpt to", Stage::Rcpt),
    (">>> mail from", Stage::Mail),
    (">>> data", Stage::Data),
    (">>> ehlo", Stage::Ehlo),
    (">>> helo", Stage::Ehlo),
    ("command rcpt to", Stage::Rcpt),
    ("command mail from", Stage::Mail),
    ("smtp command data", Stage::EndOfData),
    ("smtp command rcpt", Stage::Rcpt),
];

static STAGE_PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let phrases = STAGES.iter().map(|(phrase, _)| (*phrase).to_owned());
    Phrases::new(phrases.collect())
});

/// As much of an answer as is looked at.
pub fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_REPLY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The codes of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes {
    /// 200 to 599.
    pub reply: Option<u16>,
    /// `class.subject.detail`.
    pub enhanced: Option<String>,
}

/// The codes that `text` quotes. The first pair of both wins, because text around an answer has
/// numbers too; else the first of each.
pub fn codes(text: &str) -> Codes {
    let mut found = Codes::default();
    let mut good = Codes::default();
    for (at, word) in words(text) {
        if let Some(code) = enhanced(word) {
            let kept = if code.starts_with('2') {
                &mut good
            } else {
                &mut found
            };
            kept.enhanced.get_or_insert(code);
        } else if let Some((code, rest, led)) = reply_at(text, at, word) {
            let own = after_reply(rest);
            if !led && own.is_none() {
                continue;
            }
            // In a transcript most answers are good.
            if code < 400 {
                good.reply.get_or_insert(code);
                continue;
            }
            let telling = found
                .enhanced
                .as_deref()
                .is_some_and(|code| !code.ends_with(".0"));
            if own.is_some() && !telling {
                return Codes {
                    reply: Some(code),
                    enhanced: own,
                };
            }
            found.reply.get_or_insert(code);
        }
        if found.reply.is_some() && found.enhanced.is_some() {
            break;
        }
    }
    if found == Codes::default() {
        good
    } else {
        found
    }
}

/// The step that `text` names.
pub fn stage(text: &str) -> Option<Stage> {
    let found = STAGE_PHRASES.first_in(text)?;
    STAGES.get(found).map(|(_, stage)| *stage)
}

/// The server that `text` names before its answer: `host NAME[IP] said:`, `host NAME [IP]: …`.
pub fn host(text: &str) -> Option<String> {
    for (lead, _) in text.match_indices("host ") {
        let before = text.get(..lead).unwrap_or_default();
        let rest = text.get(lead + 5..).unwrap_or_default();
        let name: &str = rest
            .split(|c: char| c.is_whitespace() || matches!(c, '[' | ':' | ']' | '(' | ','))
            .next()
            .unwrap_or_default();
        let after = rest.get(name.len()..).unwrap_or_default();
        let says = after.starts_with([':', '[']) || after.trim_start().starts_with('[');
        let begins = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        if begins && says && name.contains('.') && !name.contains('@') {
            return Some(name.to_owned());
        }
    }
    None
}

/// The enhanced code that a word is, with what some put around it. Of a detail beyond 999 only the
/// class is kept (RFC 3463 §2).
pub fn enhanced(word: &str) -> Option<String> {
    let word = word.trim_start_matches(['#', ':', '(', '[', '<', '\'', '"', ' ']);
    let end = word
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(word.len());
    let (code, after) = word.split_at_checked(end)?;
    if after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@' || c == '_') {
        return None;
    }
    let mut numbers = code.trim_end_matches('.').split('.');
    let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let digits = |text: &str| (1..=4).contains(&text.len());
    if numbers.next().is_some()
        || !matches!(class, "2" | "4" | "5")
        || !digits(subject)
        || !digits(detail)
    {
        return None;
    }
    let (subject, detail): (u16, u16) = (subject.parse().ok()?, detail.parse().ok()?);
    if subject > 999 || detail > 999 {
        return Some(format!("{class}.0.0"));
    }
    Some(format!("{class}.{subject}.{detail}"))
}

/// Words with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split([' ', '\t', '\n', '\r']).filter_map(move |word| {
        let begin = at;
        at += word.len() + 1;
        word.bytes()
            .any(|byte| byte.is_ascii_digit())
            .then_some((begin, word))
    })
}

/// A reply code at the beginning of the word at `at`, the text behind it, and whether what stands in
/// front lets an answer begin there.
fn reply_at<'a>(text: &'a str, at: usize, word: &str) -> Option<(u16, &'a str, bool)> {
    let inner = word.trim_start_matches(['(', '[', '<', '"', '\'', ':', '#']);
    let at = at + (word.len() - inner.len());
    let digits = inner.get(..3)?;
    let code: u16 = digits.parse().ok()?;
    let rest = text.get(at + 3..)?;
    let ends =
        rest.is_empty() || rest.starts_with([' ', '-', ':', '\r', '\n', '\t', ')', ';', ',', '"']);
    let is_code = digits.bytes().all(|byte| byte.is_ascii_digit()) && (200..600).contains(&code);
    // `30-50` is a range, `421-4.7.0` and `550-User` are none.
    let range = rest.starts_with('-') && rest.get(1..).is_some_and(is_range_end);
    let before = text.get(..at).unwrap_or_default();
    let led = before.ends_with('\n')
        || before
            .trim_end()
            .chars()
            .next_back()
            .is_none_or(|c| ":;,<>()[]\"'-#".contains(c));
    (ends && is_code && !range).then_some((code, rest, led))
}

fn is_range_end(text: &str) -> bool {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    end > 0 && !text.get(end..).unwrap_or_default().starts_with('.')
}

/// The enhanced code that belongs to a reply code: directly behind it, or behind its repetition.
fn after_reply(rest: &str) -> Option<String> {
    let rest = rest.get(1..)?.trim_start();
    let word = rest.split_whitespace().next()?;
    if let Some(code) = enhanced(word) {
        return Some(code);
    }
    let (again, rest) = rest.split_at_checked(3)?;
    let repeated = again.bytes().all(|byte| byte.is_ascii_digit());
    let word = rest.get(1..)?.split_whitespace().next()?;
    repeated.then(|| enhanced(word)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    // D-011, D-012, D-060
    #[test]
    fn codes_are_found_where_they_are_quoted() {
        for (text, reply, code) in [
            (
                "550 5.1.1 <a@b.example>... User unknown",
                Some(550),
                Some("5.1.1"),
            ),
            ("550-5.1.1 The email account", Some(550), Some("5.1.1")),
            ("550 #5.1.0 Address rejected.", Some(550), Some("5.1.0")),
            (
                "host mx.example [192.0.2.20]: 554 5.7.0 Header error",
                Some(554),
                Some("5.7.0"),
            ),
            (
                "550 550 5.7.1 <a@b.example>... Access denied",
                Some(550),
                Some("5.7.1"),
            ),
            (
                "5.1.0 - Unknown address error 550-'5.1.1 <a@b.example>: gone'",
                Some(550),
                Some("5.1.1"),
            ),
            (
                "Sorry, no mailbox here by that name. (#5.1.1)",
                None,
                Some("5.1.1"),
            ),
            ("554 5.7.606 Access denied", Some(554), Some("5.7.606")),
            ("550 5.7.1000 odd", Some(550), Some("5.0.0")),
            (
                "550: 5.1.1 <a@b.example>... User Unknown",
                Some(550),
                Some("5.1.1"),
            ),
            (
                "ERROR_CODE :550, ERROR_CODE :5.2.1 gone",
                Some(550),
                Some("5.2.1"),
            ),
            ("421 4.7.0 [TSS04] deferred", Some(421), Some("4.7.0")),
            ("552 too much mail data", Some(552), None),
            ("message of 500 octets", None, None),
            (
                "with the following error message: 550 5.4.6 loop",
                Some(550),
                Some("5.4.6"),
            ),
            (
                "on 2026-04-29 from 192.0.2.55, version 5.5.1960.3",
                None,
                None,
            ),
            ("took 300-500 ms", None, None),
            ("", None, None),
        ] {
            let expected = Codes {
                reply,
                enhanced: code.map(str::to_owned),
            };
            assert_eq!(codes(text), expected, "{text}");
        }
    }

    #[test]
    fn enhanced_codes_are_read_with_what_stands_around_them() {
        for (word, code) in [
            ("5.1.1", Some("5.1.1")),
            ("#5.1.1", Some("5.1.1")),
            ("5.1.01", Some("5.1.1")),
            ("5.0.911", Some("5.0.911")),
            ("5.1.1:", Some("5.1.1")),
            ("(#4.4.1)", Some("4.4.1")),
            ("5.5.1960.3", None),
            ("3.1.1", None),
            ("5.1", None),
            ("5.1.x", None),
            ("10.90.23.11", None),
        ] {
            assert_eq!(enhanced(word).as_deref(), code, "{word}");
        }
    }

    // D-012, D-064
    #[test]
    fn the_step_and_the_server_are_told() {
        let text = "host mx.example.com[192.0.2.1] said: 550 no (in reply to end of DATA command)";
        assert_eq!(stage(text), Some(Stage::EndOfData));
        assert_eq!(host(text).as_deref(), Some("mx.example.com"));
        let text = "SMTP error from remote mail server after RCPT TO:<a@b.example>: host mx.b.example [192.0.2.2]: 550 no";
        assert_eq!(stage(text), Some(Stage::Rcpt));
        assert_eq!(host(text).as_deref(), Some("mx.b.example"));
        assert_eq!(stage("no such user"), None);
        assert_eq!(host("the host of a party"), None);
    }

    #[test]
    fn no_stage_hides_another() {
        for (index, (phrase, stage)) in STAGES.iter().enumerate() {
            assert_eq!(super::stage(phrase), Some(*stage), "{index} {phrase}");
        }
    }
}
