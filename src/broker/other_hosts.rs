//! What the broker knows of other hosts, and which of them get a publication.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use tracing::error;

use super::client_moves::ClientMoves;
use super::findings::OwnFindings;
use super::forwards::KeptForwards;
use super::lane_places::{EntryOrigin, LanePlaces, OwnPlaces};
use super::names_of_hosts::NamesOfHosts;
use crate::cluster::{
    CarriedPublication, ClusterEffect, ForwardReach, KeptForBridge, PassedPublication,
};
use crate::index::Index;
use crate::link::bridge::HostsNotice;
use crate::link::query::HostsAnswer;
use crate::telemetry::LogThrottle;
use crate::types::limits::CLUSTER_QUERY_TIMEOUT;
use crate::types::{
    Address, ClientUuid, Generation, HostId, MatchOptions, QueryReach, Recipients, Tenant,
};

/// Time in which one line about publications that cannot be read is written.
const UNREADABLE_LOG_EVERY: Duration = Duration::from_secs(60);

/// Where the recipient of a publication to a single client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoleRecipient {
    /// On this host.
    Here,
    /// On another host, as the directory of names says.
    On(HostId),
    /// Without a connection, and able to resume on this host.
    Away,
    /// Not here, as far as this host knows.
    Elsewhere,
}

/// The other hosts of a cluster.
#[derive(Debug)]
pub(super) struct OtherHosts {
    /// This host.
    own: HostId,
    /// This broker.
    pub(super) generation: Generation,
    /// The hosts that get publications, and whether each is live. For the others they are kept.
    hosts: BTreeMap<HostId, bool>,
    /// Whether publications pass between this host and others.
    pub(super) reach: HostsNotice,
    /// For the next bridge.
    pub(super) kept: KeptForBridge,
    pub(super) forwards: KeptForwards,
    /// How long the answers of other hosts are waited for.
    pub(super) query_timeout: Duration,
    /// What this host knows about questions of clients that others are asked, too.
    pub(super) findings: OwnFindings,
    /// Lines about publications that this version cannot read.
    unreadable: LogThrottle,
    /// The clients that the bridge knows of, and the time of that message. `None` for a new bridge.
    pub(super) told_clients: Option<(usize, Duration)>,
    /// How many other live hosts the processes of this host know of.
    pub(super) told_live: usize,
    /// Items with records that this broker has sent.
    pub(super) records_sent: u64,
    /// Items about watched queries that this broker has sent.
    pub(super) watches_sent: u64,
    /// Lines about watched queries that other hosts do not know.
    pub(super) watches_full: LogThrottle,
    /// The names of clients of all hosts, and what other hosts do not know yet.
    pub(super) names: NamesOfHosts,
    /// Clients that resume on another host than before.
    pub(super) moves: ClientMoves,
    /// How far the common lanes were taken.
    pub(super) places: LanePlaces,
}

impl OtherHosts {
    /// Knows no other host yet.
    pub(super) fn new(own: HostId, generation: Generation) -> Self {
        // The first broker of a server knows that there was no bridge before.
        let is_first = generation == Generation(0);
        Self {
            own,
            generation,
            hosts: BTreeMap::new(),
            reach: HostsNotice::Cut,
            kept: if is_first { KeptForBridge::first() } else { KeptForBridge::default() },
            forwards: KeptForwards::default(),
            query_timeout: CLUSTER_QUERY_TIMEOUT,
            findings: OwnFindings::default(),
            unreadable: LogThrottle::new(1, UNREADABLE_LOG_EVERY),
            told_clients: None,
            told_live: 0,
            records_sent: 0,
            watches_sent: 0,
            watches_full: LogThrottle::new(1, UNREADABLE_LOG_EVERY),
            names: NamesOfHosts::new(own, generation),
            moves: ClientMoves::default(),
            places: LanePlaces::default(),
        }
    }

    /// A bridge without a past begins. The first of a server has had no predecessor.
    pub(super) fn begin(&mut self, bridge: Generation, now: Duration) -> KeptForBridge {
        self.kept.is_complete |= bridge == Generation(0);
        // It takes all hosts for live that are kept, until they are silent.
        self.hosts.values_mut().for_each(|is_live| *is_live = true);
        self.hosts.keys().for_each(|host| self.names.shared.host_live(*host, now));
        self.names.shared.bridge_began(now);
        self.forwards.linked();
        self.kept.clone()
    }

    /// Notes what the bridge has said, except for what has a number among its arrivals. Returns whether a run of a host is
    /// live from now on that was not.
    pub(super) fn note(&mut self, effect: ClusterEffect, now: Duration) -> bool {
        match effect {
            ClusterEffect::HostLive { host, taken } => {
                let was_known = self.hosts.insert(host, true).is_some();
                let is_new = self.places.note_live(host, &taken, self.kept.taken.get(host));
                self.names.shared.host_live(host, now);
                self.kept.taken.set(host, taken);
                return is_new || !was_known;
            }
            ClusterEffect::HostGone(host) => {
                if let Some(is_live) = self.hosts.get_mut(&host) {
                    *is_live = false;
                }
                self.names.shared.host_gone(host);
            }
            ClusterEffect::HostForgotten(host) => {
                self.hosts.remove(&host);
                self.names.shared.host_gone(host);
                self.kept.taken.note_forgotten(host);
            }
            ClusterEffect::Carried { forwards, epoch, points } => {
                self.kept.ends.note(epoch, &points);
                self.forwards.carry(forwards);
            }
            ClusterEffect::LaneClosed(lane) => self.kept.ends.close(lane),
            ClusterEffect::Arrive(_)
            | ClusterEffect::Gap { .. }
            | ClusterEffect::Degraded(_)
            | ClusterEffect::DuplicateHost => {}
        }
        false
    }

    /// Writes a line about something that another host has sent and this one cannot read, at most once a minute.
    pub(super) fn report_unreadable(
        &mut self,
        host: HostId,
        what: &'static str,
        reason: &dyn Display,
        now: Duration,
    ) {
        if self.unreadable.admits(now) {
            error!(
                event = "cluster_publication_unreadable",
                %host,
                %reason,
                "{what} of another host cannot be read"
            );
        }
    }

    /// Notes an arrival. Returns what it is in the common lane of its host, if it is there.
    pub(super) fn note_taken<B>(
        &mut self,
        taken: &PassedPublication,
        publication: &CarriedPublication<B>,
    ) -> Option<EntryOrigin> {
        self.kept.taken.note(taken);
        self.moves.note_taken();
        self.places.note_taken(&self.kept.taken, taken, publication)
    }

    /// Looks at the lanes as this host has taken them.
    pub(super) fn with_places<T>(&self, look: impl FnOnce(OwnPlaces<'_>) -> T) -> T {
        let is_live = |host| self.hosts.get(&host).copied();
        let (table, places) = (&self.kept.taken, &self.places);
        look(OwnPlaces { host: self.own, table, places, is_live: &is_live })
    }

    /// Returns this host.
    pub(super) fn own(&self) -> HostId {
        self.own
    }

    /// Returns whether a host is live.
    pub(super) fn is_live(&self, host: HostId) -> bool {
        self.hosts.get(&host) == Some(&true)
    }

    /// Returns the hosts that get publications, and are not live.
    pub(super) fn gone(&self) -> Vec<HostId> {
        self.hosts.iter().filter(|(_, is_live)| !**is_live).map(|(host, _)| *host).collect()
    }

    /// Returns whether there are others that get publications.
    pub(super) fn are_known(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Returns which other hosts may have a client that is not here.
    pub(super) fn reach_of(&self, uuid: ClientUuid) -> Option<ForwardReach> {
        match uuid.home() {
            home if self.is_live(home) => Some(ForwardReach::One(home)),
            // It has gone.
            home if home == self.own => None,
            _ => Some(ForwardReach::All),
        }
    }

    /// Returns how many others are live.
    pub(super) fn live(&self) -> usize {
        self.hosts.values().filter(|is_live| **is_live).count()
    }

    /// Returns whether a host is live besides this one.
    pub(super) fn are_live(&self) -> bool {
        self.hosts.values().any(|is_live| *is_live)
    }

    /// Returns the answers to a question that no other host has answered.
    pub(super) fn unanswered(&self, reach: QueryReach) -> HostsAnswer {
        let is_asked = |host: &HostId| match reach {
            QueryReach::All => true,
            QueryReach::One(one) => one == *host,
        };
        let live = self.hosts.iter().filter(|(_, is_live)| **is_live).map(|(host, _)| *host);
        let hosts = live.filter(is_asked).map(|host| (host, None)).collect();
        HostsAnswer { own: self.own, hosts }
    }

    /// Returns which other hosts get a publication, if any does. `sole` matters only for one to a single client.
    pub(super) fn reach(
        &self,
        index: &Index,
        tenant: &Tenant,
        address: &Address,
        sole: SoleRecipient,
    ) -> Option<ForwardReach> {
        if self.hosts.is_empty() {
            return None;
        }
        if !address.recipients.is_single() {
            return Some(ForwardReach::All);
        }
        match sole {
            SoleRecipient::Here | SoleRecipient::Away => return None,
            SoleRecipient::On(host) => return Some(ForwardReach::One(host)),
            SoleRecipient::Elsewhere => {}
        }
        let (named, is_plain) = bare(address);
        let holder = Address { recipients: named.clone(), except: None };
        if !is_plain && index.resolve_one(tenant, &holder).is_some() {
            // The client is here and is left out. No other one takes its place.
            return None;
        }
        let (uuid, has_name) = names(named);
        match uuid.map(|uuid| self.reach_of(uuid)) {
            Some(None) if !has_name => None,
            Some(Some(reach)) => Some(reach),
            _ => Some(ForwardReach::All),
        }
    }
}

/// Returns the recipients without what leaves some out, and whether there was nothing of this kind.
pub(super) fn bare(address: &Address) -> (&Recipients, bool) {
    let (mut recipients, mut is_plain) = (&address.recipients, address.except.is_none());
    loop {
        recipients = match recipients {
            Recipients::Without(it) => &it.recipients,
            Recipients::Among(it) => &it.recipients,
            recipients => return (recipients, is_plain),
        };
        is_plain = false;
    }
}

/// Returns the UUID of a single client, and whether the address has another name of it.
fn names(recipients: &Recipients) -> (Option<ClientUuid>, bool) {
    match recipients {
        Recipients::First { uuid, ident } => (*uuid, ident.is_some()),
        Recipients::Named(named) => {
            let lax = [MatchOptions::ANY_WEB, MatchOptions::ANY_IDENT, MatchOptions::SAME_NUMBER];
            let is_lax = lax.iter().any(|lax| named.options.has(*lax));
            (named.uuid, named.alias.is_some() || named.ident.is_some() || is_lax)
        }
        _ => (None, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{BridgeEpoch, HostRun, LaneStart, TakenLanes};
    use crate::types::{Ident, RecipientsWithout};

    const OWN: HostId = HostId(1);
    const LIVE: HostId = HostId(2);
    const GONE: HostId = HostId(3);

    fn hosts() -> OtherHosts {
        let mut hosts = OtherHosts::new(OWN, Generation(0));
        for host in [LIVE, GONE] {
            let (run, epoch) = (HostRun(u64::from(host.0)), BridgeEpoch(1));
            let taken = TakenLanes::begin(run, epoch, LaneStart::default());
            hosts.note(ClusterEffect::HostLive { host, taken }, Duration::ZERO);
        }
        hosts.note(ClusterEffect::HostGone(GONE), Duration::ZERO);
        hosts
    }

    fn reach(hosts: &OtherHosts, recipients: Recipients) -> Option<ForwardReach> {
        let address = Address { recipients, except: None };
        hosts.reach(&Index::default(), &Tenant::shared(), &address, SoleRecipient::Elsewhere)
    }

    fn one(home: HostId, ident: Option<&str>) -> Recipients {
        let uuid = Some(ClientUuid::at_home([7; 16], home));
        Recipients::First { uuid, ident: ident.and_then(|text| Ident::new(text).ok()) }
    }

    #[test]
    fn a_client_is_looked_for_on_the_host_that_its_uuid_names() {
        let hosts = hosts();
        assert_eq!(reach(&hosts, one(LIVE, None)), Some(ForwardReach::One(LIVE)));
        assert_eq!(reach(&hosts, one(LIVE, Some("x"))), Some(ForwardReach::One(LIVE)));
        assert_eq!(reach(&hosts, one(GONE, None)), Some(ForwardReach::All));
        assert_eq!(reach(&hosts, one(HostId(9), None)), Some(ForwardReach::All), "unknown");
        assert_eq!(reach(&hosts, one(OWN, None)), None, "it has gone");
        assert_eq!(reach(&hosts, one(OWN, Some("x"))), Some(ForwardReach::All));
    }

    #[test]
    fn tags_and_names_reach_all_hosts_that_are_known() {
        let mut hosts = hosts();
        let everyone = || Address::everyone().recipients;
        assert_eq!(reach(&hosts, everyone()), Some(ForwardReach::All));
        let address = Address::everyone();
        let shared = Tenant::shared();
        let all = hosts.reach(&Index::default(), &shared, &address, SoleRecipient::Here);
        assert_eq!(all, Some(ForwardReach::All), "also with recipients here");
        let ident = Recipients::First { uuid: None, ident: Ident::new("x").ok() };
        assert_eq!(reach(&hosts, ident.clone()), Some(ForwardReach::All));
        let without = RecipientsWithout { recipients: ident, uuids: Box::default() };
        assert_eq!(reach(&hosts, Recipients::Without(Box::new(without))), Some(ForwardReach::All));
        hosts.note(ClusterEffect::HostForgotten(LIVE), Duration::ZERO);
        hosts.note(ClusterEffect::HostForgotten(GONE), Duration::ZERO);
        assert_eq!(reach(&hosts, everyone()), None, "no host is left");
    }
}
