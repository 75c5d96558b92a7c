//! One poison entry stops nobody: it is kept as unrecognised, and everything around it has its
//! effect.

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::harness::{Engine, Place, Running, complaint};

fn kinds(running: &Running, wanted: usize) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    running
        .events(wanted)
        .iter()
        .map(|event| (text(&event["kind"]), event["detail"].to_string()))
        .collect()
}

#[test]
fn what_the_store_refuses_is_found_by_bisection() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let addresses: Vec<String> = (0..40).map(|i| format!("near{i}@example.net")).collect();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let tokens = running.mint(1, &names);
    let database = running.place().database.as_ref().unwrap();
    database.run("alter table events add constraint no check (detail not like '%poison%')");
    // All of them wait in the journal and come as one batch.
    database.shut();
    let mut session = running.smtp();
    for (number, (token, _)) in tokens.iter().enumerate() {
        let message = complaint(token);
        let message = if number == 17 {
            message.replace("JMRP/1.0", "poison/1.0")
        } else {
            message
        };
        let reply = session.deliver("", &["fbl@fb.example.com"], &message);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    database.open();
    let kinds = kinds(&running, 40);
    running.drained();
    let unrecognised: Vec<_> = kinds
        .iter()
        .filter(|(kind, _)| kind == "unrecognised")
        .collect();
    assert_eq!(unrecognised.len(), 1, "{unrecognised:?}");
    assert!(
        unrecognised[0].1.contains("not storable"),
        "{unrecognised:?}"
    );
    let (_, answer) = running.post("/v1/check", &json!({"addresses": names}));
    assert_eq!(answer["suppressed"].as_array().unwrap().len(), 39);
    assert!(running.check("near17@example.net", None).is_none());
    // Its raw bytes are kept for a newer reader.
    let (_, page) = running.get("/v1/receipts?state=unrecognised");
    let id = page["items"][0]["id"].as_str().unwrap();
    let (status, raw) = running.get(&format!("/v1/receipts/{id}/raw"));
    assert_eq!(status, 200);
    assert!(raw.as_str().unwrap().contains("poison/1.0"));
}

#[test]
fn what_cannot_be_stored_in_any_form_raises_an_alarm() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let tokens = running.mint(1, &["never@example.net", "always@example.net"]);
    let database = running.place().database.as_ref().unwrap();
    database.run("alter table receipts add constraint no check (envelope not like '%poison%')");
    let mut session = running.smtp();
    for (sender, (token, _)) in ["poison@fbl.example", "fine@fbl.example"]
        .iter()
        .zip(&tokens)
    {
        let reply = session.deliver(sender, &["fbl@fb.example.com"], &complaint(token));
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    running.events(1);
    let mut alarms = Value::Null;
    let clock = desist::model::clock::Clock::system();
    while alarms["items"].as_array().is_none_or(Vec::is_empty) {
        let late = desist::model::clock::Tick::default().after(crate::harness::PATIENCE);
        assert!(clock.tick() < late, "{}", running.log());
        (_, alarms) = running.get("/v1/alarms");
    }
    let [alarm] = alarms["items"].as_array().unwrap().as_slice() else {
        panic!("{alarms}");
    };
    assert_eq!(
        (&alarm["kind"], &alarm["tenant"]),
        (&json!("not-storable"), &json!(1))
    );
    assert!(alarm["about"].as_str().unwrap().contains("journal"));
    let id = alarm["detail"]["receipt"].as_str().unwrap();
    assert_eq!(alarm["id"], format!("not-storable-{id}"));
    // The others have had their effect, and what is left comes again after a start.
    assert!(running.check("always@example.net", None).is_some());
    assert!(running.check("never@example.net", None).is_none());
    let place = running.kill();
    let database = place.database.as_ref().unwrap();
    database.run("alter table receipts drop constraint no");
    let running = place.start();
    running.events(2);
    running.drained();
    assert!(running.check("never@example.net", None).is_some());
}

#[test]
fn what_ends_the_process_again_and_again_is_not_read_again() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let tokens = running.mint(1, &["deadly@example.net", "harmless@example.net"]);
    running.place().database.as_ref().unwrap().shut();
    for (token, _) in &tokens {
        let reply = running.deliver("", "fbl@fb.example.com", &complaint(token));
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    let place = running.kill();
    // As if the process had died while it had the first of them, more often than is borne.
    let file = place.data_dir().join("journal.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut journal = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        let sql = "insert into deaths (seq, deaths) select min(seq), 9 from groups";
        let result = sqlx::query(sql).execute(&mut journal).await.unwrap();
        assert_eq!(result.rows_affected(), 1);
        journal.close().await.unwrap();
    });
    place.database.as_ref().unwrap().open();
    let running = place.start();
    let kinds = kinds(&running, 2);
    running.drained();
    assert_eq!(
        kinds
            .iter()
            .filter(|(kind, _)| kind == "unrecognised")
            .count(),
        1,
        "{kinds:?}"
    );
    assert!(running.check("harmless@example.net", None).is_some());
    assert!(running.check("deadly@example.net", None).is_none());
    let (_, metrics) = running.get("/metrics");
    assert!(
        metrics.as_str().unwrap().contains("desist_poison_total 1"),
        "{metrics}"
    );
}
