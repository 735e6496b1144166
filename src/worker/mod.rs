//! A worker: one thread, one loop, its own connections; it shares nothing.

mod accept;
mod bloatless;
mod clock;
mod compat_options;
pub mod connection;
mod control;
mod dispatch;
mod event_loop;
mod handshake;
mod log_throttle;
mod push_socket;
mod rng;
mod settings;
mod stats;
mod webhook;

use std::io;

pub use self::clock::Moment;
use self::dispatch::resource_registry::ResourceRegistry;
use self::event_loop::{EventLoop, LoopState};
use self::settings::WorkerSettings;
use crate::config::Config;
use crate::link::control::{Control, ControlPeer, ExitReason, SupervisorCommand, WorkerIdentity};
use crate::reactor::poller::{Interest, Poller};
use crate::resource::ResourceFactories;
use crate::types::scrub_stack;

/// Runs a worker on this thread, with the resources of the embedding program, until it is told to stop or its supervisor is gone.
#[must_use]
pub fn run(seat: WorkerIdentity, control: Box<dyn Control>, own: &ResourceFactories) -> ExitReason {
    match begin(seat, control, own).and_then(|begun| begun.map(serve).transpose()) {
        Ok(Some(end)) => end,
        Ok(None) => ExitReason::Requested,
        Err(error) => ExitReason::Failed(error),
    }
}

/// Waits for the configuration, which comes before any other order.
fn begin(
    seat: WorkerIdentity,
    mut control: Box<dyn Control>,
    own: &ResourceFactories,
) -> io::Result<Option<(EventLoop, Vec<SupervisorCommand>)>> {
    let mut poller = Poller::new(event_loop::EVENTS)?;
    poller.watch(control.ready(), event_loop::CONTROL, Interest::Read)?;
    let mut orders = Vec::new();
    while orders.is_empty() {
        poller.wait(None, &mut Vec::new())?;
        if control.orders(&mut orders)? == ControlPeer::Gone {
            return Ok(None);
        }
    }
    let rest = orders.split_off(1);
    let Some(SupervisorCommand::Configure { json, .. }) = orders.pop() else { return Ok(None) };
    let config = Config::from_json(&json)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let settings = WorkerSettings::of(&config)?;
    scrub_stack();
    let mut hub = EventLoop::new(seat, (control, poller), (settings, ResourceRegistry::new(own)))?;
    hub.bind(&config);
    Ok(Some((hub, rest)))
}

fn serve((mut hub, orders): (EventLoop, Vec<SupervisorCommand>)) -> io::Result<ExitReason> {
    let mut next = hub.obey(orders)?;
    loop {
        match next {
            LoopState::Turn => next = hub.turn()?,
            LoopState::End(end) => return Ok(end),
        }
    }
}
