//! Client of Tagcast, a WebSocket server that delivers to clients by their tags.
//!
//! The client speaks `tagcast.v1`. It reconnects by itself with growing pauses, resumes as the same client, sends
//! again what was not acknowledged where the server can tell a repetition, and reports what it may have missed.
//!
//! ```no_run
//! use tagcast_client::{Client, Event, Options, To};
//!
//! # #[derive(serde::Serialize)] struct Price { p: u32 }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new().key("shop").tag("room", "1");
//! let client = Client::connect("wss://example.org/", options).await?;
//! client.publish(To::tag("room", "1"), &Price { p: 3 }).event("price").await?;
//!
//! let mut events = client.events(); // impl Stream<Item = Event>
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Message(message) => println!("{:?} {}", message.event(), message.json()),
//!         Event::Recovery(recovery) if !recovery.is_recovered => println!("load the state again"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Without `async` there is `blocking::Client`, with the feature `blocking`.

#[cfg(all(doctest, feature = "blocking"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod asks;
#[cfg(feature = "blocking")]
pub mod blocking;
mod calls;
mod client;
mod clock;
mod error;
mod event_queue;
mod events;
mod frame;
mod machine;
mod message;
mod options;
mod presence;
mod questions;
mod socket;
mod status;
mod target;
mod task;
pub mod testing;

pub use self::asks::Ask;
pub use self::calls::{Ack, Answered, Publish, Request, Retag};
pub use self::client::Client;
pub use self::error::{ConnectError, ErrorCode, RequestError};
pub use self::events::{Events, Messages};
pub use self::machine::Offline;
pub use self::message::{Event, Message};
pub use self::options::{Backoff, Options, Queue, TokenReason};
pub use self::presence::{Member, Presence, Watch, WatchMode, WatchQuery};
pub use self::questions::Question;
pub use self::status::{Disconnect, Recovery, RecoveryReason, Status};
pub use self::target::{Tags, To};
