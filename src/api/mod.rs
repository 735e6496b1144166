//! The HTTP API for backends: one process serves HTTP for all workers.
//!
//! It has a link to the broker, as a worker does: its publications have a source, numbers, a window
//! and acknowledgements. It has no clients. One thread runs tokio and shares nothing.

mod accept;
mod access;
mod answers;
mod body;
mod config;
mod connection;
mod console;
mod cursor;
mod endpoint;
mod error;
mod event_stream;
mod health;
mod idempotency;
mod json_object;
mod metrics;
mod nonces;
mod operators;
mod parameters;
mod percent;
mod process;
mod publication;
mod publisher;
mod publisher_state;
mod queries;
mod rate_limits;
mod refusals;
mod replay_file;
mod replays;
mod request;
mod request_ids;
mod request_stats;
mod response;
mod route;
mod signature;
mod state;
mod traces;
mod tracked;
mod window_waits;

use std::io;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

pub use self::endpoint::probe::PublicationProbe;
use self::process::ApiProcess;
use crate::link::control::{ApiCommand, Control, ExitReason};
use crate::types::Generation;

/// Runs the API on this thread until the supervisor stops it or exits.
#[must_use]
pub fn run(generation: Generation, control: Box<dyn Control<ApiCommand>>) -> ExitReason {
    serve(generation, control).unwrap_or_else(ExitReason::Failed)
}

fn serve(generation: Generation, control: Box<dyn Control<ApiCommand>>) -> io::Result<ExitReason> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let connections = LocalSet::new();
    let ended = connections.block_on(&runtime, async {
        match ApiProcess::start(generation, control).await? {
            Some(process) => process.run().await,
            None => Ok(ExitReason::SupervisorLost),
        }
    });
    drop(connections);
    // A question to the supervisor may still wait on a thread.
    runtime.shutdown_background();
    ended
}
