//! Work on many items on all processors, with the results in the order of the items and a bounded
//! number of either in memory.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Items that a worker may be ahead of the one whose result is printed next.
const AHEAD: usize = 64;

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
    I: Send,
    R: Send,
    T: FnMut(R) -> io::Result<()>,
{
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
    let items = Mutex::new(items.enumerate());
    // A place for each item that is worked on or waits for its turn.
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
                while let Some((number, item)) = next(items, places) {
                    if done.send((number, work(&mut room, item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let taken = in_order(&results, |result| {
            let taken = take(result);
            // When all items are given out, nobody waits for a place.
            give_place.send(()).ok();
            taken
        });
        // Workers that wait for a place or to hand over a result see that nobody is there.
        drop(give_place);
        drop(results);
        taken
    })
}

/// The next item, once there is a place for it. Place and item are taken together, so that the item
/// that is printed next always has one.
fn next<I>(
    items: &Mutex<impl Iterator<Item = (usize, I)>>,
    places: &Mutex<Receiver<()>>,
) -> Option<(usize, I)> {
    let places = places.lock().ok()?;
    places.recv().ok()?;
    items.lock().ok()?.next()
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
        let endless = std::iter::repeat(1_u8);
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
