//! The SMTP door: dialogues and tables on the session, and the pump over a pipe.
#![expect(clippy::string_slice, reason = "a test fails by panicking")]

mod dialogue;
mod dialogues;
mod matrix;
mod recipients;
