//! Worker and broker, supervisor and children: what passes between them, and over what.

pub(crate) mod bell;
pub mod codec;
pub mod control;
pub mod message;
pub mod poller;
pub mod transport;
