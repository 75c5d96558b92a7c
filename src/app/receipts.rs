//! Receipts: what came in, and the trace fields that are made when it is shown.

use std::net::IpAddr;

use crate::app::App;
use crate::model::receipt::{Receipt, ReceiptId};
use crate::model::tenant::TenantId;
use crate::store::{StoreError, StoredEvent, StoredReceipt};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// No such receipt, or another tenant's.
    #[error("there is no receipt of that id")]
    Unknown,
    /// Its time is over; the receipt stays.
    #[error("its raw bytes are no longer kept")]
    NoLongerKept,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One receipt with its events. `tenant` `None`: of any tenant or of none, with all events.
///
/// One mail can report about several tenants. A tenant sees it if it is its own or an event of it
/// is, and of the events only its own.
pub async fn one(
    app: &App,
    tenant: Option<TenantId>,
    id: ReceiptId,
) -> Result<(StoredReceipt, Vec<StoredEvent>), ReceiptError> {
    let (mut receipt, mut events) = app.store.receipt(id).await?.ok_or(ReceiptError::Unknown)?;
    if tenant.is_some() {
        events.retain(|stored| stored.event.tenant == tenant);
        if receipt.tenant != tenant {
            if events.is_empty() {
                return Err(ReceiptError::Unknown);
            }
            // Who else is served here is nothing to tell.
            receipt.tenant = None;
            let envelope = &mut receipt.receipt.envelope;
            envelope.token = None;
            envelope.recipient.clear();
            if envelope.mailbox.tenant.is_some() {
                envelope.mailbox.address.clear();
                envelope.mailbox.stream = None;
                envelope.mailbox.tenant = None;
            }
        }
    }
    Ok((receipt, events))
}

/// A receipt whose raw bytes a tenant may read: its own, with events of no other tenant. `tenant`
/// `None`: any.
pub async fn whole(
    app: &App,
    tenant: Option<TenantId>,
    id: ReceiptId,
) -> Result<StoredReceipt, ReceiptError> {
    let (receipt, events) = app.store.receipt(id).await?.ok_or(ReceiptError::Unknown)?;
    let others = |stored: &StoredEvent| {
        let of = stored.event.tenant;
        of.is_some() && of != tenant
    };
    if tenant.is_some() && (receipt.tenant != tenant || events.iter().any(others)) {
        return Err(ReceiptError::Unknown);
    }
    Ok(receipt)
}

/// The raw bytes of a receipt, exactly as received.
pub async fn raw(app: &App, id: ReceiptId) -> Result<Vec<u8>, ReceiptError> {
    app.store.raw(id).await?.ok_or(ReceiptError::NoLongerKept)
}

/// A mail as final delivery shows it: Return-Path from the envelope and one Received on top
/// (RFC 5321 §4.4), a Return-Path that came with it left out, everything else byte by byte.
///
/// There is no `for` clause: it would disclose the token, and whether the mail had other
/// recipients is not known of one receipt.
pub fn with_trace(receipt: &Receipt, by: &str, raw: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(raw.len().saturating_add(512));
    if let Some(path) = &receipt.envelope.mail_from {
        let path: String = path.chars().filter(|c| !c.is_control()).collect();
        let path = path.trim_matches(|c| c == '<' || c == '>');
        shown.extend_from_slice(format!("Return-Path: <{path}>\r\n").as_bytes());
    }
    shown.extend_from_slice(received(receipt, by).as_bytes());
    copy_without_return_path(raw, &mut shown);
    shown
}

fn received(receipt: &Receipt, by: &str) -> String {
    let envelope = &receipt.envelope;
    let hello = if envelope.hello.is_empty() {
        "unknown"
    } else {
        &envelope.hello
    };
    // Whatever a peer called itself must not end the field or open a comment.
    let hello: String = hello
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || ".-_:[]".contains(c) {
                c
            } else {
                '?'
            }
        })
        .collect();
    let peer = match envelope.peer.map(|peer| peer.to_canonical()) {
        Some(IpAddr::V4(ip)) => format!(" ([{ip}])"),
        Some(IpAddr::V6(ip)) => format!(" ([IPv6:{ip}])"),
        None => String::new(),
    };
    let protocol = if envelope.protocol.is_empty() {
        "SMTP"
    } else {
        &envelope.protocol
    };
    let date = jiff::Timestamp::from_millisecond(receipt.at.as_millis())
        .ok()
        .and_then(|at| jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).ok())
        .unwrap_or_default();
    format!(
        "Received: from {hello}{peer}\r\n\tby {by} with {protocol} id {id};\r\n\t{date}\r\n",
        id = receipt.id
    )
}

/// Copies a message and leaves out Return-Path fields of its header, with their folded lines.
fn copy_without_return_path(raw: &[u8], into: &mut Vec<u8>) {
    const NAME: &[u8] = b"return-path";
    let mut rest = raw;
    let mut leaving_out = false;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1));
        let (line, behind) = rest.split_at(end);
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            leaving_out = line
                .split_at_checked(NAME.len())
                .is_some_and(|(name, more)| {
                    name.eq_ignore_ascii_case(NAME) && more.trim_ascii_start().starts_with(b":")
                });
        }
        if !leaving_out {
            into.extend_from_slice(line);
        }
        rest = behind;
    }
    into.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;
    use crate::model::digest::Digest;
    use crate::model::mailbox::{Mailbox, Role};
    use crate::model::receipt::{Door, Envelope};

    fn receipt(hello: &str, peer: &str) -> Receipt {
        let at: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        Receipt {
            id: ReceiptId::from_parts(at, &[7; 10]),
            at,
            door: Door::Smtp,
            envelope: Envelope {
                peer: Some(peer.parse().unwrap()),
                hello: hello.to_owned(),
                protocol: "ESMTPS".to_owned(),
                mail_from: Some("bounces@example.org".to_owned()),
                recipient: "b-token@fb.example.com".to_owned(),
                mailbox: Mailbox {
                    address: "b@fb.example.com".to_owned(),
                    role: Role::Bounce,
                    tenant: None,
                    stream: None,
                },
                token: Some("token".to_owned()),
                content_type: None,
            },
            digest: Digest::of(b""),
        }
    }

    #[test]
    fn trace_fields_come_first_and_the_rest_is_untouched() {
        //
        let raw = b"Received: from a by b; x\r\nReturn-Path:\r\n <forged@example.net>\r\n\
            Subject: hi\r\n\r\nReturn-Path: <body@example.net>\r\n\xff";
        let shown = with_trace(
            &receipt("mail.example.org", "192.0.2.1"),
            "fb.example.com",
            raw,
        );
        let id = receipt("", "192.0.2.1").id;
        let mut wanted = format!(
            "Return-Path: <bounces@example.org>\r\n\
             Received: from mail.example.org ([192.0.2.1])\r\n\
             \tby fb.example.com with ESMTPS id {id};\r\n\
             \tSat, 21 Nov 2026 12:00:00 +0000\r\n\
             Received: from a by b; x\r\nSubject: hi\r\n\r\nReturn-Path: <body@example.net>\r\n"
        )
        .into_bytes();
        wanted.push(0xff);
        assert_eq!(
            String::from_utf8_lossy(&shown),
            String::from_utf8_lossy(&wanted)
        );
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_hello_cannot_write_header_fields() {
        let shown = with_trace(
            &receipt("a\r\nX: (y", "2001:db8::1"),
            "fb.example.com",
            b"\r\nx",
        );
        let shown = String::from_utf8(shown).unwrap();
        assert!(
            shown.contains("from a??X:??y ([IPv6:2001:db8::1])"),
            "{shown}"
        );
        assert!(shown.ends_with("\r\n\r\nx"), "{shown}");
    }

    #[test]
    fn a_header_without_body_is_kept_whole() {
        let mut copy = Vec::new();
        copy_without_return_path(b"Return-Pathology: x\nReturn-Path : y\nlast", &mut copy);
        assert_eq!(copy, b"Return-Pathology: x\nlast");
    }
}
