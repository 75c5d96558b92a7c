//! What a server's answer means, for people: in English and Japanese.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::code::{Code, CodePattern};
use super::mapping::Mapped;
use super::rules::Rules;
use crate::model::bounce::{Action, BounceClass, Severity};
use crate::model::words::words;
use crate::report::reply;
use crate::report::status::{Delivery, Outcome};

/// The texts.
const EMBEDDED: &str = include_str!("../explain.toml");

words! {
    /// A language that explanations are given in.
    pub enum Language as "language" {
        /// English.
        English = "en",
        /// Japanese.
        Japanese = "ja",
    }
}

impl Language {
    /// The first language of an Accept-Language field (RFC 9110 §12.5.4) that is known; else
    /// English. The order of the field counts, not its weights: browsers write both alike.
    pub fn accepted(field: &str) -> Self {
        let mut tags = field
            .split(',')
            .filter_map(|tag| tag.split([';', '-']).next());
        tags.find_map(|tag| tag.trim().to_ascii_lowercase().parse().ok())
            .unwrap_or(Self::English)
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer, as given.
    pub text: String,
    /// Its enhanced status code.
    pub status: Option<String>,
    /// What the registry says of that code.
    pub status_meaning: Option<String>,
    /// Its reply code.
    pub smtp_code: Option<u16>,
    /// What the standard says of that code.
    pub smtp_meaning: Option<String>,
    /// Why the mail was not delivered.
    pub class: BounceClass,
    /// What it says about the address.
    pub severity: Severity,
    /// Whether it is final; `None` if it is no refusal, or nothing says.
    pub permanent: Option<bool>,
    /// What the class means.
    pub meaning: String,
    /// Why it is taken so.
    pub why: String,
    /// The rule that decided.
    pub rule: String,
    /// Whose turn it is: `recipient`, `sender`, `receiver` or `nobody`.
    pub who: String,
    /// What to do next.
    pub next: String,
    /// Whose answer it is, for people.
    pub provider: Option<String>,
    /// The provider's own page about it.
    pub help: Option<String>,
    /// The same in the words of other systems.
    pub mapped: Mapped,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    #[expect(dead_code, reason = "for people and for later forms of the file")]
    version: u32,
    class: Vec<ClassText>,
    reply: Vec<ReplyText>,
    code: Vec<CodeText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassText {
    class: String,
    who: String,
    en: String,
    ja: String,
    next_en: String,
    next_ja: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyText {
    code: u16,
    en: String,
    ja: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeText {
    code: String,
    en: String,
    ja: String,
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| toml::from_str(EMBEDDED).unwrap_or_default());

/// Explains one answer. Pure and total; what stands behind [`reply::MAX_REPLY`] octets is not looked at.
pub fn explain(text: &str, language: Language, rules: &Rules) -> Explanation {
    let text = reply::cut(text.trim());
    let codes = reply::codes(text);
    // Its domain may tell whose answer it is.
    let address = text.split_whitespace().find(|word| word.contains('@'));
    let address = address.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned());
    let outcome = Outcome {
        address,
        original: None,
        action: Action::Failed,
        status: codes.enhanced,
        smtp_code: codes.reply.or_else(|| alone(text)),
        stage: reply::stage(text),
        diagnostic: Some(text.to_owned()),
        remote_mta: reply::host(text),
    };
    let delivery = Delivery::default();
    let assessment = rules.assess(&outcome, &delivery);
    let decided = rules.decide(&outcome, &delivery);
    let pick = |en: &str, ja: &str| match language {
        Language::Japanese if !ja.is_empty() => ja.to_owned(),
        _ => en.to_owned(),
    };
    let permanent = permanent(decided.code, outcome.smtp_code);
    let class = TEXTS
        .class
        .iter()
        .find(|own| own.class == assessment.class.as_str());
    let status_meaning = decided
        .code
        .and_then(meaning_of)
        .map(|own| pick(&own.en, &own.ja));
    let smtp_meaning = outcome.smtp_code.and_then(|code| {
        let own = TEXTS.reply.iter().find(|own| own.code == code)?;
        Some(pick(&own.en, &own.ja))
    });
    Explanation {
        text: text.to_owned(),
        status: decided.code.map(|code| code.to_string()),
        status_meaning,
        smtp_code: outcome.smtp_code,
        smtp_meaning,
        class: assessment.class,
        severity: assessment.severity,
        permanent,
        meaning: class.map(|own| pick(&own.en, &own.ja)).unwrap_or_default(),
        why: decided
            .rule
            .map(|rule| pick(&rule.why, &rule.ja))
            .unwrap_or_default(),
        who: class.map(|own| own.who.clone()).unwrap_or_default(),
        next: class
            .map(|own| pick(&own.next_en, &own.next_ja))
            .unwrap_or_default(),
        provider: decided.provider.map(|provider| provider.name.clone()),
        help: decided.provider.and_then(|provider| provider.help.clone()),
        mapped: super::mapping::of(assessment.class, permanent),
        rule: assessment.rule,
    }
}

/// Whether an answer with these codes is final; the finer one counts.
fn permanent(code: Option<Code>, reply: Option<u16>) -> Option<bool> {
    let class = code
        .map(|code| code.class)
        .or(reply.map(|reply| reply / 100))?;
    match class {
        4 => Some(false),
        5 => Some(true),
        _ => None,
    }
}

/// What the registry says of a code: of an unknown detail, what it says of its subject.
fn meaning_of(code: Code) -> Option<&'static CodeText> {
    let of = |code: Code| {
        TEXTS
            .code
            .iter()
            .find(|own| CodePattern::parse(&own.code).is_ok_and(|pattern| pattern.fits(code)))
    };
    of(code).or_else(|| of(Code { detail: 0, ..code }))
}

/// A text that is a reply code alone.
fn alone(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (200..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Explanation {
        explain(text, Language::English, Rules::embedded())
    }

    #[test]
    fn the_texts_are_whole() {
        let texts: Texts = toml::from_str(EMBEDDED).unwrap();
        for class in BounceClass::ALL {
            assert!(
                texts.class.iter().any(|own| own.class == class.as_str()),
                "{class}"
            );
        }
        for own in &texts.class {
            assert!(["recipient", "sender", "receiver", "nobody"].contains(&own.who.as_str()));
        }
        // The registry: details 0 to the last of each subject.
        for (subject, last) in [(1, 10), (2, 4), (3, 6), (4, 7), (5, 6), (6, 10), (7, 30)] {
            for detail in 0..=last {
                let code = format!("x.{subject}.{detail}");
                assert!(texts.code.iter().any(|own| own.code == code), "{code}");
            }
        }
        for own in &texts.code {
            assert!(CodePattern::parse(&own.code).is_ok(), "{}", own.code);
            assert!(!own.en.is_empty() && !own.ja.is_ascii());
        }
    }

    #[test]
    fn codes_and_old_texts_are_explained() {
        for (text, class, permanent) in [
            (
                "550 5.1.1 User unknown",
                BounceClass::BadMailbox,
                Some(true),
            ),
            (
                "450 4.2.2 Mailbox full",
                BounceClass::MailboxFull,
                Some(false),
            ),
            ("5.7.26", BounceClass::Authentication, Some(true)),
            ("User unknown", BounceClass::BadMailbox, None),
            ("Host unknown", BounceClass::BadDomain, None),
            ("has not found", BounceClass::BadMailbox, None),
            (
                "Message size exceeds remaining quota",
                BounceClass::MailboxFull,
                None,
            ),
            ("with the virus", BounceClass::Virus, None),
            (
                "exceeds maximum fixed size",
                BounceClass::MessageTooBig,
                None,
            ),
            (
                "Fragmented emails are not permitted",
                BounceClass::Content,
                None,
            ),
            ("552", BounceClass::MessageTooBig, Some(true)),
            ("", BounceClass::Undetermined, None),
        ] {
            let explanation = of(text);
            assert_eq!(
                (explanation.class, explanation.permanent),
                (class, permanent),
                "{text}: {}",
                explanation.rule
            );
            assert!(!explanation.meaning.is_empty() && !explanation.next.is_empty());
        }
    }

    #[test]
    fn an_unknown_detail_is_told_by_its_subject() {
        let explanation = of("550 5.7.606 Access denied, banned sending IP [192.0.2.1]");
        assert_eq!(
            explanation.status_meaning.as_deref(),
            Some("Other or undefined security status")
        );
        let explanation = of("550-5.1.1 gone - gsmtp");
        assert_eq!(
            explanation.provider.as_deref(),
            Some("Gmail, Google Workspace")
        );
        assert!(explanation.help.is_some());
        let explanation = of("550 Unknown user <a@docomo.ne.jp> (in reply to end of DATA command)");
        assert_eq!(explanation.class, BounceClass::Filtered);
    }

    #[test]
    fn the_language_is_chosen() {
        for (field, language) in [
            ("ja", Language::Japanese),
            ("ja-JP,ja;q=0.9,en;q=0.8", Language::Japanese),
            ("de, en;q=0.5", Language::English),
            ("fr", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::accepted(field), language, "{field}");
        }
        let explanation = explain("550 5.1.1", Language::Japanese, Rules::embedded());
        assert!(!explanation.meaning.is_ascii() && !explanation.next.is_ascii());
    }
}
