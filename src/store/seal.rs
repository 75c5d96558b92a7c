//! The root secret at rest: sealed with a key of the operator's, if there is one.
//!
//! Stored form: version 0 ‖ secret (not sealed), or version 1 ‖ nonce(12) ‖ ChaCha20-Poly1305 of
//! the secret, with the store's id as associated data, so that it opens in its own store only.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::failure::StoreError;
use crate::model::secret::Secret;

const PLAIN: u8 = 0;
const SEALED: u8 = 1;

/// What to store. `nonce` must be drawn at random for every call.
pub(super) fn seal(
    secret: &Secret<32>,
    seal_key: Option<&Secret<32>>,
    store_id: &[u8],
    nonce: [u8; NONCE_LEN],
) -> Result<Vec<u8>, StoreError> {
    let Some(seal_key) = seal_key else {
        return Ok([&[PLAIN], secret.expose().as_slice()].concat());
    };
    let mut text = Zeroizing::new(secret.expose().to_vec());
    let tag = key(seal_key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(store_id),
            text.as_mut_slice(),
        )
        .map_err(|_unspecified| StoreError::Sealed("it cannot be sealed".to_owned()))?;
    Ok([&[SEALED], nonce.as_slice(), text.as_slice(), tag.as_ref()].concat())
}

/// The secret, and whether it was sealed.
pub(super) fn open(
    stored: &[u8],
    seal_key: Option<&Secret<32>>,
    store_id: &[u8],
) -> Result<(Secret<32>, bool), StoreError> {
    let damaged = || StoreError::Sealed("its stored form is damaged".to_owned());
    match stored.split_first() {
        Some((&PLAIN, secret)) => Ok((
            Secret::new(secret.try_into().map_err(|_unspecified| damaged())?),
            false,
        )),
        Some((&SEALED, sealed)) => {
            let Some(seal_key) = seal_key else {
                return Err(StoreError::Sealed(
                    "it is sealed, and no seal key is configured ([store] seal_key_file)"
                        .to_owned(),
                ));
            };
            let (nonce, text) = sealed
                .split_first_chunk::<NONCE_LEN>()
                .ok_or_else(damaged)?;
            let mut text = Zeroizing::new(text.to_vec());
            let secret = key(seal_key)?
                .open_in_place(
                    Nonce::assume_unique_for_key(*nonce),
                    Aad::from(store_id),
                    text.as_mut_slice(),
                )
                .map_err(|_unspecified| {
                    StoreError::Sealed(
                        "the configured seal key is not the one of this store".to_owned(),
                    )
                })?;
            Ok((
                Secret::new((&*secret).try_into().map_err(|_unspecified| damaged())?),
                true,
            ))
        }
        Some((version, _)) => Err(StoreError::Sealed(format!(
            "its stored form has version {version}, of which this program knows nothing"
        ))),
        None => Err(damaged()),
    }
}

fn key(seal_key: &Secret<32>) -> Result<LessSafeKey, StoreError> {
    UnboundKey::new(&CHACHA20_POLY1305, seal_key.expose())
        .map(LessSafeKey::new)
        .map_err(|_unspecified| StoreError::Sealed("the seal key cannot be used".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Secret<32> = Secret::new([7; 32]);
    const KEY: Secret<32> = Secret::new([9; 32]);

    #[test]
    fn opens_with_its_own_key_in_its_own_store_only() {
        let stored = seal(&ROOT, Some(&KEY), b"store", [1; NONCE_LEN]).unwrap();
        assert!(!stored.windows(32).any(|window| window == [7; 32]));
        assert!(open(&stored, Some(&KEY), b"store").unwrap() == (ROOT, true));
        assert!(matches!(
            open(&stored, None, b"store"),
            Err(StoreError::Sealed(_))
        ));
        let other = Secret::new([8; 32]);
        assert!(matches!(
            open(&stored, Some(&other), b"store"),
            Err(StoreError::Sealed(_))
        ));
        assert!(matches!(
            open(&stored, Some(&KEY), b"stole"),
            Err(StoreError::Sealed(_))
        ));
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let stored = seal(&ROOT, Some(&KEY), b"store", [1; NONCE_LEN]).unwrap();
        for place in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[place] ^= 0x80;
            assert!(open(&damaged, Some(&KEY), b"store").is_err(), "{place}");
            assert!(
                open(&stored[..place], Some(&KEY), b"store").is_err(),
                "{place}"
            );
        }
    }

    #[test]
    fn without_a_key_it_is_stored_as_it_is() {
        let stored = seal(&ROOT, None, b"store", [1; NONCE_LEN]).unwrap();
        assert!(open(&stored, None, b"store").unwrap() == (ROOT, false));
        assert!(open(&stored, Some(&KEY), b"other").unwrap() == (ROOT, false));
    }
}
