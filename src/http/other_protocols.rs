//! Detection of other protocols by their first bytes, and advice to the operator.

use super::Refusal;

/// Protocol that is not expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// TLS or SSL.
    Tls,
    /// PROXY protocol of HAProxy, version 1 (text) or 2 (binary), from a peer that may not send it.
    Proxy,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// SSH.
    Ssh,
}

/// First byte of a TLS handshake: the record type (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;
/// Type of a ClientHello in SSL 2.0 (RFC 5246 appendix E.2).
const CLIENT_HELLO: u8 = 1;
/// Signature of version 2 of the PROXY protocol. An HTTP request differs from its fifth byte on.
const PROXY_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

const TLS: Refusal = Refusal::bad(
    "this is TLS, but plain text is expected here: use ws:// or http://, or serve an address with wss://",
);
const PROXY: Refusal = Refusal::bad(
    "this is the PROXY protocol, which only a proxy in trustedProxies may send, once and before TLS: \
     name the address of the proxy there, or switch the protocol off in the proxy (send-proxy, \
     proxy_protocol)",
);
const HTTP_2: Refusal = Refusal::bad(
    "this is HTTP/2, which is not supported here: use HTTP/1.1, which a WebSocket needs",
);
const SSH: Refusal = Refusal::bad("this is SSH, but HTTP is expected here: use another port");

impl OtherProtocol {
    /// Detects the protocol of the received bytes. `None` if it is HTTP or if more bytes are
    /// needed.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [HANDSHAKE_RECORD, ..] | [0x80..=0xFF, _, CLIENT_HELLO, ..] => Some(Self::Tls),
            [b'P', b'R', b'O', b'X', b'Y', b' ', ..] => Some(Self::Proxy),
            [b'\r', b'\n', b'\r', b'\n', 0, ..] => {
                PROXY_2.iter().zip(bytes).all(|(one, other)| one == other).then_some(Self::Proxy)
            }
            [b'P', b'R', b'I', ..] if bytes.starts_with(b"PRI * HTTP/2") => Some(Self::Http2),
            [b'S', b'S', b'H', b'-', ..] => Some(Self::Ssh),
            _ => None,
        }
    }

    /// Returns the error for the client and the log.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Tls => TLS,
            Self::Proxy => PROXY,
            Self::Http2 => HTTP_2,
            Self::Ssh => SSH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_recognised_by_their_first_bytes() {
        for (bytes, known) in [
            (&b"\x16\x03\x01\x02\0\x01"[..], Some(OtherProtocol::Tls)),
            (b"\x16", Some(OtherProtocol::Tls)),
            (b"\x80\x2e\x01\x03\x01", Some(OtherProtocol::Tls)),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET", Some(OtherProtocol::Proxy)),
            (b"PROXY UNKNOWN\r\n", Some(OtherProtocol::Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some(OtherProtocol::Proxy)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(OtherProtocol::Http2)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some(OtherProtocol::Ssh)),
            (b"\r\n\r\n\0other", None),
            (b"\r\n\r\nGET / HTTP/1.1", None),
            (b"GET / HTTP/1.1\r\n", None),
            (b"PROXYING / HTTP/1.1\r\n", None),
            (b"PRI", None),
            (b"POST / HTTP/1.1", None),
            (b"\xC3\xA9", None),
            (b"", None),
        ] {
            assert_eq!(OtherProtocol::of(bytes), known, "{bytes:?}");
        }
    }
}
