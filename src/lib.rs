//! Tagcast: a multi-process WebSocket server with a tag-based fan-out broker.

pub mod auth;
pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod dialect;
pub mod http;
pub mod index;
pub mod link;
pub mod page;
pub mod resource;
pub mod server;
pub mod session;
pub mod supervisor;
pub mod telemetry;
pub mod types;
pub mod websocket;
pub mod worker;
