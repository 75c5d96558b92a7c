//! Durations and sizes as people write them: `5 min`, `50 MiB`.

use std::fmt;
use std::time::Duration;

/// A number of bytes, written `50 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// That many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// That many KiB.
    pub const fn from_kib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 10))
    }

    /// That many MiB.
    pub const fn from_mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory, saturating.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.0, &SIZES))
    }
}

/// Reads `50 MiB`, `64KiB`, `512 B` or a bare number of bytes.
pub(super) fn size(text: &str) -> Result<Size, String> {
    let wanted = "a size such as \"50 MiB\" (B, KiB, MiB, GiB)";
    read(text, &SIZES, Some("B"))
        .map(Size)
        .ok_or_else(|| format!("{text:?} is not {wanted}"))
}

/// Reads `5 min`, `30s`, `250 ms`, `1 h` or `90 days`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "a duration such as \"5 min\" (ms, s, min, h, days)";
    read(text, &DURATIONS, None)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not {wanted}"))
}

/// The way [`duration`] reads it.
pub(super) fn duration_text(duration: Duration) -> String {
    written(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        &DURATIONS,
    )
}

fn read(text: &str, units: &[Unit], bare: Option<&str>) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit.trim() {
        "" => bare?,
        unit => unit,
    };
    let (_, factor) = units.iter().find(|(names, _)| names.contains(&unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves no fraction.
fn written(amount: u64, units: &[Unit]) -> String {
    let fits = |factor: u64| amount >= factor && amount.checked_rem(factor) == Some(0);
    let largest = units
        .iter()
        .rev()
        .find(|(_, factor)| fits(*factor))
        .or(units.first());
    let (names, factor) = largest.copied().unwrap_or((&[], 1));
    let unit = names.first().copied().unwrap_or_default();
    format!("{} {unit}", amount.checked_div(factor).unwrap_or(amount))
}

/// The names of a unit, the one that is written first, and how many of the smallest it is.
type Unit = (&'static [&'static str], u64);

/// Ascending.
const SIZES: [Unit; 4] = [
    (&["B"], 1),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
];

/// In milliseconds, ascending.
const DURATIONS: [Unit; 5] = [
    (&["ms"], 1),
    (&["s"], 1_000),
    (&["min"], 60_000),
    (&["h"], 3_600_000),
    (&["days", "day", "d"], 86_400_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let cases = [
            ("5 min", 300_000, "5 min"),
            ("30s", 30_000, "30 s"),
            ("90 s", 90_000, "90 s"),
            ("250 ms", 250, "250 ms"),
            ("60 min", 3_600_000, "1 h"),
            ("1 day", 86_400_000, "1 days"),
            ("90 days", 7_776_000_000, "90 days"),
            (" 2  h ", 7_200_000, "2 h"),
        ];
        for (text, millis, shown) in cases {
            let read = duration(text).unwrap();
            assert_eq!(read, Duration::from_millis(millis), "{text}");
            assert_eq!(duration_text(read), shown, "{text}");
            assert_eq!(duration(&duration_text(read)), Ok(read), "{text}");
        }
        for text in [
            "",
            "5",
            "min",
            "-5 min",
            "5 m",
            "1.5 h",
            "5 mins ago",
            "99999999999999999999 s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(
            duration("18446744073709551615 days").is_err(),
            "must not wrap"
        );
    }

    #[test]
    fn sizes_are_read_and_written() {
        let cases = [
            ("50 MiB", 52_428_800, "50 MiB"),
            ("64KiB", 65_536, "64 KiB"),
            ("4096", 4_096, "4 KiB"),
            ("1000 B", 1_000, "1000 B"),
            ("1 GiB", 1 << 30, "1 GiB"),
        ];
        for (text, bytes, shown) in cases {
            let read = size(text).unwrap();
            assert_eq!(read.bytes(), bytes, "{text}");
            assert_eq!(read.to_string(), shown, "{text}");
        }
        for text in [
            "",
            "MiB",
            "5 MB",
            "5 M",
            "-1",
            "1.5 GiB",
            "18446744073709551615 GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
