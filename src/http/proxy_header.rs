//! The header of the PROXY protocol, version 1 (text) or 2 (binary), by which a proxy that does not
//! read HTTP passes on the address of its client.

use core::net::SocketAddr;

use ::proxy_header::{Error, ParseConfig, Protocol, ProxyHeader as Parsed};

use super::Refusal;
use crate::types::limits::PROXY_HEADER_BYTES_MAX;

/// Start of version 1.
const VERSION_1: &[u8] = b"PROXY ";
/// Signature of version 2. An HTTP request differs from its fifth byte on.
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, with its line end.
const TEXT_BYTES_MAX: usize = 107;
/// Bytes of version 2 before the addresses; the last two are the length of what follows.
const FIXED_BYTES: usize = 16;

const INVALID: Refusal = Refusal::bad(
    "the header of the PROXY protocol is not valid: use version 1 or 2 for TCP (send-proxy, \
     send-proxy-v2)",
);
const TOO_LONG: Refusal = Refusal::bad(
    "the header of the PROXY protocol is longer than 4096 bytes: have the proxy send fewer details, \
     such as no certificates of clients",
);

/// The beginning of a connection, seen as a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Something else.
    Absent,
    /// The beginning of a header, or too few bytes to tell.
    Incomplete,
    /// A header of this length.
    Whole {
        /// The client of the proxy. None if the proxy speaks for itself, as in its health checks.
        client: Option<SocketAddr>,
        /// Bytes of the header.
        length: usize,
    },
}

impl ProxyHeader {
    /// Returns true if a header may begin like this. It is cheap, and false for most requests.
    #[must_use]
    pub fn may_begin(bytes: &[u8]) -> bool {
        matches!(bytes, [b'P', b'R', ..] | [b'P'] | [b'\r', ..])
    }

    /// Parses the first bytes of a connection. The result does not depend on how they were split.
    ///
    /// # Errors
    ///
    /// 400 if the header is invalid or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let Some(version) = [VERSION_1, VERSION_2].into_iter().find(|it| begins(bytes, it)) else {
            return Ok(Self::Absent);
        };
        if bytes.len() < version.len() {
            return Ok(Self::Incomplete);
        }
        let announced = if version == VERSION_2 { length_of_binary(bytes) } else { None };
        if announced.is_some_and(|length| length > PROXY_HEADER_BYTES_MAX) {
            return Err(TOO_LONG);
        }
        match Parsed::parse(bytes, ParseConfig::default()) {
            Ok((_, length)) if version == VERSION_1 && length > TEXT_BYTES_MAX => Err(INVALID),
            Ok((header, length)) => match header.proxied_address() {
                Some(address) if address.protocol != Protocol::Stream => Err(INVALID),
                address => Ok(Self::Whole { client: address.map(|it| it.source), length }),
            },
            // What is announced has arrived, and is too short for its addresses.
            Err(Error::BufferTooShort) if announced.is_some_and(|it| bytes.len() >= it) => {
                Err(INVALID)
            }
            Err(Error::BufferTooShort) => Ok(Self::Incomplete),
            Err(_) => Err(INVALID),
        }
    }
}

/// Returns the length that a header of version 2 announces.
fn length_of_binary(bytes: &[u8]) -> Option<usize> {
    let [high, low] = bytes.get(FIXED_BYTES - 2..FIXED_BYTES)? else { return None };
    Some(FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low])))
}

/// Returns true if the bytes begin like this text, as far as both go.
fn begins(bytes: &[u8], text: &[u8]) -> bool {
    bytes.iter().zip(text).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [VERSION_2, &[command, family], &length, rest].concat()
    }

    fn whole(client: Option<&str>, length: usize) -> Result<ProxyHeader, Refusal> {
        Ok(ProxyHeader::Whole { client: client.map(|it| it.parse().unwrap()), length })
    }

    #[test]
    fn the_client_is_the_source_of_the_header() {
        let text = b"PROXY TCP4 192.0.2.7 192.0.2.2 4321 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(ProxyHeader::parse(text), whole(Some("192.0.2.7:4321"), 40));
        let text = b"PROXY TCP6 2001:db8::7 2001:db8::1 4321 80\r\n";
        assert_eq!(ProxyHeader::parse(text), whole(Some("[2001:db8::7]:4321"), text.len()));
        let addresses = [192, 0, 2, 7, 192, 0, 2, 2, 0x10, 0xe1, 0, 80];
        // Details after the addresses are skipped.
        let header = binary(0x21, 0x11, &[&addresses[..], &[4, 0, 1, b'x']].concat());
        assert_eq!(ProxyHeader::parse(&header), whole(Some("192.0.2.7:4321"), 32));
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_has_no_client() {
        assert_eq!(ProxyHeader::parse(b"PROXY UNKNOWN\r\n"), whole(None, 15));
        assert_eq!(ProxyHeader::parse(b"PROXY UNKNOWN a b c\r\nGET"), whole(None, 21));
        assert_eq!(ProxyHeader::parse(&binary(0x20, 0x00, &[])), whole(None, 16));
        assert_eq!(ProxyHeader::parse(&binary(0x21, 0x31, &[0; 216])), whole(None, 232));
    }

    #[test]
    fn other_bytes_are_not_a_header() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"POST / ", b"PROPFIND ", b"\r\n\r\nGET", b"\x16\x03"]
        {
            assert_eq!(ProxyHeader::parse(bytes), Ok(ProxyHeader::Absent), "{bytes:?}");
        }
        for bytes in [&b"P"[..], b"PRO", b"PROXY", b"\r\n", b"PROXY TCP4 192.0.2.7", VERSION_2] {
            assert_eq!(ProxyHeader::parse(bytes), Ok(ProxyHeader::Incomplete), "{bytes:?}");
            assert!(ProxyHeader::may_begin(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn an_invalid_or_long_header_is_refused() {
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100], b"\r\n"].concat();
        for bytes in [
            &b"PROXY TCP5 192.0.2.7 192.0.2.2 1 2\r\n"[..],
            b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.2 1 2\rx",
            b"PROXY TCP4 192.0.2.7 192.0.2.2 1 70000\r\n",
            &long,
            &binary(0x31, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 11]),
            &binary(0x21, 0x12, &[0; 12]),
        ] {
            assert_eq!(ProxyHeader::parse(bytes), Err(INVALID), "{bytes:?}");
        }
        let announced = [VERSION_2, &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(ProxyHeader::parse(&announced), Err(TOO_LONG));
    }
}
