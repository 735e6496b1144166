//! Tagcast: a multi-process WebSocket server with a tag-based fan-out broker.
//!
//! A program with resources of its own is a complete `tagcast` that also serves them:
//!
//! ```no_run
//! use tagcast::{Address, Builder, ClientHandle, Message, Resource};
//!
//! /// Sends what a client says to all clients, in capitals.
//! struct Shout;
//!
//! impl Resource for Shout {
//!     fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
//!         let text = message.text().unwrap_or_default().to_uppercase();
//!         client.publish(Address::everyone(), &text).ok();
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Builder::new().resource("/shout", || Shout).run()
//! }
//! ```

pub mod admin;
pub mod auth;
pub mod bench;
pub mod broker;
pub mod broker_client;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo_page;
pub mod http;
pub mod index;
pub mod json;
pub mod json_schema;
pub mod link;
pub mod protocol;
pub mod reactor;
pub mod resource;
pub mod server;
pub mod session;
pub mod supervisor;
pub mod telemetry;
pub mod types;
pub mod webhook;
pub mod websocket;
pub mod worker;

// What an embedding program needs.
pub use resource::{ClientHandle, ConnectRequest, Presence, Resource};
pub use server::Builder;
pub use session::{Message, Speech};
pub use types::{Address, CloseCode, CloseReason, Tag, TagError, TagQuery, Tags};
