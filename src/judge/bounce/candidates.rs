//! Which of many rules may fit an answer at all: by whose answer it is and which phrases it has.

/// Rules to choose from, as sets of their places.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    /// Rules that need no phrase.
    wordless: Places,
    /// For each phrase the rule that may fit by it.
    by_phrase: Vec<Option<usize>>,
    /// Rules for everybody's answers.
    anybody: Places,
    /// For each provider its own rules and those for everybody's answers.
    of_provider: Vec<Places>,
}

/// What a rule cannot do without.
pub(super) struct Needs<'a> {
    /// Its providers; none: everybody's answers.
    pub(super) providers: &'a [usize],
    /// One phrase of each of its texts; none: no text at all.
    pub(super) phrases: Vec<usize>,
}

/// A set of places, a bit each.
#[derive(Debug, Clone, Default)]
struct Places(Vec<u64>);

impl Candidates {
    /// For rules in their order.
    pub(super) fn new(rules: &[Needs<'_>], providers: usize, phrases: usize) -> Self {
        let mut candidates = Self {
            by_phrase: vec![None; phrases],
            of_provider: vec![Places::default(); providers],
            ..Self::default()
        };
        for (rule, needs) in rules.iter().enumerate() {
            if needs.phrases.is_empty() {
                candidates.wordless.add(rule);
            }
            for phrase in &needs.phrases {
                if let Some(place) = candidates.by_phrase.get_mut(*phrase) {
                    *place = Some(rule);
                }
            }
            if needs.providers.is_empty() {
                candidates.anybody.add(rule);
            }
            for (at, own) in candidates.of_provider.iter_mut().enumerate() {
                if needs.providers.is_empty() || needs.providers.contains(&at) {
                    own.add(rule);
                }
            }
        }
        candidates
    }

    /// The rules that may fit an answer of a provider that has these phrases, in their order.
    pub(super) fn among(
        &self,
        provider: Option<usize>,
        phrases: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = usize> {
        let mut places = self.wordless.clone();
        for phrase in phrases {
            if let Some(rule) = self.by_phrase.get(phrase).copied().flatten() {
                places.add(rule);
            }
        }
        let whose = provider
            .and_then(|at| self.of_provider.get(at))
            .unwrap_or(&self.anybody);
        places.keep(whose);
        places.into_iter()
    }
}

impl Places {
    fn add(&mut self, place: usize) {
        let word = place / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (place % 64);
        }
    }

    fn keep(&mut self, others: &Self) {
        for (at, word) in self.0.iter_mut().enumerate() {
            *word &= others.0.get(at).copied().unwrap_or(0);
        }
    }

    fn into_iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = usize::try_from(word.trailing_zeros())
                    .ok()
                    .filter(|_| word != 0)?;
                word &= word - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_chosen_by_provider_and_phrase_in_their_order() {
        let needs = |providers, phrases: &[usize]| Needs {
            providers,
            phrases: phrases.to_vec(),
        };
        let mut rules = vec![
            needs(&[1], &[0]),
            needs(&[], &[1, 2]),
            needs(&[], &[]),
            needs(&[0, 1], &[]),
        ];
        rules.extend((4..130).map(|place| needs(&[], &[place])));
        rules.push(needs(&[], &[]));
        let candidates = Candidates::new(&rules, 3, 130);
        let among = |provider, phrases: &[usize]| {
            let among = candidates.among(provider, phrases.iter().copied());
            among.collect::<Vec<_>>()
        };
        assert_eq!(among(None, &[]), [2, 130]);
        assert_eq!(among(Some(0), &[0]), [2, 3, 130]);
        assert_eq!(among(Some(1), &[0]), [0, 2, 3, 130]);
        assert_eq!(among(Some(2), &[0, 2]), [1, 2, 130]);
        assert_eq!(among(Some(9), &[1]), [1, 2, 130]);
        assert_eq!(among(None, &[129, 64, 500]), [2, 64, 129, 130]);
    }
}
