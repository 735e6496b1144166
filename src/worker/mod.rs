//! Worker: one thread with one event loop and its own connections. It shares nothing with other
//! workers.

mod accept;
mod applications;
mod asks;
mod clock;
mod compat;
pub mod connection;
mod context;
mod control;
mod describe;
mod dispatch;
mod event_loop;
mod handshake;
mod hosts;
mod link_loss;
mod offload;
mod push_socket;
mod questions;
mod rng;
mod settings;
mod stats;
mod throttle;
mod tokens;
mod webhook;

use std::io;

pub use self::clock::Moment;
use self::control::supervisor_link::SupervisorLink;
use self::dispatch::resource_registry::ResourceRegistry;
use self::event_loop::EventLoop;
use self::settings::WorkerSettings;
use self::tokens::Token;
use crate::config::Config;
use crate::link::control::{
    Attachment, Control, ControlMessage, ControlPeer, ExitReason, WorkerCommand, WorkerIdentity,
};
use crate::reactor::poller::{Interest, Poller};
use crate::resource::ResourceFactories;
use crate::types::scrub_stack;

/// Runs a worker on this thread, with the resources of the embedding program, until the supervisor
/// stops it or is gone.
#[must_use]
pub fn run(
    identity: WorkerIdentity,
    control: Box<dyn Control<WorkerCommand>>,
    own: &ResourceFactories,
) -> ExitReason {
    match start(identity, control, own).and_then(|worker| worker.map(run_to_end).transpose()) {
        Ok(exit) => exit.unwrap_or(ExitReason::Requested),
        Err(error) => ExitReason::Failed(error),
    }
}

/// Worker with its configuration, and the commands that arrived together with the configuration.
struct StartedWorker {
    event_loop: EventLoop,
    commands: Vec<ControlMessage<WorkerCommand>>,
}

/// Waits for the configuration, which precedes all other commands. Leaves no copy of it in memory,
/// because it contains secrets.
fn start(
    identity: WorkerIdentity,
    mut control: Box<dyn Control<WorkerCommand>>,
    own: &ResourceFactories,
) -> io::Result<Option<StartedWorker>> {
    let mut poller = Poller::new(event_loop::EVENTS)?;
    poller.watch(control.ready(), Token::Control.into(), Interest::Read)?;
    let mut commands = Vec::new();
    while commands.is_empty() {
        poller.wait(None, &mut Vec::new())?;
        if control.commands(&mut commands)? == ControlPeer::Gone {
            return Ok(None);
        }
    }
    let rest = commands.split_off(1);
    let first = commands.pop().map(|message| message.attachment);
    let Some(Attachment::Config(json)) = first else { return Ok(None) };
    let config = Config::from_json(&json)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let settings = WorkerSettings::of(&config)?;
    scrub_stack();
    let supervisor = SupervisorLink::new(control);
    let resources = ResourceRegistry::new(own);
    let mut event_loop = EventLoop::new(identity, supervisor, poller, settings, resources)?;
    event_loop.bind(&config);
    Ok(Some(StartedWorker { event_loop, commands: rest }))
}

fn run_to_end(StartedWorker { mut event_loop, commands }: StartedWorker) -> io::Result<ExitReason> {
    event_loop.apply_commands(commands)?;
    loop {
        if let Some(reason) = event_loop.turn()? {
            return Ok(reason);
        }
    }
}
