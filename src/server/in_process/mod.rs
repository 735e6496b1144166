//! Runs all roles as threads of one process, for tests and for programs that embed the server.

mod metrics;
mod threads;

use std::io::PipeWriter;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use self::threads::Threads;
use crate::config::Config;
use crate::resource::ResourceFactories;
use crate::supervisor::{Bootstrap, PassedSockets, StartError};

/// A running server within this process. Clients connect over real sockets; workers and broker
/// communicate through memory. Only separate processes can isolate crashes, so a crash of one role
/// may affect the others here.
///
/// It installs no log and handles no signals; both are left to the embedding program. Dropping it
/// starts a shutdown like [`InProcess::stop`], without waiting.
#[derive(Debug)]
pub struct InProcess {
    addresses: Vec<SocketAddr>,
    /// Dropping it requests the shutdown.
    ask: PipeWriter,
    thread: JoinHandle<()>,
}

impl InProcess {
    /// Binds the addresses and starts the roles. Clients can connect from now on; their connections
    /// are accepted as soon as a worker is ready.
    ///
    /// # Errors
    ///
    /// The same as for the server with several processes, such as an unusable address, state folder
    /// or key.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, ResourceFactories::default())
    }

    pub(super) fn start_with(config: Config, own: ResourceFactories) -> Result<Self, StartError> {
        let prepared = Bootstrap::from_config(config, PassedSockets::default())?;
        let addresses = prepared.listeners.addresses();
        let system = |error| StartError::System { what: "the roles as threads", error };
        let (asked, ask) = std::io::pipe().map_err(system)?;
        let threads = Threads::new(prepared, own, asked);
        let builder = thread::Builder::new().name("supervisor".to_owned());
        let thread = builder.spawn(move || threads.run()).map_err(system)?;
        Ok(Self { addresses, ask, thread })
    }

    /// Returns the listening addresses with their real ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Shuts the server down and waits for that, at most for the drain time. Publications in
    /// transit are delivered, clients are closed with 1001, and the broker stops last.
    pub fn stop(self) {
        drop(self.ask);
        if self.thread.join().is_err() {
            tracing::error!(event = "server_thread_panicked", "server thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
