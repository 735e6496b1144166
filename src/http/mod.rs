//! HTTP as far as a WebSocket server needs it: the request head, the handshake, small answers.
//!
//! Pure: no socket, no clock. A caller feeds a [`HeadScanner`] until it finds the end of the head,
//! parses that with [`parse`], and asks [`decide`] what the request wants. Bytes after the head
//! belong to the WebSocket.

mod handshake;
mod head;
mod refusal;
mod response;
mod scan;

pub use handshake::{ClientType, Request, Upgrade, Wanted, decide};
pub use head::{Head, Version, parse};
pub use refusal::{Refusal, Status};
pub use response::{Content, page_response, switching_protocols};
pub use scan::HeadScanner;
