//! Tests through the doors and public interfaces, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

#[cfg(feature = "acme")]
mod acme;
mod api;
mod attack;
mod backup;
mod bounce_rules;
mod bounces;
mod classify;
mod clients;
mod config;
mod connection;
mod corpus;
mod differential;
mod doctor;
mod erase;
mod fire;
mod first;
mod floods;
mod harness;
mod image;
mod journal;
mod judgement;
mod lines;
mod lint;
mod lookup;
mod lossless;
mod mail;
mod minting;
mod mta_sts;
mod net;
mod notifications;
mod one_click;
mod page;
mod peers;
mod poison;
mod postgres;
mod pressure;
mod privacy;
mod quick_check;
mod reading;
mod reading_defects;
mod readme;
mod replay;
mod retention;
mod review;
#[path = "../properties/runner.rs"]
mod runner;
mod shared_mail;
mod smtp;
mod spine;
mod store;
mod tenants;
mod token;
#[cfg(feature = "otel")]
mod traces;
#[path = "../properties/world.rs"]
mod world;
