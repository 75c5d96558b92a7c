//! How often something may happen: so many times a second, and some seconds' worth at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::clock::Tick;

/// A number a second, of which a few seconds' worth may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Microseconds between two.
    interval: u64,
    /// Microseconds that one may be ahead of that.
    burst: u64,
}

impl Pace {
    /// `count` a second (above a million: a million), of which those of `seconds` at once.
    pub fn per_second(count: u32, seconds: u32) -> Self {
        let interval = SECOND / u64::from(count.max(1));
        let burst = SECOND.saturating_mul(u64::from(seconds.max(1)));
        Self {
            interval: interval.max(1),
            burst,
        }
    }

    /// One more, at `now`, after those until which all is used up to `due`: the new `due`, or how
    /// long it is too early.
    fn after(self, due: u64, now: Tick) -> Result<u64, Duration> {
        let now = micros(now);
        let next = due.max(now).saturating_add(self.interval);
        match next.saturating_sub(now).checked_sub(self.burst) {
            Some(early) if early > 0 => Err(Duration::from_micros(early)),
            _ => Ok(next),
        }
    }
}

/// The same pace for each of many, as many as [`MOST`]: more are not held back.
#[derive(Debug)]
pub struct Paces<K> {
    pace: Pace,
    /// By whom: the point, in microseconds of the monotonic clock, at which nothing is used.
    due: HashMap<K, u64>,
    swept: Tick,
}

/// Those who are counted at a time. About 4 MiB.
pub const MOST: usize = 65_536;

impl<K: Hash + Eq> Paces<K> {
    /// Nobody has used anything.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            due: HashMap::new(),
            swept: Tick::default(),
        }
    }

    /// One more of `who`. The error says how long it is too early for it.
    pub fn take(&mut self, who: K, now: Tick) -> Result<(), Duration> {
        if self.due.len() >= MOST && !self.due.contains_key(&who) && !self.made_room(now) {
            return Ok(());
        }
        let due = self.due.entry(who).or_insert(0);
        *due = self.pace.after(*due, now)?;
        Ok(())
    }

    /// Forgets those who have used nothing lately. Looks at most once a second, so that a crowd
    /// costs no search for each of its members.
    fn made_room(&mut self, now: Tick) -> bool {
        if now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            let now = micros(now);
            self.due.retain(|_, due| *due > now);
        }
        self.due.len() < MOST
    }
}

const SECOND: u64 = 1_000_000;

const fn micros(tick: Tick) -> u64 {
    tick.as_millis().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    #[test]
    fn a_burst_goes_at_once_and_then_one_an_interval() {
        let mut paces = Paces::new(Pace::per_second(10, 2));
        let mut taken = |who, millis| paces.take(who, at(millis));
        assert!((0..20).all(|_| taken("a", 5_000).is_ok()));
        assert_eq!(taken("a", 5_000), Err(Duration::from_millis(100)));
        assert_eq!(taken("a", 5_040), Err(Duration::from_millis(60)));
        assert_eq!(taken("b", 5_040), Ok(()), "each has its own");
        assert_eq!(taken("a", 5_100), Ok(()));
        assert_eq!(taken("a", 5_100), Err(Duration::from_millis(100)));
        // Who waits long has the whole burst again, and no more.
        assert!((0..20).all(|_| taken("a", 60_000).is_ok()));
        assert!(taken("a", 60_000).is_err());
    }

    #[test]
    fn those_who_are_counted_are_bounded() {
        let mut paces = Paces::new(Pace::per_second(1, 1));
        for who in 0..MOST {
            assert_eq!(paces.take(who, at(0)), Ok(()));
        }
        assert!(paces.take(0, at(500)).is_err(), "is counted");
        for _ in 0..3 {
            assert_eq!(paces.take(MOST, at(500)), Ok(()), "is not counted");
        }
        assert_eq!(paces.due.len(), MOST);
        assert_eq!(paces.take(MOST, at(1_000)), Ok(()));
        assert_eq!(paces.due.len(), 1, "the others have used nothing lately");
        assert!(paces.take(MOST, at(1_000)).is_err());
    }
}
