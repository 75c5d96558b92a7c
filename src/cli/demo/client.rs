//! The two clients of the demo: a mail program and a browser's background request, both real.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the demo waits for an answer of its own server.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the SMTP door answered.
#[derive(Debug)]
pub(in crate::cli) enum Delivery {
    /// The final reply to the message, with the receipt's id.
    Accepted(String),
    /// The reply that refused the recipient.
    Refused(String),
}

/// Delivers one message over SMTP, as any MTA does.
pub(in crate::cli) fn deliver(
    server: SocketAddr,
    mail_from: &str,
    rcpt_to: &str,
    message: &str,
) -> std::io::Result<Delivery> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    read_reply(&mut replies)?;
    let mut ask = |command: String| -> std::io::Result<String> {
        stream.write_all(command.as_bytes())?;
        read_reply(&mut replies)
    };
    ask("EHLO mta.example.net\r\n".to_owned())?;
    ask(format!("MAIL FROM:<{mail_from}>\r\n"))?;
    let rcpt = ask(format!("RCPT TO:<{rcpt_to}>\r\n"))?;
    if !rcpt.starts_with('2') {
        ask("QUIT\r\n".to_owned())?;
        return Ok(Delivery::Refused(rcpt));
    }
    ask("DATA\r\n".to_owned())?;
    let mut body = String::with_capacity(message.len() + 64);
    for line in message.lines() {
        if line.starts_with('.') {
            body.push('.');
        }
        body.push_str(line);
        body.push_str("\r\n");
    }
    body.push_str(".\r\n");
    let last = ask(body)?;
    ask("QUIT\r\n".to_owned())?;
    if last.starts_with('2') {
        Ok(Delivery::Accepted(last))
    } else {
        Ok(Delivery::Refused(last))
    }
}

/// One reply; of several lines the last (RFC 5321 §4.2.1).
fn read_reply(replies: &mut impl BufRead) -> std::io::Result<String> {
    loop {
        let mut line = String::new();
        if replies.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.trim_end().to_owned());
        }
    }
}

/// Posts to a one-click URL as a mailbox provider does (RFC 8058 §3.2); the status.
///
/// `root` is the certificate (PEM) that the demo's server made for itself.
pub(in crate::cli) fn click(url: &str, root: &[u8]) -> Result<u16, String> {
    let root = ureq::tls::Certificate::from_pem(root).map_err(|error| error.to_string())?;
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[root]))
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let response = agent
        .post(url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .send("List-Unsubscribe=One-Click")
        .map_err(|error| error.to_string())?;
    Ok(response.status().as_u16())
}
