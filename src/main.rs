//! The binary: supervisor, broker, worker and all commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    tagcast::cli::run(std::env::args_os().collect())
}
