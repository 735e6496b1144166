//! The supervisor, the parent of all processes. It owns the listening sockets, starts the roles,
//! restarts crashed ones and shuts the server down.
//!
//! [`lifecycle`] decides which processes are started, stopped or killed, and when. `run` executes
//! the decisions on processes, `server::InProcess` on threads.

pub mod api_sockets;
mod bootstrap;
mod child;
mod control_socket;
mod error;
pub mod lifecycle;
mod listeners;
mod log_reader;
mod memory_limit;
mod notify;
mod passed_sockets;
mod probe;
mod push_socket;
mod revocation_file;
mod run;
mod runtime;
mod socket_file;
mod state_dir;

pub use self::bootstrap::{Bootstrap, keep_memory_private, raise_descriptor_limit};
pub use self::run::serve;
pub use self::state_dir::{StateDir, started_with};
pub use error::StartError;
pub use listeners::ListeningSockets;
pub use passed_sockets::PassedSockets;
pub use probe::{Probed, probe};
pub use push_socket::PushSocket;
