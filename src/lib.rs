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

// The API for embedding programs.
pub use expression::{ExpressionError, ExpressionPlace};
pub use http::{Refusal, RefusalStatus};
pub use resource::{
    ClientHandle, ConnectRequest, NotPublished, Presence, Resource, ResourceContext,
};
pub use server::Builder;
pub use session::Message;
pub use types::{
    Address, ClientFilter, CloseCode, CloseReason, Expression, Tag, TagError, TagQuery, Tags,
    Tenant,
};

pub mod client;

// The modules of the server. Tests, benchmarks and fuzz targets use them; they are not part of the API.
#[doc(hidden)]
pub mod admin;
#[doc(hidden)]
pub mod api;
#[doc(hidden)]
pub mod auth;
#[doc(hidden)]
pub mod bench;
mod bridge;
#[doc(hidden)]
pub mod broker;
#[doc(hidden)]
pub mod broker_client;
mod carrier;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod cluster;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod demo_page;
#[doc(hidden)]
pub mod expression;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod index;
#[doc(hidden)]
pub mod json;
#[doc(hidden)]
pub mod json_schema;
#[doc(hidden)]
pub mod link;
#[doc(hidden)]
pub mod protocol;
mod rate_limit;
#[doc(hidden)]
pub mod reactor;
#[doc(hidden)]
pub mod replay;
#[doc(hidden)]
pub mod resource;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod supervisor;
#[doc(hidden)]
pub mod telemetry;
#[doc(hidden)]
pub mod types;
#[doc(hidden)]
pub mod webhook;
#[doc(hidden)]
pub mod websocket;
#[doc(hidden)]
pub mod worker;
