//! The command line of a program that embeds the server.

use std::process::ExitCode;

use crate::server::Builder;

impl Builder {
    /// Plays the role that the supervisor started this process for, or does what the command line
    /// says; without a command that is `serve`. Call it first thing in `main`: processes of the
    /// server begin here too.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut arguments: Vec<_> = std::env::args_os().collect();
        if arguments.len() < 2 {
            arguments.push("serve".into());
        }
        super::run_with(arguments, self.resources())
    }
}
