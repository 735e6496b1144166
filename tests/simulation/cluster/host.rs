//! One host: the real core of a bridge, a broker that is modelled, and workers that keep their publications.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tagcast::cluster::{
    AnsweredQuery, Arrival, BridgeCore, BridgeEpoch, BridgeIdentity, BridgeOptions,
    CarriedPublication, CarriedReplay, ClusterEffect, ClusterName, Forward, ForwardReach,
    GapReason, HeldBounds, HostRun, KeptForBridge, LaneGap, LaneKey, LostItems, ReplayBounds,
    SharedItem,
};
use tagcast::types::{
    Generation, HostId, Number, PayloadForm, QueryReach, Sequence, WorkerId, WorkerIncarnation,
};

use super::names::HostClients;
use super::watches::HostWatches;
use crate::rng::Rng;

/// Targets from this number on are names.
const NAMED: u64 = 1 << 32;
/// Workers of a host.
pub const WORKERS: usize = 2;
/// How long outcomes of commands are awaited.
const OUTCOME_WAIT: Duration = Duration::from_millis(300);

/// The hosts that a publication is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    All,
    /// The client of a UUID on one host.
    One(usize),
    /// The first client with a name.
    Name(usize),
}

/// A publication of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Unique in a run of the simulation, in the order of publishing.
    pub id: u64,
    pub worker: usize,
    pub number: u64,
    pub target: Target,
    /// Bytes of its payload.
    pub size: usize,
    /// Its worker gives it to a second broker.
    pub is_repeated: bool,
}

/// Bounds of a bridge.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub replay: ReplayBounds,
    pub held: HeldBounds,
}

/// What a broker knows, and what it has not passed on.
#[derive(Debug, Default)]
pub struct Broker {
    generation: u32,
    sequence: u64,
    kept: KeptForBridge,
    /// Other hosts that are counted, and whether they are live.
    pub hosts: BTreeMap<HostId, bool>,
    /// Forwards that are not carried, in order.
    forwards: VecDeque<Forward>,
    /// Forwards of this broker on this link that are carried.
    carried: u64,
    /// To the bridge.
    to_bridge: VecDeque<Forward>,
    /// From the bridge.
    from_bridge: VecDeque<ClusterEffect>,
    /// Items of the directory that this broker has made.
    directory_items: u64,
}

/// Something that a host has learned from others.
#[derive(Debug)]
pub enum Event {
    /// A run is live: a new one, or again.
    Live(u64),
    Delivered(Arrival),
    /// A client got a publication to its name.
    Named {
        id: u64,
        client: u64,
    },
    Gap {
        run: u64,
        lost: Option<LostItems>,
        reason: GapReason,
    },
}

/// One host.
#[derive(Debug)]
pub struct Host {
    pub id: HostId,
    pub place: usize,
    pub run: u64,
    epoch: u32,
    name: ClusterName,
    bounds: Bounds,
    pub bridge: Option<BridgeCore>,
    pub broker: Broker,
    /// Publications that the broker has not acknowledged, by worker.
    windows: Vec<VecDeque<Published>>,
    numbers: Vec<u64>,
    /// Arrivals that workers have had, by the life of the bridge and number (rule L6).
    seen: BTreeSet<(u32, u64)>,
    /// What earlier brokers have given to one other host (rule L6).
    sent: BTreeMap<(WorkerIncarnation, Number), HostId>,
    /// The last deaths of the bridge and of the broker.
    pub bridge_died: Option<Instant>,
    pub broker_died: Option<Instant>,
    pub events: Vec<Event>,
    /// Questions of this host that are open, by their ids, with what is asked and until when.
    pub asking: BTreeMap<u64, (u64, Instant)>,
    /// Named clients and the directory, where there are names.
    pub names: Option<HostClients>,
    /// Clients that watch each other, where there are such.
    pub watches: Option<HostWatches>,
    /// What was answered: the question, whether in time, and the hosts with their answers.
    pub answered: Vec<Answered>,
}

/// A question of a host that is over.
#[derive(Debug)]
pub struct Answered {
    pub question: u64,
    pub hosts: Vec<(HostId, Option<Bytes>)>,
}

impl Host {
    pub fn new(place: usize, name: ClusterName, bounds: Bounds, rng: &mut Rng) -> Self {
        let id = HostId(u32::try_from(place).unwrap() + 10);
        Self {
            id,
            place,
            run: 1 + rng.below(u64::MAX - 1),
            epoch: 0,
            name,
            bounds,
            bridge: None,
            broker: Broker { generation: 1, kept: KeptForBridge::first(), ..Broker::default() },
            windows: vec![VecDeque::new(); WORKERS],
            numbers: vec![0; WORKERS],
            seen: BTreeSet::new(),
            sent: BTreeMap::new(),
            bridge_died: None,
            broker_died: None,
            events: Vec::new(),
            asking: BTreeMap::new(),
            answered: Vec::new(),
            names: None,
            watches: None,
        }
    }

    /// Asks other hosts something. They answer with it and with what they are.
    pub fn ask(&mut self, reach: QueryReach, question: u64, until: Instant) {
        let Some(bridge) = &mut self.bridge else { return };
        let id = bridge.query(reach, &Bytes::copy_from_slice(&question.to_le_bytes()), until);
        self.asking.insert(id, (question, until));
    }

    /// Answers questions of other hosts, and takes answers. A broker that is behind answers later.
    pub fn answer(&mut self, now: Instant) {
        let Some(bridge) = &mut self.bridge else { return };
        for asked in bridge.take_asked() {
            let answer = answer_of(self.id, &asked.question);
            bridge.answer(asked.host, asked.id, Some(&answer));
        }
        for AnsweredQuery { id, hosts } in bridge.take_answered() {
            let (question, _) = self.asking.remove(&id).unwrap();
            self.answered.push(Answered { question, hosts });
        }
        let late = self.asking.values().find(|(_, until)| *until < now);
        assert_eq!(late, None, "a question is over in time");
    }

    /// Starts a bridge. The broker gives it what it has kept, and everything that is not carried.
    pub fn start_bridge(&mut self, now: Instant, rng: &mut Rng) {
        self.epoch += 1;
        let identity = BridgeIdentity {
            host: self.id,
            run: HostRun(self.run),
            epoch: BridgeEpoch(self.epoch),
        };
        let mut random = [0; 32];
        random.fill_with(|| u8::try_from(rng.below(256)).unwrap());
        let options = BridgeOptions {
            profile: tagcast::types::HostProfile::default(),
            begun_s: 0,
            name: self.name.clone(),
            uuid_key: [7; 32],
            identity,
            random,
            replay: self.bounds.replay,
            held: self.bounds.held,
            kept: self.broker.kept.clone(),
        };
        self.bridge = Some(BridgeCore::new(options, now));
        self.broker.carried = 0;
        let gone =
            self.broker.hosts.iter().filter(|(_, is_live)| !**is_live).map(|(host, _)| *host);
        self.watches.iter_mut().for_each(|watches| watches.take_for_live(gone.clone()));
        self.broker.hosts.values_mut().for_each(|is_live| *is_live = true);
        if let Some(names) = &mut self.names {
            names.bridge_began(self.broker.hosts.keys().copied(), now);
        }
        let again = self.broker.forwards.iter().cloned();
        self.broker.to_bridge = again.map(repeated).collect();
    }

    /// The bridge dies. The broker still reads what it has written.
    pub fn kill_bridge(&mut self, now: Instant) {
        self.bridge = None;
        self.asking.clear();
        self.broker.to_bridge.clear();
        self.broker_turn(usize::MAX, now);
        self.bridge_died = Some(now);
    }

    /// The broker dies and is replaced. Workers repeat what it had not acknowledged.
    pub fn kill_broker(&mut self, now: Instant) {
        let unread: Vec<Forward> = self.broker.to_bridge.drain(..).collect();
        let generation = self.broker.generation + 1;
        let sequence = self.broker.sequence;
        self.broker = Broker { generation, sequence, ..Broker::default() };
        self.broker_died = Some(now);
        if let Some(bridge) = &mut self.bridge {
            for forward in unread {
                if is_of_host(&forward) {
                    bridge.forward(forward, now);
                    continue;
                }
                let id = published_id(&forward);
                let awaited = pass_on(bridge, forward, now);
                self.asking.extend(awaited.map(|(awaited, until)| (awaited, (id, until))));
            }
            self.broker.kept = bridge.broker_restarted();
            self.broker.from_bridge.extend(bridge.take_effects());
        }
        if let Some(names) = &mut self.names {
            names.replace_directory(self.id, self.bridge.as_ref());
        }
        self.watches.iter_mut().for_each(|watches| watches.start(generation));
        self.broker_turn(usize::MAX, now);
        self.begin_names(now);
        let sent = self.bridge.iter().flat_map(BridgeCore::sent_to_one);
        self.sent = sent.map(|it| ((it.source, it.number), it.host)).collect();
        let mut again: Vec<Published> = self.windows.iter().flatten().copied().collect();
        self.windows.iter_mut().for_each(VecDeque::clear);
        again.sort_by_key(|it| it.id);
        for it in again {
            self.resolve(Published { is_repeated: true, ..it }, now);
        }
    }

    /// A worker publishes.
    pub fn publish(
        &mut self,
        id: u64,
        worker: usize,
        (target, size): (Target, usize),
        now: Instant,
    ) -> Published {
        self.numbers[worker] += 1;
        let number = self.numbers[worker];
        let published = Published { id, worker, number, target, size, is_repeated: false };
        self.resolve(published, now);
        published
    }

    fn resolve(&mut self, published: Published, now: Instant) {
        self.broker.sequence += 1;
        let sent_to = self.sent.get(&published.source()).copied();
        if let Target::Name(name) = published.target
            && let Some(client) = self.own_client(name)
            && sent_to.is_none()
        {
            return self.events.push(Event::Named { id: published.id, client });
        }
        if self.broker.hosts.is_empty() {
            return;
        }
        self.send_changes(now);
        let reach = match published.target {
            _ if sent_to.is_some() => ForwardReach::One(sent_to.unwrap()),
            Target::One(place) => {
                let host = HostId(u32::try_from(place).unwrap() + 10);
                let is_live = self.broker.hosts.get(&host).copied().unwrap_or(false);
                if is_live { ForwardReach::One(host) } else { ForwardReach::All }
            }
            Target::Name(name) => match self.names.as_ref().and_then(|it| it.first(name)) {
                Some(host) => ForwardReach::One(host),
                None => ForwardReach::All,
            },
            Target::All => ForwardReach::All,
        };
        if reach == ForwardReach::All
            && matches!(published.target, Target::Name(_))
            && let Some(names) = &mut self.names
        {
            names.sent_to_all.insert(published.id);
        }
        let target = match published.target {
            Target::All => 0,
            Target::One(place) => u64::try_from(place).unwrap() + 1,
            Target::Name(name) => NAMED + u64::try_from(name).unwrap(),
        };
        let mut payload = published.id.to_le_bytes().to_vec();
        payload.resize(payload.len() + published.size, 1);
        let publication = CarriedPublication {
            source: published.source().0,
            number: published.source().1,
            generation: Generation(self.broker.generation),
            sequence: Sequence(self.broker.sequence),
            route: Bytes::copy_from_slice(&target.to_le_bytes()),
            form: PayloadForm::Message,
            payload: payload.into(),
            is_repeated: published.is_repeated,
            directive: (is_directive(published.id) && target < NAMED).then_some(0),
            question: None,
            report_ms: None,
            replay: CarriedReplay::None,
        };
        let forward = Forward { reach, publication };
        self.windows[published.worker].push_back(published);
        self.push_forward(forward);
    }

    pub fn push_forward(&mut self, forward: Forward) {
        self.broker.forwards.push_back(forward.clone());
        if self.bridge.is_some() {
            self.broker.to_bridge.push_back(forward);
        }
    }

    /// Returns whether items of the directory are not carried.
    pub fn has_directory_items(&self) -> bool {
        self.broker.forwards.iter().any(|it| it.publication.is_of_directory())
    }

    /// Gives an item of the directory to the bridge.
    pub fn push_item(&mut self, item: SharedItem) {
        self.broker.directory_items += 1;
        let generation = Generation(self.broker.generation);
        let publication = CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId::DIRECTORY, generation },
            number: Number(self.broker.directory_items),
            generation,
            sequence: Sequence(0),
            route: Bytes::new(),
            form: PayloadForm::Message,
            payload: item.body,
            is_repeated: false,
            directive: None,
            question: None,
            report_ms: None,
            replay: CarriedReplay::None,
        };
        self.push_forward(Forward { reach: item.reach, publication });
    }

    /// The bridge reads its link.
    pub fn bridge_reads(&mut self, most: usize, now: Instant) {
        let Some(bridge) = &mut self.bridge else { return };
        for _ in 0..most.min(self.broker.to_bridge.len()) {
            let forward = self.broker.to_bridge.pop_front().unwrap();
            if is_of_host(&forward) {
                bridge.forward(forward, now);
                continue;
            }
            let id = published_id(&forward);
            let awaited = pass_on(bridge, forward, now);
            self.asking.extend(awaited.map(|(awaited, until)| (awaited, (id, until))));
        }
        self.broker.from_bridge.extend(bridge.take_effects());
    }

    /// The broker reads its link, and acknowledges what it has read.
    pub fn broker_turn(&mut self, most: usize, now: Instant) {
        let mut taken = 0;
        for _ in 0..most.min(self.broker.from_bridge.len()) {
            let effect = self.broker.from_bridge.pop_front().unwrap();
            self.tell_watches(&effect);
            match effect {
                ClusterEffect::HostLive { host, taken } => {
                    self.broker.hosts.insert(host, true);
                    self.events.push(Event::Live(taken.run.0));
                    self.broker.kept.taken.set(host, taken);
                    self.names.iter_mut().for_each(|names| names.host_live(host, now));
                }
                ClusterEffect::HostGone(host) => {
                    self.broker.hosts.insert(host, false);
                    self.names.iter_mut().for_each(|names| names.host_gone(host));
                }
                ClusterEffect::HostForgotten(host) => {
                    self.names.iter_mut().for_each(|names| names.host_gone(host));
                    self.broker.kept.taken.note_forgotten(host);
                    self.broker.hosts.remove(&host);
                }
                ClusterEffect::Arrive(arrival) => {
                    taken = arrival.number;
                    self.broker.kept.taken.note(&arrival.taken);
                    let publication = &arrival.publication;
                    if let (Some(awaited), Some(bridge)) = (publication.directive, &mut self.bridge)
                    {
                        let answer = answer_of(self.id, &publication.payload[..8]);
                        bridge.answer(arrival.taken.host, awaited, Some(&answer));
                    }
                    if publication.is_of_directory() {
                        self.names.iter_mut().for_each(|names| names.take(&arrival, now));
                    } else if publication.is_of_watches() {
                        // A router has it.
                    } else if self.seen.insert((self.epoch, arrival.number)) {
                        self.arrive(arrival, now);
                    }
                }
                ClusterEffect::Carried { forwards, epoch, points } => {
                    self.broker.kept.ends.note(epoch, &points);
                    self.carry(forwards);
                }
                ClusterEffect::LaneClosed(lane) => self.broker.kept.ends.close(lane),
                ClusterEffect::Gap { number, gap } => {
                    let LaneGap { host, run, lost, reason } = gap;
                    taken = number;
                    self.names.iter_mut().for_each(|names| names.note_gap(host, now));
                    self.events.push(Event::Gap { run: run.0, lost, reason });
                }
                ClusterEffect::Degraded(_) | ClusterEffect::DuplicateHost => {}
            }
        }
        if let Some(bridge) = &mut self.bridge
            && taken > 0
        {
            bridge.acknowledged(taken);
        }
        self.send_names(now);
        self.send_watches(now);
    }

    /// Tells the router of the watches what concerns it.
    fn tell_watches(&mut self, effect: &ClusterEffect) {
        let is_for_watches = match effect {
            ClusterEffect::HostLive { .. }
            | ClusterEffect::HostGone(_)
            | ClusterEffect::HostForgotten(_)
            | ClusterEffect::Gap { .. } => true,
            ClusterEffect::Arrive(arrival) => arrival.publication.is_of_watches(),
            _ => false,
        };
        if is_for_watches && let Some(watches) = &mut self.watches {
            watches.effect(effect.clone());
        }
    }

    fn arrive(&mut self, arrival: Arrival, now: Instant) {
        let publication = &arrival.publication;
        let target = u64::from_le_bytes(publication.route[..].try_into().unwrap());
        let Some(name) = target.checked_sub(NAMED) else {
            return self.events.push(Event::Delivered(arrival));
        };
        let (id, name) = (id_of(publication), usize::try_from(name).unwrap());
        let is_for_this_host = arrival.taken.point.lane != LaneKey::COMMON;
        let was_passed_on = publication.source.worker.is_bridge();
        let Some(names) = &self.names else { return };
        if let Some(client) = names.first_here(name) {
            self.events.push(Event::Named { id, client });
        } else if is_for_this_host
            && !was_passed_on
            && let Some(host) = names.first(name).filter(|host| *host != self.id)
        {
            self.send_changes(now);
            let worker = WorkerId::BRIDGE;
            let source = WorkerIncarnation { worker, generation: Generation(self.epoch) };
            let number = Number(arrival.number);
            let publication =
                CarriedPublication { source, number, is_repeated: false, ..arrival.publication };
            self.push_forward(Forward { reach: ForwardReach::One(host), publication });
        }
    }

    /// The broker acknowledges publications to their workers.
    fn carry(&mut self, forwards: u64) {
        while self.broker.carried < forwards {
            self.broker.carried += 1;
            let carried = self.broker.forwards.pop_front().unwrap();
            if !carried.publication.source.worker.has_clients() {
                continue;
            }
            let worker = usize::from(carried.publication.source.worker.0);
            let acknowledged = self.windows[worker].pop_front().unwrap();
            assert_eq!(acknowledged.number, carried.publication.number.0);
        }
    }

    /// Returns whether everything that was published is carried.
    pub fn is_idle(&self) -> bool {
        let is_idle = self.bridge.as_ref().is_some_and(BridgeCore::is_idle);
        is_idle
            && self.broker.forwards.is_empty()
            && self.broker.from_bridge.is_empty()
            && self.names.as_ref().is_none_or(HostClients::is_idle)
    }

    /// Returns the same host after its death, with another run.
    pub fn renewed(&self, rng: &mut Rng) -> Self {
        let names = self.names.as_ref().map(|names| names.renewed(self.id));
        let mut host = Self { names, ..Self::new(self.place, self.name.clone(), self.bounds, rng) };
        host.watches = self.watches.as_ref().map(|_| HostWatches::new(host.id, host.run));
        host
    }
}

/// Some publications are commands, whose outcomes are awaited.
fn is_directive(id: u64) -> bool {
    id.is_multiple_of(5)
}

/// Returns whether a forward is of the broker itself, and not of a worker.
fn is_of_host(forward: &Forward) -> bool {
    forward.publication.is_of_directory() || forward.publication.is_of_watches()
}

fn published_id(forward: &Forward) -> u64 {
    id_of(&forward.publication)
}

fn id_of(publication: &CarriedPublication) -> u64 {
    u64::from_le_bytes(publication.payload[..8].try_into().unwrap())
}

impl Published {
    fn source(&self) -> (WorkerIncarnation, Number) {
        let worker = WorkerId(u16::try_from(self.worker).unwrap());
        (WorkerIncarnation { worker, generation: Generation(1) }, Number(self.number))
    }
}

/// Gives a forward to a bridge. Returns the number under which outcomes are awaited, and until when.
fn pass_on(bridge: &mut BridgeCore, forward: Forward, now: Instant) -> Option<(u64, Instant)> {
    if forward.publication.directive.is_none() {
        bridge.forward(forward, now);
        return None;
    }
    let until = now + OUTCOME_WAIT;
    bridge.direct(forward, until, now).map(|id| (id, until))
}

/// Returns what a host answers to a question. Some answers have several parts.
pub fn answer_of(host: HostId, question: &[u8]) -> Vec<u8> {
    let own = [question, &host.0.to_le_bytes()].concat();
    let times = if question[0].is_multiple_of(8) { 10_000 } else { 1 };
    own.repeat(times)
}

/// Marks what an earlier bridge may have sent.
fn repeated(mut forward: Forward) -> Forward {
    forward.publication.is_repeated = true;
    forward
}
