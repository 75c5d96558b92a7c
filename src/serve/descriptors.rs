//! File descriptors: as many as all sessions need, or fewer sessions, so that no door can take
//! those of the others, of the store and of the journal.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept for listeners, store, journal, certificates and connections being refused.
const RESERVE: usize = 256;

/// Sessions that the doors may have at a time; each holds one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) smtp: usize,
    /// Of one network.
    pub(super) smtp_per_ip: usize,
    pub(super) public: usize,
    pub(super) api: usize,
    /// 0 if nothing listens for mail servers.
    pub(super) lookup: usize,
}

impl Places {
    /// Raises the limit of this process to what these places need, as far as the system allows.
    /// Gives those that there are descriptors for, and says so if they are fewer.
    pub(super) fn made_room_for(self) -> Self {
        let needed = self.sessions().saturating_add(RESERVE);
        let open = raise(needed);
        if open >= needed {
            return self;
        }
        let fewer = self.within(open);
        tracing::warn!(
            open_files = open,
            needed,
            smtp_sessions = fewer.smtp,
            public_sessions = fewer.public,
            api_sessions = fewer.api,
            lookup_sessions = fewer.lookup,
            "the limit of open files is too low for all sessions; fewer are accepted"
        );
        fewer
    }

    const fn sessions(self) -> usize {
        self.smtp
            .saturating_add(self.public)
            .saturating_add(self.api)
            .saturating_add(self.lookup)
    }

    /// In proportion, so that all together need no more than `open` descriptors.
    fn within(self, open: usize) -> Self {
        let left = open - RESERVE.min(open / 2);
        let all = self.sessions().max(1);
        let part = |places: usize| (places.saturating_mul(left) / all).max(1);
        Self {
            smtp: part(self.smtp),
            smtp_per_ip: part(self.smtp_per_ip),
            public: part(self.public),
            api: part(self.api),
            lookup: if self.lookup == 0 {
                0
            } else {
                part(self.lookup)
            },
        }
    }
}

/// Raises the soft limit to `needed`, at most to the hard one; how many files may now be open.
fn raise(needed: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let count = |limit: Option<u64>| {
        limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
    };
    let (open, most) = (count(current), count(maximum));
    if open >= needed {
        return open;
    }
    let wanted = needed.min(most);
    let limit = Rlimit {
        current: u64::try_from(wanted).ok(),
        maximum,
    };
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, wanted, "the limit of open files cannot be raised");
            open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Places = Places {
        smtp: 1_000,
        smtp_per_ip: 100,
        public: 10_000,
        api: 4_000,
        lookup: 0,
    };

    #[test]
    fn fewer_descriptors_are_shared_in_proportion() {
        let some = ALL.within(RESERVE + 1_500);
        let tenth = Places {
            smtp: 100,
            smtp_per_ip: 10,
            public: 1_000,
            api: 400,
            lookup: 0,
        };
        assert_eq!(some, tenth);
        let asked = Places {
            lookup: 1_000,
            ..ALL
        };
        assert_eq!(asked.within(RESERVE + 1_600).lookup, 100);
        for open in [1_024, 4_096, 15_000] {
            assert!(ALL.within(open).sessions() + RESERVE <= open, "{open}");
        }
        // However few there are, every door lets somebody in.
        let least = ALL.within(16);
        assert!(least.smtp == 1 && least.smtp_per_ip == 1 && least.public > 1 && least.api > 1);
    }
}
