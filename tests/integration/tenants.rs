//! An installation's life with many tenants, through its real doors.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use desist::model::clock::Clock;
use serde_json::{Value, json};

use crate::harness::{Engine, PATIENCE, Place, Running, complaint};
use crate::on_both_engines;

on_both_engines!(
    a_tenants_domain_is_served_at_once_and_is_its_own,
    a_domain_of_before_is_served_until_it_is_released,
    what_was_made_is_there_after_a_start_and_without_the_store,
    many_tenants_are_made_by_several_callers_and_work,
);

/// Somebody who calls the API with a key.
pub(crate) struct Caller {
    agent: ureq::Agent,
    base: String,
    pub(crate) key: String,
}

impl Caller {
    pub(crate) fn new(running: &Running, key: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE));
        Self {
            agent: config.build().into(),
            base: running.url(""),
            key: key.to_owned(),
        }
    }

    pub(crate) fn post(&self, tenant: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Content-Type", "application/json");
        if !tenant.is_empty() {
            request = request.header("Desist-Tenant", tenant);
        }
        let mut response = request.send(body.to_string()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (
            response.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// A call that must make something.
    pub(crate) fn made(&self, tenant: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(tenant, path, body);
        assert_eq!(status, 201, "{path} {body}: {answer}");
        answer
    }

    /// A token of the caller's tenant: the feedback token and the return path.
    pub(crate) fn mint(&self, address: &str) -> (String, String) {
        let body = json!({"stream": 1, "recipients": [{"address": address}]});
        let (status, answer) = self.post("", "/v1/tokens", &body);
        assert_eq!(status, 200, "{answer}");
        let text = |name: &str| answer["items"][0][name].as_str().unwrap().to_owned();
        (text("token"), text("return_path"))
    }

    pub(crate) fn is_suppressed(&self, address: &str) -> bool {
        let (status, answer) = self.post("", "/v1/check", &json!({"addresses": [address]}));
        assert_eq!(status, 200, "{answer}");
        answer["suppressed"] != json!([])
    }
}

/// Makes a tenant with a domain, a stream and a key; a caller with that key.
pub(crate) fn tenant(running: &Running, admin: &Caller, name: &str, domain: &str) -> Caller {
    admin.made("*", "/v1/tenants", &json!({"name": name, "domain": domain}));
    let stream = json!({"number": 1, "name": "news", "title": "News"});
    admin.made(name, "/v1/streams", &stream);
    let scopes = ["check", "read", "write"];
    let key = json!({"name": "sender", "scopes": scopes});
    let key = admin.made(name, "/v1/keys", &key);
    Caller::new(running, key["key"].as_str().unwrap())
}

fn recipient(running: &Running, address: &str) -> String {
    let mut session = running.smtp();
    session.ask("MAIL FROM:<>");
    session.ask(&format!("RCPT TO:<{address}>"))
}

/// The tenants of the receipts at a mailbox, as the installation sees them.
fn owners(running: &Running, mailbox: &str) -> Vec<Value> {
    let (_, page) = running.get_all(&format!("/v1/receipts?mailbox={mailbox}"));
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["tenant"].clone()).collect()
}

const LETTER: &str = "From: a@example.org\nTo: b@example.org\nSubject: hello\n\nHello.\n";

fn a_tenants_domain_is_served_at_once_and_is_its_own(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.public("mta_sts = \"enforce\"\n").start();
    let admin = Caller::new(&running, &running.key);
    for (address, reply) in [
        ("fbl@fb.shop.example", "550 5.7.1"),
        ("postmaster@fb.shop.example", "550 5.7.1"),
        ("fbl@fb.example.com", "250 "),
    ] {
        assert!(recipient(&running, address).starts_with(reply), "{address}");
    }
    let policy = || {
        let host = "Host: mta-sts.fb.shop.example";
        running
            .curl("/.well-known/mta-sts.txt", &["--header", host])
            .0
    };
    assert_eq!(policy(), 404);
    let shop = tenant(&running, &admin, "shop", "fb.shop.example");
    assert_eq!(policy(), 200);

    // Its defaults are there, and what comes without a token is this tenant's.
    for address in [
        "fbl",
        "cfbl",
        "u",
        "b",
        "dmarc",
        "tlsrpt",
        "POSTMASTER",
        "abuse",
    ] {
        let address = format!("{address}@FB.shop.example");
        assert!(
            recipient(&running, &address).starts_with("250 "),
            "{address}"
        );
    }
    assert!(recipient(&running, "nobody@fb.shop.example").starts_with("550 5.1.1"));
    running.deliver("a@example.org", "abuse@fb.shop.example", LETTER);
    running.deliver("a@example.org", "fbl@fb.shop.example", LETTER);
    running.deliver("a@example.org", "abuse@fb.example.com", LETTER);
    running.drained();
    assert_eq!(owners(&running, "abuse@fb.shop.example"), [json!(2)]);
    assert_eq!(owners(&running, "fbl@fb.shop.example"), [json!(2)]);
    assert_eq!(owners(&running, "abuse@fb.example.com"), [Value::Null]);

    // Tokens are minted on it and come back to it: a complaint, an opt-out, a bounce's door.
    let (token, return_path) = shop.mint("one@example.net");
    assert!(return_path.ends_with("@fb.shop.example"), "{return_path}");
    assert!(recipient(&running, &return_path).starts_with("250 "));
    running.deliver("", "fbl@fb.shop.example", &complaint(&token));
    let (token, _) = shop.mint("two@example.net");
    let opt_out = format!("u-{token}@fb.shop.example");
    running.deliver("two@example.net", &opt_out, LETTER);
    running.drained();
    for address in ["one@example.net", "two@example.net"] {
        assert!(shop.is_suppressed(address), "{address}");
        assert!(
            running.check(address, None).is_none(),
            "{address} is not the default tenant's"
        );
    }
    own_mailbox(&running, &admin, &shop);
}

/// A mailbox of its own, in a role of its own; removed, it is what it was.
fn own_mailbox(running: &Running, admin: &Caller, shop: &Caller) {
    let enrolled = json!({"address": "jmrp@fb.shop.example", "role": "complaint"});
    admin.made("shop", "/v1/mailboxes", &enrolled);
    let (token, _) = shop.mint("three@example.net");
    running.deliver("", "jmrp@fb.shop.example", &complaint(&token));
    running.drained();
    assert!(shop.is_suppressed("three@example.net"));
    let deleted = ureq::delete(running.url("/v1/mailboxes/jmrp@fb.shop.example"))
        .header("Authorization", format!("Bearer {}", running.key))
        .header("Desist-Tenant", "shop")
        .call();
    assert_eq!(deleted.unwrap().status().as_u16(), 200);
    assert!(recipient(running, "jmrp@fb.shop.example").starts_with("550 5.1.1"));
}

fn a_domain_of_before_is_served_until_it_is_released(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let admin = Caller::new(&running, &running.key);
    let shop = tenant(&running, &admin, "shop", "old.shop.example");
    let (_, sent) = shop.mint("one@example.net");
    let change = |body: Value| admin.post("*", "/v1/tenants", &body).0;
    assert_eq!(
        change(json!({"name": "shop", "domain": "new.shop.example"})),
        200
    );
    let (_, next) = shop.mint("one@example.net");
    assert!(next.ends_with("@new.shop.example"), "{next}");
    // What is out already comes back to where it was told to.
    for address in [&sent, &next] {
        assert!(
            recipient(&running, address).starts_with("250 "),
            "{address}"
        );
    }
    assert_eq!(
        change(json!({"name": "thief", "domain": "old.shop.example"})),
        409
    );
    assert_eq!(
        change(json!({"name": "shop", "release": ["old.shop.example"]})),
        200
    );
    assert!(recipient(&running, &sent).starts_with("550 5.7.1"));
    assert_eq!(
        change(json!({"name": "heir", "domain": "old.shop.example"})),
        201
    );
    assert!(recipient(&running, "fbl@old.shop.example").starts_with("250 "));
}

fn what_was_made_is_there_after_a_start_and_without_the_store(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let admin = Caller::new(&running, &running.key);
    let shop = tenant(&running, &admin, "shop", "fb.shop.example");
    let (_, return_path) = shop.mint("one@example.net");
    let renamed = json!({"number": 1, "name": "house", "domain": "fb.house.example"});
    assert_eq!(admin.post("*", "/v1/tenants", &renamed).0, 200);
    let renamed = json!({"number": 1, "name": "letters", "class": "transactional"});
    assert_eq!(admin.post("house", "/v1/streams", &renamed).0, 200);
    assert_eq!(
        admin
            .post("shop", "/v1/signing-keys", &json!({"retire": [1]}))
            .0,
        201
    );

    if let Some(database) = &running.place().database {
        another_node(&running, database.url(), &return_path);
    }

    let place = running.kill();
    if let Some(database) = &place.database {
        database.shut();
    }
    let running = if place.database.is_some() {
        // The doors open by what the journal has of it, change by change.
        place.start_doors()
    } else {
        place.start()
    };
    for address in [
        "fbl@fb.shop.example",
        "abuse@fb.house.example",
        &return_path,
    ] {
        assert!(
            recipient(&running, address).starts_with("250 "),
            "{address}"
        );
    }
    let running = match running.place().database {
        Some(_) => {
            running.place().database.as_ref().unwrap().open();
            running.wait_for_api()
        }
        None => running,
    };
    // No config names them: what the API has made of them stays.
    let (_, tenants) = running.get_all("/v1/tenants");
    assert_eq!(tenants["items"][0]["name"], "house");
    assert_eq!(tenants["items"][0]["domain"], "fb.house.example");
    let admin = Caller::new(&running, &running.key);
    let (status, answer) = admin.post(
        "house",
        "/v1/streams",
        &json!({"number": 1, "name": "letters"}),
    );
    assert_eq!(
        (status, &answer["stream"]["class"]),
        (200, &json!("transactional"))
    );
}

/// Another node has heard of it, without a start of its own.
fn another_node(running: &Running, store: &str, return_path: &str) {
    let other = Place::at(store).start();
    let admin = Caller::new(&other, &other.key);
    let late = tenant(
        running,
        &Caller::new(running, &running.key),
        "late",
        "late.example",
    );
    let marker = json!({"suppressions": [{"address": "marker@example.net"}]});
    let (status, answer) = admin.post("late", "/v1/suppressions", &marker);
    assert_eq!((status, &answer["indexed"]), (200, &json!(true)));
    let (_, late) = late.mint("one@example.net");
    for address in [
        "fbl@fb.shop.example",
        return_path,
        "fbl@late.example",
        &late,
    ] {
        assert!(recipient(&other, address).starts_with("250 "), "{address}");
    }
}

/// How many tenants are made: 300, or what `DESIST_TENANTS` says.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment"
)]
fn wanted() -> u32 {
    let given = std::env::var("DESIST_TENANTS");
    given.map_or(300, |number| {
        number.parse().expect("DESIST_TENANTS is a number")
    })
}

/// Callers at a time.
const CALLERS: u32 = 4;

fn many_tenants_are_made_by_several_callers_and_work(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let wanted = wanted();
    let next = AtomicU32::new(0);
    let clock = Clock::system();
    let mut made: Vec<(u32, String, Duration)> = Vec::new();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    let admin = Caller::new(&running, &running.key);
                    let mut made = Vec::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::SeqCst);
                        if n >= wanted {
                            return made;
                        }
                        let name = format!("t{n}");
                        let begun = clock.tick();
                        let own = tenant(&running, &admin, &name, &format!("fb.t{n}.example"));
                        made.push((n, own.key, clock.tick().since(begun)));
                    }
                })
            })
            .collect();
        for caller in callers {
            made.extend(caller.join().unwrap());
        }
    });
    let took = clock.tick().since(desist::model::clock::Tick::default());
    made.sort();
    growth(engine, &made, took);

    let (_, tenants) = running.get_all("/v1/tenants?limit=1000");
    let listed = usize::try_from(wanted.min(999)).unwrap() + 1;
    assert_eq!(tenants["items"].as_array().unwrap().len(), listed);
    // Some of them send, and hear back, each for itself.
    let step = usize::try_from(wanted / 10).unwrap().max(1);
    let mut expected = 0;
    for (n, key, _) in made.iter().step_by(step) {
        let own = Caller::new(&running, key);
        let (token, return_path) = own.mint("reader@example.net");
        assert!(
            return_path.ends_with(&format!("@fb.t{n}.example")),
            "{return_path}"
        );
        assert!(!own.is_suppressed("reader@example.net"));
        let reply = running.deliver("", &format!("fbl@fb.t{n}.example"), &complaint(&token));
        assert!(reply.starts_with("250 "), "{reply}");
        expected += 1;
    }
    assert!(expected >= 10.min(wanted));
    running.drained();
    for (index, (n, key, _)) in made.iter().enumerate() {
        let complained = index.is_multiple_of(step);
        if complained || index % step == 1 {
            let own = Caller::new(&running, key);
            assert_eq!(own.is_suppressed("reader@example.net"), complained, "t{n}");
        }
    }
}

/// What it took to make a tenant with its stream and key, at the beginning and at the end.
fn growth(engine: Engine, made: &[(u32, String, Duration)], took: Duration) {
    let tenth = (made.len() / 10).max(1);
    let median = |part: &[(u32, String, Duration)]| {
        let mut times: Vec<Duration> = part.iter().map(|(_, _, time)| *time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    println!(
        "{engine:?}: {} tenants in {took:?}; the median of one (three calls): {:?} among the first \
         {tenth}, {:?} among the last",
        made.len(),
        median(&made[..tenth]),
        median(&made[made.len() - tenth..]),
    );
}
