//! The command line of programs that embed the server.

use std::process::ExitCode;

use crate::server::Builder;

impl Builder {
    /// Runs this process: in the role that the supervisor started it for, or else by its command
    /// line. Without a command it runs `serve`. Call it first in `main`, because child processes
    /// start there too.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut arguments: Vec<_> = std::env::args_os().collect();
        if arguments.len() < 2 {
            arguments.push("serve".into());
        }
        super::run_with(arguments, self.resources())
    }
}
