//! An operator's own rules beside those that desist comes with.
//!
//! A local rule with the id of one that is there takes its place; all others are asked first, in
//! their order. The same goes for providers. What a local rule says of its example must come true,
//! so that a rule which another one hides is found when the file is read.

use super::provider::Provider;
use super::rules::{EMBEDDED, RuleEntry, Rules, RulesError, Written};

impl Rules {
    /// The rules that desist comes with, and over them those of a local file.
    ///
    /// # Errors
    /// As [`Rules::parse`]; also a new rule without any condition, or one that does not decide its
    /// own example. Each error says where in the local file.
    pub fn with_local(text: &str) -> Result<Self, RulesError> {
        let local = Written::read(text)?;
        let own: Vec<(usize, String)> = local
            .rules
            .iter()
            .map(|(line, rule)| (*line, rule.id.clone()))
            .collect();
        for (at, (line, id)) in own.iter().enumerate() {
            if own.iter().take(at).any(|(_, before)| before == id) {
                return Err(wrong(id, *line, "the id stands twice".to_owned()));
            }
        }
        let mut embedded = Written::read(EMBEDDED)?;
        let replaced: Vec<String> = embedded.rules.iter().map(|(_, r)| r.id.clone()).collect();
        embedded.rules = over(
            local.rules,
            embedded.rules,
            |(_, rule): &(usize, RuleEntry)| rule.id.as_str(),
        );
        embedded.providers = over(
            local.providers,
            embedded.providers,
            |provider: &Provider| provider.id.as_str(),
        );
        let rules = embedded.compile()?;
        for (line, id) in &own {
            rules
                .keeps_its_word(id, replaced.contains(id))
                .map_err(|reason| wrong(id, *line, reason))?;
        }
        Ok(rules)
    }

    fn keeps_its_word(&self, id: &str, replaces: bool) -> Result<(), String> {
        let Some(rule) = self.rules().iter().find(|rule| rule.id == id) else {
            return Ok(());
        };
        if rule.fits_all() && !replaces {
            return Err("it has no condition: it would decide every bounce".to_owned());
        }
        let by = self.decides(&rule.example)?;
        if by == id {
            Ok(())
        } else {
            Err(format!("its example is decided by {by}"))
        }
    }
}

/// Each of `local` in the place of the one with its id, the others in front.
fn over<T>(local: Vec<T>, mut all: Vec<T>, id: impl Fn(&T) -> &str) -> Vec<T> {
    let mut first = Vec::new();
    for own in local {
        match all.iter_mut().find(|there| id(there) == id(&own)) {
            Some(there) => *there = own,
            None => first.push(own),
        }
    }
    first.append(&mut all);
    first
}

fn wrong(id: &str, line: usize, reason: String) -> RulesError {
    RulesError::Rule {
        id: id.to_owned(),
        line,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::bounce::explain::{Language, explain};
    use crate::model::bounce::BounceClass;

    fn rule(id: &str, class: &str, rest: &str) -> String {
        format!(
            "[[rule]]\nid = \"{id}\"\nclass = \"{class}\"\nseverity = \"none\"\nwhy = \"ours\"\n{rest}\n"
        )
    }

    const CLOSED: &str = "text = [\"closed for the season\"]\n\
        example = { text = \"550 5.1.1 closed for the season\" }";

    #[test]
    fn a_new_rule_is_asked_first_and_the_others_stay() {
        let rules = format!("version = 1\n{}", rule("season", "inactive", CLOSED));
        let rules = Rules::with_local(&rules).unwrap();
        let of = |text: &str| {
            let told = explain(text, Language::English, &rules);
            (told.class, told.rule)
        };
        let told = of("550 5.1.1 We are closed for the season");
        assert_eq!(told, (BounceClass::Inactive, "season".to_owned()));
        for text in ["550 5.1.1 User unknown", "452 4.2.2 Mailbox full"] {
            let before = explain(text, Language::English, Rules::embedded());
            assert_eq!(of(text), (before.class, before.rule), "{text}");
        }
        assert_eq!(rules.rules().len(), Rules::embedded().rules().len() + 1);
        assert_eq!(rules.version(), Rules::embedded().version());
    }

    #[test]
    fn a_rule_or_provider_of_the_same_id_takes_its_place() {
        let embedded = Rules::embedded();
        let (at, old) = embedded.rules().iter().enumerate().next_back().unwrap();
        let text = format!(
            "version = 1\n{}[[provider]]\nid = \"{}\"\nname = \"Ours\"\nhosts = [\"mx.example\"]\nsays = []\n",
            rule(&old.id, "system", "example = { text = \"\" }"),
            embedded.providers().last().unwrap().id,
        );
        let rules = Rules::with_local(&text).unwrap();
        assert_eq!(rules.rules().len(), embedded.rules().len());
        let new = &rules.rules()[at];
        assert_eq!((&new.id, new.class), (&old.id, BounceClass::System));
        assert_eq!(rules.providers().len(), embedded.providers().len());
        assert_eq!(rules.providers().last().unwrap().name, "Ours");
    }

    #[test]
    fn a_local_rule_may_name_any_provider() {
        let conditions = "provider = [\"docomo\", \"ours\"]\ntext = [\"never again\"]\n\
            example = { text = \"550 never again\", host = \"mx.ours.example\" }\n\
            [[provider]]\nid = \"ours\"\nname = \"Ours\"\nhosts = [\"ours.example\"]\nsays = []";
        let text = format!("version = 1\n{}", rule("never", "content", conditions));
        assert!(Rules::with_local(&text).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let hidden =
            "text = [\"closed for the season\"]\nexample = { text = \"550 5.1.1 User unknown\" }";
        let twice = format!(
            "{}{}",
            rule("a", "inactive", CLOSED),
            rule("a", "inactive", CLOSED)
        );
        for (text, parts) in [
            (
                rule("a", "inactive", "example = { text = \"\" }"),
                ["line 2", "no condition"],
            ),
            (
                rule("a", "inactive", hidden),
                ["rule a (line 2)", "its example is decided by"],
            ),
            (rule("a", "worse", CLOSED), ["rule a (line 2)", "worse"]),
            (twice, ["rule a (line 9)", "twice"]),
            (rule("a", "inactive", "text = [\"x\"]"), ["line", "example"]),
            (
                rule(
                    "a",
                    "inactive",
                    "text = [\"x\"]\nexample = { text = \"x\", stage = \"never\" }",
                ),
                ["rule a (line 2)", "never"],
            ),
        ] {
            let error = Rules::with_local(&format!("version = 1\n{text}")).unwrap_err();
            for part in parts {
                assert!(error.to_string().contains(part), "{text}: {error}");
            }
        }
    }
}
