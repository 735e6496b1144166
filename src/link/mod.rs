//! Worker and broker, supervisor and children: what passes between them, and over what.

mod bell;
pub mod control;
pub mod transport;
