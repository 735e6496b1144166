//! Purpose of a request: a WebSocket handshake, or a page.

use std::borrow::Cow;

use tungstenite::handshake::derive_accept_key;

use crate::types::ClientClass;

use super::legacy::old_scripts;
use super::response::switching_protocols;
use super::{Hixie, Refusal, RefusalStatus, RequestHead, Version};

const HTTP_10: Refusal = Refusal::bad("a WebSocket needs HTTP/1.1");
const NO_HOST: Refusal = Refusal::bad("the header Host is missing");
const TWO_HOSTS: Refusal = Refusal::bad("the header Host must occur only once");
const NO_UPGRADE: Refusal = Refusal::bad("the header Upgrade: websocket is missing");
const NO_CONNECTION: Refusal = Refusal::bad("the header Connection: Upgrade is missing");
const NO_KEY: Refusal = Refusal::bad("the header Sec-WebSocket-Key is missing");
const TWO_KEYS: Refusal = Refusal::bad("the header Sec-WebSocket-Key must occur only once");
const NO_VERSION: Refusal = Refusal::bad("the header Sec-WebSocket-Version: 13 is missing");
const TWO_VERSIONS: Refusal = Refusal::bad("the header Sec-WebSocket-Version must occur only once");
const BAD_VERSION: Refusal =
    Refusal::new(RefusalStatus::UpgradeRequired, "the version of WebSocket spoken here is 13");
const UNKNOWN_VERSION: Refusal =
    Refusal::new(RefusalStatus::BadVersion, "the versions of WebSocket spoken here are 13 and 8");
const OTHER_VERSION: Refusal = Refusal::new(
    RefusalStatus::UpgradeRequired,
    "the versions of WebSocket spoken here are 13 and 8",
);
const TWO_ORIGINS: Refusal = Refusal::bad("the header Origin must occur only once");
const BAD_METHOD: Refusal = Refusal::new(RefusalStatus::MethodNotAllowed, "the method is GET");
const NO_PATH: Refusal = Refusal::bad("the request target is a path: /");

/// Purpose of a request.
#[derive(Clone, Debug)]
pub enum RequestKind<'a> {
    /// WebSocket handshake.
    Upgrade(Upgrade<'a>),
    /// Page: a GET, HEAD or OPTIONS request without any WebSocket header.
    Page {
        /// Requested path. `/` is the demo page. A path that is served over WebSocket gets
        /// [`Refusal::WEBSOCKET_ONLY`], any other path [`Refusal::NOT_FOUND`].
        path: &'a str,
        /// Parts of the response that the method asks for.
        wanted: PlainAnswer,
    },
}

/// Content of the response to a plain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainAnswer {
    /// Head and body (GET).
    Whole,
    /// Head only (HEAD).
    Head,
    /// Allowed methods (OPTIONS).
    Methods,
}

/// WebSocket handshake that satisfies RFC 6455 §4.2.1.
#[derive(Clone, Debug)]
pub struct Upgrade<'a> {
    /// Path, not decoded, without the query.
    pub path: &'a str,
    /// Query, not decoded.
    pub query: Option<&'a str>,
    /// Value of `Sec-WebSocket-Accept` in the 101 response: 28 characters.
    pub accept: String,
    /// Header `Host`. It defines the same origin.
    pub host: Cow<'a, str>,
    /// Header `Origin`. An empty one, of clients of 2021, counts as absent.
    pub origin: Option<Cow<'a, str>>,
    /// Header `Sec-WebSocket-Version`. [`Upgrade::check_version`] checks it.
    pub version: Option<&'a [u8]>,
    /// Header `Client-Type` of phpWebSocketServer clients.
    pub client_type: ClientType,
    /// Wire format after the handshake.
    pub wire: WireFormat,
    /// All headers, for protocols that read others.
    pub head: &'a RequestHead<'a>,
}

/// Wire format of a connection after its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// Frames of RFC 6455.
    Rfc6455,
    /// Frames of drafts 75 and 76, which only browsers have implemented.
    Hixie(Hixie),
    /// JSON without frames. The handshake is not answered.
    Raw,
    /// Server-sent events.
    EventStream,
}

/// WebSocket versions that a protocol family supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupportedVersions {
    /// Version 13 only (RFC 6455).
    Rfc6455,
    /// Version 13, and version 8 of the last draft with the same frames, as Gomoob's server.
    DraftsToo,
    /// Versions 13 and 8. Other versions, and a missing version, get a 426 response.
    DraftsOrUpgrade,
}

/// Value of the header `Client-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientType {
    /// The header is missing.
    Absent,
    /// The value is `php`, in any case.
    Php,
    /// Any other value.
    Other,
}

/// Decides the purpose of a request.
///
/// This function does not check the version, the key and the body length; see
/// [`Upgrade::check_version`], [`Upgrade::check_key`] and [`Upgrade::check_body`].
///
/// A request that offers to upgrade to WebSocket, or has a `Sec-WebSocket-` header, must be a valid
/// handshake. An offer of another protocol (`Upgrade: h2c`) is ignored, as RFC 9110 §7.8 permits.
/// The first error is reported in phpWebSocketServer's order: missing or wrong headers, the
/// version, the method.
///
/// # Errors
///
/// 400, 405 or 426, and what would be valid.
pub fn decide<'a>(head: &'a RequestHead<'a>) -> Result<RequestKind<'a>, Refusal> {
    if is_meant_as_websocket(head) {
        return upgrade(head, Demands::Rfc6455).map(RequestKind::Upgrade);
    }
    let wanted = match head.method() {
        "GET" => PlainAnswer::Whole,
        "HEAD" => PlainAnswer::Head,
        "OPTIONS" => PlainAnswer::Methods,
        _ => return Err(BAD_METHOD),
    };
    host(head)?;
    // RFC 9110 §9.3.7: `*` asks about the whole server.
    let is_whole = wanted == PlainAnswer::Methods && head.target() == "*";
    Ok(RequestKind::Page { path: if is_whole { "/" } else { path(head)? }, wanted })
}

/// Decides about a request for a path that is served only over WebSocket, as leniently as
/// bloatless/php-websocket: the request needs no `Upgrade`, `Connection` or key.
///
/// # Errors
///
/// 400, 405 or 426, and what would be valid.
pub fn decide_leniently<'a>(head: &'a RequestHead<'a>) -> Result<RequestKind<'a>, Refusal> {
    upgrade(head, Demands::Few).map(RequestKind::Upgrade)
}

/// Required parts of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demands {
    /// All parts that RFC 6455 §4.2.1 requires.
    Rfc6455,
    /// A version only.
    Few,
}

fn is_meant_as_websocket(head: &RequestHead<'_>) -> bool {
    const PREFIX: &str = "sec-websocket-";
    let is_ours =
        |name: &str| name.get(..PREFIX.len()).is_some_and(|it| it.eq_ignore_ascii_case(PREFIX));
    offers(head, "Upgrade", "websocket") || head.names().any(is_ours)
}

/// Checks a handshake by RFC 6455 §4.2.1.
fn upgrade<'a>(head: &'a RequestHead<'a>, demands: Demands) -> Result<Upgrade<'a>, Refusal> {
    if head.version() == Version::Http10 {
        return Err(HTTP_10);
    }
    let host = host(head)?.ok_or(NO_HOST)?;
    let key = only(head, "Sec-WebSocket-Key", TWO_KEYS)?;
    if demands == Demands::Rfc6455 {
        require_token(head, "Upgrade", "websocket", NO_UPGRADE)?;
        require_token(head, "Connection", "upgrade", NO_CONNECTION)?;
        key.ok_or(NO_KEY)?;
    }
    let key = key.unwrap_or_default();
    if demands == Demands::Rfc6455 && !old_scripts::is_any_key(key) {
        return Err(old_scripts::UNUSABLE_KEY);
    }
    old_scripts::check_length(head)?;
    let origin = origin(head)?;
    let version = only(head, "Sec-WebSocket-Version", TWO_VERSIONS)?;
    if head.method() != "GET" {
        check(version, SupportedVersions::Rfc6455)?;
        return Err(BAD_METHOD);
    }
    // The drafts before RFC 6455 use this name.
    let origin = origin.or_else(|| head.text("Sec-WebSocket-Origin"));
    let accept = derive_accept_key(key);
    Ok(Upgrade { accept, origin, version, ..common(head, host, WireFormat::Rfc6455)? })
}

pub(super) fn origin<'a>(head: &RequestHead<'a>) -> Result<Option<Cow<'a, str>>, Refusal> {
    let origin = only(head, "Origin", TWO_ORIGINS)?.filter(|origin| !origin.is_empty());
    Ok(origin.map(String::from_utf8_lossy))
}

/// Builds the parts that all handshakes have.
pub(super) fn common<'a>(
    head: &'a RequestHead<'a>,
    host: &'a [u8],
    wire: WireFormat,
) -> Result<Upgrade<'a>, Refusal> {
    Ok(Upgrade {
        path: path(head)?,
        query: head.query(),
        accept: String::new(),
        host: String::from_utf8_lossy(host),
        origin: None,
        version: None,
        client_type: client_type(head),
        wire,
        head,
    })
}

/// Checks the handshake of a draft without a version header.
pub(super) fn older<'a>(head: &'a RequestHead<'a>, hixie: Hixie) -> Result<Upgrade<'a>, Refusal> {
    if head.method() != "GET" {
        return Err(BAD_METHOD);
    }
    old_scripts::check_length(head)?;
    let host = host(head)?.ok_or(NO_HOST)?;
    Ok(Upgrade { origin: origin(head)?, ..common(head, host, WireFormat::Hixie(hixie))? })
}

/// Builds the handshake of a raw client from the head made by [`raw_greeting`](super::raw_greeting).
///
/// # Errors
///
/// 400 if the head has no path.
pub fn raw_upgrade<'a>(head: &'a RequestHead<'a>) -> Result<Upgrade<'a>, Refusal> {
    common(head, b"", WireFormat::Raw)
}

/// Returns the `Host` header. RFC 9112 §3.2: exactly one in HTTP/1.1, at most one in HTTP/1.0.
pub(super) fn host<'a>(head: &RequestHead<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    let host = only(head, "Host", TWO_HOSTS)?.filter(|host| !host.is_empty());
    if host.is_none() && head.version() == Version::Http11 {
        return Err(NO_HOST);
    }
    Ok(host)
}

fn path<'a>(head: &'a RequestHead<'a>) -> Result<&'a str, Refusal> {
    Some(head.path()).filter(|path| !path.is_empty()).ok_or(NO_PATH)
}

/// Returns the value of a header that may occur only once.
fn only<'a>(
    head: &RequestHead<'a>,
    name: &str,
    twice: Refusal,
) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = head.headers(name);
    let first = values.next();
    if values.next().is_some() { Err(twice) } else { Ok(first) }
}

fn require_token(
    head: &RequestHead<'_>,
    name: &str,
    token: &str,
    missing: Refusal,
) -> Result<(), Refusal> {
    if offers(head, name, token) { Ok(()) } else { Err(missing) }
}

fn offers(head: &RequestHead<'_>, name: &str, token: &str) -> bool {
    head.tokens(name).any(|known| known.eq_ignore_ascii_case(token.as_bytes()))
}

fn client_type(head: &RequestHead<'_>) -> ClientType {
    match head.header("Client-Type") {
        None => ClientType::Absent,
        Some(php) if php.eq_ignore_ascii_case(b"php") => ClientType::Php,
        Some(_) => ClientType::Other,
    }
}

/// Returns true if a text is safe to repeat in a response, which must stay below 1,024 bytes.
fn short_word(text: &str) -> bool {
    const BYTES_MAX: usize = 255;
    (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn check(version: Option<&[u8]>, supported: SupportedVersions) -> Result<(), Refusal> {
    match (version, supported) {
        (Some(b"13"), _)
        | (Some(b"8"), SupportedVersions::DraftsToo | SupportedVersions::DraftsOrUpgrade) => Ok(()),
        (_, SupportedVersions::DraftsToo) => Err(UNKNOWN_VERSION),
        (_, SupportedVersions::DraftsOrUpgrade) => Err(OTHER_VERSION),
        (None, SupportedVersions::Rfc6455) => Err(NO_VERSION),
        (Some(_), SupportedVersions::Rfc6455) => Err(BAD_VERSION),
    }
}

impl<'a> Upgrade<'a> {
    /// Checks the WebSocket version against those that the protocol family supports.
    ///
    /// # Errors
    ///
    /// 426 with the supported versions (RFC 6455 §4.4), or 400 for Gomoob or a missing header.
    pub fn check_version(&self, supported: SupportedVersions) -> Result<(), Refusal> {
        match self.wire {
            WireFormat::Rfc6455 => check(self.version, supported),
            WireFormat::Hixie(_) | WireFormat::Raw | WireFormat::EventStream => Ok(()),
        }
    }

    /// Returns the response that completes the handshake. `protocol` must have been offered.
    #[must_use]
    pub fn answer(&self, protocol: Option<&str>) -> Vec<u8> {
        match &self.wire {
            WireFormat::Rfc6455 => switching_protocols(&self.accept, protocol),
            WireFormat::Hixie(hixie) => hixie.switching_protocols(self.origin.as_deref(), protocol),
            WireFormat::Raw | WireFormat::EventStream => Vec::new(),
        }
    }

    /// Returns the 101 response of PHP-WebSockets-Server, with its header order and its version.
    #[must_use]
    pub fn switching_protocols_of_2011(&self, protocol: Option<&str>) -> Vec<u8> {
        let origin = self.origin.as_deref().filter(|origin| short_word(origin));
        let line = |name, value: &str| format!("Sec-WebSocket-{name}: {value}\r\n");
        let mut answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
                          Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
            .to_owned();
        answer.extend(origin.map(|origin| line("Origin", origin)));
        answer.extend(protocol.map(|protocol| line("Protocol", protocol)));
        answer.push_str(&line("Accept", &self.accept));
        answer.push_str("\r\n");
        answer.into_bytes()
    }

    /// Returns the offered subprotocols, in the client's order of preference. A 101 response may
    /// contain at most one of them. A name that is not UTF-8 becomes U+FFFD, which is never a known
    /// subprotocol.
    pub fn protocols(&self) -> impl Iterator<Item = &'a str> {
        let offered = self.head.tokens(match &self.wire {
            WireFormat::Hixie(hixie) => hixie.protocol_header(),
            _ => "Sec-WebSocket-Protocol",
        });
        offered.map(|name| str::from_utf8(name).unwrap_or("\u{FFFD}"))
    }

    /// Returns the unparsed header of the offered subprotocols. `None` if it is missing or must not
    /// be repeated in a 101 response.
    #[must_use]
    pub fn offered_as_it_came(&self) -> Option<&'a str> {
        let offered = self.head.header("Sec-WebSocket-Protocol");
        offered.and_then(|text| str::from_utf8(text).ok()).filter(|text| short_word(text))
    }

    /// Returns the header `Ident` of phpWebSocketServer clients. It may be empty.
    #[must_use]
    pub fn ident(&self) -> Option<Cow<'a, str>> {
        self.head.text("Ident")
    }

    /// Returns the header `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        self.head.header("User-Agent")
    }

    /// Returns the addresses in `X-Forwarded-For` in the order in which proxies appended them. They
    /// are reliable only if a trusted proxy sent them.
    pub fn forwarded_for(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.head.list("X-Forwarded-For")
    }

    /// Returns the client class by phpWebSocketServer's rules. Its oldest PHP scripts send neither
    /// `Client-Type` nor `User-Agent`, and open `/php`.
    #[must_use]
    pub fn class(&self) -> ClientClass {
        if let WireFormat::Hixie(_) = self.wire {
            // Browsers of that time do not send `User-Agent`.
            return ClientClass::Web;
        }
        let is_old_script = self.user_agent().is_none() && self.path == "/php";
        if self.client_type == ClientType::Php || is_old_script {
            ClientClass::Php
        } else {
            ClientClass::Web
        }
    }
}

#[cfg(test)]
mod tests;
