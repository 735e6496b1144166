//! A range of IP addresses in the configuration: a single address or a prefix.

use core::net::IpAddr;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An address and the length of its prefix, such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IpRange {
    first: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Creates a range of one address.
    #[must_use]
    pub fn one(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { first: ip, bits: width(ip) }
    }

    /// Parses `192.0.2.1`, `10.0.0.0/8` or `2001:db8::/32`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some((ip, bits)) = text.split_once('/') else {
            return text.parse().ok().map(Self::one);
        };
        let first: IpAddr = ip.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= width(first))?;
        Some(Self { first, bits })
    }

    /// Returns true if the address is in the range. An IPv4-mapped IPv6 address counts as its IPv4
    /// address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                let apart = u32::from(first) ^ u32::from(ip);
                apart.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                let apart = u128::from(first) ^ u128::from(ip);
                apart.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.first) {
            self.first.fmt(f)
        } else {
            write!(f, "{}/{}", self.first, self.bits)
        }
    }
}

const fn width(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Returns the address under which a client is counted. For IPv6 this is the /64 prefix, because
/// one customer usually has a whole /64.
#[must_use]
pub fn counted_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, ip: &str) -> bool {
        IpRange::parse(range).unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_range_holds_what_shares_its_leading_bits() {
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
    }

    #[test]
    fn an_invalid_range_is_refused() {
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0/8", "10.0.0.1:80"] {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
    }
}
