//! The `desist` command.

fn main() {}
