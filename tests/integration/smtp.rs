//! The SMTP door: dialogues, tables and properties on the session, and the pump over a pipe.
#![expect(clippy::string_slice, reason = "a test fails by panicking")]

mod dialogue;
mod dialogues;
mod matrix;
mod properties;
mod recipients;
