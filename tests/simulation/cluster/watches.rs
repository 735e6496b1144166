//! Clients of a host that watch the clients of all: a real router has them, along with the modelled broker.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tagcast::broker::router::{Router, bridge, timers};
use tagcast::cluster::{
    Arrival, BridgeEpoch, ClusterEffect, Forward, HostRun, KeptForBridge, LaneStart, TakenLanes,
};
use tagcast::link::bridge::{FromBridge, ToBridge};
use tagcast::link::codec::MessageDecoder;
use tagcast::link::message::{ToBroker, ToWorker, VERSION};
use tagcast::link::presence::{AudienceNews, AudienceNumber, FromWatcher, ToWatcher};
use tagcast::types::{
    AddressLimit, Client, ClientClass, ClientFilter, ClientUuid, ClusterMember, Generation, HostId,
    JoinNumber, PresenceNews, Sequence, Slot, Tag, Tags, Tenant, WatchMode, WatchScope, WatchTerms,
    WorkerId, WorkerIncarnation,
};

use super::host::Host;

/// Rooms that clients are in, and that clients watch.
pub const ROOMS: u64 = 3;
const TIMEOUT: Duration = Duration::from_millis(300);

const WORKER: WorkerIncarnation =
    WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) };
const BRIDGE: WorkerIncarnation =
    WorkerIncarnation { worker: WorkerId::BRIDGE, generation: Generation(0) };

/// What a watcher knows of a room.
#[derive(Debug)]
pub struct RoomView {
    room: u64,
    audience: Option<AudienceNumber>,
    known: BTreeSet<ClientUuid>,
    clients: u64,
    is_partial: bool,
}

/// The clients of a host, and what they watch.
#[derive(Debug)]
pub struct HostWatches {
    host: HostId,
    run: u64,
    router: Router,
    arrived: u64,
    carried: u64,
    /// The rooms of clients, by their numbers.
    clients: BTreeMap<u32, u64>,
    views: BTreeMap<u32, RoomView>,
    begun: Option<Instant>,
}

fn uuid(number: u32) -> ClientUuid {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    ClientUuid(bytes)
}

fn tags(room: u64) -> Tags {
    Tags::new([Tag::new("room", &room.to_string()).unwrap()]).unwrap()
}

fn client(number: u32, room: u64) -> Client {
    Client {
        tenant: Tenant::shared(),
        uuid: uuid(number),
        ident: None,
        tags: tags(room),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

impl HostWatches {
    pub fn new(host: HostId, run: u64) -> Self {
        let mut watches = Self {
            host,
            run,
            router: Router::default(),
            arrived: 0,
            carried: 0,
            clients: BTreeMap::new(),
            views: BTreeMap::new(),
            begun: None,
        };
        watches.start(0);
        watches
    }

    /// Starts a broker. Its worker announces its clients, and what they watch.
    pub fn start(&mut self, generation: u32) {
        self.router = Router::awaiting([WORKER]);
        self.carried = 0;
        timers::started_at(&mut self.router, Duration::from_micros(self.run >> 24));
        let own = ClusterMember { host: self.host, query_timeout: TIMEOUT };
        bridge::share(&mut self.router, own, Generation(generation));
        for source in [BRIDGE, WORKER] {
            self.router.linked(source);
            self.say(source, ToBroker::Hello { version: VERSION, source });
        }
        let kept = FromBridge::Kept(Box::new(KeptForBridge::first()));
        self.say(BRIDGE, ToBroker::Bridge(kept));
        for (number, room) in self.clients.clone() {
            let (slot, join) = (Slot(number), JoinNumber(number.into()));
            let client = client(number, room);
            self.say(WORKER, ToBroker::Announce { slot, number: join, client });
        }
        for source in [BRIDGE, WORKER] {
            self.say(source, ToBroker::Announced { sequence: Sequence(0) });
        }
        self.effect(ClusterEffect::Degraded(None));
        let rooms: Vec<(u32, u64)> = self.views.iter().map(|(at, it)| (*at, it.room)).collect();
        rooms.into_iter().for_each(|(number, room)| self.watch(number, room));
    }

    fn say(&mut self, source: WorkerIncarnation, message: ToBroker) {
        self.router.on_message(source, message).unwrap();
        assert!(self.router.resume(&mut |_| false).is_continue());
    }

    /// Passes on what the bridge says.
    pub fn effect(&mut self, effect: ClusterEffect) {
        self.arrived += 1;
        let number = self.arrived;
        let effect = match effect {
            ClusterEffect::Arrive(arrival) => ClusterEffect::Arrive(Arrival { number, ..arrival }),
            ClusterEffect::Gap { gap, .. } => ClusterEffect::Gap { number, gap },
            other => other,
        };
        self.say(BRIDGE, ToBroker::Bridge(FromBridge::Effect(Box::new(effect))));
    }

    /// A new bridge takes these hosts for live.
    pub fn take_for_live(&mut self, hosts: impl Iterator<Item = HostId>) {
        for host in hosts {
            let taken = TakenLanes::begin(HostRun(1), BridgeEpoch(1), LaneStart::default());
            self.effect(ClusterEffect::HostLive { host, taken });
        }
    }

    pub fn join(&mut self, number: u32, room: u64) {
        self.clients.insert(number, room);
        let (slot, client) = (Slot(number), client(number, room));
        self.say(WORKER, ToBroker::Join { slot, client });
    }

    /// The first client leaves that is in a room.
    pub fn leave(&mut self, room: u64) {
        let first = self.clients.iter().find(|(_, own)| **own == room).map(|(number, _)| *number);
        if let Some(number) = first {
            self.clients.remove(&number);
            self.views.remove(&number);
            self.say(WORKER, ToBroker::Leave { slot: Slot(number) });
        }
    }

    /// The client that is here for the longest time watches a room.
    pub fn watch_first(&mut self, room: u64) {
        let first = self.clients.keys().find(|number| !self.views.contains_key(number));
        first.copied().into_iter().for_each(|number| self.watch(number, room));
    }

    /// A client that watches a room stops.
    pub fn unwatch(&mut self, room: u64) {
        let found = self.views.iter().find(|(_, view)| view.room == room).map(|(at, _)| *at);
        if let Some(number) = found {
            self.views.remove(&number);
            let message = FromWatcher::Unwatch { slot: Slot(number), id: 1 };
            self.say(WORKER, ToBroker::Presence(message));
        }
    }

    fn watch(&mut self, number: u32, room: u64) {
        let (query, mode) = (ClientFilter::Tags(tags(room)), WatchMode::Members(200));
        let (is_once, scope) = (false, WatchScope::Any);
        let terms = Box::new(WatchTerms { query, mode, is_once, scope });
        let message = FromWatcher::Watch { slot: Slot(number), id: 1, terms };
        let (known, clients, is_partial) = (BTreeSet::new(), 0, true);
        self.views.insert(number, RoomView { room, audience: None, known, clients, is_partial });
        self.say(WORKER, ToBroker::Presence(message));
    }

    fn told(&mut self, worker: WorkerId) -> Vec<ToWorker> {
        let Some(member) = self.router.worker_mut(worker) else { return Vec::new() };
        let mut inbox = MessageDecoder::default();
        inbox.extend(member.out.pending());
        member.out.advance(member.out.pending().len());
        std::iter::from_fn(|| inbox.take().unwrap()).collect()
    }

    /// One turn of the router. Returns what other hosts are to get.
    pub fn turn(&mut self, now: Instant) -> Vec<Forward> {
        let since = now.saturating_duration_since(*self.begun.get_or_insert(now));
        timers::begin_turn(&mut self.router, since + Duration::from_secs(1));
        timers::end_due(&mut self.router, &mut || true);
        self.router.end_turn();
        let to_bridge = self.told(WorkerId::BRIDGE);
        for message in self.told(WorkerId(0)) {
            self.take(message);
        }
        let mut forwards = Vec::new();
        for message in to_bridge {
            if let ToWorker::Bridge(ToBridge::Forward(forward)) = message {
                forwards.push(*forward);
            }
        }
        if !forwards.is_empty() {
            self.carried += forwards.len() as u64;
            let (forwards, epoch) = (self.carried, BridgeEpoch(1));
            self.effect(ClusterEffect::Carried { forwards, epoch, points: Vec::new() });
        }
        forwards.retain(|forward| forward.publication.is_of_watches());
        forwards
    }

    fn take(&mut self, message: ToWorker) {
        match message {
            ToWorker::Presence(ToWatcher::Began { slot, audience, .. }) => {
                let view = self.views.get_mut(&slot.0).into_iter();
                view.for_each(|view| view.audience = Some(audience));
            }
            ToWorker::Presence(ToWatcher::News(news)) => {
                for (number, view) in &mut self.views {
                    if news.slots.contains(Slot(*number)) && view.audience == Some(news.audience) {
                        view.take(&news);
                    }
                }
            }
            _ => {}
        }
    }

    /// Compares what watchers know with the clients of all hosts.
    pub fn compare(&self, all: &[&Self]) -> Result<(), String> {
        for (number, view) in &self.views {
            let clients = all.iter().flat_map(|host| &host.clients);
            let members = clients.filter(|(_, room)| **room == view.room);
            let members: BTreeSet<ClientUuid> = members.map(|(number, _)| uuid(*number)).collect();
            let is_right = view.known == members && view.clients == members.len() as u64;
            if !is_right || view.is_partial {
                return Err(format!("{} of {} is not {members:?}: {view:?}", number, self.host));
            }
        }
        Ok(())
    }
}

impl RoomView {
    fn take(&mut self, AudienceNews { news, counts, is_partial, .. }: &AudienceNews) {
        self.clients = counts.clients;
        match news {
            PresenceNews::Counts | PresenceNews::AllCounts | PresenceNews::TooMany => {}
            PresenceNews::All(members) => {
                self.known = members.iter().map(|member| member.client).collect();
                self.is_partial = *is_partial;
            }
            PresenceNews::Changed { joined, left } => {
                for client in left {
                    assert!(self.known.remove(client), "only a member leaves");
                }
                self.known.extend(joined.iter().map(|member| member.client));
            }
        }
    }
}

impl Host {
    /// Gives the bridge what other hosts are to know about watches.
    pub fn send_watches(&mut self, now: Instant) {
        let forwards = self.watches.as_mut().map(|watches| watches.turn(now));
        forwards.into_iter().flatten().for_each(|forward| self.push_forward(forward));
    }
}
