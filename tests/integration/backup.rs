//! What a backup holds is all there is, and what it is restored to is what there was.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Engine, Place, Running, complaint, desist};

fn works(config: &Path, arguments: &[&str]) -> String {
    let output = desist(config, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(config: &Path, arguments: &[&str]) -> String {
    let output = desist(config, arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// A complaint by mail and an opt-out on the page, acknowledged; gives the token.
fn fill(running: &Running) -> String {
    let tokens = running.mint(1, &["ann@example.net", "bob@example.net"]);
    let told = running.deliver(
        "f@example.org",
        "fbl@fb.example.com",
        &complaint(&tokens[0].0),
    );
    assert!(told.starts_with("250"), "{told}");
    let path = format!("/u/{}", tokens[1].0);
    let (status, _) = running.curl(&path, &["-d", "List-Unsubscribe=One-Click"]);
    assert_eq!(status, 200);
    tokens[1].0.clone()
}

/// A place with another data folder that a backup can be restored to.
fn elsewhere(sealed: Option<&Path>) -> Place {
    let seal = sealed.map(|path| format!("\n[store]\nseal_key_file = '{}'\n", path.display()));
    Place::new(Engine::Sqlite)
        .unwrap()
        .config(&seal.unwrap_or_default())
}

fn suppressed(running: &Running) {
    for address in ["ann@example.net", "bob@example.net"] {
        assert!(running.check(address, Some(1)).is_some(), "{address}");
    }
}

/// The restored server believes the tokens of the lost one, and no cursor.
fn goes_on(place: Place, token: &str, cursor: &str) {
    let running = place.start();
    running.drained();
    suppressed(&running);
    let (status, inspected) = running.post("/v1/tokens/inspect", &json!({"token": token}));
    assert_eq!(status, 200, "{inspected}");
    assert_eq!(running.events(2).len(), 2);
    let (status, problem) = running.get(&format!("/v1/changes?after={cursor}"));
    assert_eq!(
        (status, &problem["code"]),
        (410, &json!("cursor-expired")),
        "{problem}"
    );
}

#[test]
fn a_running_server_is_backed_up_with_all_that_it_has_acknowledged() {
    let running = elsewhere(None).start();
    let token = fill(&running);
    let config = running.place().config_file();
    let folder = running.place().folder.path().join("backup");
    let said = works(&config, &["backup", folder.to_str().unwrap()]);
    for name in ["desist.db", "admin.key", "self-made.pem", "guard it"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!said.contains("journal"), "{said}");
    let (_, page) = running.get("/v1/changes");
    let cursor = page["next"].as_str().unwrap().to_owned();
    let key = running.key.clone();

    let place = elsewhere(None);
    place.configured();
    let said = works(&place.config_file(), &["restore", folder.to_str().unwrap()]);
    assert!(said.contains("restored the backup of 20"), "{said}");
    let again = fails(&place.config_file(), &["restore", folder.to_str().unwrap()]);
    assert!(again.contains("already there: "), "{again}");
    let there = fails(&config, &["backup", folder.to_str().unwrap()]);
    let told = format!(
        "desist: {} is there already: a backup is written into",
        folder.display()
    );
    assert!(there.contains(&told), "{there}");
    let nowhere = fails(&config, &["backup", "/nowhere/at/all"]);
    let told = "desist: /nowhere/at/all cannot be made: /nowhere/at is no folder that exists\n";
    assert!(nowhere.ends_with(told), "{nowhere}");
    let admin = std::fs::read_to_string(place.data_dir().join("admin.key")).unwrap();
    assert_eq!(admin.trim(), key);
    goes_on(place, &token, &cursor);
}

#[test]
fn a_stopped_server_is_backed_up_with_its_journal_and_its_seal() {
    let seal = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(seal.path(), "07".repeat(32)).unwrap();
    let running = elsewhere(Some(seal.path())).start();
    let token = fill(&running);
    let (_, page) = running.get("/v1/changes");
    let cursor = page["next"].as_str().unwrap().to_owned();
    // Killed: what was acknowledged may be in the journal alone.
    let place = running.kill();
    let folder = place.folder.path().join("backup");
    let said = works(&place.config_file(), &["backup", folder.to_str().unwrap()]);
    assert!(
        said.contains("journal.sqlite") && said.contains("seal.key"),
        "{said}"
    );
    assert_eq!(
        std::fs::read(folder.join("seal.key")).unwrap(),
        std::fs::read(seal.path()).unwrap()
    );

    let place = elsewhere(Some(seal.path()));
    place.configured();
    works(&place.config_file(), &["restore", folder.to_str().unwrap()]);
    goes_on(place, &token, &cursor);
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_log_that_a_killed_server_left_is_not_taken_for_the_log_of_what_is_restored() {
    let running = elsewhere(None).start();
    let token = fill(&running);
    let config = running.place().config_file();
    let folder = running.place().folder.path().join("backup");
    works(&config, &["backup", folder.to_str().unwrap()]);
    let (_, page) = running.get("/v1/changes");
    let cursor = page["next"].as_str().unwrap().to_owned();
    // What comes after the backup is in the log of the store that is lost.
    running.mint(1, &["carla@example.net"]);
    let place = running.kill();
    let data = place.data_dir();
    // Those that this program does not leave, but another one that looked into the file.
    for name in ["index.image", "journal.sqlite-shm"] {
        std::fs::write(data.join(name), "of another store").unwrap();
    }
    for main in ["desist.db", "journal.sqlite", "admin.key", "self-made.pem"] {
        std::fs::remove_file(data.join(main)).unwrap();
    }
    let said = fails(&config, &["restore", folder.to_str().unwrap()]);
    let left = [
        "desist.db-wal",
        "desist.db-shm",
        "journal.sqlite-wal",
        "journal.sqlite-shm",
        "store-epoch",
        "index.image",
    ];
    for name in left {
        let path = data.join(name);
        assert!(said.contains(path.to_str().unwrap()), "{name}: {said}");
    }
    // Each of them alone is refused, and nothing is written.
    for name in left {
        let said = fails(&config, &["restore", folder.to_str().unwrap()]);
        assert!(said.contains(name), "{name}: {said}");
        std::fs::remove_file(data.join(name)).unwrap();
    }
    assert!(!data.join("desist.db").exists());
    works(&config, &["restore", folder.to_str().unwrap()]);
    goes_on(place, &token, &cursor);
}

#[test]
fn a_restore_that_fails_leaves_nothing_and_goes_well_the_next_time() {
    let seal = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(seal.path(), "07".repeat(32)).unwrap();
    let running = elsewhere(Some(seal.path())).start();
    let token = fill(&running);
    let (_, page) = running.get("/v1/changes");
    let cursor = page["next"].as_str().unwrap().to_owned();
    let lost = running.kill();
    let folder = lost.folder.path().join("backup");
    works(&lost.config_file(), &["backup", folder.to_str().unwrap()]);

    // The store has a folder of its own, which is not there yet.
    let own = tempfile::tempdir().unwrap();
    let store = own.path().join("far/away/desist.db");
    let place = Place::at(&format!("sqlite:{}", store.display()))
        .config(&format!("seal_key_file = '{}'\n", seal.path().display()));
    place.configured();
    let config = place.config_file();
    std::fs::write(seal.path(), "08".repeat(32)).unwrap();
    let said = fails(&config, &["restore", folder.to_str().unwrap()]);
    assert!(said.contains("seal"), "{said}");
    assert_eq!(names_in(&place.data_dir()), Vec::<String>::new());
    assert_eq!(names_in(store.parent().unwrap()), Vec::<String>::new());

    // One that was ended in its middle has put some in their places, and left what it wrote.
    std::fs::write(seal.path(), "07".repeat(32)).unwrap();
    let data = place.data_dir();
    std::fs::copy(folder.join("admin.key"), data.join("admin.key")).unwrap();
    std::fs::write(data.join("journal.sqlite.restoring"), "half").unwrap();
    std::fs::write(store.with_file_name("desist.db.restoring-wal"), "half").unwrap();
    works(&config, &["restore", folder.to_str().unwrap()]);
    assert_eq!(names_in(store.parent().unwrap()), ["desist.db"]);
    let names = names_in(&data);
    assert!(
        !names.iter().any(|name| name.contains("restoring")),
        "{names:?}"
    );
    goes_on(place, &token, &cursor);
}

#[test]
fn a_damaged_or_unfinished_backup_is_refused() {
    let running = elsewhere(None).start();
    fill(&running);
    let config = running.place().config_file();
    let folder = running.place().folder.path().join("backup");
    let name = folder.to_str().unwrap();
    works(&config, &["backup", name]);
    let twice = fails(&config, &["backup", name]);
    assert!(twice.contains("is there already"), "{twice}");

    let place = elsewhere(None);
    place.configured();
    let config = place.config_file();
    let key = folder.join("admin.key");
    let whole = std::fs::read(&key).unwrap();
    std::fs::write(&key, "other").unwrap();
    let said = fails(&config, &["restore", name]);
    assert!(
        said.contains("admin.key of the backup is damaged"),
        "{said}"
    );
    std::fs::write(&key, &whole).unwrap();

    let manifest = folder.join("backup.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut elsewhere: Value = serde_json::from_str(&text).unwrap();
    elsewhere["files"][0]["name"] = json!("../desist.db");
    std::fs::write(&manifest, elsewhere.to_string()).unwrap();
    let said = fails(&config, &["restore", name]);
    assert!(said.contains("its name is a path"), "{said}");
    std::fs::remove_file(&manifest).unwrap();
    let said = fails(&config, &["restore", name]);
    assert!(said.contains("no whole backup"), "{said}");
    assert!(!place.data_dir().join("desist.db").exists());
}

#[test]
fn with_postgresql_the_database_comes_first() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    fill(&running);
    let config = running.place().config_file();
    let folder = running.place().folder.path().join("backup");
    let said = works(&config, &["backup", folder.to_str().unwrap()]);
    assert!(
        said.contains("pg_dump") && !said.contains("desist.db"),
        "{said}"
    );

    // An empty database is not the one that was lost.
    let empty = Place::new(Engine::Postgres).unwrap();
    empty.configured();
    let said = fails(&empty.config_file(), &["restore", folder.to_str().unwrap()]);
    assert!(said.contains("restore it first"), "{said}");
    let sqlite = elsewhere(None);
    sqlite.configured();
    let said = fails(
        &sqlite.config_file(),
        &["restore", folder.to_str().unwrap()],
    );
    assert!(said.contains("another engine"), "{said}");

    // The same database, another machine.
    let (_, page) = running.get("/v1/changes");
    let cursor = page["next"].as_str().unwrap().to_owned();
    let lost = running.kill();
    std::fs::remove_dir_all(lost.data_dir()).unwrap();
    works(&config, &["restore", folder.to_str().unwrap()]);
    let running = lost.start();
    suppressed(&running);
    let (status, _) = running.get(&format!("/v1/changes?after={cursor}"));
    assert_eq!(status, 410);
}

#[test]
fn with_postgresql_every_node_is_brought_back_to_the_one_store() {
    let Some(first) = Place::new(Engine::Postgres) else {
        return;
    };
    let second = Place::at(first.database.as_ref().unwrap().url());
    let nodes = [first.start(), second.start()];
    fill(&nodes[0]);
    let (_, page) = nodes[0].get("/v1/changes");
    let lost_cursor = page["next"].as_str().unwrap().to_owned();
    let places = nodes.map(|node| {
        let folder = node.place().folder.path().join("backup");
        let config = node.place().config_file();
        works(&config, &["backup", folder.to_str().unwrap()]);
        let place = node.kill();
        std::fs::remove_dir_all(place.data_dir()).unwrap();
        place
    });
    let restore = |place: &Place| {
        let folder = place.folder.path().join("backup");
        works(&place.config_file(), &["restore", folder.to_str().unwrap()]);
    };
    let [first, second] = places;
    restore(&first);
    // Again, as after one that was broken off.
    restore(&first);
    let first = first.start();
    let (status, page) = first.get("/v1/changes");
    assert_eq!(status, 200, "{page}");
    let cursor = page["next"].as_str().unwrap().to_owned();
    restore(&second);
    let second = second.start();
    suppressed(&second);
    for (node, cursor, expected) in [
        (&first, &lost_cursor, 410),
        (&second, &lost_cursor, 410),
        (&first, &cursor, 200),
        (&second, &cursor, 200),
    ] {
        let (status, page) = node.get(&format!("/v1/changes?after={cursor}"));
        assert_eq!(status, expected, "{page}");
    }
}

#[test]
fn what_no_store_takes_is_named_and_holds_up_no_backup() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let tokens = running.mint(1, &["ann@example.net", "bob@example.net"]);
    let database = running.place().database.as_ref().unwrap();
    database.run("alter table receipts add constraint no check (envelope not like '%poison%')");
    for (sender, (token, _)) in ["poison@fbl.example", "fine@fbl.example"]
        .iter()
        .zip(&tokens)
    {
        let told = running.deliver(sender, "fbl@fb.example.com", &complaint(token));
        assert!(told.starts_with("250"), "{told}");
    }
    let config = running.place().config_file();
    let folder = running.place().folder.path().join("backup");
    let said = works(&config, &["backup", folder.to_str().unwrap()]);
    assert!(said.contains("not in it: 1 that no store takes"), "{said}");
    // The store has it; the index follows.
    running.drained();
    assert!(running.check("bob@example.net", None).is_some());
    let (_, metrics) = running.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    for line in ["desist_journal_unshipped 0", "desist_journal_left 1"] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    // It is offered again after a start, and counted again until then.
    let place = running.kill();
    let database = place.database.as_ref().unwrap();
    database.run("alter table receipts drop constraint no");
    let running = place.start();
    running.drained();
    assert!(running.check("ann@example.net", None).is_some());
    let (_, doors) = running.get("/readyz/doors");
    let none = json!({"ready": true, "unshipped": 0, "oldest": null, "left": 0});
    assert_eq!(doors, none);
}

#[test]
fn a_server_that_takes_no_more_mail_is_backed_up() {
    let place = elsewhere(None).config("[journal]\ndisk_floor = \"1000000 GiB\"\n");
    let running = place.start();
    let (status, problem) = running.get("/readyz/doors");
    assert_eq!(
        (status, &problem["unshipped"]),
        (503, &json!(0)),
        "{problem}"
    );
    let config = running.place().config_file();
    let folder = running.place().folder.path().join("backup");
    let said = works(&config, &["backup", folder.to_str().unwrap()]);
    assert!(said.contains("desist.db"), "{said}");
}
