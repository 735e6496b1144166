//! Ids of publications and nonces over several hosts: each is a router with one client, and forwards take any time.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::bridge;
use super::*;
use crate::cluster::{
    Arrival, BridgeEpoch, CarriedPublication, ClusterEffect, Forward, ForwardReach, HostRun,
    LaneKey, LanePoint, LaneStart, PassedPublication, TakenLanes,
};
use crate::link::bridge::{FromBridge, ToBridge};
use crate::link::message::VERSION;
use crate::link::query::{BrokerQuery, QueryKind, QueryResult};
use crate::types::{
    ClusterMember, HostId, PublicationId, RecipientBounds, ReplayDigest, ReplayRecords, Slot,
    SpentNonce,
};

const API: WorkerIncarnation =
    WorkerIncarnation { worker: WorkerId::API, generation: Generation(0) };
pub(super) const BRIDGE: WorkerIncarnation =
    WorkerIncarnation { worker: WorkerId::BRIDGE, generation: Generation(0) };

/// One host: its broker, and what the others have sent to it.
struct Host {
    router: Router,
    published: u64,
    arrived: u64,
    carried: u64,
    /// Items on their way here, from each host.
    inbox: Vec<VecDeque<CarriedPublication>>,
    /// What the client has got: first byte of the id, and the content.
    got: Vec<(u8, u8)>,
    /// What the API process has learned of other hosts.
    learned: Vec<ReplayRecords>,
}

struct Hosts(Vec<Host>);

fn host_id(place: usize) -> HostId {
    HostId(u32::try_from(place).unwrap() + 1)
}

fn uuid_on(place: usize) -> ClientUuid {
    ClientUuid::at_home([7; 16], host_id(place))
}

fn id(id: u8, content: u8) -> PublicationId {
    PublicationId {
        id: ReplayDigest([id; 16]),
        content: ReplayDigest([content; 16]),
        at: 1,
        until: 300,
        recipients: RecipientBounds { min: 0, max: u64::MAX },
        origin: None,
    }
}

pub(super) fn link_to(router: &mut Router, source: WorkerIncarnation) {
    router.linked(source);
    router.on_message(source, ToBroker::Hello { version: VERSION, source }).unwrap();
    if source.worker.is_bridge() {
        router.on_message(source, ToBroker::Bridge(FromBridge::Start)).unwrap();
    }
    router.on_message(source, ToBroker::Announced { sequence: Sequence(0) }).unwrap();
}

fn received(router: &mut Router, worker: WorkerId) -> Vec<ToWorker> {
    let Some(member) = router.worker_mut(worker) else { return Vec::new() };
    let mut inbox = MessageDecoder::default();
    inbox.extend(member.out.pending());
    member.out.advance(member.out.pending().len());
    std::iter::from_fn(|| inbox.take().unwrap()).collect()
}

impl Hosts {
    fn new(count: usize) -> Self {
        let host = |place| {
            let mut router = Router::default();
            let own = ClusterMember { host: host_id(place), query_timeout: Duration::ZERO };
            bridge::share(&mut router, own, Generation(0));
            for source in [source(0), API, BRIDGE] {
                link_to(&mut router, source);
            }
            for other in (0..count).filter(|other| *other != place) {
                let (host, run) = (host_id(other), HostRun(other as u64));
                let taken = TakenLanes::begin(run, BridgeEpoch(1), LaneStart::default());
                let live = ClusterEffect::HostLive { host, taken };
                let live = ToBroker::Bridge(FromBridge::Effect(Box::new(live)));
                router.on_message(BRIDGE, live).unwrap();
            }
            let client = Client { uuid: uuid_on(place), ..client(0) };
            say(&mut router, 0, ToBroker::Join { slot: Slot(0), client });
            Host {
                router,
                published: 0,
                arrived: 0,
                carried: 0,
                inbox: vec![VecDeque::new(); count],
                got: Vec::new(),
                learned: Vec::new(),
            }
        };
        let mut hosts = Self((0..count).map(host).collect());
        (0..count).for_each(|place| hosts.end_turn(place));
        hosts
    }

    /// The API process of a host publishes under an id.
    fn publish(&mut self, place: usize, id: PublicationId, address: Address) {
        let host = &mut self.0[place];
        host.published += 1;
        let payload = Bytes::copy_from_slice(&[id.id.0[0], id.content.0[0]]);
        let content = Content { form: PayloadForm::Message, payload };
        let publication = Publication { tenant: Tenant::shared(), address, content };
        let number = Number(host.published);
        for message in [
            ToBroker::Identify(id),
            ToBroker::Count { clients_max: None, tracking: None },
            ToBroker::Publish { number, publication },
        ] {
            host.router.on_message(API, message).unwrap();
        }
        self.end_turn(place);
    }

    /// Ends a turn of a host, and passes on what it has for others.
    fn end_turn(&mut self, place: usize) {
        let host = &mut self.0[place];
        host.router.end_turn();
        for message in received(&mut host.router, WorkerId(0)) {
            if let ToWorker::Deliver(deliver) = message
                && let Some(content) = deliver.content
            {
                host.got.push((content.payload[0], content.payload[1]));
            }
        }
        let told = received(&mut host.router, WorkerId::BRIDGE);
        host.router.acknowledge();
        for message in received(&mut host.router, WorkerId::API) {
            if let ToWorker::Remember(records) = message
                && !matches!(records, ReplayRecords::Basis(_))
            {
                host.learned.push(records);
            }
        }
        let mut carried = 0;
        for message in told {
            let ToWorker::Bridge(ToBridge::Forward(forward)) = message else { continue };
            carried += 1;
            let Forward { reach, publication } = *forward;
            for other in (0..self.0.len()).filter(|other| *other != place) {
                if matches!(reach, ForwardReach::One(host) if host != host_id(other)) {
                    continue;
                }
                self.0[other].inbox[place].push_back(publication.clone());
            }
        }
        let host = &mut self.0[place];
        if carried > 0 {
            let points = Vec::new();
            let forwards = host.router_carried(carried);
            let carried = ClusterEffect::Carried { forwards, epoch: BridgeEpoch(1), points };
            let carried = ToBroker::Bridge(FromBridge::Effect(Box::new(carried)));
            host.router.on_message(BRIDGE, carried).unwrap();
            self.end_turn(place);
        }
    }

    /// The next item of a host arrives at another one. Returns false if there is none.
    fn arrive(&mut self, from: usize, to: usize) -> bool {
        let host = &mut self.0[to];
        let Some(publication) = host.inbox[from].pop_front() else { return false };
        host.arrived += 1;
        let (source, number) = (publication.source, publication.number);
        let point = LanePoint { lane: LaneKey::COMMON, number: host.arrived };
        let (host_of, epoch) = (host_id(from), BridgeEpoch(1));
        let taken = PassedPublication { host: host_of, epoch, point, source, number };
        let arrival = Arrival { number: host.arrived, taken, publication };
        let arrival = FromBridge::Effect(Box::new(ClusterEffect::Arrive(arrival)));
        host.router.on_message(BRIDGE, ToBroker::Bridge(arrival)).unwrap();
        self.end_turn(to);
        true
    }

    fn settle(&mut self) {
        let count = self.0.len();
        let mut has_more = true;
        while has_more {
            has_more = false;
            for it in 0..count * count {
                has_more |= self.arrive(it / count, it % count);
            }
        }
    }

    /// What a host knows of an id.
    fn known(&mut self, place: usize, id: PublicationId) -> Option<u8> {
        let router = &mut self.0[place].router;
        let (number, tenant, kind) = (9, Tenant::shared(), QueryKind::UsedId(id.id));
        let query = BrokerQuery { number, tenant, kind };
        router.on_message(API, ToBroker::Ask { slot: Slot::NONE, query }).unwrap();
        received(router, WorkerId::API).into_iter().find_map(|message| match message {
            ToWorker::Answer { result: QueryResult::UsedId(used), .. } => {
                used.map(|used| used.content.0[0])
            }
            _ => None,
        })
    }
}

impl Host {
    /// Counts forwards that are carried.
    fn router_carried(&mut self, more: u64) -> u64 {
        self.carried += more;
        self.carried
    }
}

fn everyone() -> Address {
    Address::everyone()
}

proptest! {
    /// Whatever hosts take the repeats, and however long items are on their way, no client gets an id twice.
    #[test]
    fn no_client_receives_an_id_twice_whatever_host_takes_the_repeat(
        steps in proptest::collection::vec((0_usize..3, 0_usize..3, 0_u8..4, 0_u8..2, any::<bool>()), 1..60),
    ) {
        let mut hosts = Hosts::new(3);
        for (one, other, number, content, is_publication) in steps {
            match is_publication {
                true => hosts.publish(one, id(number, content), everyone()),
                false => drop(hosts.arrive(one, other)),
            }
        }
        hosts.settle();
        for host in &hosts.0 {
            let mut ids: Vec<u8> = host.got.iter().map(|(id, _)| *id).collect();
            let all = ids.len();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), all, "{:?}", host.got);
        }
        let reached: Vec<usize> = hosts.0.iter().map(|host| host.got.len()).collect();
        prop_assert!(reached.windows(2).all(|two| two[0] == two[1]), "{:?}", reached);
    }
}

#[test]
fn a_repeat_on_another_host_is_known_there_and_its_api_process_learns_it() {
    let mut hosts = Hosts::new(2);
    hosts.publish(0, id(1, 7), everyone());
    assert_eq!(hosts.known(1, id(1, 7)), None);
    hosts.settle();
    assert_eq!(hosts.known(1, id(1, 7)), Some(7));
    let learned: Vec<_> = hosts.0[1].learned.iter().map(ReplayRecords::len).collect();
    assert_eq!(learned, [1], "after the publication was written");
    hosts.publish(1, id(1, 8), everyone());
    hosts.settle();
    assert_eq!((&hosts.0[0].got, &hosts.0[1].got), (&vec![(1, 7)], &vec![(1, 7)]));
}

#[test]
fn all_hosts_know_the_id_of_a_publication_to_one_client() {
    let mut hosts = Hosts::new(3);
    let uuid = uuid_on(0);
    hosts.publish(0, id(1, 7), Address::first(Some(uuid), None));
    assert_eq!(hosts.0[0].got, [(1, 7)]);
    hosts.settle();
    assert_eq!([1, 2].map(|place| hosts.known(place, id(1, 7))), [Some(7), Some(7)]);
    // The client is elsewhere: its host knows the id, and lets all others know it.
    hosts.publish(1, id(2, 7), Address::first(Some(uuid), None));
    hosts.settle();
    assert_eq!(hosts.0[0].got, [(1, 7), (2, 7)]);
    assert_eq!([0, 1, 2].map(|place| hosts.known(place, id(2, 7))), [Some(7); 3]);
}

#[test]
fn a_nonce_is_known_on_all_hosts() {
    let mut hosts = Hosts::new(3);
    let spent = |byte| {
        ReplayRecords::Nonces(vec![SpentNonce { nonce: ReplayDigest([byte; 16]), until: 9 }])
    };
    for byte in 1..=3 {
        hosts.0[0].router.on_message(API, ToBroker::Remember(spent(byte))).unwrap();
    }
    hosts.end_turn(0);
    let items = hosts.0[1].inbox[0].iter().filter(|item| !item.is_of_directory());
    assert_eq!(items.count(), 1, "one item for all of a turn");
    hosts.settle();
    for host in &hosts.0[1..] {
        let [ReplayRecords::OtherNonces(nonces)] = &host.learned[..] else { panic!() };
        assert_eq!(nonces.iter().map(|it| it.nonce.0[0]).collect::<Vec<_>>(), [1, 2, 3]);
    }
    assert!(hosts.0[0].learned.is_empty(), "not its own");
}
