//! Every reply of this server: code, enhanced code and text in one table (RFC 5321 §4.2, RFC 2034).
//!
//! The texts are neutral: they name no product, and nothing that the peer has sent is echoed.

use super::gate::Shortage;
use super::limits::Limits;
use super::recipients::Refusal;
use crate::model::receipt::ReceiptId;

/// A reply whose text is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    BadArguments,
    BareLineEnd,
    Bye,
    CannotVerify,
    ChunkTaken,
    DomainNotServed,
    Done,
    DoorClosed,
    Help,
    KeysNotCurrent,
    LineTooLong,
    Loop,
    MessageTooBig,
    NoRoom,
    NotOffered,
    NotSmtp,
    PlaintextBehindStartTls,
    ReadyForTls,
    RecipientNeedsUtf8,
    RecipientTaken,
    SenderNeedsUtf8,
    SenderTaken,
    SendData,
    StorageFailed,
    Stopping,
    TimedOut,
    TooManyErrors,
    TooManyRecipients,
    TooManySessions,
    UnknownCommand,
    UnknownMailbox,
    UnknownParameter,
    WrongOrder,
}

impl Reply {
    /// The line, with its CRLF.
    pub(super) const fn line(self) -> &'static str {
        match self {
            Self::Help => "214 2.0.0 See RFC 5321\r\n",
            Self::ReadyForTls => "220 2.0.0 Ready to start TLS\r\n",
            Self::Bye => "221 2.0.0 Goodbye\r\n",
            Self::Done => "250 2.0.0 OK\r\n",
            Self::ChunkTaken => "250 2.0.0 Chunk received\r\n",
            Self::SenderTaken => "250 2.1.0 Sender OK\r\n",
            Self::RecipientTaken => "250 2.1.5 Recipient OK\r\n",
            Self::CannotVerify => "252 2.0.0 Not verified, send the mail to find out\r\n",
            Self::SendData => "354 End data with <CR><LF>.<CR><LF>\r\n",
            Self::Stopping => "421 4.3.2 Service is closing, try again later\r\n",
            Self::TooManySessions => "421 4.3.2 Too many connections, try again later\r\n",
            Self::TimedOut => "421 4.4.2 Waited too long, closing\r\n",
            Self::TooManyErrors => "421 4.7.0 Too many errors, closing\r\n",
            Self::StorageFailed => "451 4.3.0 Cannot store mail now, try again later\r\n",
            Self::KeysNotCurrent => "451 4.3.0 Cannot check the recipient now, try again later\r\n",
            Self::NoRoom => "452 4.3.1 No room now, try again later\r\n",
            Self::TooManyRecipients => "452 4.5.3 Too many recipients, send the rest later\r\n",
            Self::UnknownCommand => "500 5.5.1 Command not known\r\n",
            Self::NotSmtp => "500 5.5.1 This is not SMTP, closing\r\n",
            Self::LineTooLong => "500 5.5.6 Line too long\r\n",
            Self::BadArguments => "501 5.5.4 Arguments not understood\r\n",
            Self::NotOffered => "502 5.5.1 Command not offered\r\n",
            Self::WrongOrder => "503 5.5.1 Not in this order\r\n",
            Self::UnknownMailbox => "550 5.1.1 No such mailbox\r\n",
            Self::BareLineEnd => "550 5.6.11 Lone dot beside a bare CR or LF\r\n",
            Self::SenderNeedsUtf8 => "550 5.6.7 Sender needs SMTPUTF8\r\n",
            Self::DomainNotServed => "550 5.7.1 Domain not served here\r\n",
            Self::MessageTooBig => "552 5.3.4 Message too big\r\n",
            Self::RecipientNeedsUtf8 => "553 5.6.7 Recipient needs SMTPUTF8\r\n",
            Self::DoorClosed => "554 5.3.2 No mail is received here now\r\n",
            Self::Loop => "554 5.4.6 Too many Received fields, mail is looping\r\n",
            Self::PlaintextBehindStartTls => "554 5.5.1 Input behind STARTTLS, closing\r\n",
            Self::UnknownParameter => "555 5.5.4 Parameter not known\r\n",
        }
    }

    /// Whether the command was wrong: such replies are counted.
    pub(super) fn is_error(self) -> bool {
        self.line().starts_with('5')
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownMailbox => Self::UnknownMailbox,
            Refusal::ForeignDomain => Self::DomainNotServed,
            Refusal::KeysNotCurrent => Self::KeysNotCurrent,
        }
    }
}

impl From<Shortage> for Reply {
    fn from(shortage: Shortage) -> Self {
        match shortage {
            Shortage::NoRoom => Self::NoRoom,
            Shortage::Failed => Self::StorageFailed,
        }
    }
}

/// The first line of a session (RFC 5321 §4.2).
pub(super) fn greeting(hostname: &str) -> String {
    format!("220 {hostname} ESMTP\r\n")
}

/// The answer to HELO.
pub(super) fn helo(hostname: &str) -> String {
    format!("250 {hostname}\r\n")
}

/// The answer to EHLO: exactly what is offered (RFC 5321 §4.1.1.1).
pub(super) fn ehlo(hostname: &str, limits: &Limits, starttls: bool) -> String {
    let (size, recipients) = (limits.message, limits.recipients);
    let starttls = if starttls { "250-STARTTLS\r\n" } else { "" };
    format!(
        "250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {size}\r\n250-8BITMIME\r\n250-CHUNKING\r\n\
         250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n{starttls}250 LIMITS RCPTMAX={recipients}\r\n"
    )
}

/// The final acceptance; the id finds the message in this system.
pub(super) fn accepted(id: &ReceiptId) -> String {
    format!("250 2.0.0 OK {id}\r\n")
}
