//! Peers that read or write slowly, or not at all: memory stays bounded, others are served.
