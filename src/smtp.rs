//! Layer 1: SMTP as a value. Bytes and time in; bytes to write, messages and decisions out.
//!
//! A receive-only ESMTP server (RFC 5321) with `PIPELINING` (RFC 2920), `SIZE` (RFC 1870),
//! `8BITMIME` (RFC 6152), `CHUNKING` (RFC 3030), `SMTPUTF8` (RFC 6531), `ENHANCEDSTATUSCODES`
//! (RFC 2034), `STARTTLS` (RFC 3207) and `LIMITS` (RFC 9422). It relays nothing and sends nothing.
//!
//! - [`session`]: the dialogue; its invariants are stated there
//! - [`gate`]: what the session asks while it talks
//! - [`limits`]: every bound, named
//! - [`path`]: reverse-paths and forward-paths
//! - [`recipients`]: what a forward-path means to this server
//! - `command`, `reply`: lines in, lines out; `input`: bytes until they are lines
//! - `data`, `bdat`, `body`, `transaction`: a message while it arrives

mod bdat;
mod body;
mod command;
mod data;
pub mod gate;
mod input;
pub mod limits;
pub mod path;
pub mod recipients;
mod reply;
pub mod session;
mod transaction;
