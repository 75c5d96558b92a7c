//! The receipt: one thing accepted at a door for one recipient.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::clock::Timestamp;
use super::digest::Digest;
use super::mailbox::Mailbox;
use super::words::words;

words! {
    /// How something came in.
    pub enum Door as "door" {
        /// The MX.
        Smtp = "smtp",
        /// RFC 8058 POST or the landing page's form.
        OneClick = "one-click",
        /// RFC 8460 report by HTTPS.
        TlsReport = "tls-report",
        /// `POST /v1/events`.
        Api = "api",
    }
}

words! {
    /// What has become of a receipt.
    pub enum ReceiptState as "state" {
        /// Its verdict waits for something, for instance DNS.
        Pending = "pending",
        /// Judged.
        Done = "done",
        /// At least one of its events waits for an operator.
        Held = "held",
        /// Nobody could read it; its raw bytes are kept.
        Unrecognised = "unrecognised",
    }
}

/// A UUIDv7 drawn at the door (RFC 9562 §5.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptId(uuid::Uuid);

/// A text was no receipt id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a receipt's id is a UUID")]
pub struct NoReceiptId;

impl ReceiptId {
    /// Composes an id from the time and ten random bytes.
    pub fn from_parts(at: Timestamp, random: &[u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid())
    }

    /// Takes the sixteen bytes of a stored id.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes; their order is that of time.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The time it was drawn at, to the millisecond; the epoch if it is no version 7.
    pub fn at(&self) -> Timestamp {
        let Some(time) = self.0.get_timestamp() else {
            return Timestamp::default();
        };
        let (seconds, nanos) = time.to_unix();
        let seconds = i64::try_from(seconds).unwrap_or(0);
        Timestamp::from_millis(
            seconds
                .saturating_mul(1000)
                .saturating_add(i64::from(nanos / 1_000_000)),
        )
    }
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptId({self})")
    }
}

impl FromStr for ReceiptId {
    type Err = NoReceiptId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::try_parse(text)
            .map(Self)
            .map_err(|_cause| NoReceiptId)
    }
}

/// What the door knew when it accepted: kept beside the raw bytes, which stay exactly as received.
///
/// Its JSON form is what journal and store keep; fields may be added with a default, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Envelope {
    /// Who connected.
    pub peer: Option<IpAddr>,
    /// EHLO or HELO argument; for HTTP the `User-Agent`. At most 512 octets are kept.
    #[serde(default)]
    pub hello: String,
    /// `SMTP`, `ESMTP`, `ESMTPS`, `UTF8SMTP`, `UTF8SMTPS` (RFC 5321 §4.4, 3848, 6531 §4.3) or
    /// `HTTPS`.
    #[serde(default)]
    pub protocol: String,
    /// The reverse-path as received; empty for `<>`; `None` where there is none.
    #[serde(default)]
    pub mail_from: Option<String>,
    /// The forward-path as received, with token; empty for HTTP.
    #[serde(default)]
    pub recipient: String,
    /// The mailbox it was accepted for. For HTTP the role is `unsubscribe` and the address empty.
    pub mailbox: Mailbox,
    /// The text of the token that the door verified, lower-case.
    #[serde(default)]
    pub token: Option<String>,
    /// The request's `Content-Type`, for HTTP.
    #[serde(default)]
    pub content_type: Option<String>,
}

impl Envelope {
    /// Whether it came by mail with the null reverse-path `<>` (RFC 5321 §4.5.5).
    pub fn has_null_sender(&self) -> bool {
        self.mail_from.as_ref().is_some_and(String::is_empty)
    }
}

/// One thing accepted at a door for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Drawn at the door.
    pub id: ReceiptId,
    /// When the door accepted it.
    pub at: Timestamp,
    /// Which door.
    pub door: Door,
    /// What the door knew.
    pub envelope: Envelope,
    /// The SHA-256 of the raw bytes.
    pub digest: Digest,
}

/// What a door hands to the journal: one message or request with its receipts (one a recipient).
#[derive(Debug, Clone)]
pub struct Arrival {
    /// At least one; all with the digest of `raw`.
    pub receipts: Vec<Receipt>,
    /// Exactly the bytes that were received.
    pub raw: Arc<[u8]>,
}
