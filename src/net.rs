//! Layer 4: listening, accepting within limits, TLS and the orderly stop.

pub mod accept;
pub mod certificate;
pub mod handshakes;
pub mod peer;
pub mod stop;
pub mod tls;
pub mod woken;
