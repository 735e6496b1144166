//! All roles as threads of one process: for tests, and for programs that embed the server.

mod threads;

use std::io::PipeWriter;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use self::threads::Threads;
use crate::config::Config;
use crate::resource::ResourceFactories;
use crate::supervisor::{Bootstrap, StartError};

/// A running server within this process. Its clients connect over real sockets; worker and broker
/// speak in memory. Not promised here is what only processes can give: that the crash of one role
/// leaves the others alone.
///
/// Installs no log and watches no signal: both belong to the program around it. Dropped, it begins
/// to end as with [`InProcess::stop`], without waiting for it.
#[derive(Debug)]
pub struct InProcess {
    addresses: Vec<SocketAddr>,
    /// Dropped to ask for the end.
    ask: PipeWriter,
    thread: JoinHandle<()>,
}

impl InProcess {
    /// Binds the addresses and starts the roles. The sockets take connections from here on; they
    /// are accepted as soon as a worker is ready.
    ///
    /// # Errors
    ///
    /// As with the server of several processes: address, state folder, key, and the like.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, ResourceFactories::default())
    }

    pub(super) fn start_with(config: Config, own: ResourceFactories) -> Result<Self, StartError> {
        let prepared = Bootstrap::from_config(config)?;
        let addresses = prepared.listeners.addresses();
        let system = |error| StartError::System { what: "the roles as threads", error };
        let (asked, ask) = std::io::pipe().map_err(system)?;
        let threads = Threads::new(prepared, own, asked);
        let builder = thread::Builder::new().name("supervisor".to_owned());
        let thread = builder.spawn(move || threads.run()).map_err(system)?;
        Ok(Self { addresses, ask, thread })
    }

    /// Where it listens, with the real ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it in order (publications under way, clients closed with 1001, broker) and waits for
    /// that, for the drain time at most.
    pub fn stop(self) {
        drop(self.ask);
        if self.thread.join().is_err() {
            tracing::error!(event = "server_thread_panicked", "server thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
