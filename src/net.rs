//! Layer 4: listening, accepting within limits, trusted proxies, TLS and the orderly stop.

pub mod accept;
pub mod certificate;
pub mod challenge;
pub mod handshakes;
pub mod network;
pub mod peer;
pub mod proxies;
pub mod proxy_header;
pub mod stop;
pub mod tls;
pub mod woken;
