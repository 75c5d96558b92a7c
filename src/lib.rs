//! `desist` is the front door for what the world sends back to a mail sender.

pub mod app;
pub mod config;
pub mod http;
pub mod index;
pub mod journal;
pub mod judge;
pub mod mail_server;
pub mod metrics;
pub mod model;
pub mod net;
pub mod report;
pub mod smtp;
pub mod store;
pub mod telemetry;
pub mod token;
