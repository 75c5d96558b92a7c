//! Tenants, streams, mailboxes, signing keys, API keys.

use desist::model::directory::{KeyState, SigningKey};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::stream::{Class, Stream};
use desist::model::tenant::{Tenant, TenantId};
use desist::store::{ApiKey, KeyScope, StoreError};

use super::world::{NOW, TENANT, World};

fn stream(number: u16, name: &str) -> Stream {
    let class = Class::Marketing;
    Stream {
        tenant: TENANT,
        number,
        name: name.to_owned(),
        class,
        unsubscribe: false,
        title: None,
    }
}

fn tenant(number: u32, name: &str) -> Tenant {
    Tenant {
        id: TenantId::new(number).unwrap(),
        name: name.to_owned(),
        domain: None,
        title: None,
    }
}

fn mailbox(address: &str) -> Mailbox {
    let (tenant, stream) = (Some(TENANT), Some(3));
    Mailbox {
        address: address.to_owned(),
        role: Role::Complaint,
        tenant,
        stream,
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) async fn putting_twice_changes_once(world: &World) {
    let store = world.open().await;
    assert_eq!(
        store.put_tenant(&tenant(1, "default"), NOW).await.unwrap(),
        None
    );
    assert_eq!(
        store.put_tenant(&tenant(2, "b"), NOW).await.unwrap(),
        Some(2)
    );
    assert_eq!(store.put_tenant(&tenant(2, "b"), NOW).await.unwrap(), None);
    let named = Tenant {
        domain: Some("b.example".to_owned()),
        ..tenant(2, "b")
    };
    assert_eq!(store.put_tenant(&named, NOW).await.unwrap(), Some(3));
    assert_eq!(
        store.put_stream(&stream(3, "news"), NOW).await.unwrap(),
        Some(4)
    );
    assert_eq!(
        store.put_stream(&stream(3, "news"), NOW).await.unwrap(),
        None
    );
    let transactional = Stream {
        class: Class::Transactional,
        unsubscribe: true,
        ..stream(3, "news")
    };
    assert_eq!(
        store.put_stream(&transactional, NOW).await.unwrap(),
        Some(5)
    );
    assert_eq!(
        store
            .put_mailbox(&mailbox("jmrp@fb.example"), NOW)
            .await
            .unwrap(),
        Some(6)
    );
    assert_eq!(
        store
            .put_mailbox(&mailbox("jmrp@fb.example"), NOW)
            .await
            .unwrap(),
        None
    );
    let anybodys = Mailbox {
        tenant: None,
        stream: None,
        ..mailbox("jmrp@fb.example")
    };
    assert_eq!(store.put_mailbox(&anybodys, NOW).await.unwrap(), Some(7));

    let directory = store.directory().await.unwrap();
    assert_eq!(directory.tenants, [tenant(1, "default"), named]);
    assert_eq!(directory.streams, [transactional]);
    assert_eq!(directory.mailboxes.as_slice(), [anybodys]);
    assert_eq!(directory.signing_keys.len(), 2);
    let head = store.head().await.unwrap();
    assert_eq!((directory.seq, head.seq, head.directory), (7, 7, 7));
    // A change of suppressions is none of the directory.
    store
        .suppress(&[super::world::manual(1)], NOW)
        .await
        .unwrap();
    let head = store.head().await.unwrap();
    assert_eq!((head.seq, head.directory), (8, 7));
}

pub(super) async fn titles_stay_unless_another_is_put(world: &World) {
    let store = world.open().await;
    let title = |title: Option<&str>| title.map(str::to_owned);
    for (put, expected, changes) in [
        (Some("Bücher & mehr"), Some("Bücher & mehr"), true),
        (None, Some("Bücher & mehr"), false),
        (Some("週刊"), Some("週刊"), true),
        (Some(""), None, true),
        (None, None, false),
    ] {
        let tenant = Tenant {
            title: title(put),
            ..tenant(1, "default")
        };
        let stream = Stream {
            title: title(put),
            ..stream(1, "default")
        };
        let seq = store.put_tenant(&tenant, NOW).await.unwrap();
        assert_eq!(seq.is_some(), changes, "{put:?}");
        store.put_stream(&stream, NOW).await.unwrap();
        let directory = store.directory().await.unwrap();
        assert_eq!(directory.tenants[0].title, title(expected));
        assert_eq!(directory.streams[0].title, title(expected));
    }
    for bad in ["a\nb", " ", &"x".repeat(101)] {
        let tenant = Tenant {
            title: title(Some(bad)),
            ..tenant(1, "default")
        };
        assert!(refused(store.put_tenant(&tenant, NOW).await).contains("a title has"));
    }
}

pub(super) async fn names_are_unique_in_their_tenant(world: &World) {
    let store = world.open().await;
    store.put_stream(&stream(3, "news"), NOW).await.unwrap();
    assert!(refused(store.put_stream(&stream(4, "news"), NOW).await).contains("stream 3"));
    assert!(refused(store.put_tenant(&tenant(2, "default"), NOW).await).contains("tenant 1"));
    store.put_tenant(&tenant(2, "b"), NOW).await.unwrap();
    let others = Stream {
        tenant: TenantId::new(2).unwrap(),
        ..stream(4, "news")
    };
    store.put_stream(&others, NOW).await.unwrap();
}

pub(super) async fn nonsense_is_refused(world: &World) {
    let store = world.open().await;
    for name in ["", "A", "a b", "ü", "a\0", &"x".repeat(65)] {
        refused(store.put_tenant(&tenant(2, name), NOW).await);
        refused(store.put_stream(&stream(3, name), NOW).await);
    }
    refused(store.put_stream(&stream(0, "zero"), NOW).await);
    let nobodys = Stream {
        tenant: TenantId::new(9).unwrap(),
        ..stream(3, "news")
    };
    assert!(refused(store.put_stream(&nobodys, NOW).await).contains("no tenant 9"));
    for address in [
        "",
        "a",
        "@b",
        "a@",
        "A@b",
        "a\0@b",
        &format!("{}@b", "x".repeat(600)),
    ] {
        refused(store.put_mailbox(&mailbox(address), NOW).await);
    }
    let nobodys = Mailbox {
        tenant: TenantId::new(9),
        ..mailbox("a@b")
    };
    assert!(refused(store.put_mailbox(&nobodys, NOW).await).contains("no tenant 9"));
    assert_eq!(store.head().await.unwrap().seq, 1);
}

pub(super) async fn mailboxes_come_and_go(world: &World) {
    let store = world.open().await;
    assert_eq!(store.remove_mailbox("a@b").await.unwrap(), None);
    store.put_mailbox(&mailbox("a@b"), NOW).await.unwrap();
    assert_eq!(store.remove_mailbox("a@b").await.unwrap(), Some(3));
    assert_eq!(store.directory().await.unwrap().mailboxes.as_slice(), []);
}

pub(super) async fn signing_keys_count_up(world: &World) {
    let store = world.open().await;
    let key = |serial, state, generation| SigningKey {
        tenant: TENANT,
        serial,
        state,
        generation,
    };
    refused(store.put_signing_key(&key(3, KeyState::Active, 1)).await);
    refused(store.put_signing_key(&key(0, KeyState::Active, 1)).await);
    refused(store.put_signing_key(&key(2, KeyState::Active, 0)).await);
    assert_eq!(
        store
            .put_signing_key(&key(2, KeyState::Active, 2))
            .await
            .unwrap(),
        Some(2)
    );
    assert_eq!(
        store
            .put_signing_key(&key(1, KeyState::Retired, 1))
            .await
            .unwrap(),
        Some(3)
    );
    assert_eq!(
        store
            .put_signing_key(&key(1, KeyState::Retired, 1))
            .await
            .unwrap(),
        None
    );
    refused(store.put_signing_key(&key(1, KeyState::Active, 2)).await);
    let directory = store.directory().await.unwrap();
    let keys = [key(1, KeyState::Retired, 1), key(2, KeyState::Active, 2)];
    assert_eq!(directory.signing_keys, keys);
    // A tenant that is put again keeps its keys as they are.
    store.put_tenant(&tenant(1, "renamed"), NOW).await.unwrap();
    assert_eq!(store.directory().await.unwrap().signing_keys, keys);
}

pub(super) async fn api_keys_are_found_by_prefix(world: &World) {
    let store = world.open().await;
    let key = ApiKey {
        prefix: "dk_abc".to_owned(),
        hash: [7; 32],
        tenant: Some(TENANT),
        scopes: vec![KeyScope::Check, KeyScope::Read],
        name: "the sender".to_owned(),
        created: NOW,
    };
    let admin = ApiKey {
        prefix: "dk_adm".to_owned(),
        tenant: None,
        scopes: vec![],
        ..key.clone()
    };
    store.add_api_key(&key).await.unwrap();
    store.add_api_key(&admin).await.unwrap();
    refused(store.add_api_key(&key).await);
    refused(
        store
            .add_api_key(&ApiKey {
                prefix: String::new(),
                ..key.clone()
            })
            .await,
    );
    let nobodys = ApiKey {
        tenant: TenantId::new(9),
        prefix: "x".to_owned(),
        ..key.clone()
    };
    refused(store.add_api_key(&nobodys).await);
    assert_eq!(store.api_key("dk_abc").await.unwrap(), Some(key.clone()));
    assert_eq!(store.api_key("dk_ab").await.unwrap(), None);
    assert_eq!(store.api_keys(None).await.unwrap(), [key.clone(), admin]);
    assert_eq!(store.api_keys(Some(TENANT)).await.unwrap(), [key]);
    assert!(store.remove_api_key("dk_abc").await.unwrap());
    assert!(!store.remove_api_key("dk_abc").await.unwrap());
    assert_eq!(store.api_key("dk_abc").await.unwrap(), None);
}
