//! The `desist` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The C library's keeps for good what a few large messages at a time took, and its threads wait
/// for each other.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    desist::cli::main()
}
