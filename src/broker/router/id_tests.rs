//! Publications with an id, from the broker's side (rule L11).

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;

use super::*;
use crate::link::codec::MessageDecoder;
use crate::link::message::VERSION;
use crate::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, Content, Generation, PayloadForm,
    Publication, PublicationId, RecipientBounds, ReplayDigest, ReplayRecords, Sequence, Slot, Tags,
    Tenant,
};

const WORKER: WorkerIncarnation =
    WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) };

fn api(generation: u32) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId::API, generation: Generation(generation) }
}

fn id(content: u8, max: u64) -> PublicationId {
    let (id, content) = (ReplayDigest([1; 16]), ReplayDigest([content; 16]));
    let recipients = RecipientBounds { min: 0, max };
    PublicationId { id, content, at: 5, until: 300, recipients, origin: None }
}

fn link(router: &mut Router, source: WorkerIncarnation) {
    router.linked(source);
    router.on_message(source, ToBroker::Hello { version: VERSION, source }).unwrap();
    router.on_message(source, ToBroker::Announced { sequence: Sequence(0) }).unwrap();
}

/// A router with a worker that has one client, and an API process.
fn router() -> Router {
    let mut router = Router::default();
    link(&mut router, WORKER);
    let client = Client {
        tenant: Tenant::shared(),
        uuid: ClientUuid([1; 16]),
        ident: None,
        tags: Tags::default(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    router.on_message(WORKER, ToBroker::Join { slot: Slot(0), client }).unwrap();
    link(&mut router, api(1));
    end_turn(&mut router);
    router
}

/// Publishes to all clients. Returns the number of deliveries, and what the API process receives.
fn publish(
    router: &mut Router,
    source: WorkerIncarnation,
    id: PublicationId,
) -> (usize, Vec<ToWorker>) {
    pass_on(router, source, id);
    let [worker, api] = end_turn(router);
    let is_delivery = |message: &&ToWorker| matches!(message, ToWorker::Deliver(_));
    (worker.iter().filter(is_delivery).count(), api)
}

fn pass_on(router: &mut Router, source: WorkerIncarnation, id: PublicationId) {
    let content = Content { form: PayloadForm::Message, payload: Bytes::from_static(b"1") };
    let (tenant, address) = (Tenant::shared(), Address::everyone());
    let publication = Publication { tenant, address, content };
    let clients_max = Some(id.recipients.max);
    for message in [
        ToBroker::Identify(id),
        ToBroker::Count { clients_max, tracking: None },
        ToBroker::Publish { number: Number(id.content.0[0].into()), publication },
    ] {
        router.on_message(source, message).unwrap();
    }
}

/// Ends a turn. Returns what the worker and the API process receive.
fn end_turn(router: &mut Router) -> [Vec<ToWorker>; 2] {
    router.end_turn();
    let worker = received(router, WORKER.worker);
    router.acknowledge();
    [worker, received(router, WorkerId::API)]
}

fn received(router: &mut Router, worker: WorkerId) -> Vec<ToWorker> {
    let Some(member) = router.worker_mut(worker) else { return Vec::new() };
    let mut inbox = MessageDecoder::default();
    inbox.extend(member.out.pending());
    member.out.advance(member.out.pending().len());
    std::iter::from_fn(|| inbox.take().unwrap()).collect()
}

fn used(id: PublicationId) -> ToWorker {
    ToWorker::Remember(ReplayRecords::Ids(vec![id.used_by(1, 1).unwrap()]))
}

#[test]
fn what_a_dead_api_process_passed_on_is_not_delivered_again() {
    let mut router = router();
    let first = id(1, 9);
    assert_eq!(publish(&mut router, api(1), first).0, 1);
    router.remove_worker(api(1));
    link(&mut router, api(2));
    let [_, told] = end_turn(&mut router);
    assert_eq!(told, [used(first), ToWorker::Remember(ReplayRecords::Basis(None))]);
    // Even if the process asks for it, with the same content or another one.
    for content in [1, 2] {
        let (deliveries, answer) = publish(&mut router, api(2), id(content, 9));
        assert_eq!((deliveries, &answer[0]), (0, &used(first)));
        assert!(matches!(answer[1], ToWorker::Reached(counted) if counted.clients == 1));
    }
}

#[test]
fn an_id_is_known_to_the_next_api_process_once_the_deliveries_are_written() {
    let mut router = router();
    let first = id(1, 9);
    // The process is removed in the turn in which its publication is resolved.
    pass_on(&mut router, api(1), first);
    router.remove_worker(api(1));
    link(&mut router, api(2));
    router.end_turn();
    assert_eq!(received(&mut router, WorkerId::API), []);
    assert!(!received(&mut router, WORKER.worker).is_empty(), "the delivery");
    router.acknowledge();
    let told = received(&mut router, WorkerId::API);
    assert_eq!(told, [used(first), ToWorker::Remember(ReplayRecords::Basis(None))]);
}

#[test]
fn a_refused_publication_leaves_its_id_free() {
    let mut router = router();
    assert_eq!(publish(&mut router, api(1), id(1, 0)).0, 0);
    assert_eq!(publish(&mut router, api(1), id(2, 9)).0, 1);
}

#[test]
fn a_worker_may_not_give_ids() {
    let mut router = router();
    assert!(router.on_message(WORKER, ToBroker::Identify(id(1, 9))).is_err());
}
