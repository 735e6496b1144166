//! Tagcast: a multi-process WebSocket server with a tag-based fan-out broker.

pub mod broker;
pub mod config;
pub mod link;
pub mod server;
pub mod supervisor;
pub mod telemetry;
pub mod types;
pub mod worker;
