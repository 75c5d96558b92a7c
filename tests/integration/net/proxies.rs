//! Proxies that say in a PROXY header for whom they connect.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use desist::metrics::Metrics;
use desist::net::accept::{self, AcceptLimits};
use desist::net::network::Network;
use desist::net::proxies::{Entrance, HEADER_TIME, Proxies};
use desist::net::stop::Stop;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::clients::{output, program};
use crate::harness::{Engine, PATIENCE, Place, Running, Smtp, complaint};

/// `PROXY`, TCP over IPv4, 12 octets: 192.0.2.7:40000 to 198.51.100.1:443.
const V2_FROM_192_0_2_7: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb";
/// `LOCAL`, without any address.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn line(source: &str) -> String {
    format!("PROXY TCP4 {source} 198.51.100.1 40000 25\r\n")
}

/// A server whose SMTP door has this machine for a proxy.
fn behind_a_proxy(more: &str) -> Running {
    let place = Place::new(Engine::Sqlite).unwrap();
    let place = place.smtp("proxy_networks = [\"127.0.0.0/8\", \"2001:db8::7\"]\n");
    place.config(more).start()
}

/// A session that a proxy begins with this; the first reply, or empty.
fn begun(server: SocketAddr, header: &[u8]) -> (Smtp, String) {
    let mut smtp = Smtp::connect(server);
    smtp.send(header);
    let reply = smtp.reply();
    (smtp, reply)
}

fn peers(running: &Running) -> Vec<Value> {
    let (status, page) = running.get("/v1/receipts?limit=100");
    assert_eq!(status, 200, "{page}");
    let items = page["items"].as_array().unwrap();
    let peers = items.iter().map(|item| item["envelope"]["peer"].clone());
    peers.collect()
}

// from a trusted proxy the peer is the one that is told, in the receipt and in Received.
#[test]
fn a_155_the_told_peer_is_the_peer() {
    let running = behind_a_proxy("");
    let token = running.mint(1, &["reader@example.net"])[0].0.clone();
    let mail = complaint(&token);
    for header in [
        line("192.0.2.7").into_bytes(),
        V2_FROM_192_0_2_7.to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        V2_LOCAL.to_vec(),
    ] {
        let (mut smtp, greeting) = begun(running.smtp, &header);
        assert!(greeting.starts_with("220 "), "{greeting}");
        assert!(smtp.ask("EHLO mta.example.org").starts_with("250"));
        let reply = smtp.deliver("", &["fbl@fb.example.com"], &mail);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    running.events(4);
    running.drained();
    let mut found = peers(&running);
    found.sort_by_key(ToString::to_string);
    let (itself, told) = (json!("127.0.0.1"), json!("192.0.2.7"));
    assert_eq!(found, [itself.clone(), itself, told.clone(), told]);
    let (_, page) = running.get("/v1/receipts?limit=100");
    for item in page["items"].as_array().unwrap() {
        let peer = item["envelope"]["peer"].as_str().unwrap();
        let (status, raw) = running.get(&format!(
            "/v1/receipts/{}/raw?trace=true",
            item["id"].as_str().unwrap()
        ));
        let first = raw.as_str().unwrap_or_default();
        assert_eq!(status, 200, "{raw}");
        assert!(first.contains(&format!("[{peer}]")), "{peer}: {first}");
    }
    let (_, metrics) = running.get("/metrics");
    for (header, count) in [("told", 2), ("itself", 2)] {
        let sample = format!(
            "desist_proxy_headers_total{{listener=\"smtp\",header=\"{header}\"}} {count}\n"
        );
        assert!(metrics.as_str().unwrap().contains(&sample), "{sample}");
    }
}

//
#[test]
fn a_155_from_anybody_else_the_header_is_an_unknown_command() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let running = place.smtp("proxy_networks = [\"192.0.2.0/24\"]\n").start();
    let mut smtp = Smtp::connect(running.smtp);
    assert!(smtp.reply().starts_with("220 "));
    let reply = smtp.ask(line("192.0.2.7").trim_end());
    assert!(reply.starts_with("500 5.5.1"), "{reply}");
    assert!(smtp.ask("NOOP").starts_with("250"), "and nothing more");
}

// mandatory, before anything else, and bounded.
#[test]
fn a_155_a_proxy_without_a_proper_header_is_not_greeted() {
    let running = behind_a_proxy("");
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    for wrong in [
        "EHLO mta.example.org\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n",
        &long,
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x7f\x7f",
    ] {
        let (_, greeting) = begun(running.smtp, wrong.as_bytes());
        assert_eq!(greeting, "", "{wrong:?}");
    }
    assert!(running.log().contains("sent no proper header"));
    let (_, metrics) = running.get("/metrics");
    let sample = "desist_proxy_headers_total{listener=\"smtp\",header=\"wrong\"} 5\n";
    assert!(metrics.as_str().unwrap().contains(sample));
}

// the limits are those of whom the proxy connects for.
#[test]
fn a_155_sessions_are_counted_with_the_told_address() {
    let running = behind_a_proxy("[limits]\nsessions_per_ip = 2\nsessions = 5\n");
    let one = || begun(running.smtp, line("192.0.2.7").as_bytes());
    let held = [one(), one()];
    assert!(
        held.iter()
            .all(|(_, greeting)| greeting.starts_with("220 "))
    );
    assert!(one().1.starts_with("421 4.3.2"), "a third of one address");
    let other = |last: u8| begun(running.smtp, line(&format!("192.0.2.{last}")).as_bytes());
    let others = [other(8), other(9), other(10)];
    assert!(
        others
            .iter()
            .all(|(_, greeting)| greeting.starts_with("220 "))
    );
    assert!(other(11).1.starts_with("421 4.3.2"), "a sixth in all");
    drop(held);
    drop(others);
}

// with a client's own header, and what the client sends at once behind it.
#[test]
fn a_155_swaks_and_curl_come_through_a_proxy() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let place = place.smtp("proxy_networks = [\"127.0.0.1\"]\n");
    let running = place.public("proxy_networks = [\"127.0.0.1\"]\n").start();
    let token = running.mint(1, &["reader@example.net"])[0].0.clone();
    for (version, family, source, destination) in [
        ("1", "TCP6", "2001:db8::7", "2001:db8::1"),
        ("2", "AF_INET", "192.0.2.7", "198.51.100.1"),
    ] {
        let text = output(program("swaks").args([
            "--server",
            &running.smtp.to_string(),
            "--tls",
            "--proxy-version",
            version,
            "--proxy-family",
            family,
            "--proxy-source",
            source,
            "--proxy-source-port",
            "40000",
            "--proxy-dest",
            destination,
            "--proxy-dest-port",
            "25",
            "--to",
            &format!("u-{token}@fb.example.com"),
        ]));
        assert!(text.contains("250 2.0.0"), "{text}");
    }
    let click = ["--haproxy-protocol", "--data", "List-Unsubscribe=One-Click"];
    let (status, _) = running.curl(&format!("/u/{token}"), &click);
    assert_eq!(status, 200);
    running.events(3);
    running.drained();
    let mut found = peers(&running);
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, ["127.0.0.1", "192.0.2.7", "2001:db8::7"]);
}

//
#[test]
fn a_155_the_public_door_believes_its_proxies_too() {
    let place = Place::new(Engine::Sqlite).unwrap().public_without_tls();
    let running = place.public("proxy_networks = [\"127.0.0.1\"]\n").start();
    let token = running.mint(1, &["reader@example.net"])[0].0.clone();
    let request = format!(
        "POST /u/{token} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(running.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(&[V2_FROM_192_0_2_7, request.as_bytes()].concat())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.events(1);
    running.drained();
    assert_eq!(peers(&running), ["192.0.2.7"]);
}

// whatever a load balancer does to see whether anybody is there is no error.
#[test]
fn a_156_ten_thousand_health_checks_are_no_errors() {
    let running = behind_a_proxy("");
    let before = running.log();
    let check = |number: usize| {
        let mut stream = TcpStream::connect(running.smtp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let header = match number % 3 {
            0 => return,
            1 => &b"PROXY UNKNOWN\r\n"[..],
            _ => V2_LOCAL,
        };
        stream.write_all(header).unwrap();
        // The server sees every one of them.
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"220 ");
    };
    (0..10_000).for_each(check);
    let (_, metrics) = running.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    let replies = |code: char| {
        let start = format!("desist_smtp_replies_total{{code=\"{code}");
        metrics.lines().any(|line| line.starts_with(&start))
    };
    assert!(replies('2') && !replies('4') && !replies('5'), "{metrics}");
    assert!(!metrics.contains("desist_refusals_total{"), "{metrics}");
    let closed = "desist_proxy_headers_total{listener=\"smtp\",header=\"closed\"} ";
    assert!(metrics.contains(closed), "{metrics}");
    let log = running.log();
    let since = log.strip_prefix(&before).unwrap();
    let said = |level| since.lines().any(|line| line.contains(level));
    assert!(said("DEBUG"), "levels are written so: {since}");
    let loud = ["INFO", "WARN", "ERROR"].into_iter().any(said);
    assert!(!loud, "nothing is said of any");
}

// a short time.
#[tokio::test]
async fn a_155_a_header_is_not_waited_for_long() {
    assert_eq!(HEADER_TIME, Duration::from_secs(5));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let networks: [Network; 1] = ["127.0.0.1".parse().unwrap()];
    let metrics = Metrics::default();
    let proxies = Proxies::new(&networks, "smtp", metrics.clone()).unwrap();
    let entrance = Entrance::new(listener, Some(proxies.within(Duration::from_millis(50))));
    let (stop, running) = (Stop::new(), Stop::new());
    let accepting = stop.clone();
    running.spawn(async move {
        let handler = |mut stream: tokio::net::TcpStream, _| async move {
            stream.write_all(b"hello").await.unwrap();
        };
        accept::run(entrance, AcceptLimits::default(), &accepting, b"", handler).await;
    });
    for begun in [&b""[..], b"PROXY UNKN", &V2_LOCAL[..13]] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0, "{begun:?}");
    }
    let late = "desist_proxy_headers_total{listener=\"smtp\",header=\"late\"} 3\n";
    assert!(metrics.render().contains(late), "{}", metrics.render());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // Octet by octet: nothing of a header is lost or doubled.
    for octet in V2_LOCAL {
        stream.write_all(&[*octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hello");
    stop.begin();
    assert!(running.finish(PATIENCE).await);
}
