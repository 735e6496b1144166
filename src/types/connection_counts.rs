//! Connections of hosts, against which limits over all hosts are checked.

use core::net::IpAddr;

/// Connections of one host or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Joined clients.
    pub clients: u64,
    /// Addresses of which there are many, if there is a limit for them.
    pub addresses: Vec<AddressCount>,
}

/// The connections of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressCount {
    /// The address, as it is counted.
    pub address: IpAddr,
    /// Its connections.
    pub connections: u32,
}
