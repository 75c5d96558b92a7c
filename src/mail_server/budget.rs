//! Message octets in flight: bounded over all sessions, and shared out between networks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::peer::neighbourhood_of;
use crate::smtp::limits::Limits;

/// What all sessions may hold together. Cheap to clone; clones count together.
///
/// One network's first message may use all that is free, so that a single large report always
/// fits; what it sends at the same time beyond that message may use only a part, so that one
/// network cannot shut out the others.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    total: u64,
    part: u64,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    octets: u64,
    next_share: u64,
    networks: HashMap<IpAddr, OfNetwork>,
}

/// What one network holds. Its entry goes when it holds nothing.
#[derive(Debug, Default)]
struct OfNetwork {
    /// The share whose message is the first.
    first: Option<u64>,
    /// Octets of all other shares.
    others: u64,
}

/// One session's part of the budget; dropping it gives back what it still holds.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    number: u64,
    network: IpAddr,
    /// Changed only while the budget is locked.
    held: AtomicU64,
}

impl Budget {
    /// Nothing is held yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            total: limits.in_flight,
            part: limits.in_flight / limits.network_part.max(1),
            used: Arc::default(),
        }
    }

    /// Octets that are held now.
    pub(super) fn in_flight(&self) -> u64 {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .octets
    }

    pub(super) fn share(&self, peer: IpAddr) -> Share {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let number = used.next_share;
        used.next_share = number.wrapping_add(1);
        drop(used);
        let held = AtomicU64::new(0);
        Share {
            budget: self.clone(),
            number,
            network: neighbourhood_of(peer),
            held,
        }
    }
}

impl Share {
    /// Holds `octets` more, if they fit.
    pub(super) fn reserve(&self, octets: u64) -> bool {
        let mut used = self
            .budget
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let total = used.octets.saturating_add(octets);
        if total > self.budget.total {
            return false;
        }
        let held = self.held.load(Ordering::Relaxed);
        let network = used.networks.entry(self.network).or_default();
        if held == 0 && network.first.is_none() {
            network.first = Some(self.number);
        }
        if network.first != Some(self.number) {
            let others = network.others.saturating_add(octets);
            if others > self.budget.part {
                return false;
            }
            network.others = others;
        }
        used.octets = total;
        self.held
            .store(held.saturating_add(octets), Ordering::Relaxed);
        true
    }

    /// Gives `octets` back, at most what is held.
    pub(super) fn release(&self, octets: u64) {
        let mut used = self
            .budget
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let held = self.held.load(Ordering::Relaxed);
        let octets = octets.min(held);
        let left = held.saturating_sub(octets);
        self.held.store(left, Ordering::Relaxed);
        used.octets = used.octets.saturating_sub(octets);
        let Some(network) = used.networks.get_mut(&self.network) else {
            return;
        };
        if network.first != Some(self.number) {
            network.others = network.others.saturating_sub(octets);
        } else if left == 0 {
            network.first = None;
        }
        if network.first.is_none() && network.others == 0 {
            used.networks.remove(&self.network);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(&Limits {
            in_flight: 800,
            network_part: 8,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_one_large_message_and_an_eighth() {
        let budget = budget();
        let first = budget.share(ip("192.0.2.1"));
        let second = budget.share(ip("192.0.2.2"));
        let third = budget.share(ip("192.0.2.3"));
        assert!(first.reserve(500));
        assert!(second.reserve(60));
        assert!(third.reserve(40));
        assert!(!second.reserve(1), "an eighth is 100");
        assert!(!third.reserve(1));
        assert!(
            first.reserve(100),
            "the first message is not bounded by the eighth"
        );
        let elsewhere = budget.share(ip("192.0.3.1"));
        assert!(elsewhere.reserve(100));
        assert!(!elsewhere.reserve(1), "all together are bounded");
        // The first message ends: the next one that begins takes its place, no other does.
        first.release(600);
        assert!(!second.reserve(50));
        assert!(first.reserve(600));
        assert_eq!(budget.in_flight(), 800);
    }

    #[test]
    fn everything_comes_back() {
        let budget = budget();
        let first = budget.share(ip("192.0.2.1"));
        let second = budget.share(ip("192.0.2.2"));
        assert!(first.reserve(300) && second.reserve(100));
        assert!(!second.reserve(401));
        first.release(100);
        assert_eq!(budget.in_flight(), 300);
        drop(first);
        assert_eq!(budget.in_flight(), 100);
        second.release(1_000_000);
        drop(second);
        assert_eq!(budget.in_flight(), 0);
        assert!(budget.used.lock().unwrap().networks.is_empty());
        let idle = budget.share(ip("192.0.2.1"));
        assert!(!idle.reserve(801));
        assert!(budget.used.lock().unwrap().networks.is_empty());
        drop(idle);
    }
}
