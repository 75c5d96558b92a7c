//! Mails that are about several people or several tenants: each gets its own, and no more.

use serde_json::{Value, json};

use crate::harness::{Engine, PATIENCE, Place, Running};
use crate::on_both_engines;
use crate::tenants::{Caller, tenant};

on_both_engines!(
    what_is_attached_to_an_opt_out_proves_nothing,
    a_mail_about_two_tenants_shows_each_its_own,
    an_erasure_leaves_the_envelope_of_another_tenant,
);

/// What a stranger's mail has in its second part, the token as `TOKEN`, and whether it proves.
const PARTS: &[(&str, bool)] = &[
    (
        "Content-Type: text/plain\n\n> Unsubscribe: https://fb.example.com/u/TOKEN\n",
        true,
    ),
    (
        "Content-Type: text/plain\nContent-Disposition: inline\n\n> https://fb.example.com/u/TOKEN\n",
        true,
    ),
    (
        "Content-Type: text/rfc822-headers\n\nX-Desist: TOKEN\n",
        false,
    ),
    (
        "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nUID:TOKEN\n",
        false,
    ),
    (
        "Content-Type: text/plain; name=mail.eml\nContent-Disposition: attachment; \
         filename=mail.eml\n\nMessage-ID: <TOKEN.1@fb.example.com>\nReferences: <TOKEN>\n",
        false,
    ),
    (
        "Content-Type: text/html\nContent-Disposition: ATTACHMENT\n\n\
         <a href=\"https://fb.example.com/u/TOKEN\">x</a>\n",
        false,
    ),
    (
        "Content-Type: multipart/mixed; boundary=r\nContent-Disposition: attachment\n\n\
         --r\nContent-Type: text/plain\n\nTOKEN\n--r--\n",
        false,
    ),
    (
        "Content-Type: message/rfc822\n\nX-Desist: TOKEN\n\nTOKEN\n",
        false,
    ),
];

fn what_is_attached_to_an_opt_out_proves_nothing(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let addresses: Vec<String> = (0..PARTS.len())
        .map(|n| format!("owner{n}@example.net"))
        .collect();
    let owners: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let minted = running.mint(1, &owners);
    for ((token, _), (part, _)) in minted.iter().zip(PARTS) {
        let mail = format!(
            "From: stranger@example.org\nTo: u@fb.example.com\nSubject: please unsubscribe me\n\
             MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=q\n\n\
             --q\nContent-Type: text/plain\n\nplease stop\n--q\n{}--q--\n",
            part.replace("TOKEN", token)
        );
        running.deliver("stranger@example.org", "u@fb.example.com", &mail);
    }
    running.drained();
    for (owner, (part, proves)) in owners.iter().zip(PARTS) {
        let suppressed = running.check(owner, Some(1)).is_some();
        assert_eq!(suppressed, *proves, "{part}");
    }
}

/// A mail with one report a token, the last of them with a recipient that is only asserted.
fn reports(tokens: &[&str], asserted: &str) -> String {
    let part = |token: &&str| {
        format!(
            "--b1\nContent-Type: message/feedback-report\n\n\
             Feedback-Type: abuse\nUser-Agent: Loop/1.0\nVersion: 1\n\
             Original-Rcpt-To: {asserted}\n\n\
             --b1\nContent-Type: text/rfc822-headers\n\n\
             From: news@example.com\nSubject: News\nX-Desist: {token}\n\n"
        )
    };
    let parts = tokens.iter().map(part).collect::<Vec<_>>().concat();
    format!(
        "From: staff@fbl.example\nTo: fbl@fb.example.com\nSubject: complaints\n\
         MIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b1\n\n\
         --b1\nContent-Type: text/plain\n\nTwo reports.\n\n{parts}--b1--\n"
    )
}

/// What a key is shown, as text.
fn shown(running: &Running, key: &str, path: &str) -> (u16, String) {
    asked(running, (key, None), path)
}

/// What the installation's key is shown of all tenants.
fn shown_to_all(running: &Running, path: &str) -> (u16, String) {
    asked(running, (&running.key, Some("*")), path)
}

fn asked(running: &Running, (key, tenant): (&str, Option<&str>), path: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = config.build().into();
    let mut request = agent
        .get(running.url(path))
        .header("Authorization", format!("Bearer {key}"));
    if let Some(tenant) = tenant {
        request = request.header("Desist-Tenant", tenant);
    }
    let mut response = request.call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

/// Two tenants, a token of each, and one mail that reports about both.
struct Shared {
    admin: Caller,
    shop: Caller,
    club: Caller,
    of_shop: String,
    of_club: String,
}

impl Shared {
    fn delivered(running: &Running, mail_from: &str) -> Self {
        let admin = Caller::new(running, &running.key);
        let shop = tenant(running, &admin, "shop", "fb.shop.example");
        let club = tenant(running, &admin, "club", "fb.club.example");
        let (of_shop, _) = shop.mint("buyer@example.net");
        let (of_club, _) = club.mint("member@example.net");
        let mail = reports(&[&of_shop, &of_club], "member@example.net");
        running.deliver(mail_from, "fbl@fb.example.com", &mail);
        running.drained();
        Self {
            admin,
            shop,
            club,
            of_shop,
            of_club,
        }
    }
}

fn json_of(running: &Running, key: &str, path: &str) -> Value {
    let (status, text) = shown(running, key, path);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn a_mail_about_two_tenants_shows_each_its_own(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let Shared {
        admin,
        shop,
        club,
        of_shop,
        of_club,
    } = Shared::delivered(&running, "");
    assert!(shop.is_suppressed("buyer@example.net"));
    assert!(club.is_suppressed("member@example.net"));

    let events = json_of(&running, &club.key, "/v1/events");
    let id = events["items"][0]["receipt"].as_str().unwrap().to_owned();
    let path = format!("/v1/receipts/{id}");
    for (caller, number) in [(&shop, 2), (&club, 3)] {
        let receipt = json_of(&running, &caller.key, &path);
        let events = receipt["events"].as_array().unwrap();
        let tenants: Vec<&Value> = events.iter().map(|event| &event["tenant"]).collect();
        assert_eq!(tenants, [&json!(number)], "{receipt}");
        assert_eq!(shown(&running, &caller.key, &format!("{path}/raw")).0, 404);
    }
    let all = running.get_all(&path).1;
    assert_eq!(all["events"].as_array().unwrap().len(), 2, "{all}");
    let (status, raw) = shown_to_all(&running, &format!("{path}/raw"));
    assert!(status == 200 && raw.contains(&of_club), "{status}");
    let seen = json_of(&running, &club.key, &path);
    assert_eq!(seen["receipt"]["tenant"], Value::Null, "{seen}");
    assert!(!seen.to_string().contains(&of_shop), "{seen}");
    // The one whose receipt it is not changes nothing of the other's by a replay.
    for caller in ["shop", "club"] {
        let (status, told) = admin.post(caller, "/v1/replay", &json!({}));
        assert_eq!(status, 200, "{told}");
    }
    assert!(shop.is_suppressed("buyer@example.net"));
    assert!(club.is_suppressed("member@example.net"));
}

fn an_erasure_leaves_the_envelope_of_another_tenant(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let Shared { admin, shop, .. } = Shared::delivered(&running, "loop@fbl.example");
    let events = json_of(&running, &shop.key, "/v1/events");
    let id = events["items"][0]["receipt"].as_str().unwrap().to_owned();
    let path = format!("/v1/receipts/{id}");
    let before = json_of(&running, &shop.key, &path);
    let (status, erased) = admin.post(
        "club",
        "/v1/erase",
        &json!({"address": "member@example.net"}),
    );
    assert_eq!((status, &erased["receipts"]), (200, &json!(0)), "{erased}");
    // The bytes name the erased person: they are gone for all.
    assert_eq!(erased["messages"], 1, "{erased}");
    assert_eq!(shown_to_all(&running, &format!("{path}/raw")).0, 410);
    assert_eq!(json_of(&running, &shop.key, &path), before);
    assert_eq!(
        before["receipt"]["envelope"]["mail_from"],
        "loop@fbl.example"
    );
    // Its own erasure takes it out.
    let (_, erased) = admin.post(
        "shop",
        "/v1/erase",
        &json!({"address": "buyer@example.net"}),
    );
    assert_eq!(erased["receipts"], 1, "{erased}");
}
