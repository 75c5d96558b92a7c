//! Tenants, streams, mailboxes, signing keys, API keys.

use desist::model::directory::{KeyState, SigningKey};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::stream::{Class, Stream};
use desist::model::tenant::{Tenant, TenantId};
use desist::store::{
    ApiKey, KeyRefusal, KeyScope, MOST_GENERATIONS, MOST_KEYS, MOST_MAILBOXES, MailboxRefusal,
    NextKey, StoreError, TenantChange, TenantRefusal,
};

use tokio::task::JoinSet;

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
    assert_eq!(store.remove_mailbox("a@b", None).await.unwrap(), None);
    store.put_mailbox(&mailbox("a@b"), NOW).await.unwrap();
    // Whoever is not its owner has none.
    let other = TenantId::new(2);
    assert_eq!(store.remove_mailbox("a@b", other).await.unwrap(), None);
    let gone = store.remove_mailbox("a@b", Some(TENANT)).await.unwrap();
    assert_eq!(gone, Some((mailbox("a@b"), 3)));
    assert_eq!(store.directory().await.unwrap().mailboxes.as_slice(), []);
}

pub(super) async fn tenants_that_are_made_at_once_have_numbers_of_their_own(world: &World) {
    const NODES: u32 = 4;
    const EACH: u32 = 12;
    world.open().await;
    let mut nodes = JoinSet::new();
    for node in 0..NODES {
        let store = world.open().await;
        nodes.spawn(async move {
            let mut made = Vec::new();
            for n in 0..EACH {
                let change = TenantChange {
                    // Every third name is wanted by all of them, and is one tenant.
                    name: if n % 3 == 0 {
                        format!("all-{n}")
                    } else {
                        format!("n{node}-{n}")
                    },
                    domain: (n % 3 != 0).then(|| format!("n{node}-{n}.example")),
                    ..TenantChange::default()
                };
                let put = store.change_tenant(&change, NOW).await.unwrap().unwrap();
                made.push((put.created, put.now.id));
            }
            made
        });
    }
    let made = nodes.join_all().await.concat();
    let mut created: Vec<u32> = made
        .iter()
        .filter(|(created, _)| *created)
        .map(|(_, id)| id.get())
        .collect();
    created.sort_unstable();
    let shared = EACH / 3;
    let expected = NODES * (EACH - shared) + shared;
    assert_eq!(created, (2..expected + 2).collect::<Vec<_>>());
    let directory = world.open().await.directory().await.unwrap();
    assert_eq!(directory.tenants.len(), created.len() + 1);
    assert_eq!(directory.signing_keys.len(), created.len() + 1);
}

pub(super) async fn a_number_is_free_behind_the_last_one_or_in_a_gap(world: &World) {
    let store = world.open().await;
    let named = |number: Option<u32>, name: &str| TenantChange {
        number: number.map(|number| TenantId::new(number).unwrap()),
        name: name.to_owned(),
        ..TenantChange::default()
    };
    let mut numbers = Vec::new();
    for change in [
        named(Some(7), "seven"),
        named(None, "next"),
        named(Some(TenantId::MAX), "last"),
        named(None, "gap"),
        named(None, "next"),
        named(Some(7), "renamed"),
    ] {
        let put = store.change_tenant(&change, NOW).await.unwrap().unwrap();
        numbers.push((put.now.id.get(), put.created, put.seq.is_some()));
    }
    assert_eq!(
        numbers,
        [
            (7, true, true),
            (8, true, true),
            (TenantId::MAX, true, true),
            (2, true, true),
            (8, false, false),
            (7, false, true),
        ]
    );
    let taken = store
        .change_tenant(&named(Some(9), "gap"), NOW)
        .await
        .unwrap();
    let other = TenantId::new(2).unwrap();
    assert_eq!(taken.unwrap_err(), TenantRefusal::NameTaken(other));
}

pub(super) async fn a_domain_is_one_tenants_until_it_is_released(world: &World) {
    let store = world.open().await;
    let with = |name: &str, domain: Option<&str>, release: &[&str]| TenantChange {
        name: name.to_owned(),
        domain: domain.map(str::to_owned),
        release: release.iter().map(|name| (*name).to_owned()).collect(),
        ..TenantChange::default()
    };
    let put = async |change: TenantChange| store.change_tenant(&change, NOW).await.unwrap();
    let owner = async |domain: &str| {
        let directory = store.directory().await.unwrap();
        directory.domains.owner(domain).map(TenantId::get)
    };
    let first = put(with("b", Some("b.example"), &[])).await.unwrap();
    assert_eq!(first.now.domain.as_deref(), Some("b.example"));
    assert_eq!(owner("b.example").await, Some(2));
    let taken = put(with("c", Some("b.example"), &[])).await.unwrap_err();
    assert_eq!(taken, TenantRefusal::DomainTaken("b.example".to_owned()));
    // Nothing of what is refused stays.
    assert_eq!(store.directory().await.unwrap().tenants.len(), 2);

    // Another domain to mint on: mail that is out already still comes to the old one.
    put(with("b", Some("new.example"), &[])).await.unwrap();
    assert_eq!(owner("b.example").await, Some(2));
    assert_eq!(owner("new.example").await, Some(2));
    let taken = put(with("c", Some("b.example"), &[])).await.unwrap_err();
    assert_eq!(taken, TenantRefusal::DomainTaken("b.example".to_owned()));
    let in_use = put(with("b", None, &["new.example"])).await.unwrap_err();
    assert_eq!(in_use, TenantRefusal::DomainInUse("new.example".to_owned()));

    // Released, with its mailboxes and no others.
    for address in ["x@b.example", "x@new.example"] {
        let own = Mailbox {
            tenant: TenantId::new(2),
            stream: None,
            ..mailbox(address)
        };
        store.put_mailbox(&own, NOW).await.unwrap();
    }
    put(with("b", None, &["b.example", "stranger.example"]))
        .await
        .unwrap();
    assert_eq!(owner("b.example").await, None);
    let directory = store.directory().await.unwrap();
    assert!(directory.mailboxes.get("x@b.example").is_none());
    assert!(directory.mailboxes.get("x@new.example").is_some());
    let third = put(with("c", Some("b.example"), &[])).await.unwrap();
    assert_eq!((third.created, owner("b.example").await), (true, Some(3)));
    // No domain of its own any longer: it is served all the same.
    let bare = put(with("b", Some(""), &[])).await.unwrap();
    assert_eq!(
        (bare.now.domain, owner("new.example").await),
        (None, Some(2))
    );
    put(with("b", None, &["new.example"])).await.unwrap();
    assert_eq!(owner("new.example").await, None);
    for bad in ["B.example", "b.example.", "a b", "-.example"] {
        refused(store.change_tenant(&with("d", Some(bad), &[]), NOW).await);
    }
}

/// Changes something of the directory; the place of the feed.
async fn changed(store: &desist::store::Store, step: u32) -> Option<u64> {
    let second = TenantId::new(2).unwrap();
    let own = Mailbox {
        tenant: Some(second),
        stream: None,
        ..mailbox("own@t2.example")
    };
    let anybodys = Mailbox {
        tenant: None,
        stream: None,
        ..mailbox("all@fb.example")
    };
    match step {
        0 => {
            let stream = Stream {
                tenant: second,
                ..stream(3, "news")
            };
            store.put_stream(&stream, NOW).await.unwrap()
        }
        1 => store.put_mailbox(&own, NOW).await.unwrap(),
        2 => store.put_mailbox(&anybodys, NOW).await.unwrap(),
        3 => {
            let next = NextKey::default();
            let put = store.add_signing_key(second, &next).await.unwrap();
            put.unwrap().seq
        }
        4 => {
            let gone = store.remove_mailbox("own@t2.example", None).await.unwrap();
            gone.map(|(_, seq)| seq)
        }
        // One that was nobody's becomes a tenant's, and another's.
        5 => {
            let firsts = mailbox("all@fb.example");
            store.put_mailbox(&firsts, NOW).await.unwrap()
        }
        6 => {
            let moved = Mailbox {
                tenant: Some(second),
                ..anybodys.clone()
            };
            store.put_mailbox(&moved, NOW).await.unwrap()
        }
        _ => {
            let tenant = Tenant {
                domain: Some("t9.example".to_owned()),
                ..tenant(9, "t9")
            };
            store.put_tenant(&tenant, NOW).await.unwrap()
        }
    }
}

pub(super) async fn what_has_changed_is_read_and_no_more(world: &World) {
    let store = world.open().await;
    for number in 2..6 {
        store
            .put_tenant(&tenant(number, &format!("t{number}")), NOW)
            .await
            .unwrap();
    }
    let mut known = store.directory().await.unwrap();
    for step in 0..8 {
        let seq = changed(&store, step).await;
        assert_eq!(seq, Some(known.seq + 1), "step {step}");
        let change = store.directory_behind(known.seq).await.unwrap();
        let touched: Vec<u32> = change
            .tenants
            .iter()
            .map(|tenant| tenant.id.get())
            .collect();
        let expected: &[u32] = match step {
            2 => &[],
            5 => &[1],
            6 => &[1, 2],
            7 => &[9],
            _ => &[2],
        };
        assert_eq!(touched, expected, "step {step}");
        assert_eq!(
            change.shared.is_some(),
            [2, 5].contains(&step),
            "step {step}"
        );
        known = known.after(&change);
        let whole = store.directory().await.unwrap();
        assert_eq!(known.tenants, whole.tenants, "step {step}");
        assert_eq!(known.streams, whole.streams, "step {step}");
        assert_eq!(known.signing_keys, whole.signing_keys, "step {step}");
        assert_eq!(known.mailboxes, whole.mailboxes, "step {step}");
        assert_eq!(known.domains, whole.domains, "step {step}");
        assert_eq!(known.seq, whole.seq, "step {step}");
    }
    let nothing = store.directory_behind(known.seq).await.unwrap();
    assert!(nothing.tenants.is_empty() && nothing.shared.is_none());
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) async fn a_mailbox_is_in_a_domain_of_its_tenant(world: &World) {
    let store = world.open().await;
    let second = TenantId::new(2).unwrap();
    store.put_stream(&stream(3, "news"), NOW).await.unwrap();
    store
        .put_tenant(
            &Tenant {
                domain: Some("b.example".to_owned()),
                ..tenant(2, "b")
            },
            NOW,
        )
        .await
        .unwrap();
    let of = |tenant: Option<TenantId>, address: &str, stream: Option<u16>| Mailbox {
        tenant,
        stream,
        ..mailbox(address)
    };
    for (case, mailbox, shared, refusal) in [
        ("own", of(Some(second), "x@b.example", None), false, None),
        (
            "another's",
            of(Some(TENANT), "y@b.example", None),
            true,
            Some(MailboxRefusal::ForeignDomain),
        ),
        (
            "nobody's in a tenant's",
            of(None, "y@b.example", None),
            true,
            Some(MailboxRefusal::ForeignDomain),
        ),
        (
            "not served",
            of(Some(second), "y@c.example", None),
            false,
            Some(MailboxRefusal::ForeignDomain),
        ),
        (
            "served for all",
            of(Some(second), "y@fb.example", None),
            true,
            None,
        ),
        ("nobody's", of(None, "z@fb.example", None), true, None),
        (
            "of somebody",
            of(Some(TENANT), "y@fb.example", None),
            true,
            Some(MailboxRefusal::Taken),
        ),
        (
            "of nobody",
            of(Some(TENANT), "z@fb.example", None),
            true,
            Some(MailboxRefusal::Taken),
        ),
        (
            "a stream of another",
            of(Some(second), "s@b.example", Some(3)),
            false,
            Some(MailboxRefusal::UnknownStream(3)),
        ),
        (
            "nobody's stream",
            of(None, "s@fb.example", Some(3)),
            true,
            Some(MailboxRefusal::UnknownStream(3)),
        ),
        (
            "own stream",
            of(Some(TENANT), "s@fb.example", Some(3)),
            true,
            None,
        ),
    ] {
        let put = store.change_mailbox(&mailbox, shared).await.unwrap();
        assert_eq!(put.as_ref().err(), refusal.as_ref(), "{case}");
        let again = store.change_mailbox(&mailbox, shared).await.unwrap();
        if let Ok(again) = again {
            assert!(
                !again.created && again.seq.is_none(),
                "{case}: nothing changes twice"
            );
        }
    }
}

pub(super) async fn mailboxes_of_a_tenant_are_bounded(world: &World) {
    let store = world.open().await;
    world
        .number(
            "with recursive n (i) as (select 0 union all select i + 1 from n where i < 999)
             insert into mailboxes (address, role, tenant)
             select 'm' || i || '@fb.example', 'complaint', 1 from n",
        )
        .await;
    assert_eq!(MOST_MAILBOXES, 1_000);
    let put = async |address: &str| {
        let own = Mailbox {
            stream: None,
            role: Role::Human,
            ..mailbox(address)
        };
        store.change_mailbox(&own, true).await.unwrap()
    };
    assert_eq!(
        put("one@fb.example").await.unwrap_err(),
        MailboxRefusal::TooMany
    );
    assert!(
        !put("m0@fb.example").await.unwrap().created,
        "what is there can be changed"
    );
    store.remove_mailbox("m1@fb.example", None).await.unwrap();
    assert!(put("one@fb.example").await.unwrap().created);
}

/// Two nodes that make the last of nobody's mailboxes at once: each waits for the other before it
/// counts.
pub(super) async fn mailboxes_of_nobody_that_are_made_at_once_are_bounded(world: &World) {
    let stores = [world.open().await, world.open().await];
    world
        .number(
            "with recursive n (i) as (select 0 union all select i + 1 from n where i < 996)
             insert into mailboxes (address, role)
             select 'm' || i || '@fb.example', 'complaint' from n",
        )
        .await;
    let mut tasks = JoinSet::new();
    for number in 0..24 {
        let store = stores[number % 2].clone();
        let nobodys = Mailbox {
            tenant: None,
            stream: None,
            ..mailbox(&format!("n{number}@fb.example"))
        };
        tasks.spawn(async move { store.change_mailbox(&nobodys, true).await.unwrap() });
    }
    let put = tasks.join_all().await;
    let (made, refused): (Vec<_>, Vec<_>) = put.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (3, 21));
    for refused in refused {
        assert_eq!(refused.unwrap_err(), MailboxRefusal::TooMany);
    }
    let nobodys = "select count(*) from mailboxes where tenant is null";
    assert_eq!(world.number(nobodys).await, MOST_MAILBOXES);
}

pub(super) async fn signing_keys_count_up(world: &World) {
    let store = world.open().await;
    let key = |serial, state, generation| SigningKey {
        tenant: TENANT,
        serial,
        state,
        generation,
    };
    let add = async |next: NextKey| store.add_signing_key(TENANT, &next).await.unwrap();
    let set = async |serial, state| store.set_key_state(TENANT, serial, state).await.unwrap();
    let keys = async || store.directory().await.unwrap().signing_keys;
    let last = set(1, KeyState::Retired).await.unwrap_err();
    assert_eq!(last, KeyRefusal::LastActive(1));
    assert_eq!(
        set(1, KeyState::Revoked).await.unwrap_err(),
        KeyRefusal::LastActive(1)
    );
    let second = add(NextKey {
        new_address_key: true,
        ..NextKey::default()
    })
    .await
    .unwrap();
    assert_eq!(
        (second.now, second.seq),
        (key(2, KeyState::Active, 2), Some(2))
    );
    assert_eq!(set(1, KeyState::Retired).await.unwrap().seq, Some(3));
    assert_eq!(set(1, KeyState::Retired).await.unwrap().seq, None);
    // A leaked key goes in the step that makes the next one; what is revoked is not just retired.
    let third = NextKey {
        retire: vec![1],
        revoke: vec![2],
        ..NextKey::default()
    };
    assert_eq!(add(third).await.unwrap().now, key(3, KeyState::Active, 2));
    let fourth = NextKey {
        retire: vec![2, 3],
        ..NextKey::default()
    };
    assert_eq!(add(fourth).await.unwrap().now, key(4, KeyState::Active, 2));
    let all = [
        key(1, KeyState::Retired, 1),
        key(2, KeyState::Revoked, 2),
        key(3, KeyState::Retired, 2),
        key(4, KeyState::Active, 2),
    ];
    assert_eq!(keys().await, all);
    let unknown = add(NextKey {
        revoke: vec![5],
        ..NextKey::default()
    })
    .await
    .unwrap_err();
    assert_eq!(unknown, KeyRefusal::Unknown(5));
    assert_eq!(
        set(9, KeyState::Active).await.unwrap_err(),
        KeyRefusal::Unknown(9)
    );
    let nobodys = store
        .add_signing_key(TenantId::new(9).unwrap(), &NextKey::default())
        .await;
    assert!(refused(nobodys).contains("no tenant 9"));
    // A mistake can be mended.
    assert_eq!(
        set(2, KeyState::Active).await.unwrap().now,
        key(2, KeyState::Active, 2)
    );
    // A tenant that is put again keeps its keys as they are.
    store.put_tenant(&tenant(1, "renamed"), NOW).await.unwrap();
    assert_eq!(keys().await.len(), 4);
}

pub(super) async fn signing_keys_of_a_tenant_are_bounded(world: &World) {
    let store = world.open().await;
    let add = async |new_address_key| {
        let next = NextKey {
            new_address_key,
            ..NextKey::default()
        };
        store.add_signing_key(TENANT, &next).await.unwrap()
    };
    for generation in 2..=MOST_GENERATIONS {
        let made = add(true).await.unwrap().now;
        assert_eq!(usize::try_from(made.generation).unwrap(), generation);
    }
    assert_eq!(add(true).await.unwrap_err(), KeyRefusal::TooManyGenerations);
    for _ in MOST_GENERATIONS..MOST_KEYS {
        add(false).await.unwrap();
    }
    assert_eq!(add(false).await.unwrap_err(), KeyRefusal::TooManyKeys);
    assert_eq!(
        store.directory().await.unwrap().signing_keys.len(),
        MOST_KEYS
    );
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
    let asked = ["dk_abc", "dk_no", "dk_adm"].map(str::to_owned);
    let mut named = store.api_keys_named(&asked).await.unwrap();
    named.sort_by(|one, other| one.prefix.cmp(&other.prefix));
    assert_eq!(named, [key.clone(), admin.clone()]);
    assert_eq!(store.api_keys_named(&[]).await.unwrap(), []);
    assert_eq!(store.api_keys(None).await.unwrap(), [key.clone(), admin]);
    assert_eq!(store.api_keys(Some(TENANT)).await.unwrap(), [key]);
    assert!(store.remove_api_key("dk_abc").await.unwrap());
    assert!(!store.remove_api_key("dk_abc").await.unwrap());
    assert_eq!(store.api_key("dk_abc").await.unwrap(), None);
}
