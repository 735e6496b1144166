//! Rules L3 to L8 of the link, tested with the link logic of workers and brokers and without sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use bytes::Bytes;
use tagcast::broker::MaxConnections;
use tagcast::broker::router::Router;
use tagcast::broker_client::BrokerEvent;
use tagcast::broker_client::report_requests::{RecipientForm, ReportRequester};
use tagcast::broker_client::uplink::{NewPublication, Uplink};
use tagcast::link::codec::MessageDecoder;
use tagcast::link::message::{Deliver, DeliverTo, ToWorker};
use tagcast::link::query::{PresenceQuery, PresenceResult, QueryKind, QueryResult};
use tagcast::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, Content, Generation, Ident,
    PayloadForm, Slot, Tag, TagEdit, Tags, Tenant, WorkerId, WorkerIncarnation,
};

/// The link logic of a worker, with everything that its connections would have received.
struct Worker {
    source: WorkerIncarnation,
    uplink: Uplink,
    joined: Vec<Slot>,
    free: Vec<Slot>,
    refused: Vec<Slot>,
    answers: Vec<QueryResult>,
    received: Vec<(u64, Vec<u8>)>,
    reached: Vec<u64>,
}

impl Worker {
    fn new(seat: u16) -> Self {
        let source = WorkerIncarnation { worker: WorkerId(seat), generation: Generation(1) };
        Self {
            source,
            uplink: Uplink::new(source),
            joined: Vec::new(),
            free: Vec::new(),
            refused: Vec::new(),
            answers: Vec::new(),
            received: Vec::new(),
            reached: Vec::new(),
        }
    }

    fn publish(&mut self, address: &Address, text: &str) {
        assert!(self.uplink.has_room(text.len()));
        self.uplink.publish(publication(address, text.as_bytes()));
    }

    fn take(&mut self, message: ToWorker) {
        match message {
            ToWorker::Left { slot } => {
                self.uplink.on_left(slot);
                return self.free.push(slot);
            }
            ToWorker::Deliver(deliver) if self.uplink.is_new(&deliver) => {
                let Deliver { source, number, sequence, target, content } = deliver;
                let content = content.as_ref().map(Content::borrowed);
                let deliver = Deliver { source, number, sequence, target, content };
                let text = self.uplink.content(&deliver).unwrap().payload.to_vec();
                return self.received.push((number.0, text));
            }
            _ => {}
        }
        match self.uplink.on_message(message) {
            Some(BrokerEvent::Joined { slot, .. }) => self.joined.push(slot),
            Some(BrokerEvent::Refused { slot, .. }) => self.refused.push(slot),
            Some(BrokerEvent::Answer { result, .. }) => self.answers.push(result),
            Some(BrokerEvent::Reached { counted, .. }) => self.reached.push(counted.clients),
            Some(_) | None => {}
        }
    }

    fn texts(&self) -> Vec<&str> {
        self.received.iter().map(|(_, text)| str::from_utf8(text).unwrap()).collect()
    }
}

fn publication<'a>(address: &'a Address, payload: &'a [u8]) -> NewPublication<'a> {
    static SHARED: LazyLock<Tenant> = LazyLock::new(Tenant::shared);
    NewPublication { tenant: &SHARED, address, form: PayloadForm::Message, payload }
}

fn who() -> QueryKind {
    QueryKind::Presence(PresenceQuery { filter: Tags::default().into(), tag: "room".into() })
}

/// Passes the output of a worker to the broker.
fn upward(worker: &mut Worker, router: &mut Router) {
    if let Some(sent) = worker.uplink.take_output() {
        feed(worker.source, &sent, router);
    }
}

fn feed(source: WorkerIncarnation, sent: &Bytes, router: &mut Router) {
    let mut inbox = MessageDecoder::default();
    inbox.extend(sent);
    while let Some(message) = inbox.take().unwrap() {
        router.on_message(source, message).unwrap();
        assert!(router.resume(&mut |_| false).is_continue());
    }
}

/// Returns the pending output for a worker's link, and marks it as written.
fn written(worker: &Worker, router: &mut Router) -> Vec<ToWorker> {
    let member = router.worker_mut(worker.source.worker).unwrap();
    let mut inbox = MessageDecoder::default();
    inbox.extend(member.out.pending());
    let bytes = member.out.pending().len();
    member.out.advance(bytes);
    std::iter::from_fn(|| inbox.take().unwrap()).collect()
}

fn downward(worker: &mut Worker, router: &mut Router) {
    for message in written(worker, router) {
        worker.take(message);
    }
}

fn link(workers: &mut [&mut Worker], router: &mut Router) {
    for worker in workers {
        router.linked(worker.source);
        worker.free.extend(worker.uplink.on_linked());
        upward(worker, router);
    }
}

/// Runs one turn of all workers and the broker.
fn turn(workers: &mut [&mut Worker], router: &mut Router) {
    for worker in workers.iter_mut() {
        upward(worker, router);
    }
    router.end_turn();
    for worker in workers.iter_mut() {
        downward(worker, router);
    }
    router.acknowledge();
    for worker in workers.iter_mut() {
        downward(worker, router);
    }
}

fn client(byte: u8) -> Client {
    Client {
        tenant: Tenant::shared(),
        uuid: ClientUuid([byte; 16]),
        ident: Ident::new("name").ok(),
        tags: Tags::default(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn two_workers_with_a_client_each() -> (Worker, Worker, Router) {
    let (mut one, mut two, mut router) = (Worker::new(1), Worker::new(2), Router::awaiting([]));
    link(&mut [&mut one, &mut two], &mut router);
    one.uplink.join(Slot(0), client(1));
    two.uplink.join(Slot(0), client(2));
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!((one.joined.len(), two.joined.len()), (1, 1));
    (one, two, router)
}

fn successor(workers: &mut [&mut Worker]) -> Router {
    for worker in workers.iter_mut() {
        worker.uplink.on_unlinked();
    }
    let mut router = Router::awaiting(workers.iter().map(|worker| worker.source));
    link(workers, &mut router);
    router
}

#[test]
fn a_repeat_after_a_lost_acknowledgement_is_not_delivered_twice() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    one.publish(&Address::everyone(), "a");
    upward(&mut one, &mut router);
    router.end_turn();
    // Both workers get the delivery. The broker dies before it sends the acknowledgement.
    downward(&mut two, &mut router);
    for message in written(&one, &mut router) {
        if !matches!(message, ToWorker::Acknowledged { .. }) {
            one.take(message);
        }
    }
    assert!(!one.uplink.is_quiet());
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!((one.texts(), two.texts()), (vec!["a"], vec!["a"]));
    assert!(one.uplink.is_quiet());
}

#[test]
fn a_requested_count_comes_once_from_the_acknowledging_broker() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    let everyone = Address::everyone();
    let asker = ReportRequester { slot: Slot(0), naming: RecipientForm::of(&everyone) };
    one.uplink.publish_counted(asker, None, publication(&everyone, b"a"));
    one.publish(&everyone, "not counted");
    upward(&mut one, &mut router);
    router.end_turn();
    downward(&mut two, &mut router);
    assert!(one.reached.is_empty(), "it dies before it has acknowledged");
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(one.reached, [2]);
    assert!(one.uplink.is_quiet());
    one.uplink.publish_counted(asker, None, publication(&everyone, b"b"));
    one.uplink.leave(Slot(0));
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(one.reached, [2], "its client has left");
}

#[test]
fn the_new_broker_sends_what_only_one_worker_had_received() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    one.publish(&Address::everyone(), "a");
    one.publish(&Address::everyone(), "b");
    upward(&mut one, &mut router);
    router.end_turn();
    downward(&mut two, &mut router);
    let mut router = successor(&mut [&mut one, &mut two]);
    one.publish(&Address::everyone(), "c");
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(one.texts(), ["a", "b", "c"]);
    assert_eq!(two.texts(), ["a", "b", "c"]);
}

#[test]
fn a_worker_announces_after_it_has_read_the_dead_link_to_its_end() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    one.publish(&Address::first(Some(ClientUuid([2; 16])), None), "private");
    upward(&mut one, &mut router);
    router.end_turn();
    let last_words = written(&two, &mut router);
    drop(router);
    // The delivery is still unread in the dead link. The worker reads it first, and then lists it in the
    // announcement.
    for message in last_words {
        two.take(message);
    }
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(two.texts(), ["private"]);
    assert!(one.uplink.is_quiet());
}

#[test]
fn a_single_delivery_is_not_repeated_to_a_second_client_of_the_same_name() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    one.publish(&Address::first(None, Ident::new("name").ok()), "for the first");
    upward(&mut one, &mut router);
    router.end_turn();
    for message in written(&one, &mut router) {
        if !matches!(message, ToWorker::Acknowledged { .. }) {
            one.take(message);
        }
    }
    assert_eq!(one.texts(), ["for the first"]);
    // The first client leaves, so resolving the address again would find the second client.
    one.uplink.on_unlinked();
    one.uplink.leave(Slot(0));
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(two.texts(), Vec::<&str>::new());
    assert!(one.uplink.is_quiet());
}

#[test]
fn a_slot_is_reused_only_after_the_broker_has_freed_it() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    two.publish(&Address::everyone(), "under way");
    upward(&mut two, &mut router);
    one.uplink.leave(Slot(0));
    assert!(one.uplink.holds(Slot(0)));
    upward(&mut one, &mut router);
    router.end_turn();
    let received_by = written(&one, &mut router);
    let delivery = received_by.iter().position(|message| matches!(message, ToWorker::Deliver(_)));
    let left = received_by.iter().position(|message| matches!(message, ToWorker::Left { .. }));
    assert!(delivery.unwrap() < left.unwrap(), "nothing names the slot afterwards");
    received_by.into_iter().for_each(|message| one.take(message));
    assert_eq!(one.free, [Slot(0)]);
    assert!(!one.uplink.holds(Slot(0)));
}

#[test]
fn an_announcement_acknowledges_all_leaves() {
    let (mut one, mut two, router) = two_workers_with_a_client_each();
    one.uplink.leave(Slot(0));
    drop(router);
    let mut router = successor(&mut [&mut one, &mut two]);
    assert_eq!(one.free, [Slot(0)]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(router.clients(), 1);
}

#[test]
fn a_client_that_joins_during_an_outage_is_joined_by_the_new_broker() {
    let (mut one, mut two, router) = two_workers_with_a_client_each();
    drop(router);
    one.uplink.on_unlinked();
    one.uplink.join(Slot(1), client(3));
    two.publish(&Address::everyone(), "a");
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(one.joined, [Slot(0), Slot(1)]);
    assert_eq!(router.clients(), 3);
    assert_eq!(one.texts(), ["a"]);
}

#[test]
fn an_unanswered_join_is_repeated() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    one.uplink.join(Slot(1), client(3));
    upward(&mut one, &mut router);
    drop(router);
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(one.joined, [Slot(0), Slot(1)]);
}

#[test]
fn a_delivery_to_one_names_its_slot() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    one.publish(&Address::first(Some(ClientUuid([2; 16])), None), "x");
    upward(&mut one, &mut router);
    let received_by = written(&two, &mut router);
    assert!(received_by.iter().any(|message| {
        matches!(message, ToWorker::Deliver(Deliver { target: DeliverTo::One(Slot(0)), .. }))
    }));
    turn(&mut [&mut one, &mut two], &mut router);
}

fn room(value: &str) -> Tags {
    Tags::new([Tag::new("room", value).unwrap()]).unwrap()
}

#[test]
fn l6_tags_that_changed_hold_for_the_next_broker_also() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    two.uplink.change_tags(Slot(0), TagEdit::Replace(room("1")));
    turn(&mut [&mut one, &mut two], &mut router);
    one.publish(&Address::matching(room("1")), "told");
    turn(&mut [&mut one, &mut two], &mut router);
    // The change below is made while there is no broker, so only its repetition can transmit it.
    let mut router = {
        one.uplink.on_unlinked();
        two.uplink.on_unlinked();
        two.uplink.change_tags(Slot(0), TagEdit::Replace(room("2")));
        successor(&mut [&mut one, &mut two])
    };
    one.publish(&Address::matching(room("1")), "old");
    one.publish(&Address::matching(room("2")), "new");
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(two.texts(), ["told", "new"]);
    assert_eq!(one.texts(), [""; 0]);
}

#[test]
fn l8_a_client_above_the_limit_is_refused_and_frees_its_slot() {
    let mut router = Router::awaiting([]);
    router.limit(MaxConnections { max_clients: 2, ..MaxConnections::default() });
    let mut one = Worker::new(1);
    link(&mut [&mut one], &mut router);
    for slot in 0..3 {
        one.uplink.join(Slot(slot), client(u8::try_from(slot).unwrap()));
    }
    turn(&mut [&mut one], &mut router);
    assert_eq!((one.joined.len(), one.refused.as_slice()), (2, &[Slot(2)][..]));
    assert!(!one.uplink.holds(Slot(2)));
    one.uplink.leave(Slot(0));
    one.uplink.join(Slot(2), client(9));
    turn(&mut [&mut one], &mut router);
    assert_eq!(one.joined.len(), 3);
}

#[test]
fn a_presence_query_is_answered_by_the_new_broker() {
    let (mut one, mut two, mut router) = two_workers_with_a_client_each();
    two.uplink.change_tags(Slot(0), TagEdit::Replace(room("1")));
    turn(&mut [&mut one, &mut two], &mut router);
    one.uplink.query(Slot(0), Tenant::shared(), who());
    let mut router = successor(&mut [&mut one, &mut two]);
    turn(&mut [&mut one, &mut two], &mut router);
    let found = PresenceResult { clients: 2, values: vec!["1".into()] };
    assert_eq!(one.answers, [QueryResult::Presence(found)]);
    one.uplink.query(Slot(0), Tenant::shared(), who());
    one.uplink.leave(Slot(0));
    turn(&mut [&mut one, &mut two], &mut router);
    assert_eq!(one.answers.len(), 1, "an answer to somebody who is gone is nobody's");
}
