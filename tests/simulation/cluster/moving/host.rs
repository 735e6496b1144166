//! One host: the real broker and the real broker client of a worker, and the core of a bridge with its link.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tagcast::broker::core::{BrokerCore, TurnBudgets};
use tagcast::broker::router::BrokerClocks;
use tagcast::broker_client::{BrokerClient, BrokerEvent};
use tagcast::cluster::{
    BridgeCore, BridgeEpoch, BridgeIdentity, BridgeOptions, ClusterEffect, ClusterName, HeldBounds,
    HostRun, ReplayBounds,
};
use tagcast::link::bridge::{FromBridge, ToBridge};
use tagcast::link::codec::{MessageDecoder, WireMessage};
use tagcast::link::control::ChildEvent;
use tagcast::link::message::{ToBroker, ToWorker, VERSION};
use tagcast::link::transport::Transport;
use tagcast::types::{
    ClusterMember, Generation, HistoryTerms, HostId, Sequence, WorkerId, WorkerIncarnation,
};

use crate::pipe::{End, Kernel, Watch, pipe, unlimited};
use crate::rng::Rng;

const LINK_BYTES: usize = 1 << 22;

/// The bridge process.
#[derive(Debug)]
struct Bridge {
    source: WorkerIncarnation,
    core: Option<BridgeCore>,
    link: Option<End>,
    inbox: MessageDecoder,
    out: Vec<u8>,
}

/// One host.
#[derive(Debug)]
pub struct MovingHost {
    pub id: HostId,
    run: u64,
    name: ClusterName,
    entries: usize,
    timeout: Duration,
    broker: BrokerCore,
    generation: u32,
    /// The workers, which never die.
    pub workers: Vec<BrokerClient>,
    watches: BTreeMap<WorkerId, Watch>,
    worker_watches: Vec<Watch>,
    bridge: Option<Bridge>,
    bridge_generation: u32,
    pub bridge_died: Option<Instant>,
    pub broker_died: Option<Instant>,
    start: Instant,
    turns: u64,
}

thread_local! {
    /// The time of the run on this thread, for clocks that are functions.
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

pub fn set_time(time: Duration) {
    TIME.set(time);
}

fn simulated_time() -> Duration {
    TIME.get()
}

fn link() -> [End; 2] {
    pipe((Arc::new(AtomicUsize::new(LINK_BYTES)), Kernel::Keeps), [unlimited(), unlimited()])
}

fn worker_source(worker: usize) -> WorkerIncarnation {
    WorkerIncarnation {
        worker: WorkerId(u16::try_from(worker).unwrap()),
        generation: Generation(1),
    }
}

impl MovingHost {
    pub fn new(
        place: usize,
        name: ClusterName,
        (entries, timeout): (usize, Duration),
        start: Instant,
    ) -> Self {
        let id = HostId(u32::try_from(place).unwrap() + 10);
        let workers = (0..2).map(|worker| BrokerClient::new(worker_source(worker))).collect();
        let mut host = Self {
            id,
            run: place as u64 + 77,
            name,
            entries,
            timeout,
            broker: BrokerCore::new(Generation(0)),
            generation: 0,
            workers,
            watches: BTreeMap::new(),
            worker_watches: Vec::new(),
            bridge: None,
            bridge_generation: 0,
            bridge_died: None,
            broker_died: None,
            start,
            turns: 0,
        };
        host.start_broker();
        host
    }

    fn since(&self, now: Instant) -> Duration {
        now - self.start + Duration::from_secs(1)
    }

    fn start_broker(&mut self) {
        let mut broker = BrokerCore::new(Generation(self.generation));
        let host = ClusterMember { host: self.id, query_timeout: self.timeout };
        broker.share_with_hosts(Some(host));
        broker.measure_with(BrokerClocks { since_start: simulated_time, unix: simulated_time });
        broker.seed_epochs(u64::from(self.id.0) * 1000 + u64::from(self.generation));
        let terms =
            HistoryTerms { entries: self.entries, bytes: 1 << 20, age: Duration::from_secs(600) };
        broker.limit_history(1 << 22, vec![(String::new(), terms)]);
        if self.generation > 0 {
            let bridge = self.bridge.iter().map(|bridge| bridge.source);
            let workers = (0..self.workers.len()).map(worker_source);
            broker.await_workers(workers.chain(bridge).collect());
        }
        self.broker = broker;
        self.watches.clear();
        self.worker_watches.clear();
        for worker in 0..self.workers.len() {
            let [ours, theirs] = link();
            self.watches.insert(worker_source(worker).worker, theirs.watch());
            self.worker_watches.push(ours.watch());
            self.broker.link(worker_source(worker), Box::new(theirs));
            self.workers[worker].connect(Generation(self.generation), Box::new(ours));
        }
        self.link_bridge();
    }

    /// Links the bridge to the present broker, as `bridge/broker.rs` does.
    fn link_bridge(&mut self) {
        let Some(bridge) = &mut self.bridge else { return };
        let [ours, theirs] = link();
        self.watches.insert(WorkerId::BRIDGE, theirs.watch());
        self.broker.link(bridge.source, Box::new(theirs));
        bridge.begin(ours);
    }

    /// The broker dies and is replaced.
    pub fn kill_broker(&mut self, now: Instant) -> Vec<(usize, BrokerEvent)> {
        self.generation += 1;
        self.broker_died = Some(now);
        // What it has written is read to the end.
        self.broker = BrokerCore::new(Generation(0));
        let mut events = Vec::new();
        let mut scratch = vec![0; 4096];
        for (place, worker) in self.workers.iter_mut().enumerate() {
            worker.mark_unread();
            while let Some(event) = worker.next_until_end(&mut scratch) {
                events.push((place, event));
            }
        }
        self.bridge_reads(now, &mut |_| false);
        self.start_broker();
        events
    }

    pub fn has_bridge(&self) -> bool {
        self.bridge.is_some()
    }

    pub fn core(&mut self) -> Option<&mut BridgeCore> {
        self.bridge.as_mut()?.core.as_mut()
    }

    pub fn start_bridge(&mut self) {
        let generation = Generation(self.bridge_generation);
        self.bridge_generation += 1;
        self.bridge = Some(Bridge {
            source: WorkerIncarnation { worker: WorkerId::BRIDGE, generation },
            core: None,
            link: None,
            inbox: MessageDecoder::default(),
            out: Vec::new(),
        });
        self.link_bridge();
    }

    pub fn kill_bridge(&mut self, now: Instant) {
        if let Some(bridge) = self.bridge.take() {
            self.broker.remove_worker(bridge.source);
            self.bridge_died = Some(now);
        }
    }

    /// A turn of the broker, which handles at most so many messages.
    pub fn broker_turn(&mut self, now: Instant, most: usize) {
        for (worker, watch) in &self.watches {
            if watch.take_rung() {
                self.broker.mark_unread(*worker);
            }
            if watch.has_ended() {
                self.broker.mark_ended(*worker);
            }
        }
        let (mut left, mut lost) = (most, Vec::new());
        let budgets = TurnBudgets {
            messages: &mut |_| {
                left = left.saturating_sub(1);
                left == 0
            },
            removals: &mut || false,
        };
        let at = self.since(now);
        self.broker.run_turn(at, &mut |event| lost.push(event), budgets);
        for event in lost {
            // The bridge may be dead.
            let ChildEvent::LinkLost { peer, .. } = event else { continue };
            let is_dead = self.bridge.as_ref().is_none_or(|bridge| bridge.source != peer);
            assert!(is_dead && peer.worker.is_bridge(), "{event:?}");
        }
        self.turns += 1;
        if self.turns.is_multiple_of(16) {
            self.broker.router().is_consistent().unwrap();
        }
    }

    /// A turn of a worker. Returns its events.
    pub fn worker_turn(&mut self, worker: usize) -> Vec<BrokerEvent> {
        let (watch, client) = (&self.worker_watches[worker], &mut self.workers[worker]);
        if watch.take_rung() {
            client.mark_unread();
        }
        let mut events = Vec::new();
        let mut scratch = vec![0; 4096];
        while client.is_unread() || client.is_busy() {
            client.read(&mut scratch);
            let mut is_empty = true;
            while let Some(event) = client.next(&mut || false) {
                events.push(event);
                is_empty = false;
            }
            if is_empty && !client.is_unread() {
                break;
            }
        }
        events
    }

    pub fn worker_writes(&mut self, worker: usize) {
        self.workers[worker].write();
    }

    /// A turn of the bridge: its link in both directions.
    pub fn bridge_turn(&mut self, now: Instant, rng: &mut Rng) {
        let mut left = rng.between(0, 30);
        self.bridge_reads(now, &mut |_| {
            left = left.saturating_sub(1);
            left == 0
        });
        self.bridge_writes();
    }

    fn bridge_reads(&mut self, now: Instant, is_over: &mut dyn FnMut(&ToWorker) -> bool) {
        let (id, run, name) = (self.id, self.run, self.name.clone());
        let Some(bridge) = &mut self.bridge else { return };
        let mut scratch = vec![0; 4096];
        loop {
            while let Some(message) = bridge.inbox.take::<ToWorker>().unwrap() {
                let is_last = is_over(&message);
                bridge.apply(message, (id, run, name.clone()), now);
                if is_last {
                    return;
                }
            }
            let Some(link) = &mut bridge.link else { return };
            match link.read(&mut scratch) {
                Ok(0) | Err(_) => return,
                Ok(read) => bridge.inbox.extend(&scratch[..read]),
            }
        }
    }

    pub fn bridge_writes(&mut self) {
        let Some(bridge) = &mut self.bridge else { return };
        if let Some(core) = &mut bridge.core {
            for effect in core.take_effects() {
                bridge.say(FromBridge::Effect(Box::new(effect)));
            }
            // No process asks in this simulation.
            assert!(bridge.core.as_mut().unwrap().take_answered().is_empty());
        }
        let Some(link) = &mut bridge.link else { return };
        if let Ok(written) = link.write(&[IoSlice::new(&bridge.out)]) {
            bridge.out.drain(..written);
        }
    }

    /// Returns whether nothing is on its way within this host.
    pub fn is_idle(&self) -> Result<(), String> {
        let waiting: Vec<u64> = self.workers.iter().map(|it| it.uplink.unacknowledged()).collect();
        let core = self.bridge.as_ref().and_then(|bridge| bridge.core.as_ref());
        let is_idle = core.is_some_and(BridgeCore::is_idle);
        match is_idle && waiting.iter().all(|waiting| *waiting == 0) {
            true => Ok(()),
            false => {
                Err(format!("{waiting:?} are not acknowledged, the bridge is idle: {is_idle}"))
            }
        }
    }
}

impl Bridge {
    fn send(&mut self, message: &ToBroker) {
        message.encode(&mut self.out);
    }

    fn say(&mut self, message: FromBridge) {
        self.send(&ToBroker::Bridge(message));
    }

    fn begin(&mut self, link: End) {
        self.link = Some(link);
        self.inbox = MessageDecoder::default();
        self.out.clear();
        let source = self.source;
        self.send(&ToBroker::Hello { version: VERSION, source });
        let announced = ToBroker::Announced { sequence: Sequence(0) };
        match self.core.take() {
            None => {
                self.say(FromBridge::Start);
                self.send(&announced);
            }
            Some(mut core) => {
                self.say(FromBridge::Kept(Box::new(core.broker_restarted())));
                let is_of_hosts = |effect: &ClusterEffect| {
                    matches!(effect, ClusterEffect::HostLive { .. } | ClusterEffect::HostGone(_))
                };
                let (hosts, rest): (Vec<_>, Vec<_>) =
                    core.take_effects().into_iter().partition(is_of_hosts);
                for names in core.announced_names() {
                    self.say(FromBridge::Names(Box::new(names)));
                }
                let effect = |effect| FromBridge::Effect(Box::new(effect));
                hosts.into_iter().for_each(|it| self.say(effect(it)));
                self.say(FromBridge::Sent(core.sent_to_one().collect()));
                self.send(&announced);
                rest.into_iter().for_each(|it| self.say(effect(it)));
                self.core = Some(core);
            }
        }
        self.send(&ToBroker::WindowRepeated);
    }

    fn apply(
        &mut self,
        message: ToWorker,
        (host, run, name): (HostId, u64, ClusterName),
        now: Instant,
    ) {
        match (message, &mut self.core) {
            (ToWorker::Bridge(ToBridge::Kept(kept)), None) => {
                let epoch = BridgeEpoch(self.source.generation.0 + 1);
                let options = BridgeOptions {
                    name,
                    uuid_key: [7; 32],
                    identity: BridgeIdentity { host, run: HostRun(run), epoch },
                    random: [u8::try_from(host.0 + self.source.generation.0).unwrap(); 32],
                    replay: ReplayBounds::default(),
                    held: HeldBounds::default(),
                    kept: *kept,
                    profile: tagcast::types::HostProfile::default(),
                    begun_s: 0,
                };
                self.core = Some(BridgeCore::new(options, now));
            }
            (ToWorker::Bridge(ToBridge::Forward(forward)), Some(core)) => {
                core.forward(*forward, now);
            }
            (ToWorker::Bridge(ToBridge::Missing(items)), Some(core)) => {
                core.forward_missing(items, now);
            }
            (ToWorker::Acknowledged { up_to }, Some(core)) => core.acknowledged(up_to.0),
            _ => {}
        }
    }
}
