//! Finds tokens in text that mail programs have folded, encoded, quoted and re-cased.
//!
//! Line breaks with the white space that follows and quoted-printable soft breaks are dropped; in
//! what remains every place is tried at which base32 in any case begins with the version and with
//! a tenant and key that exist, at each of the 17 lengths of a token, the longest first. No word
//! boundary is needed on either side, so a token is found behind `prvs=…=`, `SRS0=…=`, `+`, `-`,
//! `%2B` and in the middle of a word.
//!
//! Invariants: time is linear in the text, memory does not depend on it; equal texts are verified
//! once; a message costs at most [`MAX_MACS`] MACs, whatever it holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::keyring::{Failure, Keyring};
use super::wire::{self, MAX_CHARACTERS, MIN_CHARACTERS, Token, TokenError, Unverified, Use};
use crate::model::event::FoundIn;
use crate::model::tenant::TenantId;

/// MACs that one message may cost. Beyond it nothing is searched, and the message is held.
pub const MAX_MACS: usize = 64;

/// Searches the places of one message that is about one thing. Call [`Finder::search`] in the order
/// of [`FoundIn`], so that the places that count most are searched while there are MACs left.
#[derive(Debug)]
pub struct Finder<'a> {
    ledger: Ledger<'a>,
    sightings: Sightings,
}

/// What the search of one message has cost so far. A message that holds several reports has one
/// ledger, so that each of them costs less for what the others hold, and [`Sightings`] for each.
#[derive(Debug)]
pub struct Ledger<'a> {
    keyring: &'a Keyring,
    budget: usize,
    octets: usize,
    tried: BTreeMap<Vec<u8>, Option<Token>>,
    /// The first runs that were tried at all lengths in vain: a flood of equal ones costs little.
    dead: BTreeSet<Vec<u8>>,
}

/// What was seen in the places that speak of one thing.
#[derive(Debug, Clone, Default)]
pub struct Sightings {
    tokens: Vec<(FoundIn, Token)>,
    bad_macs: usize,
    exhausted: Option<FoundIn>,
}

/// All that was found in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the first class of place with a valid token says.
    pub verdict: Verdict,
    /// The ref of the verdict's token, or if it has none, of any token found for the same
    /// recipient. Empty if there is none.
    pub reference: Vec<u8>,
    /// Every valid token with the class of its place, each text once a class: evidence.
    pub tokens: Vec<(FoundIn, Token)>,
    /// Places where a known tenant and key were named and no MAC was right, each text once.
    pub bad_macs: usize,
    /// The first class that was not searched to its end, because the MACs were used up.
    pub exhausted: Option<FoundIn>,
    /// MACs that the whole message has cost.
    pub macs: usize,
}

/// What the first class of place with a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No valid token at any place that proves something.
    Nothing,
    /// One recipient. Of several tokens for it: one that is not revoked before one that is, one for
    /// bounces before one for feedback, then the first.
    Token {
        /// The class of place.
        found_in: FoundIn,
        /// The token.
        token: Token,
    },
    /// Valid tokens of different recipients within one class.
    Conflict(FoundIn),
    /// The MACs were used up in this class, before it could be said what is in it.
    Exhausted(FoundIn),
}

impl<'a> Finder<'a> {
    /// Begins with a message of which nothing was searched yet.
    pub const fn new(keyring: &'a Keyring) -> Self {
        Self {
            ledger: Ledger::new(keyring),
            sightings: Sightings {
                tokens: Vec::new(),
                bad_macs: 0,
                exhausted: None,
            },
        }
    }

    /// Searches one place. May be called several times for one class.
    pub fn search(&mut self, place: FoundIn, text: &[u8]) {
        self.ledger.search(&mut self.sightings, place, text);
    }

    /// Says what was found.
    pub fn finish(self) -> Found {
        self.sightings.finish(&self.ledger)
    }
}

impl<'a> Ledger<'a> {
    /// Begins with a message of which nothing was searched yet.
    pub const fn new(keyring: &'a Keyring) -> Self {
        Self {
            keyring,
            budget: MAX_MACS,
            octets: 0,
            tried: BTreeMap::new(),
            dead: BTreeSet::new(),
        }
    }

    /// MACs that were computed; at most [`MAX_MACS`].
    pub const fn macs(&self) -> usize {
        MAX_MACS - self.budget
    }

    /// Octets that were given to be searched.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Searches one place for one of the things that the message is about, under the same terms as
    /// [`Finder::search`].
    pub fn search(&mut self, sightings: &mut Sightings, place: FoundIn, text: &[u8]) {
        let spent = sightings.exhausted.is_some() || {
            self.octets = self.octets.saturating_add(text.len());
            scan(text, &mut |start| self.try_start(sightings, place, start)).is_break()
        };
        if spent {
            sightings.exhaust(place);
        }
    }

    /// Tries all lengths at one start; says how far to go on.
    fn try_start(
        &mut self,
        sightings: &mut Sightings,
        place: FoundIn,
        start: &Start<'_>,
    ) -> ControlFlow<(), usize> {
        if self.dead.contains(start.run) || !self.keyring.knows(start.tenant, start.key) {
            return ControlFlow::Continue(1);
        }
        let mut wrong = false;
        for text in start.candidates() {
            if !self.tried.contains_key(text) {
                let Ok(decoded) = Unverified::decode(text) else {
                    continue;
                };
                let token = match self.keyring.verify_within(&decoded, &mut self.budget) {
                    Ok(token) => Some(token),
                    Err(Failure::Refused(_)) => None,
                    Err(Failure::BudgetSpent) => return ControlFlow::Break(()),
                };
                wrong |= token.is_none();
                self.tried.insert(text.to_vec(), token);
            }
            if let Some(Some(token)) = self.tried.get(text) {
                sightings.see(place, token);
                return ControlFlow::Continue(text.len());
            }
        }
        sightings.bad_macs += usize::from(wrong);
        if self.dead.len() < MAX_MACS {
            self.dead.insert(start.run.to_vec());
        }
        ControlFlow::Continue(1)
    }
}

impl Sightings {
    fn see(&mut self, place: FoundIn, token: &Token) {
        let known = |(at, known): &(FoundIn, Token)| *at == place && known.text == token.text;
        if !self.tokens.iter().any(known) {
            self.tokens.push((place, token.clone()));
        }
    }

    fn exhaust(&mut self, place: FoundIn) {
        self.exhausted = Some(self.exhausted.map_or(place, |first| first.min(place)));
    }

    /// Adds what was seen in places that this thing shares with others.
    pub fn add(&mut self, shared: &Self) {
        for (place, token) in &shared.tokens {
            self.see(*place, token);
        }
        self.bad_macs += shared.bad_macs;
        if let Some(place) = shared.exhausted {
            self.exhaust(place);
        }
    }

    /// Says what was found in a message that has cost this much.
    pub fn finish(self, ledger: &Ledger<'_>) -> Found {
        let verdict = self.verdict();
        let mut tokens = self.tokens;
        tokens.sort_by_key(|(place, _)| *place);
        let reference = match &verdict {
            Verdict::Token { token, .. } => reference_for(token, &tokens),
            Verdict::Nothing | Verdict::Conflict(_) | Verdict::Exhausted(_) => Vec::new(),
        };
        Found {
            verdict,
            reference,
            tokens,
            bad_macs: self.bad_macs,
            exhausted: self.exhausted,
            macs: ledger.macs(),
        }
    }

    fn verdict(&self) -> Verdict {
        for place in FoundIn::ALL
            .iter()
            .filter(|place| **place != FoundIn::Unproven)
        {
            if self.exhausted.is_some_and(|first| first <= *place) {
                return Verdict::Exhausted(*place);
            }
            let here = || {
                self.tokens
                    .iter()
                    .filter(|(at, _)| at == place)
                    .map(|(_, token)| token)
            };
            let best = here().min_by_key(|token| (token.revoked, token.purpose == Use::Feedback));
            let Some(token) = best else { continue };
            return if here().all(|other| same_recipient(other, token)) {
                Verdict::Token {
                    found_in: *place,
                    token: token.clone(),
                }
            } else {
                Verdict::Conflict(*place)
            };
        }
        Verdict::Nothing
    }
}

/// The one token that a door was given, in the local part of an address or in the path of a
/// request, whatever stands around it and also if it is percent-encoded. Any valid candidate wins;
/// otherwise the error is that of the first one. Costs at most [`MAX_MACS`] MACs a reading.
pub fn find_any(keyring: &Keyring, text: &[u8]) -> Result<Token, TokenError> {
    match first_valid(keyring, text) {
        Err(error) => match percent_decoded(text) {
            Cow::Borrowed(_) => Err(error),
            Cow::Owned(decoded) => match first_valid(keyring, &decoded) {
                Err(TokenError::Malformed) => Err(error),
                other => other,
            },
        },
        valid => valid,
    }
}

fn first_valid(keyring: &Keyring, text: &[u8]) -> Result<Token, TokenError> {
    let mut budget = MAX_MACS;
    let mut answer = Err(TokenError::Malformed);
    let whole = scan(text, &mut |start| {
        for candidate in start.candidates() {
            let Ok(decoded) = Unverified::decode(candidate) else {
                continue;
            };
            match keyring.verify_within(&decoded, &mut budget) {
                Ok(token) => {
                    answer = Ok(token);
                    return ControlFlow::Break(());
                }
                Err(Failure::Refused(error)) if answer == Err(TokenError::Malformed) => {
                    answer = Err(error);
                }
                Err(Failure::Refused(_)) => {}
                Err(Failure::BudgetSpent) => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(1)
    });
    // Broken off with a valid token, or by the budget after at least one wrong MAC.
    debug_assert!(whole.is_continue() || answer != Err(TokenError::Malformed));
    answer
}

/// Replaces every `%XX` by its byte (RFC 3986 §2.1); what is no such triplet stays. Borrowed if
/// nothing was replaced.
pub fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let triplet = behind.split_first_chunk().filter(|_| *first == b'%');
        match triplet.and_then(|([high, low], tail)| Some((hex(*high)? << 4 | hex(*low)?, tail))) {
            Some((byte, tail)) => {
                decoded.push(byte);
                rest = tail;
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    if decoded == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(decoded)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn same_recipient(one: &Token, other: &Token) -> bool {
    one.fields.tenant == other.fields.tenant && one.fields.recipient == other.fields.recipient
}

fn reference_for(token: &Token, tokens: &[(FoundIn, Token)]) -> Vec<u8> {
    let others = tokens
        .iter()
        .map(|(_, other)| other)
        .filter(|other| same_recipient(other, token));
    std::iter::once(token)
        .chain(others)
        .map(|any| &any.fields.reference)
        .find(|reference| !reference.is_empty())
        .cloned()
        .unwrap_or_default()
}

/// A place in a text at which a token may begin.
struct Start<'t> {
    tenant: TenantId,
    key: u8,
    /// Lower-case base32 from here on, as far as it goes and a token can be long.
    run: &'t [u8],
}

impl<'t> Start<'t> {
    /// The texts that a token beginning here could have, the longest first.
    fn candidates(&self) -> impl Iterator<Item = &'t [u8]> {
        let run = self.run;
        wire::lengths()
            .filter_map(move |length| run.get(..length))
            .filter(|text| wire::ends_well(text))
    }
}

/// Characters of a run that are looked at together; the memory that a scan needs.
const WINDOW: usize = 4096;

/// Shows every possible start to `visit`, which says how many characters to go on, or to stop.
fn scan(
    text: &[u8],
    visit: &mut impl FnMut(&Start<'_>) -> ControlFlow<(), usize>,
) -> ControlFlow<()> {
    let mut run = Vec::with_capacity(WINDOW);
    for byte in Unfolded(text) {
        if wire::base32_value(byte).is_none() {
            visit_starts(&run, MIN_CHARACTERS, visit)?;
            run.clear();
            continue;
        }
        run.push(byte.to_ascii_lowercase());
        if run.len() == WINDOW {
            // Starts near the end wait until it is known how long they are.
            let done = visit_starts(&run, MAX_CHARACTERS, visit)?;
            run.drain(..done.min(WINDOW));
        }
    }
    visit_starts(&run, MIN_CHARACTERS, visit)?;
    ControlFlow::Continue(())
}

/// Visits the starts that have `least` characters before them; returns how many are done with.
fn visit_starts(
    run: &[u8],
    least: usize,
    visit: &mut impl FnMut(&Start<'_>) -> ControlFlow<(), usize>,
) -> ControlFlow<(), usize> {
    let mut at = 0;
    while let Some(rest) = run.get(at..).filter(|rest| rest.len() >= least) {
        let step = match wire::read_prefix(rest) {
            None => 1,
            Some((tenant, key)) => {
                let run = rest.get(..MAX_CHARACTERS).unwrap_or(rest);
                visit(&Start { tenant, key, run })?
            }
        };
        at += step;
    }
    ControlFlow::Continue(at)
}

/// The bytes of a text without line breaks, the white space that follows them, and the `=` of
/// quoted-printable soft breaks (RFC 2045 §6.7 rule 5).
struct Unfolded<'t>(&'t [u8]);

impl Iterator for Unfolded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let (first, rest) = self.0.split_first()?;
            match first {
                b'\r' | b'\n' => self.0 = rest.trim_ascii_start(),
                b'=' if begins_line_break(rest) => self.0 = rest.trim_ascii_start(),
                other => {
                    self.0 = rest;
                    return Some(*other);
                }
            }
        }
    }
}

/// Whether only spaces and tabs stand before the end of the line.
fn begins_line_break(rest: &[u8]) -> bool {
    let next = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    matches!(next, Some(b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_and_soft_breaks_vanish() {
        for (given, wanted) in [
            ("a\r\n\tb", "ab"),
            ("a\n  \t b", "ab"),
            ("a\r\n\r\n b", "ab"),
            ("a=\r\nb=\nc= \t\r\nd", "abcd"),
            ("a = b=3Dc=", "a = b=3Dc="),
            ("\r\na\r", "a"),
            ("= \t x", "= \t x"),
        ] {
            let unfolded: Vec<u8> = Unfolded(given.as_bytes()).collect();
            assert_eq!(unfolded, wanted.as_bytes(), "{given:?}");
        }
    }

    #[test]
    fn percent_triplets_become_bytes() {
        // C-015, C-036
        for (given, wanted) in [
            ("u%2Bab%2b", "u+ab+"),
            ("%", "%"),
            ("%2", "%2"),
            ("%zz%41", "%zzA"),
            ("%%41", "%A"),
            ("plain", "plain"),
        ] {
            assert_eq!(
                &*percent_decoded(given.as_bytes()),
                wanted.as_bytes(),
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_run_longer_than_the_window_is_seen_whole() {
        let token = format!("ceaaaai{}", "a".repeat(45));
        for before in [0, WINDOW - 60, WINDOW - 1, WINDOW, 3 * WINDOW + 7] {
            let text = "z".repeat(before) + &token;
            let mut starts = Vec::new();
            let scanned = scan(text.as_bytes(), &mut |start| {
                starts.push(start.run.to_vec());
                ControlFlow::Continue(1)
            });
            assert_eq!(scanned, ControlFlow::Continue(()));
            assert_eq!(starts, [token.as_bytes()], "behind {before} characters");
        }
    }
}
