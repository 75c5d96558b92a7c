//! `desist explain`: what a server's answer means. Asks no server.

use std::io::{self, Write};

use crate::judge::bounce::explain::{AnswerKind, Explanation, Language, explain_each};
use crate::judge::bounce::rules::Rules;
use crate::model::hidden::harmless;

/// Columns that a line is filled to.
const WIDTH: usize = 96;

/// Columns of what stands in front.
const LABEL: usize = 10;

/// Characters of what is explained that are printed above.
const HEADING: usize = 400;

/// Says what SMTP replies and status codes mean.
///
/// Give a reply or a code as it stands in a log or a bounce, for instance '550 5.7.1 Message refused'
/// or 5.2.2; several are explained one after the other, and of a whole bounce the answer about each
/// recipient.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ExplainArgs {
    /// What the server said; without quotes, words that begin no code go on with the text before
    #[arg(required = true, value_name = "TEXT")]
    texts: Vec<String>,
    /// The language of the explanation: en or ja
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    lang: Language,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    /// Prints an explanation of every text.
    pub(super) fn run(&self, rules: &Rules, out: &mut dyn Write) -> io::Result<()> {
        let texts = joined(&self.texts);
        let each = texts
            .iter()
            .flat_map(|text| explain_each(text, self.lang, rules));
        for (index, explanation) in each.enumerate() {
            if self.json {
                serde_json::to_writer(&mut *out, &explanation).map_err(io::Error::from)?;
                writeln!(out)?;
                continue;
            }
            if index > 0 {
                writeln!(out)?;
            }
            print(&explanation, self.lang, out)?;
        }
        Ok(())
    }
}

/// The texts: what stands behind codes alone belongs to them, and so does a word that begins no
/// code to the text before.
fn joined(words: &[String]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for word in words {
        let begins = word.starts_with(|c: char| c.is_ascii_digit());
        match texts.last_mut() {
            Some(last)
                if is_reply_code(last) || !begins && (is_codes(last) || !word.contains(' ')) =>
            {
                last.push(' ');
                last.push_str(word);
            }
            _ => texts.push(word.clone()),
        }
    }
    texts
}

fn is_reply_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_codes(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' '))
}

struct Words {
    labels: [&'static str; 7],
    permanent: [&'static str; 3],
    without_code: &'static str,
    empty: &'static str,
    who: [&'static str; 4],
}

const ENGLISH: Words = Words {
    labels: [
        "code", "means", "lasts", "address", "who acts", "do", "help",
    ],
    permanent: [
        "permanent: this mail is given up",
        "temporary: this mail may arrive when tried again",
        "not said",
    ],
    without_code: "none: judged by its words alone",
    empty: "(nothing)",
    who: [
        "the recipient",
        "you, the sender",
        "the receiving system",
        "nobody can",
    ],
};

const JAPANESE: Words = Words {
    labels: ["コード", "意味", "永続性", "宛先", "対応者", "対応", "参照"],
    permanent: [
        "恒久的なエラー（このメールは届きません）",
        "一時的なエラー（再送で届く可能性があります）",
        "示されていません",
    ],
    without_code: "なし（文言だけで判定しました）",
    empty: "（空）",
    who: [
        "受信者",
        "送信者（あなた）",
        "受信側システム",
        "対応できる人はいません",
    ],
};

fn print(explanation: &Explanation, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let words = match language {
        Language::English => &ENGLISH,
        Language::Japanese => &JAPANESE,
    };
    let pick = |texts: &[&'static str], at: usize| texts.get(at).copied().unwrap_or_default();
    let lasts = match explanation.permanent {
        Some(true) => 0,
        Some(false) => 1,
        None => 2,
    };
    let who = ["recipient", "sender", "receiver", "nobody"];
    let who = who
        .iter()
        .position(|who| *who == explanation.who)
        .unwrap_or(3);
    let of_code = |code: Option<String>, meaning: &Option<String>| match (code, meaning) {
        (Some(code), Some(meaning)) => Some(format!("{code}  {meaning}")),
        (code, _) => code,
    };
    let reply = of_code(
        explanation.smtp_code.map(|code| code.to_string()),
        &explanation.smtp_meaning,
    );
    let status = of_code(explanation.status.clone(), &explanation.status_meaning);
    let provider = match (&explanation.provider, &explanation.help) {
        (Some(provider), Some(help)) => Some(format!("{provider}: {help}")),
        (provider, _) => provider.clone(),
    };
    let refuses = matches!(explanation.answer, AnswerKind::Refusal | AnswerKind::Words);
    let meaning = if refuses {
        format!("{}: {}", explanation.class, explanation.meaning)
    } else {
        explanation.meaning.clone()
    };
    let without_code = explanation.answer == AnswerKind::Words;
    let lines = [
        (0, reply),
        (0, status),
        (0, without_code.then(|| words.without_code.to_owned())),
        (1, Some(meaning)),
        (1, Some(explanation.why.clone())),
        (2, refuses.then(|| pick(&words.permanent, lasts).to_owned())),
        (3, Some(explanation.follows.clone())),
        (4, refuses.then(|| pick(&words.who, who).to_owned())),
        (5, Some(explanation.next.clone())),
        (6, provider),
    ];
    writeln!(out, "{}", heading(&explanation.text, words.empty))?;
    let mut before = None;
    for (label, text) in lines {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            continue;
        };
        let name = if before == Some(label) {
            ""
        } else {
            pick(&words.labels, label)
        };
        before = Some(label);
        // What is explained may stand in the explanation.
        let text = harmless(&text);
        for (index, line) in filled(&text, WIDTH - LABEL - 2).iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let padding = " ".repeat(LABEL.saturating_sub(columns(name)));
            writeln!(out, "  {name}{padding}{line}")?;
        }
    }
    Ok(())
}

/// What is explained, in one line of bounded length.
fn heading(text: &str, empty: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = harmless(&words.join(" "));
    match line.char_indices().nth(HEADING) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None if line.is_empty() => empty.to_owned(),
        None => line,
    }
}

/// How wide a text stands: East Asian characters take two columns.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| if c >= '\u{1100}' { 2 } else { 1 })
        .sum()
}

/// A text in lines of at most `width` columns, broken between words, or between East Asian
/// characters.
fn filled(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in pieces(text) {
        if !line.is_empty() && columns(&line) + columns(word.trim_end()) > width {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Pieces between which a line may break, each with the white space behind it.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let end = at + char.len_utf8();
        let next = chars.peek().map(|(_, next)| *next);
        let wide =
            char >= '\u{3040}' && next.is_some_and(|c| c >= '\u{3040}' && !"。、）」".contains(c));
        let space = char == ' ' && next != Some(' ');
        if wide || space {
            pieces.extend(text.get(begin..end));
            begin = end;
        }
    }
    pieces.extend(text.get(begin..));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hidden::is_hidden;

    fn printed(texts: &[&str], lang: Language, json: bool) -> String {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        let mut out = Vec::new();
        ExplainArgs { texts, lang, json }
            .run(Rules::embedded(), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_is_laid_out_for_people() {
        let text = printed(
            &["550", "5.1.1", "User", "unknown"],
            Language::English,
            false,
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "550 5.1.1 User unknown");
        assert!(
            lines[1].starts_with("  code      550  Mailbox unavailable"),
            "{text}"
        );
        assert_eq!(
            lines[2],
            "            5.1.1  Bad destination mailbox address"
        );
        assert!(text.contains("  lasts     permanent"), "{text}");
        assert!(text.contains("  who acts  nobody can"), "{text}");
        assert!(lines.iter().all(|line| columns(line) <= WIDTH), "{text}");
    }

    #[test]
    fn what_is_said_twice_is_printed_once() {
        for (text, told) in [
            ("550 5.1.1", "Nobody is at that address."),
            ("452 4.2.2", "The mailbox holds no more."),
            ("599 5.9.9", "Nothing says why."),
        ] {
            let text = printed(&[text], Language::English, false);
            assert_eq!(text.matches(told).count(), 1, "{text}");
        }
    }

    #[test]
    fn a_text_without_code_is_no_answer() {
        for text in [
            "hello",
            "",
            " \n",
            "please remove me",
            "the 550 to Main Street",
        ] {
            let told = printed(&[text], Language::English, false);
            let lines: Vec<_> = told.lines().collect();
            assert!(
                lines[1].starts_with("  means     No server's answer"),
                "{told}"
            );
            assert!(
                lines[2..].iter().all(|line| !line.contains("address")),
                "{told}"
            );
        }
        let told = printed(&["User unknown"], Language::English, false);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[1], "  code      none: judged by its words alone");
    }

    #[test]
    fn a_delay_is_no_end() {
        let notification = include_str!("../../fixtures/bounce/dsn-delayed-5.1.1.eml");
        let told = printed(&[notification], Language::English, false);
        for line in [
            "bad-mailbox: ",
            "temporary",
            "still tried: ",
            "Let the mail be tried",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
    }

    #[test]
    fn a_long_text_is_one_line() {
        let text = format!("550 5.1.1 gone\r\n550 {}", "x ".repeat(2000));
        let told = printed(&[&text], Language::English, false);
        let first = told.lines().next().unwrap();
        assert!(first.starts_with("550 5.1.1 gone 550 x x"), "{first}");
        assert_eq!(first.chars().count(), HEADING + 1);
    }

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        let text = printed(
            &["550 5.7.1 \x1b]0;title\x07 blocked\u{202e} by Spamhaus \u{9b}2J"],
            Language::English,
            false,
        );
        let steers = |c: char| c != '\n' && is_hidden(c);
        assert!(!text.contains(steers), "{text:?}");
        assert!(text.starts_with("550 5.7.1 \u{fffd}]0;title"), "{text}");
    }

    #[test]
    fn japanese_stands_in_columns_too() {
        let text = printed(
            &["550 Unknown user a@docomo.ne.jp"],
            Language::Japanese,
            false,
        );
        assert!(text.contains("  意味      "), "{text}");
        assert!(
            text.lines().skip(1).all(|line| columns(line) <= WIDTH),
            "{text}"
        );
    }

    #[test]
    fn several_answers_are_told_apart() {
        let json = printed(
            &["5.2.2", "550 gone", "554", "5.7.1", "was blocked"],
            Language::English,
            true,
        );
        assert_eq!(json.lines().count(), 3);
        for line in json.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["class"].is_string() && value["mapped"]["sendgrid"].is_string());
        }
    }
}
