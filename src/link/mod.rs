//! Worker and broker, supervisor and children: what passes between them, and over what.

pub mod codec;
pub mod control;
pub mod message;
pub mod transport;
