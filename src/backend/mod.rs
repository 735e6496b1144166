//! What is said between a worker and the backend of an HTTP resource: events as JSON, the commands of
//! an answer, the signature, and when a backend is left alone for a while.

mod breaker;
mod command;
mod event;
mod signature;

pub use breaker::{Admitted, Breaker, Change};
pub use command::{COMMANDS_MAX, Command, Saying, To, USER_BYTES_MAX, Wrong, parse};
pub use event::{Event, Guest, Post, headers_json, without_secret};
pub use signature::Signing;
