//! The private API: its description, and its calls through the router.

mod access;
mod apart;
mod bounces;
mod calls;
mod command_line;
mod description;
mod evidence;
mod explain;
mod lookup;
mod management;
mod node;
mod polling;
mod replay;
mod stats;
