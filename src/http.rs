//! Layer 5: the public one-click door and the private API.

pub mod api;
pub mod connection;
pub mod public;
