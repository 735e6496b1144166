//! Messages between worker and broker and between supervisor and children, and the transports for them.

pub mod bridge;
pub mod codec;
pub mod command;
pub mod control;
pub mod fairness;
pub mod handover;
pub mod hosts_presence;
mod in_place;
pub mod message;
pub mod moves;
pub mod presence;
pub mod query;
pub mod resume;
pub mod tail;
pub mod transport;
