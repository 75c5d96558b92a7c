//! The MTA-STS policy through the public door.

use crate::harness::{Engine, Place, Running};

const PATH: &str = "/.well-known/mta-sts.txt";

fn asked(running: &Running, host: &str, more: &[&str]) -> (u16, String) {
    let host = format!("Host: {host}");
    let arguments = [&["--header", &host, "--header", "Accept: text/plain"], more].concat();
    running.curl(PATH, &arguments)
}

#[test]
fn a_164_the_policy_is_served_for_the_domains_and_nobody_else() {
    let lines = "mta_sts = \"enforce\"\nmta_sts_max_age = \"30 d\"\n";
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place.public(lines).start();
    let (status, policy) = asked(&running, "mta-sts.fb.example.com", &[]);
    assert_eq!(status, 200, "{policy}");
    let lines: Vec<&str> = policy.lines().map(str::trim_end).collect();
    assert_eq!(lines[..2], ["version: STSv1", "mode: enforce"]);
    assert!(lines[2].starts_with("mx: "), "{policy}");
    assert!(lines.contains(&"max_age: 2592000"), "{policy}");
    let (status, _) = asked(&running, "mta-sts.FB.example.com:443", &["--http1.1"]);
    assert_eq!(status, 200);
    for host in ["fb.example.com", "mta-sts.example.org", "localhost"] {
        assert_eq!(asked(&running, host, &[]).0, 404, "{host}");
    }
    assert_eq!(
        asked(&running, "mta-sts.fb.example.com", &["--data", "x"]).0,
        405
    );
}

#[test]
fn without_the_setting_there_is_no_policy() {
    let running = Running::sqlite();
    assert_eq!(asked(&running, "mta-sts.fb.example.com", &[]).0, 404);
}
