//! Where a token stands in an outgoing mail: the envelope's sender and the header fields.
//!
//! | place | use |
//! |---|---|
//! | MAIL FROM `b-TOKEN@domain`, without ref, because forwarders add to its length | bounce |
//! | `List-Unsubscribe` (RFC 2369 §3.2), `List-Unsubscribe-Post` (RFC 8058 §3.1) | feedback |
//! | `CFBL-Address`, `CFBL-Feedback-ID` (RFC 9477 §5) | feedback |
//! | `X-Desist` | feedback |
//! | `Message-ID` (RFC 5322 §3.6.4), recommended | feedback |
//!
//! What does not fit its place is refused here, before a mail goes out that cannot come back.

use data_encoding::HEXLOWER;

use super::keyring::{Keyring, Mint, MintError};
use super::wire::{Token, Use};
use crate::model::address::Address;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;

/// Octets of a local part (RFC 5321 §4.5.3.1.1).
pub const MAX_LOCAL_PART: usize = 64;

/// For whom and for what a mail is, and where its tokens are to come back to.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// Who sends.
    pub tenant: TenantId,
    /// The stream; 0 for none.
    pub stream: StreamNumber,
    /// For whom the mail is.
    pub address: &'a Address,
    /// The sender's own reference. At most 6 bytes fit the address in `List-Unsubscribe`.
    pub reference: &'a [u8],
    /// Where feedback is received.
    pub places: Places<'a>,
}

/// Where feedback is received.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The domain that the MX serves, for instance `fb.example.com`.
    pub domain: &'a str,
    /// The public HTTPS door, for instance `https://u.example.com`.
    pub url: &'a str,
}

/// What one outgoing mail carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carriers {
    /// The feedback token.
    pub token: Token,
    /// The bounce token, without ref.
    pub bounce: Token,
    /// The address for MAIL FROM, without angle brackets.
    pub return_path: String,
    /// Names and values of header fields, in the order in which they are best written. No value is
    /// longer than a line may be (RFC 5322 §2.1.1), so none is folded.
    pub headers: Vec<(&'static str, String)>,
}

/// Why a mail cannot carry its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// No token was minted.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// A bounce token where everybody can read it, or a feedback token in MAIL FROM.
    #[error("a {given} token does not belong into {place}")]
    WrongUse {
        /// The place.
        place: &'static str,
        /// What the token was minted for.
        given: Use,
    },
    /// The token does not fit into a local part together with its prefix.
    #[error(
        "the local part in {place} would have {octets} octets, at most {MAX_LOCAL_PART} are \
         possible: a ref of up to 6 bytes fits"
    )]
    LongLocalPart {
        /// The place.
        place: &'static str,
        /// Octets of the local part, prefix included.
        octets: usize,
    },
    /// A header line would be longer than mail allows.
    #[error("the line of {place} would have {octets} octets, at most 998 are possible")]
    LongLine {
        /// The place.
        place: &'static str,
        /// Octets of the line.
        octets: usize,
    },
}

/// Mints both tokens and composes all that one mail carries, but for its Message-ID, which is the
/// sender's own: see [`message_id`].
pub fn compose(keyring: &Keyring, sending: &Sending<'_>) -> Result<Carriers, CarrierError> {
    let Sending {
        tenant,
        stream,
        address,
        reference,
        places,
    } = *sending;
    let feedback = Mint {
        tenant,
        stream,
        address,
        reference,
        purpose: Use::Feedback,
    };
    let token = keyring.mint(&feedback)?;
    let bounce = keyring.mint(&Mint {
        reference: &[],
        purpose: Use::Bounce,
        ..feedback
    })?;
    let return_path = return_path(&bounce, places.domain)?;
    let headers = vec![
        (LIST_UNSUBSCRIBE, list_unsubscribe(&token, places)?),
        (LIST_UNSUBSCRIBE_POST, ONE_CLICK.to_owned()),
        (CFBL_ADDRESS, format!("cfbl@{}; report=arf", places.domain)),
        (CFBL_FEEDBACK_ID, bare(CFBL_FEEDBACK_ID, &token)?),
        (X_DESIST, bare(X_DESIST, &token)?),
    ];
    for (place, value) in &headers {
        check_line(place, value)?;
    }
    Ok(Carriers {
        token,
        bounce,
        return_path,
        headers,
    })
}

/// The address for MAIL FROM. Takes a bounce token alone.
pub fn return_path(token: &Token, domain: &str) -> Result<String, CarrierError> {
    const PLACE: &str = "MAIL FROM";
    check_use(PLACE, token, Use::Bounce)?;
    Ok(format!("{}@{domain}", local_part(PLACE, "b-", token)?))
}

/// The value of `List-Unsubscribe`: the one-click URL first, then the address.
pub fn list_unsubscribe(token: &Token, places: Places<'_>) -> Result<String, CarrierError> {
    check_use(LIST_UNSUBSCRIBE, token, Use::Feedback)?;
    let local = local_part(LIST_UNSUBSCRIBE, "u-", token)?;
    let (text, Places { domain, url }) = (&token.text, places);
    let url = url.trim_end_matches('/');
    Ok(format!(
        "<{url}/u/{text}>, <mailto:{local}@{domain}?subject=unsubscribe>"
    ))
}

/// A Message-ID that carries the token. `unique` tells apart the mails that carry the same token;
/// the domain is the sender's own. With angle brackets.
pub fn message_id(token: &Token, unique: [u8; 8], domain: &str) -> Result<String, CarrierError> {
    check_use(MESSAGE_ID, token, Use::Feedback)?;
    let value = format!("<{}.{}@{domain}>", token.text, HEXLOWER.encode(&unique));
    check_line(MESSAGE_ID, &value)?;
    Ok(value)
}

/// A value that is the token alone.
fn bare(place: &'static str, token: &Token) -> Result<String, CarrierError> {
    check_use(place, token, Use::Feedback)?;
    Ok(token.text.clone())
}

fn local_part(place: &'static str, prefix: &str, token: &Token) -> Result<String, CarrierError> {
    let local = format!("{prefix}{}", token.text);
    let octets = local.len();
    if octets > MAX_LOCAL_PART {
        return Err(CarrierError::LongLocalPart { place, octets });
    }
    Ok(local)
}

fn check_use(place: &'static str, token: &Token, wanted: Use) -> Result<(), CarrierError> {
    let given = token.purpose;
    if given == wanted {
        Ok(())
    } else {
        Err(CarrierError::WrongUse { place, given })
    }
}

fn check_line(place: &'static str, value: &str) -> Result<(), CarrierError> {
    let octets = place.len() + ": ".len() + value.len();
    if octets > MAX_LINE {
        Err(CarrierError::LongLine { place, octets })
    } else {
        Ok(())
    }
}

/// Octets of a line without its end (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;
/// RFC 8058 §3.1.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";
const LIST_UNSUBSCRIBE: &str = "List-Unsubscribe";
const LIST_UNSUBSCRIBE_POST: &str = "List-Unsubscribe-Post";
const CFBL_ADDRESS: &str = "CFBL-Address";
const CFBL_FEEDBACK_ID: &str = "CFBL-Feedback-ID";
const X_DESIST: &str = "X-Desist";
const MESSAGE_ID: &str = "Message-ID";
