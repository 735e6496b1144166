//! HTTP as far as a WebSocket server needs it: the request head, the handshake, small answers.
//!
//! Pure: no socket, no clock. A caller feeds a [`HeadScanner`] until it finds the end of the head,
//! parses that with [`parse`], and asks [`decide`] what the request wants. Bytes after the head
//! belong to the WebSocket.

mod bare;
mod forwarded;
mod handshake;
mod head;
mod hixie;
mod hosts;
mod mend;
mod old_scripts;
mod origin;
mod other_protocols;
mod query;
mod raw;
mod refusal;
mod response;
mod scan;

pub use bare::{Year, bare};
pub use forwarded::{effective_address, effective_address_of};
pub use handshake::{
    ClientType, Request, Spoken, Upgrade, Wanted, Wire, decide, decide_leniently, raw_upgrade,
};
pub use head::{Head, Version, parse};
pub use hixie::{Hixie, HixieAnswer, KEY3_BYTES, bytes_behind, hixie};
pub use hosts::Hosts;
pub use mend::{Mended, mend};
pub use origin::{Origins, is_same_origin};
pub use other_protocols::OtherProtocol;
pub use query::{Parameter, cookie_value, form_parameter, has_members, has_parameter, parameter};
pub use raw::{RAW_GREETING, RawGreeting, raw_greeting};
pub use refusal::{Refusal, Status};
pub use response::{Content, methods_response, page_response, switching_protocols};
pub use scan::HeadScanner;
