//! Two clients of the doors, both real: a mail program, and the background request of a mailbox
//! provider.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::RootCerts;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector, Transport,
};

use crate::net::network::Network;
use crate::trust;

/// How long a door may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Octets of a line of a reply that are read at most (RFC 5321 §4.5.3.1.5 allows 512).
const LONGEST_LINE: u64 = 4096;

/// A door, and how it is come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door {
    at: SocketAddr,
    /// It wants a PROXY header from here.
    announced: bool,
}

impl Door {
    /// A door that believes the proxies in these networks, of which this machine may be one.
    pub(super) fn with_proxies(at: SocketAddr, networks: &[Network]) -> Self {
        let own = own_address(at);
        let is_own = |network: &Network| own.is_some_and(|own| network.contains(own));
        let announced = networks.iter().any(is_own);
        Self { at, announced }
    }

    /// Where it is.
    pub(super) const fn at(self) -> SocketAddr {
        self.at
    }

    fn header(self) -> &'static [u8] {
        if self.announced { ITS_OWN } else { b"" }
    }
}

impl From<SocketAddr> for Door {
    fn from(at: SocketAddr) -> Self {
        Self::with_proxies(at, &[])
    }
}

/// What a proxy says of a connection of its own: the peer is the one that is connected ("The PROXY
/// protocol", section 2.1).
const ITS_OWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// From which address this machine connects to that one. Nothing is sent.
fn own_address(at: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(at).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What the SMTP door answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The final reply to the message, with the receipt's id.
    Accepted(String),
    /// The first reply that was not what a delivery goes on with.
    Refused(String),
}

/// Delivers one message over SMTP, as any MTA does.
pub(super) fn deliver(
    door: Door,
    mail_from: &str,
    rcpt_to: &str,
    message: &str,
) -> std::io::Result<Delivery> {
    let mut stream = TcpStream::connect(door.at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(door.header())?;
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut last = read_reply(&mut replies)?;
    let mut goes_on = last.starts_with("220");
    for (command, expected) in [
        ("EHLO mta.example.net\r\n".to_owned(), "250"),
        (format!("MAIL FROM:<{mail_from}>\r\n"), "250"),
        (format!("RCPT TO:<{rcpt_to}>\r\n"), "25"),
        ("DATA\r\n".to_owned(), "354"),
        (dotted(message), "250"),
    ] {
        if !goes_on {
            break;
        }
        stream.write_all(command.as_bytes())?;
        last = read_reply(&mut replies)?;
        goes_on = last.starts_with(expected);
    }
    // What was said stands, whether or not the door hears the end.
    stream.write_all(b"QUIT\r\n").ok();
    Ok(if goes_on {
        Delivery::Accepted(last)
    } else {
        Delivery::Refused(last)
    })
}

/// A message as it goes over the wire, with its end (RFC 5321 §4.5.2).
fn dotted(message: &str) -> String {
    let mut body = String::with_capacity(message.len() + 64);
    for line in message.lines() {
        if line.starts_with('.') {
            body.push('.');
        }
        body.push_str(line);
        body.push_str("\r\n");
    }
    body.push_str(".\r\n");
    body
}

/// One reply; of several lines the last (RFC 5321 §4.2.1).
fn read_reply(replies: &mut impl BufRead) -> std::io::Result<String> {
    loop {
        let mut line = String::new();
        if replies.take(LONGEST_LINE).read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.trim_end().to_owned());
        }
    }
}

/// How the HTTPS door is called.
#[derive(Debug, Clone)]
pub(super) enum Tls {
    /// In clear: a proxy before it has the certificate.
    Off,
    /// As this host, and its certificate is trusted by these or is one of them.
    Trusting {
        /// Whom the certificate must name.
        host: String,
        /// The certificates (PEM).
        roots: Vec<u8>,
    },
}

/// Posts to the one-click path of this door as a mailbox provider does (RFC 8058 §3.2); the status.
pub(super) fn click(door: Door, path: &str, tls: &Tls) -> Result<u16, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0);
    let url = match tls {
        Tls::Off => format!("http://{}{path}", door.at),
        Tls::Trusting { host, roots } => {
            let roots = RootCerts::Specific(Arc::new(trust::in_pem(roots)?));
            config = config.tls_config(trust::believing(roots));
            format!("https://{host}:{}{path}", door.at.port())
        }
    };
    // Whatever the host's name leads to: this door is asked.
    let connector =
        ().chain(TcpConnector::default())
            .chain(Announcing(door.header()))
            .chain(RustlsConnector::default());
    let agent = Agent::with_parts(config.build(), connector, Only(door.at));
    let response = agent
        .post(url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .send("List-Unsubscribe=One-Click")
        .map_err(|error| error.to_string())?;
    Ok(response.status().as_u16())
}

/// Says this first on every connection.
#[derive(Debug)]
struct Announcing(&'static [u8]);

impl<In: Transport> Connector<In> for Announcing {
    type Out = In;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<In>, ureq::Error> {
        let Some(mut transport) = chained else {
            return Ok(None);
        };
        let header = self.0;
        if let Some(output) = transport.buffers().output().get_mut(..header.len()) {
            output.copy_from_slice(header);
            transport.transmit_output(header.len(), details.timeout)?;
        }
        Ok(Some(transport))
    }
}

/// Every name is at this address.
#[derive(Debug)]
struct Only(SocketAddr);

impl Resolver for Only {
    fn resolve(
        &self,
        _uri: &http::Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Delivers to a door that says these, one after each command and the message; what came of it,
    /// and all that the door was told.
    fn told(replies: &'static [&'static str]) -> (Delivery, String) {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = door.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = door.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut told = String::new();
            for (i, reply) in replies.iter().enumerate() {
                stream.write_all(reply.as_bytes()).unwrap();
                loop {
                    let line = lines.next().unwrap().unwrap();
                    told += &line;
                    told.push('\n');
                    if i != 4 || line == "." || line == "QUIT" {
                        break;
                    }
                }
            }
            told.extend(lines.map_while(Result::ok));
            told
        });
        let done = deliver(
            at.into(),
            "a@example.net",
            "b@example.com",
            "S: x\n\n.dot\n",
        )
        .unwrap();
        (done, server.join().unwrap())
    }

    #[test]
    fn a_delivery_ends_with_the_first_reply_that_it_cannot_go_on_with() {
        let all = [
            "220 mx\r\n",
            "250-mx\r\n250 SIZE\r\n",
            "250 2.1.0 ok\r\n",
            "250 2.1.5 ok\r\n",
            "354 go on\r\n",
            "250 2.0.0 kept\r\n",
        ];
        let commands = [
            "EHLO mta.example.net\n",
            "MAIL FROM:<a@example.net>\n",
            "RCPT TO:<b@example.com>\n",
            "DATA\n",
            "S: x\n\n..dot\n.\n",
        ];
        let (done, said) = told(all.to_vec().leak());
        assert_eq!(done, Delivery::Accepted("250 2.0.0 kept".to_owned()));
        assert_eq!(said, commands.concat() + "QUIT\n");
        for refused in 0..all.len() {
            let mut replies = all[..refused].to_vec();
            replies.push("452-4.3.1 no\r\n452 4.3.1 room\r\n");
            let (done, said) = told(replies.leak());
            assert_eq!(done, Delivery::Refused("452 4.3.1 room".to_owned()));
            assert_eq!(said, commands[..refused].concat() + "QUIT\n", "{refused}");
        }
    }
}
