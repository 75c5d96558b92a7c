//! Tells the service manager how the server is (`sd_notify(3)`): one datagram a message.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if one started this process.
#[derive(Debug, Clone)]
pub(super) struct Manager(Option<OsString>);

impl Manager {
    /// The one that listens at this socket: a path, or `@` and an abstract name.
    pub(super) const fn at(socket: Option<OsString>) -> Self {
        Self(socket)
    }

    /// The doors are open.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Sessions at hand may finish; no new ones are begun.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, message: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = send(socket, message) {
            tracing::warn!(%error, message, "the service manager could not be told");
        }
    }
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A manager that does not read must not keep the server.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let octets = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..octets].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_is_told_at_a_path_and_by_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("desist-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, given) in [
            (UnixDatagram::bind(&path).unwrap(), path.into()),
            (
                UnixDatagram::bind_addr(&abstract_name).unwrap(),
                OsString::from(format!("@{name}")),
            ),
        ] {
            let manager = Manager::at(Some(given));
            manager.ready();
            assert_eq!(heard(&socket), "READY=1");
            manager.stopping();
            assert_eq!(heard(&socket), "STOPPING=1");
        }
        // Nobody there: the server goes on.
        Manager::at(Some("/nowhere".into())).ready();
        Manager::at(None).ready();
    }
}
