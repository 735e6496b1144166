//! The parent of all: holds the listening sockets, starts the roles, replaces the dead, ends in order.
//!
//! [`lifecycle`] decides which process is started, stopped or killed, and when; `run` does it;
//! `server::InProcess` does the same with threads.

mod bootstrap;
mod child;
mod control_socket;
mod error;
pub mod lifecycle;
mod listeners;
mod log_reader;
mod memory_limit;
mod notify;
mod probe;
mod push_socket;
mod run;
mod runtime;
mod state_dir;

pub use self::bootstrap::{Bootstrap, keep_memory_private, raise_descriptor_limit};
pub use self::run::serve;
pub use self::state_dir::{StateDir, started_with};
pub use error::StartError;
pub use listeners::ListeningSockets;
pub use probe::{Probed, probe};
pub use push_socket::PushSocket;
