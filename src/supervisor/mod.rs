//! The parent of all: holds the listening sockets, starts the roles, replaces the dead, ends in order.
//!
//! [`crew`] decides (who is started, told, killed, and when), `household` does it with processes;
//! `server::InProcess` does the same with threads.

pub mod backoff;
mod ceiling;
mod child;
mod control_socket;
pub mod crew;
mod error;
mod household;
mod listeners;
mod log_reader;
mod notify;
mod prepared;
mod probe;
mod push_socket;
mod runtime;
mod state;

pub use error::StartError;
pub use household::serve;
pub use listeners::Listeners;
pub use prepared::{Prepared, keep_memory_private, log_format, log_level, raise_descriptor_limit};
pub use probe::{Probed, probe};
pub use push_socket::PushSocket;
pub use state::{StateFolder, started_with};
