//! What `desist doctor` says of an installation that is well, and of one that is not. The DNS is a real
//! server with records of our own.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::clients::path;
use crate::harness::{Engine, Place, Running, complaint};

/// A name server on loopback, ended with this.
struct NameServer {
    child: Child,
    at: SocketAddr,
}

impl NameServer {
    fn start(records: &[&str]) -> Self {
        // Taken over by the name server: nobody else is given this port meanwhile.
        let port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new("dnsmasq")
            .env("PATH", path())
            .args([
                "--no-daemon",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--pid-file=",
            ])
            .args(["--local=/example.com/", "--log-facility=-"])
            .arg(format!("--port={}", port.port()))
            .args(records)
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("dnsmasq: {error} (scripts/test installs it)"));
        let mut server = Self { child, at: port };
        server.ready();
        server
    }

    /// It says when it listens.
    fn ready(&mut self) {
        use std::io::{BufRead as _, BufReader};
        let said = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let mut all = String::new();
        for line in said.map_while(Result::ok) {
            if line.contains("started, version") {
                return;
            }
            all += &line;
        }
        panic!("dnsmasq: {all}");
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What is found, and whether all is well.
fn doctor(running: &Running, arguments: &[&str]) -> (bool, Vec<Value>) {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let output = running.place().desist(&arguments);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let healthy = said["healthy"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if healthy { 0 } else { 3 }));
    (healthy, said["items"].as_array().unwrap().clone())
}

fn state<'a>(found: &'a [Value], what: &str) -> &'a str {
    let finding = found.iter().find(|finding| finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("{what}: {found:#?}"));
    finding["state"].as_str().unwrap()
}

#[test]
fn what_the_dns_says_is_compared_with_what_it_must_say() {
    let running = Running::sqlite();
    let well = NameServer::start(&[
        "--host-record=mx.example.com,192.0.2.1",
        "--host-record=fb.example.com,192.0.2.2",
        "--mx-host=fb.example.com,mx.example.com,10",
        "--txt-record=fb.example.com,v=spf1 ip4:192.0.2.0/24 -all",
        "--txt-record=_dmarc.example.com,v=DMARC1; p=reject",
        "--txt-record=shop.example._report._dmarc.fb.example.com,v=DMARC1",
    ]);
    let at = well.at.to_string();
    let (_, found) = doctor(&running, &["--resolver", &at, "--from", "shop.example"]);
    for (what, expected) in [
        ("host of the MX mx.example.com", "ok"),
        ("host of links fb.example.com", "ok"),
        ("mx fb.example.com", "ok"),
        ("spf fb.example.com", "ok"),
        ("alignment fb.example.com", "warn"),
        ("reports shop.example", "ok"),
        ("dmarc fb.example.com", "ok"),
        ("mta-sts fb.example.com", "skip"),
        ("server alive", "ok"),
        ("doors take mail", "ok"),
        ("check answers", "ok"),
        ("signing keys", "ok"),
        ("store (SQLite)", "ok"),
        ("certificate of links", "fail"),
        ("round trip", "skip"),
    ] {
        assert_eq!(state(&found, what), expected, "{what}: {found:#?}");
    }

    let ill = NameServer::start(&[
        "--host-record=mx.example.com,192.0.2.1",
        "--mx-host=fb.example.com,elsewhere.example.com,10",
        "--txt-record=fb.example.com,v=spf1 -all",
        "--txt-record=_mta-sts.fb.example.com,v=STSv1; id=7",
    ]);
    let at = ill.at.to_string();
    let (healthy, found) = doctor(&running, &["--resolver", &at]);
    assert!(!healthy);
    for (what, expected) in [
        ("host of links fb.example.com", "fail"),
        ("mx fb.example.com", "warn"),
        ("spf fb.example.com", "fail"),
        ("dmarc fb.example.com", "warn"),
        ("mta-sts fb.example.com", "warn"),
    ] {
        assert_eq!(state(&found, what), expected, "{what}: {found:#?}");
    }
}

#[test]
fn a_round_trip_goes_through_every_door_and_leaves_nobody_behind() {
    let running = Running::sqlite();
    doctor(&running, &["--without-dns", "--round-trip"]);
    let (_, found) = doctor(&running, &["--without-dns", "--round-trip"]);
    assert_eq!(running.events(8).len(), 8, "each trip waits for its own");
    for (trip, says) in [
        (
            "complaint by mail",
            "complaint, proof token: suppressed marketing",
        ),
        (
            "opt-out by mail",
            "unsubscribe, proof token: suppressed stream:1",
        ),
        (
            "bounce by mail",
            "bounce, proof token: suppressed all (bounce)",
        ),
        ("one-click", "unsubscribe, proof token: suppressed stream:1"),
    ] {
        let what = format!("round trip: {trip}");
        let finding = found
            .iter()
            .find(|finding| finding["what"] == what.as_str());
        let said = finding.unwrap()["says"].as_str().unwrap();
        assert!(said.starts_with(says), "{what}: {said}");
    }
    let (_, standing) = running.get("/v1/suppressions");
    assert_eq!(standing["items"], json!([]));
    let (_, events) = running.get("/v1/events");
    assert!(
        !events.to_string().contains("@desist-doctor.invalid"),
        "{events}"
    );
    for event in events["items"].as_array().unwrap() {
        assert_eq!(event["detail"]["synthetic"], true, "{event}");
    }
    // No sum has them, and what others send is counted.
    let (_, sums) = running.get("/v1/stats?by=total");
    assert_eq!(sums["items"], json!([]), "{sums}");
    let token = &running.mint(1, &["reader@example.net"])[0].0;
    running.deliver("", "fbl@fb.example.com", &complaint(token));
    let real = running.events(9).pop().unwrap();
    assert!(real["detail"].get("synthetic").is_none(), "{real}");
    let (_, sums) = running.get("/v1/stats?by=total");
    let sums = &sums["items"][0];
    assert_eq!(
        (&sums["complaints"], &sums["events"]),
        (&json!(1), &json!(1)),
        "{sums}"
    );
}

#[test]
fn an_outgoing_mail_is_looked_at_too() {
    let running = Running::sqlite();
    let (mail, _) = crate::lint::made(&running, "alice@example.net", 1);
    let file = running.place().folder.path().join("newsletter.eml");
    let path = file.to_str().unwrap();
    let look = || doctor(&running, &["--without-dns", "--message", path]).1;
    std::fs::write(&file, &mail).unwrap();
    let found = look();
    assert_eq!(state(&found, &format!("mail {path}")), "ok");
    assert!(
        !found.iter().any(
            |one| one["state"] == "fail" && one["what"].as_str().unwrap().starts_with("mail: ")
        ),
        "{found:#?}"
    );
    std::fs::write(&file, mail.replace("To: alice@", "To: bob@")).unwrap();
    assert_eq!(state(&look(), "mail: other-recipient"), "fail");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(state(&look(), &format!("mail {path}")), "fail");
}

// Of a database on another machine the clock can be compared, not only hoped for.
#[test]
fn the_clock_is_compared_with_the_databases() {
    let Some(place) = Place::new(Engine::Postgres) else {
        return;
    };
    let running = place.start();
    let (_, found) = doctor(&running, &["--without-dns"]);
    let clock = found.iter().find(|finding| finding["what"] == "clock");
    let clock = clock.unwrap();
    assert_eq!(clock["state"], "ok", "{clock}");
    let says = clock["says"].as_str().unwrap();
    assert!(says.ends_with("the database's"), "{says}");
}

#[test]
fn without_a_server_the_rest_is_looked_at_all_the_same() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place.start();
    running.terminate();
    let (status, place) = running.ended();
    assert!(status.success());
    std::fs::remove_file(place.data_dir().join("listening")).ok();
    let output = place.desist(&["doctor", "--without-dns", "--round-trip"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "store (SQLite)",
        "no server found",
        "the server does not answer",
        "-> ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn looking_at_a_store_changes_no_file_of_it() {
    let running = Running::sqlite();
    running.mint(1, &["ann@example.net"]);
    // Killed: the store's last changes are in its log.
    let place = running.kill();
    let doctor = |place: &Place| {
        let output = Command::new(env!("CARGO_BIN_EXE_desist"))
            .args(["doctor", "--without-dns", "--json"])
            .arg("--config")
            .arg(place.folder.path().join("desist.toml"))
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = said["items"].as_array().unwrap().clone();
        assert_eq!(state(&found, "store (SQLite)"), "ok", "{found:#?}");
    };
    let data = place.data_dir();
    let read = |name: &str| std::fs::read(data.join(name)).ok();
    let killed = ["desist.db", "desist.db-wal"].map(read);
    assert!(killed.iter().all(Option::is_some));
    doctor(&place);
    assert!(killed == ["desist.db", "desist.db-wal"].map(read));

    let running = place.start();
    running.terminate();
    let (_, place) = running.ended();
    let stopped = read("desist.db");
    assert!(read("desist.db-wal").is_none());
    // A folder in which nothing can be made, for whoever is not root.
    let locked = std::os::unix::fs::PermissionsExt::from_mode(0o500);
    std::fs::set_permissions(&data, locked).unwrap();
    doctor(&place);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&data, open).unwrap();
    assert!(stopped == read("desist.db"));
    for name in ["desist.db-wal", "desist.db-shm"] {
        assert!(read(name).is_none(), "{name}");
    }
}

fn says<'a>(found: &'a [Value], what: &str) -> &'a str {
    let finding = found.iter().find(|finding| finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("{what}: {found:#?}"));
    finding["says"].as_str().unwrap()
}

/// The chain of a certificate for this host and its issuer, and the key, in PEM.
fn issued(host: &str, folder: &Path) -> [PathBuf; 2] {
    let mut above = rcgen::CertificateParams::new(Vec::new()).unwrap();
    above.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key_above = rcgen::KeyPair::generate().unwrap();
    let root = above.self_signed(&key_above).unwrap();
    let issuer = rcgen::Issuer::new(above, key_above);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let files = [folder.join("chain.pem"), folder.join("key.pem")];
    std::fs::write(&files[0], leaf.pem() + &root.pem()).unwrap();
    std::fs::write(&files[1], key.serialize_pem()).unwrap();
    files
}

#[test]
fn a_click_goes_through_the_door_as_the_config_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let trip = |place: Place| {
        let running = place.start();
        let (_, found) = doctor(&running, &["--without-dns", "--round-trip"]);
        let what = "round trip: one-click";
        (
            state(&found, what).to_owned(),
            says(&found, what).to_owned(),
        )
    };
    let place = || Place::new(Engine::Sqlite).unwrap();
    let by_files = |host: &str| {
        let [chain, key] = issued(host, folder.path());
        place().public_by_files(&chain, &key)
    };
    for (mode, place) in [
        ("self-made", place()),
        ("off", place().public_without_tls()),
        ("files", by_files("fb.example.com")),
    ] {
        let (state, says) = trip(place);
        assert_eq!(state, "ok", "{mode}: {says}");
        assert!(says.contains("suppressed stream:1"), "{mode}: {says}");
    }
    let (state, says) = trip(by_files("other.example.com"));
    assert_eq!(state, "fail", "{says}");
    assert!(says.contains("certificate"), "{says}");
}

//
#[test]
fn a_trip_goes_through_doors_that_take_this_machine_for_a_proxy() {
    let proxies = |networks: &str| format!("proxy_networks = [{networks}]\n");
    let here = proxies("\"127.0.0.0/8\", \"::1\"");
    let elsewhere = proxies("\"192.0.2.7\"");
    let place = || Place::new(Engine::Sqlite).unwrap();
    for (case, place) in [
        ("both", place().smtp(&here).public(&here)),
        (
            "clicks in clear",
            place().smtp(&elsewhere).public(&here).public_without_tls(),
        ),
        ("others", place().smtp(&elsewhere).public(&elsewhere)),
    ] {
        let running = place.start();
        let (_, found) = doctor(&running, &["--without-dns", "--round-trip"]);
        for trip in [
            "complaint by mail",
            "opt-out by mail",
            "bounce by mail",
            "one-click",
        ] {
            let what = format!("round trip: {trip}");
            assert_eq!(state(&found, &what), "ok", "{case}: {found:#?}");
        }
    }
}

#[test]
fn a_key_that_may_not_read_takes_no_finding_away() {
    let running = Running::sqlite();
    let (status, made) = running.post("/v1/keys", &json!({"name": "mta", "scopes": ["check"]}));
    assert_eq!(status, 201, "{made}");
    let key = made["key"].as_str().unwrap();
    let (_, found) = doctor(&running, &["--without-dns", "--api-key", key]);
    for (what, expected) in [
        ("store (SQLite)", "ok"),
        ("server alive", "ok"),
        ("domains of tenants", "warn"),
        ("dns", "skip"),
    ] {
        assert_eq!(state(&found, what), expected, "{what}: {found:#?}");
    }
}

#[test]
fn a_trip_says_with_which_reply_it_ended() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let place = place.config("[journal]\ndisk_floor = \"1000000 GiB\"\n");
    let (_, found) = doctor(&place.start(), &["--without-dns", "--round-trip"]);
    let said = says(&found, "round trip: bounce by mail");
    assert!(said.starts_with("refused: 452 4.3.1"), "{said}");
}
