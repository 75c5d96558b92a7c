//! Listeners that a service manager has opened and passes on (`sd_listen_fds(3)`).
//!
//! Ports below 1024 need no privilege then, and while the server restarts, connections wait at the
//! manager's sockets instead of being refused.

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use super::ServeError;

/// What was passed and not taken over yet.
#[derive(Debug, Default)]
pub struct Passed(Vec<(SocketAddr, TcpListener)>);

/// An address to listen on, with the socket that was passed for it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) address: SocketAddr,
    pub(super) passed: Option<TcpListener>,
}

impl Passed {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self(Vec::new())
    }

    /// What the environment of this process says (`LISTEN_FDS`, `LISTEN_PID`), which it says once:
    /// the variables are taken out of it. To be called before there are other threads.
    pub fn from_environment() -> Result<Self, ServeError> {
        let mut given = ListenFd::from_env();
        let mut passed = Vec::new();
        for number in 0..given.len() {
            let failed =
                |why: std::io::Error| ServeError::Passed(format!("number {number}: {why}"));
            if let Some(socket) = given.take_tcp_listener(number).map_err(failed)? {
                let address = socket.local_addr().map_err(failed)?;
                passed.push((address, socket));
            }
        }
        Ok(Self(passed))
    }

    /// These addresses, each with its socket if one was passed: it is no longer left then.
    pub(super) fn to(&mut self, addresses: &[SocketAddr]) -> Vec<Wanted> {
        let wanted = |&address: &SocketAddr| {
            let place = self.0.iter().position(|(passed, _)| *passed == address);
            let passed = place.map(|place| self.0.swap_remove(place).1);
            Wanted { address, passed }
        };
        addresses.iter().map(wanted).collect()
    }

    /// Fails if a socket is left: connections to it would wait for ever.
    pub(super) fn none_is_left(self) -> Result<(), ServeError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let left: Vec<String> = self.0.iter().map(|(at, _)| at.to_string()).collect();
        let text = format!("no setting listens on {}", left.join(", "));
        Err(ServeError::Passed(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_goes_to_its_address_once() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut passed = Passed(vec![(address, socket)]);
        let other = SocketAddr::from(([127, 0, 0, 1], 0));
        let is_passed = |wanted: Vec<Wanted>| -> Vec<bool> {
            wanted
                .iter()
                .map(|wanted| wanted.passed.is_some())
                .collect()
        };
        assert_eq!(
            is_passed(passed.to(&[other, address, address])),
            [false, true, false]
        );
        assert!(passed.none_is_left().is_ok());
    }

    #[test]
    fn what_is_left_is_named() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let error = Passed(vec![(address, socket)]).none_is_left().unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
