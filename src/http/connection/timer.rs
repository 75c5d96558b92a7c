//! Time limits that cost nothing while they are kept. The runtime's timers are under locks that
//! all requests share, so that setting one and taking it back twice a request is not free.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// A limit on a wait that nearly always ends when its task runs next. The timer is set only when
/// it has not ended by then, and the time counts from there.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Calm,
    Asked,
    Runs(Pin<Box<Sleep>>),
}

impl Patience {
    /// So long.
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            state: State::Calm,
        }
    }

    /// What was waited for has come.
    pub fn calm(&mut self) {
        self.state = State::Calm;
    }

    /// It has not come; whether it should have by now. The task is woken in time to ask again.
    pub fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match &mut self.state {
                State::Calm => {
                    self.state = State::Asked;
                    cx.waker().wake_by_ref();
                    return false;
                }
                State::Asked => {
                    let sleep = tokio::time::sleep(self.limit);
                    self.state = State::Runs(Box::pin(sleep));
                }
                State::Runs(sleep) => return sleep.as_mut().poll(cx).is_ready(),
            }
        }
    }

    /// The output of a future that comes in time.
    pub async fn within<F: Future + Unpin>(&mut self, mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => {
                self.calm();
                Poll::Ready(Some(output))
            }
            Poll::Pending if self.is_over(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// The timer of one connection's request heads. It keeps its one entry among the runtime's timers
/// from request to request and moves it, which takes no lock as long as it is moved to a later
/// time.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

/// A time that is waited for with the entry that it gives back when it is dropped.
struct Lent {
    sleep: Option<Pin<Box<Sleep>>>,
    owner: Kept,
}

impl Kept {
    fn entry(&self) -> std::sync::MutexGuard<'_, Option<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hyper::rt::Timer for Kept {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let sleep = match self.entry().take() {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline.into());
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        };
        Box::pin(Lent {
            sleep: Some(sleep),
            owner: self.clone(),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

impl hyper::rt::Sleep for Lent {}

impl Future for Lent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.owner.entry() = self.sleep.take();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use hyper::rt::Timer as _;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn patience_ends_after_its_limit_and_not_before() {
        let begun = tokio::time::Instant::now();
        let mut patience = Patience::new(LIMIT);
        assert_eq!(patience.within(ready(7)).await, Some(7));
        assert_eq!(patience.within(pending::<u8>()).await, None);
        assert!(begun.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn what_comes_at_the_second_look_sets_no_timer() {
        let mut patience = Patience::new(Duration::ZERO);
        let mut looks = 0;
        let second = poll_fn(|_| {
            looks += 1;
            if looks == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        assert_eq!(patience.within(Box::pin(second)).await, Some(()));
        assert!(matches!(patience.state, State::Calm));
        assert_eq!(looks, 2);
    }

    #[tokio::test]
    async fn a_kept_timer_wakes_at_the_last_time_that_was_asked_for() {
        let timer = Kept::default();
        let begun = tokio::time::Instant::now();
        for turn in 1..=3 {
            let mut dropped = timer.sleep_until(timer.now() + LIMIT * turn);
            let is_pending = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending()));
            assert!(is_pending.await);
        }
        assert!(timer.entry().is_some(), "given back");
        timer.sleep_until(timer.now() + LIMIT * 4).await;
        assert!(begun.elapsed() >= LIMIT * 4);
    }
}
