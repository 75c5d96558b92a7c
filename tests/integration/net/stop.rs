//! The stop waits for what runs, and no longer than it is told to.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use desist::net::stop::Stop;
use tokio::sync::oneshot;

const LONG: Duration = Duration::from_secs(30);

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_soft_stop_lets_tasks_end_by_themselves() {
    let stop = Stop::new();
    let (send, receive) = oneshot::channel();
    let soft = stop.soft().clone();
    stop.spawn(async move {
        soft.cancelled().await;
        send.send("ended in order").unwrap();
    });
    assert!(stop.finish(LONG).await, "nothing had to be dropped");
    assert_eq!(receive.await.unwrap(), "ended in order");
}

#[tokio::test]
async fn the_hard_stop_drops_what_does_not_end() {
    let stop = Stop::new();
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Dropped(Arc::clone(&dropped));
    stop.spawn(async move {
        pending::<()>().await;
        drop(guard);
    });
    assert!(!stop.finish(Duration::from_millis(20)).await);
    assert!(
        dropped.load(Ordering::SeqCst),
        "the task is gone when the stop is finished"
    );
}

#[tokio::test]
async fn nothing_begins_after_the_hard_stop() {
    let stop = Stop::new();
    stop.hard().cancel();
    let ran = Arc::new(AtomicBool::new(false));
    let runs = Arc::clone(&ran);
    stop.spawn(async move { runs.store(true, Ordering::SeqCst) });
    assert!(stop.finish(LONG).await);
    assert!(!ran.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_panic_ends_its_own_task_alone() {
    let stop = Stop::new();
    let (send, receive) = oneshot::channel();
    let soft = stop.soft().clone();
    stop.spawn(async { panic!("as this test wants") });
    stop.spawn(async move {
        soft.cancelled().await;
        send.send(()).unwrap();
    });
    assert!(stop.finish(LONG).await);
    receive.await.unwrap();
}

#[tokio::test]
async fn tasks_may_run_on_another_runtime() {
    let elsewhere = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("elsewhere")
        .build()
        .unwrap();
    let stop = Stop::new();
    let (send, receive) = oneshot::channel();
    let soft = stop.soft().clone();
    stop.on(elsewhere.handle()).spawn(async move {
        soft.cancelled().await;
        let name = std::thread::current().name().map(str::to_owned);
        send.send(name).unwrap();
    });
    assert!(stop.finish(LONG).await, "it is the same stop");
    assert_eq!(receive.await.unwrap().as_deref(), Some("elsewhere"));
    elsewhere.shutdown_background();
}
