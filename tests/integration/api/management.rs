//! Tenants, mailboxes and signing keys by the API: what is made, and what is refused and why.

use axum::body::Body;
use desist::store::KeyScope;
use http::{Method, Request};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::node::{Answer, Node};

async fn call(node: &Node, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    node.send(request.body(body).unwrap()).await
}

/// What a call is refused with: its status and its problem.
async fn refusals(node: &Node, path: &str, cases: &[(Value, u16, &str)]) {
    for (body, status, problem) in cases {
        let answer = node.post(path, body).await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert_eq!(answer.status, *status, "{path} {body}: {text}");
        assert_eq!(answer.problem(), *problem, "{path} {body}");
    }
}

#[tokio::test]
async fn a_tenant_is_created_and_updated() {
    let node = Node::start().await;
    let made = node
        .post(
            "/v1/tenants",
            &json!({"name": "shop", "domain": "FB.Shop.Example.", "title": "Example Shop"}),
        )
        .await;
    assert_eq!(made.status, 201);
    let shop = json!({"number": 3, "name": "shop", "domain": "fb.shop.example",
        "domains": ["fb.shop.example"], "title": "Example Shop"});
    assert_eq!(
        made.json(),
        json!({"tenant": shop, "result": "created", "indexed": true})
    );
    // The same again, as after an answer that was lost.
    let again = node.post("/v1/tenants", &json!({"name": "shop"})).await;
    assert_eq!(again.status, 200);
    assert_eq!(
        again.json(),
        json!({"tenant": shop, "result": "updated", "indexed": true})
    );
    // It can be named at once, and has a key to mint with.
    let stream = json!({"number": 1, "name": "news"});
    let answer = node.post_for("shop", "/v1/streams", &stream).await;
    assert_eq!(answer.status, 201);
    let mint = json!({"stream": 1, "recipients": [{"address": "a@example.com"}]});
    let minted = node.post_for("shop", "/v1/tokens", &mint).await.json();
    let path = minted["items"][0]["return_path"].as_str().unwrap();
    assert!(path.ends_with("@fb.shop.example"), "{path}");

    // Another name and another domain; the old one is served until it is released.
    let update = json!({"number": 3, "name": "store", "domain": "b.shop.example", "title": ""});
    let updated = node.post("/v1/tenants", &update).await.json();
    assert_eq!(
        updated["tenant"],
        json!({"number": 3, "name": "store", "domain": "b.shop.example",
            "domains": ["b.shop.example", "fb.shop.example"], "title": null})
    );
    let gone = node.post_for("shop", "/v1/streams", &stream).await;
    assert_eq!(gone.problem(), "unknown-tenant");
    let release = json!({"name": "store", "release": ["FB.shop.example"]});
    let released = node.post("/v1/tenants", &release).await.json();
    assert_eq!(released["tenant"]["domains"], json!(["b.shop.example"]));
    let found = node.get("/v1/tenants?name=store").await.json();
    assert_eq!(found["items"], json!([released["tenant"]]));
    assert_eq!(
        node.get("/v1/tenants?name=shop").await.json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn what_no_tenant_can_be_is_refused() {
    let node = Node::start().await;
    node.post("/v1/tenants", &json!({"name": "b", "domain": "b.example"}))
        .await;
    let many = vec!["a.example"; 101];
    refusals(
        &node,
        "/v1/tenants",
        &[
            (json!({"name": "A b"}), 400, "invalid-request"),
            (json!({"name": ""}), 400, "invalid-request"),
            (
                json!({"name": "c", "title": "a\nb"}),
                400,
                "invalid-request",
            ),
            (json!({"name": "c", "number": 0}), 400, "invalid-request"),
            (
                json!({"name": "c", "number": 16_777_216}),
                400,
                "invalid-request",
            ),
            (
                json!({"name": "c", "domain": "192.0.2.1"}),
                400,
                "invalid-request",
            ),
            (
                json!({"name": "c", "domain": "a_b.example"}),
                400,
                "invalid-request",
            ),
            (
                json!({"name": "c", "release": ["a b"]}),
                400,
                "invalid-request",
            ),
            (json!({"name": "c", "release": many}), 413, "too-many-items"),
            (json!({"domain": "c.example"}), 400, "invalid-json"),
            (json!({"name": "c", "nmae": "d"}), 400, "invalid-json"),
            (json!({"name": "b", "number": 9}), 409, "name-taken"),
            (
                json!({"name": "c", "domain": "b.example"}),
                409,
                "domain-taken",
            ),
            (
                json!({"name": "c", "domain": "fb.other.example"}),
                409,
                "domain-taken",
            ),
            (
                json!({"name": "b", "release": ["b.example"]}),
                422,
                "unprocessable",
            ),
        ],
    )
    .await;
    let taken = node
        .post("/v1/tenants", &json!({"name": "b", "number": 9}))
        .await;
    assert_eq!(taken.json()["tenant"], 3);
    // Nothing of all that was made.
    let all = node.get("/v1/tenants").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn tenants_are_the_installations_to_make() {
    let node = Node::start().await;
    // A tenant's own key changes none, not even its own; one without `admin` nothing at all.
    let own = node.key(Some(2), &[KeyScope::Admin]).await;
    let body = json!({"name": "other", "title": "Mine"});
    let refused = call(&node, &own, Method::POST, "/v1/tenants", &body).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (403, "foreign-tenant")
    );
    let writer = node.key(None, &[KeyScope::Write, KeyScope::Read]).await;
    let refused = call(&node, &writer, Method::POST, "/v1/tenants", &body).await;
    assert_eq!(refused.problem(), "insufficient-scope");
}

#[tokio::test]
async fn mailboxes_are_made_listed_and_removed() {
    let node = Node::start().await;
    let own = node.key(Some(2), &[KeyScope::Admin]).await;
    let stream = json!({"number": 4, "name": "news"});
    call(&node, &own, Method::POST, "/v1/streams", &stream).await;
    let body = json!({"address": "Leave@FB.other.example", "role": "unsubscribe", "stream": 4});
    let made = call(&node, &own, Method::POST, "/v1/mailboxes", &body).await;
    assert_eq!(made.status, 201);
    let item = json!({"address": "leave@fb.other.example", "role": "unsubscribe", "tenant": 2,
        "stream": 4, "declared": false});
    assert_eq!(
        made.json(),
        json!({"mailbox": item, "result": "created", "indexed": true})
    );
    let body = json!({"address": "leave@fb.other.example", "role": "complaint"});
    let updated = call(&node, &own, Method::POST, "/v1/mailboxes", &body).await;
    assert_eq!(updated.status, 200);
    assert_eq!(updated.json()["mailbox"]["stream"], Value::Null);

    // The installation's: for a tenant in a domain that is shared, and for none.
    for (tenant, address) in [
        ("default", "jmrp@fb.example.com"),
        ("*", "yahoo@fb.example.com"),
    ] {
        let body = json!({"address": address, "role": "complaint"});
        let made = node.post_for(tenant, "/v1/mailboxes", &body).await;
        assert_eq!(made.status, 201, "{tenant}");
    }
    let addresses = |list: &Value| {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| format!("{} {}", item["address"].as_str().unwrap(), item["tenant"]))
            .collect::<Vec<_>>()
    };
    let all = node.get_for("*", "/v1/mailboxes").await.json();
    assert_eq!(
        addresses(&all),
        [
            "jmrp@fb.example.com 1",
            "leave@fb.other.example 2",
            "yahoo@fb.example.com null"
        ]
    );
    assert_eq!(
        addresses(&node.get("/v1/mailboxes").await.json()),
        ["jmrp@fb.example.com 1"]
    );
    let first = node.get_for("*", "/v1/mailboxes?limit=2").await.json();
    let next = first["next"].as_str().unwrap();
    let rest = format!("/v1/mailboxes?limit=2&after={next}");
    let rest = node.get_for("*", &rest).await.json();
    assert_eq!(addresses(&rest), ["yahoo@fb.example.com null"]);
    assert_eq!(rest["next"], Value::Null);

    let path = "/v1/mailboxes/leave%40fb.other.example";
    let removed = call(&node, &own, Method::DELETE, path, &Value::Null).await;
    assert_eq!(
        (removed.status, &removed.json()["result"]),
        (200, &json!("removed"))
    );
    let again = call(&node, &own, Method::DELETE, path, &Value::Null).await;
    assert_eq!((again.status, again.problem().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn what_no_mailbox_can_be_is_refused() {
    let node = Node::start().await;
    let yahoo = json!({"address": "yahoo@fb.example.com", "role": "complaint"});
    node.post_for("*", "/v1/mailboxes", &yahoo).await;
    let with = |address: &str| json!({"address": address, "role": "complaint"});
    refusals(
        &node,
        "/v1/mailboxes",
        &[
            (with("nobody"), 400, "invalid-request"),
            (with("a@[192.0.2.1]"), 400, "invalid-request"),
            (with("a@b_c.example"), 400, "invalid-request"),
            (json!({"address": "a@fb.example.com"}), 400, "invalid-json"),
            (
                json!({"address": "a@fb.example.com", "role": "postbox"}),
                400,
                "invalid-json",
            ),
            (with("a@not-served.example"), 422, "foreign-domain"),
            (with("a@fb.other.example"), 422, "foreign-domain"),
            (with("yahoo@fb.example.com"), 409, "name-taken"),
            (
                json!({"address": "a@fb.example.com", "role": "human", "stream": 9}),
                422,
                "unknown-stream",
            ),
        ],
    )
    .await;
    // A tenant's own key has its own domain and not the one that all share.
    let own = node.key(Some(2), &[KeyScope::Admin]).await;
    let body = with("a@fb.example.com");
    let refused = call(&node, &own, Method::POST, "/v1/mailboxes", &body).await;
    assert_eq!(refused.problem(), "foreign-domain");
    let reader = node.key(Some(2), &[KeyScope::Read]).await;
    for (method, path, body) in [
        (Method::POST, "/v1/mailboxes", with("a@fb.other.example")),
        (
            Method::DELETE,
            "/v1/mailboxes/a@fb.other.example",
            Value::Null,
        ),
    ] {
        let refused = call(&node, &reader, method, path, &body).await;
        assert_eq!(refused.problem(), "insufficient-scope", "{path}");
    }
    let checker = node.key(Some(2), &[KeyScope::Check]).await;
    let refused = call(&node, &checker, Method::GET, "/v1/mailboxes", &Value::Null).await;
    assert_eq!(refused.problem(), "insufficient-scope");
    for query in ["limit=0", "limit=1001", "page=2"] {
        let refused = node.get(&format!("/v1/mailboxes?{query}")).await;
        assert_eq!(refused.problem(), "invalid-request", "{query}");
    }
}

#[tokio::test]
async fn a_tenant_has_so_many_mailboxes() {
    let node = Node::start().await;
    let file = SqliteConnectOptions::new().filename(node.store_file());
    let mut store = file.connect().await.unwrap();
    sqlx::raw_sql(
        "with recursive n (i) as (select 0 union all select i + 1 from n where i < 999)
         insert into mailboxes (address, role, tenant)
         select 'm' || i || '@fb.example.com', 'human', 1 from n",
    )
    .execute(&mut store)
    .await
    .unwrap();
    store.close().await.unwrap();
    let body = json!({"address": "one@fb.example.com", "role": "human"});
    let refused = node.post("/v1/mailboxes", &body).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (422, "limit-reached")
    );
    // Others have their own number.
    let body = json!({"address": "one@fb.other.example", "role": "human"});
    let made = node.post_for("other", "/v1/mailboxes", &body).await;
    assert_eq!(made.status, 201);
}

async fn token(node: &Node) -> String {
    let mint = json!({"stream": 1, "recipients": [{"address": "a@example.com"}]});
    let minted = node.post("/v1/tokens", &mint).await;
    minted.json()["items"][0]["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What a token proves: `valid`, and whether its key is revoked.
async fn proves(node: &Node, token: &str) -> (bool, Value) {
    let answer = node
        .post("/v1/tokens/inspect", &json!({"token": token}))
        .await;
    let answer = answer.json();
    (
        answer["valid"].as_bool().unwrap(),
        answer["fields"]["revoked"].clone(),
    )
}

#[tokio::test]
async fn keys_are_rotated_and_what_they_have_signed_stays_good() {
    let node = Node::start().await;
    let old = token(&node).await;
    let made = node.post("/v1/signing-keys", &json!({})).await;
    assert_eq!(made.status, 201);
    assert_eq!(
        made.json(),
        json!({"signing_key": {"serial": 2, "state": "active", "generation": 1},
            "result": "created", "indexed": true})
    );
    // Minted with the newest at once; the sender exports it, switches, and the old one retires.
    let new = token(&node).await;
    assert_ne!(new, old);
    let exported = node
        .post("/v1/signing-keys/export", &json!({}))
        .await
        .json();
    assert_eq!(exported["serial"], 2);
    let retired = node
        .post("/v1/signing-keys/1", &json!({"state": "retired"}))
        .await;
    assert_eq!(
        (retired.status, &retired.json()["signing_key"]["state"]),
        (200, &json!("retired"))
    );
    for token in [&old, &new] {
        assert_eq!(proves(&node, token).await, (true, json!(false)));
    }
    // In one step, with no body at all, and with another address key.
    let request = node.request(Method::POST, "/v1/signing-keys");
    assert_eq!(
        node.send(request.body(Body::empty()).unwrap()).await.status,
        201
    );
    let suppressed = json!({"suppressions": [{"address": "gone@example.com"}]});
    node.post("/v1/suppressions", &suppressed).await;
    let next = json!({"retire": [2, 3], "new_address_key": true});
    let next = node.post("/v1/signing-keys", &next).await.json();
    assert_eq!(next["signing_key"]["generation"], 2);
    let states: Vec<Value> = node.get("/v1/signing-keys").await.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].clone())
        .collect();
    assert_eq!(states, ["retired", "retired", "retired", "active"]);
    // What stands under the old address key stands.
    let check = json!({"addresses": ["gone@example.com"]});
    let check = node.post("/v1/check", &check).await.json();
    assert_eq!(check["suppressed"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_leaked_key_is_revoked_in_the_step_that_makes_the_next() {
    let node = Node::start().await;
    let old = token(&node).await;
    for state in ["revoked", "retired"] {
        let refused = node
            .post("/v1/signing-keys/1", &json!({"state": state}))
            .await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (409, "last-active-key")
        );
        assert_eq!(refused.json()["serial"], 1);
    }
    let next = node.post("/v1/signing-keys", &json!({"revoke": [1]})).await;
    assert_eq!(next.status, 201);
    assert_eq!(proves(&node, &old).await, (true, json!(true)));
    let new = token(&node).await;
    assert_eq!(proves(&node, &new).await, (true, json!(false)));
}

#[tokio::test]
async fn what_no_signing_key_can_be_is_refused() {
    let node = Node::start().await;
    let many: Vec<u32> = (1..=65).collect();
    refusals(
        &node,
        "/v1/signing-keys",
        &[
            (json!({"retire": [7]}), 404, "not-found"),
            (json!({"revoke": [0]}), 404, "not-found"),
            (json!({"revoke": [-1]}), 400, "invalid-json"),
            (json!({"revoke": 1}), 400, "invalid-json"),
            (json!({"serial": 2}), 400, "invalid-json"),
            (json!({"retire": many}), 413, "too-many-items"),
        ],
    )
    .await;
    let state = json!({"state": "retired"});
    refusals(
        &node,
        "/v1/signing-keys/1",
        &[
            (json!({}), 400, "invalid-json"),
            (json!({"state": "asleep"}), 400, "invalid-json"),
        ],
    )
    .await;
    refusals(
        &node,
        "/v1/signing-keys/9",
        &[(state.clone(), 404, "not-found")],
    )
    .await;
    refusals(
        &node,
        "/v1/signing-keys/one",
        &[(state.clone(), 400, "invalid-request")],
    )
    .await;
    for (path, body) in [
        ("/v1/signing-keys", json!({})),
        ("/v1/signing-keys/1", state),
    ] {
        let everybody = node.post_for("*", path, &body).await;
        assert_eq!(everybody.problem(), "invalid-request", "{path}");
        let writer = node.key(Some(1), &[KeyScope::Write, KeyScope::Read]).await;
        let refused = call(&node, &writer, Method::POST, path, &body).await;
        assert_eq!(refused.problem(), "insufficient-scope", "{path}");
    }
    for _ in 1..desist::store::MOST_KEYS {
        let made = node.post("/v1/signing-keys", &json!({})).await;
        assert_eq!(made.status, 201);
    }
    refusals(
        &node,
        "/v1/signing-keys",
        &[(json!({}), 422, "limit-reached")],
    )
    .await;
    // Another tenant has its own number.
    let other = node.post_for("other", "/v1/signing-keys", &json!({})).await;
    assert_eq!(other.status, 201);
}
