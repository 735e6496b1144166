//! Soft limits over all hosts of a cluster: this host's connections and what the heartbeats of the others say.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::types::limits::CLUSTER_ADDRESSES_MAX;
use crate::types::{AddressCount, ConnectionCounts};

/// The limits of `[cluster]` over all hosts; 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxOverHosts {
    /// Maximum number of joined clients of every kind.
    pub max_clients: u32,
    /// Maximum number of clients per IP address. Only clients that are limited by address count.
    pub max_per_ip: u32,
}

/// Connections of other hosts, and the addresses of which this one has the most.
#[derive(Debug, Default)]
pub(super) struct LimitsOverHosts {
    pub(super) limits: MaxOverHosts,
    clients: u64,
    by_address: HashMap<IpAddr, u64>,
    /// Own addresses by the number of their connections, while there is a limit. Those that have not changed since then
    /// are missing.
    by_count: BTreeSet<(u32, IpAddr)>,
    /// Own counts of addresses have changed since other hosts learned them.
    is_changed: bool,
}

impl LimitsOverHosts {
    /// Replaces the limits.
    pub(super) fn limit(&mut self, limits: MaxOverHosts) {
        self.limits = limits;
        if limits.max_per_ip == 0 {
            self.is_changed |= !self.by_count.is_empty();
            self.by_count = BTreeSet::new();
            self.by_address = HashMap::new();
        }
    }

    /// Takes what other hosts have.
    pub(super) fn take(&mut self, ConnectionCounts { clients, addresses }: ConnectionCounts) {
        self.clients = clients;
        let counted = addresses.into_iter().take(CLUSTER_ADDRESSES_MAX);
        self.by_address = counted.map(|it| (it.address, u64::from(it.connections))).collect();
    }

    /// Returns whether all hosts together have as many clients as they may, if this one has `own`.
    pub(super) fn is_full(&self, own: usize) -> bool {
        let max = u64::from(self.limits.max_clients);
        max > 0 && self.clients.saturating_add(own as u64) >= max
    }

    /// Returns whether an address has as many connections as it may, if `own` of them are to this host.
    pub(super) fn is_address_full(&self, address: IpAddr, own: u32) -> bool {
        let max = u64::from(self.limits.max_per_ip);
        let elsewhere = self.by_address.get(&address).copied().unwrap_or(0);
        max > 0 && elsewhere.saturating_add(u64::from(own)) >= max
    }

    /// The connections of an address have changed.
    pub(super) fn note(&mut self, address: IpAddr, before: u32, after: u32) {
        if self.limits.max_per_ip == 0 {
            return;
        }
        self.by_count.remove(&(before, address));
        if after > 0 {
            self.by_count.insert((after, address));
        }
        self.is_changed = true;
    }

    /// Returns whether other hosts know other counts of addresses.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Returns what other hosts are to know, if there are so many with this one: the addresses of which this host has at
    /// least its share of the limit, those with the most first. An address with fewer on each host stays below the limit.
    pub(super) fn take_heavy(&mut self, hosts: usize) -> Vec<AddressCount> {
        self.is_changed = false;
        let hosts = u32::try_from(hosts.max(1)).unwrap_or(u32::MAX);
        let share = (self.limits.max_per_ip / hosts).max(1);
        let heavy = self.by_count.iter().rev().take_while(|(count, _)| *count >= share);
        let heavy = heavy.take(crate::types::limits::CLUSTER_ADDRESSES_TOLD_MAX);
        heavy
            .map(|(count, address)| AddressCount { address: *address, connections: *count })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn limited(max_clients: u32, max_per_ip: u32) -> LimitsOverHosts {
        let mut limits = LimitsOverHosts::default();
        limits.limit(MaxOverHosts { max_clients, max_per_ip });
        limits
    }

    #[test]
    fn the_connections_of_all_hosts_count() {
        let mut limits = limited(10, 4);
        assert!(!limits.is_full(9) && limits.is_full(10));
        let addresses = vec![AddressCount { address: address(1), connections: 3 }];
        limits.take(ConnectionCounts { clients: 7, addresses });
        assert!(!limits.is_full(2) && limits.is_full(3));
        assert!(!limits.is_address_full(address(1), 0) && limits.is_address_full(address(1), 1));
        assert!(!limits.is_address_full(address(2), 3) && limits.is_address_full(address(2), 4));
        limits.take(ConnectionCounts { clients: u64::MAX, addresses: Vec::new() });
        assert!(limits.is_full(usize::MAX) && !limits.is_address_full(address(1), 3));
        assert!(!limited(0, 0).is_full(usize::MAX), "no limit");
    }

    #[test]
    fn other_hosts_learn_the_addresses_with_a_share_of_the_limit() {
        let mut limits = limited(0, 9);
        let mut counts: HashMap<IpAddr, u32> = HashMap::new();
        for last in [1, 2, 2, 3, 3, 3, 4, 4, 4, 4] {
            let count = counts.entry(address(last)).or_default();
            limits.note(address(last), *count, *count + 1);
            *count += 1;
        }
        assert!(limits.is_changed());
        let shown = |heavy: Vec<AddressCount>| -> Vec<u32> {
            heavy.into_iter().map(|it| it.connections).collect()
        };
        assert_eq!(shown(limits.take_heavy(3)), [4, 3]);
        assert!(!limits.is_changed());
        assert_eq!(shown(limits.take_heavy(100)), [4, 3, 2, 1]);
        limits.note(address(4), 4, 3);
        limits.note(address(1), 1, 0);
        assert_eq!(shown(limits.take_heavy(100)), [3, 3, 2]);
        limits.limit(MaxOverHosts::default());
        assert!(limits.is_changed() && limits.take_heavy(3).is_empty());
        limits.note(address(1), 0, 1);
        assert!(limits.by_count.is_empty(), "nothing is kept without a limit");
    }

    #[test]
    fn no_host_names_more_addresses_than_fit_a_heartbeat() {
        let mut limits = limited(0, 1);
        for number in 0..1000_u32 {
            limits.note(IpAddr::from(number.to_be_bytes()), 0, 1);
        }
        let told = limits.take_heavy(2).len();
        assert_eq!(told, crate::types::limits::CLUSTER_ADDRESSES_TOLD_MAX);
    }
}
