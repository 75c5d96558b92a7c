//! Places in a feed. To callers they are opaque: `EPOCH:SEQ` of the store.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Api;
use super::problem::{Kind, Problem};
use crate::app::App;
use crate::model::clock::Tick;
use crate::store::{Store, StoreError};

/// The place of a reader who wants only what comes from now on.
pub(super) const HEAD: &str = "head";

/// Where a call begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the beginning of what is kept.
    Beginning,
    /// Behind the last entry of now.
    Head,
    /// Behind this one.
    Behind(u64),
}

/// Longest time that a call waits for something new, in seconds.
const LONGEST_WAIT: u64 = 60;

/// How long a reader waits for something new.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    app: &'a App,
    stop: &'a CancellationToken,
    deadline: Tick,
    /// What this node knew before the feed was read the last time: it is in what was read.
    known: u64,
}

impl<'a> Wait<'a> {
    /// From `wait`, in seconds; not at all if it is not given.
    pub(super) fn new(api: &'a Api, wait: Option<u64>) -> Result<Self, Problem> {
        let seconds = wait.unwrap_or(0);
        if seconds > LONGEST_WAIT {
            let detail = format!("wait: from 0 to {LONGEST_WAIT} seconds, not {seconds}");
            return Err(Problem::new(Kind::InvalidRequest, detail));
        }
        let app = &api.app;
        let deadline = app.clock.tick().after(Duration::from_secs(seconds));
        let known = app.follower.position().seq;
        Ok(Self {
            app,
            stop: &api.stop,
            deadline,
            known,
        })
    }

    /// Waits after nothing was found up to `upto`. `true` if the feed has moved and is to be read
    /// once more; `false` if it has not: time is over, the server stops, or nobody follows the
    /// feed any longer.
    pub(super) async fn more(&mut self, upto: u64) -> bool {
        let left = self.deadline.since(self.app.clock.tick());
        if left.is_zero() {
            return false;
        }
        let seen = upto.max(self.known);
        tokio::select! {
            () = self.stop.cancelled() => return false,
            () = self.app.follower.beyond(seen, left) => {}
        }
        self.known = self.app.follower.position().seq;
        self.known > seen
    }
}

/// Where in the feed a place is now.
pub(super) async fn behind(store: &Store, place: Place) -> Result<u64, StoreError> {
    match place {
        Place::Beginning => Ok(0),
        Place::Head => Ok(store.head().await?.seq),
        Place::Behind(seq) => Ok(seq),
    }
}

/// Reads `after`. A cursor of another epoch is gone: its numbers mean something else here.
pub(super) fn place(store: &Store, after: Option<&str>) -> Result<Place, Problem> {
    let Some(text) = after else {
        return Ok(Place::Beginning);
    };
    if text == HEAD {
        return Ok(Place::Head);
    }
    let wrong = || Problem::new(Kind::InvalidRequest, "after: no cursor of this feed");
    let (epoch, seq) = text.rsplit_once(':').ok_or_else(wrong)?;
    let seq = seq.parse().map_err(|_not_a_number| wrong())?;
    if epoch == store.epoch() {
        Ok(Place::Behind(seq))
    } else {
        Err(Problem::new(
            Kind::CursorExpired,
            "the cursor is of an earlier epoch of the store",
        ))
    }
}

/// The cursor behind `seq`.
pub(super) fn cursor(store: &Store, seq: u64) -> String {
    format!("{}:{seq}", store.epoch())
}
