//! Clients that resume on another host than before: each host is a router with one worker. What a host sends to another
//! one is on its way until a test lets it arrive.

use std::collections::VecDeque;

use super::super::bridge;
use super::ids_of_hosts::{BRIDGE, link_to};
use super::recoveries::{has_joined, head, recovered, since, storing, terms_of_record};
use super::*;
use crate::broker::records::RecordKey;
use crate::cluster::{
    Arrival, BridgeEpoch, CarriedPublication, ClusterEffect, Forward, ForwardReach, HostRun,
    LaneKey, LanePoint, LaneStart, PassedPublication, TakenLanes,
};
use crate::link::bridge::{FromBridge, ToBridge};
use crate::link::presence::FromWatcher;
use crate::link::resume::{ResumableJoin, ResumeClaim, ToResumable};
use crate::types::{
    ClientFilter, ClusterMember, HostId, MissedRequest, ReplayPosition, ResumeGeneration,
    WatchMode, WatchScope, WatchTerms,
};

/// The host that publishes.
const PUBLISHER: usize = 0;
/// The host on which the client was.
const FORMER: usize = 1;
/// The host on which it resumes.
const NEW: usize = 2;
const HOSTS: usize = 3;

/// The slot of the client on both hosts.
const SLOT: u32 = 4;

struct Host {
    router: Router,
    /// Items that it has sent: in its common lane, and in the private lanes of others.
    common: u64,
    private: [u64; HOSTS],
    arrived: u64,
    carried: u64,
    /// Items on their way here, from each host.
    inbox: [VecDeque<(LanePoint, CarriedPublication)>; HOSTS],
    /// What its worker has received.
    received: Vec<ToWorker>,
}

struct Hosts([Host; HOSTS]);

fn host_id(place: usize) -> HostId {
    HostId(u32::try_from(place).unwrap() + 1)
}

fn run(place: usize) -> HostRun {
    HostRun(place as u64 + 1)
}

/// The client lives on the former host, as its UUID says.
fn uuid() -> ClientUuid {
    ClientUuid::at_home([7; 16], host_id(FORMER))
}

fn effect(router: &mut Router, effect: ClusterEffect) {
    let message = ToBroker::Bridge(FromBridge::Effect(Box::new(effect)));
    router.on_message(BRIDGE, message).unwrap();
}

impl Hosts {
    fn new() -> Self {
        let mut hosts = Self(std::array::from_fn(|place| {
            let mut router = Router::default();
            let query_timeout = Duration::from_millis(300);
            let own = ClusterMember { host: host_id(place), query_timeout };
            bridge::share(&mut router, own, Generation(0));
            link_to(&mut router, source(0));
            link_to(&mut router, BRIDGE);
            let mut router = storing(router, 10);
            for other in (0..HOSTS).filter(|other| *other != place) {
                let taken = TakenLanes::begin(run(other), BridgeEpoch(1), LaneStart::default());
                effect(&mut router, ClusterEffect::HostLive { host: host_id(other), taken });
            }
            effect(&mut router, ClusterEffect::Degraded(None));
            let (inbox, received) = (Default::default(), Vec::new());
            let (common, private, arrived, carried) = (0, [0; HOSTS], 0, 0);
            Host { router, common, private, arrived, carried, inbox, received }
        }));
        hosts.settle();
        hosts
    }

    /// Ends a turn of a host. What it has for others is on its way.
    fn turn(&mut self, place: usize) {
        let host = &mut self.0[place];
        timers::serve_waiting(&mut host.router);
        timers::end_due(&mut host.router, &mut || false);
        host.router.end_turn();
        host.received.extend(told(&mut host.router, 0));
        let sent = told(&mut host.router, WorkerId::BRIDGE.0).into_iter().filter_map(|message| {
            let ToWorker::Bridge(ToBridge::Forward(forward)) = message else { return None };
            Some(*forward)
        });
        let sent: Vec<Forward> = sent.collect();
        if sent.is_empty() {
            return;
        }
        host.carried += sent.len() as u64;
        let (forwards, epoch, points) = (host.carried, BridgeEpoch(1), Vec::new());
        effect(&mut host.router, ClusterEffect::Carried { forwards, epoch, points });
        sent.into_iter().for_each(|forward| self.send(place, forward));
        self.turn(place);
    }

    fn send(&mut self, from: usize, Forward { reach, publication }: Forward) {
        let host = &mut self.0[from];
        if let ForwardReach::One(to) = reach {
            let to = (0..HOSTS).find(|place| host_id(*place) == to).unwrap();
            host.private[to] += 1;
            let point = LanePoint { lane: LaneKey::private(run(to)), number: host.private[to] };
            self.0[to].inbox[from].push_back((point, publication));
            return;
        }
        host.common += 1;
        let point = LanePoint { lane: LaneKey::COMMON, number: host.common };
        for to in (0..HOSTS).filter(|to| *to != from) {
            self.0[to].inbox[from].push_back((point, publication.clone()));
        }
    }

    /// The next item of a host arrives at another one. Returns false if there is none.
    fn arrive(&mut self, from: usize, to: usize) -> bool {
        let host = &mut self.0[to];
        let Some((point, publication)) = host.inbox[from].pop_front() else { return false };
        host.arrived += 1;
        let (source, number, epoch) = (publication.source, publication.number, BridgeEpoch(1));
        let taken = PassedPublication { host: host_id(from), epoch, point, source, number };
        let arrival = Arrival { number: host.arrived, taken, publication };
        effect(&mut host.router, ClusterEffect::Arrive(arrival));
        self.turn(to);
        true
    }

    /// Everything arrives that these hosts send to each other.
    fn settle_between(&mut self, pairs: &[(usize, usize)]) {
        pairs.iter().for_each(|(_, to)| self.turn(*to));
        while pairs.iter().any(|(from, to)| self.arrive(*from, *to)) {}
    }

    fn settle(&mut self) {
        let pairs: Vec<(usize, usize)> =
            (0..HOSTS * HOSTS).map(|pair| (pair / HOSTS, pair % HOSTS)).collect();
        self.settle_between(&pairs);
    }

    fn say(&mut self, place: usize, message: ToBroker) {
        say(&mut self.0[place].router, 0, message);
        self.turn(place);
    }

    /// The client connects to its first host. Returns its position there.
    fn connect(&mut self) -> ReplayPosition {
        self.say(FORMER, join(None, None));
        head(&std::mem::take(&mut self.0[FORMER].received)).unwrap()
    }

    /// The connection to the first host ends, and the client shows its token to the new one.
    fn move_with(&mut self, missed: Option<MissedRequest>) {
        self.say(FORMER, ToBroker::Resumable(FromResumable::Away(Slot(SLOT))));
        let claim = ResumeClaim {
            uuid: uuid(),
            generation: ResumeGeneration(1),
            issued: Duration::ZERO,
            guarded: Default::default(),
        };
        self.say(NEW, join(Some(claim), missed));
        self.settle_between(&[(NEW, FORMER), (FORMER, NEW)]);
        assert!(self.0[NEW].router.records.get(&key()).is_some(), "the record is here");
    }

    fn publish(&mut self, number: u64) {
        self.say(PUBLISHER, publish(number, Address::everyone()));
    }

    /// How often the client has got something on a host: by a delivery, or again.
    fn got(&self, place: usize) -> usize {
        let is_it = |message: &&ToWorker| match message {
            ToWorker::Deliver(_) => true,
            ToWorker::Resumable(ToResumable::Replay(replayed)) => replayed.slot == Slot(SLOT),
            _ => false,
        };
        self.0[place].received.iter().filter(is_it).count()
    }

    fn has_joined(&self, place: usize) -> bool {
        has_joined(&self.0[place].received)
    }
}

fn key() -> RecordKey {
    RecordKey { tenant: Tenant::shared(), uuid: uuid() }
}

fn join(claim: Option<ResumeClaim>, missed: Option<MissedRequest>) -> ToBroker {
    // The UUID of a connection that shows a token is not used.
    let shown = if claim.is_some() { ClientUuid([9; 16]) } else { uuid() };
    let client = Client { uuid: shown, ident: None, ..client(7) };
    let terms = terms_of_record();
    let join = ResumableJoin { slot: Slot(SLOT), client, terms, claim, missed };
    ToBroker::Resumable(FromResumable::Join(Box::new(join)))
}

/// The former host has had a publication that reaches the new host after the record.
#[test]
fn a_client_that_moves_gets_what_its_new_host_takes_later_once() {
    for is_received in [true, false] {
        let mut hosts = Hosts::new();
        let mut position = hosts.connect();
        if is_received {
            hosts.publish(1);
            assert!(hosts.arrive(PUBLISHER, FORMER));
            position.number += 1;
            hosts.move_with(since(position));
        } else {
            // It has missed the publication, and the former host hands it over.
            hosts.say(FORMER, ToBroker::Resumable(FromResumable::Away(Slot(SLOT))));
            hosts.publish(1);
            assert!(hosts.arrive(PUBLISHER, FORMER));
            hosts.move_with(since(position));
        }
        let has_waited = !hosts.has_joined(NEW);
        assert!(hosts.arrive(PUBLISHER, NEW));
        assert!(hosts.has_joined(NEW));
        hosts.publish(2);
        hosts.settle();
        let got = [FORMER, NEW].map(|place| hosts.got(place));
        let expected = if is_received { [1, 1] } else { [0, 2] };
        assert_eq!(got, expected, "each publication once, received before: {is_received}");
        assert!(has_waited, "the new host lacked what the former one had taken");
        let recovery = recovered(&hosts.0[NEW].received).unwrap().1;
        assert_eq!(recovery.reason, None);
    }
}

/// The last item that the former host has taken of a lane is about a watched query.
#[test]
fn a_client_that_moves_waits_for_items_about_watches() {
    let mut hosts = Hosts::new();
    let position = hosts.connect();
    hosts.say(PUBLISHER, ToBroker::Join { slot: Slot(1), client: client(1) });
    hosts.settle();
    let query = ClientFilter::Tags(Tags::default());
    let (mode, is_once, scope) = (WatchMode::Count, false, WatchScope::Any);
    let terms = Box::new(WatchTerms { query, mode, is_once, scope });
    hosts.say(PUBLISHER, ToBroker::Presence(FromWatcher::Watch { slot: Slot(1), id: 1, terms }));
    let about_watches = &hosts.0[NEW].inbox[PUBLISHER];
    assert!(
        about_watches
            .iter()
            .all(|(point, it)| { point.lane == LaneKey::COMMON && it.is_of_watches() })
    );
    assert_eq!(about_watches.len(), 1);
    assert!(hosts.arrive(PUBLISHER, FORMER));
    hosts.move_with(since(position));
    assert!(!hosts.has_joined(NEW));
    assert!(hosts.arrive(PUBLISHER, NEW));
    assert!(hosts.has_joined(NEW), "nothing else of the lane is missing");
    let recovery = recovered(&hosts.0[NEW].received).unwrap().1;
    assert_eq!((recovery.reason, recovery.replayed), (None, 0));
}
