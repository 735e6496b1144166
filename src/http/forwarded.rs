//! Who really speaks, behind proxies: `X-Forwarded-For`, believed from trusted ones only.

use core::net::IpAddr;

use super::Upgrade;
use crate::types::IpRange;

/// The address that limits and rules look at: the peer's, or where the peer is a trusted proxy the
/// last one in `X-Forwarded-For` that is none. Everything in front of that one was written by
/// whoever wanted to.
#[must_use]
pub fn effective_address(peer: IpAddr, upgrade: &Upgrade<'_>, trusted: &[IpRange]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|range| range.contains(ip));
    let mut effective = peer.to_canonical();
    if !is_trusted(effective) {
        return effective;
    }
    for entry in upgrade.forwarded_for().rev() {
        // What is no address cannot be followed further: the proxy that passed it on counts.
        let Some(ip) = address(entry) else { return effective };
        effective = ip;
        if !is_trusted(ip) {
            return effective;
        }
    }
    effective
}

/// `192.0.2.1`, `192.0.2.1:5678`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5678`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?;
    if let Ok(ip) = entry.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let host = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => entry.rsplit_once(':')?.0,
    };
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Request, decide, parse};

    fn effective(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             {forwarded}\r\n"
        );
        let head = parse(head.as_bytes()).unwrap();
        let Request::Upgrade(upgrade) = decide(&head).unwrap() else { panic!("no upgrade") };
        let trusted: Vec<IpRange> =
            trusted.iter().map(|range| IpRange::parse(range).unwrap()).collect();
        effective_address(peer.parse().unwrap(), &upgrade, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let header = "X-Forwarded-For: 127.0.0.1\r\n";
        assert_eq!(effective("127.0.0.5", header, &[]), "127.0.0.5");
        assert_eq!(effective("127.0.0.5", header, &["127.0.0.6"]), "127.0.0.5");
    }

    #[test]
    fn the_last_entry_that_is_no_proxy_counts() {
        let header = "X-Forwarded-For: 127.0.0.1, 192.0.2.7\r\nX-Forwarded-For: 10.0.0.2\r\n";
        assert_eq!(effective("10.0.0.1", header, &["10.0.0.0/8"]), "192.0.2.7");
        assert_eq!(effective("10.0.0.1", header, &["10.0.0.1"]), "10.0.0.2");
        let header = "X-Forwarded-For: 10.0.0.3\r\n";
        assert_eq!(effective("10.0.0.1", header, &["10.0.0.0/8"]), "10.0.0.3");
        assert_eq!(effective("10.0.0.1", "", &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_left_off_and_rubbish_ends_the_search() {
        let trusted = ["10.0.0.1"];
        let of = |entry: &str| {
            effective("10.0.0.1", &format!("X-Forwarded-For: 192.0.2.9, {entry}\r\n"), &trusted)
        };
        assert_eq!(of("192.0.2.1:80"), "192.0.2.1");
        assert_eq!(of("[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("unknown"), "10.0.0.1");
    }
}
