//! Opening: first start, seal, versions.

use desist::model::directory::{KeyState, SigningKey};
use desist::model::secret::Secret;
use desist::store::{Store, StoreConfig, StoreError};

use super::world::{NOW, TENANT, World, all_changes, manual};

pub(super) async fn first_start_makes_root_tenant_and_key(world: &World) {
    let store = world.open().await;
    let directory = store.directory().await.unwrap();
    assert!(directory.root == Secret::new([1; 32]));
    assert_eq!(directory.tenants.len(), 1);
    assert_eq!(directory.tenants[0].id, TENANT);
    assert_eq!(directory.tenants[0].name, "default");
    let first = SigningKey {
        tenant: TENANT,
        serial: 1,
        state: KeyState::Active,
        generation: 1,
    };
    assert_eq!(directory.signing_keys, [first]);
    // A follower that starts at 0 never looks like one that has seen everything.
    let head = store.head().await.unwrap();
    assert_eq!((head.seq, head.directory, directory.seq), (1, 1, 1));
    assert_eq!(all_changes(&store).await, []);
}

pub(super) async fn a_second_start_finds_what_the_first_made(world: &World) {
    let first = world.open().await;
    let epoch = first.epoch().to_owned();
    assert!(epoch.len() >= 32);
    first.close().await;
    let second = Store::open(&world.config(), Secret::new([2; 32]), NOW)
        .await
        .unwrap();
    assert_eq!(second.epoch(), epoch);
    assert!(second.directory().await.unwrap().root == Secret::new([1; 32]));
    assert_eq!(second.head().await.unwrap().seq, 1);
}

pub(super) async fn nodes_that_start_at_once_agree(world: &World) {
    let config = world.config();
    let open = |number| Store::open(&config, Secret::new([number; 32]), NOW);
    let (a, b, c, d) = tokio::join!(open(1), open(2), open(3), open(4));
    let stores = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
    let root = stores[0].directory().await.unwrap().root;
    for store in &stores {
        assert_eq!(store.epoch(), stores[0].epoch());
        assert!(store.directory().await.unwrap().root == root);
        assert_eq!(store.head().await.unwrap().seq, 1);
    }
}

pub(super) async fn a_sealed_root_needs_its_key(world: &World) {
    let sealed = |byte| StoreConfig {
        seal_key: Some(Secret::new([byte; 32])),
        ..world.config()
    };
    world.open_with(&sealed(9)).await.unwrap().close().await;
    let again = world.open_with(&sealed(9)).await.unwrap();
    assert!(again.directory().await.unwrap().root == Secret::new([1; 32]));
    for wrong in [sealed(8), world.config()] {
        let error = world.open_with(&wrong).await.unwrap_err();
        assert!(matches!(&error, StoreError::Sealed(_)), "{error}");
    }
}

pub(super) async fn a_plain_root_is_sealed_when_a_key_is_given(world: &World) {
    world.open().await.close().await;
    let sealed = StoreConfig {
        seal_key: Some(Secret::new([9; 32])),
        ..world.config()
    };
    let store = world.open_with(&sealed).await.unwrap();
    assert!(store.directory().await.unwrap().root == Secret::new([1; 32]));
    assert!(matches!(
        world.open_with(&world.config()).await,
        Err(StoreError::Sealed(_))
    ));
}

pub(super) async fn tables_of_a_newer_version_are_refused(world: &World) {
    world.open().await.close().await;
    world
        .number("insert into migrations (version, applied) values (99, 0) returning version")
        .await;
    let error = world.open_with(&world.config()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Inconsistent(_)), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
}

pub(super) async fn who_knows_older_tables_writes_nothing_more(world: &World) {
    let store = world.open().await;
    let head = store.head().await.unwrap().seq;
    world.number("update feed set tables = tables + 1").await;
    let writes = store.record(&[world.complaint(1)], NOW).await;
    let error = writes.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
    let mut bare = world.complaint(2);
    bare.events.clear();
    assert!(store.record(&[bare], NOW).await.is_err());
    assert!(store.suppress(&[manual(1)], NOW).await.is_err());
    assert_eq!(store.head().await.unwrap().seq, head);
    // Nothing of the batch is there: it comes again once the right program runs.
    world.number("update feed set tables = tables - 1").await;
    let recorded = store.record(&[world.complaint(1)], NOW).await.unwrap();
    assert_eq!(recorded.new.len(), 1);
}
