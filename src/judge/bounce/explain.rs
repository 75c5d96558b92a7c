//! What a server's answer means, for people: in English and Japanese.
//!
//! What follows for the address is asked of the table that judges bounces, and what to do follows
//! from that: the two cannot contradict each other.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::Assessment;
use super::code::{Code, CodePattern};
use super::mapping::Mapped;
use super::rules::{Decided, Rules};
use crate::judge::bounce_case::of_failure;
use crate::judge::delivery;
use crate::judge::table::Fate;
use crate::model::bounce::{Action, BounceClass, Severity};
use crate::model::event::Effect;
use crate::model::words::words;
use crate::report::status::{Delivery, Outcome};
use crate::report::{self, reply};

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

words! {
    /// What a text is, as an answer.
    pub enum AnswerKind as "answer" {
        /// A code refuses.
        Refusal = "refusal",
        /// It has no code, but words that are known of refusals.
        Words = "words",
        /// Its code takes the mail, or the next part of it.
        Success = "success",
        /// No server's answer is recognised in it.
        None = "none",
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer, as given.
    pub text: String,
    /// What it is, as an answer.
    pub answer: AnswerKind,
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
    /// Whether it is final for the mail; `None` if it is no refusal, or nothing says.
    pub permanent: Option<bool>,
    /// What a bounce with it does, if its token proves it: the name of an effect. `None` if it is no
    /// refusal.
    pub effect: Option<&'static str>,
    /// The same for people: what follows for the address. Empty where nothing does.
    pub follows: String,
    /// What the class means, or what it is instead of a refusal.
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
    answer: Vec<AnswerText>,
    effect: Vec<EffectText>,
    class: Vec<ClassText>,
    reply: Vec<ReplyText>,
    code: Vec<CodeText>,
}

/// What is no refusal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerText {
    answer: AnswerKind,
    en: String,
    ja: String,
    next_en: String,
    next_ja: String,
}

/// What a refusal does to the address, and what to do with it and with the mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EffectText {
    effect: String,
    en: String,
    ja: String,
    temporary_en: String,
    temporary_ja: String,
    permanent_en: String,
    permanent_ja: String,
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

impl Language {
    fn pick(self, en: &str, ja: &str) -> String {
        match self {
            Self::Japanese if !ja.is_empty() => ja.to_owned(),
            _ => en.to_owned(),
        }
    }

    /// Two sentences, of which either may be missing.
    fn join(self, first: &str, second: &str) -> String {
        let space = match self {
            Self::English if !first.is_empty() && !second.is_empty() => " ",
            _ => "",
        };
        [first, space, second].concat()
    }
}

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
    of_outcome(text, (&outcome, &Delivery::default()), language, rules)
}

/// Explains a text; of a whole notification each answer that it tells of, at most
/// [`MAX_ANSWERS`]. Never empty.
pub fn explain_each(text: &str, language: Language, rules: &Rules) -> Vec<Explanation> {
    if !begins_a_mail(text) {
        return vec![explain(text, language, rules)];
    }
    let told: Vec<Explanation> = match report::read(text.as_bytes()).what {
        report::What::Delivery(delivery) => {
            let failed = delivery.outcomes.iter().take(MAX_ANSWERS);
            failed
                .map(|outcome| {
                    let said = outcome.diagnostic.as_ref().or(outcome.status.as_ref());
                    let parts = [outcome.address.as_ref(), said].into_iter().flatten();
                    let parts: Vec<&str> = parts.map(String::as_str).collect();
                    of_outcome(&parts.join(" "), (outcome, &delivery), language, rules)
                })
                .collect()
        }
        _ => Vec::new(),
    };
    if told.is_empty() {
        vec![no_refusal(text, AnswerKind::None, language)]
    } else {
        told
    }
}

/// Answers of one notification that are explained.
pub const MAX_ANSWERS: usize = 100;

/// Whether a text is a mail and no answer: it begins with fields (RFC 5322 §2.2) or the first line
/// of an mbox, and has one that every mail has. A block of a notification has none of those.
fn begins_a_mail(text: &str) -> bool {
    let header = text
        .trim_start()
        .lines()
        .take_while(|line| !line.is_empty());
    let mut names = header.filter_map(|line| Some(line.split_once(':')?.0));
    let is_field = |name: &str| {
        let mut octets = name.bytes();
        !name.is_empty() && octets.all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    let first = names.next().unwrap_or_default();
    let begins = is_field(first) || first.starts_with("From ");
    let of_mails = ["from", "received", "return-path"];
    let of_mail = |name: &str| of_mails.iter().any(|own| name.eq_ignore_ascii_case(own));
    begins && (of_mail(first) || names.any(of_mail))
}

fn of_outcome(
    text: &str,
    (outcome, delivery): (&Outcome, &Delivery),
    language: Language,
    rules: &Rules,
) -> Explanation {
    let assessment = rules.assess(outcome, delivery);
    let decided = rules.decide(outcome, delivery);
    let fits_all = decided.rule.is_none_or(super::rules::Rule::fits_all);
    let coded = permanent(decided.code, outcome.smtp_code);
    let answer = match outcome.action {
        Action::Delivered | Action::Relayed | Action::Expanded => AnswerKind::Success,
        Action::Failed | Action::Delayed => match (decided.code, outcome.smtp_code) {
            (None, None) if fits_all => AnswerKind::None,
            (None, None) => AnswerKind::Words,
            _ if coded.is_some() => AnswerKind::Refusal,
            _ => AnswerKind::Success,
        },
    };
    let (fate, lasts) = match outcome.action {
        // Whatever its code says, it is tried on.
        Action::Delayed => (Fate::Delayed, Some(false)),
        // Whoever says that its time is over tries no more.
        _ if assessment.class == BounceClass::Expired => {
            (of_failure(&assessment, true), Some(true))
        }
        _ => (of_failure(&assessment, true), coded),
    };
    let about = match answer {
        AnswerKind::Success | AnswerKind::None => no_refusal(text, answer, language),
        AnswerKind::Words | AnswerKind::Refusal => refusal(
            (text, answer),
            (assessment, &decided),
            (fate, lasts),
            language,
        ),
    };
    let smtp_meaning = outcome.smtp_code.and_then(|code| {
        let own = TEXTS.reply.iter().find(|own| own.code == code)?;
        Some(language.pick(&own.en, &own.ja))
    });
    let status_meaning = decided.code.and_then(meaning_of);
    Explanation {
        status: decided.code.map(|code| code.to_string()),
        status_meaning: status_meaning.map(|own| language.pick(&own.en, &own.ja)),
        smtp_code: outcome.smtp_code,
        smtp_meaning,
        provider: decided.provider.map(|provider| provider.name.clone()),
        help: decided.provider.and_then(|provider| provider.help.clone()),
        ..about
    }
}

/// What a refusal means, and what the pipeline's own judgement of a bounce with it does.
fn refusal(
    (text, answer): (&str, AnswerKind),
    (assessment, decided): (Assessment, &Decided<'_>),
    (fate, lasts): (Fate, Option<bool>),
    language: Language,
) -> Explanation {
    let mut classes = TEXTS.class.iter();
    let class = classes.find(|own| own.class == assessment.class.as_str());
    let effects = delivery::if_proven(fate);
    let effect = effects.first().copied();
    let name = effect.map(Effect::as_str);
    let told = name.or((fate == Fate::Delayed).then_some("none"));
    let mut own = TEXTS.effect.iter();
    let follows = own.find(|own| Some(own.effect.as_str()) == told);
    let advice = follows.map(|own| match lasts {
        Some(false) => language.pick(&own.temporary_en, &own.temporary_ja),
        Some(true) | None => language.pick(&own.permanent_en, &own.permanent_ja),
    });
    let cause = class.map(|own| language.pick(&own.next_en, &own.next_ja));
    // A rule may say no more than its class.
    let rule = decided.rule;
    let why = rule.filter(|rule| class.is_none_or(|own| own.en != rule.why));
    Explanation {
        class: assessment.class,
        severity: assessment.severity,
        permanent: lasts,
        effect: name,
        follows: follows.map_or_else(String::new, |own| language.pick(&own.en, &own.ja)),
        meaning: class.map_or_else(String::new, |own| language.pick(&own.en, &own.ja)),
        why: why.map_or_else(String::new, |rule| language.pick(&rule.why, &rule.ja)),
        who: who(class, effect, lasts).to_owned(),
        next: language.join(&advice.unwrap_or_default(), &cause.unwrap_or_default()),
        mapped: super::mapping::of(assessment.class, lasts),
        rule: assessment.rule,
        ..no_refusal(text, answer, language)
    }
}

/// Whose turn it is: nobody can raise the dead, and who says "not now" of an address that would be
/// dead is itself asked again.
fn who(class: Option<&ClassText>, effect: Option<Effect>, lasts: Option<bool>) -> &str {
    let own = class.map_or("nobody", |class| class.who.as_str());
    match (effect, lasts) {
        (Some(Effect::SuppressUnlessBraked { .. }), _) => "nobody",
        (_, Some(false)) if own == "nobody" => "receiver",
        _ => own,
    }
}

/// What is said of a text that refuses nothing.
fn no_refusal(text: &str, answer: AnswerKind, language: Language) -> Explanation {
    let own = TEXTS.answer.iter().find(|own| own.answer == answer);
    Explanation {
        text: reply::cut(text.trim()).to_owned(),
        answer,
        status: None,
        status_meaning: None,
        smtp_code: None,
        smtp_meaning: None,
        class: BounceClass::Undetermined,
        severity: Severity::None,
        permanent: None,
        effect: None,
        follows: String::new(),
        meaning: own.map_or_else(String::new, |own| language.pick(&own.en, &own.ja)),
        why: String::new(),
        rule: "none".to_owned(),
        who: "nobody".to_owned(),
        next: own.map_or_else(String::new, |own| language.pick(&own.next_en, &own.next_ja)),
        provider: None,
        help: None,
        mapped: super::mapping::of(BounceClass::Undetermined, None),
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
mod tests;
