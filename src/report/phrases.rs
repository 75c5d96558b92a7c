//! Hundreds of phrases looked for in one text at a time, without regard to ASCII case.
//!
//! A table of states for so many phrases is larger than a processor's cache, and each octet of the
//! text then waits for memory. Here each phrase is known by the rarest four octets in it: whether
//! four octets of a text are those of any phrase is one bit of eight kilobytes, and only where it is
//! set is anything compared.

use std::ops::{ControlFlow, Range};

/// Octets that a phrase is known by. Shorter ones are looked for one after the other.
const WINDOW: usize = 4;

/// Phrases that are looked for together.
#[derive(Debug, Clone, Default)]
pub struct Phrases {
    texts: Vec<String>,
    /// One bit for each value that [`hash`] can have.
    filter: Vec<u64>,
    /// For each value of [`hash`] where its entries begin, and one more.
    begins: Vec<u32>,
    entries: Vec<Entry>,
    /// Phrases shorter than what others are known by.
    short: Vec<usize>,
}

/// What one phrase is known by.
#[derive(Debug, Clone, Copy)]
struct Entry {
    window: u32,
    /// Octets of the phrase up to the end of the window.
    until: usize,
    phrase: usize,
}

impl Phrases {
    /// Makes these ready to be looked for. They are told by their places.
    pub fn new(texts: Vec<String>) -> Self {
        let (mut entries, mut short) = (Vec::new(), Vec::new());
        for (phrase, text) in texts.iter().enumerate() {
            match Entry::of(phrase, text) {
                Some(entry) => entries.push(entry),
                None => short.push(phrase),
            }
        }
        entries.sort_by_key(|entry| (hash(entry.window), entry.phrase));
        let mut filter = vec![0_u64; usize::from(u16::MAX >> 6) + 1];
        let mut begins = vec![0_u32; usize::from(u16::MAX) + 2];
        for entry in &entries {
            let hash = hash(entry.window);
            if let Some(bits) = filter.get_mut(usize::from(hash >> 6)) {
                *bits |= 1 << (hash & 63);
            }
            if let Some(count) = begins.get_mut(usize::from(hash) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for begin in &mut begins {
            sum += *begin;
            *begin = sum;
        }
        Self {
            texts,
            filter,
            begins,
            entries,
            short,
        }
    }

    /// The phrases in their order.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Tells each place where `text` has a phrase, and which, until `found` breaks; in no certain
    /// order. Takes time linear in `text`.
    pub fn each_in(
        &self,
        text: &str,
        mut found: impl FnMut(usize, Range<usize>) -> ControlFlow<()>,
    ) {
        let text = text.as_bytes();
        if self.short_in(text, &mut found).is_break() {
            return;
        }
        let mut window = 0_u32;
        for (last, byte) in text.iter().enumerate() {
            window = (window >> 8) | (u32::from(folded(*byte)) << 24);
            let hash = hash(window);
            let bits = self.filter.get(usize::from(hash >> 6));
            if bits.is_none_or(|bits| (bits >> (hash & 63)) & 1 == 0) {
                continue;
            }
            for entry in self.entries_of(hash) {
                if let Some(range) = self.fits(entry, window, text, last + 1)
                    && found(entry.phrase, range).is_break()
                {
                    return;
                }
            }
        }
    }

    /// Whether `text` has any of the phrases.
    pub fn any_in(&self, text: &str) -> bool {
        let mut any = false;
        self.each_in(text, |_, _| {
            any = true;
            ControlFlow::Break(())
        });
        any
    }

    /// Of the phrases that begin first in `text` the one that stands first in their order.
    pub fn first_in(&self, text: &str) -> Option<usize> {
        let mut first: Option<(usize, usize)> = None;
        self.each_in(text, |phrase, range| {
            let here = (range.start, phrase);
            first = Some(first.map_or(here, |first| first.min(here)));
            ControlFlow::Continue(())
        });
        first.map(|(_, phrase)| phrase)
    }

    fn short_in(
        &self,
        text: &[u8],
        found: &mut impl FnMut(usize, Range<usize>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for at in &self.short {
            let phrase = self
                .texts
                .get(*at)
                .map(String::as_bytes)
                .unwrap_or_default();
            let Some(first) = phrase.first() else {
                continue;
            };
            let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
            for start in memchr::memchr2_iter(lower, upper, text) {
                let range = start..start + phrase.len();
                let here = text.get(range.clone());
                if here.is_some_and(|here| here.eq_ignore_ascii_case(phrase)) {
                    found(*at, range)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn entries_of(&self, hash: u16) -> &[Entry] {
        let at = usize::from(hash);
        let place = |at: usize| self.begins.get(at).and_then(|at| usize::try_from(*at).ok());
        let range = place(at).zip(place(at + 1));
        range
            .and_then(|(begin, end)| self.entries.get(begin..end))
            .unwrap_or_default()
    }

    fn fits(&self, entry: &Entry, window: u32, text: &[u8], end: usize) -> Option<Range<usize>> {
        if entry.window != window {
            return None;
        }
        let phrase = self.texts.get(entry.phrase)?.as_bytes();
        let start = end.checked_sub(entry.until)?;
        let range = start..start + phrase.len();
        let same = text.get(range.clone())?.eq_ignore_ascii_case(phrase);
        same.then_some(range)
    }
}

impl Entry {
    /// By its rarest four octets; `None` if it has fewer.
    fn of(phrase: usize, text: &str) -> Option<Self> {
        let windows = text.as_bytes().windows(WINDOW).enumerate();
        let rarest = windows.min_by_key(|(_, octets)| {
            let octets = octets.iter().map(|octet| how_common(*octet));
            octets.sum::<u32>()
        });
        let (at, octets) = rarest?;
        let window = octets.iter().rev().fold(0, |window: u32, octet| {
            (window << 8) | u32::from(folded(*octet))
        });
        Some(Self {
            window,
            until: at + WINDOW,
            phrase,
        })
    }
}

/// The same for both cases of a letter, and for little else.
const fn folded(byte: u8) -> u8 {
    byte | 0x20
}

const fn hash(window: u32) -> u16 {
    let [high, low, ..] = window.wrapping_mul(0x9E37_79B1).to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// How common an octet is in the texts of mail servers, in a thousand. Only the order counts.
const fn how_common(octet: u8) -> u32 {
    match octet.to_ascii_lowercase() {
        b' ' => 160,
        b'e' => 95,
        b'a' | b'i' | b'o' | b's' | b'r' | b't' | b'n' => 60,
        b'd' | b'l' | b'm' | b'c' | b'u' => 35,
        b'p' | b'f' | b'b' | b'h' | b'g' | b'.' => 20,
        b'v' | b'w' | b'y' | b'0'..=b'9' => 10,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phrases(texts: &[&str]) -> Phrases {
        Phrases::new(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn all_in(phrases: &Phrases, text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        phrases.each_in(text, |phrase, range| {
            all.push((range.start, phrase));
            ControlFlow::Continue(())
        });
        all.sort_unstable();
        all
    }

    #[test]
    fn every_phrase_is_found_wherever_it_stands() {
        let known = phrases(&[
            "user unknown",
            "unknown",
            "no such user",
            "ユーザ",
            "spam",
            "spam",
            "rbl",
        ]);
        for (text, expected) in [
            ("", vec![]),
            ("spa", vec![]),
            ("spam", vec![(0, 4), (0, 5)]),
            ("550 User UNKNOWN", vec![(4, 0), (9, 1)]),
            ("unknownunknown", vec![(0, 1), (7, 1)]),
            ("不明なユーザです", vec![(9, 3)]),
            ("no such use", vec![]),
            ("RBL, xrbl", vec![(0, 6), (6, 6)]),
        ] {
            assert_eq!(all_in(&known, text), expected, "{text}");
            assert_eq!(known.any_in(text), !expected.is_empty(), "{text}");
        }
        assert_eq!(known.first_in("an unknown user unknown"), Some(1));
        assert_eq!(known.first_in("user unknown"), Some(0));
        assert!(!Phrases::default().any_in("user unknown"));
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_is_there(
            texts in proptest::collection::vec("[abAB@` ]{1,7}", 1..12),
            text in "[abAB@` ]{0,60}",
        ) {
            let known = Phrases::new(texts.clone());
            let mut expected = Vec::new();
            for (phrase, wanted) in texts.iter().enumerate() {
                for start in 0..text.len() {
                    let here = text.get(start..start + wanted.len());
                    if here.is_some_and(|here| here.eq_ignore_ascii_case(wanted)) {
                        expected.push((start, phrase));
                    }
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(all_in(&known, &text), expected);
        }
    }
}
