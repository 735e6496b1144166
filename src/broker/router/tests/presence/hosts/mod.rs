//! Watched queries over several hosts: each is a router with clients and watchers. What one sends to another takes any
//! time, or is lost as a gap. Brokers and hosts die, and hosts take each other for gone.

mod host;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::host::{BRIDGE, Sent, TrialHost, client_of, effect, host_id, live_effect, tags_for};
use super::super::super::bridge;
use super::model::{View, is_match, mode_of, query_of, tags_of};
use super::*;
use crate::cluster::{
    Arrival, BridgeEpoch, CarriedPublication, ClusterEffect, Forward, ForwardReach, GapReason,
    HostRun, KeptForBridge, LaneGap, LaneKey, LanePoint, LaneStart, LostItems, PassedPublication,
    TakenLanes,
};
use crate::link::bridge::{FromBridge, ToBridge};
use crate::types::{ClusterMember, HostId};

const STEP: Duration = Duration::from_millis(100);
const HOSTS: usize = 3;
const CLIENTS: u8 = 10;
const TIMEOUT: Duration = Duration::from_millis(300);

struct HostsTrial {
    hosts: Vec<TrialHost>,
    now: Duration,
}

#[derive(Clone, Debug)]
enum HostAction {
    Join { host: usize, byte: u8, tags: u8 },
    Leave { host: usize, byte: u8 },
    Retag { host: usize, byte: u8, tags: u8 },
    Watch { host: usize, byte: u8, id: u64, query: u8, mode: u8 },
    Unwatch { host: usize, byte: u8, id: u64 },
    Arrive { from: usize, to: usize, count: u8 },
    Lose { from: usize, to: usize },
    Gone { host: usize, at: usize },
    Live { host: usize, at: usize },
    KillBroker(usize),
    KillHost(usize),
    Wait(u8),
}

fn any_host_action() -> impl Strategy<Value = HostAction> {
    let host = || 0..HOSTS;
    let byte = || 1..=CLIENTS;
    prop_oneof![
        6 => (host(), byte(), 0..16_u8)
            .prop_map(|(host, byte, tags)| HostAction::Join { host, byte, tags }),
        3 => (host(), byte()).prop_map(|(host, byte)| HostAction::Leave { host, byte }),
        3 => (host(), byte(), 0..16_u8)
            .prop_map(|(host, byte, tags)| HostAction::Retag { host, byte, tags }),
        5 => (host(), byte(), 0..2_u64, 0..8_u8, 0..3_u8).prop_map(
            |(host, byte, id, query, mode)| HostAction::Watch { host, byte, id, query, mode }
        ),
        2 => (host(), byte(), 0..2_u64)
            .prop_map(|(host, byte, id)| HostAction::Unwatch { host, byte, id }),
        9 => (host(), host(), 1..6_u8)
            .prop_map(|(from, to, count)| HostAction::Arrive { from, to, count }),
        1 => (host(), host()).prop_map(|(from, to)| HostAction::Lose { from, to }),
        1 => (host(), host()).prop_map(|(host, at)| HostAction::Gone { host, at }),
        2 => (host(), host()).prop_map(|(host, at)| HostAction::Live { host, at }),
        1 => host().prop_map(HostAction::KillBroker),
        1 => host().prop_map(HostAction::KillHost),
        8 => (1..12_u8).prop_map(HostAction::Wait),
    ]
}

impl HostsTrial {
    fn new() -> Self {
        let now = Duration::from_secs(1);
        let hosts = (0..HOSTS).map(|place| TrialHost::new(place, 0, now)).collect();
        let mut trial = Self { hosts, now };
        trial.make_all_live();
        trial
    }

    fn set_live(&mut self, host: usize, at: usize) {
        if host != at && self.hosts[at].live.insert(host) {
            effect(&mut self.hosts[at].router, live_effect(host));
        }
    }

    fn set_gone(&mut self, host: usize, at: usize) {
        if self.hosts[at].live.remove(&host) {
            effect(&mut self.hosts[at].router, ClusterEffect::HostGone(host_id(host)));
        }
    }

    fn make_all_live(&mut self) {
        for pair in 0..HOSTS * HOSTS {
            self.set_live(pair / HOSTS, pair % HOSTS);
        }
    }

    fn act(&mut self, action: &HostAction) {
        match *action {
            HostAction::Join { host, byte, tags } => {
                // A client is on one host at a time.
                let is_here = self.hosts.iter().any(|it| it.clients.contains_key(&byte));
                let it = &mut self.hosts[host];
                if !is_here {
                    it.next_slot += 1;
                    let slot = it.next_slot;
                    let tags = tags_for(byte, tags);
                    it.clients.insert(byte, (slot, tags.clone()));
                    let client = client_of(byte, tags);
                    say(&mut it.router, 0, ToBroker::Join { slot: Slot(slot), client });
                }
            }
            HostAction::Leave { host, byte } => {
                let it = &mut self.hosts[host];
                if let Some((slot, _)) = it.clients.remove(&byte) {
                    it.views.retain(|(at, _), _| *at != slot);
                    it.watches.retain(|(at, _), _| *at != slot);
                    say(&mut it.router, 0, ToBroker::Leave { slot: Slot(slot) });
                }
            }
            HostAction::Retag { host, byte, tags } => self.retag(host, byte, tags),
            HostAction::Watch { host, byte, id, query, mode } => {
                let it = &mut self.hosts[host];
                if let Some(slot) = it.clients.get(&byte).map(|client| client.0) {
                    it.watch(slot, id, query, mode);
                }
            }
            HostAction::Unwatch { host, byte, id } => {
                let it = &mut self.hosts[host];
                if let Some(slot) = it.clients.get(&byte).map(|client| client.0) {
                    it.views.remove(&(slot, id));
                    it.watches.remove(&(slot, id));
                    let message = FromWatcher::Unwatch { slot: Slot(slot), id };
                    say(&mut it.router, 0, ToBroker::Presence(message));
                }
            }
            HostAction::Arrive { from, to, count } => {
                let _more = (0..count).all(|_| self.arrive(from, to));
            }
            HostAction::Lose { from, to } => {
                let queue = &mut self.hosts[to].inbox[from];
                if !queue.is_empty() {
                    queue.clear();
                    queue.push_back(Sent::Gap);
                }
            }
            HostAction::Gone { host, at } => self.set_gone(host, at),
            HostAction::Live { host, at } => self.set_live(host, at),
            HostAction::KillBroker(host) => {
                self.hosts[host].generation += 1;
                let now = self.now;
                self.hosts[host].start(host, now);
            }
            HostAction::KillHost(host) => {
                (0..HOSTS).for_each(|at| self.set_gone(host, at));
                let (generation, now) = (self.hosts[host].generation + 1, self.now);
                self.hosts[host] = TrialHost::new(host, generation, now);
                self.hosts.iter_mut().for_each(|it| it.inbox[host].clear());
            }
            HostAction::Wait(steps) => (0..steps).for_each(|_| self.step()),
        }
        (0..HOSTS).for_each(|host| self.turn(host));
    }

    fn retag(&mut self, host: usize, byte: u8, tags: u8) {
        let it = &mut self.hosts[host];
        let Some((_, own)) = it.clients.get_mut(&byte) else { return };
        let edit = TagEdit::Replace(tags_for(byte, tags));
        *own = edit.apply(own).unwrap();
        let change = TagChange { edit, if_version: None };
        let kind = CommandKind::ChangeTags { uuid: ClientUuid([byte; 16]), change };
        let command = ClientCommand { tenant: Tenant::shared(), kind };
        it.arrived += 1;
        let number = Number(it.arrived);
        let command = NumberedCommand { number, is_answered: false, command };
        it.router.on_message(BRIDGE, ToBroker::Command(Box::new(command))).unwrap();
    }

    /// The next thing that a host has sent to another one arrives. Returns false if there is none.
    fn arrive(&mut self, from: usize, to: usize) -> bool {
        let it = &mut self.hosts[to];
        let Some(sent) = it.inbox[from].pop_front() else { return false };
        it.arrived += 1;
        let number = it.arrived;
        match sent {
            Sent::Gap => {
                let (run, reason) = (HostRun(from as u64), GapReason::Memory);
                let lost = Some(LostItems::OTHER);
                let gap = LaneGap { host: host_id(from), run, lost, reason };
                effect(&mut it.router, ClusterEffect::Gap { number, gap });
            }
            Sent::Item(publication) => {
                let point = LanePoint { lane: LaneKey::COMMON, number };
                let taken = PassedPublication {
                    host: host_id(from),
                    epoch: BridgeEpoch(1),
                    point,
                    source: publication.source,
                    number: publication.number,
                };
                let arrival = Arrival { number, taken, publication: *publication };
                effect(&mut it.router, ClusterEffect::Arrive(arrival));
            }
        }
        self.turn(to);
        true
    }

    /// One turn of a host.
    fn turn(&mut self, place: usize) {
        let now = self.now;
        let it = &mut self.hosts[place];
        timers::begin_turn(&mut it.router, now);
        timers::serve_waiting(&mut it.router);
        // In the smallest parts.
        timers::end_due(&mut it.router, &mut || true);
        it.router.end_turn();
        let told = told(&mut it.router, WorkerId::BRIDGE.0);
        for message in self::told(&mut it.router, 0) {
            it.take(message);
        }
        let mut carried = 0;
        for message in told {
            let ToWorker::Bridge(ToBridge::Forward(forward)) = message else { continue };
            carried += 1;
            let Forward { reach, publication } = *forward;
            for other in (0..HOSTS).filter(|other| *other != place) {
                if !matches!(reach, ForwardReach::One(host) if host != host_id(other)) {
                    let item = Sent::Item(Box::new(publication.clone()));
                    self.hosts[other].inbox[place].push_back(item);
                }
            }
        }
        if carried > 0 {
            let it = &mut self.hosts[place];
            it.carried += carried;
            let (forwards, epoch) = (it.carried, BridgeEpoch(1));
            let carried = ClusterEffect::Carried { forwards, epoch, points: Vec::new() };
            effect(&mut it.router, carried);
            it.router.end_turn();
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        (0..HOSTS).for_each(|host| self.turn(host));
    }

    /// Ends all faults, and compares what each watcher knows with the clients of all hosts but one that is dead.
    fn compare(&mut self, dead: Option<usize>) {
        self.make_all_live();
        if let Some(dead) = dead {
            self.act(&HostAction::KillHost(dead));
        }
        for _ in 0..120 {
            self.step();
            for _ in 0..20 {
                for pair in 0..HOSTS * HOSTS {
                    while self.arrive(pair / HOSTS, pair % HOSTS) {}
                }
            }
        }
        for (place, host) in self.hosts.iter().enumerate() {
            assert!(host.router.is_consistent().is_ok());
            for (at, (view, is_partial)) in &host.views {
                let all = self.hosts.iter().flat_map(|host| &host.clients);
                let members: BTreeSet<u8> = all
                    .filter(|(_, (_, tags))| is_match(&view.query, tags))
                    .map(|(byte, _)| *byte)
                    .collect();
                let users: BTreeSet<String> = members.iter().map(|byte| user_of(*byte)).collect();
                let (clients, users) = (members.len() as u64, users.len() as u64);
                let counts = PresenceCounts { clients, users };
                assert_eq!(view.counts, Some(counts), "host {place}, watch {at:?}: {view:?}");
                assert!(!is_partial, "host {place}, watch {at:?}: {view:?}");
                let WatchMode::Members(most) = view.mode else { continue };
                match &view.list {
                    None => assert!(clients * 10 >= u64::from(most) * 9, "{place} {view:?}"),
                    Some(list) => {
                        let known: BTreeSet<u8> = list.keys().map(|client| client.0[0]).collect();
                        assert_eq!(known, members, "host {place}, watch {at:?}");
                    }
                }
            }
        }
    }
}

fn user_of(byte: u8) -> String {
    match (byte.is_multiple_of(3), byte.is_multiple_of(4)) {
        (true, _) => "7".into(),
        (false, true) => "name".into(),
        _ => format!("client {byte}"),
    }
}

proptest! {
    /// V121 over hosts: whatever dies or is lost, each watcher knows the clients of all hosts in the end.
    #[test]
    fn watchers_know_the_clients_of_all_hosts(
        actions in vec(any_host_action(), 1..60),
        dead in prop::option::weighted(0.3, 0..HOSTS),
    ) {
        let mut trial = HostsTrial::new();
        for action in &actions {
            trial.act(action);
        }
        trial.compare(dead);
    }
}
