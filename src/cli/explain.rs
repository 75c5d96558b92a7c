//! `desist explain`: what a server's answer means. Asks no server.

use std::io::{self, Write};

use crate::judge::bounce::explain::{Explanation, Language, explain};
use crate::judge::bounce::rules::Rules;
use crate::model::hidden::harmless;

/// Columns that a line is filled to.
const WIDTH: usize = 96;

/// Columns of what stands in front.
const LABEL: usize = 10;

/// Says what SMTP replies and status codes mean.
///
/// Give a reply or a code as it stands in a log or a bounce, for instance '550 5.7.1 Message refused'
/// or 5.2.2; several are explained one after the other.
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
        for (index, text) in joined(&self.texts).iter().enumerate() {
            let explanation = explain(text, self.lang, rules);
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
    severity: [&'static str; 3],
    who: [&'static str; 4],
}

const ENGLISH: Words = Words {
    labels: [
        "code", "means", "lasts", "address", "who acts", "do", "help",
    ],
    permanent: [
        "permanent: trying again changes nothing",
        "temporary: it may arrive when tried again",
        "not said",
    ],
    severity: [
        "dead: stop mailing it",
        "counts against it: dead if it goes on for weeks",
        "no fault of the address",
    ],
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
        "恒久的なエラー（再送しても変わりません）",
        "一時的なエラー（再送で届く可能性があります）",
        "示されていません",
    ],
    severity: [
        "無効なアドレスです。送信を停止してください",
        "数週間続けば無効とみなします",
        "アドレスに問題はありません",
    ],
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
    let permanent = match explanation.permanent {
        Some(true) => 0,
        Some(false) => 1,
        None => 2,
    };
    let severity = match explanation.severity.as_str() {
        "hard" => 0,
        "soft" => 1,
        _ => 2,
    };
    let who = ["recipient", "sender", "receiver", "nobody"];
    let who = who
        .iter()
        .position(|who| *who == explanation.who)
        .unwrap_or(3);
    let pick = |texts: &[&'static str], at: usize| texts.get(at).copied().unwrap_or_default();
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
    let class = format!("{}: {}", explanation.class, explanation.meaning);
    let lines = [
        (0, reply),
        (0, status),
        (1, Some(class)),
        (1, Some(explanation.why.clone())),
        (2, Some(pick(&words.permanent, permanent).to_owned())),
        (3, Some(pick(&words.severity, severity).to_owned())),
        (4, Some(pick(&words.who, who).to_owned())),
        (5, Some(explanation.next.clone())),
        (6, provider),
    ];
    writeln!(out, "{}", harmless(&explanation.text))?;
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
