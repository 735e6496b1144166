//! A child process: its role from its arguments, its log, signals and exit.

mod watchdog;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::api;
use crate::bridge;
use crate::broker;
use crate::link::control::{ExitReason, RoleCommand, SocketControl, WorkerIdentity};
use crate::resource::ResourceFactories;
use crate::supervisor::keep_memory_private;
use crate::telemetry::{LogFormat, LogLevel, Pipe, flush, log_panics, log_to};
use crate::types::{Generation, WordChoice, WorkerId, WorkerIncarnation};
use crate::worker;

/// A role that the supervisor started this process for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    kind: RoleKind,
    generation: Generation,
    level: LogLevel,
    format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoleKind {
    Broker,
    Api,
    Bridge,
    Worker(WorkerId),
}

impl Role {
    /// Parses the arguments that the supervisor writes: `tagcast worker 1 --generation 3 --log info
    /// --log-format text`. Returns None for anything else, which is left to the command line.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.into_iter().skip(1).map_while(|text| text.into_string().ok());
        let kind = match arguments.next()?.as_str() {
            "broker" => RoleKind::Broker,
            "api" => RoleKind::Api,
            "bridge" => RoleKind::Bridge,
            "worker" => RoleKind::Worker(WorkerId(arguments.next()?.parse().ok()?)),
            _ => return None,
        };
        let mut value_of = |name: &str| {
            arguments.next().filter(|word| word == name).and_then(|_| arguments.next())
        };
        let generation = Generation(value_of("--generation")?.parse().ok()?);
        let level = value_of("--log")?.parse().ok()?;
        let format = LogFormat::from_word(&value_of("--log-format")?)?;
        Some(Self { kind, generation, level, format })
    }

    /// Runs the role until it ends. Blocks the calling thread, which should be the main thread.
    #[must_use]
    pub fn run(self, own: &ResourceFactories) -> ExitCode {
        let end = self.run_role(own);
        flush();
        match end {
            Ok(ExitReason::Requested | ExitReason::SupervisorLost) => ExitCode::SUCCESS,
            Ok(ExitReason::Failed(error)) | Err(error) => {
                tracing::error!(event = "process_failed", %error, "process failed");
                ExitCode::FAILURE
            }
        }
    }

    fn run_role(self, own: &ResourceFactories) -> io::Result<ExitReason> {
        log_to(Pipe::standard_error()?, self.name(), self.format, self.level)?;
        log_panics();
        show_name();
        keep_memory_private();
        set_parent_process_death_signal(Some(Signal::TERM))?;
        match self.kind {
            RoleKind::Broker => with_control(|control| broker::run(self.generation, control)),
            RoleKind::Api => with_control(|control| api::run(self.generation, control)),
            RoleKind::Bridge => with_control(|control| bridge::run(self.generation, control)),
            RoleKind::Worker(worker) => {
                let source = WorkerIncarnation { worker, generation: self.generation };
                let identity = WorkerIdentity { source };
                with_control(|control| worker::run(identity, control, own))
            }
        }
    }

    fn name(self) -> String {
        match self.kind {
            RoleKind::Broker => "broker".to_owned(),
            RoleKind::Api => "api".to_owned(),
            RoleKind::Bridge => "bridge".to_owned(),
            RoleKind::Worker(worker) => format!("worker {worker}"),
        }
    }
}

/// Runs a role with the control link on standard input.
fn with_control<C: RoleCommand>(
    role: impl FnOnce(Box<SocketControl<C>>) -> ExitReason,
) -> io::Result<ExitReason> {
    let control = SocketControl::from_standard_input()?;
    watchdog::start(control.terminator())?;
    // The supervisor may have died before the signal was requested.
    if is_orphan()? {
        return Ok(ExitReason::SupervisorLost);
    }
    Ok(role(Box::new(control)))
}

/// Sets the short process name to `tagcast`. Otherwise it would be `exe`, after the path that was
/// executed.
fn show_name() {
    // The name is only for people, so an error is ignored.
    let _as_it_was = std::fs::write("/proc/self/comm", "tagcast");
}

/// Returns true if the other end of the control link is already closed.
fn is_orphan() -> io::Result<bool> {
    let input = io::stdin();
    let mut watched = [PollFd::new(&input, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&at_once))?;
    Ok(watched.iter().any(|one| one.revents().contains(PollFlags::HUP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(line: &str) -> Option<Role> {
        Role::from_arguments(line.split(' ').map(OsString::from))
    }

    #[test]
    fn roles_are_read_and_commands_are_not() {
        let role_of_worker = role("tagcast worker 1 --generation 3 --log debug --log-format json");
        let expected = Role {
            kind: RoleKind::Worker(WorkerId(1)),
            generation: Generation(3),
            level: LogLevel::Debug,
            format: LogFormat::Json,
        };
        assert_eq!(role_of_worker, Some(expected));
        let broker = role("tagcast broker --generation 0 --log info --log-format text").unwrap();
        assert_eq!((broker.kind, broker.name()), (RoleKind::Broker, "broker".to_owned()));
        for line in [
            "tagcast",
            "tagcast serve",
            "tagcast worker",
            "tagcast worker x --generation 3 --log info --log-format text",
            "tagcast broker --generation -1 --log info --log-format text",
            "tagcast broker --generation 1 --log info",
        ] {
            assert_eq!(role(line), None, "{line}");
        }
    }
}
