//! The rules of `rules.toml`: read, compiled, and asked.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use serde::Deserialize;

use super::candidates::{Candidates, Needs};
use super::code::{Code, CodePattern, ReplyPattern};
use super::phrase::{Phrase, normal};
use super::provider::{Provider, whose};
use crate::model::bounce::{Action, BounceClass, Severity, Stage};
use crate::model::words::UnknownWord;
use crate::report::phrases::Phrases;
use crate::report::reply;
use crate::report::status::{Delivery, Outcome};

/// The rules that desist comes with.
pub(super) const EMBEDDED: &str = include_str!("../rules.toml");

/// Rules of one file.
const MAX_RULES: usize = 2_000;

/// Rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The text is no such file; the message names line and column.
    #[error("the bounce rules cannot be read: {0}")]
    Syntax(String),
    /// A rule says something that is not known.
    #[error("bounce rule {id} (line {line}): {reason}")]
    Rule {
        /// The rule's id.
        id: String,
        /// The line that it begins on, from 1; 0 if it is not known.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// A set of rules, ready for use.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    version: u32,
    all: Vec<Rule>,
    providers: Vec<Provider>,
    /// Of each provider the phrases that only its answers have.
    says: Vec<Vec<usize>>,
    phrases: Vec<Phrase>,
    search: Phrases,
    candidates: Candidates,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Stored with every verdict; never changes.
    pub id: String,
    /// What a refusal is that it fits.
    pub class: BounceClass,
    /// What that says about the address.
    pub severity: Severity,
    /// Why, in English.
    pub why: String,
    /// Why, in Japanese.
    pub ja: String,
    /// An answer that it decides.
    pub example: Example,
    code: Vec<CodePattern>,
    reply: Vec<ReplyPattern>,
    stage: Vec<Stage>,
    /// Indexes of providers.
    provider: Vec<usize>,
    format: Vec<String>,
    /// One of these: all of its phrases.
    text: Vec<Vec<usize>>,
    without: Vec<Vec<usize>>,
}

/// An answer that shows what a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What the server said.
    pub text: String,
    /// The status code that a notification gives.
    pub status: Option<String>,
    /// At which step.
    pub stage: Option<String>,
    /// The server.
    pub host: Option<String>,
    /// In which form it is told.
    pub format: Option<String>,
}

impl Example {
    /// What rules are asked about when such an answer comes.
    fn told(&self) -> Result<(Outcome, Delivery), String> {
        let codes = reply::codes(&self.text);
        let stage = self.stage.as_deref().map(str::parse).transpose();
        let outcome = Outcome {
            address: None,
            original: None,
            action: Action::Failed,
            status: self.status.clone().or(codes.enhanced),
            smtp_code: codes.reply,
            stage: stage.map_err(|error: UnknownWord| error.to_string())?,
            diagnostic: Some(self.text.clone()).filter(|text| !text.is_empty()),
            remote_mta: self.host.clone(),
        };
        let delivery = Delivery {
            format: self.format.clone().unwrap_or_default(),
            ..Delivery::default()
        };
        Ok((outcome, delivery))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    rule: Vec<toml::Spanned<RuleEntry>>,
    #[serde(default)]
    provider: Vec<Provider>,
}

/// What a file says, before it is compiled.
pub(super) struct Written {
    pub(super) version: u32,
    /// The rules in their order, each with its line.
    pub(super) rules: Vec<(usize, RuleEntry)>,
    pub(super) providers: Vec<Provider>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    pub(super) id: String,
    class: String,
    severity: String,
    #[serde(default)]
    code: Vec<String>,
    #[serde(default)]
    reply: Vec<String>,
    #[serde(default)]
    stage: Vec<String>,
    #[serde(default)]
    provider: Vec<String>,
    #[serde(default)]
    format: Vec<String>,
    #[serde(default)]
    text: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    why: String,
    #[serde(default)]
    ja: String,
    example: Example,
}

/// What decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The rule; none fits only where the file has no last resort.
    pub rule: Option<&'a Rule>,
    /// Whose answer it is.
    pub provider: Option<&'a Provider>,
    /// The status code that counted.
    pub code: Option<Code>,
}

impl Rules {
    /// The rules that desist comes with.
    pub fn embedded() -> &'static Self {
        static RULES: LazyLock<Rules> =
            LazyLock::new(|| Rules::parse(EMBEDDED).unwrap_or_default());
        &RULES
    }

    /// Reads a file of rules.
    ///
    /// # Errors
    /// The file is no TOML of this form, or a rule has an unknown word, an id twice, or too much;
    /// each error says where.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        Written::read(text)?.compile()
    }

    /// The file's version: stored with verdicts.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// All rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.all
    }

    /// All providers in their order.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The rule for an outcome of a notification. Pure and total; takes time linear in its text.
    pub fn decide(&self, outcome: &Outcome, delivery: &Delivery) -> Decided<'_> {
        let text = normal(outcome.diagnostic.as_deref().unwrap_or_default());
        let has = self.phrases_in(&text);
        let provider = whose(&self.providers, outcome, delivery, || {
            let mut each = self.says.iter();
            each.position(|says| says.iter().any(|phrase| has.contains(phrase)))
        });
        let code = Code::of(outcome);
        let asked = Asked {
            has,
            format: &delivery.format,
            provider,
            code,
            reply: outcome.smtp_code,
            stage: outcome.stage,
        };
        let candidates = self.candidates.among(provider, asked.has.iter().copied());
        let mut rules = candidates.filter_map(|at| self.all.get(at));
        Decided {
            rule: rules.find(|rule| rule.fits(&asked)),
            provider: provider.and_then(|at| self.providers.get(at)),
            code,
        }
    }

    /// The id of the rule that decides an example; `none` if none does.
    pub(super) fn decides(&self, example: &Example) -> Result<&str, String> {
        let (outcome, delivery) = example.told()?;
        let rule = self.decide(&outcome, &delivery).rule;
        Ok(rule.map_or("none", |rule| rule.id.as_str()))
    }

    /// Few, so that looking through them is faster than a place for each.
    fn phrases_in(&self, text: &str) -> Vec<usize> {
        let mut has = Vec::new();
        self.search.each_in(text, |at, range| {
            let phrase = self.phrases.get(at);
            if phrase.is_some_and(|phrase| phrase.stands_alone(text, range)) && !has.contains(&at) {
                has.push(at);
            }
            ControlFlow::Continue(())
        });
        has
    }
}

/// What rules are asked about.
struct Asked<'a> {
    /// The phrases that the text has.
    has: Vec<usize>,
    provider: Option<usize>,
    code: Option<Code>,
    reply: Option<u16>,
    stage: Option<Stage>,
    format: &'a str,
}

impl Asked<'_> {
    fn has_all(&self, phrases: &[usize]) -> bool {
        phrases.iter().all(|phrase| self.has.contains(phrase))
    }
}

impl Rule {
    /// Whether it fits every answer.
    pub(super) const fn fits_all(&self) -> bool {
        self.code.is_empty()
            && self.reply.is_empty()
            && self.stage.is_empty()
            && self.provider.is_empty()
            && self.format.is_empty()
            && self.text.is_empty()
    }

    fn fits(&self, asked: &Asked<'_>) -> bool {
        let provider = || asked.provider.is_some_and(|at| self.provider.contains(&at));
        let code = || {
            asked
                .code
                .is_some_and(|code| self.code.iter().any(|pattern| pattern.fits(code)))
        };
        let reply = || {
            asked
                .reply
                .is_some_and(|code| self.reply.iter().any(|pattern| pattern.fits(code)))
        };
        let stage = || asked.stage.is_some_and(|stage| self.stage.contains(&stage));
        (self.provider.is_empty() || provider())
            && (self.format.is_empty() || self.format.iter().any(|format| format == asked.format))
            && (self.code.is_empty() || code())
            && (self.reply.is_empty() || reply())
            && (self.stage.is_empty() || stage())
            && (self.text.is_empty() || self.text.iter().any(|all| asked.has_all(all)))
            && !self.without.iter().any(|all| asked.has_all(all))
    }
}

impl Written {
    /// Takes a file apart.
    pub(super) fn read(text: &str) -> Result<Self, RulesError> {
        let file: File = toml::from_str(text)
            .map_err(|error| RulesError::Syntax(error.to_string().trim().replace('\n', " ")))?;
        let rules = file.rule.into_iter();
        let rules = rules.map(|rule| (line_of(text, rule.span().start), rule.into_inner()));
        Ok(Self {
            version: file.version,
            rules: rules.collect(),
            providers: file.provider,
        })
    }

    /// The rules, ready for use.
    pub(super) fn compile(self) -> Result<Rules, RulesError> {
        if self.rules.len() > MAX_RULES {
            return Err(RulesError::Syntax(format!("more than {MAX_RULES} rules")));
        }
        let mut phrases = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        for (line, entry) in self.rules {
            let id = entry.id.clone();
            let twice = rules.iter().any(|rule| rule.id == id);
            let rule = if twice {
                Err("the id stands twice".to_owned())
            } else {
                entry.compile(&self.providers, &mut phrases)
            };
            rules.push(rule.map_err(|reason| RulesError::Rule { id, line, reason })?);
        }
        let mut says = Vec::new();
        for provider in &self.providers {
            let own = provider
                .says
                .iter()
                .map(|text| Phrase::add_part(text, &mut phrases));
            says.push(own.collect());
        }
        let needs = rules.iter().map(|rule| Needs {
            providers: &rule.provider,
            phrases: rule
                .text
                .iter()
                .filter_map(|all| all.first().copied())
                .collect(),
        });
        let needs: Vec<Needs<'_>> = needs.collect();
        let candidates = Candidates::new(&needs, self.providers.len(), phrases.len());
        let texts = phrases.iter().map(|phrase| phrase.text().to_owned());
        let search = Phrases::new(texts.collect());
        Ok(Rules {
            version: self.version,
            all: rules,
            providers: self.providers,
            says,
            phrases,
            search,
            candidates,
        })
    }
}

impl RuleEntry {
    fn compile(self, providers: &[Provider], phrases: &mut Vec<Phrase>) -> Result<Rule, String> {
        fn each<T>(
            texts: &[String],
            read: impl Fn(&str) -> Result<T, String>,
        ) -> Result<Vec<T>, String> {
            texts.iter().map(|text| read(text)).collect()
        }
        let word = |error: UnknownWord| error.to_string();
        let provider = |name: &str| {
            let at = providers.iter().position(|provider| provider.id == name);
            at.ok_or_else(|| format!("unknown provider {name:?}"))
        };
        let mut texts = |texts: &[String]| {
            texts
                .iter()
                .map(|text| Phrase::add_all(text, phrases))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Rule {
            class: self.class.parse().map_err(word)?,
            severity: self.severity.parse().map_err(word)?,
            code: each(&self.code, CodePattern::parse)?,
            reply: each(&self.reply, ReplyPattern::parse)?,
            stage: each(&self.stage, |text| text.parse().map_err(word))?,
            provider: each(&self.provider, provider)?,
            format: self.format,
            text: texts(&self.text)?,
            without: texts(&self.without)?,
            id: self.id,
            why: self.why,
            ja: self.ja,
            example: self.example,
        })
    }
}

/// The line of an octet, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn every_rule_decides_its_example() {
        let rules = Rules::parse(EMBEDDED).unwrap();
        let mut wrong = Vec::new();
        for rule in rules.rules() {
            let by = rules.decides(&rule.example).unwrap();
            if by != rule.id {
                wrong.push(format!("{}: decided by {by}", rule.id));
            }
            let texts = [&rule.why, &rule.ja];
            if texts.iter().any(|text| text.len() < 10) {
                wrong.push(format!("{}: says not why", rule.id));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let rule = |extra: &str| {
            format!(
                "version = 1\n\n[[rule]]\nid = \"a\"\nclass = \"virus\"\nseverity = \"none\"\nwhy = \"\"\nexample = {{ text = \"\" }}\n{extra}\n"
            )
        };
        assert!(Rules::parse(&rule("")).is_ok());
        for (extra, part) in [
            ("code = [\"5.1\"]", "line 3"),
            ("reply = [\"9xx\"]", "line 3"),
            ("stage = [\"never\"]", "stage"),
            ("provider = [\"nobody\"]", "nobody"),
            ("text = [\"Upper\"]", "lower case"),
            ("unknown = 1", "unknown"),
            (
                "[[rule]]\nid = \"a\"\nclass = \"virus\"\nseverity = \"none\"\nwhy = \"\"\nexample = { text = \"\" }",
                "twice",
            ),
            (
                "[[rule]]\nid = \"b\"\nclass = \"worse\"\nseverity = \"none\"\nwhy = \"\"\nexample = { text = \"\" }",
                "worse",
            ),
        ] {
            let error = Rules::parse(&rule(extra)).unwrap_err().to_string();
            assert!(error.contains(part), "{extra}: {error}");
        }
        assert!(Rules::parse("version = ").is_err());
    }

    #[test]
    fn a_file_without_rules_decides_nothing() {
        let rules = Rules::parse("version = 7").unwrap();
        assert_eq!(rules.version(), 7);
        assert_eq!(rules.decides(&Example::default()), Ok("none"));
    }
}
