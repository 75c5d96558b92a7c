//! Automatic replies (RFC 3834): recognised where several signs agree, because one sign alone also
//! stands in bounces, notifications and Apple's opt-outs.

mod subjects;

use super::asserted;
use super::header::Header;
use subjects::{ANYWHERE, SUBJECTS};

/// Fields that only programs for automatic replies write.
const OWN_FIELDS: [&str; 5] = [
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-vacation",
];

/// Local parts of programs that report on delivery: what they write is no reply of a person.
const DAEMONS: [&str; 4] = ["mailer-daemon", "postmaster", "mail-daemon", "mdaemon"];

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// The mail says so itself, and something else agrees.
    Clear,
    /// It looks like one, and an opt-out could look the same.
    Likely,
}

/// How sure it is that this is an automatic reply; `None` if nothing or too little says so. Whether
/// its envelope has the null sender (RFC 3834 §3.3) is told, because the mail may not say it.
pub fn certainty(header: &Header, subject: &str, null_sender: bool) -> Option<Certainty> {
    let says_so = subject_says_so(subject);
    let own = has_own_mark(header);
    let replied = automatic(header) == Some(Automatic::Replied);
    let null_sender = null_sender || has_null_return_path(header);
    // People answer mails too, under any Subject: that supports only what a program has marked.
    let answers = header.has("in-reply-to") || header.has("references");
    let shared = supporting(header);
    let supporting = shared + usize::from(null_sender) + usize::from(answers && (own || replied));
    // A person's mail never has the null sender, and a daemon's has another author. Lists have it
    // for bounces, and say that they are one.
    let person = !is_delivery_notice(header) && !has_list_fields(header);
    match (says_so || own, replied, supporting) {
        (true, true, _) | (true, _, 1..) => Some(Certainty::Clear),
        _ if says_so && own => Some(Certainty::Clear),
        (true, false, 0) | (false, true, 1..) => Some(Certainty::Likely),
        (false, false, _) if null_sender && shared > 0 && person => Some(Certainty::Likely),
        (false, ..) => None,
    }
}

fn has_null_return_path(header: &Header) -> bool {
    header
        .first("return-path")
        .is_some_and(|path| path.starts_with("<>"))
}

fn has_list_fields(header: &Header) -> bool {
    ["list-id", "list-unsubscribe", "list-post"]
        .iter()
        .any(|name| header.has(name))
}

#[derive(PartialEq)]
enum Automatic {
    /// `auto-replied`: an answer to one mail.
    Replied,
    /// Any other value but `no`.
    Generated,
}

fn automatic(header: &Header) -> Option<Automatic> {
    let value = header.first("auto-submitted")?;
    let word = value
        .split([';', ' ', '('])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match word.as_str() {
        "no" => None,
        "auto-replied" => Some(Automatic::Replied),
        _ => Some(Automatic::Generated),
    }
}

fn has_own_mark(header: &Header) -> bool {
    let is = |name: &str, word: &str| {
        header
            .first(name)
            .is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    OWN_FIELDS
        .iter()
        .any(|name| header.has(name) && !is(name, "no"))
        || is("precedence", "auto_reply")
        || is("precedence", "auto-reply")
        || is("x-apple-action", "vacation")
}

fn subject_says_so(subject: &str) -> bool {
    let subject = subject.to_lowercase();
    let subject = subject.trim_start_matches(|c: char| c.is_whitespace() || "[(【「".contains(c));
    // A tag that a gateway puts in front may be closed before the words begin.
    let behind_tag = subject
        .split_once([']', ')', '】', '」'])
        .map(|(_, rest)| rest.trim_start());
    let begins = |text: &str| SUBJECTS.iter().any(|beginning| text.starts_with(beginning));
    begins(subject)
        || behind_tag.is_some_and(begins)
        || ANYWHERE.iter().any(|text| subject.contains(text))
}

/// Whether a program says that it wrote the mail, whatever kind of program.
pub(super) fn is_automatic(header: &Header) -> bool {
    automatic(header).is_some() || has_own_mark(header) || supporting(header) > 0
}

/// Signs that an automatic reply shares with other mail.
fn supporting(header: &Header) -> usize {
    let precedence = header
        .first("precedence")
        .unwrap_or_default()
        .to_ascii_lowercase();
    [
        automatic(header) == Some(Automatic::Generated),
        matches!(precedence.as_str(), "bulk" | "junk"),
        header.has("x-auto-response-suppress"),
        // Exchange, of rules that answer and of rules that forward.
        header.has("x-ms-exchange-inbox-rules-loop"),
    ]
    .into_iter()
    .filter(|sign| *sign)
    .count()
}

/// Whether a mail server wrote it about a delivery, not a program that answers for a person: the
/// author is a daemon, with or without domain, or the null address.
pub fn is_delivery_notice(header: &Header) -> bool {
    let from = header
        .first("from")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let local = match asserted::author(header) {
        Some(author) => author.local().to_owned(),
        None => from.trim_matches(['<', '>']).to_owned(),
    };
    header.has("x-failed-recipients") || from == "<>" || DAEMONS.contains(&local.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::encoded_words::decode_words;

    fn of(text: &str) -> Option<Certainty> {
        let (header, _) = Header::scan(text.as_bytes());
        let subject = header
            .all("subject")
            .next()
            .map_or(String::new(), |s| decode_words(s.raw(), None));
        certainty(&header, &subject, false)
    }

    // C-041
    #[test]
    fn several_signs_make_an_automatic_reply() {
        for subject in [
            "Automatic reply: News",
            "Out of Office: News",
            "=?ISO-2022-JP?B?GyRCPCtGMDF+RXobKEI=?=: News",
            "不在のお知らせ",
            "【自動返信】News",
            "[Automatyczna odpowiedź] News",
            "Away until May 5",
            "Abwesenheitsnotiz: News",
            "Réponse automatique : News",
            "Respuesta automática: News",
            "AUTO: Alice Doe is out of the office (returning 5.11.2026)",
            "[EXTERNAL] Automatic reply: News",
            "Alice Doe is out of the office",
            "자동 회신: News",
            "自动回复: News",
            "Автоматический ответ: News",
            "\u{1b}$B<+F01~Ez\u{1b}(B: News",
        ] {
            let with = |sign: &str| of(&format!("From: a@b.example\nSubject: {subject}\n{sign}"));
            for sign in [
                "Auto-Submitted: auto-replied",
                "Auto-Submitted: auto-generated; x=y",
                "Precedence: junk",
                "X-Auto-Response-Suppress: All",
                "Return-Path: <>",
            ] {
                assert_eq!(with(sign), Some(Certainty::Clear), "{subject} {sign}");
            }
            for sign in ["", "In-Reply-To: <a@b>", "References: <a@b>"] {
                assert_eq!(with(sign), Some(Certainty::Likely), "{subject} {sign}");
            }
        }
        for mark in [
            "X-Autoreply: yes",
            "X-Autorespond: x",
            "Precedence: auto_reply",
            "X-Apple-Action: vacation",
        ] {
            let alone = of(&format!("Subject: Re: News\n{mark}"));
            assert_eq!(alone, Some(Certainty::Likely), "{mark}");
            let with = of(&format!("Subject: Re: News\n{mark}\nIn-Reply-To: <a@b>"));
            assert_eq!(with, Some(Certainty::Clear), "{mark}");
        }
    }

    #[test]
    fn one_shared_sign_makes_none() {
        for text in [
            "Subject: unsubscribe\nAuto-Submitted: auto-replied",
            "Subject: News\nPrecedence: bulk\nList-Id: <a.b>",
            "Subject: Re: News\nAuto-Submitted: no\nIn-Reply-To: <a@b>",
            "Subject: News\nX-Auto-Response-Suppress: All\nAuto-Submitted: auto-generated",
            "Subject: I was out of office",
            "Subject: Re: Out of office",
            "Subject: [list] Weekly news\nPrecedence: bulk",
            "From: a@b.example\nReturn-Path: <>\nSubject: Thank you",
            "Return-Path: <>\nList-Id: <a.b>\nPrecedence: bulk\nSubject: News",
            "From: postmaster@b.example\nReturn-Path: <>\nPrecedence: bulk\nSubject: News",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        // RFC 3834 §3.3: the null sender, and a mark that it shares with other mail.
        let thanks = "From: a@b.example\nReturn-Path: <>\nPrecedence: bulk\nSubject: Thank you";
        assert_eq!(of(thanks), Some(Certainty::Likely));
        let (header, _) = Header::scan(b"From: a@b.example\nPrecedence: bulk\nSubject: Thank you");
        assert_eq!(
            certainty(&header, "Thank you", true),
            Some(Certainty::Likely)
        );
        assert_eq!(certainty(&header, "Thank you", false), None);
        for text in [
            "From: MAILER-DAEMON@b.example\nSubject: Out of office\nAuto-Submitted: auto-replied",
            "From: mailer-daemon\nAuto-Submitted: auto-replied",
            "From: <>\nAuto-Submitted: auto-replied\nIn-Reply-To: <a@b>",
            "X-Failed-Recipients: a@b\nAuto-Submitted: auto-replied\nIn-Reply-To: <a@b>",
        ] {
            assert!(
                is_delivery_notice(&Header::scan(text.as_bytes()).0),
                "{text}"
            );
        }
    }
}
