//! The `retain` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    retain::cli::main()
}
