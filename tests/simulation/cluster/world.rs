//! Two to four hosts and one network, with their faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tagcast::cluster::{ClusterName, HeldBounds, ReplayBounds};
use tagcast::types::QueryReach;

use super::check::{Gaps, Model, Pair};
use super::host::{Answered, Bounds, Event, Host, Target, WORKERS, answer_of};
use super::names::{HostClients, NAMES, name};
use super::network::Network;
use super::watches::{HostWatches, ROOMS};
use crate::rng::Rng;

/// Which faults happen, and how often in a thousand steps.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    pub memory: Memory,
    pub bridge_deaths: u64,
    pub broker_deaths: u64,
    pub host_deaths: u64,
    pub restarts: u64,
    pub cuts: u64,
    /// Joins and leaves of named clients, and publications to names.
    pub names: u64,
    /// Joins and leaves of clients that watch each other.
    pub watches: u64,
    /// Milliseconds of a usual pause.
    pub pause: usize,
    /// Nothing of this can lose an item, so no gap may be reported.
    pub is_lossless: bool,
}

/// How much the bridges remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Ample,
    /// Little is kept, and little may wait.
    Small,
    /// Little is kept, and hosts are soon forgotten.
    Short,
}

/// Two deaths of one host within this time count as one moment: what each knows of the other is lost.
const ONE_MOMENT: Duration = Duration::from_secs(3);
/// Items of a bridge that dies are sent again at once, by its successor.
const BRIDGE_RESTART: Duration = Duration::from_millis(100);

/// Tells questions from publications.
const QUESTION: u64 = 1 << 63;

/// The cluster.
#[derive(Debug)]
pub struct World {
    pub rng: Rng,
    pub now: Instant,
    start: Instant,
    faults: Faults,
    pub hosts: Vec<Host>,
    network: Network,
    pub model: Model,
    /// What happens later, by time and order.
    later: BTreeMap<(Instant, u64), Later>,
    order: u64,
    pub trace: Option<Vec<String>>,
    /// Runs that have accepted another run.
    accepted: Vec<Pair>,
    /// The last death of a bridge.
    last_death: Option<Instant>,
    /// Counts the questions of all hosts.
    questions: u64,
    /// Answers of one host to another.
    pub answers: u64,
    /// The clients that got each publication to a name.
    named: BTreeMap<u64, Vec<u64>>,
    clients: u64,
}

#[derive(Clone, Copy, Debug)]
enum Later {
    StartBridge(usize),
    Connect(usize),
    Heal,
}

#[expect(clippy::disallowed_methods, reason = "an arbitrary time from which a run counts")]
fn any_moment() -> Instant {
    Instant::now()
}

impl World {
    pub fn new(seed: u64, faults: Faults, trace: Option<Vec<String>>) -> Self {
        let mut rng = Rng::new(seed);
        let count = rng.between(2, 4);
        let name = ClusterName::parse("simulated").unwrap();
        let mut bounds = Bounds { replay: ReplayBounds::default(), held: HeldBounds::default() };
        if faults.memory != Memory::Ample {
            bounds.replay.bytes = rng.between(1_000, 20_000);
            bounds.held.host = rng.between(300, 4_000);
            bounds.held.total = rng.between(300, 8_000);
        }
        if faults.memory == Memory::Short {
            bounds.replay.time = Duration::from_secs(rng.between(4, 8) as u64);
        }
        let mut network = Network::new(name.clone(), count);
        network.lost = faults.lost;
        network.doubled = faults.doubled;
        let now = any_moment();
        let mut hosts: Vec<Host> =
            (0..count).map(|place| Host::new(place, name.clone(), bounds, &mut rng)).collect();
        for host in hosts.iter_mut().filter(|_| faults.names > 0) {
            host.names = Some(HostClients::new(host.id));
        }
        for host in hosts.iter_mut().filter(|_| faults.watches > 0) {
            host.watches = Some(HostWatches::new(host.id, host.run));
        }
        let mut world = Self {
            rng,
            now,
            start: now,
            faults,
            hosts,
            network,
            model: Model::default(),
            later: BTreeMap::new(),
            order: 0,
            trace,
            accepted: Vec::new(),
            last_death: None,
            questions: QUESTION,
            answers: 0,
            named: BTreeMap::new(),
            clients: 0,
        };
        (0..count).for_each(|place| world.start_bridge(place));
        world
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let elapsed = self.now - self.start;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} {}", elapsed.as_secs_f64(), what()));
        }
    }

    fn later(&mut self, after: Duration, what: Later) {
        self.order += 1;
        self.later.insert((self.now + after, self.order), what);
    }

    fn start_bridge(&mut self, place: usize) {
        self.note(|| format!("host {place}: a bridge starts"));
        self.hosts[place].start_bridge(self.now, &mut self.rng);
        self.network.disconnect(place);
        self.later(Duration::from_millis(5), Later::Connect(place));
    }

    fn connect(&mut self, place: usize) {
        let Some(bridge) = &mut self.hosts[place].bridge else { return };
        if !self.network.is_connected(place) {
            self.network.connect(place);
            bridge.connected(self.now);
            self.note(|| format!("host {place} is connected"));
        }
    }

    fn disconnect(&mut self, place: usize) {
        self.network.disconnect(place);
        if let Some(bridge) = &mut self.hosts[place].bridge {
            bridge.disconnected();
        }
    }

    /// One random thing happens.
    pub fn step(&mut self) -> Result<(), String> {
        if self.rng.below(1000) < 300 {
            self.publish();
        }
        if self.rng.below(1000) < 100 {
            self.ask();
        }
        if self.faults.names > 0 && self.rng.below(1000) < self.faults.names {
            self.use_names();
        }
        if self.faults.watches > 0 && self.rng.below(1000) < self.faults.watches {
            self.use_watches();
        }
        let place = self.rng.place(self.hosts.len());
        match self.rng.below(8) {
            0..3 => self.bridge_turn(place),
            3 => {
                let most = self.rng.between(1, 9);
                self.hosts[place].broker_turn(most, self.now);
            }
            4..7 => {
                for _ in 0..self.rng.between(1, 12) {
                    self.deliver();
                }
            }
            _ => {
                let most = self.faults.pause * if self.rng.once_in(9) { 13 } else { 1 };
                let pause = self.rng.between(1, most);
                self.pass_time(Duration::from_millis(pause as u64));
            }
        }
        self.fault();
        self.check_events()
    }

    fn publish(&mut self) {
        let place = self.rng.place(self.hosts.len());
        let target = match self.rng.below(2) {
            0 => Target::All,
            _ => Target::One(self.rng.place(self.hosts.len())),
        };
        if !matches!(target, Target::One(one) if one == place) {
            let size = match self.rng.below(60) {
                0 if self.faults.memory == Memory::Ample => self.rng.between(50_000, 200_000),
                _ => self.rng.between(0, 50),
            };
            self.publish_to(place, target, size);
        }
    }

    /// A named client joins or leaves, or something is published to a name.
    fn use_names(&mut self) {
        let (place, index) = (self.rng.place(self.hosts.len()), self.rng.place(NAMES));
        let unix_ms = u64::try_from((self.now - self.start).as_millis()).unwrap();
        let what = self.rng.below(6);
        match (what, &mut self.hosts[place].names) {
            (0 | 1, Some(names)) => {
                self.clients += 1;
                names.join(index, self.clients, unix_ms);
                self.note(|| format!("host {place}: a client gets name {index}"));
            }
            (2, Some(names)) => {
                names.leave(index, unix_ms);
                self.note(|| format!("host {place}: the first client of {index} leaves"));
            }
            _ => {
                self.publish_to(place, Target::Name(index), 3);
            }
        }
    }

    /// A client joins or leaves, or begins or ends to watch a room.
    fn use_watches(&mut self) {
        let (place, room) = (self.rng.place(self.hosts.len()), self.rng.below(ROOMS));
        let what = self.rng.below(8);
        self.clients += 1;
        let number = u32::try_from(self.clients).unwrap();
        let Some(watches) = &mut self.hosts[place].watches else { return };
        match what {
            0..=2 => watches.join(number, room),
            3 | 4 => watches.leave(room),
            5 | 6 => watches.watch_first(room),
            _ => watches.unwatch(room),
        }
        self.note(|| format!("host {place}: {what} with client {number} and room {room}"));
    }

    /// Each watcher knows the clients of all hosts, when the parts of hosts that were gone have ended.
    fn check_watches(&mut self) -> Result<(), String> {
        let mut compared = Ok(());
        for _ in 0..600 {
            self.turn_all()?;
            let all: Vec<&HostWatches> =
                self.hosts.iter().filter_map(|host| host.watches.as_ref()).collect();
            compared = all.iter().try_for_each(|watches| watches.compare(&all));
            if compared.is_ok() {
                break;
            }
        }
        compared
    }

    fn ask(&mut self) {
        let place = self.rng.place(self.hosts.len());
        let reach = match self.rng.below(2) {
            0 => QueryReach::All,
            _ => QueryReach::One(self.hosts[self.rng.place(self.hosts.len())].id),
        };
        let until = self.now + Duration::from_millis(self.rng.between(0, 400) as u64);
        self.questions += 1;
        self.hosts[place].ask(reach, self.questions, until);
    }

    pub fn publish_to(&mut self, place: usize, target: Target, size: usize) -> u64 {
        let id = self.model.next_id();
        let worker = self.rng.place(WORKERS);
        let published = self.hosts[place].publish(id, worker, (target, size), self.now);
        if !matches!(target, Target::Name(_)) {
            self.model.publish(self.hosts[place].run, published);
        }
        self.note(|| format!("host {place} publishes {published:?}"));
        id
    }

    pub fn bridge_turn(&mut self, place: usize) {
        let most = self.rng.between(0, 20);
        self.hosts[place].bridge_reads(most, self.now);
        self.hosts[place].answer(self.now);
        if !self.network.is_connected(place) {
            return;
        }
        let ids: Vec<u32> = self.hosts.iter().map(|host| host.id.0).collect();
        for _ in 0..self.rng.between(0, 12) {
            let Some(bridge) = &mut self.hosts[place].bridge else { return };
            let Some(message) = bridge.next_message(self.now) else { break };
            self.network.publish(place, &message, &ids, &mut self.rng);
        }
        self.hosts[place].bridge_reads(0, self.now);
    }

    /// One message arrives. Returns false if there is none.
    pub fn deliver(&mut self) -> bool {
        let Some(arrived) = self.network.take(&mut self.rng) else { return false };
        if let Some(bridge) = &mut self.hosts[arrived.to].bridge {
            bridge.receive(&arrived.subject, &arrived.bytes, self.now).unwrap();
        }
        self.hosts[arrived.to].bridge_reads(0, self.now);
        true
    }

    pub fn pass_time(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(((at, _), _)) = self.later.first_key_value()
            && *at <= until
        {
            let ((at, _), what) = self.later.pop_first().unwrap();
            self.now = self.now.max(at);
            match what {
                Later::StartBridge(place) if self.hosts[place].bridge.is_none() => {
                    self.start_bridge(place);
                }
                Later::StartBridge(_) => {}
                Later::Connect(place) => self.connect(place),
                Later::Heal => self.network.cut.clear(),
            }
        }
        self.now = until;
        for host in &mut self.hosts {
            if let Some(bridge) = &mut host.bridge {
                bridge.tick(self.now);
            }
            host.bridge_reads(0, self.now);
            host.answer(self.now);
        }
    }

    fn fault(&mut self) {
        let place = self.rng.place(self.hosts.len());
        let faults = self.faults;
        if self.rng.below(1000) < faults.bridge_deaths {
            self.kill_bridge(place);
        } else if self.rng.below(1000) < faults.broker_deaths {
            self.note(|| format!("host {place}: the broker dies"));
            if self.hosts[place].bridge.is_none() {
                // The host knows no other one now. Those that have not accepted it yet miss nothing.
                let run = self.hosts[place].run;
                self.accepted.retain(|pair| pair.to != run);
            }
            self.hosts[place].kill_broker(self.now);
            self.note_double_death(place);
        } else if self.rng.below(1000) < faults.host_deaths {
            self.kill_host(place);
        } else if self.rng.below(1000) < faults.restarts {
            self.note(|| "the NATS server restarts".to_owned());
            let pause = self.rng.between(10, 3_000);
            for place in 0..self.hosts.len() {
                self.disconnect(place);
                let jitter = self.rng.between(0, 200);
                self.later(Duration::from_millis((pause + jitter) as u64), Later::Connect(place));
            }
        } else if self.rng.below(1000) < faults.cuts {
            let from = (place + self.rng.between(1, self.hosts.len() - 1)) % self.hosts.len();
            let is_long = !faults.is_lossless && self.rng.once_in(4);
            let pause = if is_long { 9_000 } else { 2_000 };
            let pause = Duration::from_millis(self.rng.between(10, pause) as u64);
            self.note(|| format!("a partition of {from} and {place} for {pause:?}"));
            self.network.cut.push((from, place));
            if self.rng.once_in(2) {
                self.network.cut.push((place, from));
            }
            self.later(pause, Later::Heal);
        }
    }

    fn kill_bridge(&mut self, place: usize) {
        let is_soon = self.last_death.is_some_and(|died| self.now - died < ONE_MOMENT);
        if self.hosts[place].bridge.is_none() || is_soon && self.faults.is_lossless {
            // What a bridge has not repaired is lost if the bridge of its sender dies, too.
            return;
        }
        self.last_death = Some(self.now);
        self.note(|| format!("host {place}: the bridge dies"));
        self.hosts[place].kill_bridge(self.now);
        self.note_double_death(place);
        self.network.disconnect(place);
        self.later(BRIDGE_RESTART, Later::StartBridge(place));
    }

    /// Notes that what bridge and broker know of each other is lost.
    fn note_double_death(&mut self, place: usize) {
        let host = &self.hosts[place];
        if let (Some(bridge), Some(broker)) = (host.bridge_died, host.broker_died)
            && bridge.max(broker) - bridge.min(broker) < ONE_MOMENT
        {
            self.model.may_repeat.insert(host.run);
        }
    }

    /// A whole host dies and starts again, with another run.
    fn kill_host(&mut self, place: usize) {
        self.note(|| format!("host {place} dies"));
        let mut host = self.hosts[place].renewed(&mut self.rng);
        std::mem::swap(&mut self.hosts[place], &mut host);
        self.network.disconnect(place);
        self.later(Duration::from_secs(1), Later::StartBridge(place));
    }

    /// Checks what the hosts have learned since the last call.
    pub fn check_events(&mut self) -> Result<(), String> {
        for host in &mut self.hosts {
            for Answered { question, hosts } in std::mem::take(&mut host.answered) {
                for (from, answer) in hosts {
                    let Some(answer) = answer else { continue };
                    // The others are outcomes of commands.
                    self.answers += u64::from(question & QUESTION > 0);
                    if from == host.id || answer != answer_of(from, &question.to_le_bytes()) {
                        return Err(format!("{from} has not answered {question} with {answer:?}"));
                    }
                }
            }
        }
        for place in 0..self.hosts.len() {
            let to = self.hosts[place].run;
            for event in std::mem::take(&mut self.hosts[place].events) {
                match event {
                    Event::Live(from) => {
                        self.accepted.push(Pair { from, to });
                        self.note_joined(Pair { from, to });
                    }
                    Event::Gap { run: from, lost, reason } => {
                        self.note(|| format!("host {place}: a gap of {lost:?}: {reason:?}"));
                        self.model.gap(Pair { from, to }, lost, reason);
                    }
                    Event::Named { id, client } => self.deliver_named(id, client)?,
                    Event::Delivered(arrival) => {
                        self.note(|| format!("host {place} gets {:?}", arrival.taken));
                        self.model.deliver(to, place, &arrival)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A client has got a publication to a name.
    fn deliver_named(&mut self, id: u64, client: u64) -> Result<(), String> {
        self.note(|| format!("client {client} gets {id} by its name"));
        let clients = self.named.entry(id).or_default();
        clients.push(client);
        let mut names = self.hosts.iter().filter_map(|host| host.names.as_ref());
        let is_to_all = names.any(|names| names.sent_to_all.contains(&id));
        let may_repeat = is_to_all || !self.model.may_repeat.is_empty();
        match clients.len() > 1 && !may_repeat {
            true => Err(format!("{id} has reached {clients:?} by one name")),
            false => Ok(()),
        }
    }

    /// All hosts know the same names, and what is published to one reaches its first client.
    fn check_names(&mut self) -> Result<(), String> {
        let hosts = self.hosts.iter();
        let own = hosts.filter_map(|host| Some((host.id, host.names.as_ref()?)));
        let own: Vec<_> = own.collect();
        for (knower, known) in &own {
            known.directory.records().check()?;
            for (owner, names) in &own {
                let of_owner = known.directory.records().names_of(*owner);
                let found: Vec<_> = of_owner.map(|(name, at)| (name.clone(), at.number)).collect();
                let clients = names.clients.iter();
                let truth = clients.filter_map(|(at, it)| Some((name(*at), *it.keys().next()?)));
                if found != truth.clone().collect::<Vec<_>>() {
                    let truth: Vec<_> = truth.collect();
                    return Err(format!("{knower} knows of {owner} {found:?} and not {truth:?}"));
                }
            }
        }
        let firsts: Vec<Option<u64>> = (0..NAMES)
            .map(|index| {
                let host = own.first()?.1.first(index)?;
                own.iter().find(|(id, _)| *id == host)?.1.first_here(index)
            })
            .collect();
        for (index, first) in firsts.into_iter().enumerate() {
            for place in 0..self.hosts.len() {
                let id = self.publish_to(place, Target::Name(index), 3);
                for _ in 0..20 {
                    self.turn_all()?;
                }
                let got = self.named.get(&id).cloned().unwrap_or_default();
                if got != first.into_iter().collect::<Vec<_>>() {
                    return Err(format!("{id} for {index} has reached {got:?}, not {first:?}"));
                }
            }
        }
        Ok(())
    }

    fn note_joined(&mut self, pair: Pair) {
        let back = Pair { from: pair.to, to: pair.from };
        if self.accepted.contains(&back) {
            self.model.join(pair);
            self.model.join(back);
        }
    }

    /// Faults stop. Everything that is on its way arrives.
    pub fn calm_down(&mut self) -> Result<(), String> {
        self.note(|| "all faults stop".to_owned());
        self.network.lost = 0;
        self.network.doubled = 0;
        self.network.cut.clear();
        let is_lossless = self.faults.is_lossless;
        for _ in 0..4_000 {
            self.turn_all()?;
            if self.now - self.start > Duration::from_secs(20) && self.is_calm() {
                break;
            }
        }
        if !self.is_calm() {
            let idle: Vec<bool> = self.hosts.iter().map(Host::is_idle).collect();
            return Err(format!("hosts do not become calm: idle are {idle:?}"));
        }
        self.last_words()?;
        if self.faults.names > 0 {
            self.check_names()?;
        }
        if self.faults.watches > 0 {
            self.check_watches()?;
        }
        let runs: Vec<u64> = self.hosts.iter().map(|host| host.run).collect();
        self.model.check_all(&runs, if is_lossless { Gaps::Never } else { Gaps::Allowed })
    }

    fn turn_all(&mut self) -> Result<(), String> {
        self.pass_time(Duration::from_millis(20));
        for place in 0..self.hosts.len() {
            self.bridge_turn(place);
            self.hosts[place].broker_turn(usize::MAX, self.now);
        }
        while self.deliver() {}
        self.check_events()
    }

    fn is_calm(&self) -> bool {
        let others = self.hosts.len() - 1;
        let knows_all = |host: &Host| {
            host.broker.hosts.len() == others && host.broker.hosts.values().all(|is_live| *is_live)
        };
        self.hosts.iter().all(|host| host.is_idle() && knows_all(host))
    }

    /// Every host reaches every other one.
    fn last_words(&mut self) -> Result<(), String> {
        let mut expected = Vec::new();
        for from in 0..self.hosts.len() {
            let to_all = self.publish_to(from, Target::All, 9);
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                let pair = Pair { from: self.hosts[from].run, to: self.hosts[to].run };
                expected.push((pair, to_all));
                expected.push((pair, self.publish_to(from, Target::One(to), 9)));
            }
        }
        let others = self.hosts.len() - 1;
        // Answers to earlier questions are counted before.
        while self.hosts.iter().any(|host| !host.asking.is_empty()) {
            self.turn_all()?;
        }
        for host in &mut self.hosts {
            self.questions += 1;
            host.ask(QueryReach::All, self.questions, self.now + Duration::from_millis(300));
        }
        let before = self.answers;
        for _ in 0..100 {
            self.turn_all()?;
        }
        if self.answers - before != (others * self.hosts.len()) as u64 {
            return Err(format!("{} hosts have answered all others", self.answers - before));
        }
        for (pair, id) in expected {
            if !self.model.has(pair, id) {
                return Err(format!("{id} has not arrived, and nothing is wrong"));
            }
        }
        Ok(())
    }
}
