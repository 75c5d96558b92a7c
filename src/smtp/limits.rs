//! Every limit of the SMTP door, named.

use std::time::Duration;

use crate::model::mailbox::Role;

const MIB: u64 = 1024 * 1024;

/// What a peer may use of this server. The defaults are meant to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a message for any mailbox; advertised as `SIZE` (50 MiB). A line of text has no
    /// limit of its own below this one.
    pub message: u64,
    /// Octets of a message for a mailbox of role complaint, cfbl or unsubscribe (25 MiB).
    pub report: u64,
    /// Octets of all messages that are being received or committed at a time (256 MiB).
    pub in_flight: u64,
    /// The same for one network (/24 or /64), beyond its first message: this part of
    /// `in_flight` (an eighth).
    pub network_part: u64,
    /// Octets that are read and thrown away of a message that is already refused, before the
    /// connection is closed (256 MiB).
    pub discard: u64,
    /// Octets of a command line with its CRLF (4,096; RFC 5321 §4.5.3.1.4 wants 512 and more for
    /// extensions).
    pub line: usize,
    /// Octets of a local part (256; RFC 5321 §4.5.3.1.1 wants 64, rewritten return paths exceed
    /// it).
    pub local_part: usize,
    /// Octets of a domain (255, RFC 5321 §4.5.3.1.2).
    pub domain: usize,
    /// Octets of an EHLO argument that are kept (512).
    pub hello: usize,
    /// Recipients of a transaction; advertised as `LIMITS RCPTMAX` (1,000).
    pub recipients: usize,
    /// Command errors of a session; the next one ends it (20).
    pub errors: u32,
    /// Commands that move no mail before the next message; each one more counts as an error (100).
    pub junk_commands: u32,
    /// Received fields at the top of a message from which on it loops (100, RFC 5321 §6.3).
    pub received: usize,
    /// Octets kept of what a peer sends ahead while its message is being committed (64 KiB).
    pub pipelined: usize,
    /// Sessions at a time (1,000).
    pub sessions: usize,
    /// Sessions at a time of one IP address (100).
    pub sessions_per_ip: usize,
    /// Waiting for a command (5 min, RFC 5321 §4.5.3.2.7).
    pub idle: Duration,
    /// Waiting for more of a message (3 min, RFC 5321 §4.5.3.2.5).
    pub data_idle: Duration,
    /// A whole transaction, from MAIL to the final dot, and a session without any message (30 min).
    pub transaction: Duration,
    /// Octets a second that a message must arrive with, on average, once `data_idle` has passed
    /// since its beginning (100).
    pub data_rate: u64,
    /// One write to a peer that does not read (2 min).
    pub write: Duration,
    /// Waiting for the peer's end of a connection that we have closed, so that our last reply is
    /// not lost to a reset (2 s).
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 50 * MIB,
            report: 25 * MIB,
            in_flight: 256 * MIB,
            network_part: 8,
            discard: 256 * MIB,
            line: 4096,
            local_part: 256,
            domain: 255,
            hello: 512,
            recipients: 1000,
            errors: 20,
            junk_commands: 100,
            received: 100,
            pipelined: 64 * 1024,
            sessions: 1000,
            sessions_per_ip: 100,
            idle: Duration::from_mins(5),
            data_idle: Duration::from_mins(3),
            transaction: Duration::from_mins(30),
            data_rate: 100,
            write: Duration::from_mins(2),
            linger: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Octets of a message for a mailbox of that role.
    pub fn of_role(&self, role: Role) -> u64 {
        match role {
            Role::Complaint | Role::Cfbl | Role::Unsubscribe => self.report.min(self.message),
            Role::Bounce | Role::Dmarc | Role::TlsReport | Role::Human => self.message,
        }
    }
}
