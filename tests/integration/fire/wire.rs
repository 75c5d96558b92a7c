//! A wire between a server and its database that can go dead without anybody being told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Forwards connections until it is dropped.
pub(super) struct Wire {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    over: AtomicBool,
    /// Connections made now are dead from their beginning.
    dead: AtomicBool,
    /// Connections of an earlier age are dead for ever.
    age: AtomicU32,
}

/// How often an idle direction looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

impl Wire {
    /// To that port of the loopback.
    pub(super) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepting = std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port)))
                {
                    connect(&shared, &client, &server);
                }
            }
        });
        Self {
            address,
            state,
            accepting: Some(accepting),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nothing passes any more, on any connection, and nobody is told.
    pub(super) fn go_dead(&self) {
        self.state.dead.store(true, Ordering::SeqCst);
        self.state.age.fetch_add(1, Ordering::SeqCst);
    }

    /// New connections work again; the old ones stay dead.
    pub(super) fn come_back(&self) {
        self.state.age.fetch_add(1, Ordering::SeqCst);
        self.state.dead.store(false, Ordering::SeqCst);
    }
}

fn connect(state: &Arc<State>, client: &TcpStream, server: &TcpStream) {
    let age = state.age.load(Ordering::SeqCst);
    for (from, to) in [(client, server), (server, client)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let state = Arc::clone(state);
        std::thread::spawn(move || forward(&state, age, from, to));
    }
}

fn forward(state: &State, age: u32, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    from.set_read_timeout(Some(LOOK)).unwrap();
    while !state.over.load(Ordering::SeqCst) {
        let dead = state.dead.load(Ordering::SeqCst) || state.age.load(Ordering::SeqCst) != age;
        match from.read(&mut buffer) {
            Ok(0) if !dead => break,
            // The end of one side is not passed on either.
            Ok(0) => return,
            Ok(_) if dead => {}
            Ok(count) if to.write_all(&buffer[..count]).is_err() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(_) => break,
        }
    }
    drop(to.shutdown(std::net::Shutdown::Both));
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}
