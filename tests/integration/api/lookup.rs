//! The listener that mail servers ask, over real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use desist::app::App;
use desist::lookup_server::{Context, serve};
use desist::net::accept::{AcceptLimits, Sessions};
use desist::net::stop::Stop;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::node::Node;
use crate::harness::PATIENCE;

/// A listener before that app, on a port of its own.
struct Listening {
    at: SocketAddr,
    stop: Stop,
}

impl Listening {
    async fn before(app: Option<&App>, node: &Node, (idle, sessions): (Duration, usize)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, stop) = (listener.local_addr().unwrap(), Stop::new());
        let context = Context {
            app: Arc::new(app.cloned().map_or_else(OnceLock::new, OnceLock::from)),
            metrics: node.app.metrics.clone(),
            idle,
            stop: stop.clone(),
        };
        let limits = AcceptLimits {
            sessions,
            sessions_per_ip: sessions,
        };
        stop.spawn(serve(listener, context, Sessions::from(limits)));
        Self { at, stop }
    }

    async fn of(node: &Node) -> Self {
        Self::before(Some(&node.app), node, (PATIENCE, 10)).await
    }

    /// Says all this at once, then nothing more; all that is answered.
    async fn answers(&self, said: &str) -> String {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        read(&mut stream).await
    }
}

/// What comes until the other side closes.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let reading = stream.read_to_string(&mut text);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    text
}

fn netstring(text: &str) -> String {
    format!("{}:{text},", text.len())
}

/// bob gets nothing, news no newsletter, and a name of two words neither.
async fn node() -> Node {
    let node = Node::start().await;
    let item = |address: &str, scope: &str| json!({"address": address, "scope": scope, "reason": "manual", "note": "asked"});
    let items = [
        item("bob@example.net", "all"),
        item("news@example.net", "stream:1"),
        item("\"al ice\"@example.net", "marketing"),
    ];
    let answer = node
        .post_for(
            "default",
            "/v1/suppressions",
            &json!({"suppressions": items}),
        )
        .await;
    assert_eq!(answer.json()["indexed"], true);
    node
}

#[tokio::test]
async fn socketmap_is_answered_in_order_on_one_session() {
    let node = node().await;
    let since = node.app.clock.now().to_seconds_text();
    let listening = Listening::of(&node).await;
    let refused = |scope: &str| {
        netstring(&format!(
            "OK 550 5.7.1 not to be mailed: manual, {scope}, since {since}"
        ))
    };
    let unknown = "PERM no such list: give STREAM, TENANT/STREAM (numbers), any or TENANT/any";
    let cases = [
        ("1/1 bob@example.net", refused("all")),
        ("1/2 Bob@Example.net", refused("all")),
        ("1/1 news@example.net", refused("stream:1")),
        ("1/2 news@example.net", netstring("NOTFOUND ")),
        ("1/any news@example.net", refused("stream:1")),
        // Postfix gives the local part without its quotes.
        ("1/1 al ice@example.net", refused("marketing")),
        ("1/1 carol@example.net", netstring("NOTFOUND ")),
        // And asks about these after each address that is not found.
        ("1/1 example.net", netstring("NOTFOUND ")),
        ("1/1 bob@", netstring("NOTFOUND ")),
        (
            "1/1 bob@[192.0.2.1]",
            netstring("OK 550 5.1.3 an address literal instead of a domain"),
        ),
        // Another tenant's stream, none at all, and nobody's.
        ("2/any bob@example.net", netstring("NOTFOUND ")),
        ("1/7 bob@example.net", netstring(unknown)),
        ("9/any bob@example.net", netstring(unknown)),
        ("any bob@example.net", netstring(unknown)),
        ("virtual bob@example.net", netstring(unknown)),
    ];
    let said: String = cases.iter().map(|(said, _)| netstring(said)).collect();
    let wanted: String = cases.iter().map(|(_, answer)| answer.as_str()).collect();
    assert_eq!(listening.answers(&said).await, wanted);
    let counted = node.app.metrics.render();
    for (answer, count) in [("suppressed", 5), ("invalid", 1), ("unknown", 4)] {
        let line =
            format!("desist_lookups_total{{form=\"socketmap\",answer=\"{answer}\"}} {count}\n");
        assert!(counted.contains(&line), "{line}{counted}");
    }
}

#[tokio::test]
async fn policy_requests_and_lines_are_answered() {
    let node = node().await;
    let since = node.app.clock.now().to_seconds_text();
    let listening = Listening::of(&node).await;
    let request = |recipient: &str, context: &str| {
        format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\nsender=list@example.com\n\
             recipient={recipient}\npolicy_context={context}\n\n"
        )
    };
    let said = [
        request("bob@example.net", "1/1"),
        request("carol@example.net", "1/1"),
        request("", "1/1"),
        request("bob@example.net", ""),
    ];
    let wanted = format!(
        "action=550 5.7.1 not to be mailed: manual, all, since {since}\n\naction=DUNNO\n\n\
         action=DUNNO\n\naction=451 4.3.5 no such list: give STREAM, TENANT/STREAM (numbers), any \
         or TENANT/any\n\n"
    );
    assert_eq!(listening.answers(&said.concat()).await, wanted);

    let said = "check 1/1 news@example.net\r\ncheck 1/2 news@example.net\ncheck 1/1 a b@c d\n\
                check 3 bob@example.net\n";
    let wanted = format!(
        "suppressed manual stream:1 {since}\nallowed\ninvalid white space in the address\n\
         unknown no such list: give STREAM, TENANT/STREAM (numbers), any or TENANT/any\n"
    );
    assert_eq!(listening.answers(said).await, wanted);
}

#[tokio::test]
async fn without_a_fresh_index_nobody_is_allowed() {
    let node = node().await;
    let without = Listening::before(None, &node, (PATIENCE, 10)).await;
    let said = "check 1/1 carol@example.net\n";
    assert_eq!(
        without.answers(said).await,
        "temporary the store is not there yet\n"
    );
    let listening = Listening::of(&node).await;
    assert_eq!(listening.answers(said).await, "allowed\n");
    // Nobody follows the feed any more.
    assert!(node.stop.finish(PATIENCE).await);
    node.app.clock.advance(Duration::from_secs(61));
    assert_eq!(
        listening.answers(said).await,
        "temporary the index is too old\n"
    );
    assert_eq!(
        listening.answers(&netstring("1/1 carol@example.net")).await,
        netstring("TEMP the index is too old")
    );
    assert_eq!(
        listening
            .answers("recipient=carol@example.net\npolicy_context=1/1\n\n")
            .await,
        "action=451 4.3.0 the index is too old\n\n"
    );
}

#[tokio::test]
async fn a_session_that_does_not_ask_or_speaks_otherwise_is_closed() {
    let node = node().await;
    let idle = Duration::from_millis(50);
    let listening = Listening::before(Some(&node.app), &node, (idle, 10)).await;
    // It asks once, begins to ask again and goes on sending nothing.
    let mut stream = TcpStream::connect(listening.at).await.unwrap();
    let said = b"check 1/1 carol@example.net\ncheck 1/1 carol";
    stream.write_all(said).await.unwrap();
    assert_eq!(read(&mut stream).await, "allowed\n");

    let listening = Listening::of(&node).await;
    for (said, answered) in [
        ("GET / HTTP/1.1\r\n\r\n", String::new()),
        ("99999:1/1 bob@example.net,", String::new()),
        (
            "check 1/1 carol@example.net\nquit\n",
            "allowed\n".to_owned(),
        ),
    ] {
        let mut stream = TcpStream::connect(listening.at).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        assert_eq!(read(&mut stream).await, answered, "{said}");
    }
}

#[tokio::test]
async fn one_session_too_many_is_closed_and_a_stop_ends_them_all() {
    let node = node().await;
    let listening = Listening::before(Some(&node.app), &node, (PATIENCE, 1)).await;
    let mut first = TcpStream::connect(listening.at).await.unwrap();
    first
        .write_all(b"check 1/1 carol@example.net\n")
        .await
        .unwrap();
    let mut answer = [0; 8];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"allowed\n");
    let mut second = TcpStream::connect(listening.at).await.unwrap();
    assert_eq!(read(&mut second).await, "");
    assert!(listening.stop.finish(PATIENCE).await);
    assert_eq!(read(&mut first).await, "");
}
