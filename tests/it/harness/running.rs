//! A command that runs until it is stopped, with separate standard output and standard error.

use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::folder::Folder;
use super::log::Log;
use super::processes::send_signal;
use super::server::{binary, exit_within};
use super::wait::DEADLINE;

/// A running command. Dropping it kills the process.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Log,
    errors: Log,
}

impl Running {
    /// Starts `tagcast` with these arguments.
    pub fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(arguments)
            .current_dir(folder.root())
            .env_remove("TAGCAST_SECRET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, errors) = (Log::default(), Log::default());
        output.collect(child.stdout.take().unwrap());
        errors.collect(child.stderr.take().unwrap());
        Self { child, output, errors }
    }

    /// Waits for this line on standard output.
    #[track_caller]
    pub fn wait_for_line(&self, line: &str) {
        self.output.wait_for(&format!("{line:?}"), |seen| (seen == line).then_some(()));
    }

    /// Waits for a line on standard error that contains this text.
    #[track_caller]
    pub fn wait_for_error(&self, text: &str) {
        self.errors.wait_for(&format!("{text:?}"), |seen| seen.contains(text).then_some(()));
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        send_signal(self.child.id(), signal);
    }

    /// Waits for the process to exit. Returns exit code, standard output and standard error.
    #[track_caller]
    pub fn wait_for_end(mut self) -> (Option<i32>, String, String) {
        let status = exit_within(&mut self.child, DEADLINE);
        let status = status.unwrap_or_else(|| panic!("it does not end: {}", self.errors.text()));
        self.output.wait_for_end();
        self.errors.wait_for_end();
        (status.code(), self.output.text(), self.errors.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
