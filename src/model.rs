//! Layer 0: the words of this system as values. No input, output or clock is read here, except in
//! [`clock`], the one place where time comes from.

pub mod address;
pub mod authentication;
pub mod bounce;
pub mod clock;
pub mod digest;
pub mod directory;
pub mod domain;
pub mod event;
pub mod hidden;
pub mod mailbox;
pub mod pace;
pub mod provider;
pub mod receipt;
pub mod recipient;
pub mod redacted;
pub mod reporter;
pub mod secret;
pub mod stream;
pub mod suppression;
pub mod tenant;
pub mod words;
