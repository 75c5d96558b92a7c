//! The token's text and its fields.
//!
//! ```text
//! body  = header(1) tenant(3) stream(2) recipient(10) ref(0..16)      big-endian
//! token = base32 of body and the first 16 bytes of HMAC-SHA256(signing key, body and use)
//! ```
//!
//! The header is the version, 1, in its upper four bits and the signing key's serial modulo 16 in
//! the lower four. Exactly one lower-case text stands for a token: bits that the last character
//! does not need must be zero. Reading ignores case, because mail systems change it.

use data_encoding::BASE32_NOPAD_NOCASE;

use crate::model::recipient::RecipientKey;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;
use crate::model::words::words;

words! {
    /// What a token was minted for: one byte that is signed but not sent.
    pub enum Use as "use" {
        /// Everywhere but in MAIL FROM.
        Feedback = "feedback",
        /// Only in MAIL FROM.
        Bounce = "bounce",
    }
}

impl Use {
    /// The byte that is signed behind the body.
    pub(super) const fn signed_byte(self) -> u8 {
        match self {
            Self::Feedback => b'f',
            Self::Bounce => b'b',
        }
    }
}

/// The fields of a token, before anything is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The tenant that minted it.
    pub tenant: TenantId,
    /// The signing key's serial modulo 16.
    pub key: u8,
    /// The stream; 0 if none is named.
    pub stream: StreamNumber,
    /// Whom the mail was for.
    pub recipient: RecipientKey,
    /// The sender's own reference, 0 to 16 bytes.
    pub reference: Vec<u8>,
}

/// A token whose MAC verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text, lower-case.
    pub text: String,
    /// Its fields.
    pub fields: Fields,
    /// What it was minted for.
    pub purpose: Use,
    /// Whether its key was revoked: answered like any other, but proves nothing.
    pub revoked: bool,
}

/// Why a text is no valid token. The words are those of the published vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Wrong length, alphabet, version or trailing bits.
    #[error("malformed")]
    Malformed,
    /// The tenant does not exist or has no key of that number.
    #[error("unknown-key")]
    UnknownKey,
    /// The MAC is wrong.
    #[error("bad-mac")]
    BadMac,
}

/// The longest reference, in bytes.
pub const MAX_REFERENCE: usize = 16;
/// Characters of the shortest token: no reference.
pub const MIN_CHARACTERS: usize = 52;
/// Characters of the longest token: a reference of 16 bytes.
pub const MAX_CHARACTERS: usize = 77;
/// Characters that hold header and tenant, and three bits of the stream.
pub(super) const PREFIX_CHARACTERS: usize = 7;

const HEADER: usize = 1;
const TENANT: usize = 3;
const STREAM: usize = 2;
/// Bytes of a body without reference.
const FIXED: usize = HEADER + TENANT + STREAM + RecipientKey::LEN;
/// Bytes of a MAC.
pub(super) const MAC: usize = 16;
const MIN_BYTES: usize = FIXED + MAC;
const MAX_BYTES: usize = MIN_BYTES + MAX_REFERENCE;
const VERSION: u8 = 1;

/// The lengths that a token can have in characters, the longest first.
pub(super) fn lengths() -> impl Iterator<Item = usize> {
    (MIN_BYTES..=MAX_BYTES).rev().map(characters)
}

/// Whether the bits that the last character does not need are zero: a cheap test that most wrong
/// lengths fail.
pub(super) fn ends_well(text: &[u8]) -> bool {
    let unneeded = (1_u8 << (text.len() * 5 % 8)) - 1;
    text.last()
        .and_then(|last| base32_value(*last))
        .is_some_and(|value| value & unneeded == 0)
}

/// Characters that hold so many bytes.
const fn characters(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Tenant and key number that the first characters name, if they are those of version 1 and of a
/// possible tenant. Costs little: it is asked at every character of a text.
pub(super) fn read_prefix(text: &[u8]) -> Option<(TenantId, u8)> {
    let mut bits = 0_u64;
    for byte in text.get(..PREFIX_CHARACTERS)? {
        bits = bits << 5 | u64::from(base32_value(*byte)?);
    }
    let word = u32::try_from(bits >> 3).ok()?;
    let [header, ..] = word.to_be_bytes();
    if header >> 4 != VERSION {
        return None;
    }
    TenantId::new(word & TenantId::MAX).map(|tenant| (tenant, header & 0x0f))
}

/// The five bits that a character stands for, in either case.
pub(super) const fn base32_value(character: u8) -> Option<u8> {
    match character {
        b'a'..=b'z' => Some(character - b'a'),
        b'A'..=b'Z' => Some(character - b'A'),
        b'2'..=b'7' => Some(character - b'2' + 26),
        _ => None,
    }
}

/// A decoded token whose MAC nobody has looked at yet.
#[derive(Debug, Clone)]
pub(super) struct Unverified {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Unverified {
    /// Decodes strictly but for case.
    pub(super) fn decode(text: &[u8]) -> Result<Self, TokenError> {
        if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&text.len()) {
            return Err(TokenError::Malformed);
        }
        let length = text.len() * 5 / 8;
        if characters(length) != text.len() {
            return Err(TokenError::Malformed);
        }
        let mut bytes = [0; MAX_BYTES];
        let room = bytes.get_mut(..length).ok_or(TokenError::Malformed)?;
        BASE32_NOPAD_NOCASE
            .decode_mut(text, room)
            .map_err(|_error| TokenError::Malformed)?;
        let decoded = Self { bytes, length };
        if decoded.header() >> 4 == VERSION {
            Ok(decoded)
        } else {
            Err(TokenError::Malformed)
        }
    }

    /// What the MAC is made over, but for the use.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(..self.length - MAC).unwrap_or_default()
    }

    /// The MAC that the token carries.
    pub(super) fn mac(&self) -> [u8; MAC] {
        *self
            .bytes
            .get(self.length - MAC..)
            .and_then(<[u8]>::first_chunk)
            .unwrap_or(&[0; MAC])
    }

    /// Tenant and key number. No tenant has number 0: that is an unknown key.
    pub(super) fn key(&self) -> Result<(TenantId, u8), TokenError> {
        let [_, a, b, c, ..] = self.bytes;
        let tenant = TenantId::new(u32::from_be_bytes([0, a, b, c]));
        Ok((tenant.ok_or(TokenError::UnknownKey)?, self.header() & 0x0f))
    }

    /// All fields.
    pub(super) fn fields(&self) -> Result<Fields, TokenError> {
        let (tenant, key) = self.key()?;
        let [_, _, _, _, high, low, rest @ ..] = &self.bytes;
        let recipient = rest.first_chunk().ok_or(TokenError::Malformed)?;
        Ok(Fields {
            tenant,
            key,
            stream: StreamNumber::from_be_bytes([*high, *low]),
            recipient: RecipientKey::from_bytes(*recipient),
            reference: self.body().get(FIXED..).unwrap_or_default().to_vec(),
        })
    }

    const fn header(&self) -> u8 {
        let [header, ..] = self.bytes;
        header
    }
}

impl Fields {
    /// Reads the fields of a token without verifying it: for people who ask what a text says, never
    /// for a decision. Fails with everything but [`TokenError::BadMac`].
    pub fn read_unverified(text: &str) -> Result<Self, TokenError> {
        Unverified::decode(text.as_bytes())?.fields()
    }

    /// What is signed, but for the use. The reference has at most [`MAX_REFERENCE`] bytes.
    pub(super) fn body(&self) -> Vec<u8> {
        let [_, tenant @ ..] = self.tenant.get().to_be_bytes();
        let mut body = Vec::with_capacity(MAX_BYTES);
        body.push(VERSION << 4 | self.key & 0x0f);
        body.extend(tenant);
        body.extend(self.stream.to_be_bytes());
        body.extend(self.recipient.as_bytes());
        body.extend(&self.reference);
        body
    }
}

/// The first text in `field` that has the form of a token and stands by itself, lower-case, with
/// its fields. Line breaks with the white space that follows are passed over. Nothing is verified:
/// for people, never for a decision.
pub fn claimed_in(field: &[u8]) -> Option<(String, Fields)> {
    if field.len() < MIN_CHARACTERS {
        return None;
    }
    let mut run = Vec::new();
    let mut rest = field;
    loop {
        let next = rest.split_first();
        if let Some((byte, behind)) = next {
            rest = behind;
            if base32_value(*byte).is_some() {
                run.push(*byte);
                continue;
            }
            if matches!(byte, b'\r' | b'\n') {
                rest = rest.trim_ascii_start();
                continue;
            }
        }
        if let Ok(fields) = Unverified::decode(&run).and_then(|token| token.fields()) {
            let text = String::from_utf8_lossy(&run).to_ascii_lowercase();
            return Some((text, fields));
        }
        next?;
        run.clear();
    }
}

/// The text of a body and its MAC.
pub(super) fn encode(mut body: Vec<u8>, mac: [u8; MAC]) -> String {
    body.extend(mac);
    let mut text = BASE32_NOPAD_NOCASE.encode(&body);
    text.make_ascii_lowercase();
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> impl Strategy<Value = Fields> {
        let reference = prop::collection::vec(any::<u8>(), 0..=MAX_REFERENCE);
        (
            1..=TenantId::MAX,
            0_u8..16,
            any::<u16>(),
            any::<[u8; 10]>(),
            reference,
        )
            .prop_map(|(tenant, key, stream, recipient, reference)| Fields {
                tenant: TenantId::new(tenant).unwrap(),
                key,
                stream,
                recipient: RecipientKey::from_bytes(recipient),
                reference,
            })
    }

    #[test]
    fn there_are_seventeen_lengths() {
        let all: Vec<usize> = lengths().collect();
        assert_eq!(
            all,
            [
                77, 76, 74, 72, 71, 69, 68, 66, 64, 63, 61, 60, 58, 56, 55, 53, 52
            ],
            "the longest first"
        );
        for length in 0..200 {
            // Version 1, key 0, everything else zero.
            let text: String = std::iter::once('c')
                .chain(std::iter::repeat('a'))
                .take(length)
                .collect();
            let read = Unverified::decode(text.as_bytes());
            assert_eq!(read.is_ok(), all.contains(&length), "{length}");
        }
    }

    #[test]
    fn a_claim_stands_by_itself() {
        let token = "ceaaaaiaagsz7rly2tfun6vldu6jpcdqjxrbd4hozrf4gdkx7dsa";
        let (head, tail) = token.split_at(20);
        for field in [
            token.to_owned(),
            format!("<b-{}@fb.example.com>", token.to_uppercase()),
            format!("<https://u.example.com/u/{head}\r\n\t{tail}>"),
            format!("word {token}.1"),
        ] {
            let (text, fields) = claimed_in(field.as_bytes()).unwrap();
            assert_eq!((text.as_str(), fields.stream), (token, 1), "{field}");
        }
        for field in ["", "a", &format!("x{token}"), &format!("{head} {tail}")] {
            assert_eq!(claimed_in(field.as_bytes()), None, "{field}");
        }
    }

    #[test]
    fn tenant_zero_is_an_unknown_key() {
        let text = format!("c{}", "a".repeat(51));
        assert_eq!(Fields::read_unverified(&text), Err(TokenError::UnknownKey));
        assert_eq!(read_prefix(text.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn fields_survive_in_any_case(fields in fields(), mac in any::<[u8; MAC]>(), upper in any::<u128>()) {
            // H-002, C-035
            let text = encode(fields.body(), mac);
            prop_assert!((MIN_CHARACTERS..=MAX_CHARACTERS).contains(&text.len()));
            let mixed: String = text
                .chars()
                .enumerate()
                .map(|(i, c)| if upper >> (i % 128) & 1 == 1 { c.to_ascii_uppercase() } else { c })
                .collect();
            prop_assert_eq!(read_prefix(mixed.as_bytes()), Some((fields.tenant, fields.key)));
            let read = Unverified::decode(mixed.as_bytes()).unwrap();
            prop_assert_eq!(read.mac(), mac);
            prop_assert_eq!(read.fields(), Ok(fields));
        }

        #[test]
        fn only_one_text_is_read(fields in fields(), mac in any::<[u8; MAC]>(), last in 0_usize..32) {
            // H-005: unused trailing bits must be zero
            let text = encode(fields.body(), mac);
            let mut other = text.into_bytes();
            *other.last_mut().unwrap() = b"abcdefghijklmnopqrstuvwxyz234567"[last];
            if let Ok(read) = Unverified::decode(&other) {
                prop_assert_eq!(encode(read.body().to_vec(), read.mac()).into_bytes(), other);
            }
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(read_prefix(&bytes).is_some() && bytes.len() < PREFIX_CHARACTERS, false);
            prop_assert_eq!(Unverified::decode(&bytes).is_ok() && bytes.len() < MIN_CHARACTERS, false);
        }
    }
}
