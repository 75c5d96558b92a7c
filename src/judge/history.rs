//! The rules that need more than one receipt: what many failures of one recipient mean, and what
//! many of one provider. Pure; the store keeps what they look at, and asks them under a lock.

use std::time::Duration;

/// What operators may set about bounces; each is a documented key of `[policy]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BouncePolicy {
    /// Different UTC days with a failure that mean that an address is dead (5).
    pub soft_failures: u32,
    /// How far the first and the last of them must be apart at least (15 days).
    pub soft_spread: Duration,
    /// Different UTC days with a full mailbox that mean the same (5).
    pub full_failures: u32,
    /// Within how long (30 days).
    pub full_within: Duration,
    /// How long a failure counts (90 days).
    pub soft_memory: Duration,
    /// Recipients that a provider may call dead in an hour before the brake looks closer (200).
    pub brake_bounces: u32,
    /// How many times those of its busiest hour it may be at most (3).
    pub brake_factor: u32,
    /// Within how long the busiest hour is looked for (14 days).
    pub brake_history: Duration,
    /// Bounces a day of one provider for one cause of ours that raise an alarm (100).
    pub signal_bounces: u32,
}

impl Default for BouncePolicy {
    fn default() -> Self {
        Self {
            soft_failures: 5,
            soft_spread: days(15),
            full_failures: 5,
            full_within: days(30),
            soft_memory: days(90),
            brake_bounces: 200,
            brake_factor: 3,
            brake_history: days(14),
            signal_bounces: 100,
        }
    }
}

const fn days(count: u64) -> Duration {
    Duration::from_hours(count * 24)
}

/// Whole days of a duration.
fn in_days(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs() / 86_400).unwrap_or(i64::MAX)
}

/// A UTC day on which mail to a recipient failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedDay {
    /// Days since 1970.
    pub day: i64,
    /// Whether its mailbox was full.
    pub full: bool,
    /// Whether one of that day's bounces could be read.
    pub read: bool,
}

/// What the failures of a recipient mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// The address is dead.
    Yes,
    /// It would be, if those could be believed that nobody can read.
    IfUnreadCount,
}

/// Whether the failures of a recipient, a day each and in any order, mean that the address is
/// dead. Failures that lie longer before the last one than they count are left out.
pub fn dead(failed: &[FailedDay], policy: &BouncePolicy) -> Option<Dead> {
    let last = failed.iter().map(|failed| failed.day).max()?;
    let memory = in_days(policy.soft_memory);
    let remembered = |failed: &&FailedDay| last.saturating_sub(failed.day) <= memory;
    let all: Vec<FailedDay> = failed.iter().filter(remembered).copied().collect();
    let read: Vec<FailedDay> = all.iter().filter(|failed| failed.read).copied().collect();
    if enough(&read, policy) {
        Some(Dead::Yes)
    } else if enough(&all, policy) {
        Some(Dead::IfUnreadCount)
    } else {
        None
    }
}

fn enough(failed: &[FailedDay], policy: &BouncePolicy) -> bool {
    let days = failed.iter().map(|failed| failed.day);
    let (Some(first), Some(last)) = (days.clone().min(), days.max()) else {
        return false;
    };
    let spread = last.saturating_sub(first);
    let within = in_days(policy.full_within);
    let full = failed
        .iter()
        .filter(|failed| failed.full && last.saturating_sub(failed.day) < within);
    (reaches(failed.len(), policy.soft_failures) && spread >= in_days(policy.soft_spread))
        || reaches(full.count(), policy.full_failures)
}

fn reaches(count: usize, wanted: u32) -> bool {
    count >= usize::try_from(wanted.max(1)).unwrap_or(usize::MAX)
}

/// Whether a provider calls so many recipients dead in an hour that it is not believed: more than
/// are looked at, and many times more than in the busiest of its hours before.
pub fn brakes(bounces: u64, busiest: u64, policy: &BouncePolicy) -> bool {
    bounces > u64::from(policy.brake_bounces)
        && bounces > busiest.saturating_mul(u64::from(policy.brake_factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `d` a failure, `f` a full mailbox, `u` one that nobody can read, each with its day.
    fn failed(text: &str) -> Vec<FailedDay> {
        text.split_whitespace()
            .map(|word| FailedDay {
                day: word.trim_start_matches(['d', 'f', 'u']).parse().unwrap(),
                full: word.starts_with('f'),
                read: !word.starts_with('u'),
            })
            .collect()
    }

    // D-020, D-074
    #[test]
    fn failures_mean_something_by_their_days() {
        for (days, expected) in [
            ("", None),
            ("d0 d4 d8 d12 d15", Some(Dead::Yes)),
            ("d15 d0 d12 d4 d8", Some(Dead::Yes)),
            ("d0 d4 d8 d12 d14", None),
            ("d0 d5 d10 d15", None),
            ("d0 d1 d2 d3 d4 d5 d6 d7 d8", None),
            ("d0 d88 d89 d90 d90", Some(Dead::Yes)),
            ("d0 d88 d89 d90 d91", None),
            ("f0 f1 f2 f3 f4", Some(Dead::Yes)),
            ("f0 f1 f2 f3 f29", Some(Dead::Yes)),
            ("f0 f28 f29 f30", None),
            ("f0 f1 f2 d3 f4", None),
            ("f0 f20 f21 f22 f30 d90", Some(Dead::Yes)),
            ("u0 u4 u8 u12 u15", Some(Dead::IfUnreadCount)),
            ("d0 u4 u8 u12 d15", Some(Dead::IfUnreadCount)),
            ("d0 u4 d5 d6 d7 d15", Some(Dead::Yes)),
        ] {
            let told = dead(&failed(days), &BouncePolicy::default());
            assert_eq!(told, expected, "{days}");
        }
    }

    // D-062
    #[test]
    fn the_brake_compares_with_the_busiest_hour() {
        for (bounces, busiest, expected) in [
            (200, 0, false),
            (201, 0, true),
            (201, 66, true),
            (201, 67, false),
            (3_000, 1_000, false),
            (3_001, 1_000, true),
            (u64::MAX, u64::MAX, false),
        ] {
            let told = brakes(bounces, busiest, &BouncePolicy::default());
            assert_eq!(told, expected, "{bounces} against {busiest}");
        }
    }
}
