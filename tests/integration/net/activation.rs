//! Listeners that a service manager has opened are taken over.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::clients::program;
use crate::harness::Smtp;

/// Passes standard input and standard error on as the first and the second socket.
const PASS_ON: &str = "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" serve 3<&0 4<&2 </dev/null 2>log";

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn serve(folder: &Path, command: &mut Command, [smtp, public]: [SocketAddr; 2]) -> Child {
    command
        .current_dir(folder)
        .env("DESIST_SMTP__LISTEN", smtp.to_string())
        .env("DESIST_PUBLIC__LISTEN", public.to_string())
        .env("DESIST_API__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A server that is given two sockets, and listens on these addresses.
fn passed(folder: &Path, sockets: [TcpListener; 2], addresses: [SocketAddr; 2]) -> Child {
    let [first, second] = sockets;
    let mut command = Command::new("sh");
    command
        .args(["-c", PASS_ON, env!("CARGO_BIN_EXE_desist")])
        .stdin(OwnedFd::from(first))
        .stderr(OwnedFd::from(second));
    serve(folder, &mut command, addresses)
}

fn greeting(server: SocketAddr) -> String {
    let mut smtp = Smtp::connect(server);
    let greeting = smtp.reply();
    smtp.ask("QUIT");
    greeting
}

/// Waits until its doors are open and asks it to stop; what it printed.
fn stopped(mut server: Child) -> String {
    let mut printed = String::new();
    let mut lines = BufReader::new(server.stdout.take().unwrap());
    while !printed.contains("listening public ") {
        assert!(lines.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    let pid = server.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(asked.success());
    while lines.read_line(&mut printed).unwrap() > 0 {}
    assert!(server.wait().unwrap().success());
    printed
}

#[test]
fn passed_sockets_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let ((smtp, smtp_at), (public, public_at)) = (socket(), socket());
    // In another order than the listeners have: the address decides.
    let server = passed(folder.path(), [public, smtp], [smtp_at, public_at]);
    // Whoever connects before the server is there waits at the socket and is served.
    assert!(greeting(smtp_at).starts_with("220 "));
    let printed = stopped(server);
    for line in [
        format!("listening smtp {smtp_at}\n"),
        format!("listening public {public_at}\n"),
    ] {
        assert!(printed.contains(&line), "{printed}");
    }
}

#[test]
fn a_passed_socket_that_nobody_listens_on_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ((smtp, smtp_at), (other, other_at)) = (socket(), socket());
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut server = passed(folder.path(), [smtp, other], [smtp_at, free]);
    assert_eq!(server.wait().unwrap().code(), Some(1));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let named = format!("a socket of the service manager: no setting listens on {other_at}");
    assert!(log.contains(&named), "{log}");
}

#[test]
fn systemd_starts_the_server_with_the_first_connection() {
    let folder = tempfile::tempdir().unwrap();
    // An address of this test's own, so that the port is free.
    let [.., a, b] = std::process::id().to_be_bytes();
    let at = |port| SocketAddr::from(([127, 77, a, b], port));
    let (smtp, public) = (at(2525), at(8443));
    let mut command = program("systemd-socket-activate");
    command
        .args(["--listen", &smtp.to_string()])
        .args(["--listen", &public.to_string()])
        .args(["--setenv", &format!("DESIST_SMTP__LISTEN={smtp}")])
        .args(["--setenv", &format!("DESIST_PUBLIC__LISTEN={public}")])
        .args(["--setenv", "DESIST_API__LISTEN=127.0.0.1:0"])
        .args([env!("CARGO_BIN_EXE_desist"), "serve"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut server = serve(folder.path(), &mut command, [smtp, public]);
    // It says so when it listens.
    let mut said = BufReader::new(server.stderr.take().unwrap()).lines();
    let heard = |line: &str| line.contains(&format!("Listening on {public}"));
    assert!(said.any(|line| heard(&line.unwrap())), "it does not listen");
    assert!(greeting(smtp).starts_with("220 "));
    // The time-out that ends what hangs passes the signal on.
    let printed = stopped(server);
    let line = format!("listening smtp {smtp}\n");
    assert!(printed.contains(&line), "{printed}");
    // Read to here, so that whoever wrote to it was heard.
    drop(said);
}
