//! A process with a part of the clients that come back.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Comeback;
use super::lines::{CrowdEvent, CrowdResult, Lines};
use crate::bench::error::{At, BenchError};
use crate::bench::target::BenchTarget;

/// The process and what it has reported.
#[derive(Debug)]
pub(super) struct CrowdProcess {
    child: Child,
    out: ChildStdout,
    lines: Lines,
    pub(super) state: CrowdState,
}

/// What a crowd has reported so far.
#[derive(Debug, Default)]
pub(super) struct CrowdState {
    pub(super) phase: CrowdPhase,
    pub(super) lost: u64,
    pub(super) heard: Option<u64>,
    pub(super) result: Option<CrowdResult>,
}

/// How far a crowd is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CrowdPhase {
    #[default]
    Opening,
    Open,
    /// Clients are away.
    Lost,
    /// All are open again.
    Back,
}

impl CrowdProcess {
    pub(super) fn start(comeback: &Comeback, target: &BenchTarget) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe().at("finding this program")?);
        command.args(["bench", "crowd"]).args(target.arguments());
        let tickets = if comeback.shows_tickets { "on" } else { "off" };
        command.args(["--clients", &comeback.clients.to_string()]);
        command.args(["--jitter", &comeback.jitter.as_secs_f64().to_string()]);
        command.args(["--tls-tickets", tickets]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().at("starting a crowd")?;
        let out = child.stdout.take();
        let out = out.ok_or_else(|| BenchError::Plan("a crowd has no output".to_owned()))?;
        Ok(Self { child, out, lines: Lines::default(), state: CrowdState::default() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }

    /// Reads what the process has reported.
    pub(super) fn on_readable(&mut self) -> Result<(), BenchError> {
        let Some(lines) = self.lines.read(self.out.as_fd()).at("reading from a crowd")? else {
            let why = "a process with clients ended; its reason is above";
            return Err(BenchError::Plan(why.to_owned()));
        };
        for line in lines {
            match CrowdEvent::parse(&line)? {
                CrowdEvent::Open => self.state.phase = CrowdPhase::Open,
                CrowdEvent::Lost(count) => {
                    self.state.lost = count;
                    self.state.phase = CrowdPhase::Lost;
                }
                CrowdEvent::Back => self.state.phase = CrowdPhase::Back,
                CrowdEvent::Heard(number) => self.state.heard = Some(number),
                CrowdEvent::Result(result) => self.state.result = Some(result),
            }
        }
        Ok(())
    }

    pub(super) fn order(&mut self, command: &str) -> Result<(), BenchError> {
        let Some(pipe) = &mut self.child.stdin else { return Ok(()) };
        writeln!(pipe, "{command}").at("writing to a crowd")
    }
}

impl Drop for CrowdProcess {
    /// The end of its standard input ends the process.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _reaped = self.child.wait();
    }
}
