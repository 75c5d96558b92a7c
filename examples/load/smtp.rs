//! Complaints over a kept SMTP session, each acknowledged before the next.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;

/// A session that has said hello.
pub(crate) struct Session {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
    envelope: String,
}

impl Session {
    /// `to` is the mailbox that gets the complaints.
    pub(crate) fn open(server: SocketAddr, to: &str) -> Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let mut session = Self {
            replies: BufReader::new(stream.try_clone()?),
            stream,
            envelope: format!("MAIL FROM:<fbl@provider.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n"),
        };
        session.expect('2')?;
        session.stream.write_all(b"EHLO burst.example\r\n")?;
        session.expect('2')?;
        Ok(session)
    }

    /// Sends a complaint about a message with this token and returns when it is acknowledged.
    pub(crate) fn complain(&mut self, token: &str) -> Result<()> {
        self.stream.write_all(self.envelope.as_bytes())?;
        for class in ['2', '2', '3'] {
            self.expect(class)?;
        }
        self.stream.write_all(complaint(token).as_bytes())?;
        self.expect('2')
    }

    pub(crate) fn quit(mut self) -> Result<()> {
        Ok(self.stream.write_all(b"QUIT\r\n")?)
    }

    /// Reads a reply of any number of lines.
    fn expect(&mut self, class: char) -> Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.replies.read_line(&mut line)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        if line.starts_with(class) {
            Ok(())
        } else {
            Err(line.into())
        }
    }
}

/// A feedback report of about 2.6 KB, as a mailbox provider sends it, with its final dot.
fn complaint(token: &str) -> String {
    let text = "We saw this on your list and thought of you: a line of an ordinary newsletter.\r\n";
    format!(
        "From: feedback@provider.example\r\nTo: fbl@localhost\r\nSubject: complaint\r\n\
         Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"part\"\r\n\r\n\
         --part\r\nContent-Type: text/plain\r\n\r\nThis is a complaint about a message.\r\n\
         --part\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\
         User-Agent: Provider/1.0\r\nVersion: 1\r\nSource-IP: 192.0.2.1\r\n\
         Arrival-Date: Sat, 21 Nov 2026 11:00:00 +0000\r\n\r\n\
         --part\r\nContent-Type: message/rfc822\r\n\r\nFrom: news@shop.example\r\n\
         To: undisclosed-recipients:;\r\nSubject: News\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{token}.1@shop.example>\r\nCFBL-Feedback-ID: {token}\r\n\
         Content-Type: text/plain\r\n\r\n{}\r\n--part--\r\n.\r\n",
        text.repeat(20)
    )
}
