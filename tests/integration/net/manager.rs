//! A service manager that started the process is told when its doors are open and when they close.

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::harness::PATIENCE;

#[test]
fn the_doors_are_open_when_the_manager_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 64];
        let octets = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..octets].to_vec()).unwrap()
    };
    let mut server = Command::new(env!("CARGO_BIN_EXE_desist"))
        .arg("serve")
        .current_dir(folder.path())
        .env("NOTIFY_SOCKET", &socket)
        .env("DESIST_SMTP__LISTEN", "127.0.0.1:0")
        .env("DESIST_PUBLIC__LISTEN", "127.0.0.1:0")
        .env("DESIST_API__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(heard(), "READY=1");
    let listening = std::fs::read_to_string(folder.path().join("data/listening")).unwrap();
    let smtp = listening
        .lines()
        .find_map(|line| line.strip_prefix("listening smtp "));
    TcpStream::connect(smtp.unwrap()).unwrap();
    let pid = server.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(asked.success());
    assert_eq!(heard(), "STOPPING=1");
    assert!(server.wait().unwrap().success());
}
