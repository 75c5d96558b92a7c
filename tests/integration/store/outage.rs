//! An engine that is busy or silent is an error in bounded time, and only for as long.

use std::time::Duration;

use desist::model::secret::Secret;
use desist::store::{Addresses, Store, StoreConfig, StoreError};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use super::world::{NOW, World, manual, standing};

pub(super) async fn a_locked_store_is_unavailable_until_it_is_free(world: &World) {
    let store = world.open().await;
    let url = world.url();
    let (suppressed, read) = if url.starts_with("sqlite") {
        let mut other = SqliteConnection::connect(&url).await.unwrap();
        let transaction = other.begin_with("begin immediate").await.unwrap();
        let results = (store.suppress(&[manual(1)], NOW).await, store.head().await);
        transaction.rollback().await.unwrap();
        results
    } else {
        let mut other = PgConnection::connect(&url).await.unwrap();
        let mut transaction = other.begin().await.unwrap();
        sqlx::query("update feed set seq = seq")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let results = (store.suppress(&[manual(1)], NOW).await, store.head().await);
        transaction.rollback().await.unwrap();
        results
    };
    assert!(
        matches!(suppressed, Err(StoreError::Unavailable(_))),
        "{suppressed:?}"
    );
    // Readers do not wait for writers.
    assert_eq!(read.unwrap().seq, 1);
    assert_eq!(standing(&store).await, []);
    assert_eq!(store.suppress(&[manual(1)], NOW).await.unwrap().0, [true]);
}

pub(super) async fn a_caller_that_goes_away_leaves_nothing_behind(world: &World) {
    let store = world.open().await;
    let batch: Vec<_> = (0..50).map(|number| world.complaint(number)).collect();
    // Dropped after ever more of its steps; at last it comes to its end.
    let mut steps = 0;
    let recorded = loop {
        let mut work = Box::pin(store.record(&batch, NOW));
        let mut left = steps;
        let outcome = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            std::task::Poll::Ready(result) => std::task::Poll::Ready(Some(result)),
            std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
            std::task::Poll::Pending => {
                left -= 1;
                std::task::Poll::Pending
            }
        })
        .await;
        match outcome {
            Some(result) => break result.unwrap(),
            None => steps += 1,
        }
    };
    assert!(steps > 3, "{steps}");
    // A commit may have been under way when its caller left: then the receipts are not new.
    assert!(recorded.new.len() == 50 || recorded.seq.is_none());
    assert_eq!(standing(&store).await.len(), 50);
    let places = store.changes(None, 0, 100).await.unwrap().0;
    assert_eq!(
        places.iter().map(|change| change.seq).collect::<Vec<_>>(),
        (52..102).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    // Accepts connections and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = StoreConfig {
        url: format!("postgres://u:hidden@{}/d", listener.local_addr().unwrap()),
        addresses: Addresses::Keep,
        seal_key: None,
    };
    let opening = Store::open(&config, Secret::new([1; 32]), NOW);
    let error = tokio::time::timeout(Duration::from_mins(1), opening)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(!error.to_string().contains("hidden"), "{error}");
}

#[tokio::test]
async fn a_url_that_names_no_store_is_refused() {
    for url in [
        "",
        "mysql://x",
        "sqlite:",
        "sqlite::memory:",
        "postgres://u:hidden@[/d",
    ] {
        let (addresses, seal_key) = (Addresses::Keep, None);
        let config = StoreConfig {
            url: url.to_owned(),
            addresses,
            seal_key,
        };
        let error = Store::open(&config, Secret::new([1; 32]), NOW)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::sqlite();
    let store = world.open().await;
    store.suppress(&[manual(1)], NOW).await.unwrap();
    let path = world.url().trim_start_matches("sqlite:").to_owned();
    for file in [path.clone(), format!("{path}-wal"), format!("{path}-shm")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}
