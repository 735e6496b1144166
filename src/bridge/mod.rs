//! The bridge: a process that carries publications between this host and others over NATS.
//!
//! It has a link to the broker, as a worker does, but no clients. Its rules are in the module `cluster`. This is the
//! loop around them: it reads the link and the messages of NATS, and writes what the rules return. What the broker is
//! to know is written to the link before anything is sent to NATS, so the broker knows it when this process dies.

mod broker;
mod host_watch;
mod link;
mod notices;
mod pings;
mod process;
mod queries;
mod report;
mod revocations;
mod told_connections;
mod write_reports;

use std::io;
use std::time::Instant;

use self::process::BridgeProcess;
use crate::link::control::{BridgeCommand, Control, ExitReason};
use crate::types::Generation;

/// Runs the bridge on this thread until the supervisor stops it or exits.
#[must_use]
pub(crate) fn run(generation: Generation, control: Box<dyn Control<BridgeCommand>>) -> ExitReason {
    serve(generation, control).unwrap_or_else(ExitReason::Failed)
}

fn serve(
    generation: Generation,
    control: Box<dyn Control<BridgeCommand>>,
) -> io::Result<ExitReason> {
    match BridgeProcess::start(generation, control)? {
        Some(process) => process.run(),
        None => Ok(ExitReason::SupervisorLost),
    }
}

#[expect(clippy::disallowed_methods, reason = "the bridge's shell reads the clock, here alone")]
fn now() -> Instant {
    Instant::now()
}
