//! One host of a trial.

use super::*;

pub(super) const BRIDGE: WorkerIncarnation =
    WorkerIncarnation { worker: WorkerId::BRIDGE, generation: Generation(0) };

#[derive(Debug)]
pub(super) enum Sent {
    Item(Box<CarriedPublication>),
    Gap,
}

/// One host, and what is on its way to it.
pub(super) struct TrialHost {
    pub(super) router: Router,
    pub(super) generation: u32,
    pub(super) arrived: u64,
    pub(super) carried: u64,
    /// Slots and tags of clients.
    pub(super) clients: BTreeMap<u8, (u32, Tags)>,
    /// By slot and number. Whether the last `sync` was partial.
    pub(super) views: BTreeMap<(u32, u64), (View, bool)>,
    /// The query and the mode of each watch.
    pub(super) watches: BTreeMap<(u32, u64), (u8, u8)>,
    pub(super) live: BTreeSet<usize>,
    pub(super) inbox: Vec<VecDeque<Sent>>,
    pub(super) next_slot: u32,
}

pub(super) fn host_id(place: usize) -> HostId {
    HostId(u32::try_from(place).unwrap() + 1)
}

/// The user of a client does not change with its tags.
pub(super) fn tags_for(byte: u8, bits: u8) -> Tags {
    let user = if byte.is_multiple_of(3) { 4 } else { 0 };
    tags_of((bits & !4) | user)
}

pub(super) fn client_of(byte: u8, tags: Tags) -> Client {
    let ident = byte.is_multiple_of(4).then(|| Ident::new("name").unwrap());
    Client { ident, tags, ..client(byte) }
}

pub(super) fn from_bridge(router: &mut Router, message: FromBridge) {
    router.on_message(BRIDGE, ToBroker::Bridge(message)).unwrap();
    assert!(router.resume(&mut |_| false).is_continue());
}

pub(super) fn effect(router: &mut Router, effect: ClusterEffect) {
    from_bridge(router, FromBridge::Effect(Box::new(effect)));
}

pub(super) fn live_effect(place: usize) -> ClusterEffect {
    let run = HostRun(place as u64);
    let taken = TakenLanes::begin(run, BridgeEpoch(1), LaneStart::default());
    ClusterEffect::HostLive { host: host_id(place), taken }
}

impl TrialHost {
    pub(super) fn new(place: usize, generation: u32, now: Duration) -> Self {
        let mut host = Self {
            router: Router::default(),
            generation,
            arrived: 0,
            carried: 0,
            clients: BTreeMap::new(),
            views: BTreeMap::new(),
            watches: BTreeMap::new(),
            live: BTreeSet::new(),
            inbox: (0..HOSTS).map(|_| VecDeque::new()).collect(),
            next_slot: 0,
        };
        host.start(place, now);
        host
    }

    /// Starts a broker. Its worker announces its clients, and what they watch.
    pub(super) fn start(&mut self, place: usize, now: Duration) {
        self.router = Router::awaiting([source(0)]);
        self.carried = 0;
        let router = &mut self.router;
        timers::begin_turn(router, now);
        timers::started_at(router, now);
        let own = ClusterMember { host: host_id(place), query_timeout: TIMEOUT };
        bridge::share(router, own, Generation(self.generation));
        router.linked(BRIDGE);
        let hello = ToBroker::Hello { version: VERSION, source: BRIDGE };
        router.on_message(BRIDGE, hello).unwrap();
        from_bridge(router, FromBridge::Kept(Box::new(KeptForBridge::first())));
        for other in &self.live {
            effect(router, live_effect(*other));
        }
        let announced = ToBroker::Announced { sequence: Sequence(0) };
        router.on_message(BRIDGE, announced).unwrap();
        effect(router, ClusterEffect::Degraded(None));
        greet(router, 0);
        for (number, (byte, (slot, tags))) in (1..).zip(&self.clients) {
            let (slot, client) = (Slot(*slot), client_of(*byte, tags.clone()));
            let number = JoinNumber(number);
            say(router, 0, ToBroker::Announce { slot, number, client });
        }
        say(router, 0, ToBroker::Announced { sequence: Sequence(0) });
        for ((slot, id), (query, mode)) in self.watches.clone() {
            self.watch(slot, id, query, mode);
        }
    }

    pub(super) fn watch(&mut self, slot: u32, id: u64, query: u8, mode: u8) {
        self.watches.insert((slot, id), (query, mode));
        let (query, mode) = (query_of(query), mode_of(mode));
        let (is_once, scope) = (false, WatchScope::Any);
        let terms = Box::new(WatchTerms { query: query.clone(), mode, is_once, scope });
        let message = FromWatcher::Watch { slot: Slot(slot), id, terms };
        say(&mut self.router, 0, ToBroker::Presence(message));
        let (space, audience) = (Tenant::shared(), None);
        let view = View { space, query, mode, audience, counts: None, list: None };
        self.views.insert((slot, id), (view, true));
    }

    pub(super) fn take(&mut self, message: ToWorker) {
        match message {
            ToWorker::Presence(ToWatcher::Began { slot, id, audience }) => {
                let view = self.views.get_mut(&(slot.0, id)).into_iter();
                view.for_each(|(view, _)| view.audience = Some(audience));
            }
            ToWorker::Presence(ToWatcher::News(news)) => {
                for ((slot, _), (view, is_partial)) in &mut self.views {
                    if news.slots.contains(Slot(*slot)) && view.audience == Some(news.audience) {
                        let is_change = matches!(
                            news.news,
                            PresenceNews::Counts | PresenceNews::Changed { .. }
                        );
                        if !is_change {
                            *is_partial = news.is_partial;
                        }
                        if let (PresenceNews::Changed { joined, .. }, Some(list)) =
                            (&news.news, &view.list)
                        {
                            // No client looks different from before.
                            assert!(joined.iter().all(|it| !list.contains_key(&it.client)));
                        }
                        view.take(&news);
                    }
                }
            }
            _ => {}
        }
    }
}
