//! Layer 1: the keyed token that says whom a mail was for: its text, its keys, how it is found, and
//! where it stands in a mail.
//!
//! - [`wire`]: bytes and text; nothing is verified here.
//! - [`keyring`]: the keys of all tenants; minting and verifying.
//! - [`finder`]: tokens in text that mail programs have folded, encoded, quoted and re-cased.
//! - [`undo`]: what takes an opt-out back on the page where it was made.
//! - [`carriers`]: the address and the header fields that carry a token out and back.

pub mod carriers;
pub mod finder;
pub mod keyring;
pub mod undo;
pub mod wire;
