//! What a request wants: to become a WebSocket, or a page.

use std::borrow::Cow;

use tungstenite::handshake::derive_accept_key;

use crate::types::ClientClass;

use super::legacy::old_scripts;
use super::response::switching_protocols;
use super::{Hixie, Refusal, RefusalStatus, RequestHead, Version};

const HTTP_10: Refusal = Refusal::bad("a WebSocket begins with HTTP/1.1");
const NO_HOST: Refusal = Refusal::bad("the header Host is missing");
const TWO_HOSTS: Refusal = Refusal::bad("the header Host may stand once");
const NO_UPGRADE: Refusal = Refusal::bad("the header Upgrade: websocket is missing");
const NO_CONNECTION: Refusal = Refusal::bad("the header Connection: Upgrade is missing");
const NO_KEY: Refusal = Refusal::bad("the header Sec-WebSocket-Key is missing");
const TWO_KEYS: Refusal = Refusal::bad("the header Sec-WebSocket-Key may stand once");
const NO_VERSION: Refusal = Refusal::bad("the header Sec-WebSocket-Version: 13 is missing");
const TWO_VERSIONS: Refusal = Refusal::bad("the header Sec-WebSocket-Version may stand once");
const BAD_VERSION: Refusal =
    Refusal::new(RefusalStatus::UpgradeRequired, "the version of WebSocket spoken here is 13");
const UNKNOWN_VERSION: Refusal =
    Refusal::new(RefusalStatus::BadVersion, "the versions of WebSocket spoken here are 13 and 8");
const OTHER_VERSION: Refusal = Refusal::new(
    RefusalStatus::UpgradeRequired,
    "the versions of WebSocket spoken here are 13 and 8",
);
const TWO_ORIGINS: Refusal = Refusal::bad("the header Origin may stand once");
const BAD_METHOD: Refusal = Refusal::new(RefusalStatus::MethodNotAllowed, "the method is GET");
const NO_PATH: Refusal = Refusal::bad("the request target is a path: /");

/// What a request wants.
#[derive(Clone, Debug)]
pub enum RequestKind<'a> {
    /// To become a WebSocket.
    Upgrade(Upgrade<'a>),
    /// A page: a GET, HEAD or OPTIONS without a word of WebSocket in it.
    Page {
        /// Which; `/` is the page, a path that speaks WebSocket is answered by
        /// [`Refusal::WEBSOCKET_ONLY`], any other by [`Refusal::NOT_FOUND`].
        path: &'a str,
        /// Whether it is to be sent or only described.
        wanted: PlainAnswer,
    },
}

/// What the answer to a plain request contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainAnswer {
    /// Head and body: GET.
    Whole,
    /// The head alone: HEAD.
    Head,
    /// Which methods there are: OPTIONS.
    Methods,
}

/// A WebSocket handshake that keeps the rules of RFC 6455 §4.2.1.
#[derive(Clone, Debug)]
pub struct Upgrade<'a> {
    /// The path, without its query and not decoded.
    pub path: &'a str,
    /// The query, not decoded.
    pub query: Option<&'a str>,
    /// The value of `Sec-WebSocket-Accept` in the 101: 28 characters.
    pub accept: String,
    /// The header `Host`; what the same origin is.
    pub host: Cow<'a, str>,
    /// The header `Origin`; an empty one counts as none, as clients of phpWebSocketServer from
    /// 2021 send it so.
    pub origin: Option<Cow<'a, str>>,
    /// The header `Sec-WebSocket-Version`: see [`Upgrade::check_version`].
    pub version: Option<&'a [u8]>,
    /// The header `Client-Type` of phpWebSocketServer's clients.
    pub client_type: ClientType,
    /// What is spoken once the handshake is answered.
    pub wire: WireFormat,
    /// All headers, for what only some dialects look at.
    pub head: &'a RequestHead<'a>,
}

/// What a connection speaks behind its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// Frames of RFC 6455.
    Rfc6455,
    /// Frames of the drafts 75 and 76, which only browsers have spoken.
    Hixie(Hixie),
    /// JSON without frames; there is no answer to the handshake.
    Raw,
}

/// Which versions of WebSocket a dialect speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// 13 alone: RFC 6455.
    Rfc6455,
    /// Also 8, the last draft, whose frames are the same: Gomoob's server takes it.
    DraftsToo,
    /// The same; whatever else is asked for, and nothing, is answered 426.
    DraftsOrUpgrade,
}

/// The header `Client-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientType {
    /// It was not sent.
    Absent,
    /// `php`, in any case.
    Php,
    /// Anything else.
    Other,
}

/// Decides what a request wants.
///
/// Version, key and length of a body are left to [`Upgrade::check_version`], [`Upgrade::check_key`]
/// and [`Upgrade::check_body`].
///
/// Whatever offers to become a WebSocket or names a `Sec-WebSocket-` header is meant as one and has
/// to be a good one. An offer of another protocol (`Upgrade: h2c`) is not taken, which is an answer
/// (RFC 9110 §7.8). Of several faults the first is told in the order that phpWebSocketServer has: headers
/// that are missing or wrong, the version, the method.
///
/// # Errors
///
/// 400, 405 or 426 with what would be right.
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
    // RFC 9110 §9.3.7: `*` asks about the server as a whole.
    let is_whole = wanted == PlainAnswer::Methods && head.target() == "*";
    Ok(RequestKind::Page { path: if is_whole { "/" } else { path(head)? }, wanted })
}

/// Decides about a request for what speaks WebSocket only, as lenient as bloatless/php-websocket is:
/// a client that asks wants one, with or without `Upgrade`, `Connection` and a key.
///
/// # Errors
///
/// 400, 405 or 426 with what would be right.
pub fn decide_leniently<'a>(head: &'a RequestHead<'a>) -> Result<RequestKind<'a>, Refusal> {
    upgrade(head, Demands::Few).map(RequestKind::Upgrade)
}

/// What a handshake has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demands {
    /// All that RFC 6455 §4.2.1 asks for.
    Rfc6455,
    /// A version.
    Few,
}

fn is_meant_as_websocket(head: &RequestHead<'_>) -> bool {
    const PREFIX: &str = "sec-websocket-";
    let is_ours =
        |name: &str| name.get(..PREFIX.len()).is_some_and(|it| it.eq_ignore_ascii_case(PREFIX));
    offers(head, "Upgrade", "websocket") || head.names().any(is_ours)
}

/// RFC 6455 §4.2.1.
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
        check(version, Spoken::Rfc6455)?;
        return Err(BAD_METHOD);
    }
    // Drafts before the RFC have it under this name.
    let origin = origin.or_else(|| head.text("Sec-WebSocket-Origin"));
    let accept = derive_accept_key(key);
    Ok(Upgrade { accept, origin, version, ..common(head, host, WireFormat::Rfc6455)? })
}

fn origin<'a>(head: &RequestHead<'a>) -> Result<Option<Cow<'a, str>>, Refusal> {
    let origin = only(head, "Origin", TWO_ORIGINS)?.filter(|origin| !origin.is_empty());
    Ok(origin.map(String::from_utf8_lossy))
}

/// What all handshakes have.
fn common<'a>(
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

/// The handshake of a draft without a version.
pub(super) fn older<'a>(head: &'a RequestHead<'a>, hixie: Hixie) -> Result<Upgrade<'a>, Refusal> {
    if head.method() != "GET" {
        return Err(BAD_METHOD);
    }
    old_scripts::check_length(head)?;
    let host = host(head)?.ok_or(NO_HOST)?;
    Ok(Upgrade { origin: origin(head)?, ..common(head, host, WireFormat::Hixie(hixie))? })
}

/// What a raw client asks for with the head that [`raw_greeting`](super::raw_greeting) made.
///
/// # Errors
///
/// 400 when it names no path.
pub fn raw_upgrade<'a>(head: &'a RequestHead<'a>) -> Result<Upgrade<'a>, Refusal> {
    common(head, b"", WireFormat::Raw)
}

/// RFC 9112 §3.2: exactly one in HTTP/1.1, at most one in HTTP/1.0.
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

/// The value of a header that may stand once.
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

/// What may be repeated in an answer that stays below 1,024 bytes.
fn short_word(text: &str) -> bool {
    const BYTES_MAX: usize = 255;
    (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn check(version: Option<&[u8]>, spoken: Spoken) -> Result<(), Refusal> {
    match (version, spoken) {
        (Some(b"13"), _) | (Some(b"8"), Spoken::DraftsToo | Spoken::DraftsOrUpgrade) => Ok(()),
        (_, Spoken::DraftsToo) => Err(UNKNOWN_VERSION),
        (_, Spoken::DraftsOrUpgrade) => Err(OTHER_VERSION),
        (None, Spoken::Rfc6455) => Err(NO_VERSION),
        (Some(_), Spoken::Rfc6455) => Err(BAD_VERSION),
    }
}

impl<'a> Upgrade<'a> {
    /// Whether the version is one that is spoken here; which ones depends on the dialect.
    ///
    /// # Errors
    ///
    /// 426 (RFC 6455 §4.4), or 400 where Gomoob's clients expect that, with the versions; 400 where
    /// there is none.
    pub fn check_version(&self, spoken: Spoken) -> Result<(), Refusal> {
        match self.wire {
            WireFormat::Rfc6455 => check(self.version, spoken),
            WireFormat::Hixie(_) | WireFormat::Raw => Ok(()),
        }
    }

    /// The answer that completes the handshake; a protocol must be one of those offered.
    #[must_use]
    pub fn answer(&self, protocol: Option<&str>) -> Vec<u8> {
        match &self.wire {
            WireFormat::Rfc6455 => switching_protocols(&self.accept, protocol),
            WireFormat::Hixie(hixie) => hixie.switching_protocols(self.origin.as_deref(), protocol),
            WireFormat::Raw => Vec::new(),
        }
    }

    /// The 101 as PHP-WebSockets-Server sent it, in its order and with its version.
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

    /// The subprotocols that the client offers, the one it likes best first. A 101 may name one of
    /// them or none. One that is not UTF-8 reads as U+FFFD: it is offered, and is not known.
    pub fn protocols(&self) -> impl Iterator<Item = &'a str> {
        let offered = self.head.tokens(match &self.wire {
            WireFormat::Hixie(hixie) => hixie.protocol_header(),
            WireFormat::Rfc6455 | WireFormat::Raw => "Sec-WebSocket-Protocol",
        });
        offered.map(|name| str::from_utf8(name).unwrap_or("\u{FFFD}"))
    }

    /// The same as one text, as it came. One that must not be in a 101 is left out.
    #[must_use]
    pub fn offered_as_it_came(&self) -> Option<&'a str> {
        let offered = self.head.header("Sec-WebSocket-Protocol");
        offered.and_then(|text| str::from_utf8(text).ok()).filter(|text| short_word(text))
    }

    /// The header `Ident` of phpWebSocketServer's clients; it may be empty.
    #[must_use]
    pub fn ident(&self) -> Option<Cow<'a, str>> {
        self.head.text("Ident")
    }

    /// The header `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        self.head.header("User-Agent")
    }

    /// The addresses in `X-Forwarded-For`, in the order that proxies appended them; to be believed
    /// only when a trusted proxy sent them.
    pub fn forwarded_for(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.head.list("X-Forwarded-For")
    }

    /// Whether it is a PHP script or everyone else, as phpWebSocketServer tells them apart: its
    /// oldest scripts send neither `Client-Type` nor `User-Agent` and open `/php`.
    #[must_use]
    pub fn class(&self) -> ClientClass {
        if let WireFormat::Hixie(_) = self.wire {
            // Browsers of that time name no `User-Agent`.
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
