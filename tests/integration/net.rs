//! Accepting, TLS and the stop, on real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod accept;
mod activation;
mod descriptors;
mod manager;
mod proxies;
mod stop;
pub(crate) mod tls;
