//! HTTP as far as a WebSocket server needs it: the request head, the handshake, small answers.
//!
//! Pure: no socket, no clock. A caller feeds a [`HeadScanner`] until it finds the end of the head,
//! parses that with [`parse`], and asks [`decide`] what the request wants. Bytes after the head
//! belong to the WebSocket.

mod bare;
mod forwarded;
mod handshake;
mod head;
mod origin;
mod query;
mod refusal;
mod response;
mod scan;

pub use bare::{Year, bare};
pub use forwarded::effective_address;
pub use handshake::{ClientType, Request, Spoken, Upgrade, Wanted, decide};
pub use head::{Head, Version, parse};
pub use origin::{Origins, is_same_origin};
pub use query::{has_parameter, parameter};
pub use refusal::{Refusal, Status};
pub use response::{Content, page_response, switching_protocols};
pub use scan::HeadScanner;
