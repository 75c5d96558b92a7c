//! What the SMTP session costs without its socket: whole dialogues, and the content of a large
//! message (where the scanner for its end does the work). `cargo bench --bench session`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    clippy::panic,
    reason = "a measurement: it prints, and may stop at any surprise"
)]

#[path = "measure/timing.rs"]
mod timing;

use std::sync::Arc;

use desist::model::clock::{Tick, Timestamp};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::ReceiptId;
use desist::smtp::gate::{Gate, Shortage};
use desist::smtp::limits::Limits;
use desist::smtp::path::Path;
use desist::smtp::recipients::{Accepted, Refusal};
use desist::smtp::session::{Outcome, Output, Session, Settings};

use self::timing::measure;

/// Takes everything.
#[derive(Debug)]
struct Open;

impl Gate for Open {
    fn recipient(&self, path: &Path) -> Result<Accepted, Refusal> {
        Ok(Accepted {
            mailbox: Mailbox {
                address: format!("{}@{}", path.local(), path.domain()),
                role: Role::Bounce,
                tenant: None,
                stream: None,
            },
            token: None,
        })
    }

    fn admits(&self) -> Result<(), Shortage> {
        Ok(())
    }

    fn reserve(&self, _bytes: u64) -> bool {
        true
    }

    fn release(&self, _bytes: u64) {}
}

/// A session that has said hello.
fn session() -> Session {
    let settings = Arc::new(Settings {
        hostname: "mx.example.com".to_owned(),
        starttls: true,
        refuse: false,
        limits: Limits::default(),
    });
    let mut session = Session::new(settings, Tick::default());
    feed(&mut session, b"EHLO client.example\r\n");
    session
}

/// Gives octets, accepts messages, throws replies away; how many messages came.
fn feed(session: &mut Session, octets: &[u8]) -> usize {
    let now = Tick::default();
    let mut messages = 0;
    session.handle_bytes(octets, now, &Open);
    while let Some(output) = session.poll() {
        match output {
            Output::Message(message) => {
                std::hint::black_box(message);
                messages += 1;
                let id = ReceiptId::from_parts(Timestamp::default(), &[0; 10]);
                session.handle_outcome(Outcome::Accepted(id), now, &Open);
            }
            Output::Write(reply) => drop(std::hint::black_box(reply)),
            Output::StartTls | Output::Close => panic!("the session ended"),
        }
    }
    messages
}

fn main() {
    let envelope = "MAIL FROM:<>\r\nRCPT TO:<b@fb.example.com>\r\n";
    let line = "We saw this on your list and thought of you: a line of a newsletter.\r\n";
    let small = format!("{}\r\n{}.\r\n", "Subject: x\r\n", line.repeat(35));

    let mut kept = session();
    measure("NOOP", 6, || feed(&mut kept, b"NOOP\r\n"));
    measure("a message of 2.5 KB by DATA", small.len(), || {
        feed(&mut kept, format!("{envelope}DATA\r\n").as_bytes());
        assert_eq!(feed(&mut kept, small.as_bytes()), 1);
    });
    let chunked = format!("{envelope}BDAT {} LAST\r\n{small}", small.len());
    measure("a message of 2.5 KB by BDAT", chunked.len(), || {
        assert_eq!(feed(&mut kept, chunked.as_bytes()), 1);
    });
    measure("a session with one message", small.len(), || {
        let mut session = session();
        feed(&mut session, format!("{envelope}DATA\r\n").as_bytes());
        assert_eq!(feed(&mut session, small.as_bytes()), 1);
    });

    for (name, text) in [
        ("10 MiB of lines", line.to_owned()),
        ("10 MiB of empty lines", "\r\n".to_owned()),
        ("10 MiB of stuffed dots", "..\r\n".to_owned()),
        ("10 MiB of bare line ends", "\n\r".to_owned()),
    ] {
        let content = text.repeat((10 << 20) / text.len());
        measure(name, content.len(), || {
            feed(&mut kept, format!("{envelope}DATA\r\n").as_bytes());
            for octets in content.as_bytes().chunks(16 * 1024) {
                feed(&mut kept, octets);
            }
            assert_eq!(feed(&mut kept, b"\r\n.\r\n"), 1);
        });
    }
}
