//! A process that runs a part of the reconnecting clients.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Comeback;
use super::lines::{GeneratorEvent, GeneratorResult, Lines};
use crate::bench::error::{At, BenchError};
use crate::bench::latency::Latencies;
use crate::bench::target::BenchTarget;

/// The process and its reported state.
#[derive(Debug)]
pub(super) struct GeneratorProcess {
    child: Child,
    out: ChildStdout,
    lines: Lines,
    pub(super) state: GeneratorState,
}

/// The state that the process has reported.
#[derive(Debug, Default)]
pub(super) struct GeneratorState {
    pub(super) phase: GeneratorPhase,
    pub(super) lost: u64,
    pub(super) received: Option<u64>,
    pub(super) result: Option<GeneratorResult>,
}

/// The phase of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GeneratorPhase {
    #[default]
    Opening,
    Open,
    /// Clients are away.
    Lost,
    /// All are open again.
    Back,
}

/// The figures of all generators.
pub(super) struct GeneratorTotals {
    pub(super) lost: u64,
    pub(super) refused: u64,
    pub(super) resumed: u64,
    pub(super) recovered: u64,
    /// How long clients were disconnected.
    pub(super) away: Latencies,
}

/// Adds up the figures of all generators.
pub(super) fn totals(generators: &[GeneratorProcess]) -> GeneratorTotals {
    let mut all =
        GeneratorTotals { lost: 0, refused: 0, resumed: 0, recovered: 0, away: Latencies::new() };
    for result in generators.iter().filter_map(|generator| generator.state.result.as_ref()) {
        all.lost += result.lost;
        all.refused += result.refused;
        all.resumed += result.resumed;
        all.recovered += result.recovered;
        result.away_us.iter().for_each(|micros| all.away.record(micros * 1000));
    }
    all
}

impl GeneratorProcess {
    pub(super) fn start(comeback: &Comeback, target: &BenchTarget) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe().at("finding this program")?);
        let target = target.clone();
        let target = if comeback.resumes { target.with_v1() } else { target };
        command.args(["bench", "reconnecting"]).args(target.arguments());
        let tickets = if comeback.shows_tickets { "on" } else { "off" };
        command.args(["--clients", &comeback.clients.to_string()]);
        command.args(["--jitter", &comeback.jitter.as_secs_f64().to_string()]);
        command.args(["--tls-tickets", tickets]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().at("starting a generator process")?;
        let out = child.stdout.take();
        let out =
            out.ok_or_else(|| BenchError::Plan("a generator process has no output".to_owned()))?;
        Ok(Self { child, out, lines: Lines::default(), state: GeneratorState::default() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }

    /// Reads the reports of the process.
    pub(super) fn on_readable(&mut self) -> Result<(), BenchError> {
        let Some(lines) =
            self.lines.read(self.out.as_fd()).at("reading from a generator process")?
        else {
            let why = "a process with clients ended; its reason is above";
            return Err(BenchError::Plan(why.to_owned()));
        };
        for line in lines {
            match GeneratorEvent::parse(&line)? {
                GeneratorEvent::Open => self.state.phase = GeneratorPhase::Open,
                GeneratorEvent::Lost(count) => {
                    self.state.lost = count;
                    self.state.phase = GeneratorPhase::Lost;
                }
                GeneratorEvent::Back => self.state.phase = GeneratorPhase::Back,
                GeneratorEvent::Received(number) => self.state.received = Some(number),
                GeneratorEvent::Result(result) => self.state.result = Some(result),
            }
        }
        Ok(())
    }

    pub(super) fn send_command(&mut self, command: &str) -> Result<(), BenchError> {
        let Some(pipe) = &mut self.child.stdin else { return Ok(()) };
        writeln!(pipe, "{command}").at("writing to a generator process")
    }
}

impl Drop for GeneratorProcess {
    /// The end of its standard input ends the process.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _reaped = self.child.wait();
    }
}
