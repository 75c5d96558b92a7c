//! Work on many items on all processors, with the results in the order of the items and a bounded
//! number of either in memory.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Groups of items that a worker may be ahead of the one whose results are taken next.
const AHEAD: usize = 4;

/// Items of a group: handing over one at a time costs more than reading it.
const GROUP: usize = 64;

/// Weight at which a group is large enough.
const HEAVY: usize = 1024 * 1024;

/// What is worked on.
pub(super) trait Item: Send {
    /// Octets that it holds in memory.
    fn weight(&self) -> usize;
}

/// Calls `work` for every item on `jobs` threads (all processors, if not given), each with room of
/// its own, and `take` for every result on this one, in the order of the items. Ends early when
/// `take` fails.
pub(super) fn run<I, R, T>(
    items: impl Iterator<Item = I> + Send,
    jobs: Option<usize>,
    work: impl Fn(&mut Vec<u8>, I) -> R + Sync,
    mut take: T,
) -> io::Result<()>
where
    I: Item,
    R: Send,
    T: FnMut(R) -> io::Result<()>,
{
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
    let items = Mutex::new((0_usize, items));
    // A place for each group that is worked on or waits for its turn.
    let (give_place, places) = sync_channel(jobs.saturating_mul(AHEAD));
    let places = Mutex::new(places);
    for _ in 0..jobs.saturating_mul(AHEAD) {
        // There is room for each, and the other end is above.
        if give_place.send(()).is_err() {
            break;
        }
    }
    thread::scope(|scope| {
        let (done, results) = sync_channel(jobs);
        for _ in 0..jobs {
            let done = done.clone();
            let (items, places, work) = (&items, &places, &work);
            scope.spawn(move || {
                let mut room = Vec::new();
                while let Some((number, group)) = next(items, places) {
                    let group = group.into_iter().map(|item| work(&mut room, item));
                    if done.send((number, group.collect::<Vec<_>>())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let taken = in_order(&results, |group: Vec<R>| {
            let taken = group.into_iter().try_for_each(&mut take);
            // When all items are given out, nobody waits for a place.
            give_place.send(()).ok();
            taken
        });
        // Workers that wait for a place or to hand over results see that nobody is there.
        drop(give_place);
        drop(results);
        taken
    })
}

/// The next group, once there is a place for it. Place and group are taken together, so that the
/// group whose results are taken next always has one.
fn next<I: Item>(
    items: &Mutex<(usize, impl Iterator<Item = I>)>,
    places: &Mutex<Receiver<()>>,
) -> Option<(usize, Vec<I>)> {
    let places = places.lock().ok()?;
    places.recv().ok()?;
    let mut items = items.lock().ok()?;
    let (number, items) = &mut *items;
    let (mut group, mut weight) = (Vec::new(), 0_usize);
    while group.len() < GROUP && weight < HEAVY {
        let Some(item) = items.next() else { break };
        weight = weight.saturating_add(item.weight());
        group.push(item);
    }
    if group.is_empty() {
        return None;
    }
    let this = *number;
    *number += 1;
    Some((this, group))
}

fn in_order<R>(
    results: &Receiver<(usize, R)>,
    mut take: impl FnMut(R) -> io::Result<()>,
) -> io::Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, result) in results {
        early.insert(number, result);
        while let Some(result) = early.remove(&next) {
            take(result)?;
            next += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Item for u64 {
        fn weight(&self) -> usize {
            // Some make a group by themselves.
            if self.is_multiple_of(1_000) { HEAVY } else { 1 }
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let mut seen = Vec::new();
        run(
            0..10_000_u64,
            Some(4),
            |_, n| {
                // Some take much longer than others.
                let rounds = if n.is_multiple_of(97) { 20_000 } else { 1 };
                (0..rounds).fold(n, |sum, i| std::hint::black_box(sum ^ i ^ i))
            },
            |n| {
                seen.push(n);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn it_ends_when_nobody_takes_more() {
        let endless = std::iter::repeat(1_u64);
        let mut left = 10;
        let ended = run(
            endless,
            Some(3),
            |_, n| n,
            |_| {
                left -= 1;
                if left == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            },
        );
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
