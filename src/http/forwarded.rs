//! Client address behind proxies. `X-Forwarded-For` is used only if a trusted proxy sent it.

use core::net::IpAddr;

use super::{Refusal, RequestHead, Upgrade};
use crate::types::IpRange;

const UNREADABLE: Refusal = Refusal::bad(
    "X-Forwarded-For of a trusted proxy does not end in an address: have the proxy add the address \
     of its client",
);

/// Returns the client address for limits and rules. This is the peer's address, unless the peer is
/// a trusted proxy. Then it is the last address in `X-Forwarded-For` that is not a trusted proxy.
/// The entries before that one may be forged.
///
/// # Errors
///
/// 400 if a required entry is not an address. Limits and rights depend on the client address, so an
/// unknown client must not get the address of the proxy.
pub fn effective_address(
    peer: IpAddr,
    upgrade: &Upgrade<'_>,
    trusted: &[IpRange],
) -> Result<IpAddr, Refusal> {
    effective_address_of(peer, upgrade.head, trusted)
}

/// Returns the client address of a request of any kind.
///
/// # Errors
///
/// As [`effective_address`].
pub fn effective_address_of(
    peer: IpAddr,
    head: &RequestHead<'_>,
    trusted: &[IpRange],
) -> Result<IpAddr, Refusal> {
    effective_address_by(peer, head.list("X-Forwarded-For"), trusted).ok_or(UNREADABLE)
}

/// Returns the client address of a request with these entries of `X-Forwarded-For`. `None` if a required one
/// is not an address.
pub fn effective_address_by<'h>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'h [u8]>,
    trusted: &[IpRange],
) -> Option<IpAddr> {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|range| range.contains(ip));
    let mut effective = peer.to_canonical();
    if !is_trusted(effective) {
        return Some(effective);
    }
    for entry in forwarded.rev() {
        effective = address(entry)?;
        if !is_trusted(effective) {
            break;
        }
    }
    Some(effective)
}

/// Parses `192.0.2.1`, `192.0.2.1:5678`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:5678`.
/// Other entries of the header are not parsed and may contain any bytes.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?;
    if let Ok(ip) = entry.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (host, port) = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => entry.split_at_checked(entry.rfind(':')?)?,
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|it| it.parse::<u16>().is_ok());
    let ip = host.parse::<IpAddr>().ok()?;
    (port.is_empty() || is_port(port)).then(|| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{RequestKind, decide, parse};

    fn effective(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let ip = of_bytes(peer, forwarded.as_bytes(), trusted);
        ip.map_or_else(|_| "refused".to_owned(), |ip| ip.to_string())
    }

    fn of_bytes(peer: &str, forwarded: &[u8], trusted: &[&str]) -> Result<IpAddr, Refusal> {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
        let head = [head.as_bytes(), forwarded, b"\r\n"].concat();
        let head = parse(&head).unwrap();
        let RequestKind::Upgrade(upgrade) = decide(&head).unwrap() else { panic!("no upgrade") };
        let trusted: Vec<IpRange> =
            trusted.iter().map(|range| IpRange::parse(range).unwrap()).collect();
        effective_address(peer.parse().unwrap(), &upgrade, &trusted)
    }

    #[test]
    fn an_untrusted_proxy_is_ignored() {
        let header = "X-Forwarded-For: 127.0.0.1\r\n";
        assert_eq!(effective("127.0.0.5", header, &[]), "127.0.0.5");
        assert_eq!(effective("127.0.0.5", header, &["127.0.0.6"]), "127.0.0.5");
    }

    #[test]
    fn the_last_entry_that_is_not_a_proxy_counts() {
        let header = "X-Forwarded-For: 127.0.0.1, 192.0.2.7\r\nX-Forwarded-For: 10.0.0.2\r\n";
        assert_eq!(effective("10.0.0.1", header, &["10.0.0.0/8"]), "192.0.2.7");
        assert_eq!(effective("10.0.0.1", header, &["10.0.0.1"]), "10.0.0.2");
        let header = "X-Forwarded-For: 10.0.0.3\r\n";
        assert_eq!(effective("10.0.0.1", header, &["10.0.0.0/8"]), "10.0.0.3");
        assert_eq!(effective("10.0.0.1", "", &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_removed_and_invalid_addresses_refused() {
        let trusted = ["10.0.0.1"];
        let of = |entry: &str| {
            effective("10.0.0.1", &format!("X-Forwarded-For: 192.0.2.9, {entry}\r\n"), &trusted)
        };
        assert_eq!(of("192.0.2.1:80"), "192.0.2.1");
        assert_eq!(of("[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1,"), "refused");
        for unreadable in ["unknown", "", "192.0.2", "192.0.2.1:x", "[::1", "[::1]x", "::1%eth0"] {
            assert_eq!(of(unreadable), "refused", "{unreadable}");
        }
        assert_eq!(effective("10.0.0.1", "X-Forwarded-For:\r\n", &trusted), "refused");
        assert_eq!(effective("10.0.0.2", "X-Forwarded-For: unknown\r\n", &trusted), "10.0.0.2");
    }

    #[test]
    fn bytes_before_the_address_that_counts_are_ignored() {
        let of = |line: &[u8]| of_bytes("10.0.0.1", line, &["10.0.0.1"]).map(|ip| ip.to_string());
        let found = Ok("192.0.2.9".to_owned());
        assert_eq!(of(b"X-Forwarded-For: \xFF, 192.0.2.9\r\n"), found);
        assert_eq!(of(b"X-Forwarded-For: \xFF\r\nX-Forwarded-For: 192.0.2.9\r\n"), found);
        assert_eq!(of(b"X-Forwarded-For: 127.0.0.1\xFF, ,, 192.0.2.9\r\n"), found);
        assert_eq!(of(b"X-Forwarded-For: 192.0.2.9, \xFF\r\n"), Err(UNREADABLE));
        assert_eq!(of(b"X-Forwarded-For: \xFF, 10.0.0.1\r\n"), Err(UNREADABLE));
    }
}
