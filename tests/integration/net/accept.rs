//! Accepting within limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use desist::net::accept::{self, AcceptLimits, Sessions};
use desist::net::stop::Stop;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

const REFUSED: &[u8] = b"421 4.3.2 too many connections\r\n";

/// A server that greets each connection with its peer's address and holds it until the peer
/// closes.
struct Greeter {
    address: SocketAddr,
    sessions: Sessions,
    stop: Stop,
    /// One item for each session that ends.
    ended: mpsc::UnboundedReceiver<()>,
}

impl Greeter {
    async fn start(listen: &str, limits: AcceptLimits) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, sessions) = (Stop::new(), Sessions::from(limits));
        let (send, ended) = mpsc::unbounded_channel();
        let (running, counted) = (stop.clone(), sessions.clone());
        stop.spawn(async move {
            let handler = move |mut stream: TcpStream, peer: SocketAddr| {
                let send = send.clone();
                async move {
                    // A peer that closes without reading makes these fail, which ends it as well.
                    drop(
                        stream
                            .write_all(format!("{}\n", peer.ip()).as_bytes())
                            .await,
                    );
                    drop(stream.read(&mut [0]).await);
                    send.send(()).unwrap_or_default();
                }
            };
            accept::run(listener, counted, &running, REFUSED, handler).await;
        });
        Self {
            address,
            sessions,
            stop,
            ended,
        }
    }

    async fn connect_from(&self, source: [u8; 4]) -> (TcpStream, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(IpAddr::from(source), 0))
            .unwrap();
        let port = self.address.port();
        let mut stream = socket
            .connect((Ipv4Addr::LOCALHOST, port).into())
            .await
            .unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(line).unwrap())
    }

    async fn connect(&self) -> (TcpStream, String) {
        self.connect_from([127, 0, 0, 1]).await
    }
}

fn is_refused(greeting: &str) -> bool {
    greeting.as_bytes() == REFUSED
}

#[tokio::test]
async fn one_too_many_is_told_so_and_closed_until_a_place_is_free() {
    let limits = AcceptLimits {
        sessions: 2,
        sessions_per_ip: 100,
    };
    let mut greeter = Greeter::start("127.0.0.1:0", limits).await;
    let (first, greeting) = greeter.connect().await;
    assert_eq!(greeting, "127.0.0.1\n");
    let (_second, greeting) = greeter.connect_from([127, 0, 0, 2]).await;
    assert_eq!(greeting, "127.0.0.2\n");
    for _ in 0..50 {
        let (mut third, greeting) = greeter.connect_from([127, 0, 0, 3]).await;
        assert!(is_refused(&greeting), "{greeting}");
        assert_eq!(third.read(&mut [0]).await.unwrap(), 0, "closed");
    }
    drop(first);
    greeter.ended.recv().await.unwrap();
    assert_eq!(greeter.sessions.open(), 1);
    assert!(
        !is_refused(&greeter.connect().await.1),
        "the place is free again"
    );
}

#[tokio::test]
async fn one_address_does_not_take_the_places_of_others() {
    let limits = AcceptLimits {
        sessions: 10,
        sessions_per_ip: 2,
    };
    let greeter = Greeter::start("127.0.0.1:0", limits).await;
    let held = [greeter.connect().await, greeter.connect().await];
    assert!(is_refused(&greeter.connect().await.1));
    assert_eq!(greeter.connect_from([127, 0, 0, 2]).await.1, "127.0.0.2\n");
    drop(held);
}

#[tokio::test]
async fn an_ipv4_peer_of_a_dual_listener_is_an_ipv4_peer() {
    let greeter = Greeter::start("[::]:0", AcceptLimits::default()).await;
    assert_eq!(greeter.connect().await.1, "127.0.0.1\n");
}

#[tokio::test]
async fn the_soft_stop_ends_accepting_and_not_the_sessions() {
    let mut greeter = Greeter::start("127.0.0.1:0", AcceptLimits::default()).await;
    let (held, _) = greeter.connect().await;
    greeter.stop.begin();
    // The listener goes with the accepting task; from then on nobody answers.
    while TcpStream::connect(greeter.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(greeter.sessions.open(), 1);
    drop(held);
    greeter.ended.recv().await.unwrap();
    assert!(greeter.stop.finish(Duration::from_secs(30)).await);
}

/// Marks the process that [`accepting_survives_the_lack_of_file_descriptors`] starts.
const CHILD: &str = "DESIST_TEST_FEW_FILE_DESCRIPTORS";

/// The limit of open files belongs to a process, so this test runs itself again in one of its own.
#[test]
fn accepting_survives_the_lack_of_file_descriptors() {
    const NAME: &str = "net::accept::accepting_survives_the_lack_of_file_descriptors";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(exhaust_and_recover());
    }
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" --exact --nocapture \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

async fn exhaust_and_recover() {
    let mut greeter = Greeter::start("127.0.0.1:0", AcceptLimits::default()).await;
    // Connecting without giving the server a turn takes all that this process may have.
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect(greeter.address) {
        held.push(stream);
    }
    assert!((20..64).contains(&held.len()), "{}", held.len());
    let nobody = tokio::time::timeout(Duration::from_millis(50), greeter.ended.recv()).await;
    assert!(
        nobody.is_err() && greeter.sessions.open() == 0,
        "the server has none to accept with"
    );
    let dropped = held.len() - 5;
    drop(held.split_off(5));
    for _ in 0..dropped {
        greeter.ended.recv().await.unwrap();
    }
    let (_stream, greeting) = greeter.connect().await;
    assert_eq!(greeting, "127.0.0.1\n");
}
