//! The `desist` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    desist::cli::main()
}
