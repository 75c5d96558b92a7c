//! What is committed together is written as one value: a group of arrivals, one behind the other.
//!
//! Of each arrival, numbers in big-endian order:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | how many follow |
//! | 8 | the beginning of the SHA-256 of all that lies between this and the raw bytes |
//! | 8 | the place of its first receipt |
//! | 4 | how many receipts |
//! | 32 | the SHA-256 of its raw bytes |
//! | for each receipt: 16, 8, 1 + n, 4 + n | id, time in milliseconds, door, envelope as JSON |
//! | the rest | its raw bytes |

use std::sync::Arc;

use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::receipt::{Arrival, Receipt, ReceiptId};

/// An arrival as it was read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The place of its first receipt; the others follow.
    pub(super) first: u64,
    pub(super) receipts: Vec<Receipt>,
    pub(super) raw: Arc<[u8]>,
}

impl Part {
    /// The place of its last receipt.
    pub(super) fn last(&self) -> u64 {
        let count = u64::try_from(self.receipts.len()).unwrap_or(u64::MAX);
        self.first.saturating_add(count).saturating_sub(1)
    }
}

/// What this version cannot read: damaged, or written by a newer one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Bytes that an arrival of one receipt takes beside its envelope and its raw bytes, at most.
pub(super) const OVERHEAD: usize = 128;

/// Appends an arrival to a group. `envelopes`: the JSON of each receipt's envelope.
pub(super) fn push(group: &mut Vec<u8>, first: u64, arrival: &Arrival, envelopes: &[String]) {
    let Some(digest) = arrival.receipts.first().map(|receipt| receipt.digest) else {
        return;
    };
    let start = group.len();
    group.extend_from_slice(&[0; LENGTH + CHECK]);
    group.extend_from_slice(&first.to_be_bytes());
    let count = u32::try_from(arrival.receipts.len()).unwrap_or(u32::MAX);
    group.extend_from_slice(&count.to_be_bytes());
    group.extend_from_slice(digest.as_bytes());
    for (receipt, envelope) in arrival.receipts.iter().zip(envelopes) {
        group.extend_from_slice(receipt.id.as_bytes());
        group.extend_from_slice(&receipt.at.as_millis().to_be_bytes());
        let door = receipt.door.as_str();
        group.push(u8::try_from(door.len()).unwrap_or(u8::MAX));
        group.extend_from_slice(door.as_bytes());
        let length = u32::try_from(envelope.len()).unwrap_or(u32::MAX);
        group.extend_from_slice(&length.to_be_bytes());
        group.extend_from_slice(envelope.as_bytes());
    }
    let check = check(group.get(start + LENGTH + CHECK..).unwrap_or_default());
    group.extend_from_slice(&arrival.raw);
    let length = group.len().saturating_sub(start + LENGTH);
    let length = u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes();
    let places = group.iter_mut().skip(start);
    for (place, byte) in places.zip(length.into_iter().chain(check)) {
        *place = byte;
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    let digest = Digest::of(bytes);
    check
        .iter_mut()
        .zip(digest.as_bytes())
        .for_each(|(to, from)| *to = *from);
    check
}

/// Reads a group. An arrival that cannot be read does not hide those behind it, unless its length
/// is wrong.
pub(super) fn parts(group: &[u8]) -> impl Iterator<Item = Result<Part, Unreadable>> {
    let mut rest = Bytes(group);
    std::iter::from_fn(move || {
        if rest.0.is_empty() {
            return None;
        }
        let part = rest.long().and_then(|length| rest.take_long(length));
        if part.is_none() {
            rest = Bytes(&[]);
        }
        Some(part.and_then(read).ok_or(Unreadable))
    })
}

fn read(part: &[u8]) -> Option<Part> {
    let mut rest = Bytes(part);
    let expected: [u8; CHECK] = rest.array()?;
    let covered = rest.0;
    let first = rest.long()?;
    let count = rest.short()?;
    let digest = Digest::from_bytes(rest.array()?);
    let mut receipts = Vec::new();
    for _ in 0..count {
        receipts.push(receipt(&mut rest, digest)?);
    }
    let raw: Arc<[u8]> = rest.0.into();
    let covered = covered.get(..covered.len().checked_sub(raw.len())?)?;
    let intact = check(covered) == expected && Digest::of(&raw) == digest;
    intact.then_some(Part {
        first,
        receipts,
        raw,
    })
}

fn receipt(rest: &mut Bytes<'_>, digest: Digest) -> Option<Receipt> {
    let id = ReceiptId::from_bytes(rest.array()?);
    let at = Timestamp::from_millis(i64::from_be_bytes(rest.array()?));
    let [length] = rest.array()?;
    let door = std::str::from_utf8(rest.take(length.into())?).ok()?;
    let length = rest.short()?;
    let envelope = rest.take(usize::try_from(length).ok()?)?;
    Some(Receipt {
        id,
        at,
        door: door.parse().ok()?,
        envelope: serde_json::from_slice(envelope).ok()?,
        digest,
    })
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_long(&mut self, count: u64) -> Option<&'a [u8]> {
        self.take(usize::try_from(count).ok()?)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

/// Bytes of a length.
const LENGTH: usize = 8;
/// Bytes of a check.
const CHECK: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::mailbox::{Mailbox, Role};
    use crate::model::receipt::{Door, Envelope};

    fn arrival(number: u8, receipts: u8, raw: &[u8]) -> Arrival {
        let receipt = |index| Receipt {
            id: ReceiptId::from_parts(
                Timestamp::from_seconds(1),
                &[number, index, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            at: Timestamp::from_seconds(number.into()),
            door: Door::OneClick,
            envelope: Envelope {
                peer: None,
                hello: "mx.example".to_owned(),
                protocol: "ESMTPS".to_owned(),
                mail_from: Some(String::new()),
                recipient: format!("{index}@fb.example"),
                mailbox: Mailbox {
                    address: "u@fb.example".to_owned(),
                    role: Role::Unsubscribe,
                    tenant: None,
                    stream: None,
                },
                token: None,
                content_type: None,
            },
            digest: Digest::of(raw),
        };
        Arrival {
            receipts: (0..receipts).map(receipt).collect(),
            raw: raw.into(),
        }
    }

    fn group(arrivals: &[Arrival]) -> Vec<u8> {
        let (mut group, mut first) = (Vec::new(), 1);
        for arrival in arrivals {
            let envelopes: Vec<_> = arrival
                .receipts
                .iter()
                .map(|receipt| serde_json::to_string(&receipt.envelope).unwrap())
                .collect();
            push(&mut group, first, arrival, &envelopes);
            first += u64::try_from(arrival.receipts.len()).unwrap();
        }
        group
    }

    #[test]
    fn what_was_written_is_read() {
        let arrivals = [
            arrival(1, 1, b"one"),
            arrival(2, 3, b""),
            arrival(3, 2, &[0, 255]),
        ];
        let read: Vec<_> = parts(&group(&arrivals)).map(Result::unwrap).collect();
        let firsts: Vec<_> = read.iter().map(|part| part.first).collect();
        assert_eq!(firsts, [1, 2, 5]);
        for (part, arrival) in read.iter().zip(&arrivals) {
            assert_eq!(
                (&part.receipts, &part.raw),
                (&arrival.receipts, &arrival.raw)
            );
        }
    }

    #[test]
    fn the_overhead_is_not_underestimated() {
        let arrival = arrival(1, 1, b"raw");
        let envelope = serde_json::to_string(&arrival.receipts[0].envelope).unwrap();
        assert!(group(&[arrival]).len() <= 3 + envelope.len() + OVERHEAD);
    }

    #[test]
    fn a_damaged_arrival_hides_no_other() {
        let arrivals = [
            arrival(1, 1, b"one"),
            arrival(2, 1, b"two"),
            arrival(3, 1, b"three"),
        ];
        let mut bytes = group(&arrivals);
        let damaged = group(&arrivals[..2]).len() - 1;
        bytes[damaged] ^= 1;
        let read: Vec<_> = parts(&bytes)
            .map(|part| part.map(|part| part.first))
            .collect();
        assert_eq!(read, [Ok(1), Err(Unreadable), Ok(3)]);
    }

    proptest! {
        // No flipped, cut or added byte is ever read as something else, and none panics.
        #[test]
        fn damage_is_seen(place in any::<prop::sample::Index>(), flip in 1_u8.., keep in any::<prop::sample::Index>()) {
            let arrivals = [arrival(1, 2, b"one"), arrival(2, 1, b"two")];
            let whole = group(&arrivals);
            let mut bytes = whole.clone();
            let at = place.index(bytes.len());
            bytes[at] ^= flip;
            let original: Vec<_> = parts(&whole).map(Result::unwrap).collect();
            for part in parts(&bytes).flatten() {
                prop_assert!(original.contains(&part));
            }
            let kept = keep.index(whole.len());
            for part in parts(&whole[..kept]).flatten() {
                prop_assert!(original.contains(&part));
            }
        }
    }
}
