//! Tagcast: a multi-process WebSocket server with a tag-based fan-out broker.

pub mod auth;
pub mod dialect;
pub mod link;
pub mod session;
pub mod types;
