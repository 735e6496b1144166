//! Connection counts, in total and per IP address, against which joins are checked.

use std::collections::HashMap;
use std::collections::hash_map::IntoValues;
use std::net::IpAddr;
use std::ops::ControlFlow;

use super::application_counts::ApplicationCounts;
use super::limits_over_hosts::{LimitsOverHosts, MaxOverHosts};
use crate::link::message::Full;
use crate::types::{AddressLimit, Client, ConnectionRef, Slot, WorkerId, counted_as};

/// The limits of `websock.ini` that apply across all workers; 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxConnections {
    /// Maximum number of joined clients of every kind.
    pub max_clients: u32,
    /// Maximum number of clients per IP address. Only clients that are limited by address count.
    pub max_per_ip: u32,
    /// The same for all hosts of a cluster.
    pub over_hosts: MaxOverHosts,
}

impl MaxConnections {
    fn needs_addresses(self) -> bool {
        self.max_per_ip > 0 || self.over_hosts.max_per_ip > 0
    }
}

/// Counts joined clients. Addresses are stored only while a limit needs them.
#[derive(Debug, Default)]
pub(super) struct ConnectionLimits {
    limits: MaxConnections,
    by_address: HashMap<IpAddr, u32>,
    addresses: HashMap<WorkerId, HashMap<Slot, IpAddr>>,
    /// Clients of applications with a limit.
    applications: ApplicationCounts,
    /// Connections of other hosts.
    pub(super) over_hosts: LimitsOverHosts,
    /// Addresses of clients of removed workers. They still count.
    departed: Vec<IntoValues<Slot, IpAddr>>,
}

impl ConnectionLimits {
    #[cfg(test)]
    fn new(limits: MaxConnections) -> Self {
        let mut connections = Self::default();
        connections.limit(limits);
        connections
    }

    /// Replaces the limits. Clients that joined while no limit needed their addresses are not counted by
    /// address.
    pub(super) fn limit(&mut self, limits: MaxConnections) {
        self.limits = limits;
        self.over_hosts.limit(limits.over_hosts);
        if !limits.needs_addresses() {
            (self.by_address, self.addresses, self.departed) = Default::default();
        }
    }

    /// Replaces the limits of applications, by their keys.
    pub(super) fn limit_applications(&mut self, limits: &[(String, u32)]) {
        self.applications.limit(limits);
    }

    /// Checks whether one more client may join.
    pub(super) fn admit(
        &self,
        clients: usize,
        place: ConnectionRef,
        client: &Client,
    ) -> Result<(), Full> {
        let limit = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        if self.limits.max_clients > 0 && clients >= limit(self.limits.max_clients) {
            return Err(Full::Clients);
        }
        if self.over_hosts.is_full(clients) {
            return Err(Full::Clients);
        }
        if self.counts(client) && !self.has(place) && self.is_full(client.ip) {
            return Err(Full::Address);
        }
        if self.applications.is_full(place, client) {
            return Err(Full::Application);
        }
        Ok(())
    }

    fn has(&self, place: ConnectionRef) -> bool {
        self.addresses.get(&place.worker).is_some_and(|slots| slots.contains_key(&place.slot))
    }

    /// Checks whether [`Self::reserve`] would succeed.
    pub(super) fn reserves(&self, place: ConnectionRef, ip: IpAddr) -> Result<(), Full> {
        match self.limits.needs_addresses() && !self.has(place) && self.is_full(ip) {
            true => Err(Full::Address),
            false => Ok(()),
        }
    }

    /// Counts a client by its address before it joins, while its backend is asked to authorize it.
    pub(super) fn reserve(&mut self, place: ConnectionRef, ip: IpAddr) -> Result<(), Full> {
        self.reserves(place, ip)?;
        if self.limits.needs_addresses() {
            self.count(place, ip);
        }
        Ok(())
    }

    fn is_full(&self, ip: IpAddr) -> bool {
        let (address, max) = (counted_as(ip), self.limits.max_per_ip);
        let count = self.by_address.get(&address).copied().unwrap_or(0);
        max > 0 && count >= max || self.over_hosts.is_address_full(address, count)
    }

    fn count(&mut self, place: ConnectionRef, ip: IpAddr) {
        let address = counted_as(ip);
        let slots = self.addresses.entry(place.worker).or_default();
        if slots.insert(place.slot, address).is_none() {
            let count = self.by_address.entry(address).or_default();
            *count += 1;
            self.over_hosts.note(address, *count - 1, *count);
        }
    }

    /// Counts a client that has joined, including a client that an earlier broker admitted.
    pub(super) fn join(&mut self, place: ConnectionRef, client: &Client) {
        if self.counts(client) {
            self.count(place, client.ip);
        }
        self.applications.join(place, client);
    }

    pub(super) fn leave(&mut self, place: ConnectionRef) {
        self.applications.leave(place);
        let slots = self.addresses.get_mut(&place.worker);
        if let Some(address) = slots.and_then(|slots| slots.remove(&place.slot)) {
            self.count_down(address);
        }
    }

    fn count_down(&mut self, address: IpAddr) {
        let Some(count) = self.by_address.get_mut(&address) else { return };
        *count -= 1;
        self.over_hosts.note(address, *count + 1, *count);
        if *count == 0 {
            self.by_address.remove(&address);
        }
    }

    /// Detaches a worker that is gone. Its clients count until [`Self::remove_departed`] removes them.
    pub(super) fn unlink(&mut self, worker: WorkerId) {
        self.applications.unlink(worker);
        if let Some(slots) = self.addresses.remove(&worker) {
            self.departed.push(slots.into_values());
        }
    }

    /// Removes clients of detached workers from the counts, until `is_spent` returns true, which is
    /// called after each.
    pub(super) fn remove_departed(
        &mut self,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        while let Some(last) = self.departed.last_mut() {
            let Some(address) = last.next() else {
                self.departed.pop();
                continue;
            };
            self.count_down(address);
            if is_spent() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Returns whether clients of detached workers still count.
    pub(super) fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }

    fn counts(&self, client: &Client) -> bool {
        self.limits.needs_addresses() && client.counted == AddressLimit::ByAddress
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AddressCount, ClientClass, ClientUuid, ConnectionCounts, Tags, Tenant};

    fn client(ip: &str, counted: AddressLimit) -> Client {
        Client {
            tenant: Tenant::shared(),
            uuid: ClientUuid([0; 16]),
            ident: None,
            tags: Tags::default(),
            class: ClientClass::Web,
            takes_publications: true,
            counted,
            application: None,
            ip: ip.parse().unwrap(),
        }
    }

    fn limits(max_clients: u32, max_per_ip: u32) -> MaxConnections {
        MaxConnections { max_clients, max_per_ip, over_hosts: MaxOverHosts::default() }
    }

    fn place(slot: u32) -> ConnectionRef {
        ConnectionRef { worker: WorkerId(0), slot: Slot(slot) }
    }

    #[test]
    fn an_address_is_full_until_one_of_it_leaves_and_others_do_not_count() {
        let mut connections = ConnectionLimits::new(limits(0, 2));
        let web = client("127.0.0.1", AddressLimit::ByAddress);
        connections.join(place(1), &web);
        connections.join(place(2), &client("::ffff:127.0.0.1", AddressLimit::ByAddress));
        assert_eq!(connections.admit(2, place(99), &web), Err(Full::Address));
        assert_eq!(
            connections.admit(2, place(99), &client("127.0.0.2", AddressLimit::ByAddress)),
            Ok(())
        );
        let php = client("127.0.0.1", AddressLimit::InAll);
        assert_eq!(connections.admit(2, place(99), &php), Ok(()));
        connections.join(place(3), &php);
        connections.leave(place(3));
        assert_eq!(connections.admit(2, place(99), &web), Err(Full::Address));
        connections.leave(place(2));
        connections.leave(place(2));
        assert_eq!(connections.admit(1, place(99), &web), Ok(()));
        connections.unlink(WorkerId(0));
        assert!(connections.remove_departed(&mut || false).is_continue());
        assert!(connections.by_address.is_empty() && connections.addresses.is_empty());
    }

    #[test]
    fn clients_of_a_dead_worker_are_uncounted_one_by_one() {
        let mut connections = ConnectionLimits::new(limits(0, 3));
        let web = client("192.0.2.1", AddressLimit::ByAddress);
        (0..3).for_each(|slot| connections.join(place(slot), &web));
        connections.unlink(WorkerId(0));
        let elsewhere = ConnectionRef { worker: WorkerId(1), slot: Slot(0) };
        for left in [true, true, true, false] {
            assert_eq!(connections.has_departed(), left || !connections.departed.is_empty());
            let counted = connections.by_address.values().sum::<u32>();
            assert_eq!(connections.admit(0, elsewhere, &web).is_err(), counted == 3);
            let outcome = connections.remove_departed(&mut || true);
            assert_eq!(outcome.is_break(), left);
        }
        assert!(!connections.has_departed() && connections.by_address.is_empty());
        connections.join(elsewhere, &web);
        assert_eq!(connections.by_address.len(), 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_in_the_total() {
        let mut connections = ConnectionLimits::new(limits(3, 1));
        connections.join(place(1), &client("2001:db8:0:1::1", AddressLimit::ByAddress));
        let full = connections.admit(
            1,
            place(99),
            &client("2001:db8:0:1:ffff::2", AddressLimit::ByAddress),
        );
        assert_eq!(full, Err(Full::Address));
        assert_eq!(
            connections.admit(1, place(99), &client("2001:db8:0:2::1", AddressLimit::ByAddress)),
            Ok(())
        );
        assert_eq!(
            connections.admit(3, place(99), &client("::1", AddressLimit::InAll)),
            Err(Full::Clients)
        );
    }

    #[test]
    fn a_client_that_awaits_its_backend_counts_once() {
        let mut connections = ConnectionLimits::new(limits(0, 2));
        let web = client("192.0.2.1", AddressLimit::ByAddress);
        assert_eq!(connections.reserve(place(1), web.ip), Ok(()));
        assert_eq!(connections.reserve(place(1), web.ip), Ok(()), "a later broker is told again");
        assert_eq!(connections.reserve(place(2), web.ip), Ok(()));
        assert_eq!(connections.reserve(place(3), web.ip), Err(Full::Address));
        assert_eq!(connections.admit(0, place(3), &web), Err(Full::Address));
        assert_eq!(connections.admit(0, place(1), &web), Ok(()));
        connections.join(place(1), &web);
        connections.leave(place(2));
        assert_eq!(connections.reserve(place(3), web.ip), Ok(()));
        connections.leave(place(1));
        connections.leave(place(3));
        assert!(connections.by_address.is_empty());
        assert!(connections.addresses.values().all(HashMap::is_empty));
    }

    #[test]
    fn limits_over_hosts_need_addresses_and_count_those_of_this_host() {
        let over_hosts = MaxOverHosts { max_clients: 4, max_per_ip: 2 };
        let mut connections =
            ConnectionLimits::new(MaxConnections { over_hosts, ..MaxConnections::default() });
        let web = client("192.0.2.1", AddressLimit::ByAddress);
        assert_eq!(connections.reserve(place(1), web.ip), Ok(()));
        connections.join(place(2), &web);
        assert_eq!(connections.admit(2, place(3), &web), Err(Full::Address));
        let other = client("192.0.2.2", AddressLimit::ByAddress);
        assert_eq!(connections.admit(3, place(3), &other), Ok(()));
        assert_eq!(connections.admit(4, place(3), &other), Err(Full::Clients));
        let address = other.ip;
        let addresses = vec![AddressCount { address, connections: 2 }];
        connections.over_hosts.take(ConnectionCounts { clients: 1, addresses });
        assert_eq!(connections.admit(2, place(3), &other), Err(Full::Address));
        assert_eq!(connections.admit(3, place(3), &other), Err(Full::Clients));
        connections.leave(place(1));
        assert_eq!(connections.admit(1, place(3), &web), Ok(()));
    }
}
