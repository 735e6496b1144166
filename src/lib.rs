//! Tagcast: a multi-process WebSocket server with a tag-based fan-out broker.

pub mod dialect;
pub mod link;
pub mod types;
