//! HTTP as far as a WebSocket server needs it: the request head, the handshake, small responses.
//!
//! Pure: no socket, no clock. A caller feeds a [`HeadScanner`] until it finds the end of the head,
//! parses the head with [`parse`], and passes it to [`decide`]. Bytes after the head belong to the
//! WebSocket.

mod event_stream;
mod forwarded;
mod handshake;
mod head;
mod health;
mod host_allowlist;
pub mod legacy;
mod origin;
mod other_protocols;
mod proxy_header;
mod query;
mod refusal;
pub(crate) mod request_signature;
mod response;
mod scan;
mod traceparent;

pub use self::host_allowlist::HostAllowlist;
pub use self::legacy::hixie::{Hixie, KEY3_BYTES, bytes_behind, hixie};
pub use self::legacy::legacy_errors::{Year, bare};
pub use self::legacy::malformed_2021::{RepairedHead, repair};
pub use self::legacy::raw::{RAW_GREETING, RawGreeting, raw_greeting};
pub use event_stream::{
    cors_headers, event_stream_head, event_stream_refusal, event_stream_request, last_event_id,
    preflight_response, streams_refusals,
};
pub use forwarded::{effective_address, effective_address_by, effective_address_of};
pub use handshake::{
    ClientType, PlainAnswer, RequestKind, SupportedVersions, Upgrade, WireFormat, decide,
    decide_leniently, raw_upgrade,
};
pub use head::{RequestHead, Version, parse};
pub use health::HealthEndpoint;
pub use origin::{Origins, is_same_origin};
pub use other_protocols::OtherProtocol;
pub use proxy_header::ProxyHeader;
pub use query::{Parameter, cookie_value, form_parameter, has_members, has_parameter, parameter};
pub use refusal::{Refusal, RefusalStatus, TokenRefusal};
pub use response::{
    ResponseBody, health_response, methods_response, page_response, switching_protocols,
    unavailable_response,
};
pub use scan::HeadScanner;
pub use traceparent::TraceParent;
