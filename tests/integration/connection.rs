//! HTTP connections within their limits, over in-memory streams.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use desist::http::connection::body::read_beginning;
use desist::http::connection::{Limits, Server};
use desist::net::stop::Stop;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::oneshot;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_mins(1);

/// Limits of which no time is reached within a test; each test shortens the one it is about.
const PATIENT: Limits = Limits {
    head_time: LONG,
    idle: LONG,
    age: None,
    drain: LONG,
    write_stall: LONG,
    body_stall: LONG,
    body_time: None,
    ..Limits::PUBLIC
};

fn router() -> Router {
    Router::new()
        .route("/", get(async || "here"))
        .route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
        )
        .route(
            "/panic",
            get(async || -> &'static str { panic!("as this test wants") }),
        )
        .route("/endless", get(endless))
        .route("/beginning", post(beginning))
}

async fn endless() -> Body {
    Body::new(Endless)
}

/// A body that never ends and is always ready.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])))))
    }
}

async fn beginning(body: Body) -> String {
    let beginning = read_beginning(body, 8, 8).await;
    format!("{} {}", beginning.bytes.len(), beginning.is_whole)
}

/// One connection to a server with these limits.
struct Connection {
    client: DuplexStream,
    stop: Stop,
    /// Resolved when the server is done with the connection.
    ended: oneshot::Receiver<()>,
}

impl Connection {
    fn open(limits: Limits) -> Self {
        let stop = Stop::new();
        let server = Server {
            router: router().into(),
            limits,
            tls: None,
            stop: stop.clone(),
        };
        let (client, served) = duplex(4096);
        let peer = "192.0.2.7:4711".parse().unwrap();
        let (end, ended) = oneshot::channel();
        stop.spawn(async move {
            server.serve(served, peer).await;
            end.send(()).unwrap();
        });
        Self {
            client,
            stop,
            ended,
        }
    }

    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything until the server closes; then waits for the server's side to be gone.
    async fn read_to_end(mut self) -> String {
        let mut answer = Vec::new();
        self.client.read_to_end(&mut answer).await.unwrap();
        self.ended.await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Reads until the answer ends with `end`.
    async fn read_until(&mut self, end: &str) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            answer.push(self.client.read_u8().await.unwrap());
        }
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_in_turn() {
    let mut connection = Connection::open(PATIENT);
    connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        connection
            .read_until("here")
            .await
            .starts_with("HTTP/1.1 200 OK\r\n")
    );
    connection
        .send("GET /peer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(connection.read_to_end().await.ends_with("192.0.2.7:4711"));
}

#[tokio::test]
async fn a_panic_is_a_500_and_ends_nothing_else() {
    let mut connection = Connection::open(PATIENT);
    connection
        .send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(
        connection
            .read_until("\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 500 ")
    );
    connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    connection.read_until("here").await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    for (limits, sent) in [
        (
            Limits {
                head_time: SHORT,
                ..PATIENT
            },
            "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        ),
        // Neither HTTP/1 nor HTTP/2 yet.
        (
            Limits {
                idle: SHORT,
                ..PATIENT
            },
            "PRI * HTTP/2.0\r\n",
        ),
        (
            Limits {
                idle: SHORT,
                ..PATIENT
            },
            "",
        ),
        (
            Limits {
                idle: SHORT,
                drain: SHORT,
                ..PATIENT
            },
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
    ] {
        let mut connection = Connection::open(limits);
        connection.send(sent).await;
        assert!(!connection.read_to_end().await.contains("200"), "{sent:?}");
    }
}

#[tokio::test]
async fn an_idle_or_old_connection_is_closed() {
    for limits in [
        Limits {
            idle: SHORT,
            ..PATIENT
        },
        Limits {
            age: Some(SHORT),
            ..PATIENT
        },
        Limits {
            head_time: SHORT,
            ..PATIENT
        },
    ] {
        let mut connection = Connection::open(limits);
        connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        connection.read_until("here").await;
        assert_eq!(connection.read_to_end().await, "");
    }
}

#[tokio::test]
async fn the_time_of_a_head_counts_after_answered_requests_too() {
    let limits = Limits {
        head_time: SHORT,
        ..PATIENT
    };
    let mut connection = Connection::open(limits);
    let whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    connection
        .send(&format!("{whole}{whole}GET / HTTP/1.1\r\nHost: a\r\nX: "))
        .await;
    let answers = connection.read_to_end().await;
    assert_eq!(answers.matches("here").count(), 2, "{answers}");
}

#[tokio::test]
async fn a_head_beyond_its_size_is_431() {
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    for head in [long, many] {
        let mut connection = Connection::open(PATIENT);
        // The server stops reading in the middle of the long one.
        drop(connection.client.write_all(head.as_bytes()).await);
        assert!(
            connection
                .read_until("\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 431 ")
        );
    }
}

#[tokio::test]
async fn a_body_that_stops_or_drips_is_not_waited_for() {
    for limits in [
        Limits {
            body_stall: SHORT,
            ..PATIENT
        },
        Limits {
            body_time: Some(SHORT),
            ..PATIENT
        },
    ] {
        let mut connection = Connection::open(limits);
        connection
            .send("POST /beginning HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
            .await;
        assert!(
            connection
                .read_until("false")
                .await
                .ends_with("\r\n\r\n3 false")
        );
    }
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_its_answer() {
    let mut connection = Connection::open(PATIENT);
    connection
        .send("POST /beginning HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    connection.client.shutdown().await.unwrap();
    assert!(connection.read_to_end().await.ends_with("\r\n\r\n3 false"));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_written_to_for_long() {
    for limits in [
        Limits {
            write_stall: SHORT,
            ..PATIENT
        },
        Limits {
            age: Some(SHORT),
            drain: SHORT,
            ..PATIENT
        },
    ] {
        let mut connection = Connection::open(limits);
        connection
            .send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        connection.ended.await.unwrap();
    }
}

#[tokio::test]
async fn the_soft_stop_lets_the_request_at_hand_be_answered() {
    let mut connection = Connection::open(PATIENT);
    connection
        .send(
            "POST /beginning HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
                Expect: 100-continue\r\n\r\n",
        )
        .await;
    // Said when the handler begins to wait for the body.
    connection.read_until("100 Continue\r\n\r\n").await;
    connection.stop.begin();
    connection.send("abc").await;
    assert!(connection.read_to_end().await.ends_with("\r\n\r\n3 true"));
}

#[tokio::test]
async fn the_soft_stop_ends_an_idle_connection_at_once() {
    let mut connection = Connection::open(PATIENT);
    connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    connection.read_until("here").await;
    connection.stop.begin();
    assert_eq!(connection.read_to_end().await, "");
}
