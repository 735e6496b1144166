//! Source addresses of the load generator.
//!
//! One address has about 28,000 ports for connections to one server, so connections to a server on
//! this machine are spread over 127.0.0.0/8. Each concurrent generator takes its own block of
//! addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Connections per source address, far below the number of its ports.
const CONNECTIONS_PER_ADDRESS: usize = 200;
/// Addresses in a block. The third and fourth number of an address run from 1 to 250.
const ADDRESSES: usize = 250 * 250;
/// Second numbers of the addresses. Each is one block. Lower numbers are left to other uses.
const BLOCKS: std::ops::RangeInclusive<u8> = 64..=250;
/// Port that marks a block as taken. The process that listens on it at the last address of the
/// block owns the block.
const LOCK_PORT: u16 = 49_159;
const LOCK_HOST: u8 = 254;

/// Source addresses of connections.
#[derive(Debug)]
pub(super) enum Sources {
    /// The system chooses, because the server is on another machine.
    Any,
    /// A block of loopback addresses, reserved while the socket is open.
    Block { second: u8, _lock: TcpListener },
}

impl Sources {
    /// Reserves a block if the server is on this machine.
    pub(super) fn towards(server: SocketAddr) -> io::Result<Self> {
        match server.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => Self::block(),
            _ => Ok(Self::Any),
        }
    }

    fn block() -> io::Result<Self> {
        for second in BLOCKS {
            let lock = SocketAddr::from(([127, second, LOCK_HOST, LOCK_HOST], LOCK_PORT));
            if let Ok(lock) = TcpListener::bind(lock) {
                return Ok(Self::Block { second, _lock: lock });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "too many generators run side by side"))
    }

    /// Returns the source address of a connection by its number.
    pub(super) fn of(&self, connection: usize) -> Option<SocketAddr> {
        let Self::Block { second, .. } = self else { return None };
        let address = connection / CONNECTIONS_PER_ADDRESS % ADDRESSES;
        let (third, fourth) = (address / 250 + 1, address % 250 + 1);
        let number = |part: usize| u8::try_from(part).unwrap_or(1);
        let ip = Ipv4Addr::new(127, *second, number(third), number(fourth));
        Some(SocketAddr::from((ip, 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_side_by_side_have_disjoint_addresses() {
        let server = SocketAddr::from(([127, 0, 0, 1], 80));
        let (one, other) = (Sources::towards(server).unwrap(), Sources::towards(server).unwrap());
        let of = |sources: &Sources, at| sources.of(at).unwrap().ip();
        assert_ne!(of(&one, 0), of(&other, 0));
        assert_eq!(of(&one, 0), of(&one, CONNECTIONS_PER_ADDRESS - 1));
        assert_ne!(of(&one, 0), of(&one, CONNECTIONS_PER_ADDRESS));
        assert!(Sources::towards(SocketAddr::from(([192, 0, 2, 1], 80))).unwrap().of(0).is_none());
    }
}
