//! Waiting beside something busy for what happens once. A task that waits for several things asks
//! all of them whenever one has happened; a busy connection would thus ask some times a request
//! whether the server stops, under locks that all connections share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is asked only after it has woken its task itself.
#[derive(Debug)]
pub struct Woken<F> {
    future: F,
    bell: Option<Arc<Bell>>,
}

/// Tells who rang.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl<F> Woken<F> {
    /// Asks this future.
    pub const fn new(future: F) -> Self {
        Self { future, bell: None }
    }
}

impl<F: Future + Unpin> Future for Woken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(bell) = &self.bell
            && !bell.rung.load(Ordering::Acquire)
            && bell.task.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            task: cx.waker().clone(),
        });
        self.bell = Some(Arc::clone(&bell));
        let waker = Waker::from(bell);
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn it_is_asked_once_until_it_wakes_its_task() {
        let task = async {
            let (asked, inner) = (AtomicUsize::new(0), Mutex::new(None));
            let future = poll_fn(|cx| {
                *inner.lock().unwrap() = Some(cx.waker().clone());
                if asked.fetch_add(1, Ordering::SeqCst) == 2 {
                    Poll::Ready(7)
                } else {
                    Poll::Pending
                }
            });
            let mut woken = Woken::new(future);
            poll_fn(|cx| {
                for times in [1, 2] {
                    for _ in 0..5 {
                        assert!(Pin::new(&mut woken).poll(cx).is_pending());
                        assert_eq!(asked.load(Ordering::SeqCst), times);
                    }
                    inner.lock().unwrap().take().unwrap().wake();
                }
                Pin::new(&mut woken).poll(cx)
            })
            .await
        };
        // As a task of its own, since it is about the wakers of tasks.
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(task);
        assert_eq!(tasks.join_all().await, [7]);
    }

    #[tokio::test]
    async fn another_task_that_asks_is_woken_too() {
        let (ring, rung) = tokio::sync::oneshot::channel();
        let mut woken = Woken::new(rung);
        // Asked by a first task, which goes away.
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut woken).poll(&mut nobody).is_pending());
        let waiting = tokio::task::JoinSet::from_iter([woken]).join_all();
        let ringing = async {
            tokio::task::yield_now().await;
            ring.send(5).unwrap();
        };
        let (got, ()) = tokio::join!(waiting, ringing);
        assert_eq!(got, [Ok(5)]);
    }
}
