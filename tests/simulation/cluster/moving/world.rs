//! Some hosts, a network and clients that move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tagcast::broker_client::BrokerEvent;
use tagcast::broker_client::resumable::ResumeRequest;
use tagcast::broker_client::uplink::NewPublication;
use tagcast::cluster::ClusterName;
use tagcast::link::bridge::HostsNotice;
use tagcast::link::resume::{RecordTerms, ResumeClaim, ToResumable};
use tagcast::protocol::Protocol;
use tagcast::types::{
    Address, AddressLimit, AllowedNames, Client, ClientClass, ClientUuid, MissedRequest,
    PayloadForm, ReplayPosition, ResumeStanding, Slot, Tags, Tenant,
};

use super::super::network::Network;
use super::Figures;
use super::host::{MovingHost, set_time};
use super::movers::{Connection, For, Mover, Publication};
use crate::rng::Rng;

/// Which faults happen, and how often in a thousand steps.
#[derive(Clone, Copy, Debug)]
pub struct MovingFaults {
    pub lost: u64,
    pub doubled: u64,
    pub bridge_deaths: u64,
    pub broker_deaths: u64,
    pub restarts: u64,
    pub cuts: u64,
    /// Publications that a broker stores.
    pub entries: usize,
    /// How long a host waits for a record.
    pub timeout: Duration,
}

/// Two deaths of a host within this time may repeat what was published.
const ONE_MOMENT: Duration = Duration::from_secs(4);
const MOVERS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Later {
    StartBridge(usize),
    Connect(usize),
    Heal,
}

#[derive(Debug)]
pub struct MovingWorld {
    rng: Rng,
    now: Instant,
    start: Instant,
    faults: MovingFaults,
    hosts: Vec<MovingHost>,
    network: Network,
    later: BTreeMap<(Instant, u64), Later>,
    order: u64,
    published: BTreeMap<u64, Publication>,
    movers: Vec<Mover>,
    /// Connections that workers have, those included whose clients have gone without a sign.
    open: BTreeSet<Connection>,
    clients: u32,
    pub trace: Option<Vec<String>>,
    pub figures: Figures,
    is_broker_dead: bool,
}

#[expect(clippy::disallowed_methods, reason = "an arbitrary time from which a run counts")]
fn any_moment() -> Instant {
    Instant::now()
}

impl MovingWorld {
    pub fn new(seed: u64, faults: MovingFaults, trace: Option<Vec<String>>) -> Self {
        let mut rng = Rng::new(seed);
        let (count, now) = (rng.between(2, 3), any_moment());
        let name = ClusterName::parse("simulated").unwrap();
        let hosts: Vec<MovingHost> = (0..count)
            .map(|place| {
                MovingHost::new(place, name.clone(), (faults.entries, faults.timeout), now)
            })
            .collect();
        let mut world = Self {
            rng,
            now,
            start: now,
            faults,
            network: Network::new(name, count),
            hosts,
            later: BTreeMap::new(),
            order: 0,
            published: BTreeMap::new(),
            movers: (0..MOVERS).map(Mover::new).collect(),
            open: BTreeSet::new(),
            clients: 0,
            trace,
            figures: Figures::default(),
            is_broker_dead: false,
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
        self.hosts[place].start_bridge();
        self.network.disconnect(place);
        self.later(Duration::from_millis(5), Later::Connect(place));
    }

    /// All hosts become known to each other.
    pub fn begin(&mut self) -> Result<(), String> {
        for _ in 0..200 {
            self.turn_all()?;
        }
        self.network.lost = self.faults.lost;
        self.network.doubled = self.faults.doubled;
        Ok(())
    }

    /// One random thing happens.
    pub fn step(&mut self) -> Result<(), String> {
        if self.rng.below(1000) < 350 {
            let place = self.rng.place(self.hosts.len());
            let uuids: Vec<ClientUuid> =
                self.movers.iter().filter_map(|it| Some(it.token?.0)).collect();
            let target = match self.rng.below(3) {
                0 => self.rng.pick(&uuids).map_or(For::Everyone, For::Uuid),
                _ => For::Everyone,
            };
            self.publish(place, target);
        }
        if self.rng.below(1000) < 120 {
            self.moves();
        }
        let place = self.rng.place(self.hosts.len());
        match self.rng.below(9) {
            0 | 1 => self.bridge_turn(place),
            2 | 3 => {
                let most = self.rng.between(1, 12);
                self.hosts[place].broker_turn(self.now, most);
            }
            4 => {
                let worker = self.rng.place(2);
                self.worker_turn(place, worker)?;
            }
            5..8 => {
                for _ in 0..self.rng.between(1, 12) {
                    self.deliver();
                }
            }
            _ => {
                let most = 30 * if self.rng.once_in(12) { 13 } else { 1 };
                let pause = self.rng.between(1, most);
                self.pass_time(Duration::from_millis(pause as u64))?;
            }
        }
        self.fault()
    }

    fn next_id(&self) -> u64 {
        self.published.last_key_value().map_or(0, |(id, _)| *id) + 1
    }

    fn publish(&mut self, place: usize, target: For) -> u64 {
        let (id, worker) = (self.next_id(), self.rng.place(2));
        let uplink = &mut self.hosts[place].workers[worker].uplink;
        if !uplink.has_room(1000) {
            return id;
        }
        let address = match target {
            For::Everyone => Address::everyone(),
            For::Uuid(uuid) => Address::first(Some(uuid), None),
        };
        let text = id.to_string();
        uplink.publish(NewPublication {
            tenant: &Tenant::shared(),
            address: &address,
            form: PayloadForm::Message,
            payload: text.as_bytes(),
        });
        self.hosts[place].worker_writes(worker);
        self.published.insert(id, Publication { by: (place, worker), target, at: self.now });
        self.note(|| format!("worker {worker} of host {place} publishes {id} for {target:?}"));
        id
    }

    /// A client loses its connection, or comes to another host.
    fn moves(&mut self) {
        let no = self.rng.place(MOVERS);
        if self.movers[no].connection.is_some() && self.rng.once_in(2) {
            return self.disconnect(no);
        }
        let place = self.rng.place(self.hosts.len());
        self.connect(no, place);
    }

    fn disconnect(&mut self, no: usize) {
        let mover = &mut self.movers[no];
        let Some(connection) = mover.connection.take() else { return };
        mover.former = mover.former.or(Some(connection.host));
        mover.is_open = false;
        self.note(|| format!("the connection {connection:?} of {no} breaks"));
        self.end(connection);
    }

    fn end(&mut self, connection: Connection) {
        let Connection { host, worker, slot } = connection;
        if self.open.remove(&connection) {
            let client = &mut self.hosts[host].workers[worker];
            client.uplink.go_away(slot);
            client.end_connection(slot);
            client.write();
        }
    }

    fn connect(&mut self, no: usize, host: usize) {
        let mover = &mut self.movers[no];
        if let Some(former) = mover.connection.take() {
            // Its network has changed, and that host does not know it yet.
            mover.former = mover.former.or(Some(former.host));
        }
        mover.is_open = false;
        if self.faults.timeout < ONE_MOMENT {
            mover.unsettled(self.now);
        }
        self.clients += 1;
        let mut random = [1; 16];
        random[..4].fill_with(|| u8::try_from(self.rng.below(256)).unwrap());
        random[4..8].copy_from_slice(&self.clients.to_le_bytes());
        let client = Client {
            tenant: Tenant::shared(),
            uuid: ClientUuid::at_home(random, self.hosts[host].id),
            ident: None,
            tags: Tags::default(),
            class: ClientClass::Web,
            takes_publications: true,
            counted: AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        };
        let claim = mover.token.map(|(uuid, generation)| {
            let guarded = AllowedNames::Listed(Box::new([]));
            Box::new(ResumeClaim { uuid, generation, issued: Duration::from_secs(9), guarded })
        });
        mover.is_recovering = claim.is_some();
        let missed = claim.as_ref().map(|_| Box::new(MissedRequest::Since(mover.since)));
        let terms = RecordTerms {
            grace_ms: 600_000,
            mailbox: 100,
            instance: Some(mover.instance),
            fixed: Tags::default(),
        };
        let shown = (mover.token, mover.since);
        let worker = self.rng.place(2);
        let at = &mut self.hosts[host].workers[worker];
        let slot = at.allocate_slot();
        at.uplink.join_resumable(slot, client, ResumeRequest { terms, claim, missed });
        at.write();
        self.movers[no].connection = Some(Connection { host, worker, slot });
        self.open.insert(Connection { host, worker, slot });
        self.note(|| format!("{no} comes to worker {worker} of host {host}, {slot:?}: {shown:?}"));
    }

    fn bridge_turn(&mut self, place: usize) {
        self.hosts[place].bridge_turn(self.now, &mut self.rng);
        if !self.network.is_connected(place) {
            return;
        }
        let ids: Vec<u32> = self.hosts.iter().map(|host| host.id.0).collect();
        for _ in 0..self.rng.between(0, 12) {
            let Some(core) = self.hosts[place].core() else { return };
            let Some(message) = core.next_message(self.now) else { break };
            self.network.publish(place, &message, &ids, &mut self.rng);
        }
        self.hosts[place].bridge_writes();
    }

    /// One message arrives. Returns false if there is none.
    fn deliver(&mut self) -> bool {
        let Some(arrived) = self.network.take(&mut self.rng) else { return false };
        if let Some(core) = self.hosts[arrived.to].core() {
            core.receive(&arrived.subject, &arrived.bytes, self.now).unwrap();
        }
        self.hosts[arrived.to].bridge_writes();
        true
    }

    fn worker_turn(&mut self, host: usize, worker: usize) -> Result<(), String> {
        for event in self.hosts[host].worker_turn(worker) {
            self.take(host, worker, event)?;
        }
        let mut fanout = self.hosts[host].workers[worker].take_fanout();
        let mut got: Vec<(Slot, u64, Option<ReplayPosition>)> = Vec::new();
        fanout.write_some(100, |slot, batch| {
            let frames: Vec<_> = batch.frames_for(slot, Protocol::V1).each().collect();
            got.extend(frames.iter().map(|frame| {
                let (id, at) = read_frame(frame);
                (slot, id, at)
            }));
            std::ops::ControlFlow::Continue(())
        });
        self.hosts[host].workers[worker].put_fanout(fanout);
        for (slot, id, at) in got {
            self.delivered(Connection { host, worker, slot }, id, at)?;
        }
        self.hosts[host].worker_writes(worker);
        if self.rng.once_in(4) {
            self.ping(host, worker);
        }
        Ok(())
    }

    /// Clients to which everything was written get their position.
    fn ping(&mut self, host: usize, worker: usize) {
        for mover in &mut self.movers {
            if let Some(Connection { slot, .. }) =
                mover.connection.filter(|it| (it.host, it.worker) == (host, worker))
                && mover.is_open
                && !mover.is_recovering
                && let Some(position) = self.hosts[host].workers[worker].position(slot)
            {
                mover.since = Some(position);
            }
        }
    }

    fn mover_at(&self, connection: Connection) -> Option<usize> {
        self.movers.iter().position(|mover| mover.connection == Some(connection))
    }

    fn delivered(
        &mut self,
        connection: Connection,
        id: u64,
        at: Option<ReplayPosition>,
    ) -> Result<(), String> {
        let Some(no) = self.mover_at(connection).filter(|no| self.movers[*no].is_open) else {
            return Ok(());
        };
        self.note(|| format!("{no} gets {id} at {at:?}"));
        let publication = self.published.get(&id).ok_or("what no worker has published")?;
        self.movers[no].gets(id, publication, at).map_err(|fault| format!("{no}: {fault}"))
    }

    fn take(&mut self, host: usize, worker: usize, event: BrokerEvent) -> Result<(), String> {
        let connection = |slot| Connection { host, worker, slot };
        match event {
            BrokerEvent::Joined { slot, .. } => self.joined(connection(slot)),
            BrokerEvent::Hosts(HostsNotice::Missed { items }) => {
                self.note(|| {
                    format!("worker {worker} of host {host} learns of a gap of {items:?}")
                });
                let next = self.next_id();
                let is_here = |it: &&mut Mover| {
                    it.is_open
                        && it.connection.is_some_and(|it| (it.host, it.worker) == (host, worker))
                };
                self.movers.iter_mut().filter(is_here).for_each(|mover| mover.misses(next));
                Ok(())
            }
            BrokerEvent::Resumable(event) => self.resumable(host, worker, event),
            BrokerEvent::Lost(lost) if !self.is_broker_dead => {
                Err(format!("worker {worker} of host {host} has lost its link: {lost:?}"))
            }
            _ => Ok(()),
        }
    }

    fn joined(&mut self, connection: Connection) -> Result<(), String> {
        let Connection { host, worker, slot } = connection;
        let client = &self.hosts[host].workers[worker];
        let uuid = client.uplink.client(slot).ok_or("a client is unknown")?.uuid;
        let record = client.uplink.record(slot).ok_or("a client has no record")?;
        let is_recovering = client.uplink.is_recovering(slot);
        let position = client.position(slot);
        let Some(no) = self.mover_at(connection) else { return Ok(()) };
        self.note(|| format!("{no} has joined host {host} as {uuid:?}: {record:?}"));
        let next = self.next_id();
        let mover = &mut self.movers[no];
        let was_recovering = mover.is_recovering;
        mover.joins(uuid, (record.generation, record.standing), next)?;
        mover.is_recovering = is_recovering;
        if was_recovering && !is_recovering && record.standing == ResumeStanding::Resumed {
            // The broker that had accepted it is dead.
            mover.misses(next);
        }
        if !is_recovering {
            mover.since = position.or(mover.since);
            mover.former = None;
        }
        Ok(())
    }

    fn resumable(&mut self, host: usize, worker: usize, event: ToResumable) -> Result<(), String> {
        let slot = match &event {
            ToResumable::Record(_) | ToResumable::Passed { .. } => return Ok(()),
            ToResumable::Replay(replayed) => replayed.slot,
            ToResumable::Recovered(recovery) => recovery.slot,
            ToResumable::Probe(slot) | ToResumable::Continued(slot) => *slot,
        };
        let connection = Connection { host, worker, slot };
        let mover = self.mover_at(connection);
        match (event, mover) {
            (ToResumable::Replay(replayed), Some(_)) => {
                let id = read_id(&replayed.content.payload);
                self.delivered(connection, id, Some(replayed.position))
            }
            (ToResumable::Recovered(recovery), Some(no)) => {
                self.note(|| format!("{no}: {recovery:?}"));
                let next = (self.next_id(), self.now);
                self.movers[no].recovers(recovery, next, &mut self.figures);
                if !self.rng.once_in(3) {
                    self.hosts[host].workers[worker].uplink.settle(slot);
                }
                Ok(())
            }
            (ToResumable::Continued(_), _) => {
                self.note(|| format!("host {host} closes {slot:?}, which continues elsewhere"));
                if let Some(no) = mover {
                    self.movers[no].former = self.movers[no].former.or(Some(host));
                    (self.movers[no].connection, self.movers[no].is_open) = (None, false);
                }
                self.end(connection);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn pass_time(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        while let Some(((at, _), _)) = self.later.first_key_value()
            && *at <= until
        {
            let ((at, _), what) = self.later.pop_first().unwrap();
            self.now = self.now.max(at);
            match what {
                Later::StartBridge(place) => self.start_bridge(place),
                Later::Connect(place) => self.connect_bridge(place),
                Later::Heal => self.network.cut.clear(),
            }
        }
        self.now = until;
        set_time(until - self.start);
        for host in &mut self.hosts {
            if let Some(core) = host.core() {
                core.tick(self.now);
            }
            host.bridge_writes();
        }
        Ok(())
    }

    fn connect_bridge(&mut self, place: usize) {
        let has_bridge = self.hosts[place].has_bridge();
        match self.hosts[place].core() {
            None if has_bridge => self.later(Duration::from_millis(5), Later::Connect(place)),
            Some(core) if !self.network.is_connected(place) => {
                core.connected(self.now);
                self.network.connect(place);
            }
            Some(_) | None => {}
        }
    }

    fn fault(&mut self) -> Result<(), String> {
        let place = self.rng.place(self.hosts.len());
        let faults = self.faults;
        let host = &self.hosts[place];
        let last = host.bridge_died.max(host.broker_died);
        let may_die = last.is_none_or(|died| self.now - died > ONE_MOMENT) && host.has_bridge();
        if self.rng.below(1000) < faults.bridge_deaths && may_die {
            self.note(|| format!("the bridge of host {place} dies"));
            self.hosts[place].kill_bridge(self.now);
            self.network.disconnect(place);
            self.later(Duration::from_millis(100), Later::StartBridge(place));
        } else if self.rng.below(1000) < faults.broker_deaths && may_die {
            self.note(|| format!("the broker of host {place} dies"));
            let events = self.hosts[place].kill_broker(self.now);
            self.is_broker_dead = true;
            for (worker, event) in events {
                self.take(place, worker, event)?;
            }
            self.is_broker_dead = false;
        } else if self.rng.below(1000) < faults.restarts {
            self.note(|| "the NATS server restarts".to_owned());
            for place in 0..self.hosts.len() {
                self.network.disconnect(place);
                if let Some(core) = self.hosts[place].core() {
                    core.disconnected();
                }
                let pause = self.rng.between(10, 900) as u64;
                self.later(Duration::from_millis(pause), Later::Connect(place));
            }
        } else if self.rng.below(1000) < faults.cuts {
            let from = (place + self.rng.between(1, self.hosts.len() - 1)) % self.hosts.len();
            let most = if self.rng.once_in(3) { 6_000 } else { 900 };
            let pause = self.rng.between(10, most);
            self.note(|| format!("host {from} does not reach host {place} for {pause} ms"));
            self.network.cut.push((from, place));
            self.later(Duration::from_millis(pause as u64), Later::Heal);
        }
        Ok(())
    }

    fn turn_all(&mut self) -> Result<(), String> {
        self.pass_time(Duration::from_millis(20))?;
        for place in 0..self.hosts.len() {
            for _ in 0..3 {
                self.bridge_turn(place);
                self.hosts[place].broker_turn(self.now, usize::MAX);
                self.worker_turn(place, 0)?;
                self.worker_turn(place, 1)?;
            }
        }
        while self.deliver() {}
        Ok(())
    }

    /// Faults stop. All clients come once more, and get what is published.
    pub fn calm_down(&mut self) -> Result<(), String> {
        self.note(|| "all faults stop".to_owned());
        (self.network.lost, self.network.doubled) = (0, 0);
        self.network.cut.clear();
        for _ in 0..600 {
            self.turn_all()?;
            if self.later.is_empty() && self.hosts.iter().all(|host| host.is_idle().is_ok()) {
                break;
            }
        }
        // Takeovers and requests are over.
        for _ in 0..150 {
            self.turn_all()?;
        }
        self.hosts.iter().try_for_each(MovingHost::is_idle)?;
        for no in 0..MOVERS {
            let host = self.rng.place(self.hosts.len());
            if self.movers[no].connection.is_none() {
                self.connect(no, host);
            }
        }
        for _ in 0..150 {
            self.turn_all()?;
        }
        let mut last = Vec::new();
        for place in 0..self.hosts.len() {
            last.push((self.publish(place, For::Everyone), None));
            for no in 0..MOVERS {
                let (uuid, _) = self.movers[no].token.ok_or("a client has not joined")?;
                last.push((self.publish(place, For::Uuid(uuid)), Some(no)));
            }
        }
        for _ in 0..20 {
            self.turn_all()?;
        }
        for (no, mover) in self.movers.iter().enumerate() {
            if !mover.is_open {
                return Err(format!("{no} has not joined: {mover:?}"));
            }
            for (id, _) in last.iter().filter(|(_, one)| one.is_none_or(|one| one == no)) {
                if !mover.has(*id) {
                    return Err(format!("{no} does not get {id}, and nothing is wrong"));
                }
            }
            if let Some(id) = mover.missing(&self.published) {
                return Err(format!("{no} has not got {id} (P3)"));
            }
            self.figures.received += mover.count();
        }
        Ok(())
    }
}

/// Returns the number in a frame of `tagcast.v1`, and its position.
fn read_frame(frame: &[u8]) -> (u64, Option<ReplayPosition>) {
    let start = if frame[1] < 126 { 2 } else { 4 };
    let text = String::from_utf8_lossy(&frame[start..]);
    let (_, data) = text.split_once(r#""data":"#).unwrap_or_else(|| panic!("{text}"));
    let digits: String = data.chars().take_while(char::is_ascii_digit).collect();
    let at = text.split_once(r#""at":""#).and_then(|(_, rest)| rest.split('"').next());
    (digits.parse().unwrap_or_else(|_| panic!("{text}")), at.and_then(ReplayPosition::read))
}

fn read_id(payload: &[u8]) -> u64 {
    str::from_utf8(payload).unwrap().trim().parse().unwrap()
}
