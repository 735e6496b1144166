//! Tagcast: a multi-process WebSocket server with a tag-based fan-out broker.

pub mod link;
pub mod telemetry;
pub mod types;
