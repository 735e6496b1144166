//! What a bridge says about its host, and what it shows of others.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::Instant;

use super::BridgeCore;
use crate::cluster::envelope::BridgeIdentity;
use crate::cluster::host_figures::shown;
use crate::cluster::hosts::{HostState, RemoteHost};
use crate::cluster::lost_items::LostItems;
use crate::cluster::news::HostNews;
use crate::types::limits::{CLUSTER_ADDRESSES_MAX, CLUSTER_ADDRESSES_TOLD_MAX};
use crate::types::{AddressCount, ConnectionCounts, Histogram, HostId, HostProfile, OtherHost};

/// Times that a bridge has measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterTimes {
    /// How long echoes took to come back.
    pub echoes: Histogram,
    /// Half of each round trip to another host.
    pub lags: Histogram,
    /// How long the last echo took, in microseconds.
    pub last_echo_us: Option<u64>,
}

/// Sets the present time, in microseconds since 1970. Only what is shown depends on it.
pub fn set_time(core: &mut BridgeCore, unix_us: u64) {
    core.news.unix_us = unix_us;
}

/// The host has these connections now.
pub fn set_connections(core: &mut BridgeCore, counts: ConnectionCounts) {
    core.news.clients = counts.clients;
    core.news.addresses = counts.addresses;
    core.news.addresses.truncate(CLUSTER_ADDRESSES_TOLD_MAX);
}

/// Returns the connections of all live other hosts.
#[must_use]
pub fn connections_elsewhere(core: &BridgeCore) -> ConnectionCounts {
    let mut clients = 0_u64;
    let mut counts: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for (_, host) in core.hosts.iter().filter(|(_, host)| is_here(host)) {
        // The numbers come from other hosts.
        clients = clients.saturating_add(host.figures.clients());
        for AddressCount { address, connections } in host.figures.addresses() {
            let sum = counts.entry(*address).or_default();
            *sum = sum.saturating_add(*connections);
        }
    }
    let one = |(address, connections)| AddressCount { address, connections };
    let mut addresses: Vec<AddressCount> = counts.into_iter().map(one).collect();
    if addresses.len() > CLUSTER_ADDRESSES_MAX {
        addresses.sort_unstable_by_key(|it| std::cmp::Reverse(it.connections));
        addresses.truncate(CLUSTER_ADDRESSES_MAX);
    }
    ConnectionCounts { clients, addresses }
}

fn is_here(host: &RemoteHost) -> bool {
    matches!(host.state, HostState::Live | HostState::Silent)
}

/// The host knows the revoked tokens with this digest from now on.
pub fn set_revocations(core: &mut BridgeCore, digest: u64) {
    core.news.revocations = digest;
}

/// Returns the live hosts that know other revoked tokens.
#[must_use]
pub fn with_other_revocations(core: &BridgeCore) -> Vec<HostId> {
    let differs = |host: &RemoteHost| {
        let known = host.figures.revocations();
        host.state == HostState::Live && known.is_some_and(|it| it != core.news.revocations)
    };
    core.hosts.iter().filter(|(_, host)| differs(host)).map(|(id, _)| id).collect()
}

/// The host says this about itself from now on.
pub fn set_profile(core: &mut BridgeCore, profile: HostProfile, now: Instant) {
    core.news.profile = profile;
    for (_, host) in core.hosts.iter_mut() {
        host.figures.compare(&core.news.profile, now);
    }
}

/// Returns what is shown of the other hosts, by their ids. Those that are forgotten are not.
#[must_use]
pub fn others(core: &BridgeCore, now: Instant) -> Vec<OtherHost> {
    core.hosts.counted().map(|(id, host)| shown(id, host, now)).collect()
}

/// Returns the clients of this host and of all live ones.
#[must_use]
pub fn clients_of_all(core: &BridgeCore) -> u64 {
    let others = core.hosts.iter().filter(|(_, host)| is_here(host));
    // The numbers come from other hosts.
    let clients = others.map(|(_, host)| host.figures.clients());
    clients.fold(core.news.clients, u64::saturating_add)
}

/// Returns the seconds since the start of the server.
#[must_use]
pub fn uptime_s(core: &BridgeCore) -> u64 {
    core.news.uptime_s()
}

/// Returns the clients of this host.
#[must_use]
pub fn own_clients(core: &BridgeCore) -> u64 {
    core.news.clients
}

/// Returns the times that were measured.
#[must_use]
pub fn times(core: &BridgeCore) -> &ClusterTimes {
    &core.times
}

pub(super) fn news(core: &BridgeCore, now: Instant) -> HostNews {
    let returned = core.hosts.counted();
    HostNews {
        sent_us: core.news.unix_us,
        uptime_s: core.news.uptime_s(),
        clients: core.news.clients,
        addresses: core.news.addresses.clone(),
        profile: core.news.profile.clone(),
        returned: returned.filter_map(|(id, host)| host.figures.returned(id, now)).collect(),
        revocations: core.news.revocations,
    }
}

pub(super) fn receive(core: &mut BridgeCore, from: BridgeIdentity, news: &HostNews, now: Instant) {
    let BridgeCore { hosts, news: present, own, times, .. } = core;
    if let Some(host) = hosts.of(from)
        && let Some(trip) = host.figures.receive(news, own.host, present, now)
    {
        times.lags.record_time(std::time::Duration::from_micros(trip.micros / 2));
    }
}

pub(super) fn note_gap(core: &mut BridgeCore, host: HostId, lost: Option<LostItems>) {
    if let Some(host) = core.hosts.get_mut(host) {
        host.figures.note_gap(lost.map(|lost| lost.for_clients));
    }
}

pub(super) fn note_echo(core: &mut BridgeCore) {
    let time = core.echoes.last_trip();
    core.times.echoes.record_time(time);
    core.times.last_echo_us = u64::try_from(time.as_micros()).ok();
}
