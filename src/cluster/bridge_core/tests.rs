//! Two bridges that exchange messages without loss, and the bounds of one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::cluster::carried::{CarriedPublication, CarriedReplay};
use crate::cluster::effect::{Forward, LaneGap};
use crate::cluster::envelope::{BridgeEpoch, HostRun};
use crate::cluster::lanes_in::GapReason;
use crate::types::limits::{
    CLUSTER_CONTROL_MAX, CLUSTER_ECHO_WAIT, CLUSTER_HEARTBEAT, CLUSTER_REPLAY_TIME,
    CLUSTER_RESUME_WAIT, WINDOW_PUBLICATIONS,
};
use crate::types::{Generation, Number, PayloadForm, Sequence, WorkerId, WorkerIncarnation};

fn identity(host: u32, run: u64, epoch: u32) -> BridgeIdentity {
    BridgeIdentity { host: HostId(host), run: HostRun(run), epoch: BridgeEpoch(epoch) }
}

fn bridge(identity: BridgeIdentity, kept: KeptForBridge, now: Instant) -> BridgeCore {
    let options = BridgeOptions {
        profile: HostProfile::default(),
        begun_s: 0,
        name: ClusterName::parse("shop").unwrap(),
        uuid_key: [1; 32],
        identity,
        random: [u8::try_from(identity.host.0).unwrap(); 32],
        replay: ReplayBounds::default(),
        held: HeldBounds::default(),
        kept,
    };
    let mut core = BridgeCore::new(options, now);
    core.connected(now);
    core
}

fn first_bridge(identity: BridgeIdentity, now: Instant) -> BridgeCore {
    bridge(identity, KeptForBridge::first(), now)
}

fn publication(number: u64, bytes: usize) -> CarriedPublication {
    CarriedPublication {
        source: WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) },
        number: Number(number),
        generation: Generation(1),
        sequence: Sequence(number),
        route: Bytes::from_static(b"route"),
        form: PayloadForm::Message,
        payload: vec![7; bytes].into(),
        is_repeated: false,
        directive: None,
        question: None,
        report_ms: None,
        replay: CarriedReplay::None,
    }
}

fn forward(reach: ForwardReach, number: u64) -> Forward {
    Forward { reach, publication: publication(number, 10) }
}

/// Several bridges and a network without faults.
pub(super) struct Cluster {
    pub(super) bridges: Vec<BridgeCore>,
    pub(super) now: Instant,
    pub(super) effects: Vec<Vec<ClusterEffect>>,
    /// Subjects that lose everything.
    pub(super) lost: BTreeSet<String>,
}

impl Cluster {
    pub(super) fn new(hosts: u32) -> Self {
        let now = any_moment();
        let bridges =
            (1..=hosts).map(|id| first_bridge(identity(id, u64::from(id) + 100, 1), now)).collect();
        let effects = (0..hosts).map(|_| Vec::new()).collect();
        let mut cluster = Self { bridges, now, effects, lost: BTreeSet::new() };
        cluster.run(Duration::from_secs(2));
        cluster
    }

    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += Duration::from_millis(5);
            let mut sent = Vec::new();
            for bridge in &mut self.bridges {
                bridge.tick(self.now);
                while let Some(message) = bridge.next_message(self.now) {
                    sent.push((bridge.own.host, message));
                }
            }
            for (from, message) in sent {
                let subject = message.subject.text(&ClusterName::parse("shop").unwrap());
                for bridge in &mut self.bridges {
                    let own = bridge.own.host;
                    let is_for = match message.subject {
                        ClusterSubject::Common(_) => from != own,
                        ClusterSubject::Private { to, .. }
                        | ClusterSubject::Control(to)
                        | ClusterSubject::Echo(to) => to == own,
                        ClusterSubject::Heartbeats => true,
                    };
                    if is_for && !self.lost.contains(&format!("{own} {}", message.subject)) {
                        bridge.receive(&subject, &message.bytes, self.now).unwrap();
                    }
                }
            }
            for (bridge, effects) in self.bridges.iter_mut().zip(&mut self.effects) {
                effects.extend(bridge.take_effects());
            }
        }
    }

    fn arrived(&self, place: usize) -> Vec<u64> {
        let number = |effect: &ClusterEffect| match effect {
            ClusterEffect::Arrive(arrival) => Some(arrival.publication.number.0),
            _ => None,
        };
        self.effects[place].iter().filter_map(number).collect()
    }

    fn has_gap(&self, place: usize, expected: LaneGap) -> bool {
        let is_it = |effect: &ClusterEffect| matches!(effect, ClusterEffect::Gap { gap, .. } if *gap == expected);
        self.effects[place].iter().any(is_it)
    }

    fn has(&self, place: usize, effect: &ClusterEffect) -> bool {
        self.effects[place].contains(effect)
    }
}

#[test]
fn both_kinds_of_address_arrive_in_the_order_of_the_publisher() {
    let mut cluster = Cluster::new(3);
    for number in 1..=30 {
        let reach = match number % 3 {
            0 => ForwardReach::All,
            1 => ForwardReach::One(HostId(2)),
            _ => ForwardReach::One(HostId(3)),
        };
        cluster.bridges[0].forward(forward(reach, number), cluster.now);
    }
    cluster.run(Duration::from_millis(500));
    let expected = |rest: u64| (1..=30).filter(move |it| it % 3 == 0 || it % 3 == rest);
    assert_eq!(cluster.arrived(1), expected(1).collect::<Vec<_>>());
    assert_eq!(cluster.arrived(2), expected(2).collect::<Vec<_>>());
    assert!(cluster.arrived(0).is_empty());
    let is_carried =
        |effect: &ClusterEffect| matches!(effect, ClusterEffect::Carried { forwards: 30, .. });
    assert!(cluster.effects[0].iter().any(is_carried));
    assert!(cluster.bridges.iter().all(BridgeCore::is_idle));
}

#[test]
fn a_publication_to_an_unknown_host_goes_to_all() {
    let mut cluster = Cluster::new(2);
    cluster.bridges[0].forward(forward(ForwardReach::One(HostId(99)), 1), cluster.now);
    cluster.run(Duration::from_millis(200));
    assert_eq!(cluster.arrived(1), [1]);
}

#[test]
fn publishers_wait_at_most_a_second_for_an_echo() {
    let mut cluster = Cluster::new(2);
    cluster.lost.insert("00000001 e.00000001".to_owned());
    cluster.bridges[0].forward(forward(ForwardReach::All, 1), cluster.now);
    cluster.run(CLUSTER_ECHO_WAIT - Duration::from_millis(50));
    let is_carried =
        |effect: &ClusterEffect| matches!(effect, ClusterEffect::Carried { forwards: 1, .. });
    assert!(!cluster.effects[0].iter().any(is_carried));
    cluster.run(Duration::from_millis(100));
    assert!(cluster.effects[0].iter().any(is_carried));
    let degraded = ClusterEffect::Degraded(Some(DegradedReason::CannotSend));
    assert!(cluster.has(0, &degraded));
    cluster.lost.clear();
    cluster.run(Duration::from_millis(200));
    assert_eq!(cluster.effects[0].last(), Some(&ClusterEffect::Degraded(None)));
}

#[test]
fn a_host_that_does_not_get_its_own_heartbeats_reports_it() {
    let mut cluster = Cluster::new(2);
    cluster.lost.insert("00000001 h".to_owned());
    cluster.run(Duration::from_secs(2));
    assert!(cluster.has(0, &ClusterEffect::Degraded(Some(DegradedReason::CannotReceive))));
    let is_gone = |effect: &ClusterEffect| matches!(effect, ClusterEffect::HostGone(_));
    assert!(!cluster.effects[0].iter().any(is_gone), "it declares no other host gone");
    cluster.bridges[0].disconnected();
    cluster.run(Duration::from_millis(50));
    assert!(cluster.has(0, &ClusterEffect::Degraded(Some(DegradedReason::Disconnected))));
}

#[test]
fn a_silent_host_is_gone_after_three_seconds_and_its_items_are_kept() {
    let mut cluster = Cluster::new(2);
    cluster.bridges[1].disconnected();
    cluster.run(Duration::from_millis(2_700));
    assert!(!cluster.has(0, &ClusterEffect::HostGone(HostId(2))));
    cluster.run(Duration::from_millis(600));
    assert!(cluster.has(0, &ClusterEffect::HostGone(HostId(2))));
    cluster.bridges[0].forward(forward(ForwardReach::All, 1), cluster.now);
    cluster.run(Duration::from_secs(1));
    let now = cluster.now;
    cluster.bridges[1].connected(now);
    cluster.run(Duration::from_secs(2));
    assert_eq!(cluster.arrived(1), [1]);
    let is_gap = |effect: &ClusterEffect| matches!(effect, ClusterEffect::Gap { .. });
    assert!(!cluster.effects.iter().flatten().any(is_gap));
}

#[test]
fn hosts_that_were_separated_for_too_long_report_a_gap_of_unknown_size() {
    let mut cluster = Cluster::new(2);
    for subject in ["00000001 h", "00000002 h"] {
        cluster.lost.insert(subject.to_owned());
    }
    cluster.run(CLUSTER_REPLAY_TIME + Duration::from_secs(1));
    assert!(cluster.has(0, &ClusterEffect::HostForgotten(HostId(2))));
    cluster.lost.clear();
    cluster.run(Duration::from_secs(1));
    for (place, host) in [(0, 2_u32), (1, 1)] {
        let reason = GapReason::HostGone;
        let run = HostRun(u64::from(host) + 100);
        let gap = LaneGap { host: HostId(host), run, lost: None, reason };
        assert!(cluster.has_gap(place, gap), "{:?}", cluster.effects[place]);
    }
}

#[test]
fn lost_items_that_were_not_for_clients_are_known() {
    for (are_for_clients, for_clients) in [([true, false, false, true, false], 2), ([false; 5], 0)]
    {
        let mut cluster = Cluster::new(2);
        let of = |worker, number| {
            let mut item = forward(ForwardReach::All, number);
            item.publication.source.worker = worker;
            item
        };
        cluster.bridges[0].forward(of(WorkerId(0), 1), cluster.now);
        cluster.run(Duration::from_millis(200));
        for subject in ["m.00000001", "d.00000002.00000001"] {
            cluster.lost.insert(format!("00000002 {subject}"));
        }
        for (number, is_for_clients) in (2..).zip(are_for_clients) {
            let worker = if is_for_clients { WorkerId(0) } else { WorkerId::WATCHES };
            cluster.bridges[0].forward(of(worker, number), cluster.now);
        }
        cluster.run(CLUSTER_REPLAY_TIME + Duration::from_secs(1));
        cluster.lost.clear();
        cluster.run(Duration::from_secs(1));
        let gap = |all, for_clients| {
            let (host, run, reason) = (HostId(1), HostRun(101), GapReason::ReplayBuffer);
            LaneGap { host, run, lost: Some(LostItems { all, for_clients }), reason }
        };
        assert!(cluster.has_gap(1, gap(5, for_clients)), "{:?}", cluster.effects[1]);
        cluster.bridges[0].forward(of(WorkerId(0), 9), cluster.now);
        cluster.run(Duration::from_secs(1));
        assert_eq!(cluster.arrived(1), [1, 9]);
    }
}

#[test]
fn a_host_that_stops_is_gone_at_once() {
    let mut cluster = Cluster::new(2);
    let now = cluster.now;
    cluster.bridges[1].stop(now);
    cluster.run(Duration::from_millis(20));
    assert!(cluster.has(0, &ClusterEffect::HostForgotten(HostId(2))));
}

#[test]
fn the_next_bridge_continues_and_repeats_what_was_not_carried() {
    let mut cluster = Cluster::new(2);
    cluster.bridges[0].forward(forward(ForwardReach::All, 1), cluster.now);
    cluster.run(Duration::from_millis(200));
    let kept = cluster.bridges[0].broker_restarted();
    let now = cluster.now;
    cluster.bridges[0] = bridge(identity(1, 101, 2), kept, now);
    for number in [1, 2] {
        let mut again = forward(ForwardReach::All, number);
        again.publication.is_repeated = true;
        cluster.bridges[0].forward(again, now);
    }
    cluster.run(Duration::from_secs(1));
    assert_eq!(cluster.arrived(1), [1, 2]);
    let is_gap = |effect: &ClusterEffect| matches!(effect, ClusterEffect::Gap { .. });
    assert!(!cluster.effects.iter().flatten().any(is_gap));
}

#[test]
fn a_bridge_that_has_lost_its_places_reports_a_gap_of_unknown_size() {
    let mut cluster = Cluster::new(2);
    let now = cluster.now;
    cluster.bridges[1] = bridge(identity(2, 102, 2), KeptForBridge::default(), now);
    cluster.run(Duration::from_secs(1));
    let gap = |host: u32, reason| {
        let run = HostRun(u64::from(host) + 100);
        LaneGap { host: HostId(host), run, lost: None, reason }
    };
    assert!(cluster.has_gap(1, gap(1, GapReason::Epoch)), "what it may have missed");
    assert!(cluster.has_gap(0, gap(2, GapReason::Epoch)), "what it may not have sent");
}

#[test]
fn arrivals_wait_for_the_window_of_the_broker() {
    let mut cluster = Cluster::new(2);
    for number in 1..=WINDOW_PUBLICATIONS + 10 {
        cluster.bridges[0].forward(forward(ForwardReach::All, number), cluster.now);
    }
    cluster.run(Duration::from_millis(500));
    assert_eq!(cluster.arrived(1).len() as u64, WINDOW_PUBLICATIONS);
    let repeated = {
        cluster.bridges[1].broker_restarted();
        cluster.bridges[1].take_effects()
    };
    let is_arrival = |effect: &&ClusterEffect| matches!(effect, ClusterEffect::Arrive(_));
    assert_eq!(repeated.iter().filter(is_arrival).count() as u64, WINDOW_PUBLICATIONS);
    cluster.bridges[1].acknowledged(WINDOW_PUBLICATIONS);
    cluster.run(Duration::from_millis(500));
    let numbers: Vec<u64> = (1..=WINDOW_PUBLICATIONS + 10).collect();
    assert_eq!(cluster.arrived(1), numbers);
}

#[test]
fn control_messages_are_bounded_and_the_rest_is_counted() {
    let mut cluster = Cluster::new(1);
    let host = HostId(9);
    for _ in 0..CLUSTER_CONTROL_MAX + 5 {
        cluster.bridges[0]
            .control(ClusterSubject::Control(host), ClusterMessage::Challenge([0; 16]));
    }
    assert!(cluster.bridges[0].control.len() <= CLUSTER_CONTROL_MAX);
    assert!(cluster.bridges[0].counts().control_dropped >= 5);
}

#[test]
fn items_wait_half_a_second_for_other_hosts_after_a_reconnect() {
    let mut cluster = Cluster::new(1);
    let now = cluster.now;
    let bridge = &mut cluster.bridges[0];
    bridge.connected(now);
    bridge.forward(forward(ForwardReach::All, 1), now);
    bridge.tick(now);
    let is_batch = |message: OutgoingMessage| matches!(message.subject, ClusterSubject::Common(_));
    let has_batch = |bridge: &mut BridgeCore, now| {
        std::iter::from_fn(|| bridge.next_message(now)).any(is_batch)
    };
    assert!(!has_batch(bridge, now));
    bridge.tick(now + CLUSTER_RESUME_WAIT);
    assert!(has_batch(bridge, now + CLUSTER_RESUME_WAIT));
    assert!(bridge.wake_at(now) <= now + CLUSTER_RESUME_WAIT + CLUSTER_HEARTBEAT);
}

#[test]
fn a_copied_host_id_is_reported_and_ignored() {
    let mut cluster = Cluster::new(2);
    let now = cluster.now;
    cluster.bridges.push(first_bridge(identity(2, 999, 1), now));
    cluster.effects.push(Vec::new());
    cluster.run(Duration::from_secs(1));
    assert!(cluster.has(1, &ClusterEffect::DuplicateHost));
    assert!(cluster.has(2, &ClusterEffect::DuplicateHost));
    cluster.bridges[2].forward(forward(ForwardReach::All, 77), cluster.now);
    cluster.run(Duration::from_secs(1));
    assert!(!cluster.arrived(0).contains(&77));
}

/// Someone who can read what NATS carries could otherwise have it answered again.
#[test]
fn a_question_is_taken_once_and_by_its_bridge_only() {
    let mut cluster = Cluster::new(2);
    let until = cluster.now + Duration::from_secs(1);
    let question = Bytes::from_static(b"who?");
    cluster.bridges[0].query(QueryReach::All, &question, until);
    let messages: Vec<OutgoingMessage> =
        std::iter::from_fn(|| cluster.bridges[0].next_message(cluster.now)).collect();
    let is_question =
        |message: &&OutgoingMessage| message.subject == ClusterSubject::Control(HostId(2));
    let captured = messages.iter().find(is_question).unwrap();
    let subject = captured.subject.text(&ClusterName::parse("shop").unwrap());
    let now = cluster.now;
    let asked = |bridge: &mut BridgeCore| {
        bridge.receive(&subject, &captured.bytes, now).unwrap();
        bridge.take_asked()
    };
    let taken = asked(&mut cluster.bridges[1]);
    assert_eq!((taken.len(), taken[0].host, &taken[0].question), (1, HostId(1), &question));
    assert!(asked(&mut cluster.bridges[1]).is_empty(), "a second time");
    let kept = cluster.bridges[1].broker_restarted();
    let mut successor = bridge(identity(2, 102, 2), kept, now);
    assert!(asked(&mut successor).is_empty(), "of an earlier bridge");
    cluster.bridges[1].answer(HostId(1), taken[0].id, Some(b"me"));
    cluster.run(Duration::from_millis(50));
    let answered = cluster.bridges[0].take_answered();
    assert_eq!(answered[0].hosts, [(HostId(2), Some(Bytes::from_static(b"me")))]);
}
